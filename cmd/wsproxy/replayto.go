package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/replay"
)

// drive plays the clients against a real server.
func (r *replaying) drive(ctx context.Context) error {
	target, err := webTarget("--to", r.flags.to)
	if err != nil {
		return err
	}
	c, err := r.load(ctx)
	if err != nil {
		return err
	}
	o := replay.DriveOptions{Header: r.headers, OnMiss: onMisses[r.flags.onMiss], Speed: r.flags.speed, Wait: r.flags.wait, Exact: r.flags.exact,
		Limits: replayLimits(), Ended: r.ended, TLS: &tls.Config{InsecureSkipVerify: r.flags.insecure}}
	r.say("playing the clients of %s against %s", r.path, target)
	results, err := replay.Drive(ctx, c, target, o)
	bad := r.summary(results)
	reportErr := r.report(results, nil)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case err != nil:
		return failf("is the server running?", "cannot reach %s: %v", target, cause(err))
	case reportErr != nil:
		return reportErr
	case bad > 0 && r.flags.onMiss != "close":
		return &exitError{code: exitMismatch}
	}
	return nil
}

// run runs the command to its end, with the server's address in WSPROXY_URL. When
// ctx ends it is told to end too, and is waited for.
func (r *replaying) run(ctx context.Context, l net.Listener, command []string) error {
	path, err := exec.LookPath(command[0])
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &exitError{exitNotExecutable, fmt.Errorf("cannot run %s: permission denied", command[0]), ""}
	case err != nil && !errors.Is(err, exec.ErrDot):
		return &exitError{exitNotFound, fmt.Errorf("cannot run %s: there is no such command", command[0]), ""}
	}
	cmd := exec.CommandContext(ctx, path, command[1:]...)
	cmd.Args[0] = command[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, r.out, r.err
	cmd.Env = append(os.Environ(), "WSPROXY_URL=ws://"+reachable(l.Addr()))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = grace
	if err := cmd.Run(); cmd.ProcessState == nil {
		return &exitError{exitNotExecutable, fmt.Errorf("cannot run %s: %w", command[0], cause(err)), ""}
	}
	if ctx.Err() == nil {
		r.child = exitCode(cmd.ProcessState)
	}
	return nil
}

// report writes what --report asks for.
func (r *replaying) report(results []replay.Result, unused []*cassette.Session) error {
	if r.flags.report == "" {
		return nil
	}
	s := suite{Name: r.path}
	for _, res := range results {
		c := testCase{Name: res.Name(), Detail: res.Report(), Failed: res.Mismatch != nil, Skipped: res.Interrupted}
		if m := res.Mismatch; m != nil {
			c.Line, c.Problem = m.Line, m.Problem
		}
		s.Cases = append(s.Cases, c)
	}
	for _, x := range unused {
		s.Cases = append(s.Cases, testCase{Name: fmt.Sprintf("session %d (%s)", x.N, x.Upgrade.Path), Failed: true, Problem: "nobody asked for it"})
	}
	return s.write(r.flags.report, r.out)
}
