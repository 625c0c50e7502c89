package ui

import (
	"context"
	"errors"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// listener tells a session's decoder what was said, message by message as they ended,
// and goes on where it was when there is more.
type listener struct {
	source  source
	table   *decode.Table
	session int
	as      string // the protocol, whatever it looks like; empty: it is guessed
	decoder *decode.Session
	upto    int      // rows were looked at
	ends    [2]int64 // by Dir: where the next frame should begin; 0: not known
}

// heardMost is how much of a message is decoded. Of a longer one its decoder hears that
// it is not whole.
const heardMost = 16 << 20

// errOvertaken says that a temporary recording was written over before it was listened
// to: what was known is no more.
var errOvertaken = errors.New("written over")

func newListener(src source, t *decode.Table, session int, as string) *listener {
	l := &listener{source: src, table: t, session: session, as: as}
	l.begin(0)
	return l
}

// begin begins at a row, with a decoder that knows nothing.
func (l *listener) begin(row int) {
	x := l.source.Session(l.session)
	l.decoder = l.table.Session(nil)
	if x.Handshake != nil {
		l.decoder = l.table.Session(&inspect.Opened{Session: x.ID, Conn: x.Conn, Handshake: x.Handshake})
	}
	if l.as != "" {
		_ = l.decoder.Force(l.as) // its name was looked up
	}
	l.upto, l.ends = row, [2]int64{}
	if row > 0 {
		l.decoder.Gap(inspect.ToServer)
		l.decoder.Gap(inspect.ToClient)
	}
}

// hear looks at most that many rows further, and calls each with the items of a message,
// which are valid until it returns; false from it ends the hearing behind that message.
// all says that there is no more by now. The error is errOvertaken, ctx's, or of reading
// what will be there later.
func (l *listener) hear(ctx context.Context, most int, each func(record.Row, []decode.Item) bool) (all bool, err error) {
	var rows [256]record.Row
	for most > 0 {
		n := l.source.Rows(l.session, l.upto, rows[:min(most, len(rows))])
		if n == 0 {
			if l.source.First(l.session) > l.upto {
				return false, errOvertaken
			}
			return true, ctx.Err()
		}
		for _, r := range rows[:n] {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			items, err := l.row(r)
			if err != nil {
				return false, err
			}
			l.upto++
			if each != nil && !each(r, items) {
				return false, nil
			}
		}
		most -= n
	}
	return false, nil
}

// row tells the decoder of a frame, and answers what the message says that ends with it.
func (l *listener) row(r record.Row) ([]decode.Item, error) {
	if end := l.ends[r.Dir()]; end > 0 && r.Off() != end {
		l.decoder.Gap(r.Dir())
	}
	if l.ends[r.Dir()] = 0; r.Minimal() {
		l.ends[r.Dir()] = r.Off() + headerLen(r) + int64(r.Length())
	}
	if !r.Ends() && !r.Missing() || r.Opcode().Control() && r.Opcode() != inspect.OpClose {
		return nil, nil
	}
	m, err := l.source.Message(r, heardMost)
	switch {
	case errors.Is(err, record.ErrNotYet):
		return nil, err
	case err != nil:
		l.decoder.Gap(r.Dir()) // it was written over, or cannot be read
		return nil, nil
	}
	return l.decoder.Message(&m.Message), nil
}

// headerLen is the length of a frame's header, whose own length is in the shortest form
// (RFC 6455 section 5.2).
func headerLen(r record.Row) int64 {
	n := int64(2)
	switch length := r.Length(); {
	case length > 0xffff:
		n += 8
	case length > 125:
		n += 2
	}
	if r.Masked() {
		n += 4
	}
	return n
}
