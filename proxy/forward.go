package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Forward is what a forward proxy needs beside: its clients name their servers, in
// absolute-form, by CONNECT or by SOCKS5.
type Forward struct {
	// Leaf answers a certificate for a host, alike to the server's own, which is
	// nil if that is not known. It may be called by several goroutines. Without
	// it TLS is not taken apart.
	Leaf func(host string, mirror *x509.Certificate) (*tls.Certificate, error)

	PassThrough []Pattern // hosts whose traffic goes on untouched and unseen
	Only        []Pattern // if there are any: all other hosts' does
}

// Pattern names hosts: a name in which each * stands for anything, and perhaps a
// port.
type Pattern string

// Matches says that the pattern names the host.
func (p Pattern) Matches(host, port string) bool {
	name, only := strings.ToLower(string(p)), ""
	if h, n, err := net.SplitHostPort(name); err == nil {
		name, only = h, n
	}
	return (only == "" || only == "*" || only == port) && glob(strings.Trim(name, "[]"), hostOnly(host))
}

// glob says that s is the pattern with something for each *.
func glob(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	for ; ok; s = s[1:] {
		if glob(rest, s) {
			return true
		}
		if s == "" {
			break
		}
	}
	return false
}

// passes says that a host's traffic is nobody's business, and by which flag.
func (f *Forward) passes(host, port string) (flag string) {
	for _, p := range f.PassThrough {
		if p.Matches(host, port) {
			return "--pass-through " + string(p)
		}
	}
	for _, p := range f.Only {
		if p.Matches(host, port) {
			return ""
		}
	}
	if len(f.Only) > 0 {
		return "--only"
	}
	return ""
}

// edge is a connection of a client that says where it goes. At a forward proxy it
// says so by CONNECT or SOCKS, into a tunnel, which is one conn, or in
// absolute-form, where each server makes another conn. At a reverse proxy with
// several targets each of them does.
type edge struct {
	server *Server
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	client *socket // set by run alone, which may read it without mu
	conn   *conn   // the one that is relayed now
	past   Stats   // of those before it
	over   bool
}

func newEdge(s *Server, nc net.Conn) *edge {
	e := &edge{server: s, client: plain(nc)}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// run serves the client until it, or who it talks to, has enough.
func (e *edge) run() {
	defer e.cancel()
	defer e.client.close()
	for goesOn := true; goesOn; {
		var c *conn
		apart(func() { c = e.next() })
		goesOn = c != nil && e.relay(c)
	}
}

// errEnough is the end of a client that wants nothing more.
var errEnough = errors.New("the client ended")

// next takes the client's next request where it wants to go; nil if it wants
// nothing more.
func (e *edge) next() *conn {
	if e.server.config.Forward == nil {
		return newConn(e.server, e.client, e.server.reverse())
	}
	raw, first, err := e.client.firstHead(&e.server.config, recordHandshake, socksVersion)
	var long *inspect.HeadTooLong
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.As(err, &long):
		return e.deny(denial{status: 431, phrase: "Request Header Fields Too Large", why: fmt.Sprintf("the request's head is longer than %d bytes", long.Limit)})
	case err != nil:
		return e.deny(denial{status: 408, phrase: "Request Timeout", why: fmt.Sprintf("the request's head did not end within %v", e.server.config.HeadTimeout)})
	case first == recordHandshake:
		return e.fail("", inspect.Self, "", "a client speaks TLS to the proxy's port, which is plain: a proxy's URL begins with http://, also for https and wss")
	case first == socksVersion:
		return e.socks()
	}
	return e.request(raw)
}

// What the first byte of a client that speaks no HTTP is.
const (
	recordHandshake = 22 // RFC 8446 section 5.1
	socksVersion    = 5  // RFC 1928 section 3
)

// firstHead waits for a request's head, or for a first byte that is one of others.
// What was read stands in the socket for whoever reads it next.
func (s *socket) firstHead(c *Config, others ...byte) (raw []byte, first byte, err error) {
	in := newIntake(s)
	defer in.release()
	scan := inspect.HeadScanner{Limit: c.HeadLimit}
	var all []byte
	defer func() {
		s.ahead = all
		_ = s.SetReadDeadline(time.Time{}) // a closed socket tells with the read
	}()
	for {
		data, err := in.next()
		if len(data) > 0 && all == nil {
			_ = s.SetReadDeadline(time.Now().Add(c.HeadTimeout)) // as above
		}
		all = append(all, data...)
		if len(all) > 0 && slices.Contains(others, all[0]) {
			return nil, all[0], nil
		}
		raw, _, tooLong := scan.Next(data)
		switch {
		case raw != nil:
			return bytes.Clone(raw), 0, nil
		case tooLong != nil:
			return nil, 0, tooLong
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, 0, err
		case err != nil:
			return nil, 0, errEnough
		}
	}
}

