package proxy

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// way is a way into a forward proxy.
type way struct {
	name  string
	enter func(*rig, net.Conn)             // opens the tunnel; nil: there is none
	ask   func(r *rig, head string) string // a head as the client sends it
}

func same(_ *rig, head string) string { return head }

var ways = []way{
	{name: "absolute-form", ask: func(r *rig, head string) string {
		line, rest, _ := strings.Cut(strings.Replace(head, " /", " ws://"+r.upstream.Addr().String()+"/", 1), "\r\n")
		return line + "\r\nproxy-CONNECTION: keep-alive\r\n folded\r\n" + rest
	}},
	{name: "CONNECT", ask: same, enter: func(r *rig, c net.Conn) {
		r.send(c, "CONNECT "+r.upstream.Addr().String()+" HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n")
		r.expect(c, established)
	}},
	{name: "SOCKS5", ask: same, enter: func(r *rig, c net.Conn) {
		r.send(c, "\x05\x02\x00\x02")
		r.expect(c, "\x05\x00")
		r.send(c, "\x05\x01\x00\x01\x7f\x00\x00\x01"+r.portBytes())
		r.expect(c, socksOK)
	}},
	{name: "SOCKS5 by name", ask: same, enter: func(r *rig, c net.Conn) {
		r.send(c, "\x05\x01\x00\x05\x01\x00\x03\x09localhost"+r.portBytes()) // in one segment
		r.expect(c, "\x05\x00"+socksOK)
	}},
}

const (
	established = "HTTP/1.1 200 Connection established\r\n\r\n"
	socksOK     = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
)

func (r *rig) portBytes() string {
	port := r.upstream.Addr().(*net.TCPAddr).Port
	return string([]byte{byte(port >> 8), byte(port)})
}

func newForwardRig(t *testing.T, change func(*Config)) *rig {
	return newRig(t, func(c *Config) {
		c.Target, c.Forward = nil, &Forward{}
		if change != nil {
			change(c)
		}
	})
}

// enter is a client that has come in by a way.
func (r *rig) enter(w way) *net.TCPConn {
	r.t.Helper()
	c := r.dial()
	if w.enter != nil {
		w.enter(r, c)
	}
	return c
}

// openBy is a session by a way.
func (r *rig) openBy(w way) (client, server *net.TCPConn) {
	r.t.Helper()
	client = r.enter(w)
	r.send(client, w.ask(r, upgradeHead))
	server = r.accept()
	r.expect(server, upgradeHead)
	r.send(server, switchHead)
	r.expect(client, switchHead)
	return client, server
}

func eachWay(t *testing.T, f func(t *testing.T, r *rig, w way)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { f(t, newForwardRig(t, nil), w) })
	}
}

// Each frame passes by each way with its bytes cut at every byte.
func TestForwardFrames(t *testing.T) {
	eachWay(t, func(_ *testing.T, r *rig, w way) {
		for name, f := range wireFrames {
			if len(f) > 600 {
				continue
			}
			client, server := r.openBy(w)
			for _, way := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
				for cut := 1; cut < len(f) && name != "2^63-1 claimed"; cut++ {
					r.send(way.from, f[:cut])
					r.expect(way.to, f[:cut])
					r.send(way.from, f[cut:])
					r.expect(way.to, f[cut:])
				}
				r.send(way.from, f)
				r.expect(way.to, f)
			}
			_ = client.Close()
			_ = server.Close()
		}
	})
}

