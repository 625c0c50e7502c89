package proxy

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// Each frame, legal or not, passes with its bytes in two TCP segments, cut at
// every byte, in both directions.
func TestFramesCutAnywhere(t *testing.T) {
	r := newRig(t, nil)
	for name, f := range wireFrames {
		if len(f) > 600 || name == "2^63-1 claimed" {
			continue // the one is long, the other swallows what follows
		}
		client, server := r.open()
		for _, way := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
			for cut := 1; cut < len(f); cut++ {
				r.send(way.from, f[:cut])
				r.expect(way.to, f[:cut]) // half a frame does not wait for its end
				r.send(way.from, f[cut:])
				r.expect(way.to, f[cut:])
			}
		}
		_ = client.Close()
		_ = server.Close()
	}
}

// exact sends every frame both ways, the short ones cut at every byte, and answers
// what each side has sent.
func (r *rig) exact(client, server net.Conn) string {
	r.t.Helper()
	all := ""
	for name, f := range wireFrames {
		if name == "2^63-1 claimed" {
			continue // nothing follows it
		}
		step := 1
		if len(f) > 600 {
			step = len(f)/2 + 1
		}
		for cut := step; cut < len(f); cut += step {
			all += f
			for _, way := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
				r.send(way.from, f[:cut])
				r.expect(way.to, f[:cut])
				r.send(way.from, f[cut:])
				r.expect(way.to, f[cut:])
			}
		}
	}
	return all
}

// The ways that have no test of all frames of their own: several targets, each by a
// request of its own, and another proxy in front of the server.
func TestFramesByRoute(t *testing.T) {
	for _, path := range []string{"/a", "/elsewhere"} {
		b := newBranchRig(t, nil)
		client := b.dial()
		head := strings.Replace(upgradeHead, "/chat", path, 1)
		b.send(client, head)
		accept := map[string]func() *net.TCPConn{"/a": b.accept, "/elsewhere": b.acceptOther}[path]
		server := accept()
		b.expect(server, head)
		b.send(server, switchHead)
		b.expect(client, switchHead)
		all := b.exact(client, server)
		b.toldAll(head, switchHead, all)
		reset(server)
		b.expectEnd(client, true)
	}
}

func TestFramesByAnotherProxy(t *testing.T) {
	for _, scheme := range []string{"http", "socks5"} {
		other := newForwardRig(t, nil)
		upstream := func(*url.URL) (*url.URL, error) { return &url.URL{Scheme: scheme, Host: other.addr}, nil }
		r := newRig(t, func(c *Config) { c.Upstream = upstream })
		client, server := r.open()
		all := r.exact(client, server)
		r.toldAll(upgradeHead, switchHead, all)
		other.toldAll(r.sent(upgradeHead), switchHead, all)
		reset(client)
		r.expectEnd(server, true)
		for _, w := range ways {
			r := newForwardRig(t, func(c *Config) { c.Upstream = upstream })
			client, server := r.openBy(w)
			r.toldAll(w.ask(r, upgradeHead), switchHead, r.exact(client, server))
			reset(server)
			r.expectEnd(client, true)
		}
	}
}

// toldAll checks that the tap has heard what client and server said: heads, and then
// the same both ways.
func (r *rig) toldAll(up, down, all string) {
	r.t.Helper()
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	for d, head := range []string{up, down} {
		if got := string(r.heard.bytes[inspect.ClientLeg][d]); got != head+all {
			r.t.Errorf("direction %d: %d bytes were told, not %d", d, len(got), len(head+all))
		}
	}
}

func TestOddHeads(t *testing.T) {
	r := newRig(t, nil)
	client := r.dial()
	odd := "GET /chat?q=%7e HTTP/1.1\r\nhOST: 127.0.0.1\r\nx-ORDER:2\r\nX-Order:   1  \r\nX-Folded: a\r\n  b\r\nx-empty:\r\nupgrade:WebSocket\r\nConnection: keep-alive , Upgrade\r\nSec-Websocket-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Odd-\xff: \xfe\r\n\r\n"
	r.send(client, odd)
	server := r.accept()
	r.expect(server, r.sent(odd))
	answer := "HTTP/1.1 101 \r\nX-b: 1\r\nx-a:  2 \r\nX-B: 3\r\nUPGRADE: websocket\r\nconnection: UPGRADE\r\nsec-websocket-accept:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi"
	r.send(server, answer)
	r.expect(client, answer)
	r.send(client, wireFrames["masked"])
	r.expect(server, wireFrames["masked"])
}

func TestInterimAnswers(t *testing.T) {
	r := newRig(t, nil)
	client := r.dial()
	r.send(client, upgradeHead+wireFrames["masked"])
	server := r.accept()
	r.expect(server, r.sent(upgradeHead))
	early := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	r.send(server, early)
	r.expect(client, early) // and still nothing of the frame
	r.send(server, switchHead)
	r.expect(client, switchHead)
	r.expect(server, wireFrames["masked"])
}

func TestRefusalWithABody(t *testing.T) {
	for name, refusal := range map[string]string{
		"403":             "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
		"404 in chunks":   "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\nX-Trailer: 1\r\n\r\n",
		"426":             "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n",
		"302":             "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
		"200 with a page": "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			client := r.dial()
			r.send(client, upgradeHead)
			server := r.accept()
			r.expect(server, r.sent(upgradeHead))
			r.send(server, refusal)
			r.expect(client, refusal)
			r.send(client, upgradeHead) // once more, on the same connection
			r.expect(server, r.sent(upgradeHead))
			r.send(server, switchHead)
			r.expect(client, switchHead)
			r.sessionsAreNamed()
		})
	}
}

