//go:build unix

package proxy

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// unixRig is a proxy between Unix sockets on both sides.
type unixRig struct {
	*rig
	path   string // where the proxy listens
	server *net.UnixListener
}

func newUnixRig(t *testing.T, target string, change func(*Config)) *unixRig {
	t.Helper()
	dir := t.TempDir()
	u := &unixRig{path: filepath.Join(dir, "front")}
	behind := filepath.Join(dir, "behind")
	l, err := net.Listen("unix", behind)
	if err != nil {
		t.Fatal(err)
	}
	u.server = l.(*net.UnixListener)
	t.Cleanup(func() { _ = l.Close() })
	u.rig = newRig(t, func(c *Config) {
		c.Unix = behind
		if c.Target, err = url.Parse(target); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(c)
		}
	})
	front, err := net.Listen("unix", u.path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- u.rig.server.Serve(front) }()
	t.Cleanup(func() {
		_ = front.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return u
}

func (u *unixRig) dialUnix() *net.UnixConn {
	u.t.Helper()
	c, err := net.Dial("unix", u.path)
	if err != nil {
		u.t.Fatal(err)
	}
	return u.boundedUnix(c)
}

func (u *unixRig) acceptUnix() *net.UnixConn {
	u.t.Helper()
	c, err := u.server.Accept()
	if err != nil {
		u.t.Fatal(err)
	}
	return u.boundedUnix(c)
}

func (u *unixRig) boundedUnix(c net.Conn) *net.UnixConn {
	_ = c.SetDeadline(time.Now().Add(patience))
	u.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UnixConn)
}

// TestUnixSockets: a session passes Unix sockets on both sides as it passes TCP, and
// each side's FIN reaches the other.
func TestUnixSockets(t *testing.T) {
	u := newUnixRig(t, "ws://localhost/", nil)
	client := u.dialUnix()
	u.send(client, strings.Replace(upgradeHead, "127.0.0.1", "localhost", 1))
	server := u.acceptUnix()
	u.expect(server, strings.Replace(upgradeHead, "127.0.0.1", "localhost", 1))
	u.send(server, switchHead)
	u.expect(client, switchHead)
	for name, f := range wireFrames {
		if name == "2^63-1 claimed" {
			continue
		}
		u.send(client, f)
		u.expect(server, f)
		u.send(server, f)
		u.expect(client, f)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(server); len(rest) > 0 || err != nil {
		t.Errorf("the server got %q, %v", rest, err)
	}
	u.send(server, "\x81\x04late")
	u.expect(client, "\x81\x04late")
	_ = server.Close()
	if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
		t.Errorf("the client got %q, %v", rest, err)
	}
	u.settle()
	u.told(inspect.ClientLeg, inspect.ToServer, inspect.Fin)
	u.told(inspect.ServerLeg, inspect.ToClient, inspect.Fin)
}

// TestUnixBridges: bridges to and from a Unix socket.
func TestUnixBridges(t *testing.T) {
	u := newUnixRig(t, "unix:///behind", nil)
	client := u.dialUnix()
	u.send(client, bridgeHead)
	server := u.acceptUnix()
	u.expect(client, bridgeAnswer+"\r\n")
	u.send(client, masked(0x82, "in"))
	u.expect(server, "in")
	u.send(server, "out")
	u.expect(client, "\x82\x03out")
	_, _ = client.Close(), server.Close()
	u.settle()
	u.heard.mu.Lock()
	defer u.heard.mu.Unlock()
	if got := string(u.heard.bytes[inspect.ServerLeg][inspect.ToServer]); got != "in" {
		t.Errorf("the tap heard %q", got)
	}
}

// TestUnixServerGone: a socket that nobody listens on is said to be so.
func TestUnixServerGone(t *testing.T) {
	u := newUnixRig(t, "ws://localhost/", nil)
	_ = u.server.Close()
	client := u.dialUnix()
	u.send(client, strings.Replace(upgradeHead, "127.0.0.1", "localhost", 1))
	answer, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 502 ") || !strings.Contains(string(answer), "behind cannot be reached") {
		t.Errorf("%q, %v", answer, err)
	}
}

// A target that is a Unix socket of our own is a loop too.
func TestUnixLoop(t *testing.T) {
	u := newUnixRig(t, "ws://localhost", nil)
	s, err := u.rig.server.Beside(Config{Unix: u.path, Target: &url.URL{Scheme: "ws", Host: "localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	u.send(u.bounded(client), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_ = client.(*net.TCPConn).CloseWrite()
	page, err := io.ReadAll(client)
	if err != nil || !strings.Contains(string(page), u.path+" is wsproxy itself") {
		t.Errorf("answer %q, %v", page, err)
	}
	_ = l.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