// Heads pass as they are: of one in absolute-form only the request line changes,
// and what is for proxies goes.
func TestForwardOddHeads(t *testing.T) {
	odd := "GET /chat?q=%7e HTTP/1.1\r\nhOST: elsewhere:1\r\nx-ORDER:2\r\nX-Order:   1  \r\nX-Folded: a\r\n  b\r\nx-empty:\r\nOrigin: http://elsewhere:1\r\nupgrade:WebSocket\r\nConnection: keep-alive , Upgrade\r\nSec-Websocket-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Odd-\xff: \xfe\r\n\r\n"
	answer := "HTTP/1.1 101 \r\nX-b: 1\r\nx-a:  2 \r\nX-B: 3\r\nUPGRADE: websocket\r\nconnection: UPGRADE\r\nsec-websocket-accept:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"
	eachWay(t, func(t *testing.T, r *rig, w way) {
		client := r.enter(w)
		asked := w.ask(r, odd)
		r.send(client, asked+wireFrames["masked"]) // a frame right behind it
		server := r.accept()
		r.expect(server, odd)
		r.send(server, answer)
		r.expect(client, answer)
		r.expect(server, wireFrames["masked"])
		r.ends(client, server, false)
		if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); got != asked+wireFrames["masked"] {
			t.Errorf("the tap heard of the client %q", got)
		}
		if got := string(r.heard.bytes[inspect.ServerLeg][inspect.ToServer]); got != odd+wireFrames["masked"] {
			t.Errorf("the tap heard to the server %q", got)
		}
	})
}

func TestForwardCutAnywhere(t *testing.T) {
	eachWay(t, func(_ *testing.T, r *rig, w way) {
		up := w.ask(r, upgradeHead)
		for cut := 1; cut < len(up); cut++ {
			client := r.enter(w)
			r.send(client, up[:cut])
			r.send(client, up[cut:]+wireFrames["masked"])
			server := r.accept()
			r.expect(server, upgradeHead)
			r.send(server, switchHead[:min(cut, len(switchHead))])
			r.send(server, switchHead[min(cut, len(switchHead)):])
			r.expect(client, switchHead)
			r.expect(server, wireFrames["masked"])
			_ = client.Close()
			r.expectEnd(server, false)
			_ = server.Close()
		}
	})
}

// A session may be silent for longer than a head may take, and so may a client
// between its requests.
func TestForwardPatience(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			r := newForwardRig(t, func(c *Config) { c.HeadTimeout = 20 * time.Millisecond })
			client, server := r.openBy(w)
			_ = client.SetReadDeadline(time.Now().Add(60 * time.Millisecond)) // the silence
			if n, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("read %d, %v", n, err)
			}
			_ = client.SetReadDeadline(time.Now().Add(patience))
			r.send(client, wireFrames["masked"])
			r.expect(server, wireFrames["masked"])
			r.ends(client, server, false)
		})
	}
	for name, first := range map[string]string{"between requests": "", "pipelined": "CONNECT ADDR HTTP/1.1\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			r := newForwardRig(t, func(c *Config) { c.HeadTimeout = 20 * time.Millisecond })
			served := make(chan error, 1)
			server := &http.Server{Handler: http.NotFoundHandler()}
			go func() { served <- server.Serve(r.upstream) }()
			t.Cleanup(func() { _ = server.Close(); <-served })
			addr := r.upstream.Addr().String()
			get, want := "GET http://"+addr+"/ HTTP/1.1\r\nHost: "+addr+"\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"
			client := r.dial()
			r.send(client, strings.Replace(first, "ADDR", addr, 1)+get)
			if first != "" {
				r.expect(client, established)
			}
			for range 2 {
				r.expect(client, want)
				_ = client.SetReadDeadline(time.Now().Add(60 * time.Millisecond))
				if n, err := io.Copy(io.Discard, client); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("read %d, %v", n, err)
				}
				_ = client.SetReadDeadline(time.Now().Add(patience))
				r.send(client, get)
			}
			r.expect(client, want)
		})
	}
}

// A tunnel's client need not wait for the answer.
func TestForwardPipelined(t *testing.T) {
	r := newForwardRig(t, nil)
	client := r.dial()
	r.send(client, "CONNECT "+r.upstream.Addr().String()+" HTTP/1.0\r\n\r\n"+upgradeHead+wireFrames["masked"])
	r.expect(client, established)
	server := r.accept()
	r.expect(server, upgradeHead)
	r.send(server, switchHead)
	r.expect(client, switchHead)
	r.expect(server, wireFrames["masked"])
}

