package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/wsproxy/wsproxy/inspect"
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
	path     string          // of the recording; empty: there is none
	live     <-chan struct{} // ticks when it grows; nil: it is finished
	options  ui.Options      // of the screen
	goesOn   bool            // a run is behind it, which does not end with the recording
	notices  *notices        // held back while the screen is open; nil: there are none

	ports portHint // collects the ports of what is printed; nil: nobody asks

	printer *plain.Printer
	store   *record.Store // what the screen shows; nil without one
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
	return !o.plain && !o.json && !o.quiet && o.filter == "" && isTerminal(out) && isTerminal(os.Stdin) && os.Getenv("TERM") != "dumb"
}

// watch shows events. On a screen it returns when the user leaves; printing, when
// the recording has ended and, of a run that goes on, quit has too: a recording
// that stops early stops nothing else. The end of reading ends it at once.
func (v *view) watch(reading, quit context.Context) error {
	if v.path == "" || v.goesOn && v.flags.quiet { // nothing is shown, so nothing need be looked at
		<-quit.Done()
		return nil
	}
	if v.flags.screen(v.out) {
		if err := v.draw(reading, quit); !errors.Is(err, ui.ErrNoTerminal) {
			return err
		}
		fmt.Fprintln(v.err, "wsproxy: this terminal cannot show the screen; lines are printed instead")
	}
	chosen, err := v.flags.chosen()
	if err != nil {
		return err
	}
	v.printer = plain.New(v.out, plain.Options{
		JSON: v.flags.json, Color: v.flags.color(v.out), Exchanges: v.flags.exchanges,
		Quiet: v.flags.quiet, Filter: chosen,
	})
	err = v.print(reading)
	if v.goesOn {
		<-quit.Done()
	}
	return err
}

// draw opens the screen. The store stays open for the summary.
func (v *view) draw(reading, quit context.Context) error {
	if err := record.Check(v.path); err != nil {
		return fileError(v.path, err)
	}
	s, err := record.OpenStore(reading, v.path, v.live, lint.All()...)
	if err != nil {
		return fileError(v.path, err)
	}
	o := v.options
	if status := o.Status; status != nil {
		o.Status = func() ui.Status {
			st := status()
			if n := s.Progress().Lapped; n > 0 {
				st.Warnings = append(st.Warnings, unseen(n))
			}
			return st
		}
	}
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

// print prints events as the recording grows.
func (v *view) print(ctx context.Context) error {
	in := &inspect.Inspector{
		Judges: lint.All(),
		Emit: func(c *inspect.Conn, e inspect.Event) {
			v.ports.see(c)
			v.printer.Event(c, e)
		},
		After: func(*inspect.Conn) { v.printer.Flush() },
	}
	sink := &overtaken{Sink: in}
	err := fileError(v.path, record.Follow(ctx, v.path, v.live, sink))
	if sink.bytes > 0 {
		fmt.Fprintf(v.err, "wsproxy: warning: %s\n", unseen(sink.bytes))
	}
	return err
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
	switch {
	case v.store != nil:
		if v.goesOn {
			<-v.store.Done() // what came last is told too
		}
		_ = v.store.Close() // read only
		sum := plain.SummaryOf(v.store)
		sum.Print(w)
	case v.printer != nil && !v.flags.quiet:
		sum := v.printer.Summary()
		sum.Print(w)
	}
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
