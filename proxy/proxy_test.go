package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"go.uber.org/goleak"
)

// TestMain also waits for what net/http lets go of half a second later.
func TestMain(m *testing.M) {
	code := m.Run()
	for by := time.Now().Add(patience); code == 0; {
		err := goleak.Find() // it waits a moment itself
		if err == nil {
			break
		}
		if time.Now().After(by) {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience bounds how long a test waits for what must happen.
const patience = 10 * time.Second

const (
	upgradeHead = "GET /chat HTTP/1.1\r\nhOST: 127.0.0.1\r\nUpgrade: websocket\r\nX-Twice: 1\r\nX-Twice:  2 \r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	switchHead  = "HTTP/1.1 101 Odd Phrase\r\nupgrade: WebSocket\r\nCONNECTION: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// heard is a Sink that keeps what it is told.
type heard struct {
	mu    sync.Mutex
	bytes [2][2][]byte
	ends  []inspect.Ended
	notes []inspect.Note

	opened []inspect.ConnInfo
}

func (h *heard) Open(info inspect.ConnInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opened = append(h.opened, info)
}
func (h *heard) Chunk(c inspect.Chunk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes[c.Leg][c.Dir] = append(h.bytes[c.Leg][c.Dir], c.Data...)
}
func (h *heard) Note(n inspect.Note) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, n)
}
func (h *heard) End(e inspect.Ended) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = append(h.ends, e)
}

// rig is a proxy between a test's own client and server sockets.
type rig struct {
	t        *testing.T
	addr     string
	upstream net.Listener
	server   *Server
	heard    *heard
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	up, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, upstream: up, heard: &heard{}}
	c := Config{Target: &url.URL{Scheme: "ws", Host: up.Addr().String()}, Tap: r.heard, BothLegs: true}
	if change != nil {
		change(&c)
	}
	if r.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(l) }()
	t.Cleanup(func() {
		_ = up.Close()
		if err := r.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) dial() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.bounded(c)
}

func (r *rig) accept() *net.TCPConn {
	r.t.Helper()
	c, err := r.upstream.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.bounded(c)
}

func (r *rig) bounded(c net.Conn) *net.TCPConn {
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func (r *rig) send(c net.Conn, s string) {
	r.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		r.t.Fatal(err)
	}
}

// expect reads exactly what is wanted.
func (r *rig) expect(c net.Conn, want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || string(got) != want {
		r.t.Fatalf("got %d bytes, %.300q, %v\nwant %d, %.300q", n, got[:n], err, len(want), want)
	}
}

func (r *rig) expectEnd(c net.Conn, reset bool) {
	r.t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || reset && !errors.Is(err, syscall.ECONNRESET) || !reset && err != io.EOF {
		r.t.Fatalf("read %d, %v; reset wanted: %v", n, err, reset)
	}
}

// sent is a head as the server gets it.
func (r *rig) sent(head string) string {
	return strings.Replace(head, "hOST: 127.0.0.1\r\n", "hOST: "+r.upstream.Addr().String()+"\r\n", 1)
}

// open is a session through the proxy.
func (r *rig) open() (client, server *net.TCPConn) {
	r.t.Helper()
	client = r.dial()
	r.send(client, upgradeHead)
	server = r.accept()
	r.expect(server, r.sent(upgradeHead))
	r.send(server, switchHead)
	r.expect(client, switchHead)
	return client, server
}

