package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// profileCommand loads a relay of this program, wired as wsproxy's, and prints where
// its processor time went.
func profileCommand(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench profile", flag.ContinueOnError)
	o := options{rounds: 1, with: "direct"}
	var recording, keep string
	var follow bool
	f.StringVar(&o.only, "only", "W2", "workloads to run")
	f.DurationVar(&o.length, "for", 3*time.Second, "how long each is measured")
	f.StringVar(&recording, "record", "temporary", "the recording: none, temporary or file")
	f.BoolVar(&follow, "follow", false, "inspect what is recorded too, as a wsproxy that prints does")
	f.StringVar(&keep, "o", "", "`folder` to keep the profiles in, for go tool pprof")
	if err := f.Parse(args); err != nil {
		return err
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return err
	}
	defer r.close()
	if keep == "" {
		keep = r.dir
	}
	for _, w := range r.workloads {
		out := filepath.Join(keep, w.name+"-"+recording+".cpu.pprof")
		relay := []string{"-to", r.server.addr, "-dir", r.dir, "-record", recording, "-cpu", out}
		if follow {
			relay = append(relay, "-follow")
		}
		got := cell{}
		err := r.measure(ctx, w, contender{name: "relay", start: func(ctx context.Context, _ place) (*process, error) {
			cmd, err := self("relay", relay...)
			if err != nil {
				return nil, err
			}
			return startAnnouncing(ctx, cmd)
		}}, &got)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s: %s; recording: %s\n%.0f messages/s, %.0f MB/s, p50 %.0f µs, CPU %.2f s; said: %s\n\n",
			w.name, w.about, recording, rate.value(got), bandwidth.value(got), got.Latency.P50, got.CPU, got.Said)
		if err := printTop(ctx, os.Stdout, out); err != nil {
			return err
		}
	}
	return nil
}

// printTop prints a profile's functions, those first that took most themselves and
// then those under which most was spent.
func printTop(ctx context.Context, out io.Writer, file string) error {
	var errs []error
	for _, order := range []string{"-flat", "-cum"} {
		cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", order, "-nodecount=40", file)
		cmd.Stdout = out
		errs = append(errs, cmd.Run())
	}
	return errors.Join(errs...)
}
