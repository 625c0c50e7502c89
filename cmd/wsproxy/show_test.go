package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// TestForeignPorts: show says how tshark is told that a port is not another
// protocol's, and what it says works.
func TestForeignPorts(t *testing.T) {
	for _, port := range []string{"22", "1883", "3306", "5432", "5900", "6379", "8080"} {
		path := filepath.Join(t.TempDir(), port+".pcapng")
		w, err := record.Create(record.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		w.Open(inspect.ConnInfo{ID: 1, Mode: "reverse", Time: now, Client: inspect.Endpoints{Local: "127.0.0.1:" + port, Remote: "127.0.0.1:40001"}})
		up := "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
		down := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
		w.Chunk(inspect.Chunk{Conn: 1, Time: now, Data: []byte(up)})
		w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: now, Data: []byte(down)})
		w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: now, Off: int64(len(down)), Data: []byte("\x81\x05Hello")})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var out, stderr bytes.Buffer
		if code := wsproxy([]string{"show", "--plain", path}, nil, &out, &stderr); code != 0 {
			t.Errorf("port %s: exit %d\n%s", port, code, stderr.String())
		}
		_, hint, ok := strings.Cut(stderr.String(), "to see the frames there: tshark ")
		if ok != (port != "8080") {
			t.Errorf("port %s: %q", port, stderr.String())
		}
		shark, err := exec.LookPath("tshark")
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("tshark is not installed (.ci/tools installs it)")
			}
			t.Log("tshark is not installed: whether the hint works is left out")
			continue
		}
		args := append([]string{"-Y", "websocket.payload.text"}, strings.Fields(hint)...)
		if !ok {
			args = append(args, "-r", path)
		}
		seen, err := exec.Command(shark, args...).Output()
		if err != nil || !bytes.Contains(seen, []byte("WebSocket Text")) {
			t.Errorf("tshark %q: %q, %v", args, seen, err)
		}
	}
}

// What leads past wsproxy is told once, and of a few alone.
func TestPastHint(t *testing.T) {
	var said strings.Builder
	var hint pastHint
	for _, to := range []string{"/a", "http://localhost:3000/a", "http://localhost:3000/a", "http://localhost:3000/b", "http://localhost:3000/c", "http://localhost:3000/d"} {
		e := &inspect.Exchange{Conn: inspect.ConnInfo{Mode: "reverse", Target: "ws://localhost:3000"},
			Request:  &inspect.Head{Method: "GET", Target: "/", Fields: []inspect.HeaderField{{Name: "Host", Value: "localhost:8080"}}},
			Response: &inspect.Head{Status: 302, Fields: []inspect.HeaderField{{Name: "Location", Value: to}}}}
		hint.see(&said, e)
	}
	hint.see(&said, &inspect.Closed{})
	if got := said.String(); strings.Count(got, "\n") != 3 || !strings.HasPrefix(got, "wsproxy: hint: past wsproxy: / redirects to http://localhost:3000/a; ") || strings.Contains(got, "/d") {
		t.Errorf("said:\n%s", got)
	}
}

// docs/output.md has the table of a filter's fields as the help prints it.
func TestFieldDocs(t *testing.T) {
	var b strings.Builder
	printFields(&b)
	text, err := os.ReadFile("../../docs/output.md")
	if want := strings.ReplaceAll("\n"+strings.TrimRight(b.String(), "\n"), "\n  ", "\n    "); err != nil || !strings.Contains(string(text), want) {
		t.Errorf("docs/output.md lacks the table of fields, which wsproxy help filter prints (%v):\n%s", err, want)
	}
}
