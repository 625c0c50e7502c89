//go:build unix

package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// TestUnixSockets: wsproxy between Unix sockets, as a relay and as a bridge, with a
// file that an earlier run left in the way.
func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	behind := filepath.Join(dir, "behind")
	l, err := net.Listen("unix", behind)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(wstest.Echo), ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		_ = server.Close()
		<-served
	}()
	front := filepath.Join(dir, "front")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: front, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()

	path := filepath.Join(dir, "a.pcapng")
	p := start(t, home(t), program, "--listen", "ws+unix:"+front, "--plain", "--record", path, "ws+unix:"+behind+":/deep")
	if said := p.stderr.wait(t, "ready\n", 1); !strings.Contains(said, "listening on ws+unix:"+front+" -> ws+unix:"+behind+":/deep\n") {
		t.Errorf("it says\n%s", said)
	}
	if st, err := os.Stat(front); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode: %v, %v", st, err)
	}
	bridge := start(t, home(t), program, "--listen", "unix:"+filepath.Join(dir, "raw"), "--plain", "ws+unix:"+front+":/chat")
	bridge.stderr.wait(t, "ready\n", 1)

	c, err := net.Dial("unix", filepath.Join(dir, "raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "through two of them"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("through two of them"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "through two of them" {
		t.Errorf("%q, %v", got, err)
	}
	_ = c.(*net.UnixConn).CloseWrite() // the rest follows from it
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	p.stdout.wait(t, "  end ", 1)
	for _, q := range []*process{bridge, p} {
		if err := q.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := q.wait(t); code != 130 {
			t.Errorf("exit code %d:\n%s", code, q.stderr)
		}
	}
	if _, err := os.Stat(front); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
	frames := 0
	for _, l := range show(t, path) {
		if l.Event == "open" && l.Path != "/chat" {
			t.Errorf("opened %s", l.Path)
		}
		if l.Op == inspect.OpBinary.String() {
			frames++
		}
	}
	if frames != 2 {
		t.Errorf("%d messages are recorded", frames)
	}
}
