// Package ui shows a recording in the terminal, live or finished: its sessions,
// their frames, and what is in each. It pulls what it draws from the recording's
// index, and nothing of it is on the path of the traffic.
//
// Start at [Run]. A view owns the state and draws it; keys.go has the table of
// keys, tabs.go the table of tabs, columns.go the table of columns, layout.go says
// where everything is.
package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// ErrNoTerminal says that there is no terminal to draw on, or none that can be
// drawn on: print lines instead.
var ErrNoTerminal = errors.New("no terminal to draw on")

// ErrInterrupt says that the user left with Ctrl-C.
var ErrInterrupt = errors.New("interrupted")

// Options say what a screen shows beside the recording.
type Options struct {
	Title   string        // what is shown: "127.0.0.1:8080 → ws://localhost:3000", or a file's name
	Open    string        // what to open in a browser, if anything; stands in the title's place
	Live    bool          // the recording still grows: rates and following
	Status  func() Status // what the proxy and the recording say of themselves; called by a goroutine of Run, a few times a second; may be nil
	NoColor bool          // attributes only

	// News gets a value whenever the recording or Status may have something new,
	// and once more when a Store has read all of it. With it a screen on which
	// nothing happens does nothing at all. Nil: both are looked at all the time.
	News <-chan struct{}

	// Aside are functions to be called with the terminal given back for as long
	// as they take. May be nil.
	Aside <-chan func()

	// Save, if set, saves what the recording holds as a file and says so in a
	// sentence. It is called by a goroutine of Run, with what is to be told of its
	// progress, and ends with ctx.
	Save func(ctx context.Context, path string, progress func(read, total int64)) (string, error)

	Control Controller // of the traffic; nil: this screen only looks on

	// Pipe, if set, passes input through a shell command and answers what it says, more
	// than most bytes of it only to tell that there was more. It ends with ctx, and must
	// not let the command at the terminal. Called by a goroutine of Run.
	Pipe func(ctx context.Context, command string, input []byte, most int) ([]byte, error)

	// Copy, if set, puts a text into the clipboard of the machine that Run is on and
	// answers by what; empty if that has none. Called by a goroutine of Run.
	Copy func(ctx context.Context, text []byte) (by string, err error)

	Warnings []string // what the user must not miss, beside those of Status

	// Marks are those that were kept earlier. KeepMarks, if set, keeps all that there
	// are in their place, whenever they have changed; goroutines of Run call it, one
	// at a time. Without it they are gone with the screen.
	Marks     []record.Mark
	KeepMarks func([]record.Mark) error

	Protocols *decode.Table // those that messages are decoded by; nil: those that wsproxy knows
	Decode    string        // the name of the one that every session is taken for; empty: it is guessed

	Tour []Scene // what the screen leads through; may be empty

	Keys      Keys         // the keys that commands have instead of their own
	Theme     Theme        // how it looks
	Exchanges bool         // plain HTTP exchanges are shown from the start
	Screen    tcell.Screen // not initialised; nil: the terminal
}

// Status is what a proxy and its recording say of themselves at one time.
type Status struct {
	Bytes          [2]int64 // that have passed, by inspect.Dir
	Recording      string   // the file's name; empty: nothing is recorded
	RecordingBytes int64
	Gate           *Gate    // nil: nothing can be held
	Exposed        string   // how other machines can reach the proxy; empty: they cannot
	Warnings       []string // what the user must not miss: "--insecure", "recording waits for the disk"
}

// Run shows a recording until the user leaves or ctx ends. It owns the terminal
// while it runs and gives it back, also after a panic; the goroutines it starts
// have ended when it returns. Errors: ErrNoTerminal, ErrInterrupt, or what the
// terminal says; none when the user quit or ctx ended.
func Run(ctx context.Context, store *record.Store, o Options) error {
	return run(ctx, store, o)
}

func run(ctx context.Context, src source, o Options) error {
	inner := o.Screen
	if inner == nil {
		var err error
		if inner, err = tcell.NewScreen(); err != nil {
			return fmt.Errorf("%w: %w", ErrNoTerminal, err)
		}
	}
	if err := inner.Init(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	fallbacks(inner)
	return newView(ctx, src, o, &diffScreen{Screen: inner}).run()
}

// run draws and takes keys until the user leaves or the view's context ends. It
// waits for the goroutines of the view.
func (v *view) run() error {
	defer v.screen.Fini()
	defer v.running.Wait()
	defer v.stop()
	defer close(v.over)
	v.app.SetScreen(v.screen).EnableMouse(true).EnablePaste(true).SetRoot(v, true)
	v.start(v.reader.run)
	v.start(v.shapes)
	v.start(v.scout)
	v.start(v.talks.run)
	v.start(v.tick)
	if err := v.app.Run(); err != nil && !hungUp(err) {
		return err
	}
	return v.err
}

// hungUp says that the terminal has gone away, which ends the screen as the user
// does. tcell passes on what the error says, and not the error.
func hungUp(err error) bool {
	text := err.Error()
	return strings.HasSuffix(text, io.EOF.Error()) || strings.HasSuffix(text, syscall.EIO.Error())
}

// start runs f on a goroutine that Run waits for, and that must end with the
// view's context. If f panics the terminal is given back first, so that the words
// can be read.
func (v *view) start(f func(context.Context)) {
	v.running.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				v.screen.Fini()
				panic(p)
			}
		}()
		f(v.ctx)
	})
}

