package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// pipeThrough passes input through a shell command and answers what it says on both of
// its outputs. A little more than most bytes end it: it said too much. It has no
// terminal, and ends with ctx together with all that it started.
func pipeThrough(ctx context.Context, command string, input []byte, most int) ([]byte, error) {
	cmd := shellCommand(ctx, command)
	cmd.Env = append(os.Environ(), "TERM=dumb", "NO_COLOR=1")
	cmd.Stdin = bytes.NewReader(input)
	out := &bounded{most: most + 1}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, errTooMuch) || len(out.text) > most:
		err = nil
	case errors.As(err, &exit) && exit.Exited():
		err = fmt.Errorf("it ended with exit code %d", exit.ExitCode())
	case errors.Is(err, exec.ErrWaitDelay):
		err = errors.New("something that it started is still running, and was not waited for")
	}
	return out.text, err
}

var errTooMuch = errors.New("more than is shown")

// bounded keeps what is written to it, up to a limit.
type bounded struct {
	most int
	text []byte
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.most-len(b.text))
	b.text = append(b.text, p[:n]...)
	if n < len(p) {
		return n, errTooMuch
	}
	return n, nil
}
