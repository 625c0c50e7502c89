package wstest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/inspect"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFrames(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"text":       {string(Text("Hello")), "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"}, // RFC 6455 section 5.7
		"unmasked":   {string(Frame(inspect.Fields{Fin: true, Opcode: inspect.OpText}, "Hello")), "\x81\x05Hello"},
		"long form":  {string(Frame(inspect.Fields{Fin: true, Opcode: inspect.OpText, Form: 16}, "a")), "\x81\x7e\x00\x01a"},
		"other key":  {string(Frame(inspect.Fields{Opcode: inspect.OpBinary, Masked: true, Key: [4]byte{1, 0, 0, 0}}, "\x01b")), "\x02\x82\x01\x00\x00\x00\x00b"},
		"close body": {CloseBody(1000, "bye"), "\x03\xe8bye"},
		"ping":       {string(Ping("")), "\x89\x80\x37\xfa\x21\x3d"},
		"close":      {string(Close(1005, "")), "\x88\x82\x37\xfa\x21\x3d\x34\x17"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %x, not %x", name, c.got, c.want)
		}
	}
}

func TestLoopbackOnly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for host, ok := range map[string]bool{"127.0.0.1": true, "localhost": true, "192.0.2.1": false, "example.org": false, "0.0.0.0": false} {
		c, err := new(Dialer).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
		if !ok && !strings.Contains(err.Error(), "not on loopback") {
			t.Errorf("%s: %v", host, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

// A raw client against gorilla's server, and gorilla's client against a raw server.
func TestPeers(t *testing.T) {
	s, err := Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/raw" {
			Echo(w, r)
			return
		}
		c, err := Accept(r.Context(), w, r, "")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if err := errors.Join(c.Expect(inspect.OpText, "hello"), c.Send(Frame(inspect.Fields{Fin: true, Opcode: inspect.OpBinary}, "you"))); err != nil {
			t.Error(err)
		}
		_, _, _ = c.Next() // until the server is closed
	}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), s.Addr, "/echo")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Send(Ping("p"), Text("one")), c.Expect(inspect.OpPong, "p"), c.Expect(inspect.OpText, "one")); err != nil {
		t.Error(err)
	}
	if err := errors.Join(c.Send(Text("two")), c.Expect(inspect.OpText, "three")); err == nil || err.Error() != `text "three" is wanted, text "two" came` {
		t.Errorf("error %v", err)
	}
	if err := errors.Join(c.Send(Close(1000, "bye")), c.Expect(inspect.OpClose, "\x03\xe8")); err != nil {
		t.Error(err)
	}
	if rest, err := c.Rest(); err != nil || len(rest) > 0 {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Error(err)
	}
	g, _, err := (&websocket.Dialer{NetDialContext: new(Dialer).DialContext}).Dial("ws://"+s.Addr+"/raw", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Error(err)
	}
	if kind, got, err := g.ReadMessage(); kind != websocket.BinaryMessage || string(got) != "you" {
		t.Errorf("%d %q, %v", kind, got, err)
	}
	if err := s.Close(); err != nil { // while a session is open
		t.Error(err)
	}
	if _, _, err := g.ReadMessage(); err == nil {
		t.Error("the session outlived its server")
	}
}

func TestRefusedDial(t *testing.T) {
	s, err := Serve(http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), s.Addr, "/"); err == nil || err.Error() != "the answer is HTTP/1.1 404 Not Found" {
		t.Errorf("error %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), s.Addr, "/"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v", err)
	}
}

// teed is a tee between two raw ends.
func teed(t *testing.T) (tee *Tee, client, server *Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if tee, err = NewTee(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if client, err = Open(t.Context(), tee.Addr); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = NewConn(t.Context(), c.(*net.TCPConn))
	t.Cleanup(func() {
		_ = l.Close()
		_ = client.Close()
		_ = server.Close()
		if err := tee.Close(); err != nil {
			t.Error(err)
		}
	})
	return tee, client, server
}

func TestTee(t *testing.T) {
	for name, c := range map[string]struct {
		end        func(client, server *Conn) error
		want       Endings
		up, down   string // what passed behind the first words
		reset, rst bool   // what the client, the server sees
	}{
		"client first": {func(c, s *Conn) error {
			if err := c.CloseWrite(); err != nil {
				return err
			}
			if _, err := s.Rest(); err != nil {
				return err
			}
			return errors.Join(s.Send([]byte("late")), s.CloseWrite())
		}, Endings{inspect.Fin, inspect.Fin}, "", "late", false, false},
		"server first": {func(c, s *Conn) error {
			if err := s.CloseWrite(); err != nil {
				return err
			}
			if _, err := c.Rest(); err != nil {
				return err
			}
			return errors.Join(c.Send([]byte("late")), c.CloseWrite())
		}, Endings{inspect.Fin, inspect.Fin}, "late", "", false, false},
		"client reset": {func(c, _ *Conn) error { return c.Reset() }, Endings{Client: inspect.Rst}, "", "", false, true},
		"server reset": {func(_, s *Conn) error { return s.Reset() }, Endings{Server: inspect.Rst}, "", "", true, false},
		"big, then a reset": {func(c, s *Conn) error {
			big := []byte(strings.Repeat("x", 1<<20))
			sent := make(chan error, 1)
			go func() { sent <- s.Send(big) }()
			_, err := io.ReadFull(c, make([]byte, len(big)/2))
			if err := errors.Join(err, <-sent, s.Reset()); err != nil {
				return err
			}
			_, err = io.ReadFull(c, make([]byte, len(big)/2))
			return err
		}, Endings{Server: inspect.Rst}, "", strings.Repeat("x", 1<<20), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			tee, client, server := teed(t)
			if err := client.Send([]byte("up")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(server, make([]byte, 2)); err != nil {
				t.Fatal(err)
			}
			if err := c.end(client, server); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			p, err := tee.Wait(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			if p.Ends() != c.want {
				t.Errorf("ends %v, not %v", p.Ends(), c.want)
			}
			if up := string(p.Bytes(inspect.ToServer)); up != "up"+c.up {
				t.Errorf("%d bytes up: %.20q", len(up), up)
			}
			if down := string(p.Bytes(inspect.ToClient)); down != c.down {
				t.Errorf("%d bytes down: %.20q", len(down), down)
			}
			for who, end := range map[*Conn]bool{client: c.reset, server: c.rst} {
				if _, err := who.Rest(); end != errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("reset wanted: %v; %v", end, err)
				}
			}
			if tee.Len() != 1 {
				t.Errorf("%d connections", tee.Len())
			}
		})
	}
}

// A tee whose target is gone resets, and Wait gives up with its context.
func TestTeeWithoutTarget(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	tee, err := NewTee(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), tee.Addr)
	if err == nil { // else the reset was faster
		_, err = c.Rest()
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := tee.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if err := tee.Close(); err != nil {
		t.Error(err)
	}
}

func TestCount(t *testing.T) {
	t.Setenv("WSPROXY_COUNTS", "")
	small := Count("kill -9")
	if Full() {
		t.Error("full counts without being asked")
	}
	t.Setenv("WSPROXY_COUNTS", "full")
	if Count("kill -9") <= small || !Full() {
		t.Error("small counts where full ones were asked for")
	}
	for what, c := range counts {
		if c.small < 1 || c.full <= c.small {
			t.Errorf("%s: %d, and %d in full", what, c.small, c.full)
		}
	}
}