// wireFrames are legal and illegal ones, as both sides might send them.
var wireFrames = map[string]string{
	"masked":                "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
	"zero mask":             "\x81\x81\x00\x00\x00\x00a",
	"unmasked":              "\x81\x05Hello",
	"fragments and ping":    "\x01\x01a\x89\x02hb\x00\x00\x80\x01c",
	"empty":                 "\x81\x00\x82\x00",
	"16-bit":                "\x82\x7e\x01\x00" + strings.Repeat("x", 256),
	"64-bit":                "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("y", 65536),
	"not minimal":           "\x82\x7e\x00\x01a\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01b",
	"reserved bits":         "\xf1\x01a",
	"reserved opcode":       "\x83\x01a\x8b\x01b",
	"long ping":             "\x89\x7e\x00\x7e" + strings.Repeat("p", 126),
	"fragmented ping":       "\x09\x01a\x80\x01b",
	"bad UTF-8":             "\x81\x02\xc3\x28",
	"close, empty":          "\x88\x00",
	"close, one byte":       "\x88\x01\x03",
	"close 1006, then data": "\x88\x02\x03\xee\x81\x01a",
	"close, cut reason":     "\x88\x04\x03\xe8a\xc3",
	"2^63-1 claimed":        "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffabc",
}

func TestFramesPassUntouched(t *testing.T) {
	for name, f := range wireFrames {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			client, server := r.open()
			r.send(client, f)
			r.expect(server, f)
			r.send(server, f)
			r.expect(client, f)
			r.ends(client, server, false)
			for l := range r.heard.bytes {
				up := upgradeHead
				if inspect.Leg(l) == inspect.ServerLeg {
					up = r.sent(upgradeHead)
				}
				if got := string(r.heard.bytes[l][inspect.ToServer]); got != up+f {
					t.Errorf("the tap heard %q up on leg %d", got, l)
				}
				if got := string(r.heard.bytes[l][inspect.ToClient]); got != switchHead+f {
					t.Errorf("the tap heard %q down on leg %d", got, l)
				}
			}
		})
	}
}

// ends closes both sides, client first, and waits until the proxy has let go.
func (r *rig) ends(client, server *net.TCPConn, reset bool) {
	r.t.Helper()
	if err := client.CloseWrite(); err != nil {
		r.t.Fatal(err)
	}
	r.expectEnd(server, reset)
	if err := server.CloseWrite(); err != nil {
		r.t.Fatal(err)
	}
	r.expectEnd(client, reset)
	if err := r.server.Shutdown(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// Every cut of the client's stream, and of the server's, gives the same bytes.
func TestCutAnywhere(t *testing.T) {
	r := newRig(t, nil)
	frame := "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x00"
	up, down := upgradeHead+frame, switchHead+frame
	for cut := 1; cut < max(len(up), len(down)); cut++ {
		client := r.dial()
		a := min(cut, len(up)-1)
		r.send(client, up[:a])
		var server *net.TCPConn
		if a >= len(upgradeHead) {
			server = r.accept() // the head is whole: the server is dialled
			r.expect(server, r.sent(upgradeHead))
			r.send(client, up[a:])
		} else {
			r.send(client, up[a:])
			server = r.accept()
			r.expect(server, r.sent(upgradeHead))
		}
		b := min(cut, len(down)-1)
		r.send(server, down[:b])
		r.expect(client, down[:b])
		r.send(server, down[b:])
		r.expect(client, down[b:])
		r.expect(server, frame) // held until the answer
		_ = client.Close()
		r.expectEnd(server, false)
		_ = server.Close()
	}
}

func TestHeldUntilRefused(t *testing.T) {
	r := newRig(t, nil)
	client := r.dial()
	second := strings.Replace(upgradeHead, "/chat", "/again", 1)
	r.send(client, upgradeHead+second)
	server := r.accept()
	r.expect(server, r.sent(upgradeHead))
	refusal := "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope"
	r.send(server, refusal)
	r.expect(client, refusal)
	r.expect(server, r.sent(second)) // not one byte of it came before the answer
	r.send(server, switchHead+"\x81\x01a")
	r.expect(client, switchHead+"\x81\x01a")
}

// What is held may hold another upgrade; what comes behind it waits for that one's
// answer, however the client ends.
func TestHeldBehindHeld(t *testing.T) {
	r := newRig(t, nil)
	second := strings.Replace(upgradeHead, "/chat", "/again", 1)
	third := strings.Replace(upgradeHead, "/chat", "/third", 1)
	refusal := "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope"
	for _, late := range []bool{false, true} {
		client := r.dial()
		r.send(client, upgradeHead+second)
		if !late {
			r.send(client, third)
			_ = client.CloseWrite()
		}
		server := r.accept()
		r.expect(server, r.sent(upgradeHead))
		r.send(server, refusal)
		r.expect(client, refusal)
		if late { // perhaps in the moment in which the second goes out
			r.send(client, third)
			_ = client.CloseWrite()
		}
		r.expect(server, r.sent(second))
		silentNow(t, server)
		r.send(server, refusal)
		r.expect(client, refusal)
		r.expect(server, r.sent(third))
		r.send(server, switchHead)
		r.expect(client, switchHead)
		r.expectEnd(server, false)
		_ = server.Close()
		r.expectEnd(client, false)
	}
	r.server.relays.Wait()
	if got, want := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]), strings.Repeat(upgradeHead+second+third, 2); got != want {
		t.Errorf("told of %q", got)
	}
}

