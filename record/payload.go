package record

import (
	"errors"
	"fmt"
	"slices"

	"github.com/wsproxy/wsproxy/inspect"
)

// ErrMissing says that a frame's header is not in the recording.
var ErrMissing = errors.New("the frame's bytes are not in the recording")

// maxWire is the longest compressed message that is inflated to be shown, in
// bytes on the wire and after; inspection draws the line at the same place.
const maxWire = 16 << 20

// maxFragments is how many of a message's frames are looked at.
const maxFragments = 1 << 20

// notYet is how many bytes of compressed messages are inflated to come to one that the
// second reading has not reached: it will, and then there is a shorter way.
const notYet = 4 << 20

// ErrNotYet says that a message is known once more of the recording has been read.
var ErrNotYet = errors.New("not read yet")

// maxRows bounds the rows that a Message carries.
const maxRows = 1000

// Frame reads a frame's header and the first most bytes of its payload.
func (s *Store) Frame(r Row, most int) (Frame, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.frame(r, most)
}

func (s *Store) frame(r Row, most int) (Frame, error) {
	s.mu.Lock()
	in := span{s.file, s.side.file, nil}
	if n := s.shelf.get(r.Session()); n != nil && n.streams[r.Dir()] != nil {
		in.extents = n.streams[r.Dir()].reach(s.pages, r.Off(), r.Off()+int64(min(r.Length(), uint64(most)))+maxHeaderLen)
	}
	s.mu.Unlock()
	// The header and the payload are read at once: what the row says of the length
	// is the header's, and how long that is at most is known.
	buf := make([]byte, min(uint64(maxHeaderLen)+min(r.Length(), uint64(most)), in.behind(r.Off())))
	n, err := in.readAt(buf, r.Off())
	h, ok := inspect.ParseHeader(buf[:n])
	if !ok {
		if err == nil {
			err = ErrMissing
		}
		return Frame{}, fmt.Errorf("frame %d: %w", r.N(), err)
	}
	f := Frame{Row: r, Header: h}
	want := min(h.Length(), uint64(most))
	f.Payload = buf[h.Len():min(uint64(n), uint64(h.Len())+want)]
	if uint64(len(f.Payload)) == want {
		err = nil // what failed stands behind it
	}
	if err != nil {
		return f, fmt.Errorf("frame %d: %w", r.N(), err)
	}
	f.Missing = uint64(len(f.Payload)) < want
	f.Cut = !f.Missing && want < h.Length()
	return f, nil
}

// maxHeaderLen is the longest header (RFC 6455 section 5.2).
const maxHeaderLen = 14

// behind is how many bytes at most there are from off on, so that nobody
// allocates what a frame only claims.
func (r *span) behind(off int64) uint64 {
	var n int64
	for _, e := range r.extents {
		n += max(0, min(e.n, e.off+e.n-off))
	}
	return uint64(n)
}

// Message reads the message that a frame belongs to, unmasked and inflated, up
// to most bytes of it. A message whose end is not indexed yet is Cut.
func (s *Store) Message(r Row, most int) (Message, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.message(r, most)
}

func (s *Store) message(r Row, most int) (Message, error) {
	rows := s.rowsOf(r)
	first, last := rows[0], rows[len(rows)-1]
	m := Message{Rows: rows[:min(len(rows), maxRows)]}
	m.Session, m.Dir = s.Session(r.Session()).ID, r.Dir()
	m.First, m.Last, m.Time = first.N(), last.N(), last.Time()
	m.Opcode, m.Compressed, m.Undecodable = first.Opcode(), first.Compressed(), first.Undecodable()
	for _, row := range rows {
		m.Wire += int64(row.Length())
		m.Cut = m.Cut || row.Missing()
	}
	m.Cut = m.Cut || !last.Ends() || first.stray()
	m.Size = m.Wire
	var err error
	switch {
	case m.Undecodable:
		m.Size = 0
	case m.Compressed:
		err = s.inflated(&m, rows, most)
	default:
		m.Data, err = s.joined(rows, most)
		if m.Cut && len(m.Data) < most { // the rest never came
			m.Wire, m.Size = int64(len(m.Data)), int64(len(m.Data))
		}
		m.Cut = m.Cut || int64(len(m.Data)) < m.Wire
	}
	if r.InvalidUTF8() {
		m.InvalidUTF8 = invalidAt(&m)
	}
	return m, err
}

// invalidAt finds the first byte that is not UTF-8, as inspect.Message counts it.
func invalidAt(m *Message) int64 {
	var u inspect.UTF8
	data, skip := m.Data, int64(0)
	if m.Opcode == inspect.OpClose && len(data) >= 2 {
		data, skip = data[2:], 2
	}
	u.Feed(data)
	if !m.Cut {
		u.End()
	}
	if u.Bad() == 0 {
		return m.Size + 1 // behind what was read
	}
	return u.Bad() + skip
}

