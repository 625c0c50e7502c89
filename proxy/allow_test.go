package proxy

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

const passwordLine = "aUTHORIZATION: Basic bWU6cHc=\r\n" // me:pw

// withPassword is a head that carries the password.
func withPassword(head string) string {
	return strings.Replace(head, "\r\n", "\r\n"+passwordLine, 1)
}

// told is a head as the tap hears it.
func concealedHead(head string) string {
	return strings.Replace(head, "Basic bWU6cHc=", "***** ********", 1)
}

// TestAuthReverse: the password opens a session, is the server's no more, and stands
// in no recording, however it comes cut.
func TestAuthReverse(t *testing.T) {
	head := withPassword(upgradeHead)
	for cut := range len(head) {
		r := newRig(t, func(c *Config) { c.Auth = "me:pw" })
		client := r.dial()
		_ = client.SetNoDelay(true)
		r.send(client, head[:cut])
		r.send(client, head[cut:])
		server := r.accept()
		r.expect(server, r.sent(upgradeHead))
		r.send(server, switchHead)
		r.expect(client, switchHead)
		frame := "\x81\x17\nAuthorization: Basic xyz" // what is in frames is not for wsproxy
		r.send(client, frame)
		r.expect(server, frame)
		_ = client.Close()
		_ = server.Close()
		r.server.relays.Wait()
		if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); got != concealedHead(head)+frame {
			t.Errorf("cut at %d: the tap heard %q", cut, got)
		}
		if got := string(r.heard.bytes[inspect.ServerLeg][inspect.ToServer]); got != r.sent(upgradeHead)+frame {
			t.Errorf("cut at %d: the server's leg is told as %q", cut, got)
		}
		redacted := 0
		for _, n := range r.heard.notes {
			if n.Kind == inspect.NoteRedacted {
				redacted++
			}
		}
		if redacted == 0 {
			t.Errorf("cut at %d: nothing says that something was left out", cut)
		}
	}
}

// TestAuthRefused: without the password there is a 401 in words, and a session or an
// exchange that tells; nothing that may be a password stands in it.
func TestAuthRefused(t *testing.T) {
	header := func(value string) string {
		return strings.Replace(upgradeHead, "\r\n", "\r\nAuthorization: "+value+"\r\n", 1)
	}
	for name, c := range map[string]struct{ request, says, told string }{
		"none":       {upgradeHead, "the request carries none", upgradeHead},
		"wrong":      {header("Basic " + basic("me:s3cret")), "that of the request is wrong", header("***** ************")},
		"other way":  {header("Bearer s3cret"), "as Authorization: Basic", header("****** ******")},
		"no base64":  {header("Basic s3cret!"), "is wrong", header("***** *******")},
		"folded":     {header("Basic\r\n s3cret"), "is wrong", header("*****\r\n ******")},
		"a proxy's":  {strings.Replace(upgradeHead, "\r\n", "\r\nProxy-Authorization: Basic "+basic("me:pw")+"\r\n", 1), "carries none", ""},
		"pipelined":  {upgradeHead + header("Basic s3cret!"), "carries none", upgradeHead + header("***** *******")},
		"other host": {strings.Replace(upgradeHead, "127.0.0.1", "evil.test", 1), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, routed := range []bool{false, true} {
				r := newRig(t, func(c *Config) {
					c.Auth = "me:pw"
					if routed {
						c.Routes = []Route{{Target: Config{Target: c.Target}}}
						c.Target = nil
					}
				})
				_ = r.upstream.Close()
				client := r.dial()
				r.send(client, c.request)
				_ = client.CloseWrite()
				page, err := io.ReadAll(client)
				status := "HTTP/1.1 401 "
				if name == "other host" && !routed {
					status = "HTTP/1.1 421 "
				}
				if err != nil || !strings.HasPrefix(string(page), status) || !strings.Contains(string(page), c.says) {
					t.Errorf("answer %q, %v", page, err)
				}
				if status == "HTTP/1.1 401 " && !strings.Contains(string(page), "\r\nWWW-Authenticate: Basic realm=\"wsproxy\"") {
					t.Errorf("answer %q", page)
				}
				r.server.relays.Wait()
				if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); c.told != "" && got != c.told && (routed || name != "pipelined") {
					t.Errorf("the tap heard %q", got)
				}
			}
		})
	}
}