// An upgrade's own body is not behind it.
func TestUpgradeWithABody(t *testing.T) {
	r := newRig(t, nil)
	client := r.dial()
	head := "POST /x HTTP/1.1\r\nhOST: 127.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 4\r\n\r\n"
	r.send(client, head)
	server := r.accept()
	r.expect(server, r.sent(head))
	r.send(client, "bo")
	r.expect(server, "bo")
	r.send(client, "dy"+upgradeHead)
	r.expect(server, "dy")
	silentNow(t, server)
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	r.send(server, answer)
	r.expect(client, answer)
	r.expect(server, r.sent(upgradeHead))
	r.send(server, switchHead)
	r.expect(client, switchHead)
}

func TestUpgradeAfterTenRequests(t *testing.T) {
	r := newRig(t, nil)
	client := r.dial()
	var server *net.TCPConn
	get := "GET / HTTP/1.1\r\nhOST: 127.0.0.1\r\n\r\n"
	for range 10 {
		r.send(client, get)
		if server == nil {
			server = r.accept()
		}
		r.expect(server, r.sent(get))
		answer := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
		r.send(server, answer)
		r.expect(client, answer)
	}
	r.send(client, upgradeHead)
	r.expect(server, r.sent(upgradeHead))
	r.send(server, switchHead)
	r.expect(client, switchHead)
	r.send(client, wireFrames["unmasked"])
	r.expect(server, wireFrames["unmasked"])
}

func TestEndings(t *testing.T) {
	t.Run("client FIN, late answer", func(t *testing.T) {
		r := newRig(t, nil)
		client, server := r.open()
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.expectEnd(server, false)
		r.send(server, "\x81\x04late")
		r.expect(client, "\x81\x04late")
		_ = server.Close()
		r.expectEnd(client, false)
	})
	t.Run("server FIN, late word", func(t *testing.T) {
		r := newRig(t, nil)
		client, server := r.open()
		if err := server.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.expectEnd(client, false)
		r.send(client, "\x81\x04late")
		r.expect(server, "\x81\x04late")
		_ = client.Close()
		r.expectEnd(server, false)
	})
	t.Run("client RST", func(t *testing.T) {
		r := newRig(t, nil)
		client, server := r.open()
		_ = client.SetLinger(0)
		_ = client.Close()
		r.expectEnd(server, true)
	})
	t.Run("server RST", func(t *testing.T) {
		r := newRig(t, nil)
		client, server := r.open()
		_ = server.SetLinger(0)
		_ = server.Close()
		r.expectEnd(client, true)
	})
}