// rowsOf are the frames of the message that r belongs to, in order.
func (s *Store) rowsOf(r Row) []Row {
	if r.Opcode().Control() {
		return []Row{r}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.shelf.get(r.Session())
	if n == nil {
		return []Row{r}
	}
	same := func(x Row) bool { return x.Dir() == r.Dir() && !x.Opcode().Control() }
	first := r
	for i := r.N() - 1; i >= 1 && first.Opcode() == inspect.OpContinuation && !first.stray() && r.N()-i < maxFragments; i-- {
		x, ok := n.row(s.pages, i)
		if !ok {
			break // it was written over
		}
		if !same(x) {
			continue
		}
		if x.Fin() {
			break // a continuation of nothing begins here
		}
		first = x
	}
	all := []Row{first}
	for i := first.N() + 1; !all[len(all)-1].Fin() && len(all) < maxFragments; i++ {
		x, ok := n.row(s.pages, i)
		if !ok {
			break
		}
		if !same(x) {
			continue
		}
		if x.Opcode() != inspect.OpContinuation || x.stray() {
			break // the message never ended
		}
		all = append(all, x)
	}
	return all
}

// joined are the unmasked payloads of a message's frames, one behind the other.
func (s *Store) joined(rows []Row, most int) ([]byte, error) {
	var all []byte
	for _, row := range rows {
		f, err := s.frame(row, most-len(all))
		if f.Header.Masked() {
			inspect.Mask(f.Header.Key(), 0, f.Payload)
		}
		all = append(all, f.Payload...)
		if err != nil || f.Missing || len(all) == most {
			return all, err
		}
	}
	return all, nil
}

// cursor is an inflater that stands behind frame n of a direction.
type cursor struct {
	windowKey
	n       uint64
	inflate *inspect.Inflater
}

// maxCursors is how many inflaters wait for the message behind the one they
// inflated last: a list is drawn in order.
const maxCursors = 8

// inflated fills in a compressed message's content.
func (s *Store) inflated(m *Message, rows []Row, most int) error {
	c := s.cursorBefore(windowKey{rows[0].Session(), m.Dir}, m.First)
	if c == nil {
		return ErrMissing
	}
	if err := s.advance(c, m.First); err != nil {
		return err
	}
	data, size, err := s.inflateOne(c, rows)
	if errors.Is(err, ErrMissing) || errors.Is(err, ErrLapped) {
		return err // a ring has written over it since it was indexed
	}
	m.Size = size
	if m.Data = slices.Clone(data[:min(len(data), most)]); err != nil {
		m.Undecodable = errors.Is(err, inspect.ErrLost)
		return nil // inspection has judged it already
	}
	m.Cut = int64(len(m.Data)) < size
	return nil
}

// cursorBefore is the inflater that has the shortest way to frame n.
func (s *Store) cursorBefore(k windowKey, n uint64) *cursor {
	best := -1
	for i, c := range s.inflate {
		if c.windowKey == k && c.n < n && (best < 0 || c.n > s.inflate[best].n) {
			best = i
		}
	}
	s.mu.Lock()
	var at window
	var w []byte
	ok := false
	x := s.shelf.get(k.session)
	if x == nil || x.Handshake == nil || x.Handshake.Deflate == nil {
		s.mu.Unlock()
		return nil
	}
	if at, ok = x.windows[k.dir].before(s.pages, n); ok {
		w = s.pages.fetch(at.at, at.of)
	}
	d := x.Handshake.Deflate
	s.mu.Unlock()
	if best >= 0 && (!ok || s.inflate[best].n >= at.n) {
		c := s.inflate[best]
		s.inflate = append(slices.Delete(s.inflate, best, best+1), c)
		return c
	}
	c := &cursor{windowKey: k, n: at.n, inflate: inspect.NewInflater(d.Takeover(k.dir), d.WindowBits(k.dir), maxWire)}
	if !d.Takeover(k.dir) {
		c.n = n - 1 // what came before does not matter
	} else if ok {
		c.inflate.SetWindow(w)
	}
	if s.inflate = append(s.inflate, c); len(s.inflate) > maxCursors {
		s.inflate = slices.Delete(s.inflate, 0, 1)
	}
	return c
}

// advance inflates the messages in front of frame n, for their window.
func (s *Store) advance(c *cursor, n uint64) error {
	if !s.takeover(c.windowKey) {
		return nil
	}
	early := false
	select {
	case <-s.done:
	default:
		early = !s.ring
	}
	wire := uint64(0)
	for k := c.n + 1; k < n; k++ {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		r, ok := s.rowAt(c.session, k)
		if !ok {
			return fmt.Errorf("frame %d, which a later message refers to: %w", k, ErrMissing)
		}
		if r.Dir() != c.dir || !r.Compressed() || r.Undecodable() || r.Opcode() == inspect.OpContinuation {
			continue
		}
		if wire += r.Length() + 64; early && wire > notYet {
			return ErrNotYet
		}
		if _, _, err := s.inflateOne(c, s.rowsOf(r)); err != nil {
			return fmt.Errorf("the message of frame %d, which a later one refers to: %w", k, err)
		}
	}
	return nil
}

func (s *Store) takeover(k windowKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.shelf.get(k.session)
	return n != nil && n.Handshake.Deflate.Takeover(k.dir)
}

func (s *Store) rowAt(session int, n uint64) (Row, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.shelf.get(session)
	if x == nil {
		return Row{}, false
	}
	return x.row(s.pages, n)
}

// inflateOne inflates a whole message and leaves the cursor behind it.
func (s *Store) inflateOne(c *cursor, rows []Row) ([]byte, int64, error) {
	wire, err := s.joined(rows, maxWire)
	if err != nil {
		return nil, 0, err
	}
	c.n = max(c.n, rows[len(rows)-1].N())
	return c.inflate.Message(wire)
}
