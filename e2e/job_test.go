package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/internal/wstest"
)

// The everyday job: a Python client talks to a Python server through wsproxy, a
// person watches, Wireshark opens what was recorded, and the recording stands in
// for the server.
func TestMainJob(t *testing.T) {
	t.Parallel()
	if leftOut(t, pythonMissing()) || leftOut(t, needs("tshark")) {
		return
	}
	py := peers[2]
	dir := t.TempDir()
	recording, file := filepath.Join(dir, "a.pcapng"), filepath.Join(dir, "conversation.json")
	text := func(s string) message { return message{"text", [][]byte{[]byte(s)}} }
	b, err := json.Marshal([]message{text(`{"type":"hello"}`), text(`{"type":"question","n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	server, addr := py.server(t)
	proxy := startProxy(t, "--plain", "--record", recording, "ws://"+addr)
	client := py.start(t, "client", "ws://"+proxy.addr, file, "talk", "kill")

	// Watched: the last lines come while the second session is still open.
	seen := proxy.stdout.wait(t, "still here", 2)
	for _, want := range []string{
		"s1  open   101  /talk    permessage-deflate",
		`{"type":"hello"}`, `{"type":"question","n":1}`,
		"s1  >  ping ", "s1  <  pong ",
		"s1  >  close       6  fin mask       1000 done",
		`s1  end    1000 by client "done", answered by server; then server FIN, client FIN; 2 messages up, 2 down`,
		"s2  open   101  /kill ",
	} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q was not to be seen:\n%s", want, seen)
		}
	}
	client.stdout.wait(t, `"kill"`, 1) // it has read everything, so its end is a FIN
	if err := client.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	proxy.stdout.wait(t, "s2  end    1006, no Close frame; then client FIN", 1)
	proxy.stop(t)
	for _, want := range []string{"2 sessions (0 refused), 10 frames, 0 findings", "look again: wsproxy show " + recording} {
		if got := proxy.stderr.String(); !strings.Contains(got, want) {
			t.Errorf("%q is not in the summary:\n%s", want, got)
		}
	}

	wireshark(t, recording)

	if err := server.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-server.done
	replayed(t, recording, func(addr string) int { return py.start(t, "client", "ws://"+addr, file, "talk").wait(t) })
}

// replayed serves the recording, with the server switched off, to the same client
// and to one that says something else.
func replayed(t *testing.T, recording string, client func(addr string) int) {
	t.Helper()
	replay := startProxy(t, "replay", recording, "--once")
	if code := client(replay.addr); code != 0 {
		t.Errorf("the client ended with %d against the recording:\n%s", code, replay.stderr)
	}
	if code := replay.wait(t); code != 0 || !strings.Contains(replay.stderr.String(), "not as recorded: 0") {
		t.Errorf("replay ended with %d:\n%s", code, replay.stderr)
	}

	replay = startProxy(t, "replay", recording, "--once")
	c, err := wstest.Dial(t.Context(), replay.addr, "/talk")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must(t, c.Send(wstest.Text(`{"type":"hullo"}`)))
	if _, err := c.Rest(); err != nil {
		t.Error(err)
	}
	if code := replay.wait(t); code != 1 || !strings.Contains(replay.stderr.String(), `$.type: expected "hello", got "hullo"`) {
		t.Errorf("replay of a client that differs ended with %d:\n%s", code, replay.stderr)
	}
}

// wireshark checks what tshark reads from the recording.
func wireshark(t *testing.T, recording string) {
	t.Helper()
	tshark := func(args ...string) string {
		// Among the ports that a system gives out are some that Wireshark takes
		// for another protocol's.
		all := append([]string{"-r", recording, "-d", "tcp.port==1-65535,http"}, args...)
		out, err := exec.CommandContext(t.Context(), "tshark", all...).Output()
		if err != nil {
			t.Fatalf("tshark: %v\n%s", err, stderrOf(err))
		}
		return string(out)
	}
	fields := tshark("-Y", "websocket", "-T", "fields", "-E", "separator=|", "-e", "tcp.dstport", "-e", "websocket.opcode",
		"-e", "websocket.payload.text", "-e", "websocket.payload.close.status_code", "-e", "websocket.payload.close.reason")
	var said []string
	for l := range strings.Lines(fields) {
		_, rest, _ := strings.Cut(strings.TrimSpace(l), "|") // the port is the test's, not the protocol's
		said = append(said, rest)
	}
	want := []string{
		`1|{"type":"hello"}||`, `1|{"type":"hello"}||`, `1|{"type":"question","n":1}||`, `1|{"type":"question","n":1}||`,
		"9|||", "10|||", "8||1000|done", "8||1000|done", "1|still here||", "1|still here||",
	}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("tshark reads\n%s\nwant\n%s\nof\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"), tshark())
	}
	if flagged := tshark("-Y", "tcp.analysis.flags"); flagged != "" {
		t.Errorf("tshark flags\n%s", flagged)
	}
}
