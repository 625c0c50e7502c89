// Command bench measures what a proxy costs: wsproxy beside nothing at all, a bare
// TCP copier, a proxy of the usual kind and, where they are installed, nginx,
// haproxy and mitmdump.
//
//	go run ./bench                          everything, about nine minutes
//	go run ./bench -only W2 -with direct,tcpcopy,wsproxy
//	go run ./bench soak -for 30m            load on wsproxy for a long time
//	go run ./bench profile -only W2         where the relay's and the recorder's time goes
//
// Clients, server and proxy are processes of their own, on loopback. Every payload
// that comes back is checked. docs/performance.md says how to read the numbers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags of a run.
type options struct {
	rounds int
	length time.Duration // of a cell's measured window
	limit  time.Duration // of the whole run
	only   string
	with   string
	json   string
	rate   float64 // messages a second for W1; 0: as fast as they come back
	dir    string  // where recordings go; empty: a folder in the user's cache
	quiet  bool
}

func main() {
	if err := command(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		if !errors.Is(err, errSaid) {
			fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		}
		os.Exit(1)
	}
}

func command(args []string) error {
	if len(args) > 1 && args[0] == roleArg && args[1] != "run" {
		return play(args[1], args[2:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	raiseOpenFiles()
	if len(args) > 0 && args[0] == "soak" {
		return soakCommand(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == "profile" {
		return profileCommand(ctx, args[1:])
	}
	if len(args) > 1 && args[0] == roleArg {
		return benchCommand(ctx, args[2:])
	}
	return inTerminal(ctx, args)
}

func benchCommand(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "rounds", 3, "how often everything is measured (W5 and W8 at most twice)")
	f.DurationVar(&o.length, "for", time.Second, "how long each cell is measured")
	f.DurationVar(&o.limit, "limit", 10*time.Minute, "when the whole run ends, measured or not")
	f.StringVar(&o.only, "only", "", "workloads to run, `W1,W2`; W5 means all of its kind")
	f.StringVar(&o.with, "with", "", "contenders to run, `direct,tcpcopy,wsproxy-record`")
	f.StringVar(&o.json, "json", "", "write all measurements to `FILE`")
	f.Float64Var(&o.rate, "rate", 0, "messages a second for W1, its latencies then counted from when each was due; 0: one after the other")
	f.StringVar(&o.dir, "dir", "", "`folder` for recordings, on the disk to be measured")
	f.BoolVar(&o.quiet, "q", false, "say nothing of the progress")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("bench takes flags, soak and profile, not %q", f.Arg(0))
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return err
	}
	defer r.close()
	report, err := r.all(ctx)
	if err != nil {
		return err
	}
	fmt.Print(report.markdown())
	if o.json != "" {
		if err := report.write(o.json); err != nil {
			return err
		}
	}
	return report.verdict()
}
