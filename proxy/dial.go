package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// errLoop is a connection that would lead back here.
var errLoop = errors.New("wsproxy would connect to itself")

// dialer reaches one server.
type dialer struct {
	of       *Config // whose it is
	addr     string  // host:port, or the path of a Unix socket
	unix     bool
	name     string // the target's host, for certificates and messages
	secure   bool
	insecure bool
	timeout  time.Duration
	own      func(netip.AddrPort) bool // is one of our listeners

	ownSocket func(path string) bool // the same of a Unix socket
	upstream  Upstream               // nil: there is no other proxy
	cert      *tls.Certificate       // for servers that ask; nil: none
	keyLog    io.Writer
}

func (s *Server) newDialer(c *Config) (dialer, error) {
	d := dialer{of: c, name: c.Target.Hostname(), insecure: c.Insecure, timeout: c.DialTimeout, own: s.listensOn, ownSocket: s.listensAt, upstream: c.Upstream,
		cert: c.ClientCert, keyLog: c.KeyLog}
	if c.Unix != "" {
		d.addr, d.unix = c.Unix, true
		return d, nil
	}
	port := c.Target.Port()
	switch c.Target.Scheme {
	case "tcp":
		if port == "" {
			return d, errors.New("a target of tcp:// names a port")
		}
	case "ws", "http":
	case "wss", "https":
		d.secure = true
	default:
		return d, fmt.Errorf("a target's scheme is ws, wss, http, https or tcp, not %q", c.Target.Scheme)
	}
	if port == "" {
		port = defaultPort(c.Target.Scheme)
	}
	if d.addr = c.ConnectTo; d.addr == "" {
		d.addr = net.JoinHostPort(d.name, port)
	}
	return d, nil
}

func defaultPort(scheme string) string {
	if scheme == "wss" || scheme == "https" {
		return "443"
	}
	return "80"
}

// dial connects, with TLS where the target has it. The note says how that went,
// also when it failed; then the error is the note's, in a sentence.
func (d dialer) dial(ctx context.Context) (*socket, inspect.PeerNote, error) {
	r := d.plainly(ctx)
	if r.err == nil && d.secure {
		r = d.secured(ctx, r, alpnHTTP1) // an upgrade needs it
	}
	return r.socket, r.note, r.err
}

// plainly connects without TLS.
func (d dialer) plainly(ctx context.Context) *dialled {
	return d.step(ctx, &dialled{note: inspect.PeerNote{Kind: inspect.NotePeer, Addr: d.addr}}, func(ctx context.Context, r *dialled) error {
		var err error
		r.socket, err = d.reach(ctx, r)
		return err
	})
}

// secured puts TLS on a connection, and offers those protocols.
func (d dialer) secured(ctx context.Context, r *dialled, protos ...string) *dialled {
	return d.step(ctx, r, func(ctx context.Context, r *dialled) error {
		s := r.socket
		s.under, s.outer, s.ahead = &under{Conn: s.Conn, ahead: s.ahead}, s.tls, nil
		config := &tls.Config{
			KeyLogWriter:       d.keyLog,
			ServerName:         d.name,
			NextProtos:         protos,
			InsecureSkipVerify: d.insecure, // only when the user says so; it is shown
		}
		if d.cert != nil {
			config.Certificates = []tls.Certificate{*d.cert}
		}
		s.tls = tls.Client(s.under, config)
		s.Conn = s.tls
		if err := s.tls.HandshakeContext(ctx); err != nil {
			s.close()
			r.socket = nil
			return err
		}
		r.note.TLS = d.describe(s.tls.ConnectionState())
		return nil
	})
}

// step does one step of dialling, in time, and notes how it went.
func (d dialer) step(ctx context.Context, r *dialled, f func(context.Context, *dialled) error) *dialled {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	start := time.Now()
	err := f(ctx, r)
	r.note.Dial += time.Since(start)
	if err != nil {
		r.note.Error = d.sentence(err)
		r.err = errors.New(r.note.Error)
	}
	return r
}

// connect connects, but never to wsproxy itself.
func (d dialer) connect(ctx context.Context, addr string) (*net.TCPConn, error) {
	dial := net.Dialer{Control: func(_, addr string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(addr); err == nil && d.own(to) {
			return errLoop
		}
		return nil
	}}
	nc, err := dial.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return nc.(*net.TCPConn), nil
}

func (d dialer) describe(st tls.ConnectionState) *inspect.TLSInfo {
	info := &inspect.TLSInfo{Version: tls.VersionName(st.Version), Cipher: tls.CipherSuiteName(st.CipherSuite), ALPN: st.NegotiatedProtocol,
		SNI: st.ServerName, Resumed: st.DidResume}
	info.Verified = !d.insecure
	if len(st.PeerCertificates) == 0 {
		return info
	}
	leaf := st.PeerCertificates[0]
	info.Names, info.Expiry = leaf.DNSNames, leaf.NotAfter
	for _, ip := range leaf.IPAddresses {
		info.Names = append(info.Names, ip.String())
	}
	if d.insecure {
		info.Why = "not verified (--insecure)"
		pool := x509.NewCertPool()
		for _, c := range st.PeerCertificates[1:] {
			pool.AddCert(c)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: d.name, Intermediates: pool}); err != nil {
			info.Why += ": " + certificateWords(err, time.Now())
		}
	}
	return info
}

// sentence says what could not be reached and why.
func (d dialer) sentence(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	var via *upstreamError
	var refused *refusedError
	switch {
	case errors.As(err, &via):
		via.why = dialer{addr: via.proxy, name: hostOnly(via.proxy), timeout: d.timeout}.sentence(via.err)
		return via.Error()
	case errors.As(err, &refused):
		return fmt.Sprintf("%s: %s", d.addr, refused.text)
	case errors.Is(err, errLoop):
		return fmt.Sprintf("%s is wsproxy itself, which would connect to itself for ever", d.addr)
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return fmt.Sprintf("the certificate of %s is not trusted: %s (--insecure goes on without checking)", d.addr, certificateWords(err, time.Now()))
	case errors.As(err, &record):
		return fmt.Sprintf("the server %s does not speak TLS; a target of ws:// or http:// is without it", d.addr)
	case errors.As(err, &dns):
		return fmt.Sprintf("the server %s cannot be found: %s", d.name, dns.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the server %s did not answer within %v", d.addr, d.timeout)
	case errors.Is(err, context.Canceled):
		return fmt.Sprintf("the connection to %s was given up", d.addr)
	}
	return fmt.Sprintf("the server %s cannot be reached: %s", d.addr, innermost(err))
}

// innermost is an error without the addresses and operations in front of it.
func innermost(err error) string {
	text := err.Error()
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		text = inner.Error()
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "tls: "), "x509: ")
}
