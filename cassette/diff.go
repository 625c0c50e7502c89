package cassette

import (
	"fmt"
	"maps"
	"slices"

	"github.com/wsproxy/wsproxy/inspect"
)

// DiffKind says in what way two cassettes differ.
type DiffKind string

// The kinds. A move is told, and makes no difference: which of two messages that
// pass in the two directions comes first is often left to chance.
const (
	Missing DiffKind = "missing" // only the first cassette has it
	Extra   DiffKind = "extra"   // only the second one has
	Changed DiffKind = "changed"
	Moved   DiffKind = "moved" // it stands elsewhere among the other side's messages
)

// Difference is one thing in which two cassettes differ.
type Difference struct {
	Kind    DiffKind
	Session int         // number in the first cassette; of an extra session, in the second
	Path    string      // of the session
	From    inspect.Dir // whose doing it is
	A, B    int         // number of the message among that side's, from 1; 0: it is none, or not there
	LineA   int         // of the first cassette's file; 0: of none
	Want    string      // what the first one has, safe to show
	Got     string      // what the second one has
	Details []string    // where they differ
}

// DiffOptions are what is compared.
type DiffOptions struct {
	// Frames compares fragments, compression, pings and pongs too.
	Frames bool
	// Exact finds no variables beside the first cassette's own.
	Exact bool
}

// Diff compares two cassettes. What a variable of the first stands for may be
// another in the second; times, uuids and the like may be others too, and where the
// first has no variables, they are found. Neither cassette is changed.
func Diff(a, b *Cassette, o DiffOptions) []Difference {
	d := &differ{o: o, a: a, b: filled(b)}
	if !o.Exact {
		d.a = a.Loose()
	}
	left := d.b.Sessions()
	for _, s := range d.a.Sessions() {
		i := slices.IndexFunc(left, func(x *Session) bool { return fitsSession(s, x) })
		if i < 0 {
			d.add(Difference{Kind: Missing, Session: s.N, Path: s.Upgrade.Path, Want: "the session"})
			continue
		}
		d.session(s, left[i])
		left = slices.Delete(left, i, i+1)
	}
	for _, s := range left {
		d.add(Difference{Kind: Extra, Session: s.N, Path: s.Upgrade.Path, Got: "a session"})
	}
	return d.all
}

// Same says that differences are none, but for moves.
func Same(all []Difference) bool {
	return !slices.ContainsFunc(all, func(d Difference) bool { return d.Kind != Moved })
}

// Loose is a copy to compare with: variables stand for the times, uuids and the like
// in it, and if it has none of its own, for ids and tokens too.
func (c *Cassette) Loose() *Cassette {
	own := false
	for i := range c.Lines {
		own = own || len(c.Lines[i].variables()) > 0
	}
	x := copied(c)
	x.Make(Making{Variables: !own, Both: true})
	return x
}

// LooseServer is a copy for a client: variables stand for the times, uuids and the
// like in what the server says. What the client says stays.
func (c *Cassette) LooseServer() *Cassette {
	x := *c
	v := &vary{c: &Cassette{Recorded: c.Recorded, Lines: make([]Line, 1)}, m: Making{Both: true}, edits: map[int][]edit{}}
	changed := false
	for i := range c.Lines {
		l := &c.Lines[i]
		if l.From != inspect.ToClient || !isText(l.Kind) {
			continue
		}
		v.c.Lines[0] = *l
		for _, y := range leaves(l, 0) {
			v.single(&y)
		}
		if len(v.edits) == 0 {
			continue
		}
		v.apply()
		clear(v.edits)
		v.changes = nil
		if !changed {
			x.Lines, changed = slices.Clone(c.Lines), true
		}
		x.Lines[i] = v.c.Lines[0]
	}
	return &x
}

// copied is a cassette of its own, as far as making one changes it.
func copied(c *Cassette) *Cassette {
	x := &Cassette{Recorded: c.Recorded, Values: maps.Clone(c.Values), Lines: slices.Clone(c.Lines)}
	for i := range x.Lines {
		if l := &x.Lines[i]; l.Kind == Open {
			u := *l.Upgrade
			u.Subprotocols = slices.Clone(u.Subprotocols)
			l.Upgrade = &u
		} else if l.Kind == HTTP {
			e := *l.Exchange
			l.Exchange = &e
		}
	}
	return x
}

