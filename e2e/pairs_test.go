package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// peer is a library's client and server, each a process.
type peer struct {
	name    string
	env     func(role string) []string
	command func(role string) []string
	missing func() string
}

// nodeModules is where .ci/tools installs the Node peers' library.
const nodeModules = "../.cache/node/node_modules"

// python is Debian's own, which has python3-websockets.
const python = "/usr/bin/python3"

var peers = []peer{
	{
		name:    "gorilla",
		env:     func(role string) []string { return []string{peerEnv + "=gorilla-" + role} },
		command: func(string) []string { return []string{os.Args[0]} },
		missing: func() string { return "" },
	},
	{
		name:    "coder",
		env:     func(role string) []string { return []string{peerEnv + "=coder-" + role} },
		command: func(string) []string { return []string{os.Args[0]} },
		missing: func() string { return "" },
	},
	{
		name:    "python",
		env:     func(string) []string { return nil },
		command: func(role string) []string { return []string{python, "python/" + role + ".py"} },
		missing: pythonMissing,
	},
	{
		name: "node",
		env: func(string) []string {
			dir, err := filepath.Abs(nodeModules)
			if err != nil {
				dir = nodeModules
			}
			return []string{"NODE_PATH=" + dir}
		},
		command: func(role string) []string { return []string{"node", "node/" + role + ".js"} },
		missing: nodeMissing,
	},
}

func pythonMissing() string {
	if exec.Command(python, "-c", "import websockets").Run() != nil {
		return "python3-websockets"
	}
	return ""
}

func nodeMissing() string {
	if missing := needs("node"); missing != "" {
		return missing
	}
	if _, err := os.Stat(nodeModules + "/ws"); err != nil {
		return "the npm package ws"
	}
	return ""
}

func (p peer) start(t *testing.T, role string, args ...string) *process {
	t.Helper()
	c := p.command(role)
	return start(t, p.env(role), c[0], append(c[1:], args...)...)
}

// serve starts the server and answers its address.
func (p peer) serve(t *testing.T) string {
	t.Helper()
	_, addr := p.server(t)
	return addr
}

// server starts the server and answers its process too.
func (p peer) server(t *testing.T) (*process, string) {
	t.Helper()
	s := p.start(t, "server")
	said := s.stdout.wait(t, "\n", 1)
	addr, ok := strings.CutPrefix(strings.TrimSpace(said), "listening ")
	if !ok {
		t.Fatalf("the %s server says %q", p.name, said)
	}
	return s, addr
}

// scenes are the connections of a client, in this order, with how wsproxy says
// they ended and what the client says of the end: 0 where it does not say.
var scenes = []struct {
	name, word string
	code       int
	reason     string
	ends       wstest.Endings
}{
	{"talk", "1000", 1000, "", wstest.Endings{Client: inspect.Fin, Server: inspect.Fin}},
	{"bye", "1001", 1001, "going away now", wstest.Endings{Client: inspect.Fin, Server: inspect.Fin}},
	{"fin", "1006 client fin", 1006, "", wstest.Endings{Client: inspect.Fin, Server: inspect.Fin}},
	{"rst", "1006 client rst", 1006, "", wstest.Endings{Client: inspect.Rst}},
	{"server-fin", "1006 server fin", 1006, "", wstest.Endings{Client: inspect.Fin, Server: inspect.Fin}},
	{"server-rst", "1006 server rst", 1006, "", wstest.Endings{Server: inspect.Rst}},
	{"kill", "1006 client fin", 0, "", wstest.Endings{Client: inspect.Fin, Server: inspect.Fin}},
}

// conversation is what each client sends and hears back.
func conversation() []message {
	whole := func(op, s string) message { return message{op, [][]byte{[]byte(s)}} }
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	var big strings.Builder
	for i := 0; big.Len() < 100<<10; i++ {
		fmt.Fprintf(&big, `{"n":%d,"square":%d},`, i, i*i)
	}
	return []message{
		whole("text", `{"type":"hello","from":"client"}`),
		whole("text", `{"type":"hello","text":"grüße ✓ 日本"}`),
		whole("text", `{"type":"hello","from":"client"}`), // with context takeover a few bytes
		whole("binary", string(every)),
		whole("text", big.String()),
		whole("text", ""),
		{"text", [][]byte{[]byte("three "), []byte("frag"), []byte("ments")}},
		{"binary", [][]byte{every[:100], every[100:]}},
	}
}

