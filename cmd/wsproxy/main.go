// Command wsproxy stands between a WebSocket client and its server, passes every
// byte on unchanged, and explains what passed: live in a terminal, later from a
// recording, and again in a test.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes. A child's own code is passed on where one is run.
const (
	exitOK        = 0
	exitMismatch  = 1   // what was checked does not hold
	exitUsage     = 2   // the command line is wrong
	exitFailed    = 3   // network or file
	exitInterrupt = 130 // Ctrl-C
	exitTerm      = 143 // SIGTERM
)

// exitError is an error that knows the program's exit code and, where there is
// one, what to do about it.
type exitError struct {
	code int
	err  error // nil: say nothing more, it has been said
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usagef is an error in how the command was called.
func usagef(hint, format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...), hint}
}

// failf is an error of the network or of a file.
func failf(hint, format string, args ...any) error {
	return &exitError{exitFailed, fmt.Errorf(format, args...), hint}
}

func main() { os.Exit(wsproxy(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// wsproxy runs the program. stdout takes what was asked for, stderr the notices,
// the errors and the summary.
func wsproxy(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCmd()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ctx, stop := interruptible()
	defer stop()
	return report(stderr, root.ExecuteContext(ctx))
}

// report prints an error as the two lines that a user sees, and answers the
// exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{code: exitFailed, err: err}
	}
	if e.err != nil {
		fmt.Fprintf(stderr, "wsproxy: error: %v\n", e.err)
	}
	if e.hint != "" {
		fmt.Fprintf(stderr, "wsproxy: hint: %s\n", e.hint)
	}
	return e.code
}

// signalError is the cause of a context that a signal ended.
type signalError struct{ sig os.Signal }

func (e signalError) Error() string { return e.sig.String() }

// interruptible is a context that ends with the first SIGINT or SIGTERM; its
// cause is a signalError. A second signal ends the program at once.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		sig, ok := <-signals
		if !ok {
			return
		}
		signal.Reset(os.Interrupt, syscall.SIGTERM) // a second one does what it always does
		cancel(signalError{sig})
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// interrupted is the error that carries a signal's exit code; nil if ctx did not
// end by a signal.
func interrupted(ctx context.Context) error {
	var s signalError
	if !errors.As(context.Cause(ctx), &s) {
		return nil
	}
	if s.sig == os.Interrupt {
		return &exitError{code: exitInterrupt}
	}
	return &exitError{code: exitTerm}
}

// exactly checks the number of arguments and says in words which are missing.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("wsproxy "+cmd.Name()+" --help", "%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}
