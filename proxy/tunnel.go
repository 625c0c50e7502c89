package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// tunnel is what a client asked for by CONNECT (RFC 9110 section 9.3.6) or SOCKS5:
// bytes to and from a server. What they are is seen when the first ones come.
type tunnel struct {
	edge       *edge
	host, port string
	via        string // the request, in two words
	opened     []byte // the answer when the server is reached
}

// connect opens the tunnel of a CONNECT request.
func (e *edge) connect(h *inspect.Head) *conn {
	host, port, err := net.SplitHostPort(h.Target)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" {
		return e.deny(denial{status: 400, phrase: "Bad Request", why: fmt.Sprintf("CONNECT takes host:port, not %.200q", h.Target)})
	}
	t := &tunnel{edge: e, host: host, port: port, via: "CONNECT " + h.Target, opened: []byte("HTTP/1.1 200 Connection established\r\n\r\n")}
	server := t.dial()
	if server.err != nil {
		if e.ctx.Err() != nil {
			return nil
		}
		return e.deny(denial{status: 502, phrase: "Bad Gateway", why: server.err.Error()})
	}
	e.client.ahead = e.client.ahead[len(h.Raw):]
	return t.open(server)
}

// dial reaches the server, without TLS.
func (t *tunnel) dial() *dialled {
	r, err := t.route("http")
	if err != nil {
		return &dialled{err: err}
	}
	return r.dialer.plainly(t.edge.ctx)
}

// route is the route of what flows in the tunnel, with a server of that scheme.
func (t *tunnel) route(scheme string) (route, error) {
	u := &url.URL{Scheme: scheme, Host: net.JoinHostPort(t.host, t.port)}
	if t.port == defaultPort(scheme) {
		u.Host = strings.TrimSuffix(u.Host, ":"+t.port)
	}
	r, err := t.edge.server.forward(u)
	r.dialer.addr = net.JoinHostPort(t.host, t.port)
	r.via, r.tunnel = t.via, true
	return r, err
}

// open tells the client that the server is reached, and looks at what they say. It
// answers the connection that relays it; nil if the client has left.
func (t *tunnel) open(server *dialled) *conn {
	e := t.edge
	if _, err := e.client.Write(t.opened); err != nil {
		server.socket.close()
		return nil
	}
	if flag := e.server.config.Forward.passes(t.host, t.port); flag != "" {
		return t.pass(server, flag)
	}
	first, clientFirst := t.firstWords(server.socket)
	switch {
	case clientFirst && first == recordHandshake && e.server.config.Forward.Leaf != nil:
		return t.intercept(server)
	case clientFirst && letter(first):
		return t.plain(server, func(*route) {})
	}
	return t.plain(server, func(r *route) { r.opaque = true })
}

// plain is the connection to the server as it is.
func (t *tunnel) plain(server *dialled, change func(*route)) *conn {
	r, err := t.route("http")
	if err != nil {
		server.socket.close()
		return t.edge.fail(t.via, inspect.Self, "", err.Error())
	}
	r.ready = server
	change(&r)
	return newConn(t.edge.server, t.edge.client, r)
}

// pass is a connection that nobody is to look into.
func (t *tunnel) pass(server *dialled, flag string) *conn {
	t.edge.passing(net.JoinHostPort(t.host, t.port), flag)
	return t.plain(server, func(r *route) { r.opaque, r.silent = true, true })
}

// firstWords waits until the client or the server says something, or ends. The
// server speaks first in protocols that are not HTTP. What was read stands in the
// sockets for whoever reads them next.
func (t *tunnel) firstWords(server *socket) (first byte, clientFirst bool) {
	client := t.edge.client
	if len(client.ahead) > 0 {
		return client.ahead[0], true
	}
	if len(server.ahead) > 0 { // another proxy was asked, and more than its answer came
		return 0, false
	}
	heard := make(chan []byte, 1)
	go func() {
		b := make([]byte, 4096)
		n, _ := server.Read(b) // its end is met again by the next read
		_ = client.SetReadDeadline(past)
		heard <- b[:n]
	}()
	b := make([]byte, 4096)
	n, _ := client.Read(b) // as above
	_ = server.SetReadDeadline(past)
	if said := <-heard; len(said) > 0 {
		server.ahead = said
	}
	_ = server.SetReadDeadline(time.Time{})
	_ = client.SetReadDeadline(time.Time{})
	if n > 0 {
		client.ahead = b[:n]
		return b[0], len(server.ahead) == 0
	}
	return 0, false
}