// filled is a cassette with values in place of its variables.
func filled(c *Cassette) *Cassette {
	x := copied(c)
	scopes := map[int]*Scope{}
	for i := range x.Lines {
		l := &x.Lines[i]
		s := scopes[l.Session]
		if s == nil {
			s = NewScope(c.Values)
			scopes[l.Session] = s
		}
		*l = s.Fill(*l)
		if l.Kind == Open {
			l.Upgrade.Path = s.FillText(l.Upgrade.Path)
		}
	}
	return x
}

// fitsSession says that two sessions are of one path.
func fitsSession(a, b *Session) bool {
	return a.Upgrade.Path == b.Upgrade.Path || NewScope(nil).Path(a.Upgrade.Path, b.Upgrade.Path)
}

// differ compares.
type differ struct {
	o    DiffOptions
	a, b *Cassette
	all  []Difference
}

func (d *differ) add(x Difference) { d.all = append(d.all, x) }

// placed is a line that is compared, with its place in the session and its number
// among its side's.
type placed struct {
	*Line
	at, n int
}

// session compares two sessions of one path.
func (d *differ) session(a, b *Session) {
	x := sessionDiff{differ: d, a: a, b: b}
	x.upgrade()
	for i := range a.Lines {
		if a.Lines[i].Kind == When {
			x.reactions = append(x.reactions, a.Lines[i].Reaction)
		}
	}
	from := len(d.all)
	for _, dir := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
		x.direction(dir)
	}
	x.together()
	slices.SortStableFunc(d.all[from:], func(p, q Difference) int { return p.LineA - q.LineA })
}

// sessionDiff is the comparison of two sessions.
type sessionDiff struct {
	*differ
	a, b      *Session
	reactions []*Reaction
	matched   []matched
}

// matched are two lines that are one, as far as one line tells.
type matched struct{ a, b placed }

func (x *sessionDiff) difference(kind DiffKind, from inspect.Dir) Difference {
	return Difference{Kind: kind, Session: x.a.N, Path: x.a.Upgrade.Path, From: from}
}

func (x *sessionDiff) upgrade() {
	a, b := x.a.Upgrade, x.b.Upgrade
	for _, f := range []struct{ what, a, b string }{
		{"the answer's status", fmt.Sprint(a.Accept.Status), fmt.Sprint(b.Accept.Status)},
		{"the subprotocol", a.Subprotocol, b.Subprotocol},
		{"the extensions", a.Extensions, b.Extensions},
	} {
		if f.a != f.b && (x.o.Frames || f.what != "the extensions") {
			y := x.difference(Changed, inspect.ToClient)
			y.Want, y.Got = f.what+" "+inspect.Visible([]byte(f.a), 100), f.what+" "+inspect.Visible([]byte(f.b), 100)
			x.add(y)
		}
	}
}

// lines are what is compared of one direction.
func (x *sessionDiff) lines(s *Session, dir inspect.Dir) (all []placed) {
	for i := range s.Lines {
		l := &s.Lines[i]
		if l.From == dir && l.Kind != When && (l.Awaited() || x.o.Frames && (l.Kind == Ping || l.Kind == Pong)) {
			all = append(all, placed{l, i, len(all) + 1})
		}
	}
	return all
}

// direction aligns what one side said.
func (x *sessionDiff) direction(dir inspect.Dir) {
	la, lb := x.lines(x.a, dir), x.lines(x.b, dir)
	scope := NewScope(nil)
	scope.loose = true
	equal := func(i, j int) bool { return scope.Match(*la[i].Line, *lb[j].Line) == nil }
	runs := []run{{}}
	for _, p := range align(len(la), len(lb), equal) {
		last := &runs[len(runs)-1]
		switch {
		case p.b < 0:
			last.a = append(last.a, la[p.a])
		case p.a < 0:
			last.b = append(last.b, lb[p.b])
		default:
			x.matched = append(x.matched, matched{la[p.a], lb[p.b]})
			runs = append(runs, run{after: la[p.a].At})
		}
	}
	for i := range runs {
		runs[i].a = slices.DeleteFunc(runs[i].a, func(l placed) bool { return l.Group > 0 && anywhere(runs, l, scope) })
	}
	for _, r := range runs {
		x.between(r.a, r.b, r.after, scope)
	}
}

