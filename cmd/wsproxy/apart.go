package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/ui"
	"golang.org/x/term"
)

// Times of the parting of wsproxy and its screen.
const (
	tellEvery   = time.Second / 30       // that the recording has grown, at most
	statusEvery = 100 * time.Millisecond // and the status
	stillAfter  = 3 * time.Second        // without news nothing is looked at any more
	patience    = 5 * time.Second        // with a screen that was told something and does nothing
)

// apart is the screen in a process of its own with a low priority, so that its
// drawing and indexing wait for the relay and not the other way round. It has the
// terminal, and reads the recording as wsproxy attach does. One goroutine tells it
// what is new, another hears it and waits for its end; end waits for both.
type apart struct {
	cmd   *exec.Cmd
	link  *link
	tty   *tty
	words lastWords

	left    chan leaving  // gets why the screen has closed
	paused  bell          // the terminal was given back for a while
	alive   bell          // it said something
	gone    chan struct{} // closed when the process has been waited for
	control ui.Controller // what the screen asks is done by; nil: nothing is
	status  func() ui.Status
	summary string // before gone: its summary, if it came so far
	feeding sync.WaitGroup
}

// news is what the screen is told of while it is open.
type news struct {
	grown  <-chan struct{} // ticks when the recording has grown, closed when it is closed
	pulse  *pulse          // in front of the recording
	status func() ui.Status

	control ui.Controller // nil: the screen only looks on
}

// startApart starts the screen. end must be called when the recording has been
// closed.
func startApart(h hello, out *os.File, n news) (*apart, error) {
	if !canInherit {
		return nil, errors.ErrUnsupported
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t, err := ttyOf(os.Stdin, out)
	if err != nil {
		return nil, err
	}
	fromUs, toIt, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromIt, toUs, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, fromUs.Close(), toIt.Close())
	}
	a := &apart{link: newLink(fromIt, toIt), tty: t, control: n.control, status: n.status, left: make(chan leaving, 1), paused: newBell(), alive: newBell(), gone: make(chan struct{})}
	a.cmd = exec.Command(exe, "screen")
	a.cmd.Args[0] = "wsproxy"
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = os.Stdin, out, &a.words
	a.cmd.ExtraFiles = []*os.File{fromUs, toUs} // its descriptors 3 and 4
	a.cmd.WaitDelay = time.Second
	err = a.cmd.Start()
	_ = errors.Join(fromUs.Close(), toUs.Close()) // its copies are its own
	if err != nil {
		return nil, errors.Join(err, a.link.close())
	}
	h.Version, h.Status, h.Control = linkVersion, n.status(), n.control != nil
	_ = a.link.say(message{Kind: saysHello, Hello: &h}) // if it is gone already, hear says so
	a.feeding.Go(func() { a.feed(n, h.Status) })
	go a.hear()
	return a, nil
}

// feed tells the screen what is new until it is gone; a recording that has ended
// early does not end the traffic. When nothing happens it does nothing.
func (a *apart) feed(n news, said ui.Status) {
	every := time.NewTicker(tellEvery)
	defer every.Stop()
	listen := n.grown // nil until the next tick: that was just told
	saidAt, fresh := time.Now(), time.Now()
	for {
		ticks := every.C
		if time.Since(fresh) >= stillAfter {
			every.Stop()
			ticks = nil
			n.pulse.quiet.Store(true)
			if !reflect.DeepEqual(n.status(), said) { // it came between the last look and this
				fresh = time.Now()
				every.Reset(tellEvery)
				continue
			}
		}
		var err error
		select {
		case <-a.gone:
			return
		case <-n.pulse.begun:
			fresh = time.Now()
		case _, ok := <-listen:
			fresh = time.Now()
			m := message{Kind: saysGrew}
			if !ok {
				m.Kind, n.grown = saysFinished, nil
			}
			if err = a.link.say(m); ticks != nil || !ok {
				listen = nil
			}
		case <-ticks:
			listen = n.grown
			if time.Since(saidAt) < statusEvery {
				break
			}
			if st := n.status(); !reflect.DeepEqual(st, said) {
				said, saidAt, fresh = st, time.Now(), time.Now()
				err = a.link.say(message{Kind: saysStatus, Status: &st})
			}
		}
		if err != nil {
			return // hear sees that it is gone
		}
		if ticks == nil {
			every.Reset(tellEvery)
		}
	}
}

// hear takes what the screen says until it is gone, and waits for its process.
func (a *apart) hear() {
	defer close(a.gone)
	for {
		m, err := a.link.hear()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = a.cmd.Process.Kill() // it cannot be understood any more
			}
			break
		}
		a.alive.ring()
		switch m.Kind {
		case saysLeft:
			if m.Left != nil {
				select {
				case a.left <- *m.Left:
				default: // it leaves once
				}
			}
		case saysPaused:
			a.paused.ring()
		case saysSummary:
			a.summary = m.Summary
		case saysAct:
			a.act(m)
		default:
			a.link.answer(m)
		}
	}
	_ = a.cmd.Wait() // how it ended, its state tells
	_ = a.link.close()
}