// request takes one request where it wants to go.
func (e *edge) request(raw []byte) *conn {
	f := e.server.config.Forward
	h, err := inspect.ParseRequest(raw)
	if err != nil {
		return e.deny(denial{status: 400, phrase: "Bad Request", why: err.Error()})
	}
	if d := e.server.config.unauthorizedHere(h, e.client.LocalAddr()); d != nil {
		return e.deny(*d)
	}
	if h.Method == "CONNECT" {
		return e.connect(h)
	}
	target := absoluteTarget(h)
	if target == nil {
		return e.deny(denial{status: 400, phrase: "Bad Request", why: fmt.Sprintf("%.200q names no server. This is a forward proxy: clients are told to use it (HTTP_PROXY=http://%s). To stand in front of one server: wsproxy ws://localhost:3000", h.Target, e.client.LocalAddr())})
	}
	r, err := e.server.forward(target)
	if err != nil {
		return e.deny(denial{status: 400, phrase: "Bad Request", why: err.Error()})
	}
	r.absolute, r.inside = true, !h.Upgrading()
	r.config.absolute = !r.inside
	if flag := f.passes(target.Hostname(), target.Port()); flag != "" {
		e.passing(target.Host, flag)
		r.silent, r.opaque, r.via = true, true, "HTTP "+target.Host
	}
	return newConn(e.server, e.client, r)
}

// relay relays a connection of the client's to its end, and says whether the client
// goes on with another.
func (e *edge) relay(c *conn) (goesOn bool) {
	e.mu.Lock()
	if e.over {
		e.mu.Unlock()
		if c.ready != nil && c.ready.socket != nil {
			c.ready.socket.close()
		}
		return false
	}
	e.conn = c
	e.mu.Unlock()
	c.run()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.client = c.client // perhaps inside TLS by now
	c.count(&e.past)
	e.conn = nil
	e.client.ahead = c.handed
	return c.handed != nil && !e.over
}

// deny is a connection whose request is answered here.
func (e *edge) deny(d denial) *conn {
	e.server.config.Logf("%s: %s", e.client.RemoteAddr(), d.why)
	r := e.server.elsewhere()
	r.denied = &d
	return newConn(e.server, e.client, r)
}

// fail is a connection that ends without an answer that the client would
// understand.
func (e *edge) fail(via string, how inspect.End, text, why string) *conn {
	r := e.server.elsewhere()
	r.via, r.opaque, r.failure = via, true, &failure{how: how, text: text, why: why}
	return newConn(e.server, e.client, r)
}

// passing says once for each host that nobody looks at it.
func (e *edge) passing(host, flag string) {
	e.server.sayOnce(fmt.Sprintf("%s passes through untouched (%s)", host, flag))
}

func (e *edge) idle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conn == nil || e.conn.idle()
}

func (e *edge) stop(why string) {
	e.mu.Lock()
	e.over = true
	c, client := e.conn, e.client
	e.mu.Unlock()
	if c != nil {
		c.ender().stop(why)
	}
	e.cancel()
	if c == nil || !c.isCarrier() { // which says a last word
		client.close()
	}
}

// drain makes the client's HTTP/2 connection, if it is one, take no more streams.
func (e *edge) drain() {
	e.mu.Lock()
	c := e.conn
	e.mu.Unlock()
	if c != nil {
		c.drain()
	}
}

func (e *edge) count(st *Stats) {
	e.mu.Lock()
	defer e.mu.Unlock()
	st.Sessions += e.past.Sessions
	for d := range st.Bytes {
		st.Bytes[d] += e.past.Bytes[d]
	}
	if e.conn != nil {
		e.conn.count(st)
	}
}

// saidLimit bounds what is remembered to have been said.
const saidLimit = 1000

// sayOnce says what would else be said for each connection of an impatient client.
func (s *Server) sayOnce(text string) {
	s.mu.Lock()
	said := s.said[text] || len(s.said) >= saidLimit
	s.said[text] = true
	s.mu.Unlock()
	if !said {
		s.config.Logf("%s", text)
	}
}
