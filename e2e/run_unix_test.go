//go:build unix

package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// runEnv is what a run needs to trust the server with that certificate.
func runEnv(t *testing.T, cert string) []string {
	return append(home(t), "SSL_CERT_FILE="+cert, "WSPROXY_CA_DIR="+t.TempDir())
}

// wsproxyRun runs a command by `wsproxy run` to its end.
func wsproxyRun(t *testing.T, env []string, args ...string) (p *process, code int) {
	t.Helper()
	p = start(t, env, program, append([]string{"run"}, args...)...)
	_ = p.stdin.Close()
	return p, p.wait(t)
}

// Each way in which Node's programs connect goes through wsproxy.
func TestRunNode(t *testing.T) {
	t.Parallel()
	if leftOut(t, nodeMissing()) {
		return
	}
	plain := "http://" + serve(t, site(nil)).Addr
	addr, cert := secureSite(t)
	recording := filepath.Join(t.TempDir(), "node.pcapng")
	modules, err := filepath.Abs(nodeModules)
	if err != nil {
		t.Fatal(err)
	}
	p, code := wsproxyRun(t, append(runEnv(t, cert), "NODE_PATH="+modules), "--record", recording, "--", "node", "node/ways.js", plain, "https://"+addr)
	want := `http: 200 <p>a page</p>
https: 200 <p>a page</p>
options: 200 <p>a page</p>
own agent: 200 <p>a page</p>
post: 200 300
fetch: 200 <p>a page</p>
fetch https: 200 <p>a page</p>
undici: 200 <p>a page</p>
undici ws: hello 1000
undici wss: hello 1000
ws: hello 1000
wss: hello 1000
closed: ECONNREFUSED wsproxy: The server 127.0.0.1:9 cannot be reached: connection refused.
esm: 200 <p>a page</p>
`
	if got := p.stdout.String(); got != want || code != 0 {
		t.Errorf("exit code %d, the program says\n%s%s", code, got, p.stderr)
	}
	for _, part := range []string{"4 sessions (0 refused), 16 frames, 0 findings, 10 HTTP exchanges\n", "recorded to " + recording} {
		if !strings.Contains(p.stderr.String(), part) {
			t.Errorf("the summary has no %q:\n%s", part, p.stderr)
		}
	}
	var seen []string
	for _, l := range show(t, recording, "--exchanges") {
		if l.Event == "http" || l.Event == "open" {
			seen = append(seen, strings.TrimSpace(l.Method+" "+l.Path))
		}
	}
	secure := "https://" + addr
	if got := strings.Join(seen, "\n"); got != strings.Join([]string{"GET " + plain + "/", "GET " + secure + "/", "GET " + secure + "/", "GET " + plain + "/",
		"POST " + plain + "/post", "GET " + plain + "/", "GET " + secure + "/",
		"GET " + secure + "/", "ws" + plain[4:] + "/socket", "wss" + secure[5:] + "/socket", "ws" + plain[4:] + "/socket", "wss" + secure[5:] + "/socket",
		"CONNECT 127.0.0.1:9", "GET " + plain + "/"}, "\n") {
		t.Errorf("the recording has\n%s", got)
	}
}

// Python's urllib obeys the variables, its websockets none of them, which is said.
func TestRunPython(t *testing.T) {
	t.Parallel()
	if leftOut(t, pythonMissing()) {
		return
	}
	plain := serve(t, site(nil)).Addr
	addr, cert := secureSite(t)
	env := runEnv(t, cert)
	p, code := wsproxyRun(t, env, "--plain", "--", python, "-c", `
import sys, urllib.request
for url in sys.argv[1:]:
    print(urllib.request.urlopen(url).read().decode().strip())
`, "http://"+plain+"/", "https://"+addr+"/")
	if code != 0 || strings.Count(p.stdout.String(), "\n<p>a page</p>\n") < 1 || strings.Count(p.stdout.String(), "-   http   200  GET http") != 2 {
		t.Errorf("exit code %d:\n%s%s", code, p.stdout, p.stderr)
	}

	script := `
import asyncio, os, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1] if len(sys.argv) > 1 else os.environ["WSPROXY_URL"] + "/socket") as ws:
        await ws.send("hello")
        print(await ws.recv())
asyncio.run(main())
`
	p, code = wsproxyRun(t, env, "--", python, "-c", script, "ws://"+plain+"/socket")
	if code != 0 || p.stdout.String() != "hello\n" || !strings.Contains(p.stderr.String(), "hint: nothing has come through") || !strings.Contains(p.stderr.String(), "wsproxy run --to ws://localhost:3000 -- python3") {
		t.Errorf("exit code %d:\n%s%s", code, p.stdout, p.stderr)
	}
	p, code = wsproxyRun(t, env, "--to", "ws://"+plain, "--", python, "-c", script)
	if code != 0 || p.stdout.String() != "hello\n" || !strings.Contains(p.stderr.String(), "1 session (0 refused), 4 frames") || strings.Contains(p.stderr.String(), "hint") {
		t.Errorf("exit code %d:\n%s%s", code, p.stdout, p.stderr)
	}
}

