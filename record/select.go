package record

import (
	"context"
	"maps"
	"slices"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
)

// Choice makes a Filter of a compiled one, for Find. It is for one goroutine.
func (s *Store) Choice(f *filter.Filter) Filter {
	return &choice{store: s, matcher: f.Matcher(), asks: f.AsksSession(), of: -1}
}

// choice asks a filter about the rows of a Store.
type choice struct {
	store   *Store
	matcher *filter.Matcher
	asks    bool    // the filter asks for the session
	of      int     // session is that of
	before  []int32 // by session: how many there are in front of it that are no exchanges
	session filter.Session
	frame   filter.Frame
}

// Row answers what the index says.
func (c *choice) Row(r Row) Answer {
	if r.Session() != c.of {
		c.of = r.Session()
		c.look(c.of, c.store.Session(c.of))
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

// look looks at a session. Its number is what lists call it, which count no exchanges;
// an exchange has none.
func (c *choice) look(i int, s Session) {
	c.session = sessionFacts(s)
	if !c.asks || s.Kind == Exchange {
		return
	}
	for j := len(c.before); j <= i; j++ {
		n := int32(0)
		if j > 0 {
			if n = c.before[j-1]; c.store.Session(j-1).Kind != Exchange {
				n++
			}
		}
		c.before = append(c.before, n)
	}
	c.session.N = int(c.before[i]) + 1
}

// sessionFacts are what a filter may ask about a session, but for its number.
func sessionFacts(s Session) filter.Session {
	x := filter.Session{Mode: s.Conn.Mode, Target: s.Conn.Target, Client: s.Conn.Client.Remote, Open: s.Closed == nil, Opened: s.Opened}
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

// Sifted is told what a Sieve lets through.
type Sifted interface {
	Frame(Row) error            // this row is wanted; it may be told twice
	Session(i int, wanted bool) // of a filter that asks for nothing but the session: all its frames are wanted, or none
	Forget(i int)               // what was told of a session does not hold any more: it is told anew
	Progress(looked, of int64)  // how many frames were looked at, of those that there are by now
}

// Sieve is a filter on its way through a Store, which may grow: each Advance goes
// on where the last one ended. It is for one goroutine.
type Sieve struct {
	store  *Store
	filter *filter.Filter
	choice *choice
	to     Sifted
	every  bool // rows are told of a filter of sessions too
	next   int  // the first session that was not looked at yet
	open   map[int]*sifting
	looked int64
	of     int64
}

// sifting is how far a session that may go on was looked at.
type sifting struct {
	from     int // row
	findings uint64
	said     [2]verdict
}

// verdict is what was said of a direction's newest message.
type verdict struct {
	last uint64 // its last frame
	ok   bool
}

// Sieve begins to sift the frames of the Store through a filter.
func (s *Store) Sieve(f *filter.Filter, to Sifted) *Sieve {
	return &Sieve{store: s, filter: f, choice: s.Choice(f).(*choice), to: to, open: map[int]*sifting{}}
}

// Frames are sifted in steps of selectStep, behind which the progress is told. What
// a judge says of a frame may come a little later than the frame: that many are
// looked at again.
const (
	selectStep = 1 << 10
	lookBack   = 64
)

// Advance sifts what is new, session by session, and returns when it has met the
// Store's end. A message in fragments is asked about once, and all its frames are
// wanted or none; one that is not whole yet waits for a later call, and what follows
// it in its session too. The error is Sifted's, ctx's, or of reading: Advance can be
// called again.
func (v *Sieve) Advance(ctx context.Context) error {
	v.choice.of = -1 // sessions change
	for _, i := range slices.Sorted(maps.Keys(v.open)) {
		if err := v.session(ctx, i, v.open[i]); err != nil {
			return err
		}
	}
	v.next = max(v.next, v.store.FirstSession())
	for ; v.next < v.store.Sessions(); v.next++ {
		at := v.open[v.next]
		if at == nil { // else ctx ended in the middle of it
			at = &sifting{}
			v.open[v.next] = at
		}
		if err := v.session(ctx, v.next, at); err != nil {
			return err
		}
	}
	v.to.Progress(v.looked, max(v.looked, v.of))
	return ctx.Err()
}

// session sifts what is new in a session, and forgets it when nothing more can come.
func (v *Sieve) session(ctx context.Context, i int, at *sifting) error {
	x := v.store.Session(i)
	over := x.Closed != nil || x.Kind != WebSocket || x.Forgotten
	switch {
	case x.Forgotten:
		v.to.Forget(i)
	case v.filter.OfSession() && !v.every:
		v.choice.look(i, x)
		v.to.Session(i, v.choice.matcher.Session(&v.choice.session))
		if err := ctx.Err(); err != nil {
			return err
		}
	default:
		if over && at.from > 0 && v.filter.AsksSession() { // how it ended is known only now
			v.to.Forget(i)
			v.looked -= int64(at.from)
			*at = sifting{}
		}
		if n := v.store.Len(i); n > at.from || x.Findings != at.findings {
			at.findings = x.Findings
			if err := v.rows(ctx, i, at, over); err != nil {
				return err
			}
		}
	}
	if over {
		delete(v.open, i)
	}
	return nil
}

func (v *Sieve) rows(ctx context.Context, i int, at *sifting, over bool) error {
	var rows [findStep]Row
	for from := max(at.from-lookBack, v.store.First(i)); ; {
		n := v.store.Rows(i, from, rows[:])
		if n == 0 {
			if first := v.store.First(i); first > from {
				from = first // it was written over meanwhile
				continue
			}
			return nil
		}
		for _, r := range rows[:n] {
			ok, whole, err := v.selects(r, &at.said[r.Dir()])
			if err == nil && !whole && !over {
				return nil
			}
			if err == nil && ok {
				err = v.to.Frame(r)
			}
			if err != nil {
				return err
			}
			if from++; from > at.from {
				at.from = from
				if v.looked++; v.looked%selectStep == 0 {
					v.tell()
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// tell tells the progress.
func (v *Sieve) tell() {
	if v.looked > v.of {
		v.of = v.looked
		for i := v.next; i < v.store.Sessions(); i++ {
			v.of += int64(v.store.Len(i) - v.store.First(i))
		}
	}
	v.to.Progress(v.looked, v.of)
}

// selects says whether a row is wanted, and whether its message is whole, so that
// the answer stays.
func (v *Sieve) selects(r Row, said *verdict) (ok, whole bool, err error) {
	switch v.choice.Row(r) {
	case No:
		return false, true, nil
	case Yes:
		return true, true, nil
	}
	if r.Opcode() == inspect.OpContinuation && r.N() <= said.last {
		return said.ok, true, nil
	}
	m, err := v.store.Message(r, findBytes)
	if err != nil {
		return false, false, err
	}
	ok = v.choice.Message(&m)
	whole = len(m.Rows) > 0 && m.Rows[len(m.Rows)-1].Ends()
	if !r.Opcode().Control() && whole {
		*said = verdict{m.Last, ok}
	}
	return ok, whole, nil
}

// Select calls each with every row that a filter wants, as a Sieve does, and
// progress now and then with how many frames it has looked at and how many there
// are; progress may be nil. The error is each's, ctx's, or of reading.
func (s *Store) Select(ctx context.Context, f *filter.Filter, each func(Row) error, progress func(looked, of int64)) error {
	v := s.Sieve(f, &selected{each, progress})
	v.every = true
	return v.Advance(ctx)
}

// selected passes on what a Sieve lets through.
type selected struct {
	each     func(Row) error
	progress func(looked, of int64)
}

func (t *selected) Frame(r Row) error { return t.each(r) }
func (t *selected) Session(int, bool) {}
func (t *selected) Forget(int)        {}

func (t *selected) Progress(looked, of int64) {
	if t.progress != nil {
		t.progress(looked, of)
	}
}
