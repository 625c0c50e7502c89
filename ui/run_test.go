package ui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// Run is what a command calls: it takes a store, and ends with its context.
func TestRun(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	for name, when := range map[string]func(stop context.CancelFunc){
		"ended before it begins": func(stop context.CancelFunc) { stop() },
		"ended while it runs":    func(stop context.CancelFunc) { time.AfterFunc(50*time.Millisecond, stop) },
	} {
		ctx, stop := context.WithCancel(context.Background())
		when(stop)
		done := make(chan error, 1)
		go func() { done <- Run(ctx, s, Options{Screen: tcell.NewSimulationScreen("UTF-8")}) }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(60 * time.Second):
			t.Fatalf("%s: the screen does not end", name)
		}
		stop()
	}
}

// Where there is no terminal to draw on the caller is told so, and prints lines.
func TestNoTerminal(t *testing.T) {
	for _, term := range []string{"", "dumb", "no-such-terminal"} {
		t.Setenv("TERM", term)
		if err := Run(context.Background(), nil, Options{}); !errors.Is(err, ErrNoTerminal) {
			t.Errorf("TERM=%q: %v", term, err)
		}
	}
	if err := Run(context.Background(), nil, Options{Screen: broken{}}); !errors.Is(err, ErrNoTerminal) || !strings.Contains(err.Error(), "no tty") {
		t.Errorf("a screen that cannot begin: %v", err)
	}
}

type broken struct{ tcell.Screen }

func (broken) Init() error { return errors.New("no tty") }

// finished is a screen that knows whether it was given back.
type finished struct {
	tcell.SimulationScreen
	times atomic.Int32
}

func (f *finished) Fini() {
	f.times.Add(1)
	f.SimulationScreen.Fini()
}

// panicking is a source that panics when it is asked for a session.
type panicking struct{ source }

func (panicking) Session(int) record.Session { panic("boo") }

// A panic gives the terminal back before it goes on.
func TestPanic(t *testing.T) {
	p := everyday(t)
	p.close()
	f := &finished{SimulationScreen: tcell.NewSimulationScreen("UTF-8")}
	func() {
		defer func() {
			if got := recover(); got != "boo" {
				t.Errorf("recovered %v", got)
			}
		}()
		_ = run(context.Background(), panicking{p.store(false)}, Options{Screen: f})
	}()
	if n := f.times.Load(); n != 1 {
		t.Errorf("the terminal was given back %d times", n)
	}
}

// slow is a source whose messages of one frame take until they are let go.
type slow struct {
	source
	frame uint64
	gate  chan struct{}
}

func (s slow) Message(r record.Row, most int) (record.Message, error) {
	if r.N() == s.frame && most != heardMost { // whoever listens has its own goroutine
		<-s.gate
	}
	return s.source.Message(r, most)
}

// A message that takes long to read makes its own tab wait, and no key.
func TestSlowMessage(t *testing.T) {
	p := everyday(t)
	p.close()
	s := slow{p.store(false), 2, make(chan struct{})}
	d := drive(t, s, Options{}, 80, 24).keys("<Enter>j").has(`"connection_init"`)
	press := func(k rune) string {
		t.Helper()
		start := time.Now()
		d.sim.InjectKey(tcell.KeyRune, k, tcell.ModNone)
		var text string
		d.do(func() {})
		d.do(func() {
			cells, w, h := d.sim.GetContents()
			text = textOf(cells, w, h)
		})
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the key %c took %v", k, took)
		}
		return text
	}
	if text := press('j'); !strings.Contains(text, "reading …") {
		t.Errorf("the tab does not say that it is being read:\n%s", text)
	}
	if text := press('2'); !strings.Contains(text, "[2 Frame]") || strings.Contains(text, "text by the client") {
		t.Errorf("the tab shows another row's message:\n%s", text)
	}
	press('1')
	press('q')
	if text := press('?'); !strings.Contains(text, "Keys that work here") {
		t.Errorf("no help while a message is being read:\n%s", text)
	}
	d.keysNow("?")
	close(s.gate)
	d.has(`"connection_ack"`)
}

// Leaving does not wait in vain for one either.
func TestSlowLeaving(t *testing.T) {
	p := everyday(t)
	p.close()
	s := slow{p.store(false), 1, make(chan struct{})}
	d := drive(t, s, Options{}, 80, 24)
	d.keysNow("\rjQ")
	select {
	case <-d.view.over:
	case <-time.After(60 * time.Second):
		t.Fatal("the loop does not end while a message is being read")
	}
	close(s.gate)
	if err := d.ends(); err != nil {
		t.Error(err)
	}
}

// huge is a session of ten million frames, none of which is anywhere.
type huge struct {
	source
	most atomic.Int64 // rows asked for at once
	sums atomic.Int64
}

