package ui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// tabText is a tab's page for a row of a session's list, 80 columns wide.
func tabText(t *testing.T, s source, session, row int, tab string) string {
	t.Helper()
	x := s.Session(session)
	v := &view{source: s, frames: frames{session: session, seek: noSeek, list: list{cursor: row, height: 5}}}
	v.frames.update(s, &x, allRows{s.First(session), s.Len(session)})
	v.frames.load(s)
	for i, tb := range tabs() {
		if tb.name == tab {
			v.tab = i
			var b strings.Builder
			for _, l := range makePage(s, v.want(&x, 80)).lines {
				b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
			}
			return b.String()
		}
	}
	t.Fatalf("no tab %s", tab)
	return ""
}

func wants(t *testing.T, text string, all ...string) {
	t.Helper()
	one := strings.Join(strings.Fields(text), " ") // lines are cut anywhere
	for _, w := range all {
		if !strings.Contains(one, strings.Join(strings.Fields(w), " ")) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}

// What is wrong with a message is said above it.
func TestMessageFaults(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	c.down("valid, then \xc3( not")                                                                                   // 1
	c.frame(inspect.ToClient, inspect.OpText, "\x01\x02\x03", func(f *inspect.Fields) { f.Rsv1 = true })              // 2: no deflate
	c.down("")                                                                                                        // 3
	c.up(strings.Repeat("x", pageLimit+100_000))                                                                      // 4
	c.frame(inspect.ToServer, inspect.OpClose, "x")                                                                   // 5
	c.frame(inspect.ToClient, inspect.OpClose, "\x0f\xa0because \xff")                                                // 6
	c.frame(inspect.ToClient, inspect.OpPing, "\x00\x01")                                                             // 7
	c.frame(inspect.ToClient, inspect.OpText, "first ", func(f *inspect.Fields) { f.Fin = false })                    // 8
	c.frame(inspect.ToClient, inspect.OpContinuation, "second ", func(f *inspect.Fields) { f.Fin = false })           // 9
	c.frame(inspect.ToServer, inspect.OpBinary, "short", func(f *inspect.Fields) { f.Length = 1 << 40; f.Form = 64 }) // 10
	c.end(inspect.ToServer, inspect.Rst)
	p.close()
	s := p.store(false)
	if n := s.Len(0); n != 10 {
		t.Fatalf("%d frames", n)
	}
	for row, want := range map[int][]string{
		1:  {"Not UTF-8: the first bad byte is at offset 12, 0xc3 (RFC 6455 8.1).", `valid, then \xc3( not`},
		2:  {"cannot be inflated"},
		3:  {"(empty)"},
		4:  {"362 kB", "… 100 kB more; the first 262 kB are shown"},
		5:  {"One byte, which is no code"},
		6:  {"4000 private", "reason: because \\xff", "Not UTF-8"},
		7:  {"ping by the server", "000000  00 01"},
		8:  {"Not whole: its last fragment never came.", "first second"},
		9:  {"Not whole: its last fragment never came.", "first second"},
		10: {"Not whole: payload bytes are missing"},
	} {
		wants(t, tabText(t, s, 0, row, "Message"), want...)
	}
	wants(t, tabText(t, s, 0, 10, "Bytes"), "header  82 ff 00 00 01 00 00 00 00 00 37 fa 21 3d", "= 1099511627776", "The rest of the payload is not in the recording", "short")
	wants(t, tabText(t, s, 0, 4, "Bytes"), "… the first 262 kB of the payload are shown")
	wants(t, tabText(t, s, 0, 9, "Frame"), "Goes on with the text message that an earlier frame began.")
	wants(t, tabText(t, s, 0, 3, "Bytes"), "header  81 00", "no payload")
	wants(t, tabText(t, s, 0, 2, "Findings"), "undecodable-message", "To mend it:", "Elsewhere in this session", "frame #5")
	wants(t, tabText(t, s, 0, 3, "Findings"), "Elsewhere in this session", "frame #2")
	wants(t, tabText(t, s, 0, 0, "Frame"), "which has no frames yet")
	wants(t, tabText(t, s, 0, 11, "Frame"), "which is no frame")
	wants(t, tabText(t, s, 0, 11, "Bytes"), "no bytes of its own")
	wants(t, tabText(t, s, 0, 0, "Bytes"), "47 45 54 20 2f", "The answer")
}

// A message that goes on is shown as far as it has come, and again when it has
// gone on.
func TestMessageGrows(t *testing.T) {
	p := newPlay(t)
	d := drive(t, p.store(true), Options{Live: true}, 80, 24)
	c := p.connect().open("/", "", "")
	c.frame(inspect.ToClient, inspect.OpText, "one ", func(f *inspect.Fields) { f.Fin = false })
	d.has("TEXT").keys("<Enter>g").keys("j").has("Not whole yet", "one")
	c.frame(inspect.ToClient, inspect.OpContinuation, "two ", func(f *inspect.Fields) { f.Fin = false })
	d.has("one two")
	c.frame(inspect.ToClient, inspect.OpContinuation, "three")
	d.has("one two three", "frames #1 to #3").hasNot("Not whole")
}

func TestHandshakeTab(t *testing.T) {
	p := newPlay(t)
	c := p.connect()
	c.say(inspect.ToServer, "GET / HTTP/1.1\nHost: localhost\r\nUPGRADE: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: "+testKey+"\r\nSec-WebSocket-Version: 12\r\n folded\r\n\r\n")
	c.say(inspect.ToClient, "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: nonsense\r\nSec-WebSocket-Protocol: unasked\r\nSec-WebSocket-Extensions: x-unasked\r\n\r\n")
	c.end(inspect.ToServer, inspect.Fin)
	p.connect().say(inspect.ToServer, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	p.close()
	s := p.store(false)
	wants(t, tabText(t, s, 0, 0, "Handshake"), "GET / HTTP/1.1␊", "UPGRADE: WebSocket", "This is not 13.", "It does not say Upgrade.", "It is not what the key asks for.",
		"The client did not offer it.", "The client did not offer x-unasked.", "nonsense is something else", "b37a4f2cc0624f1690f64606cf385945b2bec4ea", "base64  "+testAccept,
		"[::1]:3000, connected in 420 µs")
	wants(t, tabText(t, s, 1, 0, "Handshake"), "Answer  none came", "There is no Sec-WebSocket-Key", "Refused:")

	p = everyday(t)
	p.close()
	s = p.store(false)
	text := tabText(t, s, 1, 0, "Handshake")
	wants(t, text, "- Host: 127.0.0.1:8080", "+ Host: localhost:3000", "wsproxy changed the marked lines", "the same, so the server read this request")
	if n := strings.Count(text, "\n- ") + strings.Count(text, "\n+ "); n != 2 {
		t.Errorf("%d lines are marked as changed:\n%s", n, text)
	}
	wants(t, tabText(t, s, 0, 0, "Handshake"), "GET /app.js HTTP/1.1", "HTTP/1.1 200 OK")
}

// A line that wsproxy added or took away is marked too.
func TestHandshakeChanges(t *testing.T) {
	request, _ := inspect.ParseRequest([]byte("GET /a HTTP/1.1\r\nHost: a\r\nCookie: x\r\nAccept: 1\r\nAccept: 2\r\n\r\n"))
	sent, _ := inspect.ParseRequest([]byte("GET /b/a HTTP/1.1\r\nHost: a\r\nAccept: 1\r\nAccept: 2\r\nX-New: y\r\n\r\n"))
	m := maker{session: record.Session{}}
	m.width = 80
	m.head(request, sent)
	var marked []string
	for i := range m.lines {
		if l := m.lines[i].String(); strings.HasPrefix(l, "- ") || strings.HasPrefix(l, "+ ") {
			marked = append(marked, l)
		}
	}
	want := []string{"- GET /a HTTP/1.1", "+ GET /b/a HTTP/1.1", "- Cookie: x", "+ X-New: y"}
	if fmt.Sprint(marked) != fmt.Sprint(want) {
		t.Errorf("marked are %q, want %q", marked, want)
	}
}

// TLS to the server, and that it was not verified, is said.
func TestPeer(t *testing.T) {
	m := maker{session: record.Session{Peer: &inspect.PeerNote{Addr: "example:443", Dial: 12_345_000,
		TLS: &inspect.TLSInfo{Version: "TLS 1.3", Cipher: "X", ALPN: "http/1.1", Names: []string{"a\x1b"}, Expiry: t0, Why: "unknown authority"}}}}
	m.width = 200
	m.peer()
	text := ""
	for i := range m.lines {
		text += m.lines[i].String() + "\n"
	}
	wants(t, text, "example:443, connected in 12.3 ms", "TLS 1.3 X, ALPN http/1.1, certificate for a␛ until 2026-11-23", "not verified: unknown authority")
	m = maker{session: record.Session{Peer: &inspect.PeerNote{Addr: "example:443", Error: "connection refused"}}}
	m.peer()
	wants(t, m.lines[0].String(), "example:443: connection refused")
	m = maker{session: record.Session{Conn: inspect.ConnInfo{Via: "CONNECT example:443"}, Peer: &inspect.PeerNote{Addr: "example:443", Proxy: "http://proxy:3128"}}}
	m.width = 200
	m.peer()
	wants(t, m.lines[0].String(), "CONNECT example:443")
	wants(t, m.lines[1].String(), "http://proxy:3128")
}

// Columns go, the least important first, until a summary has room.
func TestColumns(t *testing.T) {
	for w, want := range map[int]string{
		200: "# time delta dir op len fin rsv mask", 99: "# time delta dir op len fin rsv mask", 90: "# time dir op len fin rsv mask", 80: "# time dir op len fin", 72: "# time dir op len",
		65: "# time dir op", 60: "# dir op", 50: "# op", 5: "# op",
	} {
		var got []string
		for _, c := range fit(columns(), w) {
			if c.title != "" {
				got = append(got, c.title)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d columns hold %q, want %q", w, strings.Join(got, " "), want)
		}
	}
}
