package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/creack/pty"
)

// inTerminal is the whole run again as a process with a terminal of its own, 120
// columns by 40 lines, that somebody reads: wsproxy's screen is drawn on it. All
// that is measured runs in that one session, since Linux shares processors out
// among sessions first (sched_autogroup): a proxy in another one than the load would
// get another share than one in the same.
func inTerminal(ctx context.Context, args []string) error {
	cmd, err := self("run", args...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 120})
	if errors.Is(err, pty.ErrUnsupported) {
		return benchCommand(ctx, args)
	}
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })() // one that is gone needs none
	go func() { _, _ = io.Copy(io.Discard, screen) }()                                 // until it is closed
	err = errors.Join(cmd.Wait(), screen.Close())
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errSaid
	}
	return err
}

// errSaid is an error of which all has been said.
var errSaid = errors.New("the run failed")
