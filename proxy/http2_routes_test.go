package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHTTP2Routes: each stream of a client's connection goes to the target that its
// request is for, a bridge among them.
func TestHTTP2Routes(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	tap := newTold()
	d := newDoorRig(t, false, func(c *Config) {
		main := c.Target
		c.Target, c.Tap = nil, tap
		c.Routes = []Route{{Path: "/chat", Target: Config{Target: main}},
			{Path: "/other", Target: Config{Target: &url.URL{Scheme: "ws", Host: other.Addr().String()}}},
			{Path: "/raw", Target: Config{Target: &url.URL{Scheme: "tcp", Host: stream.Addr().String()}}},
			{Path: "/named", SNI: "localhost", Target: Config{Target: main}}}
	})
	r := &h2Rig{rig: d.rig, told: tap, ca: d.ca, name: "localhost", combo: combo{client: true}, arrived: make(chan net.Conn, 10)}
	r.door = func() net.Conn { return r.dial() }
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	take := func(l net.Listener) {
		all.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				r.arrived <- c
			}
		})
	}
	take(r.upstream)
	take(other)
	take(stream)
	t.Cleanup(func() { _ = r.upstream.Close(); _ = other.Close(); _ = stream.Close() })
	shared := r.speak(tls.Client(r.door(), r.config("h2")))
	for path, l := range map[string]net.Listener{"/chat": r.upstream, "/other": other, "/named": r.upstream} {
		st := r.stream(shared)
		r.send(st, strings.Replace(upgradeHead, "/chat", path, 1))
		server := r.next()
		if server.LocalAddr().String() != l.Addr().String() {
			t.Errorf("%s went to %v", path, server.LocalAddr())
		}
		head := r.head(server)
		if !strings.HasPrefix(head, "GET "+path+" ") {
			t.Errorf("%q", head)
		}
		r.send(server, switchHead)
		r.head(st)
		r.send(st, "\x81\x00")
		r.expect(server, "\x81\x00")
	}
	lost := r.stream(shared)
	r.send(lost, strings.Replace(upgradeHead, "/chat", "/nowhere", 1))
	if got, err := io.ReadAll(lost); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 404 ") {
		t.Errorf("%q, %v", got, err)
	}
	raw := r.stream(shared)
	r.send(raw, strings.Replace(upgradeHead, "/chat", "/raw", 1))
	server := r.next()
	if h := r.head(raw); !strings.HasPrefix(h, "HTTP/1.1 101 ") {
		t.Errorf("%q", h)
	}
	r.send(raw, "\x82"+wireFrames["masked"][1:])
	r.expect(server, "Hello")
	r.send(server, "back")
	r.expect(raw, "\x82\x04back")
	_ = server.Close()
	r.expect(raw, "\x88\x02\x03\xe8")
}