func TestForwardEndings(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig, w way) {
		client, server := r.openBy(w)
		_ = client.CloseWrite()
		r.expectEnd(server, false)
		r.send(server, "\x81\x04late")
		r.expect(client, "\x81\x04late")
		_ = server.Close()
		r.expectEnd(client, false)

		client, server = r.openBy(w)
		_ = server.CloseWrite()
		r.expectEnd(client, false)
		r.send(client, "\x81\x04late")
		r.expect(server, "\x81\x04late")
		_ = client.Close()
		r.expectEnd(server, false)

		client, server = r.openBy(w)
		reset(client)
		r.expectEnd(server, true)

		client, server = r.openBy(w)
		reset(server)
		r.expectEnd(client, true)
		r.server.relays.Wait()
		for _, l := range []inspect.Leg{inspect.ClientLeg, inspect.ServerLeg} {
			if got := strings.Join(r.heard.ended(l), ", "); strings.Count(got, "fin") != 4 || strings.Count(got, "rst") != 2 {
				t.Errorf("the tap heard of ends of the %s leg: %s", l, got)
			}
		}
	})
}

// After a refusal the client may try again, there and elsewhere.
func TestForwardRefusedThenElsewhere(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig, w way) {
		client := r.enter(w)
		r.send(client, w.ask(r, upgradeHead))
		server := r.accept()
		r.expect(server, upgradeHead)
		refusal := "HTTP/1.1 401 Who\r\nContent-Length: 4\r\n\r\nnope"
		r.send(server, refusal)
		r.expect(client, refusal)
		r.send(client, w.ask(r, upgradeHead))
		r.expect(server, upgradeHead)
		r.send(server, refusal)
		r.expect(client, refusal)
		if w.enter != nil {
			return
		}
		r.send(client, strings.Replace(w.ask(r, upgradeHead), "ws://127.0.0.1", "ws://localhost", 1))
		r.expectEnd(server, false)
		other := r.accept()
		r.expect(other, upgradeHead)
		r.send(other, switchHead+"\x81\x01a")
		r.expect(client, switchHead+"\x81\x01a")
		r.heard.mu.Lock()
		defer r.heard.mu.Unlock()
		if len(r.heard.opened) != 2 || r.heard.opened[0].Target != "ws://"+r.upstream.Addr().String() || !strings.HasPrefix(r.heard.opened[1].Target, "ws://localhost:") {
			t.Errorf("connections: %+v", r.heard.opened)
		}
	})
}

// A request that a client sent behind an upgrade that is refused is told once: where
// it goes.
func TestForwardHeldForElsewhere(t *testing.T) {
	r := newForwardRig(t, nil)
	client := r.dial()
	first := ways[0].ask(r, upgradeHead)
	second := strings.Replace(first, "ws://127.0.0.1", "ws://localhost", 1)
	r.send(client, first+second)
	server := r.accept()
	r.expect(server, upgradeHead)
	refusal := "HTTP/1.1 401 Who\r\nContent-Length: 4\r\n\r\nnope"
	r.send(server, refusal)
	r.expect(client, refusal)
	r.expectEnd(server, false)
	other := r.accept()
	r.expect(other, upgradeHead)
	r.send(other, switchHead)
	r.expect(client, switchHead)
	_ = client.Close()
	r.expectEnd(other, false)
	_ = other.Close()
	r.server.relays.Wait()
	if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); got != first+second {
		t.Errorf("told of %q", got)
	}
}