// A client that has sent its FIN and is gone for good resets the connection when
// the server goes on: with data, or with its own FIN. Every leg has ended then.
func TestResetBehindFin(t *testing.T) {
	for name, act := range map[string]func(*rig, *net.TCPConn){
		"data": func(r *rig, server *net.TCPConn) { r.send(server, "\x81\x04late") },
		"FIN":  func(_ *rig, server *net.TCPConn) { _ = server.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			client, server := r.open()
			if err := client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			r.expectEnd(server, false)
			_ = client.SetLinger(0)
			_ = client.Close()
			act(r, server)
			r.server.relays.Wait()
			var reset bool
			var over [2][2]bool
			for _, e := range r.heard.ends {
				over[e.Leg][e.Dir] = true
				if e.How == inspect.Rst {
					over[e.Leg] = [2]bool{true, true}
				}
				reset = reset || e.Leg == inspect.ClientLeg && e.Dir == inspect.ToServer && e.How == inspect.Rst
				if e.How == inspect.Self {
					t.Errorf("wsproxy is said to have ended %v %v", e.Leg, e.Dir)
				}
			}
			if !reset || over != [2][2]bool{{true, true}, {true, true}} {
				t.Errorf("the tap heard of the ends %+v", r.heard.ends)
			}
		})
	}
}

// A server that ends an HTTP connection gives the client a moment to end it too;
// a client that does so at once is not waited for.
func TestBothEndHTTP(t *testing.T) {
	r := newRig(t, nil)
	client := r.dial()
	get := "GET / HTTP/1.1\r\nhOST: 127.0.0.1\r\n\r\n"
	r.send(client, get)
	server := r.accept()
	r.expect(server, r.sent(get))
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	r.send(server, answer)
	start := time.Now()
	_ = server.CloseWrite()
	r.expect(client, answer)
	r.expectEnd(client, false)
	_ = client.Close()
	r.expectEnd(server, false)
	r.server.relays.Wait()
	if d := time.Since(start); d >= lingerTime {
		t.Errorf("the connection is over after %v", d)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		request, status, says string
		change                func(*Config)
	}{
		"foreign host":  {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421", "--allow-host evil.example", nil},
		"garbage":       {"\x00\x03\x01\x02\x00\x01\r\n\r\n", "400", "Not an HTTP request", nil},
		"TLS":           {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400", "A client speaks TLS to a port without it: it is to use http://127.0.0.1:", nil},
		"endless head":  {"GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 3000), "431", "1024 bytes", func(c *Config) { c.HeadLimit = 1024 }},
		"slow head":     {"GET / HTTP/1.1\r\n", "408", "did not end", func(c *Config) { c.HeadTimeout = 20 * time.Millisecond }},
		"tunnel":        {"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", "405", "no tunnels", nil},
		"server down":   {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "502", "cannot be reached: connection refused", func(c *Config) { c.ConnectTo = closedPort(t) }},
		"no TLS behind": {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "502", "does not speak TLS", func(c *Config) { c.Target.Scheme, c.ConnectTo = "wss", plainServer(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.change)
			client := r.dial()
			r.send(client, c.request)
			page, err := io.ReadAll(client)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(page, []byte("HTTP/1.1 "+c.status+" ")) || !bytes.Contains(page, []byte(c.says)) {
				t.Errorf("answer %q", page)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// plainServer answers anything with a line of text.
func plainServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1024))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); done.Wait() })
	return l.Addr().String()
}

func TestRewriting(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Target.Path = "/base"
		c.Header = []inspect.HeaderField{{Name: "X-New", Value: "n"}, {Name: "x-old", Value: "o"}}
	})
	client := r.dial()
	target := r.upstream.Addr().String()
	r.send(client, "GET /a?q=1 HTTP/1.1\r\nHost: "+r.addr+"\r\nOrigin:   http://"+r.addr+"\r\nReferer: http://"+r.addr+"/p?x\r\nX-Old: 1\r\nX-OLD: 2\r\nOrigin: http://other\r\n\r\n")
	r.expect(r.accept(), "GET /base/a?q=1 HTTP/1.1\r\nHost: "+target+"\r\nOrigin:   http://"+target+"\r\nReferer: http://"+target+"/p?x\r\nX-Old: o\r\nOrigin: http://other\r\nX-New: n\r\n\r\n")
}
