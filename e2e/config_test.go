package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// named is a server that says who it is and what it was asked for, and echoes on its
// sockets.
func named(t *testing.T, name string) *wstest.Server {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			wstest.Echo(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %s %q", name, r.Method, r.RequestURI, r.Header["Authorization"])
	}))
}

// addresses are where a wsproxy that is ready listens.
func (p *proxied) addresses() (all []string) {
	for line := range strings.Lines(p.stderr.String()) {
		if rest, ok := strings.CutPrefix(line, "listening on "); ok {
			_, rest, _ = strings.Cut(rest, "://")
			at, _, _ := strings.Cut(rest, " ")
			all = append(all, at)
		}
	}
	return all
}

// fetch is what curl gets, without the head, and its exit code.
func fetch(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "curl", append([]string{"--silent", "--max-time", "20"}, args...)...)
	out, _ := cmd.Output() // its exit code says the same
	return string(out), cmd.ProcessState.ExitCode()
}

// TestConfigFile: several listeners of every kind in one run, one recording that says
// which of them and which target each request took, and no password in it.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	a, b := named(t, "A"), named(t, "B")
	dir := t.TempDir()
	text := strings.NewReplacer("ADDR_A", a.Addr, "ADDR_B", b.Addr).Replace(`
record = "all.pcapng"
plain = true
exchanges = true

[[listeners]]
listen = "127.0.0.1:0"
target = "ws://ADDR_A"

[[listeners]]
listen = "https://127.0.0.1:0"
auth = "me:s3cret-word"
target = "http://ADDR_A"
[[listeners.targets]]
sni = "*.b.test"
target = "http://ADDR_B/by-name"
[[listeners.targets]]
path = "/strip"
strip = true
target = "http://ADDR_B"

[[listeners]]
mode = "forward"
listen = "127.0.0.1:0"
socks = "127.0.0.1:0"
auth = "me:s3cret-word"
`)
	file := filepath.Join(dir, "w.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := t.TempDir()
	env := append(home(t), "WSPROXY_CA_DIR="+ca)
	if said := output1(t, env, program, "config", "check", file); !strings.Contains(said, "http://127.0.0.1:0 -> ws://"+a.Addr) || !strings.Contains(said, "TLS for *.b.test -> ") {
		t.Errorf("the check says\n%s", said)
	}
	p := &proxied{process: start(t, env, program, "-c", file)}
	p.listens(t)
	at := p.addresses()
	if len(at) != 4 {
		t.Fatalf("it listens on %s:\n%s", at, p.stderr)
	}
	trusted := []string{"--noproxy", "*", "--cacert", filepath.Join(ca, "ca.pem")}
	user, wrong := []string{"-u", "me:s3cret-word"}, []string{"-u", "me:wr0ng-word"}
	with := func(more ...[]string) []string { return slices.Concat(append([][]string{trusted}, more...)...) }
	www := []string{"--connect-to", "www.b.test:443:" + at[1], "https://www.b.test/x"}
	proxyURL := func(scheme, user, at string) []string {
		return []string{"--noproxy", "", "--proxy", scheme + "://" + user + at, "http://" + a.Addr + "/via-" + scheme}
	}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{with([]string{"http://" + at[0] + "/one"}), "A GET /one []", 0},
		{with(user, []string{"https://" + at[1] + "/two"}), "A GET /two []", 0},
		{with(user, []string{"https://" + at[1] + "/strip/three?q", "https://" + at[1] + "/four"}), "B GET /three?q []A GET /four []", 0},
		{with(user, www), "B GET /by-name/x []", 0},
		{with(www), "wsproxy: A user and a password are asked for here (--auth), and the request carries none.\n", 0},
		{with(wrong, www), "wsproxy: A user and a password are asked for here (--auth), and that of the request is wrong.\n", 0},
		{with(user, []string{"-H", "Host: evil.test", "https://" + at[1] + "/"}), "wsproxy: Wsproxy stands in front of http://" + a.Addr + " and does not answer for the host \"evil.test\"; start it with --allow-host evil.test if it should.\n", 0},
		{proxyURL("http", "me:s3cret-word@", at[2]), "A GET /via-http []", 0},
		{append([]string{"--proxytunnel"}, proxyURL("http", "me:s3cret-word@", at[2])...), "A GET /via-http []", 0},
		{proxyURL("http", "", at[2]), "wsproxy: This proxy asks for a user and a password (--auth), and the request carries none: http://user:password@" + at[2] + ".\n", 0},
		{proxyURL("http", "me:wr0ng-word@", at[2]), "wsproxy: This proxy asks for a user and a password (--auth), and that of the request is wrong: http://user:password@" + at[2] + ".\n", 0},
		{append([]string{"--proxytunnel"}, proxyURL("http", "me:wr0ng-word@", at[2])...), "", 56},
		{proxyURL("socks5h", "me:s3cret-word@", at[3]), "A GET /via-socks5h []", 0},
		{proxyURL("socks5", "me:wr0ng-word@", at[3]), "", 97},
		{[]string{"--noproxy", "", "--proxy", "http://me:s3cret-word@" + at[2], "http://" + at[0] + "/"}, "wsproxy: " + at[0] + " is wsproxy itself, which would connect to itself for ever.\n", 0},
	} {
		if got, code := fetch(t, c.args...); got != c.want || code != c.code {
			t.Errorf("curl %v: exit code %d, %q\nnot %d, %q", c.args, code, got, c.code, c.want)
		}
	}
	talkTo(t, at[0], "/socket", "hello through the first")
	p.stdout.wait(t, "s1  end ", 1)
	if said := p.stdout.String(); !strings.Contains(said, "http   200  GET /strip/three?q -> http://"+b.Addr) || !strings.Contains(said, "open   101  /socket -> ws://"+a.Addr) {
		t.Errorf("the lines do not say where requests went:\n%s", said)
	}
	p.stop(t)
	recording := filepath.Join(dir, "all.pcapng")
	whole, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cret-word", "wr0ng-word", base64.StdEncoding.EncodeToString([]byte("me:s3cret-word")), base64.StdEncoding.EncodeToString([]byte("me:wr0ng-word"))} {
		if bytes.Contains(whole, []byte(secret)) || strings.Contains(p.stdout.String()+p.stderr.String(), secret) {
			t.Errorf("%s is in the recording or was said", secret)
		}
	}
	if strings.Contains(p.stderr.String(), "the recording holds credentials") {
		t.Errorf("it warns of what it has left out:\n%s", p.stderr)
	}
	targets := map[string]string{}
	for _, l := range show(t, recording, "--exchanges") {
		if l.Event == "http" && l.Status == 200 || l.Event == "open" {
			targets[l.Path] = l.Target + " by " + l.Listener
		}
	}
	for path, want := range map[string]string{"/one": "ws://" + a.Addr + " by " + at[0], "/strip/three?q": "http://" + b.Addr + " by " + at[1], "/x": "http://" + b.Addr + "/by-name by " + at[1],
		"http://" + a.Addr + "/via-socks5h": "http://" + a.Addr + " by " + at[3], "/socket": "ws://" + a.Addr + " by " + at[0]} {
		if targets[path] != want {
			t.Errorf("%s went to %q, not to %q", path, targets[path], want)
		}
	}
}

