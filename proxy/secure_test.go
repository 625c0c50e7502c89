package proxy

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// doorRig is a reverse proxy whose listener speaks TLS.
type doorRig struct {
	*rig
	ca     *authority
	said   *lines
	server *tls.Config // nil: the server is plain
}

func newDoorRig(t *testing.T, both bool, change func(*Config)) *doorRig {
	t.Helper()
	d := &doorRig{ca: newAuthority(t), said: &lines{}}
	if both {
		cert, err := d.ca.leaf("localhost", nil)
		if err != nil {
			t.Fatal(err)
		}
		d.server = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	d.rig = newRig(t, func(c *Config) {
		c.Secure = func(host string) (*tls.Certificate, error) { return d.ca.leaf(host, nil) }
		c.Logf = d.said.logf
		if both {
			c.Target.Scheme, c.Insecure = "wss", true
		}
		if change != nil {
			change(c)
		}
	})
	return d
}

// open is a session with TLS on the client's leg, and on the server's where it is so.
func (d *doorRig) open() (client *tls.Conn, server net.Conn) {
	d.t.Helper()
	client = tls.Client(d.dial(), &tls.Config{ServerName: "localhost", RootCAs: d.ca.pool()})
	return client, d.opened(client)
}

// opened opens a session on a client's connection.
func (d *doorRig) opened(client net.Conn) (server net.Conn) {
	d.t.Helper()
	d.send(client, upgradeHead)
	if d.server != nil {
		server = d.secured(d.server)
	} else {
		server = d.accept()
	}
	d.expect(server, d.sent(upgradeHead))
	d.send(server, switchHead)
	d.expect(client, switchHead)
	return server
}

// TestDoorFrames: frames pass a listener that speaks TLS as they came, and are told
// as they were inside.
func TestDoorFrames(t *testing.T) {
	for _, both := range []bool{false, true} {
		d := newDoorRig(t, both, nil)
		client, server := d.open()
		want := ""
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for n := range wireFrames {
				if !yield(n) {
					return
				}
			}
		}) {
			if name == "2^63-1 claimed" {
				continue // nothing follows it
			}
			f := wireFrames[name]
			want += f
			d.send(client, f)
			d.expect(server, f)
			d.send(server, f)
			d.expect(client, f)
		}
		_ = client.Close()
		_ = server.Close()
		await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
		if got := string(d.heard.bytes[inspect.ClientLeg][inspect.ToServer]); got != upgradeHead+want {
			t.Errorf("the tap heard %d bytes up", len(got))
		}
		if got := string(d.heard.bytes[inspect.ClientLeg][inspect.ToClient]); got != switchHead+want {
			t.Errorf("the tap heard %d bytes down", len(got))
		}
		info := d.heard.infos()
		if len(info) != 1 || !info[0].TLS || info[0].ClientTLS == nil || info[0].ClientTLS.Version != "TLS 1.3" || info[0].ClientTLS.SNI != "localhost" {
			t.Errorf("opened with %+v", info)
		}
	}
}

// TestDoorEndings: how a client with TLS ends is seen, recorded and mirrored to a
// server with and without it.
func TestDoorEndings(t *testing.T) {
	for _, both := range []bool{false, true} {
		for _, c := range []struct {
			name  string
			end   func(*tls.Conn)
			told  string // of the client leg
			reset bool   // what the server sees
		}{
			{"close_notify, then FIN", func(c *tls.Conn) { _ = c.CloseWrite(); _ = c.NetConn().(*net.TCPConn).CloseWrite() }, "to-server fin", false},
			{"close_notify alone", func(c *tls.Conn) { _ = c.CloseWrite() }, "to-server close_notify", false},
			{"FIN alone", func(c *tls.Conn) { _ = c.NetConn().(*net.TCPConn).CloseWrite() }, "to-server fin", false},
			{"RST", func(c *tls.Conn) { reset(c.NetConn()) }, "to-server rst", true},
		} {
			t.Run(c.name+map[bool]string{true: ", both legs", false: ""}[both], func(t *testing.T) {
				d := newDoorRig(t, both, nil)
				client, server := d.open()
				d.send(client, wireFrames["masked"])
				d.expect(server, wireFrames["masked"])
				c.end(client)
				d.expectEnd(server, c.reset)
				if !c.reset {
					d.send(server, "\x81\x05Hello") // the other direction goes on
					d.expect(client, "\x81\x05Hello")
					_ = server.Close()
					if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
						t.Errorf("the client read %d, %v", n, err)
					}
					if c.name == "close_notify alone" {
						reset(client.NetConn()) // no FIN follows
					} else {
						_ = client.NetConn().Close()
					}
				}
				await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
				if got := d.heard.ended(inspect.ClientLeg); !slices.Contains(got, c.told) {
					t.Errorf("told %v, want %s", got, c.told)
				}
			})
		}
	}
}