// intercept takes the client's TLS for the server's and speaks TLS to both. The
// server comes first: its certificate is the pattern of ours.
func (t *tunnel) intercept(server *dialled) *conn {
	e := t.edge
	below := &under{Conn: e.client.Conn, ahead: e.client.ahead}
	e.client.ahead = nil
	_ = e.client.SetReadDeadline(time.Now().Add(e.server.config.HeadTimeout))
	hello, raw, err := readHello(below)
	if err != nil {
		server.socket.close()
		return t.unreadable(err)
	}
	_ = e.client.SetReadDeadline(time.Time{})
	below.ahead = raw
	name := hello.ServerName
	if name == "" {
		name = t.host
	}
	flag := e.server.config.Forward.passes(name, t.port)
	if flag == "" && !e.server.config.speaks(hello.SupportedProtos) {
		flag = "the client offers only " + inspect.Visible([]byte(strings.Join(hello.SupportedProtos, ", ")), 100)
	}
	if flag != "" {
		e.client.ahead = raw
		return t.pass(server, flag)
	}
	return t.secure(server, below, name, hello.SupportedProtos)
}

// unreadable tells of a client whose first bytes look like TLS and are not.
func (t *tunnel) unreadable(err error) *conn {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return t.edge.fail(t.via, inspect.Self, "", fmt.Sprintf("the client's TLS handshake did not end within %v (%s)", t.edge.server.config.HeadTimeout, t.via))
	}
	return t.edge.fail(t.via, inspect.Self, "", fmt.Sprintf("the client's TLS cannot be read: %s (%s)", innermost(err), t.via))
}

// speaks says that one of the protocols that a client offers is HTTP, in a version
// that is taken apart; one that offers none may speak it.
func (c *Config) speaks(protos []string) bool {
	return len(protos) == 0 || slices.Contains(protos, alpnHTTP1) || slices.Contains(protos, "http/1.0") ||
		c.HTTP != HTTP1 && slices.Contains(protos, alpnHTTP2)
}

// offers are the protocols that a server is asked for: HTTP/2 if the client speaks
// it, so that it gets what it would get without wsproxy.
func (c *Config) offers(client []string) []string {
	if c.HTTP == HTTP2 && len(client) > 0 || c.HTTP == HTTPAuto && slices.Contains(client, alpnHTTP2) {
		return []string{alpnHTTP2, alpnHTTP1}
	}
	return []string{alpnHTTP1}
}

// takes are the protocols that a client is let choose from: what the server chose
// comes first.
func (c *Config) takes(r *dialled) []string {
	switch {
	case c.HTTP == HTTP1:
		return []string{alpnHTTP1}
	case r.socket != nil && r.socket.speaksHTTP2():
		return []string{alpnHTTP2, alpnHTTP1}
	}
	return []string{alpnHTTP1, alpnHTTP2}
}

// secure shakes hands with the server under that name, then with the client.
func (t *tunnel) secure(server *dialled, below *under, name string, protos []string) *conn {
	e := t.edge
	r, err := t.route("https")
	if err == nil {
		r.dialer.name = name
		if !strings.EqualFold(name, t.host) {
			r.config.Target.Host = strings.TrimSuffix(net.JoinHostPort(name, t.port), ":443")
		}
	}
	var client *tls.Conn
	if err == nil {
		r.ready = r.dialer.secured(e.ctx, server, e.server.config.offers(protos)...)
		client, err = t.shake(below, name, r.ready)
	}
	if err != nil {
		if r.ready != nil && r.ready.socket != nil {
			r.ready.socket.close()
		}
		if client == nil {
			return e.fail(t.via, inspect.Self, "", fmt.Sprintf("there is no certificate for %s: %v", name, err))
		}
	}
	s := &socket{Conn: client, tcp: e.client.tcp, tls: client, under: below}
	if err != nil {
		return t.distrusted(s, name, err)
	}
	e.mu.Lock()
	e.client = s
	e.mu.Unlock()
	return newConn(e.server, s, r)
}

// shake shakes hands with the client under that name. There is no connection if
// there is no certificate.
func (t *tunnel) shake(below *under, name string, server *dialled) (*tls.Conn, error) {
	leaf, err := t.edge.server.config.Forward.Leaf(name, mirrored(server))
	if err != nil {
		return nil, err
	}
	client := tls.Server(below, &tls.Config{KeyLogWriter: t.edge.server.config.KeyLog, Certificates: []tls.Certificate{*leaf}, NextProtos: t.edge.server.config.takes(server)})
	ctx, cancel := context.WithTimeout(t.edge.ctx, t.edge.server.config.HeadTimeout)
	defer cancel()
	return client, client.HandshakeContext(ctx)
}

// mirrored is the certificate that a server showed; nil if there is none.
func mirrored(r *dialled) *x509.Certificate {
	if r.socket == nil || r.socket.tls == nil {
		return nil
	}
	return r.socket.tls.ConnectionState().PeerCertificates[0]
}

// distrusted tells of a client that did not end its handshake.
func (t *tunnel) distrusted(s *socket, name string, err error) *conn {
	r := t.edge.server.elsewhere()
	f := r.distrusted(s, err, t.via, name)
	return t.edge.fail(t.via, f.how, f.text, f.why)
}