// fallbacks are what is drawn where the terminal's character set lacks a sign.
func fallbacks(s tcell.Screen) {
	for r, text := range map[rune]string{
		'●': "*", '◆': "&", '▾': "v", '○': "o", '✕': "x", '⇄': "=", '■': "#", '▸': ">", '…': "~", '·': "-", '⇡': "^", '⤶': "<", '⤷': ">", '⇣': "v", '→': ">", '←': "<", '␊': "$", '‖': "|", 'µ': "u",
		'▁': "_", '▂': "_", '▃': "-", '▄': "-", '▅': "=", '▆': "=", '▇': "#", '█': "#", '▏': "|",
	} {
		s.RegisterRuneFallback(r, text)
	}
}

// Times of the ticking goroutine.
const (
	frameTime  = time.Second / 30 // between two drawings that nobody's key asked for
	statusTime = 250 * time.Millisecond
	lostAfter  = time.Second // a request for a drawing that was not heard is made again
)

// keyDraw is the key that no keyboard has: it asks the loop for a drawing.
// tview's own ways block until the loop has answered, for ever once it is over;
// posting an event never does.
const keyDraw = tcell.Key(0x7ffe)

// wake asks for a drawing. Any goroutine may call it, also when the loop is over.
func (v *view) wake() {
	now := time.Now().UnixNano()
	if asked := v.asked.Load(); asked != 0 && now-asked < int64(lostAfter) {
		return
	}
	v.asked.Store(now)
	if v.screen.PostEvent(tcell.NewEventKey(keyDraw, 0, tcell.ModNone)) != nil {
		v.asked.Store(0) // too much is waiting; the next tick asks again
	}
	select {
	case v.stirred <- struct{}{}: // the ticking goroutine sees to it that it is heard
	default:
	}
}

// post has the loop call f, and draw. Any goroutine may call it, also when the
// loop is over: then f is never called.
func (v *view) post(f func()) {
	v.mu.Lock()
	v.posted = append(v.posted, f)
	v.mu.Unlock()
	v.wake()
}

// take takes what was posted.
func (v *view) take() []func() {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.posted
	v.posted = nil
	return all
}

func (v *view) waits() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.posted) > 0
}

// A drawing that only shows what is new leaves the processor alone for so many
// times as long as the last one took, but for no longer than restMost: on a busy
// machine the screen follows the traffic with fewer pictures a second.
const (
	restShare = 15
	restLeast = frameTime * 3 / 4 // ticks are not exact
	restMost  = 250 * time.Millisecond
)

// lastDraw is when the last drawing ended, and how long it took.
type lastDraw struct{ ended, took atomic.Int64 }

// note ends a drawing that began then.
func (l *lastDraw) note(begun time.Time) {
	now := time.Now()
	l.took.Store(int64(now.Sub(begun)))
	l.ended.Store(now.UnixNano())
}

// rested says that the last drawing is long enough ago.
func (l *lastDraw) rested(now time.Time) bool {
	rest := min(max(restShare*time.Duration(l.took.Load()), restLeast), restMost)
	return now.UnixNano()-l.ended.Load() >= int64(rest)
}

// stillAfter is how long nothing is new before the ticking stops. By then the
// rates have gone down to nothing.
const stillAfter = meterTime + 4*statusTime

// tick asks for a drawing whenever there is something new, and ends the loop
// when ctx ends.
func (v *view) tick(ctx context.Context) {
	select {
	case <-v.drawing: // before that tview takes a stopped screen for none, and makes one
	case <-v.over:
		return
	}
	every := time.NewTicker(frameTime)
	defer every.Stop()
	var polled time.Time
	fresh := time.Now() // when something was new
	for {
		now := time.Now()
		if v.options.Status != nil && (now.Sub(polled) >= statusTime || v.hurry.Swap(false)) {
			polled = now
			v.status.update(now, v.options.Status())
		}
		if v.show(now) || v.status.holds() || v.ages(now) {
			fresh = now
		}
		ticks := every.C
		if v.options.News != nil && now.Sub(fresh) >= stillAfter {
			every.Stop()
			ticks = nil
		}
		select {
		case <-ctx.Done():
			v.app.Stop()
			return
		case <-ticks:
			continue
		case <-v.options.News:
		case <-v.stirred:
		case f := <-v.options.Aside:
			v.post(func() { v.aside(f) })
		}
		if fresh = time.Now(); ticks == nil {
			every.Reset(frameTime)
		}
	}
}

// show asks for a drawing if there is something new; busy says that there is, or
// that an earlier one was asked for.
func (v *view) show(now time.Time) (busy bool) {
	news := v.source.Version() != v.drawn.Load() || v.status.changed.Load()
	if v.waits() || news && v.drew.rested(now) {
		v.wake()
	}
	return news || v.waits() || v.asked.Load() != 0
}

// agesTold is how often an age that is shown goes on.
const agesTold = time.Second

// ages says that an age is shown, and has it drawn anew in time.
func (v *view) ages(now time.Time) bool {
	if !v.options.Live || !v.aging.Load() {
		return false
	}
	if now.UnixNano()-v.drew.ended.Load() >= int64(agesTold) {
		v.wake()
	}
	return true
}

// aside gives the terminal back while f runs, and draws all of it again.
func (v *view) aside(f func()) {
	if v.app.Suspend(f) && v.ctx.Err() == nil {
		v.screen.Sync()
	}
}