// TestAuthEachRequest: a connection that was let in asks for each of its requests.
func TestAuthEachRequest(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Auth, c.KeepHost = "me:pw", true
		c.Header = []inspect.HeaderField{{Name: "Authorization", Value: "Bearer theirs"}}
	})
	client := r.dial()
	r.send(client, withPassword("GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n")+"GET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	server := r.accept()
	r.expect(server, "GET /1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer theirs\r\n\r\n")
	r.send(server, okAnswer)
	r.expect(client, okAnswer)
	rest, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 401 ") {
		t.Errorf("answer %q, %v", rest, err)
	}
}

// TestAuthBehindARefusedUpgrade: what comes behind an upgrade may be a request.
func TestAuthBehindARefusedUpgrade(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Auth, c.KeepHost = "me:pw", true })
	client := r.dial()
	next := "GET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
	r.send(client, withPassword(upgradeHead)+withPassword(next))
	server := r.accept()
	r.expect(server, upgradeHead)
	r.send(server, okAnswer)
	r.expect(client, okAnswer)
	r.expect(server, next)
	r.send(server, okAnswer)
	r.expect(client, okAnswer)
	_ = client.Close()
	r.expectEnd(server, false)
	_ = server.Close()
	r.server.relays.Wait()
	if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); got != concealedHead(withPassword(upgradeHead))+concealedHead(withPassword(next)) {
		t.Errorf("the tap heard %q", got)
	}
}

// TestAuthBridge: a bridge asks too.
func TestAuthBridge(t *testing.T) {
	r := newBridgeRig(t, func(c *Config) { c.Auth = "me:pw" })
	client := r.dial()
	r.send(client, bridgeHead)
	page, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(page), "HTTP/1.1 401 ") || !strings.Contains(string(page), "WWW-Authenticate") {
		t.Errorf("answer %q, %v", page, err)
	}
	client = r.dial()
	r.send(client, withPassword(bridgeHead))
	server := r.accept()
	r.expect(client, bridgeAnswer+"\r\n")
	_ = client.Close()
	_ = server.Close()
	r.server.relays.Wait()
	if got := r.heard.bytes[inspect.ClientLeg][inspect.ToServer]; bytes.Contains(got, []byte("bWU6")) || !bytes.Contains(got, []byte("***** ********")) {
		t.Errorf("the tap heard %q", got)
	}
}

// TestConcealer: the value of the one header is replaced and nothing else, wherever
// the bytes are cut.
func TestConcealer(t *testing.T) {
	for in, want := range map[string]string{
		"GET / HTTP/1.1\r\nAuthorization: Basic abc\r\nX: y\r\n\r\n": "GET / HTTP/1.1\r\nAuthorization: ***** ***\r\nX: y\r\n\r\n",
		"authorization:x\nAUTHORIZATION \t: y z\n":                   "authorization:*\nAUTHORIZATION \t: * *\n",
		"Authorization: a\r\n b\r\n\tc\r\nd: e\r\n":                  "Authorization: *\r\n *\r\n\t*\r\nd: e\r\n",
		"Authorization: a\nAuthorization: b\n":                       "Authorization: *\nAuthorization: *\n",
		"X-Authorization: a\r\nAuthorizations: b\r\nAuthoriz":        "X-Authorization: a\r\nAuthorizations: b\r\nAuthoriz",
		"Proxy-Authorization: a\r\n":                                 "Proxy-Authorization: a\r\n",
		"Authorization\r: a\r\n":                                     "Authorization\r: *\r\n",
		"":                                                           "",
	} {
		for cut := range len(in) + 1 {
			var c concealer
			given := []byte(in)
			one, n := c.conceal("Authorization", given[:cut])
			two, m := c.conceal("Authorization", given[cut:])
			if got := string(one) + string(two); got != want {
				t.Errorf("%q cut at %d is told as %q", in, cut, got)
			}
			if n+m != strings.Count(want, "*") || string(given) != in {
				t.Errorf("%q cut at %d: %d and %d bytes replaced; %q is left", in, cut, n, m, given)
			}
		}
	}
}