// Each client talks to each server through a tee, wsproxy and another tee.
func TestPairs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conversation.json")
	b, err := json.Marshal(conversation())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	servers := map[string]string{}
	missing := map[string]string{}
	for _, p := range peers {
		if missing[p.name] = p.missing(); missing[p.name] == "" {
			servers[p.name] = p.serve(t)
		}
	}
	for _, c := range peers {
		for _, s := range peers {
			t.Run(c.name+" to "+s.name, func(t *testing.T) {
				t.Parallel()
				if leftOut(t, missing[c.name]) || leftOut(t, missing[s.name]) {
					return
				}
				for range wstest.Count("conversations of a pair") {
					newPair(t, servers[s.name]).run(c, file)
				}
			})
		}
	}
}

// pair is a wsproxy between two tees, in front of a server.
type pair struct {
	t             *testing.T
	before, after *wstest.Tee
	proxy         *proxied
	recording     string
	way           string // into a forward proxy; empty: it is a reverse proxy
}

func newPair(t *testing.T, server string) *pair {
	t.Helper()
	p := &pair{t: t, recording: filepath.Join(t.TempDir(), "pair.pcapng")}
	p.after = newTee(t, server)
	p.proxy = startProxy(t, "--plain", "--record", p.recording, "ws://"+p.after.Addr)
	p.before = newTee(t, p.proxy.addr)
	return p
}

func newTee(t *testing.T, target string) *wstest.Tee {
	t.Helper()
	tee, err := wstest.NewTee(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tee.Close(); err != nil {
			t.Error(err)
		}
	})
	return tee
}

func (p *pair) run(c peer, file string) {
	t := p.t
	t.Helper()
	args := []string{"ws://" + p.before.Addr, file}
	if p.way != "" {
		args[0] = "ws://" + p.after.Addr
		c.env = p.through(c.env)
	}
	for _, s := range scenes {
		args = append(args, s.name)
	}
	client := c.start(t, "client", args...)
	client.stdout.wait(t, `"kill"`, 1)
	if err := client.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	client.wait(t)
	reports := readReports(t, client.stdout.String())
	if len(reports) != len(scenes) {
		t.Fatalf("the client told of %d connections:\n%s%s", len(reports), client.stdout, client.stderr)
	}
	for i, s := range scenes {
		p.sameOnBothSides(i, s.name, s.ends)
		if r := reports[i]; s.code != 0 && (r.Code != s.code || s.reason != "" && r.Reason != s.reason) {
			t.Errorf("%s: the client saw %d %q", s.name, r.Code, r.Reason)
		}
	}
	talked(t, reports[0])
	p.proxy.stop(t)
	p.showsTheSame(reports)
}

func readReports(t *testing.T, text string) []report {
	t.Helper()
	var all []report
	for l := range strings.Lines(text) {
		var r report
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("%v in %q", err, l)
		}
		all = append(all, r)
	}
	return all
}

// talked checks that the client said all that it was to say and heard it back.
func talked(t *testing.T, r report) {
	t.Helper()
	var want []told
	for _, m := range conversation() {
		want = append(want, tell(m.Op, slices.Concat(m.Parts...)))
	}
	less := func(a, b told) int { return strings.Compare(a.Sum, b.Sum) }
	slices.SortStableFunc(want, less) // a client may begin elsewhere
	for what, got := range map[string][]told{"sent": r.Sent, "got": r.Got} {
		got = slices.Clone(got)
		slices.SortStableFunc(got, less)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %+v\nwant %+v", what, got, want)
		}
	}
	if r.Pongs != 1 {
		t.Errorf("%d pongs", r.Pongs)
	}
}

// sameOnBothSides compares a connection's bytes and endings before and behind
// wsproxy.
func (p *pair) sameOnBothSides(n int, scene string, ends wstest.Endings) {
	t := p.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, err := p.before.Wait(ctx, n)
	if err != nil {
		t.Fatalf("%s: before wsproxy: %v", scene, err)
	}
	b, err := p.after.Wait(ctx, n)
	if err != nil {
		t.Fatalf("%s: behind wsproxy: %v", scene, err)
	}
	if a.Ends() != ends || b.Ends() != ends {
		t.Errorf("%s: ends before wsproxy %v, behind it %v, want %v", scene, a.Ends(), b.Ends(), ends)
	}
	down := p.entered(a.Bytes(inspect.ToClient), "HTTP/1.1 101 ")
	if !bytes.HasPrefix(down, []byte("HTTP/1.1 101 ")) {
		t.Errorf("%s: the answer is %.80q", scene, down)
	}
	differ(t, scene+", to the client", down, b.Bytes(inspect.ToClient))
	up := p.entered(a.Bytes(inspect.ToServer), "GET ")
	head, frames, _ := bytes.Cut(up, []byte("\r\n\r\n"))
	if p.way == "" {
		head = rewritten(head, p.before.Addr, p.after.Addr)
	} else {
		head = bytes.Replace(proxyLines.ReplaceAll(head, nil), []byte("GET http://"+p.after.Addr+"/"), []byte("GET /"), 1)
	}
	differ(t, scene+", to the server", append(append(head, "\r\n\r\n"...), frames...), b.Bytes(inspect.ToServer))
}

