package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/ui"
	"github.com/wsproxy/wsproxy/ui/plain"
)

// screenCmd is the screen of a wsproxy that runs, which starts it.
func screenCmd() *cobra.Command {
	return &cobra.Command{
		Use: "screen", Short: "The screen of a running wsproxy, which starts it", Hidden: true,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := inheritedLink()
			if err != nil {
				return usagef("wsproxy attach", "wsproxy screen is started by wsproxy alone")
			}
			// Whoever stops wsproxy stops the screen; it is told.
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			ignoreHangup()
			lowerPriority()
			r := &remote{link: l, out: cmd.OutOrStdout(), grew: make(chan struct{}, 1), news: newBell(), aside: make(chan func(), 1),
				resume: newBell(), gone: make(chan struct{}), answer: map[uint64]chan<- string{}}
			return r.run(context.WithoutCancel(cmd.Context()))
		},
	}
}

// remote is the screen on its side of the link.
type remote struct {
	link   *link
	out    io.Writer
	hello  hello
	grew   chan struct{} // ticks when the recording has grown; closed when it is closed
	news   bell
	aside  chan func()
	resume bell
	gone   chan struct{} // closed when wsproxy is gone
	leave  context.CancelFunc

	mu     sync.Mutex
	status ui.Status
	asked  uint64                   // the newest message that wants an answer
	answer map[uint64]chan<- string // who waits for one: its error
}

// run shows the recording until it is told to leave, then reads it to its end, sums
// it up, and ends.
func (r *remote) run(ctx context.Context) error {
	m, err := r.link.hear()
	if err != nil || m.Kind != saysHello || m.Hello == nil || m.Hello.Version != linkVersion {
		return r.left(failf("start wsproxy again", "the wsproxy that runs is of another version than its screen"))
	}
	r.hello, r.status = *m.Hello, m.Hello.Status
	reading, stop := context.WithCancel(ctx)
	defer stop()
	quit, leave := context.WithCancel(ctx)
	defer leave()
	r.leave = leave
	var hearing sync.WaitGroup
	hearing.Go(r.hear)
	defer hearing.Wait() // it ends with wsproxy's end of the link
	defer r.link.close() // which hear hears
	v := &view{flags: outputFlags{noColor: r.hello.NoColor, theme: r.hello.Theme, exchanges: r.hello.Exchanges,
		meaning: decodedFlags{as: r.hello.Decode, protocols: r.hello.Protocols}}, path: r.hello.Path, goesOn: true, news: r.news,
		live:    func() <-chan struct{} { return r.grew },
		options: ui.Options{Title: r.hello.Title, Open: r.hello.Open, Status: r.latest, Aside: r.aside}}
	if r.hello.Tour {
		v.options.Tour = tourScenes()
	}
	if r.hello.Save {
		v.options.Save = saveFrom(r.hello.Path)
	}
	if r.hello.Control {
		v.options.Control = r
	}
	if err := r.left(v.draw(reading, quit)); err != nil || v.store == nil {
		return err
	}
	return r.sum(v)
}

// hear takes what wsproxy says until it hangs up.
func (r *remote) hear() {
	finished := false
	for {
		m, err := r.link.hear()
		if err != nil {
			break
		}
		switch m.Kind {
		case saysGrew:
			if !finished {
				bell(r.grew).ring()
			}
		case saysStatus:
			r.mu.Lock()
			r.status = *m.Status
			r.mu.Unlock()
			r.news.ring()
		case saysLeave:
			r.leave()
		case saysPause:
			select {
			case r.aside <- r.pause:
			default: // it was told already
			}
		case saysResume:
			r.resume.ring()
		case saysFinished:
			if !finished {
				close(r.grew)
			}
			finished = true
		case saysAnswer:
			r.answered(m)
		default:
			r.link.answer(m)
		}
	}
	close(r.gone)
	r.leave()
	if !finished {
		close(r.grew)
	}
}

// Do has wsproxy do something to the traffic, and waits for its answer.
func (r *remote) Do(ctx context.Context, a ui.Act) error {
	answer := make(chan string, 1)
	r.mu.Lock()
	r.asked++
	id := r.asked
	r.answer[id] = answer
	r.mu.Unlock()
	if err := r.link.say(message{Kind: saysAct, ID: id, Act: &a}); err != nil {
		return err
	}
	select {
	case said := <-answer:
		if said != "" {
			return errors.New(said)
		}
		return nil
	case <-r.gone:
		return errors.New("wsproxy has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answered takes an answer to who waits for it.
func (r *remote) answered(m message) {
	r.mu.Lock()
	if m.Status != nil {
		r.status = *m.Status
	}
	answer := r.answer[m.ID]
	delete(r.answer, m.ID)
	r.mu.Unlock()
	if answer != nil {
		answer <- m.Error
	}
}

func (r *remote) latest() ui.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// pause is called with the terminal given back, and returns when it is the
// screen's again.
func (r *remote) pause() {
	_ = r.link.say(message{Kind: saysPaused}) // who is gone needs nothing
	select {
	case <-r.resume:
	case <-r.gone:
	}
}

// left says that the terminal is given back, and why. If wsproxy is gone the user
// is told.
func (r *remote) left(err error) error {
	select {
	case <-r.gone:
		fmt.Fprintf(r.out, "wsproxy: error: wsproxy has ended without a word: it was killed, or it crashed\n")
		fmt.Fprintf(r.out, "wsproxy: hint: what it recorded is left; wsproxy show %s\n", shellWord(r.hello.Path))
		return &exitError{code: exitFailed}
	default:
	}
	l := leaving{How: leftQuit}
	var e *exitError
	switch {
	case err == nil:
	case errors.Is(err, ui.ErrNoTerminal):
		l.How = leftNoTerminal
	case errors.As(err, &e) && e.err == nil:
		l.How = leftInterrupt
	case errors.As(err, &e):
		l = leaving{leftFailed, e.Error(), e.hint, e.code}
	default:
		l = leaving{leftFailed, err.Error(), "", exitFailed}
	}
	return r.link.say(message{Kind: saysLeft, Left: &l})
}

// sum reads the recording to its end and sums it up. It says that it is still at
// it, for as long as it is.
func (r *remote) sum(v *view) error {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for done := v.store.Done(); done != nil; {
		select {
		case <-done:
			done = nil
		case <-every.C:
			if err := r.link.say(message{Kind: saysReading}); err != nil {
				return nil // nobody asks any more
			}
		}
	}
	_ = v.store.Close() // read only
	sum := plain.SummaryOf(v.store)
	var text bytes.Buffer
	sum.Print(&text)
	return r.link.say(message{Kind: saysSummary, Summary: text.String()})
}
