package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// secure shakes hands with a client of a listener that speaks TLS. What came to
// nothing stands in the route: it is told, or answered, in place of relaying.
func (c *conn) secure() {
	below := &under{Conn: c.client.Conn}
	first := make([]byte, 4096)
	n, err := below.Read(first) // a client may take its time before it says anything
	if err != nil {
		c.opaque, c.failure = true, &failure{how: inspect.Fin, why: "the client left before it said anything"}
		if isReset(err) {
			c.failure.how = inspect.Rst
		}
		return
	}
	if first[0] != recordHandshake {
		c.client.ahead = first[:n]
		why := fmt.Sprintf("this port speaks TLS: https://%s, wss://%s", c.local, c.local)
		c.config.Logf("%s: a client without TLS at a port that wants it", c.client.RemoteAddr())
		if c.denied = (&denial{status: 400, phrase: "Bad Request", why: why}); !letter(first[0]) {
			c.opaque, c.denied, c.failure = true, nil, &failure{why: why}
		}
		return
	}
	below.ahead = first[:n]
	name := hostOnly(c.local.String())
	client := tls.Server(below, &tls.Config{KeyLogWriter: c.config.KeyLog, NextProtos: c.offered(),
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName != "" {
				name = h.ServerName
			}
			return c.config.Secure(name)
		}})
	apart(func() {
		ctx, cancel := context.WithTimeout(c.ctx, c.config.HeadTimeout)
		defer cancel()
		err = client.HandshakeContext(ctx)
	})
	s := &socket{Conn: client, tcp: c.client.tcp, tls: client, under: below}
	if err != nil {
		f := c.distrusted(s, err, fmt.Sprintf("from %s", c.client.RemoteAddr()), name)
		c.opaque, c.failure = true, &f
		return
	}
	c.mu.Lock()
	c.client = s
	c.mu.Unlock()
}

// unsecured says that nobody takes TLS for what it is here: what a reverse proxy's
// listener without it gets is HTTP.
func (c *conn) unsecured() bool {
	return c.client.tls == nil && c.carrier == nil && !c.tunnel && !c.absolute && !c.opaque
}

// refuseTLS tells a client that speaks TLS, and the user, that this port does not.
func (c *conn) refuseTLS() {
	why := fmt.Sprintf("a client speaks TLS to a port without it: it is to use http://%s or ws://%s, or wsproxy is to listen with --tls", c.local, c.local)
	c.config.Logf("%s: %s", c.client.RemoteAddr(), why)
	c.refuse(400, "Bad Request", why)
}

// distrusted is what became of a client that did not end its handshake with the
// certificate for a name.
func (r *route) distrusted(s *socket, err error, where, name string) failure {
	how, text := s.ending(err)
	if alert, ok := s.under.bareAlert(); ok {
		how, text = inspect.TLSAlert, alert.Error()
	}
	why := fmt.Sprintf("the TLS handshake with the client failed: %s (%s)", innermost(err), where)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		how, why = inspect.Self, fmt.Sprintf("the client's TLS handshake did not end within %v (%s)", r.config.HeadTimeout, where)
	case how == inspect.TLSAlert, how == inspect.Fin, how == inspect.Rst && isReset(err):
		if how != inspect.TLSAlert {
			text = "it left in the middle of the handshake"
		}
		why = r.untrusted(name, strings.TrimPrefix(text, "tls: "))
	default:
		how = inspect.Self // what it sent is no handshake, and wsproxy ends it
	}
	return failure{how, text, why}
}

// untrusted says what to do about a client that left because of our certificate.
func (r *route) untrusted(name, text string) string {
	advice := "wsproxy ca env or wsproxy ca install makes it trusted"
	if r.config.Forward != nil {
		advice += ", --pass-through " + name + " leaves the host alone"
	}
	return fmt.Sprintf("the client does not take wsproxy's certificate for %s: %s; %s", name, text, advice)
}

// shownName is whom our certificate says we are.
func (c *conn) shownName() string {
	switch {
	case c.client.tls.ConnectionState().ServerName != "":
		return c.client.tls.ConnectionState().ServerName
	case c.tunnel:
		return c.dialer.name
	}
	return hostOnly(c.local.String())
}

// described are the facts of a client's TLS, for the recording.
func (s *socket) described() *inspect.TLSInfo {
	if s.tls == nil {
		return nil
	}
	st := s.tls.ConnectionState()
	return &inspect.TLSInfo{Version: tls.VersionName(st.Version), Cipher: tls.CipherSuiteName(st.CipherSuite), ALPN: st.NegotiatedProtocol,
		SNI: st.ServerName, Resumed: st.DidResume}
}

// certificateWords says what is wrong with a server's certificate.
func certificateWords(err error, now time.Time) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host):
		names := host.Certificate.DNSNames
		for _, ip := range host.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			return fmt.Sprintf("it is for no host at all, and not for %s", host.Host)
		}
		return fmt.Sprintf("it is for %s, not for %s", inspect.Visible([]byte(strings.Join(names[:min(len(names), 5)], ", ")), 200), host.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && now.Before(invalid.Cert.NotBefore):
		return "it is not valid before " + invalid.Cert.NotBefore.UTC().Format(time.DateTime) + " UTC"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return "it expired on " + invalid.Cert.NotAfter.UTC().Format(time.DateTime) + " UTC"
	case errors.As(err, &invalid):
		return innermost(err)
	case errors.As(err, &unknown) && unknown.Cert != nil && weak(unknown.Cert.SignatureAlgorithm):
		return fmt.Sprintf("its signature, %s, is too weak to be trusted", unknown.Cert.SignatureAlgorithm)
	case errors.As(err, &unknown) && unknown.Cert != nil && signsItself(unknown.Cert):
		return "it is self-signed"
	case errors.As(err, &unknown) && unknown.Cert != nil:
		return fmt.Sprintf("nobody here knows its issuer, %s", inspect.Visible([]byte(unknown.Cert.Issuer.String()), 200))
	}
	return innermost(err)
}

// signsItself says that a certificate's own key made its signature, whether or not it
// may sign others.
func signsItself(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// weak says that crypto/x509 takes no signature of a kind, and then calls its issuer
// unknown.
func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}
