package proxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// branchRig is a reverse proxy for two servers: one for /a and below, and one for
// everything else.
type branchRig struct {
	*rig
	said  *lines
	other net.Listener
}

func newBranchRig(t *testing.T, change func(*Config)) *branchRig {
	t.Helper()
	b := &branchRig{said: &lines{}}
	var err error
	if b.other, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.other.Close() })
	b.rig = newRig(t, func(c *Config) {
		c.Routes = []Route{
			{Target: Config{Target: &url.URL{Scheme: "ws", Host: b.other.Addr().String()}, KeepHost: true}},
			{Path: "/a/*", Target: Config{Target: c.Target, KeepHost: true}},
		}
		c.Target, c.Logf = nil, b.said.logf
		if change != nil {
			change(c)
		}
	})
	return b
}

// acceptOther is a connection to the other server.
func (b *branchRig) acceptOther() *net.TCPConn {
	b.t.Helper()
	c, err := b.other.Accept()
	if err != nil {
		b.t.Fatal(err)
	}
	return b.bounded(c)
}

// targets are those that connections were opened for, in order.
func (b *branchRig) targets() (all []string) {
	for _, info := range b.heard.infos() {
		u, err := url.Parse(info.Target)
		switch {
		case err != nil:
			all = append(all, err.Error())
		case u.Host == b.upstream.Addr().String():
			all = append(all, "a")
		case u.Host == b.other.Addr().String():
			all = append(all, "other")
		default:
			all = append(all, info.Target)
		}
	}
	return all
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestBranchesOfOneConnection: requests on one connection go each to its target,
// with their bodies, and a session behind them; cut anywhere.
func TestBranchesOfOneConnection(t *testing.T) {
	first := "POST /a/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
	second := "GET /ab?/a HTTP/1.1\r\nhost:  localhost\r\n\r\n"
	third := strings.Replace(upgradeHead, "/chat", "/a", 1)
	for cut := 0; cut < len(first+second+third); cut += 3 {
		b := newBranchRig(t, nil)
		client := b.dial()
		_ = client.SetNoDelay(true)
		all := first + second + third
		b.send(client, all[:cut])
		b.send(client, all[cut:])
		one := b.accept()
		b.expect(one, first)
		b.send(one, okAnswer)
		b.expect(client, okAnswer)
		two := b.acceptOther()
		b.expectEnd(one, false)
		b.expect(two, second)
		b.send(two, okAnswer)
		b.expect(client, okAnswer)
		three := b.accept()
		b.expectEnd(two, false)
		b.expect(three, third)
		b.send(three, switchHead+"\x81\x01a")
		b.expect(client, switchHead+"\x81\x01a")
		b.send(client, wireFrames["fragments and ping"])
		b.expect(three, wireFrames["fragments and ping"])
		_ = client.Close()
		_ = three.Close()
		b.rig.server.relays.Wait()
		if got := fmt.Sprint(b.targets()); got != "[a other a]" {
			t.Errorf("cut at %d: opened for %s", cut, got)
		}
		if got := string(b.heard.bytes[inspect.ClientLeg][inspect.ToServer]); got != all+wireFrames["fragments and ping"] {
			t.Errorf("cut at %d: the tap heard %q", cut, got)
		}
		if got := b.rig.server.Stats(); got.Sessions != 1 || got.Total != 1 {
			t.Errorf("cut at %d: %+v", cut, got)
		}
	}
}

// TestBranchSameTarget: requests for the same target stay on one connection.
func TestBranchSameTarget(t *testing.T) {
	b := newBranchRig(t, nil)
	client := b.dial()
	var server *net.TCPConn
	for i := range 3 {
		ask := fmt.Sprintf("GET /a/%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i)
		b.send(client, ask)
		if i == 0 {
			server = b.accept()
		}
		b.expect(server, ask)
		b.send(server, okAnswer)
		b.expect(client, okAnswer)
	}
	_ = client.CloseWrite()
	b.expectEnd(server, false)
	_ = server.Close()
	b.expectEnd(client, false)
}

// TestBranchUnserved: what no target is for is answered here, told, and touches no
// server.
func TestBranchUnserved(t *testing.T) {
	only := func(c *Config) { c.Routes = c.Routes[1:] }
	upgrade := strings.Replace(upgradeHead, "/chat", "/none", 1)
	for name, c := range map[string]struct {
		request, status, says string
		change                func(*Config)
	}{
		"path":         {"GET /b?x HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "No target here serves /b; there is /a/*.", only},
		"upgrade":      {upgrade, "404", "No target here serves /none", only},
		"near path":    {"GET /ab HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "serves /ab", only},
		"hostile path": {"GET /\x1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "serves /␛[31m", only},
		"foreign host": {"GET /b HTTP/1.1\r\nHost: evil.test\r\n\r\n", "421", "no target here is for the host \"evil.test\"", only},
		"foreign too":  {"GET /a HTTP/1.1\r\nHost: evil.test\r\n\r\n", "421", "evil.test", nil},
		"CONNECT":      {"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", "405", "no tunnels", only},
		"CONNECT, all": {"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", "405", "no tunnels", nil},
		"garbage":      {"no http at all\r\n\r\n", "400", "ot an HTTP", nil},
		"endless":      {"GET /a HTTP/1.1\r\nX: " + strings.Repeat("a", 3000), "431", "1024 bytes", func(c *Config) { c.HeadLimit = 1024 }},
		"slow":         {"GET /a HTTP/1.1\r\n", "408", "did not end", func(c *Config) { c.HeadTimeout = 20 * time.Millisecond }},
		"TLS":          {"\x16\x03\x01\x00\x05hello", "400", "speaks TLS to a port without it", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBranchRig(t, c.change)
			_ = b.upstream.Close()
			_ = b.other.Close()
			client := b.dial()
			b.send(client, c.request)
			if c.status != "408" {
				_ = client.CloseWrite()
			}
			page, err := io.ReadAll(client)
			if err != nil || !bytes.HasPrefix(page, []byte("HTTP/1.1 "+c.status+" ")) || !strings.Contains(strings.ToLower(string(page)), strings.ToLower(c.says)) {
				t.Errorf("answer %q, %v", page, err)
			}
			b.rig.server.relays.Wait()
			if up := string(b.heard.bytes[inspect.ClientLeg][inspect.ToServer]); up != c.request {
				t.Errorf("the tap heard %q", up)
			}
			if n := len(b.heard.infos()); n != 1 {
				t.Errorf("%d connections were opened", n)
			}
		})
	}
}

// TestBranchThenUnserved: a later request that no target is for has its 404 too.
func TestBranchThenUnserved(t *testing.T) {
	b := newBranchRig(t, func(c *Config) { c.Routes = c.Routes[1:] })
	client := b.dial()
	b.send(client, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n")
	server := b.accept()
	b.expect(server, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
	b.send(server, okAnswer)
	b.expect(client, okAnswer)
	rest, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 404 ") {
		t.Errorf("answer %q, %v", rest, err)
	}
	b.rig.server.relays.Wait()
	if got := fmt.Sprintf("%q", b.targets()); got != `["a" ""]` {
		t.Errorf("opened for %s", got)
	}
}

// TestBranchSilentClient: a client that leaves without a word, or in the middle of
// one, costs nothing.
func TestBranchSilentClient(t *testing.T) {
	for _, said := range []string{"", "GET /a HT"} {
		for _, hard := range []bool{false, true} {
			b := newBranchRig(t, nil)
			client := b.dial()
			if said != "" {
				b.send(client, said)
				await(t, "the connection is there", func() bool { return b.rig.server.Stats().Open == 1 })
			}
			if hard {
				reset(client)
			} else {
				_ = client.Close()
			}
			await(t, "the connection is over", func() bool {
				st := b.rig.server.Stats()
				return st.Open == 0 && st.Total == 1
			})
			if up := string(b.heard.bytes[inspect.ClientLeg][inspect.ToServer]); up != said {
				t.Errorf("the tap heard %q", up)
			}
		}
	}
}

// TestBranchShutdown: one that waits for its first request ends with the server.
func TestBranchShutdown(t *testing.T) {
	b := newBranchRig(t, nil)
	client := b.dial()
	await(t, "the connection is there", func() bool { return b.rig.server.Stats().Open == 1 })
	if err := b.rig.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	b.expectEndOfAnyKind(client)
}

// TestBranchToStream: a bridge may be one of the targets, and ends as a bridge does.
func TestBranchToStream(t *testing.T) {
	for _, shutdown := range []bool{false, true} {
		b := newBranchRig(t, func(c *Config) { c.Routes[1].Target.Target.Scheme = "tcp" })
		client := b.dial()
		b.send(client, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		other := b.acceptOther()
		b.expect(other, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
		b.send(other, okAnswer)
		b.expect(client, okAnswer)
		b.send(client, strings.Replace(bridgeHead, "GET /", "GET /a", 1))
		server := b.accept()
		b.expect(client, bridgeAnswer+"\r\n")
		b.send(client, masked(0x82, "ping"))
		b.expect(server, "ping")
		b.send(server, "pong")
		b.expect(client, "\x82\x04pong")
		if infos := b.heard.infos(); len(infos) != 2 || infos[1].Mode != inspect.ModeToTCP {
			t.Errorf("opened: %+v", infos)
		}
		if shutdown {
			go func() { _ = b.rig.server.Shutdown(t.Context()) }() // the rig's own waits for it
			b.expect(client, "\x88\x1a\x03\xe9wsproxy is shutting down")
			continue
		}
		b.send(client, masked(0x88, "\x03\xe8"))
		b.expectEnd(server, false)
		_ = server.Close()
		b.expect(client, "\x88\x02\x03\xe8")
		b.expectEnd(client, false)
	}
}

// TestBranchByName: behind TLS the name that a client asks for chooses, and has its
// certificate; so does the Host.
func TestBranchByName(t *testing.T) {
	ca := newAuthority(t)
	b := newBranchRig(t, func(c *Config) {
		c.Routes[1].Path, c.Routes[1].SNI = "", "*.a.test"
		c.Secure = func(host string) (*tls.Certificate, error) { return ca.leaf(host, nil) }
	})
	for name, toA := range map[string]bool{"www.a.test": true, "localhost": false} {
		client := tls.Client(b.dial(), &tls.Config{ServerName: name, RootCAs: ca.pool()})
		for i := range 2 {
			ask := fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n", i, name)
			b.send(client, ask)
			var server net.Conn
			switch {
			case i > 0:
			case toA:
				server = b.accept()
			default:
				server = b.acceptOther()
			}
			if i == 0 {
				b.expect(server, ask)
				b.send(server, strings.Replace(okAnswer, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
				b.expect(client, strings.Replace(okAnswer, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
				_ = server.Close()
				break
			}
		}
		_ = client.Close()
	}
	await(t, "both are over", func() bool { return b.rig.server.Stats().Open == 0 })
	for _, info := range b.heard.infos() {
		if !info.TLS || info.ClientTLS == nil {
			t.Errorf("opened with %+v", info)
		}
	}
}

// TestBranchSwitchesInsideTLS: so it does for a second request of one connection.
func TestBranchSwitchesInsideTLS(t *testing.T) {
	ca := newAuthority(t)
	b := newBranchRig(t, func(c *Config) {
		c.Secure = func(host string) (*tls.Certificate, error) { return ca.leaf(host, nil) }
	})
	client := tls.Client(b.dial(), &tls.Config{ServerName: "localhost", RootCAs: ca.pool()})
	for _, path := range []string{"/a", "/", "/a", "/"} {
		ask := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
		b.send(client, ask)
		accept := b.accept
		if path == "/" {
			accept = b.acceptOther
		}
		server := accept()
		b.expect(server, ask)
		b.send(server, okAnswer)
		b.expect(client, okAnswer)
	}
	_ = client.Close()
}

// TestPick: the most particular target takes a request.
func TestPick(t *testing.T) {
	s, err := New(Config{Routes: func() (all []Route) {
		for _, at := range []string{"/", "/api", "/api/v2/*", "*.test/", "api.test/", "api.test/v1", "*.b.test/", "h:81/"} {
			host, path, _ := strings.Cut(at, "/")
			all = append(all, Route{Host: Pattern(host), Path: "/" + path, Target: Config{Target: &url.URL{Scheme: "ws", Host: "x", Path: "/" + at}}})
		}
		return all
	}()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ host, target, want string }{
		{"localhost", "/", "/"},
		{"localhost", "/api", "/api"},
		{"localhost", "/api?q=/api/v2", "/api"},
		{"localhost", "/api/", "/api"},
		{"localhost", "/apis", "/"},
		{"localhost", "/api/v2", "/api/v2/*"},
		{"localhost", "/api/v2/x", "/api/v2/*"},
		{"localhost", "*", "/"},
		{"x.test", "/api", "*.test/"},
		{"API.test:80", "/api", "api.test/"},
		{"api.test", "/v1?x", "api.test/v1"},
		{"www.b.test", "/", "*.b.test/"},
		{"h:81", "/", "h:81/"},
		{"h", "/", "/"},
		{"localhost", "http://api.test/v1", "api.test/v1"},
	} {
		h, err := inspect.ParseRequest([]byte("GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := (&conn{server: s, client: &socket{}}).pick(h)
		if got == nil || got.config.Target.Path != "/"+c.want {
			t.Errorf("%s %s goes to %v, not to %s", c.host, c.target, got, c.want)
		}
	}
}

// TestStrip: a target gets paths with its own in front, and without the route's.
func TestStrip(t *testing.T) {
	for _, c := range []struct {
		path, target string
		strip        bool
		in, out      string
	}{
		{"/api", "", false, "/api/x", "/api/x"},
		{"/api", "/v1", false, "/api/x", "/v1/api/x"},
		{"/api", "", true, "/api/x?y", "/x?y"},
		{"/api", "", true, "/api", "/"},
		{"/api", "", true, "/api/", "/"},
		{"/api", "", true, "/api?y", "/?y"},
		{"/api/*", "", true, "/api/x", "/x"},
		{"/api", "/v1", true, "/api/x", "/v1/x"},
		{"/api", "/v1/", true, "/api", "/v1"},
		{"/api", "/v1", true, "/api/", "/v1"},
		{"/api", "/v1", true, "/api?y", "/v1?y"},
		{"/", "/v1", true, "/api", "/v1/api"},
		{"", "", true, "*", "*"},
	} {
		base := Config{}
		config := base.branch(&Route{Path: c.path, Strip: c.strip, Target: Config{KeepHost: true, Target: &url.URL{Scheme: "http", Host: "x", Path: c.target}}})
		h, err := inspect.ParseRequest([]byte("GET " + c.in + " HTTP/1.1\r\nHost: a\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(config.rewrite(h, &net.TCPAddr{})); got != "GET "+c.out+" HTTP/1.1\r\nHost: a\r\n\r\n" {
			t.Errorf("%s of %+v: %q", c.in, c, got)
		}
	}
}

func TestBranchErrors(t *testing.T) {
	to := Config{Target: &url.URL{Scheme: "ws", Host: "x"}}
	for says, c := range map[string]Config{
		"in place of one target":     {Target: to.Target, Routes: []Route{{Target: to}}},
		"WebSocket clients":          {FromTCP: true, Routes: []Route{{Target: to}}},
		"does not begin with":        {Routes: []Route{{Path: "api", Target: to}}},
		"/api/*: a target":           {Routes: []Route{{Path: "/api"}}},
		"two targets are for /api/*": {Routes: []Route{{Path: "/api/", Target: to}, {Path: "/api/*", Target: to}}},
		"TLS for a: a target's sch":  {Routes: []Route{{SNI: "a", Target: Config{Target: &url.URL{Scheme: "ftp", Host: "x"}}}}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
}