// The command's exit code is wsproxy's, and its signals are the command's.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command []string
		code    int
		says    string
	}{
		"7":              {[]string{"sh", "-c", "exit 7"}, 7, ""},
		"0":              {[]string{"true"}, 0, ""},
		"killed":         {[]string{"sh", "-c", "kill -9 $$"}, 137, ""},
		"not there":      {[]string{"no-such-command-here"}, 127, "there is no such command"},
		"not executable": {[]string{"./node/ways.js"}, 126, "permission denied"},
		"its own flags":  {[]string{"sh", "-c", "exit 3", "--plain"}, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, code := wsproxyRun(t, home(t), append([]string{"--"}, c.command...)...)
			if code != c.code || !strings.Contains(p.stderr.String(), c.says) {
				t.Errorf("exit code %d:\n%s", code, p.stderr)
			}
		})
	}
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 40, syscall.SIGINT: 41, syscall.SIGUSR1: 42, syscall.SIGHUP: 43} {
		t.Run(sig.String(), func(t *testing.T) {
			p := start(t, home(t), program, "run", "--", "sh", "-c", `
trap 'exit 40' TERM; trap 'exit 41' INT; trap 'exit 42' USR1; trap 'exit 43' HUP
echo ready; read line`)
			p.stdout.wait(t, "ready\n", 1)
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if got := p.wait(t); got != code {
				t.Errorf("exit code %d:\n%s", got, p.stderr)
			}
		})
	}
}

// The command has the terminal: what wsproxy has to say comes behind it.
func TestRunKeepsQuiet(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	p, code := wsproxyRun(t, home(t), "--", "sh", "-c", `curl -s --max-time 20 http://127.0.0.1:9/ >/dev/null; echo "the command ends" >&2`)
	before, after, ok := strings.Cut(p.stderr.String(), "the command ends\n")
	if code != 0 || !ok || before != "" || !strings.Contains(after, "127.0.0.1:9 cannot be reached") || !strings.Contains(after, "1 HTTP exchange\n") {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
}

// onScreen is a wsproxy that has a terminal.
type screened struct {
	cmd   *exec.Cmd
	tty   *os.File
	shown *output
	read  chan struct{} // closed at the end of the terminal
}

// onScreen starts wsproxy in a terminal until the test ends.
func onScreen(t *testing.T, env []string, args ...string) *screened {
	t.Helper()
	s := &screened{cmd: exec.Command(program, args...), shown: newOutput(), read: make(chan struct{})}
	s.cmd.Env = append(append(os.Environ(), env...), "TERM=xterm-256color")
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	s.tty = tty
	kill := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	go func() {
		defer close(s.read)
		_, _ = io.Copy(s.shown, tty) // to the end of the terminal
		s.shown.end()
	}()
	t.Cleanup(func() {
		kill.Stop()
		_ = s.cmd.Process.Kill() // mostly over already
		_ = tty.Close()
		<-s.read
	})
	return s
}

// quit leaves the screen, waits for wsproxy's end, and answers its code and what came
// behind the screen.
func (s *screened) quit(t *testing.T) (code int, after string, ok bool) {
	t.Helper()
	if _, err := s.tty.WriteString("Q"); err != nil {
		t.Fatal(err)
	}
	<-s.read
	_ = s.cmd.Wait() // its code tells
	_, after, ok = strings.Cut(s.shown.String(), "\x1b[?1049l")
	return s.cmd.ProcessState.ExitCode(), after, ok
}

// With --screen the command's output waits until the user leaves.
func TestRunScreen(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	server := serve(t, site(nil)).Addr
	s := onScreen(t, home(t), "run", "--screen", "--", "sh", "-c", `trap "" TERM; echo "these are spoken words"; curl -s --max-time 20 "$1"; exit 4`, "sh", "http://"+server+"/")
	before := s.shown.wait(t, server, 1)
	if strings.Contains(before, "spoken words") { // the page itself may be shown
		t.Errorf("the command wrote into the screen:\n%q", before)
	}
	code, after, ok := s.quit(t)
	if code != 4 || !ok || !strings.Contains(after, "these are spoken words") || !strings.Contains(after, "<p>a page</p>") || !strings.Contains(after, "1 HTTP exchange") {
		t.Errorf("exit code %d:\n%q", code, after)
	}
}

// Java's own clients come through wsproxy, to loopback too, and trust it.
func TestRunJava(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("java", "javac")) {
		return
	}
	plain := "http://" + serve(t, site(nil)).Addr
	addr, cert := secureSite(t)
	p, code := wsproxyRun(t, runEnv(t, cert), "--", "java", "-XX:TieredStopAtLevel=1", "java/Ways.java", plain, "https://"+addr)
	want := `URL http: <p>a page</p>
HttpClient http: 200 <p>a page</p>
WebSocket http: hello 1000
URL https: <p>a page</p>
HttpClient https: 200 <p>a page</p>
WebSocket https: hello 1000
`
	if got := p.stdout.String(); got != want || code != 0 {
		t.Errorf("exit code %d, the program says\n%s%s", code, got, p.stderr)
	}
	if !strings.Contains(p.stderr.String(), "2 sessions (0 refused), 8 frames, 0 findings, 4 HTTP exchanges\n") {
		t.Errorf("the summary is\n%s", p.stderr)
	}
}