// run is what stands between two lines that are equal.
type run struct {
	a, b  []placed
	after int // the line before it in the first cassette's file
}

// anywhere takes a line that may come in any order out of what only the second
// cassette has.
func anywhere(runs []run, l placed, scope *Scope) bool {
	for i := range runs {
		j := slices.IndexFunc(runs[i].b, func(m placed) bool { return scope.Match(*l.Line, *m.Line) == nil })
		if j >= 0 {
			runs[i].b = slices.Delete(runs[i].b, j, j+1)
			return true
		}
	}
	return false
}

// between tells of a run.
func (x *sessionDiff) between(a, b []placed, after int, scope *Scope) {
	b = slices.DeleteFunc(b, func(l placed) bool { return x.reacts(l, scope) })
	if len(a) > len(b) {
		a = x.mayLack(a, len(a)-len(b))
	}
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(b):
			y := x.difference(Missing, a[i].From)
			y.A, y.LineA, y.Want = a[i].n, a[i].At, Describe(*a[i].Line)
			x.add(y)
		case i >= len(a):
			y := x.difference(Extra, b[i].From)
			y.B, y.Got, y.LineA = b[i].n, Describe(*b[i].Line), after
			if len(a) > 0 {
				y.LineA = a[len(a)-1].At
			}
			x.add(y)
		default:
			x.changed(a[i], b[i], scope.Match(*a[i].Line, *b[i].Line))
		}
	}
}

// mayLack takes so many optional lines out, from the end.
func (x *sessionDiff) mayLack(a []placed, n int) []placed {
	for i := len(a) - 1; i >= 0 && n > 0; i-- {
		if a[i].Optional {
			a = slices.Delete(a, i, i+1)
			n--
		}
	}
	return a
}

// reacts says that a line is one of a reaction's.
func (x *sessionDiff) reacts(l placed, scope *Scope) bool {
	for _, r := range x.reactions {
		if l.From == inspect.ToServer && scope.Match(r.When, *l.Line) == nil {
			return true
		}
		for _, s := range r.Send {
			if l.From == inspect.ToClient && scope.Match(s, *l.Line) == nil {
				return true
			}
		}
	}
	return false
}

func (x *sessionDiff) changed(a, b placed, details []string) {
	y := x.difference(Changed, a.From)
	y.A, y.B, y.LineA, y.Want, y.Got, y.Details = a.n, b.n, a.At, Describe(*a.Line), Describe(*b.Line), details
	x.add(y)
}

// together looks at both directions at once: whether variables stand for the same
// throughout, and whether what one side said stands elsewhere among what the
// other said.
func (x *sessionDiff) together() {
	slices.SortFunc(x.matched, func(p, q matched) int { return p.a.at - q.a.at })
	scope := NewScope(nil)
	places := make([]int, len(x.matched))
	for i, m := range x.matched {
		places[i] = m.b.at
		if details := scope.Match(*m.a.Line, *m.b.Line); details != nil {
			x.changed(m.a, m.b, details)
		} else if x.o.Frames {
			x.frames(m)
		}
	}
	for i, ok := range stays(places) {
		if !ok {
			m := x.matched[i]
			y := x.difference(Moved, m.a.From)
			y.A, y.B, y.LineA, y.Want = m.a.n, m.b.n, m.a.At, Describe(*m.a.Line)
			x.add(y)
		}
	}
}

func (x *sessionDiff) frames(m matched) {
	var details []string
	if !slices.Equal(m.a.Frames, m.b.Frames) {
		details = append(details, fmt.Sprintf("fragments: expected %v, got %v", m.a.Frames, m.b.Frames))
	}
	if m.a.Compressed != m.b.Compressed {
		details = append(details, fmt.Sprintf("compressed: expected %v, got %v", m.a.Compressed, m.b.Compressed))
	}
	if details != nil {
		x.changed(m.a, m.b, details)
	}
}
