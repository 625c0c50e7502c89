package ui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
)

// driver runs a screen on a simulated terminal and plays its user.
type driver struct {
	t    testing.TB
	sim  tcell.SimulationScreen
	view *view
	stop context.CancelFunc
	done chan error
}

// drive runs the screen on a store until the test ends.
func drive(t testing.TB, s source, o Options, w, h int) *driver {
	t.Helper()
	return driveOn(t, tcell.NewSimulationScreen("UTF-8"), s, o, w, h)
}

// driveOn is drive on a terminal that knows more.
func driveOn(t testing.TB, sim tcell.SimulationScreen, s source, o Options, w, h int) *driver {
	t.Helper()
	d := driveAtOnce(t, sim, s, o, w, h)
	d.settle()
	return d
}

// driveAtOnce is driveOn for who does not wait until everything is there.
func driveAtOnce(t testing.TB, sim tcell.SimulationScreen, s source, o Options, w, h int) *driver {
	t.Helper()
	if err := sim.Init(); err != nil {
		t.Fatal(err)
	}
	sim.SetSize(w, h)
	ctx, stop := context.WithCancel(context.Background())
	d := &driver{t: t, sim: sim, view: newView(ctx, s, o, &diffScreen{Screen: sim}), stop: stop, done: make(chan error, 1)}
	go func() { d.done <- d.view.run() }()
	t.Cleanup(func() {
		stop()
		if err := d.ends(); err != nil && !errors.Is(err, ErrInterrupt) {
			t.Errorf("the screen ended with %v", err)
		}
	})
	return d
}

// do has the loop call f behind the keys that were pressed.
func (d *driver) do(f func()) {
	d.t.Helper()
	// A drawing that was already asked for stands in front of the keys, a second
	// one does not.
	d.post(func() {})
	d.post(f)
}

func (d *driver) post(f func()) {
	d.t.Helper()
	called := make(chan struct{})
	d.view.post(func() { f(); close(called) })
	select {
	case <-called:
	case err := <-d.done:
		d.done <- err
	case <-time.After(60 * time.Second):
		d.t.Fatal("the loop hangs")
	}
}

// sight is what the screen looked like at one time.
type sight struct {
	text string
	busy bool // it does not show all that it has to yet
}

// look is what the screen shows, behind the keys that were pressed.
func (d *driver) look() (s sight) {
	d.t.Helper()
	var before bool
	d.post(func() {})
	d.post(func() { before = d.busy() })
	d.post(func() { // all that was there before is drawn by now
		cells, w, h := d.sim.GetContents()
		s = sight{textOf(cells, w, h), before || d.busy()}
	})
	return s
}

// busy says that something has to be read yet, or drawn. The loop calls it.
func (d *driver) busy() bool {
	v := d.view
	f := &v.frames
	if v.search.cancel != nil || v.drawn.Load() != v.source.Version() || v.sessions.behind || f.seek != noSeek || v.sessions.seek != noSeek {
		return true
	}
	if v.sieve != nil && !v.sieve.progress(false).current {
		return true
	}
	if s, ok := f.order.(*shape); ok && f.session >= 0 && s.seen() < v.source.Len(f.session) {
		return true
	}
	if f.session < 0 {
		return false
	}
	if v.talks.busy() {
		return true
	}
	if _, near := v.talk.near(); v.talk != nil && !near && !v.talk.hears() {
		return false // listening to all of it takes its time
	}
	if v.talk != nil && !v.talk.hears() {
		return true
	}
	v.reader.mu.Lock()
	told := v.reader.told
	v.reader.mu.Unlock()
	if !told.current(v.talk, f.inSight()) {
		return true
	}
	for i := f.top; i < min(f.top+f.height, f.n); i++ {
		if r, ok := f.row(i); ok {
			if _, ok := v.reader.summary(r); !ok {
				return true
			}
		}
	}
	x := v.source.Session(f.session)
	w := v.want(&x, v.layout.pane[onDetail].w)
	m := v.reader.made()
	return w.width > 0 && (m == nil || !m.want.same(w, m.whole))
}