// An upgrade behind ordinary requests on one connection is as good as a first.
// Those in absolute-form are goproxy's; they may each go elsewhere.
func TestForwardUpgradeAfterTenRequests(t *testing.T) {
	eachWay(t, func(t *testing.T, r *rig, w way) {
		client := r.enter(w)
		get := "GET /x HTTP/1.1\r\nHost: " + r.upstream.Addr().String() + "\r\nUser-Agent: \r\nX-A: 1\r\n\r\n"
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		var server *net.TCPConn
		for range 10 {
			r.send(client, strings.Replace(w.ask(r, get), "ws://", "http://", 1))
			if server == nil {
				server = r.accept()
			}
			head := make([]byte, 0, 1024)
			for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
				head = append(head, 0)
				if _, err := io.ReadFull(server, head[len(head)-1:]); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.HasPrefix(string(head), "GET /x HTTP/1.1\r\n") || strings.Contains(strings.ToLower(string(head)), "proxy") || !strings.Contains(string(head), "X-A: 1\r\n") {
				t.Errorf("the server got %q", head)
			}
			r.send(server, answer)
			r.expect(client, answer)
		}
		r.send(client, w.ask(r, upgradeHead)+wireFrames["masked"])
		if w.enter == nil {
			server = r.accept()
		}
		r.expect(server, upgradeHead)
		r.send(server, switchHead)
		r.expect(client, switchHead)
		r.expect(server, wireFrames["masked"])
	})
}

// What is not HTTP passes through a tunnel: a server that speaks first, a client
// that speaks something else, at once or later.
func TestForwardOtherProtocols(t *testing.T) {
	for _, w := range ways[1:] {
		t.Run(w.name, func(t *testing.T) {
			r := newForwardRig(t, func(c *Config) { c.HeadTimeout = 50 * time.Millisecond })
			for _, first := range []string{"server", "\x00\x01binary", "NICK me\r\n\r\nUSER me\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET half a li"} {
				client := r.enter(w)
				server := r.accept()
				if first == "server" {
					r.send(server, "220 mail.example\r\n")
					r.expect(client, "220 mail.example\r\n")
					first = "EHLO\r\n"
				}
				r.send(client, first)
				r.expect(server, first)
				r.send(server, "HTTP/1.1 it is not\n")
				r.expect(client, "HTTP/1.1 it is not\n")
				_ = server.CloseWrite()
				r.expectEnd(client, false)
				r.send(client, "more")
				r.expect(server, "more")
				_ = client.Close()
				r.expectEnd(server, false)
			}
		})
	}
}

