package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// await waits for something that another goroutine brings about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// ended are the ends that the tap was told of a leg, in words.
func (h *heard) ended(l inspect.Leg) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, e := range h.ends {
		if e.Leg == l {
			all = append(all, fmt.Sprint(e.Dir, " ", e.How))
		}
	}
	return all
}

func (h *heard) size(l inspect.Leg, d inspect.Dir) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.bytes[l][d])
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// Each ending from each side, with a Close frame before it or half a frame, is
// mirrored as it came, and the tap is told who did it.
func TestEndingsAreToldApart(t *testing.T) {
	for name, before := range map[string]string{
		"nothing": "", "a Close": "\x88\x02\x03\xe8", "half a frame": "\x82\x7e\x01\x00half",
	} {
		for _, side := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
			for _, rst := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, reset %v", name, side.Sender(), rst), func(t *testing.T) {
					r := newRig(t, nil)
					client, server := r.open()
					from, to := client, server
					leg := inspect.ClientLeg
					if side == inspect.ToClient {
						from, to, leg = server, client, inspect.ServerLeg
					}
					r.send(from, before)
					r.expect(to, before)
					if rst {
						reset(from)
						r.expectEnd(to, true)
					} else {
						_ = from.CloseWrite()
						r.expectEnd(to, false)
						_ = to.CloseWrite()
						r.expectEnd(from, false)
					}
					how := map[bool]string{false: " fin", true: " rst"}[rst]
					await(t, "the ends are told", func() bool { return len(r.heard.ended(leg)) > 0 && r.server.Stats().Open == 0 })
					if got := r.heard.ended(leg); got[0] != side.String()+how {
						t.Errorf("told %v of the %s", got, side.Sender())
					}
					if got := r.heard.ended(otherLeg(leg)); !slices.Contains(got, side.String()+how) {
						t.Errorf("told %v of the other leg", got)
					}
				})
			}
		}
	}
}

// A reset does not overtake what came before it: a reader that is slow gets all of it.
func TestAResetDoesNotCutWhatCameBefore(t *testing.T) {
	r := newRig(t, nil)
	client, server := r.open()
	_ = client.SetReadBuffer(64 << 10)
	data := strings.Repeat("0123456789abcdef", 32<<10) // 512 KiB
	r.send(server, data)
	await(t, "the proxy has it all", func() bool { return r.heard.size(inspect.ServerLeg, inspect.ToClient) == len(switchHead)+len(data) })
	reset(server)
	got := make([]byte, 0, len(data))
	buf := make([]byte, 8<<10)
	for {
		n, err := client.Read(buf)
		got = append(got, buf[:n]...)
		if err == nil {
			continue
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the end was %v", err)
		}
		break
	}
	if string(got) != data {
		t.Errorf("%d of %d bytes came before the reset", len(got), len(data))
	}
}

// A client that leaves between its upgrade and the answer.
func TestClientLeavesBeforeTheAnswer(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"FIN": func(c *net.TCPConn) { _ = c.CloseWrite() },
		"RST": func(c *net.TCPConn) { reset(c) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			client := r.dial()
			r.send(client, upgradeHead)
			server := r.accept()
			r.expect(server, r.sent(upgradeHead))
			leave(client)
			r.expectEnd(server, name == "RST")
			_ = server.Close()
			await(t, "the connection is over", func() bool { return r.server.Stats().Open == 0 })
		})
	}
}

// A Close frame that nobody answers changes nothing.
func TestACloseThatIsNeverAnswered(t *testing.T) {
	r := newRig(t, nil)
	client, server := r.open()
	r.send(client, "\x88\x82\x00\x00\x00\x00\x03\xe8")
	r.expect(server, "\x88\x82\x00\x00\x00\x00\x03\xe8")
	r.send(server, "\x81\x05still")
	r.expect(client, "\x81\x05still")
	r.ends(client, server, false)
	if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToClient]); got != switchHead+"\x81\x05still" {
		t.Errorf("the client got %q", got)
	}
}

// tlsRig is a proxy in front of a TLS server.
func newTLSRig(t *testing.T, insecure bool) (*rig, *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // for its certificate
	config := &tls.Config{Certificates: s.TLS.Certificates}
	s.Close()
	return newRig(t, func(c *Config) { c.Target.Scheme, c.Insecure = "wss", insecure }), config
}