// settle waits until the keys have been handled and the screen shows all that
// it has to read for that.
func (d *driver) settle() {
	d.t.Helper()
	await(d.t, "the screen to settle", func() bool { return !d.look().busy || d.over() })
}

// keys presses keys: runes as they are, others by their tcell names in <>.
func (d *driver) keys(script string) *driver {
	d.t.Helper()
	for script != "" {
		k, r := tcell.KeyRune, []rune(script)[0]
		if name, rest, ok := strings.Cut(script[1:], ">"); ok && r == '<' {
			k, r, script = keyNamed(d.t, name), 0, rest
		} else {
			script = script[len(string(r)):]
		}
		d.sim.InjectKey(k, r, tcell.ModNone)
	}
	d.settle()
	return d
}

func keyNamed(t testing.TB, name string) tcell.Key {
	t.Helper()
	for k, n := range tcell.KeyNames {
		if n == name {
			return k
		}
	}
	t.Fatalf("there is no key %q", name)
	return 0
}

func (d *driver) click(x, y int, b tcell.ButtonMask) *driver {
	d.t.Helper()
	d.sim.InjectMouse(x, y, b, tcell.ModNone)
	d.sim.InjectMouse(x, y, tcell.ButtonNone, tcell.ModNone)
	d.settle()
	return d
}

func (d *driver) resize(w, h int) *driver {
	d.t.Helper()
	d.do(func() { d.sim.SetSize(w, h) })
	await(d.t, "room for a resize", func() bool { return d.sim.PostEvent(tcell.NewEventResize(w, h)) == nil })
	d.settle()
	return d
}

func (d *driver) over() bool {
	select {
	case err := <-d.done:
		d.done <- err
		return true
	default:
		return false
	}
}

// cells are what the terminal shows.
func (d *driver) cells() (cells []tcell.SimCell, w, h int) {
	d.t.Helper()
	d.do(func() {
		c, cw, ch := d.sim.GetContents()
		cells, w, h = append(cells, c...), cw, ch
	})
	return cells, w, h
}

// text is the screen, line by line, without the blanks at their ends.
func (d *driver) text() string { return d.look().text }

func textOf(cells []tcell.SimCell, w, h int) string {
	var b strings.Builder
	for y := range h {
		var l strings.Builder
		for x := 0; x < w; x++ {
			c := cells[y*w+x]
			l.WriteString(string(c.Runes))
			if len(c.Runes) > 0 && width(string(c.Runes)) == 2 {
				x++ // the cell that it covers
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

// has waits for texts to be on the screen.
func (d *driver) has(all ...string) *driver {
	d.t.Helper()
	var last sight
	for end := time.Now().Add(60 * time.Second); ; {
		if last = d.look(); !last.busy && !slices.ContainsFunc(all, func(s string) bool { return !strings.Contains(last.text, s) }) {
			return d
		}
		if d.over() || time.Now().After(end) {
			d.t.Fatalf("waited in vain for %q on the screen, which is\n%s", all, last.text)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func (d *driver) hasNot(all ...string) *driver {
	d.t.Helper()
	for _, what := range all {
		if s := d.text(); strings.Contains(s, what) {
			d.t.Errorf("%q is on the screen:\n%s", what, s)
		}
	}
	return d
}

// ends waits for the screen to end.
func (d *driver) ends() error {
	d.t.Helper()
	select {
	case err := <-d.done:
		d.done <- err
		return err
	case <-time.After(60 * time.Second):
		d.t.Fatal("the screen does not end")
	}
	return nil
}

func splitLines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

// keysNow presses keys and waits for nothing; \r is Enter, \x1b is Esc.
func (d *driver) keysNow(script string) {
	d.t.Helper()
	for _, r := range script {
		switch r {
		case '\r':
			d.sim.InjectKey(tcell.KeyEnter, 0, tcell.ModNone)
		case '\x1b':
			d.sim.InjectKey(tcell.KeyEscape, 0, tcell.ModNone)
		default:
			d.sim.InjectKey(tcell.KeyRune, r, tcell.ModNone)
		}
	}
}

// busy says that protocols' names are being looked for.
func (t *talks) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.peeks) > 0
}
