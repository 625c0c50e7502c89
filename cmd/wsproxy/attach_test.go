package main

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// attach runs the command until it ends by itself.
func attach(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = wsproxy(append([]string{"attach", "--plain"}, args...), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestAttach(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	if code, _, stderr := attach(); code != exitFailed || !strings.Contains(stderr, "no wsproxy is running") {
		t.Errorf("none runs: %d %s", code, stderr)
	}
	var runs []*recording
	for _, title := range []string{"127.0.0.1:8080 → ws://localhost:3000", "127.0.0.1:8081 → ws://localhost:4000"} {
		r, err := openRecording(rootFlags{}, record.MinKeep, title, &notices{out: &bytes.Buffer{}})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	if code, _, stderr := attach(); code != exitUsage || !strings.Contains(stderr, "2 of them are running") || !strings.Contains(stderr, "ws://localhost:4000") {
		t.Errorf("two run: %d %s", code, stderr)
	}
	if code, _, stderr := attach("nowhere"); code != exitFailed || !strings.Contains(stderr, `for "nowhere"`) {
		t.Errorf("another is asked for: %d %s", code, stderr)
	}
	w := runs[1].writer
	w.Open(inspect.ConnInfo{ID: 7, Time: time.Now(), Client: inspect.Endpoints{Local: "127.0.0.1:8081", Remote: "127.0.0.1:5000"}})
	w.Chunk(inspect.Chunk{Conn: 7, Time: time.Now(), Data: []byte("GET /here HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")})
	w.Chunk(inspect.Chunk{Conn: 7, Dir: inspect.ToClient, Time: time.Now(), Data: []byte("HTTP/1.1 101 OK\r\n\r\n")})
	var shown, said lines
	done := make(chan int, 1)
	go func() { done <- wsproxy([]string{"attach", "--plain", "8081"}, strings.NewReader(""), &shown, &said) }()
	for by := time.Now().Add(60 * time.Second); !strings.Contains(shown.String(), "s1  open   101  /here"); runtime.Gosched() {
		if time.Now().After(by) {
			t.Fatalf("attached, and nothing came: %s %s", shown.String(), said.String())
		}
	}
	if err := runs[1].close(); err != nil { // what is shown ends with the run
		t.Fatal(err)
	}
	if code := <-done; code != exitOK || !strings.Contains(said.String(), "1 session") {
		t.Errorf("attached: %d %s", code, said.String())
	}
	if err := runs[0].close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		r.farewell(&bytes.Buffer{}, true)
	}
}

// lines are what a command that goes on has written so far.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
