package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/lint"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui/plain"
	"golang.org/x/term"
)

// view shows a recording, live or finished: as lines, as JSON, or only in its
// summary.
type view struct {
	flags    outputFlags
	out, err io.Writer
	path     string          // of the recording; empty: there is none
	live     <-chan struct{} // ticks when it grows; nil: it is finished

	printer *plain.Printer
}

func (o *outputFlags) color(out io.Writer) bool {
	return !o.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(out)
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// watch shows events until the recording ends; without one it waits for quit.
// reading ends it at once.
func (v *view) watch(reading, quit context.Context) error {
	v.printer = plain.New(v.out, plain.Options{
		JSON: v.flags.json, Color: v.flags.color(v.out), Exchanges: v.flags.exchanges,
		Quiet: v.flags.quiet,
	})
	if v.path == "" {
		<-quit.Done()
		return nil
	}
	return v.follow(reading)
}

// follow prints events as the recording grows.
func (v *view) follow(ctx context.Context) error {
	in := &inspect.Inspector{
		Judges: lint.All(), Emit: v.printer.Event,
		After: func(*inspect.Conn) { v.printer.Flush() },
	}
	return fileError(v.path, record.Follow(ctx, v.path, v.live, in))
}

// summary tells how each session ended.
func (v *view) summary(w io.Writer) {
	if !v.flags.quiet && v.path != "" {
		sum := v.printer.Summary()
		sum.Print(w)
	}
}

// fileError says in words what is wrong with a recording.
func fileError(path string, err error) error {
	var torn *record.TornError
	var damaged *record.DamagedError
	var format *record.FormatError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, os.ErrNotExist):
		return failf("", "there is no file %s", path)
	case errors.As(err, &torn):
		return failf("everything before that was read; the program that wrote it was stopped, or the file was cut",
			"%s ends in the middle of a block at byte %d", path, torn.Offset)
	case errors.As(err, &damaged):
		return failf("everything else was read", "%s is damaged: %v", path, damaged)
	case errors.As(err, &format):
		return failf("wsproxy shows pcapng and pcap files", "%s is %v", path, format)
	}
	return failf("", "%s: %v", path, cause(err))
}

// screen says that events are shown on a screen: there is none yet.
func (o *outputFlags) screen(io.Writer) bool { return false }
