//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
	"github.com/wsproxy/wsproxy/record"
)

// listenTCP is a listener whose accepted connections the test handles.
func listenTCP(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // mostly closed already
	return l.(*net.TCPListener)
}

// streams are the bytes of a recording's client legs behind the heads, by
// connection.
type streams map[inspect.ConnID]*[2][]byte

func (s streams) Open(c inspect.ConnInfo) { s[c.ID] = &[2][]byte{} }
func (s streams) Chunk(c inspect.Chunk) {
	if c.Leg == inspect.ClientLeg {
		s[c.Conn][c.Dir] = append(s[c.Conn][c.Dir], c.Data...)
	}
}
func (s streams) Note(inspect.Note) {}
func (s streams) End(inspect.Ended) {}

func behindHead(b []byte) []byte {
	_, rest, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	return rest
}

// TestSignalsLoseNothing: a signal under load ends wsproxy in order, and every
// byte that reached a peer is in the recording.
func TestSignalsLoseNothing(t *testing.T) {
	for range wstest.Count("signals under load") {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			signalled(t, sig)
		}
	}
}

func signalled(t *testing.T, sig syscall.Signal) {
	const sessions = 8
	echo, err := wstest.Serve(http.HandlerFunc(wstest.Echo))
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	behind, err := wstest.NewTee(echo.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	path := filepath.Join(t.TempDir(), "a.pcapng")
	p := startProxy(t, "--plain", "--record", path, "ws://"+behind.Addr)
	front, err := wstest.NewTee(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var echoed atomic.Int64
	busy := make(chan struct{})
	enough := int64(2000 + rand.IntN(4000))
	var load sync.WaitGroup
	defer load.Wait()
	var clients []*wstest.Conn
	for range sessions {
		c, err := wstest.Dial(ctx, front.Addr, "/")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	for _, c := range clients {
		inFlight := make(chan struct{}, 64)
		over := make(chan struct{})
		load.Go(func() {
			for n := 0; c.Send(wstest.Text(strconv.Itoa(n)+strings.Repeat(".", n%700))) == nil; n++ { // until the proxy ends
				select {
				case inFlight <- struct{}{}:
				case <-over:
					return
				}
			}
		})
		load.Go(func() {
			defer close(over)
			for {
				if _, _, err := c.Next(); err != nil {
					return
				}
				<-inFlight
				if echoed.Add(1) == enough {
					close(busy)
				}
			}
		})
	}
	select {
	case <-busy:
	case <-ctx.Done():
		t.Fatalf("%d messages came back of %d", echoed.Load(), enough)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 128+int(sig) {
		t.Errorf("%v: exit code %d:\n%s", sig, code, p.stderr)
	}
	load.Wait()
	for _, c := range clients {
		_ = c.Close() // the proxy's end is all they waited for
	}

	got := streams{}
	if err := record.Follow(ctx, path, nil, got); err != nil {
		t.Errorf("%v: %v", sig, err)
	}
	if len(got) != sessions {
		t.Errorf("%v: %d connections are recorded", sig, len(got))
	}
	var recorded [2][][]byte
	for _, s := range got {
		for d := range recorded {
			recorded[d] = append(recorded[d], behindHead(s[d]))
		}
	}
	for n := range sessions {
		up, err := behind.Wait(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		down, err := front.Wait(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		covered(t, recorded[inspect.ToServer], behindHead(up.Bytes(inspect.ToServer)))
		covered(t, recorded[inspect.ToClient], behindHead(down.Bytes(inspect.ToClient)))
	}
}

// covered says that one of the recorded streams begins with what a peer got.
func covered(t *testing.T, recorded [][]byte, got []byte) {
	t.Helper()
	if len(got) == 0 {
		t.Error("a peer got nothing")
		return
	}
	if !slices.ContainsFunc(recorded, func(r []byte) bool { return bytes.HasPrefix(r, got) }) {
		t.Errorf("a peer got %d bytes that no recorded stream begins with", len(got))
	}
}

// resident is a process's resident memory in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0 // no such file here: other systems keep to the limits all the same
	}
	_, rest, ok := strings.Cut(string(status), "VmRSS:")
	kib, convErr := strconv.Atoi(strings.Fields(rest + " x")[0])
	if err != nil || !ok || convErr != nil {
		t.Fatalf("%v in %q, %v", convErr, status, err)
	}
	return kib << 10
}

// TestBackPressure: a reader that stops reading stops its sender through the
// proxy, which takes no more into memory; what was sent arrives when it reads on.
func TestBackPressure(t *testing.T) {
	for _, way := range []string{"to-client", "to-server"} {
		t.Run(way, func(t *testing.T) {
			l := listenTCP(t)
			p := startProxy(t, "--plain", "ws://"+l.Addr().String())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			client, err := wstest.Open(ctx, p.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if err := client.Send([]byte(wstest.UpgradeRequest(p.addr, "/", ""))); err != nil {
				t.Fatal(err)
			}
			accepted, err := l.AcceptTCP()
			if err != nil {
				t.Fatal(err)
			}
			server := wstest.NewConn(ctx, accepted)
			defer server.Close()
			if _, err := server.Head(); err != nil {
				t.Fatal(err)
			}
			if err := server.Send([]byte(wstest.UpgradeResponse(wstest.RequestKey, ""))); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Head(); err != nil {
				t.Fatal(err)
			}
			from, to := server, client
			if way == "to-server" {
				from, to = client, server
			}
			frame := wstest.Frame(inspect.Fields{Fin: true, Opcode: inspect.OpBinary, Masked: way == "to-server"}, strings.Repeat("x", 16<<10))
			var sent atomic.Int64
			var load sync.WaitGroup
			defer load.Wait()
			// What flows takes its memory first, so that growth is the stop's alone.
			load.Go(func() {
				for range warming / len(frame) {
					if from.Send(frame) != nil {
						return
					}
				}
			})
			take(t, to, warming/len(frame)*len(frame))
			load.Wait()
			before := resident(t, p.cmd.Process.Pid)
			load.Go(func() {
				for range (256 << 20) / len(frame) {
					if from.Send(frame) != nil {
						return
					}
					sent.Add(int64(len(frame)))
				}
			})
			stopped := settled(ctx, &sent)
			if stopped == 0 || stopped > 64<<20 {
				t.Errorf("the sender stopped after %d bytes", stopped)
			}
			if grown := resident(t, p.cmd.Process.Pid) - before; grown > 16<<20 {
				t.Errorf("wsproxy grew by %d bytes", grown)
			}
			take(t, to, int(stopped))
			_ = from.Close() // the sender has seen enough
			_ = to.Close()
		})
	}
}

// warming is how many bytes flow before a reader stops.
const warming = 64 << 20

// take reads at least so many bytes.
func take(t *testing.T, c *wstest.Conn, want int) {
	t.Helper()
	for n, b := 0, make([]byte, 64<<10); n < want; {
		k, err := c.Read(b)
		if n += k; err != nil {
			t.Fatalf("after %d bytes of %d: %v", n, want, err)
		}
	}
}

// settled waits until a count has not changed for a second: only time can tell
// that nothing goes on. It answers the count, or 0 if that never happens.
func settled(ctx context.Context, n *atomic.Int64) int64 {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-ctx.Done():
			return 0
		case <-tick.C:
		}
		now := n.Load()
		if now == last && now > 0 {
			return now
		}
		last = now
	}
}

// TestDescriptorsRunOut: without descriptors for more, new connections are
// refused with a line that says so, those that are open live on, and when one has
// gone there is room again. The recording is whole.
func TestDescriptorsRunOut(t *testing.T) {
	echo, err := wstest.Serve(http.HandlerFunc(wstest.Echo))
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	path := filepath.Join(t.TempDir(), "a.pcapng")
	// 84 files leave room for ten connections.
	p := &proxied{process: start(t, home(t), "sh", "-c", `ulimit -n 84; exec "$0" "$@"`, program, "--listen", "127.0.0.1:0", "--plain", "--record", path, "ws://"+echo.Addr)}
	p.listens(t)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var open []*wstest.Conn
	for range 10 {
		c, err := wstest.Dial(ctx, p.addr, "/")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	// A crowd at once: some are told so, the rest are turned away.
	var crowd []net.Conn
	for range 40 {
		c, err := (&wstest.Dialer{}).DialContext(ctx, "tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		crowd = append(crowd, c)
	}
	told := 0
	for _, c := range crowd {
		_ = c.SetDeadline(time.Now().Add(patience)) // a closed socket tells with the read
		answer, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("one of the crowd: %v", err)
		}
		if strings.HasPrefix(string(answer), "HTTP/1.1 503 ") && strings.Contains(string(answer), "limit of open files") {
			told++
		}
	}
	if told < 10 {
		t.Errorf("%d of the crowd were told why", told)
	}
	p.stderr.wait(t, "10 connections are open, which is as many as the limit of open files allows (ulimit -n); new ones are refused until one ends\n", 1)
	for _, c := range open {
		if err := errors.Join(c.Send(wstest.Text("alive")), c.Expect(inspect.OpText, "alive")); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(open[0].Send(wstest.Close(1000, "")), open[0].Expect(inspect.OpClose, wstest.CloseBody(1000, ""))); err != nil {
		t.Error(err)
	}
	_ = open[0].Close()
	for {
		c, err := wstest.Dial(ctx, p.addr, "/") // refused until the first has gone
		if err == nil {
			defer c.Close()
			if err := errors.Join(c.Send(wstest.Text("late")), c.Expect(inspect.OpText, "late")); err != nil {
				t.Error(err)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	p.stop(t)
	lines := show(t, path)
	opened, alive := 0, 0
	for _, l := range lines {
		switch {
		case l.Event == "open":
			opened++
		case l.Text == "alive":
			alive++
		}
	}
	if opened != 11 || alive != 20 {
		t.Errorf("%d sessions and %d messages are recorded", opened, alive)
	}
}
