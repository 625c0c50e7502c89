package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/inspect/lint"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui"
	"github.com/wsproxy/wsproxy/ui/plain"
	"golang.org/x/term"
)

// view shows a recording, live or finished: on a screen, as lines, as JSON, or
// only in its summary.
type view struct {
	flags    outputFlags
	out, err io.Writer
	path     string                 // of the recording; empty: there is none
	live     func() <-chan struct{} // a channel that ticks when it grows; nil: it is finished
	options  ui.Options             // of the screen
	goesOn   bool                   // a run is behind it, which does not end with the recording
	notices  *notices               // held back while the screen is open; nil: there are none
	news     bell                   // rung when the screen may have something new to draw; nil: it is made
	pulse    *pulse                 // of a run whose screen is a process of its own; nil: it is not
	since    time.Time              // what was before is counted and not printed

	targets bool     // there are several
	decoded *decoded // prints what messages mean in the place of frames; nil: frames are printed

	ports portHint // collects the ports of what is printed; nil: nobody asks

	printer *plain.Printer
	store   *record.Store // what the screen shows; nil without one
	apart   *apart        // the process of the screen; nil without one
}

func (o *outputFlags) color(out io.Writer) bool {
	return o.colors() && os.Getenv("TERM") != "dumb" && isTerminal(out)
}

func (o *outputFlags) colors() bool { return !o.noColor && os.Getenv("NO_COLOR") == "" }

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// screen says that events are shown on a screen rather than printed.
func (o *outputFlags) screen(out io.Writer) bool {
	return !o.plain && !o.json && !o.quiet && !o.silent && o.filter == "" && isTerminal(out) && isTerminal(os.Stdin) && os.Getenv("TERM") != "dumb"
}

// watch shows events. On a screen it returns when the user leaves; printing, when
// the recording has ended and, of a run that goes on, quit has too: a recording
// that stops early stops nothing else. The end of reading ends it at once.
func (v *view) watch(reading, quit context.Context) error {
	if !v.flags.silent { // else there is a command, which is told of it
		var stop func()
		quit, stop = untilHangup(quit)
		defer stop()
	}
	if v.path == "" || v.goesOn && v.flags.quiet { // nothing is shown, so nothing need be looked at
		<-quit.Done()
		return nil
	}
	if _, ok := ui.ParseTheme(v.flags.theme); !ok && v.flags.theme != "" {
		return usagef("--theme "+ui.Themes()[0], "there is no theme %q", v.flags.theme)
	}
	if v.flags.screen(v.out) {
		err := v.openScreen(reading, quit)
		var died *diedError
		switch {
		case errors.As(err, &died):
			fmt.Fprintf(v.err, "wsproxy: warning: %v; lines are printed instead\n", died)
			v.since = time.Now()
		case errors.Is(err, ui.ErrNoTerminal):
			fmt.Fprintln(v.err, "wsproxy: this terminal cannot show the screen; lines are printed instead")
		default:
			return err
		}
	}
	var chosen *filter.Filter
	if v.decoded == nil { // which has a filter of its own
		var err error
		if chosen, err = v.flags.chosen(); err != nil {
			return err
		}
	}
	v.printer = plain.New(v.out, plain.Options{
		JSON: v.flags.json, Color: v.flags.color(v.out), Exchanges: v.flags.exchanges,
		Quiet: v.flags.quiet || v.flags.silent || v.decoded != nil, Filter: chosen, Since: v.since, Targets: v.targets,
	})
	err := v.print(reading)
	if v.goesOn {
		<-quit.Done()
	}
	return err
}

// openScreen opens the screen, in a process of its own if it is a run's.
func (v *view) openScreen(reading, quit context.Context) error {
	out, ok := v.out.(*os.File)
	if v.pulse == nil || !ok {
		return v.draw(reading, quit)
	}
	v.notices.hold()
	defer v.notices.release()
	h := hello{Path: v.path, Title: v.options.Title, Open: v.options.Open, NoColor: !v.flags.colors(), Theme: v.flags.theme, Exchanges: v.flags.exchanges, Save: v.options.Save != nil, Tour: len(v.options.Tour) > 0}
	a, err := startApart(h, out, news{v.live(), v.pulse, v.options.Status, v.options.Control})
	if err == nil {
		v.apart = a
		return a.watch(quit)
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		v.notices.logf("warning: the screen had no process of its own and slowed the traffic: %v", err)
	}
	return v.draw(reading, quit)
}

// draw opens the screen in this process. The store stays open for the summary.
func (v *view) draw(reading, quit context.Context) error {
	if err := record.Check(v.path); err != nil {
		return fileError(v.path, err)
	}
	o := v.options
	s, err := v.openStore(reading, &o)
	if err != nil {
		return fileError(v.path, err)
	}
	if status := o.Status; status != nil {
		o.Status = func() ui.Status {
			st := status()
			if n := s.Progress().Lapped; n > 0 {
				st.Warnings = append(slices.Clip(st.Warnings), unseen(n))
			}
			return st
		}
	}
	o.Pipe, o.Copy = pipeThrough, toClipboard
	v.furnish(&o)
	o.Live, o.NoColor, o.Exchanges = v.live != nil, !v.flags.colors(), v.flags.exchanges
	v.notices.hold()
	err = ui.Run(quit, s, o)
	v.notices.release()
	if errors.Is(err, ui.ErrNoTerminal) {
		return errors.Join(err, s.Close())
	}
	v.store = s
	if errors.Is(err, ui.ErrInterrupt) {
		return &exitError{code: exitInterrupt}
	}
	return errors.Join(err, fileError(v.path, s.Progress().Err))
}

