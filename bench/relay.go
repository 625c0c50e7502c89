package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/lint"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/record"
)

// playRelay is wsproxy's relay and recorder, wired as cmd/wsproxy does, with the
// profiler that the product does not have. It serves until SIGTERM.
func playRelay(args []string) error {
	f := flag.NewFlagSet("relay", flag.ContinueOnError)
	to := f.String("to", "", "host:port of the server")
	dir := f.String("dir", "", "folder for the recording")
	recording := f.String("record", "none", "none, temporary or file")
	follow := f.Bool("follow", false, "inspect what is recorded")
	cpu := f.String("cpu", "", "file for the profile")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := checkLoopback(*to); err != nil {
		return err
	}
	config := proxy.Config{Target: &url.URL{Scheme: "ws", Host: *to}}
	var w *record.Writer
	following := func() error { return nil }
	if *recording != "none" {
		path := filepath.Join(*dir, fmt.Sprintf("relay-%d.pcapng", os.Getpid()))
		var err error
		if w, err = record.Create(record.Options{Path: path, Version: "bench", Temporary: *recording == "temporary", OnStop: func(why string) {
			fmt.Fprintln(os.Stderr, "the recording stopped:", why)
		}}); err != nil {
			return err
		}
		config.Tap = w
		if *follow {
			following = inspectBeside(path, w)
		}
	}
	out, err := os.Create(*cpu)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	err = serveRelay(config)
	pprof.StopCPUProfile()
	err = errors.Join(err, out.Close())
	if w != nil {
		err = errors.Join(err, w.Close())
	}
	return errors.Join(err, following())
}

// serveRelay relays until SIGTERM.
func serveRelay(c proxy.Config) error {
	s, err := proxy.New(c)
	if err != nil {
		return err
	}
	l, err := listenLoopback()
	if err != nil {
		return err
	}
	var stopping sync.WaitGroup
	stopping.Add(1)
	terminated(func() {
		defer stopping.Done()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx) // its listener's error, which Serve has too
	})
	announce(l)
	err = s.Serve(l)
	stopping.Wait()
	return err
}

// inspectBeside follows the recording as a wsproxy that prints does. What it answers
// stops that and waits.
func inspectBeside(path string, w *record.Writer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	live := w.Watch()
	go func() {
		in := &inspect.Inspector{Judges: lint.All(), Emit: func(*inspect.Conn, inspect.Event) {}}
		done <- record.Follow(ctx, path, live, in)
	}()
	return func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}
