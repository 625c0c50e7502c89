package record

import (
	"bytes"
	"context"
	"fmt"

	"github.com/wsproxy/wsproxy/inspect"
)

type lineKey struct {
	session int
	n       uint64
}

// Bounds on the lines that are remembered, and on what is read to make one.
const (
	maxLines  = 16 << 10
	lineBytes = 512
	lineWide  = 200
)

// Summary is what a list shows of a frame: its message in one line, safe for a
// terminal, at most about 200 characters.
func (s *Store) Summary(r Row) string {
	s.reading.Lock()
	defer s.reading.Unlock()
	key := lineKey{r.Session(), r.N()}
	if line, ok := s.lines[key]; ok {
		return line
	}
	line, whole := s.line(r)
	if len(s.lines) >= maxLines {
		clear(s.lines)
	}
	if whole {
		s.lines[key] = line
	}
	return line
}

// line makes a summary; whole says that it will stay as it is.
func (s *Store) line(r Row) (line string, whole bool) {
	if r.Opcode() == inspect.OpContinuation {
		if first := s.rowsOf(r)[0]; first.N() != r.N() {
			return fmt.Sprintf("… goes on with #%d", first.N()), true
		}
	}
	m, err := s.message(r, lineBytes)
	if err != nil {
		return err.Error(), false
	}
	line = inspect.Summary(&m.Message, lineWide)
	if !r.Fin() && !r.Opcode().Control() {
		line = fmt.Sprintf("(%d fragments) %s", len(m.Rows), line)
	}
	return line, m.Rows[len(m.Rows)-1].Ends()
}

// findStep is how many rows Find copies at once, and how much of a message it
// searches.
const (
	findStep  = 512
	findBytes = 16 << 20
)

// Find answers the next row of from's session that the filter wants, behind
// from or, backwards, in front of it. ok is false if there is none. The error is
// ctx's, or of reading.
func (s *Store) Find(ctx context.Context, from Row, backwards bool, f Filter) (r Row, ok bool, err error) {
	var buf [findStep]Row
	session, next := from.Session(), int(from.N())
	if backwards {
		next--
	}
	for {
		at := next
		if backwards {
			at = max(0, next-findStep)
		}
		n := s.Rows(session, at, buf[:])
		if backwards {
			n = next - at
		}
		if n <= 0 {
			return Row{}, false, nil
		}
		if r, ok, err = s.among(ctx, buf[:n], backwards, f); ok || err != nil {
			return r, ok, err
		}
		if next = at; !backwards {
			next += n
		}
	}
}

// among is the first of the rows that the filter wants, or the last: also that
// one is looked for from the front, since compressed messages need the ones before.
func (s *Store) among(ctx context.Context, rows []Row, last bool, f Filter) (r Row, ok bool, err error) {
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return Row{}, false, err
		}
		hit, err := s.wanted(row, f)
		if err != nil {
			return Row{}, false, err
		}
		if hit {
			r, ok = row, true
			if !last {
				break
			}
		}
	}
	return r, ok, nil
}

func (s *Store) wanted(r Row, f Filter) (bool, error) {
	switch f.Row(r) {
	case No:
		return false, nil
	case Yes:
		return true, nil
	}
	m, err := s.Message(r, findBytes)
	if err != nil {
		return false, err
	}
	return f.Message(&m), nil
}

// Text is a filter that looks for a text in messages, letter case aside. It
// answers each message once, at its first frame.
func Text(s string) Filter { return text(bytes.ToLower([]byte(s))) }

type text []byte

func (t text) Row(r Row) Answer {
	if r.Opcode() == inspect.OpContinuation {
		return No
	}
	return Maybe
}

func (t text) Message(m *Message) bool { return bytes.Contains(bytes.ToLower(m.Data), t) }
