package ui

import (
	"context"
	"errors"
	"fmt"
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
	sim := tcell.NewSimulationScreen("UTF-8")
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
	d.settle()
	return d
}

// do has the loop call f behind the keys that were pressed.
func (d *driver) do(f func()) {
	d.t.Helper()
	// A drawing that was already asked for stands in front of the keys, a second
	// one does not.
	for _, f := range []func(){func() {}, f} {
		called := make(chan struct{})
		d.view.post(func() { f(); close(called) })
		select {
		case <-called:
		case err := <-d.done:
			d.done <- err
			return
		case <-time.After(10 * time.Second):
			d.t.Fatal("the loop hangs")
		}
	}
}

// settle waits until the keys have been handled and the screen shows all that
// it has to read for that.
func (d *driver) settle() {
	d.t.Helper()
	await(d.t, "the screen to settle", func() bool {
		d.do(func() {})
		if d.over() {
			return true
		}
		var busy bool
		d.do(func() {
			r := d.view.reader
			r.mu.Lock()
			busy = r.next != nil
			r.mu.Unlock()
			busy = busy || d.view.search.cancel != nil
		})
		text := d.text()
		return !busy && !strings.Contains(text, "reading …") && !strings.Contains(text, "  …\n") && d.view.drawn.Load() == d.view.source.Version()
	})
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
	if err := d.sim.PostEvent(tcell.NewEventResize(w, h)); err != nil {
		d.t.Fatal(err)
	}
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
func (d *driver) text() string {
	d.t.Helper()
	cells, w, h := d.cells()
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

func (d *driver) has(all ...string) *driver {
	d.t.Helper()
	for _, want := range all {
		await(d.t, fmt.Sprintf("%q on the screen:\n%s", want, d.text()), func() bool {
			d.settle()
			return strings.Contains(d.text(), want)
		})
	}
	return d
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
	case <-time.After(10 * time.Second):
		d.t.Fatal("the screen does not end")
	}
	return nil
}
