package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds on starting and stopping a process.
const (
	startTime = 15 * time.Second // mitmdump takes two seconds
	stopTime  = 3 * time.Second
)

// process is a proxy or the server of the load, running.
type process struct {
	cmd    *exec.Cmd
	addr   string
	exited chan struct{} // closed once it has ended and its output is read
	output sync.WaitGroup
	errors tail
}

// startAnnouncing starts a program that says "listening on" on stderr.
func startAnnouncing(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	addr := make(chan string, 1)
	p.output.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.errors.add(lines.Text())
			if _, at, ok := strings.Cut(lines.Text(), "listening on "); ok {
				at, _, _ = strings.Cut(at, " ")
				_, at, _ = strings.Cut(at, "://")
				select {
				case addr <- at:
				default:
				}
			}
		}
	})
	p.wait()
	select {
	case p.addr = <-addr:
		return p, checkLoopback(p.addr)
	case <-p.exited:
	case <-ctx.Done():
	case <-time.After(startTime):
	}
	p.stop()
	return nil, fmt.Errorf("%s did not start: %s", cmd.Path, p.errors.text())
}

// startAt starts a program that was told where to listen.
func startAt(ctx context.Context, cmd *exec.Cmd, addr string) (*process, error) {
	p := &process{cmd: cmd, addr: addr, exited: make(chan struct{})}
	dieWithParent(cmd)
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.output.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.errors.add(lines.Text())
		}
	})
	p.wait()
	deadline := time.Now().Add(startTime)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		if c, err := dialLoopback(addr); err == nil {
			return p, c.Close()
		}
		select {
		case <-p.exited:
			return nil, fmt.Errorf("%s did not start: %s", cmd.Path, p.errors.text())
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen on %s: %s", cmd.Path, addr, p.errors.text())
}

// wait closes exited when the program has ended.
func (p *process) wait() {
	go func() {
		p.output.Wait()
		_ = p.cmd.Wait() // how it ended is not asked: it is told to
		close(p.exited)
	}()
}

// stop ends the program as a user would and waits until it is gone; one that does
// not go is killed, and said not to have ended.
func (p *process) stop() (ended bool) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that is gone needs none
	select {
	case <-p.exited:
		return true
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
	}
	<-p.exited
	return false
}

// usage is what the program has used so far.
func (p *process) usage() usage { return usageOf(p.cmd.Process.Pid) }

// usage of a process and its children.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
	peak     int64 // bytes
}

// tail keeps the last lines that a program said.
type tail struct {
	mu     sync.Mutex
	lines  []string
	dumped int // goroutines, in the words of a Go program that was asked to print them
}

func (t *tail) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if strings.HasPrefix(s, "goroutine ") {
		t.dumped++
	}
	if t.lines = append(t.lines, strings.TrimSpace(s)); len(t.lines) > 20 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) goroutines() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dumped
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "; ")
}

// self is the command that plays a role of this program.
func self(role string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(exe, append([]string{roleArg, role}, args...)...), nil
}