// openStore indexes the recording. Of a live one the screen gets news.
func (v *view) openStore(reading context.Context, o *ui.Options) (*record.Store, error) {
	if v.live == nil {
		return record.OpenStore(reading, v.path, nil, lint.All()...)
	}
	ticks := make(chan struct{})
	s, err := record.OpenStore(reading, v.path, ticks, lint.All()...)
	if err != nil {
		return nil, err
	}
	if v.news == nil {
		v.news = newBell()
	}
	o.News = v.news
	go passOn(v.live(), ticks, s.Done(), v.news)
	return s, nil
}

// passOn passes a recording's ticks on to the follower of a store, each twice: the
// second is taken when all has been read that the first one was for. It rings for
// both, so that whoever looks then has seen everything. It ends when live is closed
// and all is read, or the store is.
func passOn(live <-chan struct{}, ticks chan<- struct{}, done <-chan struct{}, news bell) {
	defer news.ring()
	for {
		select {
		case _, ok := <-live:
			if !ok {
				close(ticks)
				<-done
				return
			}
		case <-done:
			return
		}
		for range 2 {
			select {
			case ticks <- struct{}{}:
				news.ring()
			case <-done:
				return
			}
		}
	}
}

// print prints events as the recording grows.
func (v *view) print(ctx context.Context) error {
	g := newGuide(v.out, v.options.Tour)
	in := &inspect.Inspector{
		Judges: lint.All(),
		Emit: func(c *inspect.Conn, e inspect.Event) {
			v.ports.see(c)
			g.before(e, v.flush)
			v.printer.Event(c, e)
			if v.decoded != nil {
				v.decoded.event(e)
			}
			g.after(e, v.flush)
		},
		After: func(*inspect.Conn) { v.flush() },
	}
	sink := &overtaken{Sink: in}
	var live <-chan struct{}
	if v.live != nil {
		live = v.live()
	}
	err := fileError(v.path, record.Follow(ctx, v.path, live, sink))
	if sink.bytes > 0 {
		fmt.Fprintf(v.err, "wsproxy: warning: %s\n", unseen(sink.bytes))
	}
	return err
}

// flush writes out what was printed.
func (v *view) flush() {
	v.printer.Flush()
	if v.decoded != nil {
		_ = v.decoded.out.Flush() // a pipe that nobody reads any more
	}
}

// overtaken counts what a temporary recording wrote over before it was read.
type overtaken struct {
	inspect.Sink
	bytes int64
}

// Note takes the notes of it that concern no connection.
func (o *overtaken) Note(n inspect.Note) {
	var l inspect.LappedNote
	if n.Kind == inspect.NoteLapped && json.Unmarshal(n.JSON, &l) == nil {
		o.bytes += l.Bytes
		return
	}
	o.Sink.Note(n)
}

// unseen says that not everything was shown.
func unseen(bytes int64) string {
	return fmt.Sprintf("the traffic was faster than what shows it: %d MiB went by unseen (a longer --keep, or --record FILE, keeps them)", max(1, bytes>>20))
}

// summary tells how each session ended. The recording of a run must have ended.
func (v *view) summary(w io.Writer) {
	if v.apart != nil {
		text, ok := v.apart.end()
		if ok {
			_, _ = io.WriteString(w, text) // nobody is left to be told
			return
		}
		if v.printer == nil { // it died before it had counted
			v.live = nil // it is finished
			v.printer = plain.New(io.Discard, plain.Options{Quiet: true})
			_ = v.print(context.Background()) // what can be read counts
		}
	}
	var sum plain.Summary
	switch {
	case v.store != nil:
		if v.goesOn {
			<-v.store.Done() // what came last is told too
		}
		_ = v.store.Close() // read only
		sum = plain.SummaryOf(v.store)
	case v.printer != nil && !v.flags.quiet:
		sum = v.printer.Summary()
	default:
		return
	}
	sum.Print(w)
}

// fileError says in words what is wrong with a recording.
func fileError(path string, err error) error {
	var packed *record.PackedError
	var torn *record.TornError
	var damaged *record.DamagedError
	var format *record.FormatError
	switch {
	case err == nil, errors.Is(err, context.Canceled): // whoever stopped it knows
		return nil
	case errors.Is(err, os.ErrNotExist):
		return failf("", "there is no file %s", path)
	case errors.As(err, &packed):
		return failf("everything before that was read", "%s: %v", path, packed)
	case errors.As(err, &torn):
		return failf("everything before that was read; the program that wrote it was stopped, or the file was cut",
			"%s ends in the middle of a block at byte %d", path, torn.Offset)
	case errors.As(err, &damaged):
		return failf("everything else was read", "%s is damaged: %v", path, damaged)
	case errors.As(err, &format):
		return failf("wsproxy reads pcapng and pcap files, also compressed with zstd or gzip", "%s is %v", path, format)
	}
	return failf("", "%s: %v", path, cause(err))
}