// TestSeveralTargets: requests of one connection go each where they belong, files as
// well as sockets, by path and by host.
func TestSeveralTargets(t *testing.T) {
	t.Parallel()
	a, b := named(t, "A"), named(t, "B")
	p := startProxy(t, "--plain", "--exchanges", "/b=http://"+b.Addr, "b.localhost=ws://"+b.Addr+"/host", "/tcp=tcp://"+echoTCP(t), "ws://"+a.Addr)
	client := &http.Client{Transport: &http.Transport{DialContext: new(wstest.Dialer).DialContext}, Timeout: patience}
	defer client.CloseIdleConnections()
	reused := 0
	ask := func(host, path string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(i httptrace.GotConnInfo) {
				if i.Reused {
					reused++
				}
			}}), "POST", "http://"+p.addr+path, strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for range 3 {
		for _, c := range []struct{ host, path, want string }{
			{"localhost", "/", "A POST / []"},
			{"localhost", "/b/x?y", "B POST /b/x?y []"},
			{"localhost", "/bb", "A POST /bb []"},
			{"b.localhost", "/b", "B POST /host/b []"},
		} {
			if got := ask(c.host, c.path); got != c.want {
				t.Errorf("%s %s: %q, not %q", c.host, c.path, got, c.want)
			}
		}
	}
	if reused != 11 {
		t.Errorf("%d of 12 requests went on the one connection", reused)
	}
	talkTo(t, p.addr, "/b/socket", "hello b")
	talkTo(t, p.addr, "/socket", "hello a")
	d := websocket.Dialer{NetDialContext: new(wstest.Dialer).DialContext, HandshakeTimeout: patience}
	c, _, err := d.Dial("ws://"+p.addr+"/tcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMessage(websocket.BinaryMessage, []byte("bytes")); err != nil {
		t.Error(err)
	}
	if _, got, err := c.ReadMessage(); err != nil || string(got) != "bytes" {
		t.Errorf("the echo is %q, %v", got, err)
	}
	p.stop(t)
	said := p.stdout.String()
	for _, want := range []string{"/b/socket -> http://" + b.Addr, "/socket -> ws://" + a.Addr, "/tcp -> tcp://"} {
		if !strings.Contains(said, "open   101  "+want) {
			t.Errorf("no line says that a session went by %q:\n%s", want, said)
		}
	}
}

// TestBeyondLoopback: a listener that others can reach is refused in every mode,
// unless somebody is named.
func TestBeyondLoopback(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"ws://localhost:1"}, {"forward"}, {"run", "--", "true"}, {"tcp://localhost:1"}, {"/a=ws://localhost:1"}, {"demo"}} {
		args := slices.Insert(slices.Clone(args), min(1, len(args)-1), "--listen", "0.0.0.0:0")
		p := start(t, home(t), program, args...)
		if code := p.wait(t); code != 2 || !strings.Contains(p.stderr.String(), "wsproxy: hint: ") {
			t.Errorf("%v: exit code %d:\n%s", args, code, p.stderr)
		}
	}
	a := named(t, "A")
	p := startProxy(t, "--plain", "--listen", "0.0.0.0:0", "--allow", "192.0.2.0/24", "ws://"+a.Addr)
	if !strings.Contains(p.stderr.String(), "warning: other machines can reach 0.0.0.0:") && !strings.Contains(p.stderr.String(), "warning: other machines can reach [::]:") {
		t.Errorf("it says\n%s", p.stderr)
	}
	talkTo(t, p.addr, "/socket", "from this machine")
	p.stop(t)
}