// TestDoorServerEndings: how a server ends, with TLS and without, reaches a client
// with TLS.
func TestDoorServerEndings(t *testing.T) {
	type ending struct {
		name  string
		end   func(net.Conn)
		told  string // of the server leg
		reset bool   // what the client sees
	}
	fin := func(c net.Conn) {
		if s, ok := c.(*tls.Conn); ok {
			c = s.NetConn()
		}
		_ = c.(*net.TCPConn).CloseWrite()
	}
	rst := func(c net.Conn) {
		if s, ok := c.(*tls.Conn); ok {
			c = s.NetConn()
		}
		reset(c)
	}
	notify := func(c net.Conn) { _ = c.(*tls.Conn).CloseWrite() }
	plain := []ending{{"FIN", fin, "to-client fin", false}, {"RST", rst, "to-client rst", true}}
	for both, all := range map[bool][]ending{false: plain, true: append(plain,
		ending{"close_notify, then FIN", func(c net.Conn) { notify(c); fin(c) }, "to-client fin", false},
		ending{"close_notify alone", notify, "to-client close_notify", false},
	)} {
		for _, c := range all {
			t.Run(c.name+map[bool]string{true: ", both legs", false: ""}[both], func(t *testing.T) {
				d := newDoorRig(t, both, nil)
				client, server := d.open()
				d.send(server, "\x81\x05Hello")
				d.expect(client, "\x81\x05Hello")
				c.end(server)
				n, err := client.Read(make([]byte, 1))
				if n != 0 || c.reset != isReset(err) || !c.reset && err != io.EOF {
					t.Errorf("the client read %d, %v", n, err)
				}
				if !c.reset {
					d.send(client, wireFrames["masked"]) // the other direction goes on
					d.expect(server, wireFrames["masked"])
					_ = client.CloseWrite()
					_ = client.NetConn().(*net.TCPConn).CloseWrite()
					d.expectEnd(server, false)
				}
				rst(server) // no FIN follows a close_notify that came alone
				await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
				if got := d.heard.ended(inspect.ServerLeg); !slices.Contains(got, c.told) {
					t.Errorf("told %v, want %s", got, c.told)
				}
			})
		}
	}
}

// spoiled is a connection that, from a moment on, flips a bit in what is read.
type spoiled struct {
	net.Conn
	now atomic.Bool
}

func (s *spoiled) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.now.Load() && n > 0 {
		b[n-1] ^= 1
	}
	return n, err
}

// TestDoorAlert: a client that ends a session with a TLS alert is told of by the
// alert's name, and the server is reset.
func TestDoorAlert(t *testing.T) {
	for _, both := range []bool{false, true} {
		d := newDoorRig(t, both, nil)
		below := &spoiled{Conn: d.dial()}
		client := tls.Client(below, &tls.Config{ServerName: "localhost", RootCAs: d.ca.pool()})
		server := d.opened(client)
		below.now.Store(true)
		d.send(server, "\x81\x05Hello")
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Fatal("the client reads what was spoiled")
		}
		d.expectEnd(server, true)
		await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
		if got := d.heard.ended(inspect.ClientLeg); len(got) == 0 || got[0] != "to-server tls_alert" {
			t.Errorf("told %v", got)
		}
		if got := d.heard.ends[0]; !strings.Contains(got.Error, "bad record MAC") {
			t.Errorf("the alert says %q", got.Error)
		}
		_ = below.Close()
	}
}

