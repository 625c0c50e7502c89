//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilHangup is a context that ends also when the terminal goes away, so that what
// runs in it is put in order; not where that is ignored, as nohup does. stop must
// be called.
func untilHangup(ctx context.Context) (_ context.Context, stop func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

// ignoreHangup leaves it to others to see that the terminal has gone away.
func ignoreHangup() { signal.Ignore(syscall.SIGHUP) }

// passedSignals are passed on to a command, beside those that end wsproxy too.
func passedSignals() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}
}

// exitCode is a command's, or what a shell makes of the signal that ended it.
func exitCode(st *os.ProcessState) int {
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitSignalled + int(ws.Signal())
	}
	return st.ExitCode()
}