// What passes through is not told, but that there was something is.
func TestForwardPassThrough(t *testing.T) {
	for name, c := range map[string]*Forward{
		"pass through": {PassThrough: []Pattern{"nowhere", "127.*", "localhost"}},
		"only":         {Only: []Pattern{"*.example"}},
	} {
		for _, w := range ways {
			t.Run(name+" "+w.name, func(t *testing.T) {
				said := &lines{}
				r := newForwardRig(t, func(config *Config) { config.Forward, config.Logf = c, said.logf })
				client, server := r.openBy(w)
				r.send(client, "secret")
				r.expect(server, "secret")
				r.ends(client, server, false)
				if n := r.heard.size(inspect.ClientLeg, inspect.ToServer) + r.heard.size(inspect.ClientLeg, inspect.ToClient) + r.heard.size(inspect.ServerLeg, inspect.ToServer); n != 0 {
					t.Errorf("%d bytes were told", n)
				}
				if len(r.heard.opened) != 1 || !r.heard.opened[0].Opaque || r.heard.opened[0].Via == "" {
					t.Errorf("connections: %+v", r.heard.opened)
				}
				if !strings.Contains(said.String(), "passes through untouched") {
					t.Errorf("said: %q", said)
				}
			})
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, host, port string
		want                bool
	}{
		{"*.bank.example", "www.bank.example", "443", true},
		{"*.bank.example", "bank.example", "443", false},
		{"*.bank.example", "www.bank.example.evil", "443", false},
		{"*bank*", "WWW.BANK.example.", "443", true},
		{"a*b*c", "aXXbYYc", "1", true},
		{"a*b*c", "aXXcYYb", "1", false},
		{"host:8443", "host", "8443", true},
		{"host:8443", "host", "443", false},
		{"host:*", "host", "443", true},
		{"[::1]:80", "::1", "80", true},
		{"::1", "::1", "80", true},
		{"*", "anything", "80", true},
		{"", "x", "80", false},
	} {
		if got := Pattern(c.pattern).Matches(c.host, c.port); got != c.want {
			t.Errorf("%q matches %s:%s: %v", c.pattern, c.host, c.port, got)
		}
	}
}

func TestAdmits(t *testing.T) {
	f := &Access{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/16")}}
	for addr, want := range map[string]bool{
		"10.1.2.3:5": true, "[::ffff:10.1.2.3]:5": true, "[fe80::1%eth0]:5": true, "127.0.0.1:5": true, "[::1]:5": true,
		"11.0.0.1:5": false, "[fe00::1]:5": false,
	} {
		if got := f.Admits(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); got != want {
			t.Errorf("%s is let in: %v", addr, got)
		}
	}
}

func TestForwardBadInput(t *testing.T) {
	closed := closedPort(t)
	for name, c := range map[string]struct {
		request, status, says string
		change                func(*Config)
	}{
		"closed port":         {"CONNECT " + closed + " HTTP/1.1\r\n\r\n", "502", "cannot be reached: connection refused", nil},
		"closed port, plain":  {"GET http://" + closed + "/ HTTP/1.1\r\nHost: a\r\n\r\n", "502", "cannot be reached: connection refused", nil},
		"closed port, ws":     {"GET ws://" + closed + "/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "502", "cannot be reached: connection refused", nil},
		"no such host":        {"CONNECT no-such-host.invalid:80 HTTP/1.1\r\n\r\n", "502", "no-such-host.invalid cannot be found", nil},
		"no such host, plain": {"GET http://no-such-host.invalid/ HTTP/1.1\r\nHost: a\r\n\r\n", "502", "no-such-host.invalid cannot be found", nil},
		"itself":              {"CONNECT PROXY HTTP/1.1\r\n\r\n", "502", "is wsproxy itself", nil},
		"itself by name":      {"CONNECT localhost:PORT HTTP/1.1\r\n\r\n", "502", "is wsproxy itself", nil},
		"itself by 0.0.0.0":   {"CONNECT 0.0.0.0:PORT HTTP/1.1\r\n\r\n", "502", "is wsproxy itself", nil},
		"itself, plain":       {"GET http://PROXY/ HTTP/1.1\r\nHost: a\r\n\r\n", "502", "is wsproxy itself", nil},
		"itself, ws":          {"GET ws://PROXY/ HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "502", "is wsproxy itself", nil},
		"no port":             {"CONNECT localhost HTTP/1.1\r\n\r\n", "400", "host:port", nil},
		"odd port":            {"CONNECT localhost:99999 HTTP/1.1\r\n\r\n", "400", "host:port", nil},
		"origin-form":         {"GET /path HTTP/1.1\r\nHost: localhost\r\n\r\n", "400", "This is a forward proxy", nil},
		"odd scheme":          {"GET ftp://localhost/ HTTP/1.1\r\n\r\n", "400", "names no server", nil},
		"garbage":             {"no http at all\r\n\r\n", "400", "Not an HTTP", nil},
		"endless head":        {"GET http://a/ HTTP/1.1\r\nX: " + strings.Repeat("a", 3000), "431", "1024 bytes", func(c *Config) { c.HeadLimit = 1024 }},
		"slow head":           {"GET http://a/ HTTP/1.1\r\n", "408", "did not end", func(c *Config) { c.HeadTimeout = 20 * time.Millisecond }},
		"no password":         {"CONNECT " + closed + " HTTP/1.1\r\n\r\n", "407", "--auth", func(c *Config) { c.Auth = "me:pw" }},
		"wrong password":      {"GET http://" + closed + "/ HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic " + basic("me:no") + "\r\n\r\n", "407", "--auth", func(c *Config) { c.Auth = "me:pw" }},
		"right password":      {"GET http://" + closed + "/ HTTP/1.1\r\nHost: a\r\nProxy-Authorization: basic " + basic("me:pw") + "\r\n\r\n", "502", "refused", func(c *Config) { c.Auth = "me:pw" }},
	} {
		t.Run(name, func(t *testing.T) {
			said := &lines{}
			r := newForwardRig(t, func(config *Config) {
				if config.Logf = said.logf; c.change != nil {
					c.change(config)
				}
			})
			_, port, _ := net.SplitHostPort(r.addr)
			request := strings.NewReplacer("PROXY", r.addr, "PORT", port).Replace(c.request)
			client := r.dial()
			r.send(client, request)
			if c.status != "408" {
				_ = client.CloseWrite()
			}
			page, err := io.ReadAll(client)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(page, []byte("HTTP/1.1 "+c.status+" ")) || !bytes.Contains(page, []byte(c.says)) {
				t.Errorf("answer %q", page)
			}
			if n := strings.Count(said.String(), "\n"); n != 1 {
				t.Errorf("%d lines are said: %s", n, said)
			}
			r.server.relays.Wait()
			request = strings.NewReplacer("Basic "+basic("me:no"), "***** ********", "basic "+basic("me:pw"), "***** ********").Replace(request)
			if up := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); up != request {
				t.Errorf("the tap heard %q", up)
			}
			if down := r.heard.bytes[inspect.ClientLeg][inspect.ToClient]; !bytes.Equal(down, page) {
				t.Errorf("the tap heard the answer %q", down)
			}
		})
	}
}

func basic(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// What cannot be answered in HTTP is told all the same.
func TestForwardFailures(t *testing.T) {
	closed := closedPort(t)
	_, port, _ := net.SplitHostPort(closed)
	var n int
	_, _ = fmt.Sscan(port, &n)
	closedBytes := string([]byte{byte(n >> 8), byte(n)})
	for name, c := range map[string]struct {
		request, answer, says string
		change                func(*Config)
	}{
		"TLS":              {"\x16\x03\x01\x00\x05hello", "", "begins with http://", nil},
		"SOCKS closed":     {"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + closedBytes, "\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", "cannot be reached: connection refused", nil},
		"SOCKS BIND":       {"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x01", "\x05\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00", "only CONNECT is served", nil},
		"SOCKS type 9":     {"\x05\x01\x00\x05\x01\x00\x09\x7f\x00\x00\x01\x00\x01", "\x05\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00", "address of type 9", nil},
		"SOCKS GSSAPI":     {"\x05\x01\x01", "\x05\xff", "no method without a password", nil},
		"SOCKS half":       {"\x05\x01\x00\x05\x01", "\x05\x00", "in the middle of its request", nil},
		"SOCKS, no auth":   {"\x05\x01\x00", "\x05\xff", "--auth", func(c *Config) { c.Auth = "me:pw" }},
		"SOCKS wrong auth": {"\x05\x01\x02\x01\x02me\x02no", "\x05\x02\x01\x01", "wrong", func(c *Config) { c.Auth = "me:pw" }},
		"SOCKS right auth": {"\x05\x01\x02\x01\x02me\x02pw\x05\x01\x00\x01\x7f\x00\x00\x01" + closedBytes, "\x05\x02\x01\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", "refused", func(c *Config) { c.Auth = "me:pw" }},
	} {
		t.Run(name, func(t *testing.T) {
			said := &lines{}
			r := newForwardRig(t, func(config *Config) {
				if config.Logf = said.logf; c.change != nil {
					c.change(config)
				}
			})
			client := r.dial()
			r.send(client, c.request)
			_ = client.CloseWrite()
			r.expect(client, c.answer)
			_, _ = io.Copy(io.Discard, client) // FIN or RST
			await(t, "the connection is over", func() bool { st := r.server.Stats(); return st.Total == 1 && st.Open == 0 })
			if !strings.Contains(said.String(), c.says) || strings.Count(said.String(), "\n") != 1 {
				t.Errorf("said: %q", said)
			}
			if why := r.heard.failures(t); len(why) != 1 || !strings.Contains(why[0], c.says) {
				t.Errorf("told: %q", why)
			}
		})
	}
}

// Others go on while one misbehaves.
func TestForwardShutdown(t *testing.T) {
	r := newForwardRig(t, func(c *Config) { c.Grace = 10 * time.Millisecond })
	idle := r.dial()
	half := r.dial()
	r.send(half, "GET http://a")
	waiting := r.enter(ways[1]) // for the first words of either side
	server := r.accept()
	client, other := r.openBy(ways[0])
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{idle, half, waiting, server, client, other} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a socket is open")
		}
	}
}

// Bodies, both ways and of every kind, pass through goproxy as they were.
func TestForwardPlainHTTP(t *testing.T) {
	r := newForwardRig(t, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, q *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header()["Date"] = nil
		_, _ = io.Copy(w, q.Body)
	})
	next := make(chan bool)
	mux.HandleFunc("/slow", func(w http.ResponseWriter, q *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "piece")
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	server := &http.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- server.Serve(r.upstream) }()
	t.Cleanup(func() { _ = server.Close(); <-served })
	base := "http://" + r.upstream.Addr().String()

	client := r.dial()
	r.send(client, "POST "+base+"/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	r.expect(client, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	body := strings.Repeat("0123456789abcdef", 40_000)
	r.send(client, fmt.Sprintf("POST %s/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", base, len(body)))
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(client, body); sent <- err }()
	r.expect(client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	got, err := io.ReadAll(io.LimitReader(newChunked(client), int64(len(body))))
	if err != nil || string(got) != body {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}

	client = r.dial() // an answer in pieces comes piece by piece, also to a client that has sent its FIN
	r.send(client, "GET "+base+"/slow HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = client.CloseWrite()
	for i := range 3 {
		if i == 0 {
			page := make([]byte, 0, 1024)
			for !bytes.HasSuffix(page, []byte("5\r\npiece\r\n")) {
				page = append(page, 0)
				if _, err := io.ReadFull(client, page[len(page)-1:]); err != nil {
					t.Fatal(err)
				}
			}
		} else {
			r.expect(client, "5\r\npiece\r\n")
		}
		next <- true
	}
	r.expect(client, "0\r\n\r\n")
	r.expectEnd(client, false)
}

// An answer that breaks off does so for the client too.
func TestForwardBrokenAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"in chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe",
		"with a length": "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			r := newForwardRig(t, nil)
			client := r.dial()
			r.send(client, "GET http://"+r.upstream.Addr().String()+"/ HTTP/1.1\r\nHost: x\r\n\r\n")
			server := r.accept()
			if _, err := http.ReadRequest(bufio.NewReader(server)); err != nil {
				t.Fatal(err)
			}
			r.send(server, answer)
			_ = server.Close()
			got, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			if !strings.HasPrefix(string(body), "hello") || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the body is %q, %v", body, err)
			}
		})
	}
}

// newChunked reads a chunked body.
func newChunked(r io.Reader) io.Reader { return httputil.NewChunkedReader(r) }

// lines are what a proxy says.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.text, format+"\n", args...)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// failures are the reasons that the tap was told.
func (h *heard) failures(t *testing.T) []string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, n := range h.notes {
		var f inspect.FailedNote
		if n.Kind == inspect.NoteFailed {
			if err := json.Unmarshal(n.JSON, &f); err != nil {
				t.Fatal(err)
			}
			all = append(all, f.Why)
		}
	}
	return all
}