// TestDoorGarbage: a client that breaks TLS in a session did not reset it: wsproxy
// ends it, and says why.
func TestDoorGarbage(t *testing.T) {
	d := newDoorRig(t, false, nil)
	client, server := d.open()
	d.send(client.NetConn(), "\x17\x03\x03\x00\x20 this is no record of its session")
	d.expectEnd(server, true)
	await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
	if got := d.heard.ended(inspect.ClientLeg); len(got) == 0 || got[0] != "to-server self" {
		t.Errorf("told %v", got)
	}
	if got := d.heard.ends[0].Error; !strings.Contains(got, "bad record MAC") {
		t.Errorf("it says %q", got)
	}
	_ = client.NetConn().Close()
}

// TestDoorStrangers: who does not come in is told of in a sentence, and nobody else
// notices.
func TestDoorStrangers(t *testing.T) {
	d := newDoorRig(t, false, func(c *Config) { c.HeadTimeout = 300 * time.Millisecond })
	client, server := d.open()
	for _, c := range []struct {
		name, says string
		come       func(net.Conn)
	}{
		{"does not know the CA", "the client does not take wsproxy's certificate for localhost", func(c net.Conn) {
			if err := tls.Client(c, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}).Handshake(); err == nil {
				t.Error("it knows the CA")
			}
		}},
		{"leaves behind the handshake", "certificate for 127.0.0.1: it left right behind the handshake", func(c net.Conn) {
			s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			if err := s.Handshake(); err != nil {
				t.Error(err)
			}
			_ = s.Close()
		}},
		{"speaks HTTP", "a client without TLS at a port that wants it", func(c net.Conn) {
			d.send(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			answer, err := io.ReadAll(c)
			if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) || !bytes.Contains(answer, []byte("This port speaks TLS: https://127.0.0.1:")) {
				t.Errorf("%q, %v", answer, err)
			}
		}},
		{"speaks something", "this port speaks TLS", func(c net.Conn) { d.send(c, "\x00\x01\x02") }},
		{"begins a handshake and breaks it", "the TLS handshake with the client failed", func(c net.Conn) { d.send(c, "\x16\x03\x01\x00\x05hello") }},
		{"begins a handshake and waits", "did not end within 300ms", func(c net.Conn) { d.send(c, "\x16\x03\x01\x01") }},
	} {
		before := len(d.heard.infos())
		s := d.dial()
		c.come(s)
		if c.name != "begins a handshake and waits" {
			_ = s.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, s); err != nil && !isReset(err) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", c.name, err)
		}
		_ = s.Close()
		await(t, c.name+" is over", func() bool { return d.rig.server.Stats().Open == 1 })
		if all := len(d.heard.infos()); all != before+1 {
			t.Errorf("%s: %d connections are told", c.name, all-before)
		}
		if !strings.Contains(d.said.String(), c.says) && !slices.ContainsFunc(d.heard.failures(t), func(f string) bool { return strings.Contains(f, c.says) }) {
			t.Errorf("%s: no %q in\n%s", c.name, c.says, d.said)
		}
	}
	d.send(client, wireFrames["masked"])
	d.expect(server, wireFrames["masked"])
	_, _ = client.Close(), server.Close()
	await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
}

// TestTLSAtAPlainPort: who speaks TLS to a port without it is told so, on the wire
// and to the user.
func TestTLSAtAPlainPort(t *testing.T) {
	said := &lines{}
	r := newRig(t, func(c *Config) { c.Logf = said.logf })
	c := r.dial()
	var record tls.RecordHeaderError
	if err := tls.Client(c, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}).Handshake(); !errors.As(err, &record) {
		t.Errorf("the client met %v", err)
	}
	_ = c.Close()
	await(t, "the connection is over", func() bool { return r.server.Stats().Open == 0 })
	if want := "a client speaks TLS to a port without it: it is to use http://" + r.addr + " or ws://" + r.addr + ", or wsproxy is to listen with --tls"; !strings.Contains(said.String(), want) {
		t.Errorf("said %q", said)
	}
	if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); !strings.HasPrefix(got, "\x16\x03\x01") {
		t.Errorf("the tap heard %.9q", got)
	}
}

// TestDoorWithoutSNI: a client that names nobody gets the address's certificate.
func TestDoorWithoutSNI(t *testing.T) {
	d := newDoorRig(t, false, nil)
	client := tls.Client(d.dial(), &tls.Config{ServerName: "127.0.0.1", RootCAs: d.ca.pool()})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if names := client.ConnectionState().PeerCertificates[0].IPAddresses; len(names) != 1 || !names[0].IsLoopback() {
		t.Errorf("it is for %v", names)
	}
	_ = client.Close()
}

