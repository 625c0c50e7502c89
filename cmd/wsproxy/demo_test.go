package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/internal/wstest"
	"go.uber.org/goleak"
)

// On a screen the demo goes on until it is told to end, and leaves nothing.
func TestDemoGoesOn(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	asked := make(chan string, 1000)
	mux := demoServer()
	server, err := wstest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		mux.ServeHTTP(w, r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	d := &demo{addr: server.Addr, pace: pace{first: time.Microsecond, later: time.Microsecond, beat: time.Microsecond}}
	played := make(chan error, 1)
	go func() { played <- d.play(ctx) }()
	seen := map[string]int{}
	for limit := time.After(60 * time.Second); seen["/mistakes"] < 3 || seen["/heartbeat"] < 1; {
		select {
		case p := <-asked:
			seen[p]++
		case err := <-played:
			t.Fatalf("the demo has ended: %v", err)
		case <-limit:
			t.Fatalf("only these were asked for: %v", seen)
		}
	}
	stop()
	if err := <-played; err != nil {
		t.Error(err)
	}
	if len(seen) != len(scenes)+1 || seen["/heartbeat"] != 1 {
		t.Errorf("asked for: %v", seen)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}

// A scene that goes wrong ends the demo and is named.
func TestDemoNamesWhatWentWrong(t *testing.T) {
	server, err := wstest.Serve(http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{addr: server.Addr, open: func() int { return 0 }}
	if err := d.play(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "the demo's client at /text: ") {
		t.Errorf("error %v", err)
	}
	d.pace = pace{first: time.Hour, later: time.Hour, beat: time.Hour}
	if err := d.play(t.Context()); err == nil {
		t.Error("no error with a pace")
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}

// writes calls itself with what is written.
type writes func(b []byte)

func (w writes) Write(b []byte) (int, error) { w(b); return len(b), nil }

// Ctrl-C in the middle ends the clients, the proxy and the server.
func TestDemoInterrupted(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, interrupt := context.WithCancelCause(context.Background())
	defer interrupt(nil)
	var said bytes.Buffer
	root := rootCmd()
	root.SetArgs([]string{"demo", "--plain", "--listen", "127.0.0.1:0"})
	root.SetOut(writes(func([]byte) { interrupt(signalError{os.Interrupt}) })) // at the first line
	root.SetErr(&said)
	if code := report(&said, root.ExecuteContext(ctx)); code != exitInterrupt {
		t.Errorf("exit code %d", code)
	}
	if got := said.String(); !strings.Contains(got, " refused), ") || strings.Contains(got, "error:") {
		t.Errorf("wsproxy says\n%s", got)
	}
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{"127.0.0.1:1": "127.0.0.1:1", "[::1]:2": "[::1]:2", "0.0.0.0:3": "localhost:3", "[::]:4": "localhost:4"} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(a); got != want {
			t.Errorf("%s is reached at %s, not %s", addr, got, want)
		}
	}
}
