package proxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// authority signs certificates for a test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// leaf is what proxy/ca does in few lines.
func (a *authority) leaf(host string, mirror *x509.Certificate) (*tls.Certificate, error) {
	c := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{host}
	}
	if mirror != nil {
		c.DNSNames = append(c.DNSNames, mirror.DNSNames...)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, a.key.Public(), a.key)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: a.key}, err
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// secureRig is a forward proxy whose clients trust its CA, in front of a server
// with TLS.
type secureRig struct {
	*rig
	ca     *authority
	config *tls.Config // the server's
	said   *lines
}

func newSecureRig(t *testing.T, change func(*Config)) *secureRig {
	t.Helper()
	s := &secureRig{ca: newAuthority(t), said: &lines{}}
	cert, err := s.ca.leaf("server.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.config = &tls.Config{Certificates: []tls.Certificate{*cert}}
	s.rig = newForwardRig(t, func(c *Config) {
		c.Forward.Leaf, c.Insecure, c.Logf = s.ca.leaf, true, s.said.logf
		if change != nil {
			change(c)
		}
	})
	return s
}

// shake opens a tunnel and TLS in it, on both sides.
func (s *secureRig) shake(w way, name string) (client, server *tls.Conn) {
	s.t.Helper()
	client = tls.Client(s.enter(w), &tls.Config{ServerName: name, RootCAs: s.ca.pool(), NextProtos: s.config.NextProtos})
	server = tls.Server(s.accept(), s.config)
	served := make(chan error, 1)
	go func() { served <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	if err := <-served; err != nil {
		s.t.Fatal(err)
	}
	return client, server
}

func (s *secureRig) openTLS(w way) (client, server *tls.Conn) {
	s.t.Helper()
	name := "127.0.0.1"
	if strings.HasSuffix(w.name, "by name") {
		name = "localhost"
	}
	client, server = s.shake(w, name)
	s.send(client, upgradeHead)
	s.expect(server, upgradeHead)
	s.send(server, switchHead)
	s.expect(client, switchHead)
	return client, server
}

// wss passes by each tunnel as it came, and is told as it was inside TLS.
func TestInterceptFrames(t *testing.T) {
	for _, w := range ways[1:] {
		t.Run(w.name, func(t *testing.T) {
			s := newSecureRig(t, nil)
			for name, f := range wireFrames {
				client, server := s.openTLS(w)
				for _, way := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
					for cut := 1; cut < min(len(f), 600) && name != "2^63-1 claimed"; cut += 7 {
						s.send(way.from, f[:cut])
						s.expect(way.to, f[:cut])
						s.send(way.from, f[cut:])
						s.expect(way.to, f[cut:])
					}
					s.send(way.from, f)
					s.expect(way.to, f)
				}
				_ = client.Close()
				_ = server.Close()
			}
			client, server := s.openTLS(w)
			s.send(client, "\x81\x05Hello")
			s.expect(server, "\x81\x05Hello")
			_ = client.NetConn().Close()
			_ = server.NetConn().Close()
			await(t, "the connections are over", func() bool { return s.server.Stats().Open == 0 })
			for _, info := range s.heard.opened {
				if !info.TLS || info.Mode != "forward" || !strings.HasPrefix(info.Target, "https://") || !strings.HasSuffix(info.Target, s.portText()) || !strings.HasSuffix(info.Via, s.portText()) || info.Opaque {
					t.Fatalf("a connection is said to be %+v", info)
				}
			}
			if up := s.heard.bytes[inspect.ClientLeg][inspect.ToServer]; !bytes.HasPrefix(up, []byte(upgradeHead)) || !bytes.HasSuffix(up, []byte(upgradeHead+"\x81\x05Hello")) {
				t.Errorf("the tap heard %d bytes", len(up))
			}
		})
	}
}

func (r *rig) portText() string {
	_, port, _ := net.SplitHostPort(r.upstream.Addr().String())
	return ":" + port
}

// The client's certificate is for the name that it asks for, with the names of the
// server's own; and the server is asked for that name.
func TestInterceptNames(t *testing.T) {
	s := newSecureRig(t, nil)
	asked := make(chan string, 1)
	s.config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		asked <- h.ServerName
		return nil, nil
	}
	client, server := s.shake(ways[1], "sni.example")
	leaf := client.ConnectionState().PeerCertificates[0]
	if strings.Join(leaf.DNSNames, " ") != "sni.example server.example" {
		t.Errorf("the certificate is for %v", leaf.DNSNames)
	}
	if n := len(client.ConnectionState().PeerCertificates); n != 2 {
		t.Errorf("%d certificates were sent, not the CA's too", n)
	}
	if name := <-asked; name != "sni.example" {
		t.Errorf("the server was asked for %q", name)
	}
	s.send(client, upgradeHead)
	s.expect(server, upgradeHead)
	s.send(server, switchHead)
	s.expect(client, switchHead)
	_ = client.NetConn().Close()
	_ = server.NetConn().Close()
	await(t, "the connection is over", func() bool { return s.server.Stats().Open == 0 })
	if got := s.heard.opened[0].Target; got != "https://sni.example"+s.portText() {
		t.Errorf("the target is %s", got)
	}
}