// TestDoorOfABridge: a bridge's WebSocket client may come by TLS too.
func TestDoorOfABridge(t *testing.T) {
	d := newDoorRig(t, false, func(c *Config) { c.Target.Scheme = "tcp" })
	client := tls.Client(d.dial(), &tls.Config{ServerName: "localhost", RootCAs: d.ca.pool()})
	d.send(client, bridgeHead)
	server := d.accept()
	d.expect(client, bridgeAnswer+"\r\n")
	d.send(client, masked(0x82, "in"))
	d.expect(server, "in")
	d.send(server, "out")
	d.expect(client, "\x82\x03out")
	_, _ = client.Close(), server.Close()
	await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
}

// TestClientCertificate: a server that asks for a certificate gets ours.
func TestClientCertificate(t *testing.T) {
	a := newAuthority(t)
	mine, err := a.leaf("somebody", nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := a.leaf("localhost", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Target.Scheme, c.Insecure, c.ClientCert = "wss", true, mine })
	client, server := r.openTLS(&tls.Config{Certificates: []tls.Certificate{*theirs}, ClientAuth: tls.RequireAnyClientCert})
	if got := server.ConnectionState().PeerCertificates; len(got) == 0 || !bytes.Equal(got[0].Raw, mine.Certificate[0]) {
		t.Errorf("%d certificates came", len(got))
	}
	_, _ = client.Close(), server.Close()
}

// TestKeyLog: the keys of both legs are written, in the form that Wireshark reads.
func TestKeyLog(t *testing.T) {
	var keys lines
	d := newDoorRig(t, true, func(c *Config) { c.KeyLog = writer(func(b []byte) { keys.logf("%s", b) }) })
	client, server := d.open()
	for _, label := range []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ", "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "} {
		if n := strings.Count(keys.String(), label); n != 2 {
			t.Errorf("%d lines of %s", n, label)
		}
	}
	_, _ = client.Close(), server.Close()
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

// TestCertificateWords: what is wrong with a certificate is said in words.
func TestCertificateWords(t *testing.T) {
	a := newAuthority(t)
	now := time.Now()
	leaf := func(change func(*x509.Certificate)) *x509.Certificate {
		c := a.made(t, "server.example", change)
		return c
	}
	known := x509.VerifyOptions{Roots: a.pool(), CurrentTime: now, DNSName: "server.example"}
	for want, c := range map[string]struct {
		cert *x509.Certificate
		o    x509.VerifyOptions
	}{
		"it expired on 2001-02-03 04:05:06 UTC": {leaf(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
		}), known},
		"it is not valid before 2901-02-03 04:05:06 UTC": {leaf(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Date(2901, 2, 3, 4, 5, 6, 0, time.UTC), time.Date(2902, 1, 1, 0, 0, 0, 0, time.UTC)
		}), known},
		"it is for server.example, not for other.example": {leaf(nil), x509.VerifyOptions{Roots: a.pool(), CurrentTime: now, DNSName: "other.example"}},
		"nobody here knows its issuer, CN=":               {leaf(nil), x509.VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: now}},
		"its signature, ECDSA-SHA1, is too weak":          {leaf(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }), known},
		"it is self-signed":                               {a.cert, x509.VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: now}},
	} {
		_, err := c.cert.Verify(c.o)
		if got := certificateWords(err, now); err == nil || !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q (%v)", got, want, err)
		}
	}
}

// A certificate that is for one server alone, and signed by its own key, is self-signed
// too.
func TestSelfSignedLeaf(t *testing.T) {
	a := newAuthority(t)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: "alone"}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, DNSNames: []string{"alone"}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, a.key.Public(), a.key)
	if err == nil {
		leaf, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: x509.NewCertPool()})
	if got := certificateWords(err, time.Now()); err == nil || got != "it is self-signed" {
		t.Errorf("%q (%v)", got, err)
	}
}

// made is a certificate like a leaf, changed.
func (a *authority) made(t *testing.T, host string, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter, DNSNames: []string{host}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (h *heard) infos() []inspect.ConnInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.opened)
}