// hosts are the lines of a head that wsproxy may change.
var hosts = regexp.MustCompile(`(?im)^(host:\s*|origin:\s*http://)(\S*)`)

// rewritten is a request's head as the server must get it.
func rewritten(head []byte, from, to string) []byte {
	return hosts.ReplaceAllFunc(head, func(l []byte) []byte {
		return bytes.Replace(l, []byte(from), []byte(to), 1)
	})
}

// differ tells the first byte in which two streams differ.
func differ(t *testing.T, what string, a, b []byte) {
	t.Helper()
	if bytes.Equal(a, b) {
		return
	}
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	t.Errorf("%s: %d and %d bytes, which differ at %d: %.60q and %.60q", what, len(a), len(b), i, a[i:], b[i:])
}

// showsTheSame compares what `wsproxy show` says of the recording with what the
// client said.
func (p *pair) showsTheSame(reports []report) {
	t := p.t
	t.Helper()
	sessions := map[string][]line{}
	paths := map[int]string{}
	for _, l := range show(t, p.recording) {
		if l.Event == "open" {
			paths[l.Session] = strings.TrimPrefix(strings.TrimPrefix(l.Path, "ws://"+p.after.Addr), "/")
		}
		sessions[paths[l.Session]] = append(sessions[paths[l.Session]], l)
	}
	for i, s := range scenes {
		lines := sessions[s.name]
		if len(lines) == 0 {
			t.Errorf("%s is not in the recording", s.name)
			continue
		}
		if end := lines[len(lines)-1]; end.Event != "end" || end.Word != s.word {
			t.Errorf("%s ends with %s %q: %s", s.name, end.Event, end.Word, end.Detail)
		}
		sent, got := messages(lines)
		if r := reports[i]; !slices.Equal(sent, summed(r.Sent)) || !slices.Equal(got, summed(r.Got)) {
			t.Errorf("%s: the recording has %v up, %v down; the client said %v and %v", s.name, sent, got, r.Sent, r.Got)
		}
		for _, l := range lines {
			for _, f := range l.Findings {
				t.Errorf("%s: finding %s at %+v", s.name, f.ID, l)
			}
		}
	}
	talkedAbout(t, sessions["talk"])
}

// talkedAbout checks what only frames tell: compression, ping, pong and Close.
func talkedAbout(t *testing.T, lines []line) {
	t.Helper()
	if !strings.HasPrefix(lines[0].Extensions, "permessage-deflate") {
		t.Errorf("no compression was agreed on: %+v", lines[0])
	}
	n := map[string]int{}
	for _, l := range lines {
		n[l.Dir+l.Op]++
		if l.flag("rsv1") {
			n[l.Dir+"rsv1"]++
		}
		if l.Op == "close" && (l.Code != 1000 || l.Dir == ">" && l.Text != "done") {
			t.Errorf("Close %s %d %q", l.Dir, l.Code, l.Text)
		}
	}
	for _, what := range []string{">ping", "<pong", ">rsv1", "<rsv1", ">close", "<close", ">cont"} {
		if n[what] == 0 {
			t.Errorf("no %s: %v", what, n)
		}
	}
}

type sum struct {
	size int
	sum  string
}

func summed(all []told) (sums []sum) {
	for _, m := range all {
		sums = append(sums, sum{m.Size, m.Sum})
	}
	return sums
}

// messages are the data messages of a session, each way.
func messages(lines []line) (up, down []sum) {
	for _, l := range lines {
		if l.Event != "frame" || !l.flag("fin") || l.Op != "text" && l.Op != "binary" && l.Op != "cont" {
			continue
		}
		data := l.Binary
		if data == nil {
			data = []byte(l.Text)
		}
		m := sum{int(l.Size), tell("", data).Sum}
		if l.Dir == ">" {
			up = append(up, m)
		} else {
			down = append(down, m)
		}
	}
	return up, down
}
