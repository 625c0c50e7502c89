package ui

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/gdamore/tcell/v2/terminfo"
	_ "github.com/gdamore/tcell/v2/terminfo/x/xterm"
)

// tty is a terminal that counts what is written to it.
type tty struct {
	mu      sync.Mutex
	written int
	last    []byte
	gone    chan struct{}
	once    sync.Once
	w, h    int
}

func (y *tty) Start() error { return nil }
func (y *tty) Stop() error  { return nil }
func (y *tty) Drain() error {
	y.once.Do(func() { close(y.gone) })
	return nil
}
func (y *tty) Close() error          { return nil }
func (y *tty) NotifyResize(f func()) {}
func (y *tty) WindowSize() (tcell.WindowSize, error) {
	return tcell.WindowSize{Width: y.w, Height: y.h}, nil
}

func (y *tty) Read(b []byte) (int, error) {
	<-y.gone
	return 0, nil
}

func (y *tty) Write(b []byte) (int, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.written += len(b)
	y.last = append(y.last, b...)
	return len(b), nil
}

func (y *tty) take() (n int, text string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	n, text = y.written, string(y.last)
	y.written, y.last = 0, nil
	return
}

// What a real terminal is sent: all of the screen once, then nothing as long as
// nothing changes, little where little does, and all of it again on ctrl-l.
func TestStill(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	info, err := terminfo.LookupTerminfo("xterm-256color")
	if err != nil {
		t.Fatal(err)
	}
	out := &tty{gone: make(chan struct{}), w: 200, h: 50}
	inner, err := tcell.NewTerminfoScreenFromTtyTerminfo(out, info)
	if err != nil {
		t.Fatal(err)
	}
	if err := inner.Init(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	v := newView(ctx, s, Options{Title: "play"}, &diffScreen{Screen: inner})
	done := make(chan error, 1)
	go func() { done <- v.run() }()
	defer func() {
		stop()
		<-done
	}()
	do := func(keys ...*tcell.EventKey) {
		t.Helper()
		for _, k := range keys {
			if err := inner.PostEvent(k); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 { // behind the keys, and behind what is read for them
			called := make(chan struct{})
			v.post(func() { close(called) })
			select {
			case <-called:
			case <-time.After(60 * time.Second):
				t.Fatal("the loop hangs")
			}
		}
	}
	rune := func(r rune) *tcell.EventKey { return tcell.NewEventKey(tcell.KeyRune, r, tcell.ModNone) }
	do(tcell.NewEventKey(tcell.KeyEnter, 0, tcell.ModNone))
	await(t, "the first page", func() bool {
		do()
		n, text := out.take()
		return n == 0 && text == ""
	})

	for range 20 {
		do()
	}
	if n, text := out.take(); n > 0 {
		t.Errorf("20 drawings of a still screen wrote %d bytes: %q", n, text)
	}
	do(rune('j'), rune('j'))
	one, _ := out.take()
	if one == 0 || one > 3000 {
		t.Errorf("two rows down wrote %d bytes", one)
	}
	do(tcell.NewEventKey(tcell.KeyCtrlL, 0, tcell.ModNone))
	if n, text := out.take(); n < 200*50/4 || !strings.Contains(text, "SESSIONS") {
		t.Errorf("ctrl-l wrote only %d bytes", n)
	}
	t.Logf("two rows down: %d bytes", one)
}

// A change comes to the terminal as the cells that changed.
func TestDiffScreen(t *testing.T) {
	sim := tcell.NewSimulationScreen("UTF-8")
	if err := sim.Init(); err != nil {
		t.Fatal(err)
	}
	sim.SetSize(10, 2)
	c := &counting{Screen: sim}
	s := &diffScreen{Screen: c}
	defer s.Fini()
	frame := func(text string) {
		s.Clear()
		put(s, rect{0, 0, 10, 1}, text, tcell.StyleDefault)
		s.Show()
	}
	expect := func(cells, shows int) {
		t.Helper()
		if c.cells != cells || c.shows != shows {
			t.Errorf("%d cells in %d drawings, want %d in %d", c.cells, c.shows, cells, shows)
		}
		c.cells, c.shows = 0, 0
	}
	frame("hello")
	expect(20, 1)
	frame("hello")
	expect(0, 0)
	frame("help")
	expect(2, 1)
	frame("日本")
	expect(4, 1)
	frame("日x") // the blank behind the x was there already
	expect(1, 1)
	s.ShowCursor(1, 1)
	frame("日x")
	expect(0, 1)
	s.ShowCursor(1, 1)
	frame("日x")
	expect(0, 0)
	s.HideCursor()
	frame("日x")
	expect(0, 1)
	sim.SetSize(5, 1)
	frame("日x")
	expect(5, 1)
	if r, _, _, _ := s.GetContent(0, 0); r != '日' {
		t.Errorf("the first cell holds %q", r)
	}
	s.SetContent(-1, 0, 'x', nil, tcell.StyleDefault)
	s.SetContent(0, 9, 'x', nil, tcell.StyleDefault)
	s.SetCell(4, 0, tcell.StyleDefault, 'y')
	s.Show()
	expect(1, 1)
	s.Fill('z', tcell.StyleDefault)
	s.Sync()
	expect(5, 0)
}

// counting is a screen that counts.
type counting struct {
	tcell.Screen
	cells, shows int
}

func (c *counting) SetContent(x, y int, r rune, comb []rune, style tcell.Style) {
	c.cells++
	c.Screen.SetContent(x, y, r, comb, style)
}

func (c *counting) Show() {
	c.shows++
	c.Screen.Show()
}
