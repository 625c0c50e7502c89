// Package e2e runs the real program between clients and servers that nobody
// here wrote, and compares what they saw with what it said.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds how long a test waits for what must happen.
const patience = 30 * time.Second

// program is the wsproxy that TestMain built.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if name := os.Getenv(peerEnv); name != "" {
		return goPeer(name, os.Args[1:])
	}
	dir, err := os.MkdirTemp("", "wsproxy-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "wsproxy")
	build := exec.Command("go", "build", "-o", program, "../cmd/wsproxy")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return m.Run()
}

// go test keeps results: it knows what a test's own package is made of and which
// files a test looked at, but not what TestMain built and what peers read. So this
// looks at all of it.
func TestSources(t *testing.T) {
	n := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && len(d.Name()) > 2 && d.Name()[0] == '.' {
			return fs.SkipDir
		}
		switch filepath.Ext(path) {
		case ".go", ".py", ".js", ".json", ".mod", ".java", ".html":
			n++
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil || n < 50 {
		t.Errorf("%d source files, %v", n, err)
	}
}

// leftOut says that a test cannot run because something is missing. In
// continuous integration that is a failure.
func leftOut(t *testing.T, missing string) bool {
	t.Helper()
	if missing == "" {
		return false
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s (.ci/tools installs it)", missing)
	}
	t.Logf("left out, since it is missing: %s (.ci/tools installs it)", missing)
	return true
}

// needs says which of some programs is not there.
func needs(programs ...string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// output is what a process has written so far.
type output struct {
	mu      sync.Mutex
	changed sync.Cond
	text    bytes.Buffer
	over    bool
}

func newOutput() *output {
	o := &output{}
	o.changed.L = &o.mu
	return o
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed.Broadcast()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// end says that nothing more will come.
func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	o.changed.Broadcast()
}

// wait waits until the text contains something n times.
func (o *output) wait(t *testing.T, what string, n int) string {
	t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		late = true
		o.changed.Broadcast()
	})
	defer timer.Stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for strings.Count(o.text.String(), what) < n {
		if late || o.over {
			text := o.text.String()
			t.Fatalf("%q is not in the output %d times; it ends with\n%s", what, n, text[max(0, len(text)-4096):])
		}
		o.changed.Wait()
	}
	return o.text.String()
}

// process is a program that runs beside the test.
type process struct {
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	done   chan struct{} // closed when it is over
	err    error         // then
	stdin  io.Closer
}

// start runs a program until it ends or the test does.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.WaitDelay = time.Second
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		p.stdout.end()
		p.stderr.end()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // mostly over already
		<-p.done
	})
	return p
}

// wait waits for the process to end and answers its exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s does not end:\n%s%s", p.cmd, p.stdout, p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// proxied is a wsproxy that runs.
type proxied struct {
	*process
	addr string // where it listens
}

// home is where a test's wsproxy keeps its temporary recordings.
func home(t *testing.T) []string {
	dir := t.TempDir()
	return []string{"HOME=" + dir, "XDG_CACHE_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
}

// startProxy starts wsproxy on a free port and waits until it is ready.
func startProxy(t *testing.T, args ...string) *proxied {
	t.Helper()
	p := &proxied{process: start(t, home(t), program, append([]string{"--listen", "127.0.0.1:0"}, args...)...)}
	p.listens(t)
	return p
}

// listens waits until wsproxy is ready, and takes its first address.
func (p *proxied) listens(t *testing.T) {
	t.Helper()
	said := p.stderr.wait(t, "ready\n", 1)
	_, rest, _ := strings.Cut(said, "listening on ")
	_, rest, _ = strings.Cut(rest, "://")
	p.addr, _, _ = strings.Cut(rest, " ")
}

// stop ends wsproxy as Ctrl-C does.
func (p *proxied) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 130 {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
}

// line is what wsproxy --json says of an event.
type line struct {
	Session    int    `json:"session"`
	Event      string `json:"event"`
	Dir        string `json:"dir"`
	Op         string `json:"op"`
	Len        int64  `json:"len"`
	Flags      string `json:"flags"`
	Size       int64  `json:"size"`
	Text       string `json:"text"`
	Binary     []byte `json:"binary"`
	Code       int    `json:"code"`
	Status     int    `json:"status"`
	Path       string `json:"path"`
	HTTP2      string `json:"http2"`
	Target     string `json:"target"`
	Listener   string `json:"listener"`
	Extensions string `json:"extensions"`
	Word       string `json:"word"`
	Detail     string `json:"detail"`
	Method     string `json:"method"`
	Protocol   string `json:"subprotocol"`
	Up, Down   int64
	Findings   []struct{ ID string }
}

func (l *line) flag(name string) bool {
	for f := range strings.FieldsSeq(l.Flags) {
		if f == name {
			return true
		}
	}
	return false
}

// show is `wsproxy show --json` of a recording.
func show(t *testing.T, path string, flags ...string) []line {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append(append([]string{"show", "--json"}, flags...), path)...).Output()
	if err != nil {
		t.Fatalf("wsproxy show: %v\n%s", err, stderrOf(err))
	}
	return parseLines(t, string(out))
}

func parseLines(t *testing.T, text string) []line {
	t.Helper()
	var all []line
	in := bufio.NewScanner(strings.NewReader(text))
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatalf("%v in %.200s", err, in.Bytes())
		}
		all = append(all, l)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
