package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
	"github.com/wsproxy/wsproxy/record"
)

// echoTCP sends back what comes, and ends when that does.
func echoTCP(t *testing.T) string {
	t.Helper()
	l := listenTCP(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // a client that has gone has seen enough
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// legs are the digests of a recording's bytes behind the heads: a WebSocket's
// payloads, and the stream's bytes.
type legs struct {
	streams
	stream map[inspect.ConnID]*[2][]byte
}

func (s legs) Open(c inspect.ConnInfo) {
	s.streams.Open(c)
	s.stream[c.ID] = &[2][]byte{}
}

func (s legs) Chunk(c inspect.Chunk) {
	s.streams.Chunk(c)
	if c.Leg == inspect.ServerLeg {
		s.stream[c.Conn][c.Dir] = append(s.stream[c.Conn][c.Dir], c.Data...)
	}
}

// TestBridgeToTCP: a client talks through a bridge, in binary and in base64, and both
// legs are recorded.
func TestBridgeToTCP(t *testing.T) {
	if leftOut(t, pythonMissing()) {
		return
	}
	for _, protocol := range []string{"binary", "base64"} {
		t.Run(protocol, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.pcapng")
			p := startProxy(t, "--plain", "--record", path, "tcp://"+echoTCP(t))
			client := start(t, nil, python, "python/bridge.py", p.addr, protocol)
			if code := client.wait(t); code != 0 || client.stdout.String() != "echoed 320000 1000\n" {
				t.Errorf("exit code %d: %s%s", code, client.stdout, client.stderr)
			}
			p.stdout.wait(t, "  end ", 1)
			p.stop(t)
			bothLegs(t, path, 320_000)
		})
	}
}

// bothLegs checks that the stream's leg holds what the frames carry, n bytes each way.
func bothLegs(t *testing.T, path string, n int) {
	t.Helper()
	got := legs{streams{}, map[inspect.ConnID]*[2][]byte{}}
	if err := record.Follow(context.Background(), path, nil, got); err != nil {
		t.Error(err)
	}
	for _, s := range got.stream {
		if len(s[0]) != n || len(s[1]) != n || sha256.Sum256(s[0]) != sha256.Sum256(s[1]) {
			t.Errorf("%d and %d bytes of the stream are recorded", len(s[0]), len(s[1]))
		}
	}
	var size [2]int64
	for _, l := range show(t, path) {
		if l.Event == "frame" && (l.Op == "binary" || l.Op == "text") {
			size[map[string]int{"to-server": 0, "to-client": 1, ">": 0, "<": 1}[l.Dir]] += l.Len
		}
		if len(l.Findings) > 0 {
			t.Errorf("findings: %+v", l)
		}
	}
	if len(got.stream) != 1 || size[0] < int64(n) || size[1] < int64(n) {
		t.Errorf("%d connections, frames of %v bytes", len(got.stream), size)
	}
}

// TestBridgeToWebsockify: a client that speaks nothing but TCP reaches an echo of
// bytes through a bridge and websockify.
func TestBridgeToWebsockify(t *testing.T) {
	if leftOut(t, needs("websockify")) {
		return
	}
	free := listenTCP(t)
	addr := free.Addr().String()
	_ = free.Close() // websockify takes no listener and no port 0
	server := start(t, nil, "websockify", addr, echoTCP(t))
	path := filepath.Join(t.TempDir(), "a.pcapng")
	p := &proxied{process: start(t, home(t), program, "--listen", "tcp://127.0.0.1:0", "--plain", "--record", path, "ws://"+addr+"/websockify")}
	p.listens(t)
	server.stderr.wait(t, "proxying from", 1)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := (&wstest.Dialer{}).DialContext(ctx, "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := bytes.Repeat([]byte("from end to end "), 20_000)
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		if _, err := c.Write(sent); err != nil {
			t.Error(err)
		}
	})
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("what came back differs: %v", err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
		t.Errorf("behind it came %q, %v", rest, err)
	}
	p.stdout.wait(t, "  end ", 1)
	p.stop(t)
	bothLegs(t, path, len(sent))
}