// act does what the screen asks for and answers it.
func (a *apart) act(m message) {
	if a.control == nil || m.Act == nil {
		a.link.answer(m)
		return
	}
	answer := message{Kind: saysAnswer, ID: m.ID}
	if err := a.control.Do(context.Background(), *m.Act); err != nil {
		answer.Error = err.Error()
	}
	st := a.status()
	answer.Status = &st
	_ = a.link.say(answer) // who is gone needs none
}

// watch waits until the screen has closed and the terminal is given back: by the
// user, with quit, or because its process is no more, which is a *diedError.
func (a *apart) watch(quit context.Context) error {
	stops := make(chan os.Signal, 1)
	notifyStop(stops)
	defer signal.Stop(stops)
	leave := quit.Done()
	for {
		select {
		case l := <-a.left:
			return l.err()
		case <-a.gone:
			select {
			case l := <-a.left:
				return l.err()
			default:
			}
			a.tty.restore()
			return &diedError{a.cmd.ProcessState.String(), a.words.save()}
		case <-leave:
			leave = nil
			a.tell(saysLeave)
			timer := time.AfterFunc(patience, func() { _ = a.cmd.Process.Kill() })
			defer timer.Stop()
		case <-stops:
			a.pause()
		}
	}
}

// tell says something now or never; a screen that does not listen is killed.
func (a *apart) tell(kind string) {
	if errors.Join(a.link.hurry(patience), a.link.say(message{Kind: kind})) != nil {
		_ = a.cmd.Process.Kill() // gone sees its end
	}
}

// pause gives the terminal back and stops this process, as SIGTSTP asks for, until
// it is continued.
func (a *apart) pause() {
	if !stoppable() {
		return
	}
	a.tell(saysPause)
	select {
	case <-a.paused:
	case <-a.gone:
		return
	case <-time.After(patience):
		return // it is not stopped as long as it holds the terminal
	}
	stopSelf()
	a.tell(saysResume)
	_ = a.link.out.SetWriteDeadline(time.Time{}) // the end of a pause is not the end
}

// end waits until the screen's process is gone and answers its summary; ok is
// false if it did not come so far. The recording must be closed.
func (a *apart) end() (summary string, ok bool) {
	a.tell(saysFinished) // a recording on a disk that takes nothing never says so itself
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-a.gone:
			a.feeding.Wait()
			return a.summary, a.summary != ""
		case <-a.alive:
			timer.Reset(patience)
		case <-timer.C:
			_ = a.cmd.Process.Kill()
		}
	}
}

// err is what leaving means for the run.
func (l leaving) err() error {
	switch l.How {
	case leftInterrupt:
		return &exitError{code: exitInterrupt}
	case leftNoTerminal:
		return ui.ErrNoTerminal
	case leftFailed:
		return &exitError{l.Code, errors.New(l.Error), l.Hint}
	}
	return nil
}

// diedError says that the screen's process ended without having left the screen.
type diedError struct {
	how   string
	trace string // file with its last words; empty: it had none
}

func (e *diedError) Error() string {
	if e.trace != "" {
		return fmt.Sprintf("the screen's process has ended (%s; what it said is in %s)", e.how, e.trace)
	}
	return fmt.Sprintf("the screen's process has ended (%s)", e.how)
}

// lastWords keep the beginning of what the screen's process says on its standard
// error: why it panicked.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// wordsLimit is how much of it is kept.
const wordsLimit = 256 << 10

func (w *lastWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, b[:min(len(b), wordsLimit-len(w.text))]...)
	return len(b), nil
}

// save writes the words to a file and answers its name; empty if there are none.
func (w *lastWords) save() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.text) == 0 {
		return ""
	}
	dir, err := temporaryDir()
	if err != nil {
		return ""
	}
	f, err := os.CreateTemp(dir, "screen-*.txt") // mode 0600
	if err != nil {
		return ""
	}
	_, err = f.Write(w.text)
	if errors.Join(err, f.Close()) != nil {
		return ""
	}
	return f.Name()
}

// tty is the terminal as it was before the screen.
type tty struct {
	in, out *os.File
	state   *term.State
}

func ttyOf(in, out *os.File) (*tty, error) {
	state, err := term.GetState(int(in.Fd()))
	return &tty{in, out, state}, err
}

// leaveScreen switches off what a screen switches on: mouse, paste and keypad
// modes, colours; then back from the alternate screen, with a cursor and wrapping.
const leaveScreen = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[0m\x1b[?1049l\x1b[?25h\x1b[?7h"

// restore gives the terminal back in place of a screen that could not.
func (t *tty) restore() {
	_ = term.Restore(int(t.in.Fd()), t.state) // a terminal that is gone needs nothing
	_, _ = io.WriteString(t.out, leaveScreen)
}