// A server that cannot be trusted is told of inside TLS, so that every client can
// read why.
func TestInterceptUntrustedServer(t *testing.T) {
	s := newSecureRig(t, func(c *Config) { c.Insecure = false })
	client := tls.Client(s.enter(ways[1]), &tls.Config{ServerName: "127.0.0.1", RootCAs: s.ca.pool()})
	var served sync.WaitGroup
	served.Go(func() {
		c := s.accept()
		_ = tls.Server(c, s.config).Handshake() // the proxy gives up
		_ = c.Close()
	})
	s.send(client, upgradeHead)
	page, err := io.ReadAll(client)
	served.Wait()
	if err != nil || !strings.HasPrefix(string(page), "HTTP/1.1 502 ") || !strings.Contains(string(page), "not trusted") || !strings.Contains(string(page), "--insecure") {
		t.Errorf("%q, %v", page, err)
	}
	if strings.Count(s.said.String(), "not trusted") != 1 {
		t.Errorf("said: %q", s.said)
	}
}

// A client that does not trust us says so by an alert, or by leaving; either is
// told, with what to do.
func TestInterceptUntrustingClient(t *testing.T) {
	for name, c := range map[string]struct {
		ways func(*secureRig, net.Conn)
		says string
		how  string
	}{
		"alert": {func(s *secureRig, c net.Conn) {
			err := tls.Client(c, &tls.Config{ServerName: "127.0.0.1"}).Handshake()
			if !errors.As(err, new(*tls.CertificateVerificationError)) {
				s.t.Errorf("the client says %v", err)
			}
		}, "bad certificate", "to-server tls_alert"},
		"leaves behind the handshake": {func(s *secureRig, c net.Conn) {
			if err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
				s.t.Error(err)
			}
			_ = c.(*net.TCPConn).CloseWrite()
		}, "right behind the handshake", "to-server fin"},
		"resets": {func(s *secureRig, c net.Conn) {
			if err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
				s.t.Error(err)
			}
			reset(c)
		}, "it left ", "to-server rst"}, // in the middle, if our end had not read it all
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecureRig(t, nil)
			client := s.enter(ways[1])
			raw := s.accept()
			var served sync.WaitGroup
			served.Go(func() { _ = tls.Server(raw, s.config).Handshake() })
			c.ways(s, client)
			served.Wait()
			await(t, "it is said", func() bool { return strings.Contains(s.said.String(), c.says) })
			await(t, "its end is told", func() bool { return len(s.heard.ended(inspect.ClientLeg)) > 0 })
			_ = raw.Close()
			for _, want := range []string{"does not take wsproxy's certificate for 127.0.0.1", "wsproxy ca", "--pass-through 127.0.0.1"} {
				if !strings.Contains(s.said.String(), want) {
					t.Errorf("%q does not say %q", s.said, want)
				}
			}
			_ = client.Close()
			await(t, "the connection is over", func() bool { return s.server.Stats().Open == 0 })
			if why := s.heard.failures(t); len(why) != 1 || !strings.Contains(why[0], c.says) {
				t.Errorf("told: %q", why)
			}
			if got := s.heard.ended(inspect.ClientLeg); len(got) == 0 || got[0] != c.how {
				t.Errorf("ends: %v", got)
			}
		})
	}
}