const many = 10_000_000

func (h *huge) Len(int) int { return many }

func (h *huge) Rows(session, from int, dst []record.Row) int {
	h.most.Store(max(h.most.Load(), int64(len(dst))))
	clear(dst)
	return max(min(len(dst), many-from), 0)
}

func (h *huge) Summary(record.Row) string {
	h.sums.Add(1)
	return "a summary"
}

func (h *huge) Message(r record.Row, most int) (record.Message, error) {
	return record.Message{Message: inspect.Message{Opcode: inspect.OpText, Data: []byte("x"), Size: 1}, Rows: []record.Row{r}}, nil
}

// Ten million frames scroll like ten: what is asked for is what is in sight.
func TestHuge(t *testing.T) {
	p := everyday(t)
	p.close()
	h := &huge{source: p.store(false)}
	d := drive(t, h, Options{}, 80, 24)
	d.keys("<Enter>G<PgUp><PgUp>g<PgDn>Gkkkk")
	if n := h.most.Load(); n > 512 {
		t.Errorf("%d rows were asked for at once", n)
	}
	if n := h.sums.Load(); n > 10_000 {
		t.Errorf("%d summaries were asked for", n)
	}
	if c, n, _ := d.cursor(); c < many-5 || n < many {
		t.Errorf("at row %d of %d", c, n)
	}
}

// The first lines say what is shown, how much passes, where it is recorded, and
// what the user must not miss.
func TestStatus(t *testing.T) {
	p := everyday(t)
	s := p.store(true)
	var passed atomic.Int64
	status := func() Status {
		return Status{Bytes: [2]int64{passed.Add(1000), 0}, Recording: "/tmp/x/session.pcapng", RecordingBytes: 14_000_000,
			Warnings: []string{"--insecure: certificates are not verified", "recording waits for the disk"}}
	}
	o := Options{Title: "127.0.0.1:8080 → ws://localhost:3000", Live: true, Status: status}
	d := drive(t, s, o, 200, 50)
	d.has("wsproxy  127.0.0.1:8080 → ws://localhost:3000", "1 open · 3 ended", "● rec session.pcapng 14 MB", "kB/s ⇣ 0 B/s",
		"! --insecure: certificates are not verified · recording waits for the disk")
	d.resize(80, 24).has("127.0.0.1:8080 → ws://localhost:3000", "1 open · 3 ended", "● 14 MB", "! --insecure")
	o.Open = "open http://localhost:8080/ → http://localhost:5173"
	drive(t, p.store(true), o, 120, 30).has("open http://localhost:8080/ → http://localhost:5173").hasNot("ws://localhost:3000")
}

// A recording that is damaged is shown as far as it goes, and that is said.
func TestBrokenRecording(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, torn{p.store(false)}, Options{}, 80, 24).has("! the recording: recording ends inside a block", "/graphql")
	d.keys("<Enter>j").has("cannot be read: the disk is gone")
	d.keys("2").has("cannot be read").keys("3").has("cannot be read").keys("1/x<Enter>").has("the search ended: the disk is gone")
}

var errDisk = errors.New("the disk is gone")

type torn struct{ source }

func (s torn) Progress() record.Progress {
	p := s.source.Progress()
	p.Err = errors.New("recording ends inside a block")
	return p
}
func (s torn) Message(record.Row, int) (record.Message, error) { return record.Message{}, errDisk }
func (s torn) Frame(record.Row, int) (record.Frame, error)     { return record.Frame{}, errDisk }
func (s torn) Find(context.Context, record.Row, bool, record.Filter) (record.Row, bool, error) {
	return record.Row{}, false, errDisk
}

// endless is a source that searches until it is told to stop.
type endless struct{ source }

func (endless) Find(ctx context.Context, _ record.Row, _ bool, _ record.Filter) (record.Row, bool, error) {
	<-ctx.Done()
	return record.Row{}, false, ctx.Err()
}

// A search that takes long says so, can be stopped, and ends with the screen.
func TestLongSearch(t *testing.T) {
	p := everyday(t)
	p.close()
	for _, stop := range []string{"\x1b", "Q"} {
		d := drive(t, endless{p.store(false)}, Options{}, 80, 24).keys("<Enter>j")
		d.keysNow("/zzz\r")
		await(t, "the search to begin", func() bool {
			var text string
			d.do(func() {})
			d.do(func() {
				cells, w, h := d.sim.GetContents()
				text = textOf(cells, w, h)
			})
			return strings.Contains(text, fmt.Sprintf("searching for %q", "zzz"))
		})
		d.keysNow(stop)
		if stop == "Q" {
			if err := d.ends(); err != nil {
				t.Error(err)
			}
			continue
		}
		d.has("the search was stopped", "f filter")
	}
}