// stranger is a listener whose clients come from another machine.
type strangers struct{ net.Listener }

func (s strangers) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return stranger{c.(*net.TCPConn)}, nil
}

type stranger struct{ *net.TCPConn }

func (stranger) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 99} }

// TestDenied: a client that may not come is closed at once, said once, counted, and
// recorded by nobody; those who may go on.
func TestDenied(t *testing.T) {
	said := &lines{}
	r := newRig(t, func(c *Config) {
		c.Allow, c.Logf = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, said.logf
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(strangers{l}) }()
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r.expectEndOfAnyKind(r.bounded(c))
	}
	client, server := r.open()
	_ = client.Close()
	_ = server.Close()
	_ = l.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	r.server.relays.Wait()
	if st := r.server.Stats(); st.Denied != 3 || st.Total != 1 {
		t.Errorf("%+v", st)
	}
	if n := len(r.heard.infos()); n != 1 {
		t.Errorf("%d connections were told", n)
	}
	if got := said.String(); got != "a client at 192.0.2.7 is not let in; --allow 192.0.2.7 would\n" {
		t.Errorf("said %q", got)
	}
}

// TestForwardAuthIsConcealed: so is the password of a forward proxy's requests.
func TestForwardAuthIsConcealed(t *testing.T) {
	r := newForwardRig(t, func(c *Config) { c.Auth = "me:pw" })
	w := ways[0] // absolute-form
	client := r.dial()
	head := strings.Replace(w.ask(r, upgradeHead), "\r\n", "\r\nProxy-Authorization: Basic bWU6cHc=\r\nAuthorization: Basic theirs==\r\n", 1)
	r.send(client, head)
	server := r.accept()
	got := make([]byte, 4096)
	n, err := server.Read(got)
	if err != nil || bytes.Contains(got[:n], []byte("bWU6")) || !bytes.Contains(got[:n], []byte("theirs==")) {
		t.Errorf("the server got %q, %v", got[:n], err)
	}
	r.send(server, switchHead)
	r.expect(client, switchHead)
	_ = client.Close()
	_ = server.Close()
	r.server.relays.Wait()
	if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToServer]); got != concealedHead(head) {
		t.Errorf("the tap heard %q", got)
	}
}

// TestBeside: servers beside each other count and end together, and know each other's
// listeners.
func TestBeside(t *testing.T) {
	r := newRig(t, nil)
	target, err := url.Parse("ws://" + r.addr) // the first one's listener
	if err != nil {
		t.Fatal(err)
	}
	said := &lines{}
	for name, c := range map[string]Config{
		"reverse": {Target: target, Logf: said.logf},
		"forward": {Forward: &Forward{}, Logf: said.logf},
	} {
		s, err := r.server.Beside(c)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		t.Cleanup(func() { // behind the rig's Shutdown, which is registered before: so this runs first
			_ = l.Close()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ask := "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
		if name == "forward" {
			ask = "GET http://" + r.addr + "/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
		}
		r.send(r.bounded(client), ask)
		_ = client.(*net.TCPConn).CloseWrite()
		page, err := io.ReadAll(client)
		if err != nil || !bytes.Contains(page, []byte(r.addr+" is wsproxy itself")) {
			t.Errorf("%s: answer %q, %v", name, page, err)
		}
	}
	if st := r.server.Stats(); st.Total != 2 {
		t.Errorf("%+v", st)
	}
	if err := r.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
