package record

import (
	"context"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
)

// Choice makes a Filter of a compiled one, for Find. It is for one goroutine.
func (s *Store) Choice(f *filter.Filter) Filter {
	return &choice{store: s, matcher: f.Matcher(), of: -1}
}

// choice asks a filter about the rows of a Store.
type choice struct {
	store   *Store
	matcher *filter.Matcher
	of      int // session is that of
	session filter.Session
	frame   filter.Frame
}

// Row answers what the index says.
func (c *choice) Row(r Row) Answer {
	if r.Session() != c.of {
		c.of = r.Session()
		c.session = sessionFacts(c.of, c.store.Session(c.of))
	}
	rsv := r.Rsv()
	c.frame = filter.Frame{Session: &c.session, N: r.N(), Time: r.Time(), Dir: r.Dir(), Op: r.Opcode(), Length: r.Length(), Fin: r.Fin(),
		Rsv1: rsv[0], Rsv2: rsv[1], Rsv3: rsv[2], Masked: r.Masked(), Minimal: r.Minimal(), Missing: r.Missing()}
	if worst, ok := r.Worst(); ok {
		c.frame.Finding = worst.String()
	}
	switch c.matcher.Frame(&c.frame) {
	case filter.Yes:
		return Yes
	case filter.No:
		return No
	}
	return Maybe
}

// Message decides about the row that Row was asked about last.
func (c *choice) Message(m *Message) bool { return c.matcher.Message(&m.Message) }

// sessionFacts are what a filter may ask about a session.
func sessionFacts(i int, s Session) filter.Session {
	x := filter.Session{N: i + 1, Mode: s.Conn.Mode, Target: s.Conn.Target, Client: s.Conn.Client.Remote, Open: s.Closed == nil, Opened: s.Opened}
	if h := s.Handshake; h != nil {
		x.Path, x.Protocol = h.Path(), h.Subprotocol
		if h.Response != nil {
			x.Status = h.Response.Status
		}
	}
	if s.Closed != nil {
		x.Word = s.Closed.Word
	}
	return x
}

// selectStep is after how many frames Select says how far it is.
const selectStep = 16 << 10

// Select calls each with every row that a filter wants, session by session, and
// progress now and then with how many frames it has looked at and how many there
// are; progress may be nil. A message in fragments is asked about once, and all its frames
// are wanted or none. The error is each's, ctx's, or of reading.
func (s *Store) Select(ctx context.Context, f *filter.Filter, each func(Row) error, progress func(looked, of int64)) error {
	c := s.Choice(f)
	if progress == nil {
		progress = func(int64, int64) {}
	}
	var total, looked int64
	last := s.Sessions()
	for i := s.FirstSession(); i < last; i++ {
		total += int64(s.Len(i) - s.First(i))
	}
	var rows [findStep]Row
	for i := s.FirstSession(); i < last; i++ {
		var said [2]verdict
		for from := s.First(i); ; {
			n := s.Rows(i, from, rows[:])
			if n == 0 {
				if first := s.First(i); first > from {
					from = first // it was written over meanwhile
					continue
				}
				break
			}
			for _, r := range rows[:n] {
				ok, err := s.selects(c, r, &said[r.Dir()])
				if err == nil && ok {
					err = each(r)
				}
				if err != nil {
					return err
				}
			}
			from += n
			if looked += int64(n); looked/selectStep != (looked-int64(n))/selectStep {
				if err := ctx.Err(); err != nil {
					return err
				}
				progress(looked, total)
			}
		}
	}
	progress(looked, total)
	return ctx.Err()
}

// verdict is what was said of a direction's newest message.
type verdict struct {
	last uint64 // its last frame
	ok   bool
}

// selects says whether a row is wanted.
func (s *Store) selects(c Filter, r Row, said *verdict) (bool, error) {
	switch c.Row(r) {
	case No:
		return false, nil
	case Yes:
		return true, nil
	}
	if r.Opcode() == inspect.OpContinuation && r.N() <= said.last {
		return said.ok, nil
	}
	m, err := s.Message(r, findBytes)
	if err != nil {
		return false, err
	}
	ok := c.Message(&m)
	if !r.Opcode().Control() {
		*said = verdict{m.Last, ok}
	}
	return ok, nil
}