// sessionsAreNamed checks that the notes name the sessions as inspection does.
func (r *rig) sessionsAreNamed() {
	r.t.Helper()
	var named []inspect.SessionID
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	for _, n := range r.heard.notes {
		var s inspect.SessionNote
		if n.Kind == inspect.NoteSession && json.Unmarshal(n.JSON, &s) == nil {
			named = append(named, s.Session-inspect.SessionID(n.Conn))
			if want := "ws://" + r.upstream.Addr().String() + "/chat"; s.URL != want {
				r.t.Errorf("the session's URL is %s, want %s", s.URL, want)
			}
		}
	}
	if !slices.Equal(named, []inspect.SessionID{0, 1}) {
		r.t.Errorf("sessions are named %v", named)
	}
}

func TestManyEmptyPings(t *testing.T) {
	n := wstest.Count("empty pings")
	r := newRig(t, nil)
	client, server := r.open()
	pings := strings.Repeat("\x89\x80\x01\x02\x03\x04", n)
	pongs := strings.Repeat("\x8a\x00", n)
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(client, pings); sent <- err }()
	r.expect(server, pings)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	go func() { _, err := io.WriteString(server, pongs); sent <- err }()
	r.expect(client, pongs)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// A request's body is framed, so that an upgrade behind it is seen, and what a
// client pipelines is answered in order.
func TestPipelinedRequestsThenUpgrade(t *testing.T) {
	r := newRig(t, nil)
	client := r.dial()
	post := "POST /a HTTP/1.1\r\nhOST: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nab\r\nc\r\n0\r\n\r\n"
	put := "PUT /b HTTP/1.1\r\nhOST: 127.0.0.1\r\nContent-Length: 3\r\n\r\nGET"
	r.send(client, post+put+upgradeHead+wireFrames["masked"])
	server := r.accept()
	r.expect(server, r.sent(post)+r.sent(put)+r.sent(upgradeHead))
	answers := "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 204 No Content\r\n\r\n" + switchHead
	r.send(server, answers)
	r.expect(client, answers)
	r.expect(server, wireFrames["masked"])
}

// What the tap is told of the client leg is what the client sent and got.
func TestTapOfTheClientLegAlone(t *testing.T) {
	r := newRig(t, func(c *Config) { c.BothLegs = false })
	client, server := r.open()
	r.send(client, wireFrames["masked"])
	r.expect(server, wireFrames["masked"])
	r.send(server, wireFrames["unmasked"])
	r.expect(client, wireFrames["unmasked"])
	r.ends(client, server, false)
	got := r.heard.bytes
	if string(got[inspect.ClientLeg][inspect.ToServer]) != upgradeHead+wireFrames["masked"] || string(got[inspect.ClientLeg][inspect.ToClient]) != switchHead+wireFrames["unmasked"] {
		t.Errorf("client leg: %q", got[inspect.ClientLeg])
	}
	if string(got[inspect.ServerLeg][inspect.ToServer]) != r.sent(upgradeHead) || string(got[inspect.ServerLeg][inspect.ToClient]) != switchHead {
		t.Errorf("server leg: %q", got[inspect.ServerLeg])
	}
	for _, e := range r.heard.ends {
		want := map[inspect.Leg][2]int{
			inspect.ClientLeg: {len(upgradeHead + wireFrames["masked"]), len(switchHead + wireFrames["unmasked"])},
			inspect.ServerLeg: {len(r.sent(upgradeHead) + wireFrames["masked"]), len(switchHead + wireFrames["unmasked"])},
		}[e.Leg][e.Dir]
		if e.How != inspect.Fin || e.Off != int64(want) {
			t.Errorf("end %+v, want FIN behind %d bytes", e, want)
		}
	}
	if len(r.heard.ends) != 4 {
		t.Errorf("%d ends", len(r.heard.ends))
	}
}

// The first bytes of a long message are out before its last are in.
func TestALongMessageStreams(t *testing.T) {
	size := int64(wstest.Count("MiB of a message that streams")) << 20
	r := newRig(t, func(c *Config) { c.Tap = nil })
	client, server := r.open()
	for _, c := range []*net.TCPConn{client, server} {
		_ = c.SetDeadline(time.Now().Add(5 * time.Minute)) // it is long
	}
	head := string(inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpBinary, Length: uint64(size)}).Raw())
	r.send(server, head)
	r.expect(client, head)
	sent := make(chan error, 1)
	go func() {
		block := make([]byte, 1<<20)
		for range size >> 20 {
			if _, err := server.Write(block); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	n, err := io.CopyN(io.Discard, client, size)
	if err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	r.ends(client, server, false)
}

func TestStats(t *testing.T) {
	r := newRig(t, nil)
	client, server := r.open()
	r.send(client, wireFrames["masked"])
	r.expect(server, wireFrames["masked"])
	if st := r.server.Stats(); st.Open != 1 || st.Total != 1 || st.Sessions != 1 || st.Bytes[inspect.ToServer] != int64(len(upgradeHead+wireFrames["masked"])) {
		t.Errorf("while it is open: %+v", st)
	}
	r.ends(client, server, false)
	if st := r.server.Stats(); st.Open != 0 || st.Total != 1 || st.Bytes[inspect.ToClient] != int64(len(switchHead)) {
		t.Errorf("afterwards: %+v", st)
	}
	if err := r.server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