// What only looks like TLS, does not end, or is for another protocol.
func TestInterceptBadInput(t *testing.T) {
	for name, c := range map[string]struct{ sends, says string }{
		"garbage":   {"\x16garbage garbage garbage", "TLS cannot be read"},
		"half":      {"\x16\x03\x01\x02\x00half of it", "did not end within"},
		"oversized": {"\x16\x03\x01\xff\xff" + strings.Repeat("x", 70000), "TLS cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecureRig(t, func(c *Config) { c.HeadTimeout = 50 * time.Millisecond })
			client := s.enter(ways[1])
			server := s.accept()
			_, _ = io.WriteString(client, c.sends) // the proxy may have left by then
			s.expectEndOfAnyKind(client)
			s.expectEndOfAnyKind(server)
			s.server.relays.Wait()
			if !strings.Contains(s.said.String(), c.says) || strings.Count(s.said.String(), "\n") != 1 {
				t.Errorf("said: %q", s.said)
			}
			if why := s.heard.failures(t); len(why) != 1 {
				t.Errorf("told: %q", why)
			}
		})
	}
	t.Run("without SNI", func(t *testing.T) {
		s := newSecureRig(t, nil)
		client := tls.Client(s.enter(ways[1]), &tls.Config{InsecureSkipVerify: true})
		server := tls.Server(s.accept(), s.config)
		var served sync.WaitGroup
		served.Go(func() { _ = server.Handshake() })
		s.send(client, upgradeHead)
		served.Wait()
		s.expect(server, upgradeHead)
		if ips := client.ConnectionState().PeerCertificates[0].IPAddresses; len(ips) != 1 || ips[0].String() != "127.0.0.1" {
			t.Errorf("the certificate is for %v", ips)
		}
	})
}

func (r *rig) expectEndOfAnyKind(c net.Conn) {
	r.t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		r.t.Fatal(err)
	}
}

// TLS that is nobody's business reaches the server as it left the client.
func TestInterceptNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		protos []string
	}{
		"by the server's name": {func(c *Config) { c.Forward.PassThrough = []Pattern{"*.example"} }, nil},
		"another protocol":     {nil, []string{"mqtt"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSecureRig(t, c.change)
			s.config.NextProtos = c.protos
			client, server := s.shake(ways[1], "server.example") // whose own certificate it is
			s.send(client, "secret")
			s.expect(server, "secret")
			_ = client.Close()
			_ = server.Close()
			await(t, "the connection is over", func() bool { return s.server.Stats().Open == 0 })
			if n := s.heard.size(inspect.ClientLeg, inspect.ToServer); n != 0 {
				t.Errorf("%d bytes were told", n)
			}
			if !strings.Contains(s.said.String(), "passes through untouched") {
				t.Errorf("said: %q", s.said)
			}
		})
	}
}

// How one side ends TLS is how the other sees it end.
func TestInterceptEndings(t *testing.T) {
	raw := func(c *tls.Conn) *net.TCPConn { return c.NetConn().(*net.TCPConn) }
	for _, c := range []struct {
		name  string
		end   func(*tls.Conn)
		told  string
		reset bool
	}{
		{"close_notify, then FIN", func(s *tls.Conn) { _ = s.CloseWrite(); _ = raw(s).CloseWrite() }, "fin", false},
		{"close_notify alone", func(s *tls.Conn) { _ = s.CloseWrite() }, "close_notify", false},
		{"FIN alone", func(s *tls.Conn) { _ = raw(s).CloseWrite() }, "fin", false},
		{"RST", func(s *tls.Conn) { reset(raw(s)) }, "rst", true},
	} {
		for _, dir := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
			t.Run(c.name+" "+dir.String(), func(t *testing.T) {
				s := newSecureRig(t, nil)
				client, server := s.openTLS(ways[1])
				from, to, leg := client, server, inspect.ClientLeg
				if dir == inspect.ToClient {
					from, to, leg = server, client, inspect.ServerLeg
				}
				s.send(from, "\x81\x01a")
				s.expect(to, "\x81\x01a")
				c.end(from)
				s.expectEnd(to, c.reset)
				if !c.reset {
					s.send(to, "\x81\x04late") // the other direction goes on
					s.expect(from, "\x81\x04late")
				}
				told := func() bool {
					return strings.Contains(strings.Join(s.heard.ended(leg), ", "), dir.String()+" "+c.told)
				}
				if c.told == "fin" {
					await(t, "the FIN is told", told)
				}
				if !c.reset {
					_ = raw(to).CloseWrite()
					s.expectEnd(from, false)
					if _, err := raw(from).Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // behind the close_notify
						t.Errorf("no FIN came: %v", err)
					}
				}
				reset(raw(from)) // no FIN follows a close_notify that came alone
				await(t, "the connection is over", func() bool { return s.server.Stats().Open == 0 })
				if !told() {
					t.Errorf("told %s", s.heard.ended(leg))
				}
			})
		}
	}
}

func TestInterceptShutdown(t *testing.T) {
	s := newSecureRig(t, func(c *Config) { c.Grace = 10 * time.Millisecond })
	client, server := s.openTLS(ways[1])
	waiting := s.enter(ways[1])
	s.send(waiting, "\x16\x03\x01\x02\x00half")
	raw := s.accept()
	if err := s.server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server, waiting, raw} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a socket is open")
		}
	}
}