// secured accepts the proxy's connection and makes it TLS.
func (r *rig) secured(config *tls.Config) *tls.Conn {
	r.t.Helper()
	c := tls.Server(r.accept(), config)
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestTLSIsVerified(t *testing.T) {
	r, config := newTLSRig(t, false)
	client := r.dial()
	r.send(client, upgradeHead)
	var wait sync.WaitGroup
	wait.Go(func() {
		c := tls.Server(r.accept(), config)
		_ = c.Handshake() // the proxy gives up
		_ = c.Close()
	})
	page, err := io.ReadAll(client)
	wait.Wait()
	if err != nil || !strings.HasPrefix(string(page), "HTTP/1.1 502 ") || !strings.Contains(string(page), "not trusted") || !strings.Contains(string(page), "--insecure") {
		t.Errorf("%q, %v", page, err)
	}
}

// openTLS is a session with TLS towards the server.
func (r *rig) openTLS(config *tls.Config) (client *net.TCPConn, server *tls.Conn) {
	r.t.Helper()
	client = r.dial()
	r.send(client, upgradeHead)
	server = r.secured(config)
	r.expect(server, r.sent(upgradeHead))
	r.send(server, switchHead)
	r.expect(client, switchHead)
	return client, server
}

// How a TLS server ends is seen, recorded and mirrored to a client without TLS.
func TestTLSEndings(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(*tls.Conn)
		told  string // of the server leg
		reset bool   // what the client sees
	}{
		{"close_notify, then FIN", func(s *tls.Conn) { _ = s.CloseWrite(); _ = s.NetConn().(*net.TCPConn).CloseWrite() }, "to-client fin", false},
		{"close_notify alone", func(s *tls.Conn) { _ = s.CloseWrite() }, "to-client close_notify", false},
		{"FIN alone", func(s *tls.Conn) { _ = s.NetConn().(*net.TCPConn).CloseWrite() }, "to-client fin", false},
		{"RST", func(s *tls.Conn) { reset(s.NetConn()) }, "to-client rst", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, config := newTLSRig(t, true)
			client, server := r.openTLS(config)
			r.send(server, "\x81\x05Hello")
			r.expect(client, "\x81\x05Hello")
			c.end(server)
			r.expectEnd(client, c.reset)
			if !c.reset {
				r.send(client, wireFrames["masked"]) // the other direction goes on
				r.expect(server, wireFrames["masked"])
				_ = client.CloseWrite()
				if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("the server read %d, %v", n, err)
				}
				reset(server.NetConn()) // no FIN follows a close_notify that came alone
			}
			await(t, "the connection is over", func() bool { return r.server.Stats().Open == 0 })
			if got := r.heard.ended(inspect.ServerLeg); len(got) == 0 || !slices.Contains(got, c.told) {
				t.Errorf("told %v, want %s", got, c.told)
			}
		})
	}
}

// A server that wants a certificate says so, with TLS 1.3, behind the handshake.
func TestTLSAlert(t *testing.T) {
	r, config := newTLSRig(t, true)
	config.ClientAuth = tls.RequireAnyClientCert
	client := r.dial()
	r.send(client, upgradeHead)
	server := tls.Server(r.accept(), config)
	if err := server.Handshake(); err == nil {
		t.Fatal("the handshake succeeded without a certificate")
	}
	r.expectEnd(client, true)
	await(t, "the connection is over", func() bool { return r.server.Stats().Open == 0 })
	if got := r.heard.ended(inspect.ServerLeg); len(got) == 0 || got[0] != "to-client tls_alert" {
		t.Errorf("told %v", got)
	}
	for _, e := range r.heard.ends {
		if e.How == inspect.TLSAlert && !strings.Contains(e.Error, "certificate required") {
			t.Errorf("the alert says %q", e.Error)
		}
	}
}

// The client's ending reaches a TLS server: FIN as close_notify and FIN, a reset
// as a reset without any close_notify.
func TestClientEndingsTowardsTLS(t *testing.T) {
	for _, rst := range []bool{false, true} {
		r, config := newTLSRig(t, true)
		client, server := r.openTLS(config)
		if rst {
			reset(client)
		} else {
			_ = client.CloseWrite()
		}
		raw := server.NetConn()
		seen := &under{Conn: raw}
		n, err := server.Read(make([]byte, 1))
		if rst != errors.Is(err, syscall.ECONNRESET) || !rst && err != io.EOF || n != 0 {
			t.Errorf("reset %v: the server read %v", rst, err)
		}
		if !rst {
			if n, err := seen.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("behind the close_notify stands %d, %v", n, err)
			}
		}
		_ = raw.Close()
		await(t, "the connection is over", func() bool { return r.server.Stats().Open == 0 })
	}
}

// The note about the server says how TLS went.
func TestPeerNote(t *testing.T) {
	r, config := newTLSRig(t, true)
	client, server := r.openTLS(config)
	_ = client.Close()
	_ = server.Close()
	await(t, "the connection is over", func() bool { return r.server.Stats().Open == 0 })
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range r.heard.notes {
		if n.Kind != inspect.NotePeer {
			continue
		}
		for _, want := range []string{`"version":"TLS 1.3"`, `"verified":false`, "not verified (--insecure)", leaf.DNSNames[0], leaf.NotAfter.Format("2006-01-02")} {
			if !strings.Contains(string(n.JSON), want) {
				t.Errorf("no %s in %s", want, n.JSON)
			}
		}
		return
	}
	t.Error("there is no note about the server")
}