// errHello ends a handshake that was only to be looked at.
var errHello = errors.New("seen")

// readHello reads a ClientHello and answers its bytes too, with what came behind.
func readHello(c *under) (hello *tls.ClientHelloInfo, raw []byte, err error) {
	look := &looking{under: c}
	err = tls.Server(look, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello = h
		return nil, errHello
	}}).Handshake()
	if hello != nil {
		return hello, append(look.seen.Bytes(), c.ahead...), nil
	}
	return nil, nil, err
}

// looking is a connection that keeps what is read of it and says nothing.
type looking struct {
	*under
	seen bytes.Buffer
}

// Read reads and keeps it.
func (l *looking) Read(b []byte) (int, error) {
	n, err := l.under.Read(b)
	l.seen.Write(b[:n])
	return n, err
}

// Write throws away what a handshake answers.
func (l *looking) Write(b []byte) (int, error) { return len(b), nil }

// socks answers a SOCKS5 client (RFC 1928) and opens its tunnel.
func (e *edge) socks() *conn {
	t, err := e.socksRequest()
	if err != nil {
		return e.fail("", inspect.Self, "", "a SOCKS client at "+e.client.RemoteAddr().String()+": "+err.Error())
	}
	server := t.dial()
	if server.err != nil {
		_, _ = e.client.Write(socksReply(socksRefused)) // nobody else is left to be told
		return e.fail(t.via, inspect.Self, "", server.err.Error())
	}
	return t.open(server)
}

// Answers of a SOCKS5 server.
const (
	socksNoAuth     = 0
	socksPassword   = 2 // RFC 1929
	socksNoMethod   = 0xff
	socksDone       = 0
	socksRefused    = 5
	socksNoCommand  = 7
	socksNoAddress  = 8
	socksConnect    = 1
	socksIPv4       = 1
	socksName       = 3
	socksIPv6       = 4
	passwordVersion = 1
)

func socksReply(code byte) []byte {
	return []byte{socksVersion, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0}
}

// socksRequest reads what a SOCKS5 client asks for.
func (e *edge) socksRequest() (*tunnel, error) {
	_ = e.client.SetReadDeadline(time.Now().Add(e.server.config.HeadTimeout)) // a closed socket tells with the read
	in := &reader{e.client}
	methods := in.take(int(in.take(2)[1]))
	auth := e.server.config.Auth != ""
	wanted := byte(socksNoAuth)
	if auth {
		wanted = socksPassword
	}
	if !bytes.Contains(methods, []byte{wanted}) {
		_, _ = e.client.Write([]byte{socksVersion, socksNoMethod}) // it is told below
		if auth {
			return nil, errors.New("it offers no password (--auth)")
		}
		return nil, errors.New("it offers no method without a password")
	}
	in.answer(socksVersion, wanted)
	if auth {
		user := in.take(int(in.take(2)[1]))
		password := in.take(int(in.take(1)[0]))
		if !e.server.config.knows(slices.Concat(user, []byte(":"), password)) {
			in.answer(passwordVersion, 1)
			return nil, errors.New("its user or password is wrong (--auth)")
		}
		in.answer(passwordVersion, 0)
	}
	ask := in.take(4)
	var host string
	switch ask[3] {
	case 0: // it ended
	case socksIPv4:
		host = net.IP(in.take(4)).String()
	case socksIPv6:
		host = net.IP(in.take(16)).String()
	case socksName:
		host = string(in.take(int(in.take(1)[0])))
	default:
		_, _ = e.client.Write(socksReply(socksNoAddress))
		return nil, fmt.Errorf("it asks for an address of type %d", ask[3])
	}
	port := in.take(2)
	if in.client == nil {
		return nil, errors.New("it ended in the middle of its request")
	}
	if ask[1] != socksConnect {
		_, _ = e.client.Write(socksReply(socksNoCommand))
		return nil, fmt.Errorf("it asks for command %d; only CONNECT is served", ask[1])
	}
	_ = e.client.SetReadDeadline(time.Time{})
	t := &tunnel{edge: e, host: host, port: strconv.Itoa(int(port[0])<<8 | int(port[1])), opened: socksReply(socksDone)}
	t.via = "SOCKS5 " + net.JoinHostPort(t.host, t.port)
	return t, nil
}

// reader reads a SOCKS request piece by piece. After an error it answers zeros
// and has no client any more.
type reader struct{ client *socket }

// take reads n bytes.
func (r *reader) take(n int) []byte {
	b := make([]byte, n)
	if r.client == nil {
		return b
	}
	at := copy(b, r.client.ahead)
	r.client.ahead = r.client.ahead[at:]
	if _, err := io.ReadFull(r.client, b[at:]); err != nil {
		r.client = nil
		clear(b)
	}
	return b
}

// answer writes to the client.
func (r *reader) answer(b ...byte) {
	if r.client != nil {
		_, _ = r.client.Write(b) // a client that has left is met by the next take
	}
}
