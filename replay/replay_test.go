package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

func TestSession(t *testing.T) {
	r := serve(t, chat(
		text(down, "welcome"), js(up, `{"op":"sub","n":1.0}`), js(down, `{"ok":true}`), line(cassette.Ping, down, "hb"),
		line(cassette.Binary, up, "\x00\x01"), text(down, "tick"), text(down, "tock"), closing(up, 1000, "bye"), closing(down, 1000, "bye"), end(down, inspect.Fin), end(up, inspect.Fin)), nil)
	for range 2 { // the second client starts again
		p := r.dial()
		p.join("/chat")
		p.want("\x81\x07welcome")
		p.quiet()
		p.send(masked(0x01, "{ \"n\": 1,") + masked(0x89, "!") + masked(0x80, ` "op":"sub"}`))
		got := p.next(3)
		// The pong and the answer are independent.
		if want := []string{"\x81\x0b{\"ok\":true}", "\x8a\x01!", "\x89\x02hb"}; !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) || !slices.Contains(got, want[2]) {
			t.Fatalf("%q", got)
		}
		p.quiet()
		p.send(masked(0x8a, "hb") + masked(0x82, "\x00\x01"))
		p.want("\x81\x04tick\x81\x04tock")
		p.quiet()
		p.send(masked(0x88, "\x03\xe8bye"))
		p.want("\x88\x05\x03\xe8bye")
		p.wantFin()
		if err := p.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		want := Result{Session: 1, Path: "/chat", Client: p.LocalAddr().String(), Status: 101, Expected: 3, Matched: 3, Sends: 7, Sent: 7}
		if diff := cmp.Diff(want, r.held()); diff != "" {
			t.Error(diff)
		}
	}
	if n := len(r.server.Results()); n != 2 {
		t.Errorf("%d results", n)
	}
}

// next reads so many short frames.
func (p *peer) next(n int) []string {
	p.t.Helper()
	var all []string
	for range n {
		b := make([]byte, 2)
		if _, err := io.ReadFull(p.r, b); err != nil {
			p.t.Fatal(err)
		}
		b = append(b, make([]byte, b[1])...)
		if _, err := io.ReadFull(p.r, b[2:]); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

func TestMismatches(t *testing.T) {
	tests := []struct {
		name  string
		lines []cassette.Line
		send  string
		leave bool
		want  Mismatch
	}{
		{"json", []cassette.Line{js(up, `{"a":1}`), js(up, `{"price":3}`)}, masked(0x81, `{"a":1}`) + masked(0x81, `{"price":4}`), false,
			Mismatch{Message: 2, Problem: "not what was recorded", Want: `json {"price":3}`, Got: `json {"price":4}`, Diff: []string{"$.price: expected 3, got 4"}}},
		{"text", []cassette.Line{text(up, "a")}, masked(0x81, "b\x1b[2J"), false,
			Mismatch{Message: 1, Problem: "not what was recorded", Want: "text a", Got: "text b␛[2J", Diff: []string{`byte 0: expected "a", got "b␛[2J"`}}},
		{"kind", []cassette.Line{text(up, "a")}, masked(0x82, "a"), false,
			Mismatch{Message: 1, Problem: "not what was recorded", Want: "text a", Got: "binary of 1 bytes: 61", Diff: []string{"expected text a, got binary of 1 bytes: 61"}}},
		{"close instead of a message", []cassette.Line{text(up, "a")}, masked(0x88, "\x03\xe8"), false,
			Mismatch{Message: 1, Problem: "not what was recorded", Want: "text a", Got: "close 1000", Diff: []string{"expected text a, got close 1000"}}},
		{"close code", []cassette.Line{closing(up, 1000, "bye"), closing(down, 1000, "")}, masked(0x88, "\x03\xe9bye"), false,
			Mismatch{Message: 1, Problem: "not what was recorded", Want: `close 1000 "bye"`, Got: `close 1001 "bye"`, Diff: []string{`expected close 1000 "bye", got close 1001 "bye"`}}},
		{"one too many", []cassette.Line{text(up, "a")}, masked(0x81, "a") + masked(0x81, "b"), false,
			Mismatch{Message: 2, Problem: "nothing more was recorded", Got: "text b"}},
		{"a close where the client just left", []cassette.Line{text(up, "a"), end(up, inspect.Fin)}, masked(0x81, "a") + masked(0x88, ""), false,
			Mismatch{Message: 2, Problem: "nothing more was recorded", Got: "close without a code"}},
		{"left", []cassette.Line{text(up, "a"), text(up, "b"), text(up, "c")}, masked(0x81, "a"), true,
			Mismatch{Message: 2, Problem: "the client left; 2 messages were still expected, the next is this one", Want: "text b"}},
		{"left inside a frame", []cassette.Line{text(up, "a")}, masked(0x81, "abc")[:6], true,
			Mismatch{Message: 1, Problem: "the client left; 1 message was still expected, the next is this one", Want: "text a"}},
		{"too long", []cassette.Line{text(up, "a")}, masked(0x81, strings.Repeat("x", 2000)), false,
			Mismatch{Message: 1, Problem: "a message of 2000 bytes is longer than 1000, the most that is kept", Want: "text a"}},
		{"odd frame", []cassette.Line{text(up, "a")}, "\x81\x01a", false,
			Mismatch{Message: 1, Problem: "not what was recorded", Want: "text a", Got: "the odd frame text 1 fin", Diff: []string{"expected text a, got the odd frame text 1 fin"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := serve(t, chat(tt.lines...), func(o *Options) { o.Limits = inspect.Limits{Message: 1000, Inflated: 1000} })
			p := r.dial()
			p.join("/chat")
			p.send(tt.send)
			if tt.leave {
				if err := p.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			p.wantMismatch()
			p.wantFin()
			_ = p.Close()
			res := r.result()
			if res.Mismatch == nil || res.Held() {
				t.Fatalf("%s", res)
			}
			if diff := cmp.Diff(tt.want, *res.Mismatch); diff != "" {
				t.Error(diff)
			}
			if report := res.Report(); !strings.HasPrefix(report, fmt.Sprintf("session 1 (/chat): client message %d: ", tt.want.Message)) || !strings.Contains(report, tt.want.Got) || strings.Contains(report, "\x1b") {
				t.Errorf("%q", report)
			}
		})
	}
}

func TestClientReset(t *testing.T) {
	r := serve(t, chat(text(up, "a")), nil)
	p := r.dial()
	p.join("/chat")
	_ = p.SetLinger(0)
	_ = p.Close()
	if m := r.result().Mismatch; m == nil || !strings.HasPrefix(m.Problem, "the client reset the connection; 1 message") {
		t.Errorf("%+v", m)
	}
}

func TestDamagedCompression(t *testing.T) {
	r := serve(t, new(tape).session(cassette.Upgrade{Path: "/chat", Extensions: "permessage-deflate"}, text(up, "a")), nil)
	p := r.dial()
	p.join("/chat", "Sec-WebSocket-Extensions: permessage-deflate")
	p.send(masked(0xc1, "\xff\xff\xff"))
	p.wantMismatch()
	_ = p.Close()
	if m := r.result().Mismatch; m == nil || m.Problem != "a compressed message of the client cannot be inflated" {
		t.Errorf("%+v", m)
	}
}

// A Close that the client sends because the server ended is not held against it.
func TestCloseAfterTheServersEnd(t *testing.T) {
	for _, lines := range [][]cassette.Line{
		{closing(down, 1001, ""), end(down, inspect.Fin)},
		{closing(down, 1001, ""), end(up, inspect.Fin), end(down, inspect.Fin)},
		{text(down, "x"), end(down, inspect.Fin)},
	} {
		r := serve(t, chat(lines...), nil)
		p := r.dial()
		p.join("/chat")
		p.next(1)
		p.send(masked(0x88, "\x03\xe9"))
		p.wantFin()
		_ = p.Close()
		r.held()
	}
}

// Where the recording ends before the session, the client may end it as it likes,
// but not say more.
func TestOpenEnd(t *testing.T) {
	r := serve(t, chat(text(up, "a"), text(down, "b")), nil)
	p := r.dial()
	p.join("/chat")
	p.send(masked(0x81, "a"))
	p.want("\x81\x01b")
	p.quiet()
	p.send(masked(0x88, "\x0f\xa0so"))
	p.want("\x88\x04\x0f\xa0so")
	p.wantFin()
	_ = p.Close()
	r.held()

	p = r.dial()
	p.join("/chat")
	p.send(masked(0x81, "a"))
	p.want("\x81\x01b")
	_ = p.Close()
	r.held()

	p = r.dial()
	p.join("/chat")
	p.send(masked(0x81, "a"))
	p.want("\x81\x01b")
	p.send(masked(0x81, "more"))
	p.wantMismatch()
	_ = p.Close()
	if m := r.result().Mismatch; m == nil || m.Got != "text more" {
		t.Errorf("%+v", m)
	}
}

func TestEndings(t *testing.T) {
	t.Run("fin without close", func(t *testing.T) {
		r := serve(t, chat(text(down, "x"), end(down, inspect.Fin)), nil)
		p := r.dial()
		p.join("/chat")
		p.want("\x81\x01x")
		p.wantFin()
		_ = p.Close()
		r.held()
	})
	t.Run("rst without close", func(t *testing.T) {
		r := serve(t, chat(text(up, "go"), text(down, strings.Repeat("x", 100)), end(down, inspect.Rst)), nil)
		p := r.dial()
		p.join("/chat")
		p.send(masked(0x81, "go"))
		p.want("\x81\x64" + strings.Repeat("x", 100))
		if _, err := p.r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the end is %v", err)
		}
		if res := r.held(); res.Sent != 2 {
			t.Errorf("%+v", res)
		}
	})
	t.Run("client messages behind the server's fin", func(t *testing.T) {
		r := serve(t, chat(end(down, inspect.Fin), text(up, "late")), nil)
		p := r.dial()
		p.join("/chat")
		p.wantFin()
		p.send(masked(0x81, "late"))
		_ = p.Close()
		r.held()
	})
	t.Run("a late answer behind the client's fin", func(t *testing.T) {
		r := serve(t, chat(text(up, "q"), end(up, inspect.Fin), text(down, "late"), end(down, inspect.Fin)), nil)
		p := r.dial()
		p.join("/chat")
		p.send(masked(0x81, "q"))
		p.quiet()
		_ = p.CloseWrite()
		p.want("\x81\x04late")
		p.wantFin()
		r.held()
	})
	t.Run("a client that does not wait for the close to be answered", func(t *testing.T) {
		// It was recorded to end at once; now it waits.
		r := serve(t, chat(closing(up, 1000, ""), end(up, inspect.Fin), closing(down, 1000, ""), end(down, inspect.Fin)), nil)
		p := r.dial()
		p.join("/chat")
		p.send(masked(0x88, "\x03\xe8"))
		p.want("\x88\x02\x03\xe8")
		p.wantFin()
		_ = p.Close()
		r.held()
	})
	t.Run("a client that never ends", func(t *testing.T) {
		r := serve(t, chat(end(down, inspect.Fin)), nil)
		p := r.dial()
		p.join("/chat")
		p.wantFin()
		r.held() // after lingerTime
	})
}

func TestFragments(t *testing.T) {
	r := serve(t, chat(fragments(text(down, "hello"), 2, 0, 3), within(1, line(cassette.Ping, down, "p")), within(2, text(up, "so")),
		within(2, line(cassette.Pong, down, "q")), text(down, "."), end(down, inspect.Fin)), nil)
	p := r.dial()
	p.join("/chat")
	p.want("\x01\x02he\x89\x01p\x00\x00")
	p.quiet()
	p.send(masked(0x81, "so"))
	p.want("\x8a\x01q\x80\x03llo\x81\x01.")
	p.wantFin()
	_ = p.Close()
	r.held()
}

// A client's message between fragments is waited for there.
func TestFragmentsWaitForTheClient(t *testing.T) {
	r := serve(t, chat(fragments(text(down, "hello"), 2, 3), within(1, text(up, "so")), text(down, "."), end(down, inspect.Fin)), nil)
	p := r.dial()
	p.join("/chat")
	p.want("\x01\x02he")
	p.quiet()
	p.send(masked(0x81, "so"))
	p.want("\x80\x03llo\x81\x01.")
	p.wantFin()
	_ = p.Close()
	if res := r.held(); res.Sends != 3 || res.Sent != 3 {
		t.Errorf("%s", res)
	}
}

func TestOddFrames(t *testing.T) {
	odd := []string{"\x81\x7e\x00\x02hi", "\xb1\x01a", "\x83\x01a", "\x09\x01a", "\x80\x01a", "\x81\x02\xc3\x28", "\x81\x81\x00\x00\x00\x00b", "\x88\x01\x03", "\x81\x01z", "\x81\x05ha"}
	var lines []cassette.Line
	for _, o := range odd {
		lines = append(lines, line(cassette.Raw, down, o))
	}
	r := serve(t, chat(append(lines, end(down, inspect.Rst))...), nil)
	p := r.dial()
	p.join("/chat")
	p.want(strings.Join(odd, ""))
	if _, err := p.r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the end is %v", err)
	}
	r.held()
}

func TestOddClientFrames(t *testing.T) {
	r := serve(t, chat(line(cassette.Raw, up, "\x81\x02hi"), line(cassette.Raw, up, masked(0xb1, "abc")), text(down, "ok")), nil)
	p := r.dial()
	p.join("/chat")
	p.send("\x81\x02hi" + "\xb1\x83\x00\x00\x00\x00abc")
	p.want("\x81\x02ok")
	_ = p.Close()
	r.held()
}

func TestHandshakeAnswer(t *testing.T) {
	u := cassette.Upgrade{Path: "/chat", Subprotocols: []string{"a", "b"}, Subprotocol: "b", Extensions: "permessage-deflate; server_no_context_takeover",
		Accept: cassette.Answer{Status: 101, Phrase: "Odd Phrase", Headers: []inspect.HeaderField{{Name: "upgrade", Value: "WebSocket"}, {Name: "X-b", Value: "2"},
			{Name: "Sec-WebSocket-Extensions", Value: "?"}, {Name: "x-B", Value: "3"}, {Name: "CONNECTION", Value: "upgrade"},
			{Name: "sec-websocket-protocol", Value: "?"}, {Name: "Sec-WebSocket-Accept"}}}}
	r := serve(t, new(tape).session(u), nil)
	p := r.dial()
	const before, after = "HTTP/1.1 101 Odd Phrase\r\nupgrade: WebSocket\r\nX-b: 2\r\n", "x-B: 3\r\nCONNECTION: upgrade\r\nsec-websocket-protocol: b\r\nSec-WebSocket-Accept: " + sampleAccept + "\r\n\r\n"
	if got := p.join("/chat", "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: x, permessage-deflate; server_no_context_takeover"); got != before+"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"+after {
		t.Errorf("%q", got)
	}
	_ = p.Close()
	if got := r.dial().join("/chat", "Sec-WebSocket-Protocol: b"); got != before+after {
		t.Errorf("%q", got)
	}
	// Without heads, as a cassette that was written by hand.
	u.Accept = cassette.Answer{Status: 101}
	r = serve(t, new(tape).session(u), nil)
	if got := r.dial().join("/chat", "Sec-WebSocket-Protocol: b"); got != "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+sampleAccept+"\r\nSec-WebSocket-Protocol: b\r\n\r\n" {
		t.Errorf("%q", got)
	}
	// A wrong Accept is as wrong as it was.
	u.Accept.Headers = []inspect.HeaderField{{Name: "Sec-WebSocket-Accept", Value: "wrong"}}
	r = serve(t, new(tape).session(u), nil)
	if got := r.dial().join("/chat", "Sec-WebSocket-Protocol: b"); !strings.Contains(got, "Sec-WebSocket-Accept: wrong\r\n") {
		t.Errorf("%q", got)
	}
}

func TestFits(t *testing.T) {
	for _, tt := range []struct {
		agreed, offered string
		want            bool
	}{
		{"permessage-deflate", "permessage-deflate", true},
		{"permessage-deflate", "", false},
		{"permessage-deflate", "x-other", false},
		{"permessage-deflate; client_max_window_bits=12", "permessage-deflate", false},
		{"permessage-deflate; client_max_window_bits=12", "permessage-deflate; client_max_window_bits", true},
		{"permessage-deflate; client_max_window_bits=12", "permessage-deflate; client_max_window_bits=10", false},
		{"permessage-deflate; client_max_window_bits=12", "permessage-deflate; client_max_window_bits=10, permessage-deflate; client_max_window_bits=13", true},
		{"permessage-deflate", "permessage-deflate; client_max_window_bits=10", true},
		{"permessage-deflate; server_max_window_bits=12", "permessage-deflate", true},
		{"permessage-deflate; server_max_window_bits=12", "permessage-deflate; server_max_window_bits=12", true},
		{"permessage-deflate; server_max_window_bits=12", "permessage-deflate; server_max_window_bits=11", false},
		{"permessage-deflate", "permessage-deflate; server_max_window_bits=12", false},
		{"permessage-deflate", "permessage-deflate; server_no_context_takeover", false},
		{"permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover", true},
		{"permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate", true},
		{"permessage-deflate; odd=1", "permessage-deflate; odd=1", false},
		{"x-other, permessage-deflate", "permessage-deflate", false},
		{"x-other", "x-other", true},
	} {
		agreed, _ := inspect.ParseExtensions([]string{tt.agreed})
		offered, _ := inspect.ParseExtensions([]string{tt.offered})
		if got := fits(agreed, offered); got != tt.want {
			t.Errorf("%q for %q: %v", tt.agreed, tt.offered, got)
		}
	}
}

func TestRefusal(t *testing.T) {
	c := new(tape).session(cassette.Upgrade{Path: "/chat", Accept: cassette.Answer{Status: 403, Phrase: "Go Away", Body: []byte("no entry"),
		Headers: []inspect.HeaderField{{Name: "content-length", Value: "8"}, {Name: "X-Why", Value: "because"}}}}).
		session(cassette.Upgrade{Path: "/chat"}, text(down, "hi"), end(down, inspect.Fin))
	r := serve(t, c, func(o *Options) { o.Once = true })
	p := r.dial()
	p.send(upgrade("/chat"))
	p.want("HTTP/1.1 403 Go Away\r\ncontent-length: 8\r\nX-Why: because\r\n\r\nno entry")
	if res := r.held(); res.Status != 403 || res.String() != "session 1 (/chat): refused with 403, as recorded" {
		t.Errorf("%s", res)
	}
	p.join("/chat") // on the same connection, and --once has waited for it
	p.want("\x81\x02hi")
	p.wantFin()
	_ = p.Close()
	r.held()
	<-r.server.Done()
}

func TestRedirectUntilClose(t *testing.T) {
	c := new(tape).session(cassette.Upgrade{Path: "/chat", Accept: cassette.Answer{Proto: "HTTP/1.0", Status: 302, Phrase: "Found", Body: []byte("elsewhere"),
		Headers: []inspect.HeaderField{{Name: "Location", Value: "/there"}}}})
	r := serve(t, c, func(o *Options) { o.Once = true })
	p := r.dial()
	p.send(upgrade("/chat"))
	p.want("HTTP/1.0 302 Found\r\nLocation: /there\r\n\r\nelsewhere")
	p.wantFin()
	_ = p.Close()
	r.held()
	<-r.server.Done() // nothing but a refusal was recorded
}

func TestExchanges(t *testing.T) {
	length := func(n string) []inspect.HeaderField { return []inspect.HeaderField{{Name: "Content-Length", Value: n}} }
	c := chat(text(down, "hi")).
		http("GET", "/", "", cassette.Answer{Status: 200, Phrase: "Fine", Headers: length("4"), Body: []byte("page")}).
		http("HEAD", "/", "", cassette.Answer{Status: 200, Phrase: "OK", Headers: length("4")}).
		http("GET", "/chunks", "", cassette.Answer{Status: 200, Phrase: "OK", Headers: []inspect.HeaderField{{Name: "Transfer-Encoding", Value: "chunked"}}, Body: []byte("0123456789abcdef")}).
		http("GET", "/poll", "", cassette.Answer{Status: 200, Body: []byte("1")}).
		http("GET", "/poll", "", cassette.Answer{Status: 200, Body: []byte("2")}).
		http("POST", "/q", "a", cassette.Answer{Status: 200, Body: []byte("A")}).
		http("POST", "/q", "b", cassette.Answer{Status: 204, Phrase: "No Content", Headers: []inspect.HeaderField{}}).
		http("GET", "/last", "", cassette.Answer{Status: 200, Phrase: "OK", Headers: []inspect.HeaderField{{Name: "connection", Value: "Close"}, {Name: "content-length", Value: "3"}}, Body: []byte("end")}).
		http("GET", "/old", "", cassette.Answer{Status: 200, Phrase: "OK", Headers: []inspect.HeaderField{}, Body: []byte("until the end")})
	r := serve(t, c, nil)
	p := r.dial()
	for _, x := range []struct{ send, want string }{
		{"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\npage"},
		{"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"},
		{"GET /chunks HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"},
		{"GET /poll HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"},
		{"GET /poll HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"},
		{"GET /poll HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"},
		{"POST /q HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nb", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"},
		{"POST /q HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nPOST /q HTTP/1.1\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nAHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA"},
	} {
		p.send(x.send)
		p.want(x.want)
	}
	p.send("GET /\x1b[2J HTTP/1.1\r\n\r\n")
	why := "GET /␛[2J is not in the recording"
	p.want(fmt.Sprintf("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\nwsproxy replay: %s\n", len("wsproxy replay: \n"+why), why))
	if got := <-r.missed; got != why {
		t.Errorf("%q", got)
	}
	p.join("/chat") // the page's socket, on the same connection
	p.want("\x81\x02hi")

	p = r.dial()
	p.send("GET /old HTTP/1.1\r\n\r\n")
	p.want("HTTP/1.1 200 OK\r\n\r\nuntil the end")
	p.wantFin()
	p = r.dial()
	p.send("GET /last HTTP/1.1\r\n\r\n")
	p.want("HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 3\r\n\r\nend")
	p.wantFin()
	p = r.dial()
	p.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
	p.want("HTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\npage")
	p.wantFin()
}

func TestBadRequests(t *testing.T) {
	r := serve(t, chat(), func(o *Options) { o.HeadTimeout = patience / 50; o.Limits = inspect.Limits{Head: 200, Message: 100} })
	for _, tt := range []struct{ name, send, want string }{
		{"garbage", "\x16\x03\x01 what\r\n\r\n", "HTTP/1.1 400 "},
		{"a head too long", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 300), "HTTP/1.1 431 "},
		{"a head that never ends", "GET / HTTP/1.1\r\n", "HTTP/1.1 408 "},
		{"a body too long", "POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 200), "HTTP/1.1 413 "},
		{"a body without end", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 400 "},
		{"a broken chunk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "HTTP/1.1 400 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := r.dial()
			p.send(tt.send)
			p.want(tt.want)
			if b, err := io.ReadAll(p.r); err != nil || !strings.Contains(string(b), "\r\n\r\nwsproxy replay: ") {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}

func TestSessionsArePicked(t *testing.T) {
	c := new(tape)
	add := func(path, sub, says string, offered ...string) {
		c.session(cassette.Upgrade{Path: path, Subprotocol: sub, Subprotocols: offered}, text(down, says), end(down, inspect.Fin))
	}
	add("/a", "", "1")
	add("/b?x=1", "", "2")
	add("/a", "", "3")
	add("/s", "v1", "4", "v1", "v2")
	add("/s", "v2", "5", "v2")
	add("/t", "", "6")
	add("/t", "v1", "7", "v1")
	r := serve(t, c, nil)
	for _, tt := range []struct{ path, offer, want string }{
		{"/t", "v1", "7"}, {"/t", "v1", "7"},
		{"/a", "", "1"}, {"/b?x=1", "", "2"}, {"/a", "", "3"}, {"/a", "", "1"}, {"/a", "", "3"},
		{"/s", "v2", "5"}, {"/s", "v1, v2", "4"}, {"/s", "v0, v1", "4"}, {"/s", "v2", "5"},
	} {
		p := r.dial()
		if tt.offer == "" {
			p.join(tt.path)
		} else if h := p.join(tt.path, "Sec-WebSocket-Protocol: "+tt.offer); !strings.Contains(h, "Sec-WebSocket-Protocol: v") {
			t.Errorf("%q", h)
		}
		p.want("\x81\x01" + tt.want)
		p.wantFin()
		_ = p.Close()
		r.held()
	}
	for _, tt := range []struct{ request, want string }{
		{upgrade("/b?x=2"), "no session of /b?x=2 was recorded, only of /a, /b?x=1, /s, /t"},
		{upgrade("/s", "Sec-WebSocket-Protocol: v3"), "the recorded sessions of /s speak v1, v2, which the client does not offer"},
		{strings.Replace(upgrade("/a"), "Sec-WebSocket-Key", "X-Key", 1), "the request has no Sec-WebSocket-Key"},
	} {
		p := r.dial()
		p.send(tt.request + "GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(p.r)
		if err != nil || !strings.Contains(string(b), "wsproxy replay: "+tt.want+"\n") {
			t.Errorf("%q %v", b, err)
		}
		if res := r.result(); res.Mismatch == nil || res.Mismatch.Problem != tt.want || res.Held() {
			t.Errorf("%+v", res)
		}
	}
}

func TestTwoAtOnce(t *testing.T) {
	c := chat(text(up, "a"), text(down, "A"), closing(up, 1000, ""), closing(down, 1000, ""), end(down, inspect.Fin)).
		session(cassette.Upgrade{Path: "/chat"}, text(up, "b"), text(down, "B"), closing(up, 1000, ""), closing(down, 1000, ""), end(down, inspect.Fin))
	r := serve(t, c, nil)
	p, q := r.dial(), r.dial()
	p.join("/chat")
	q.join("/chat")
	q.send(masked(0x81, "b"))
	q.want("\x81\x01B")
	p.send(masked(0x81, "a"))
	p.want("\x81\x01A")
	for _, x := range []*peer{p, q} {
		x.send(masked(0x88, "\x03\xe8"))
		x.want("\x88\x02\x03\xe8")
		x.wantFin()
		_ = x.Close()
		r.held()
	}
}

func TestOnce(t *testing.T) {
	r := serve(t, chat(text(up, "a"), text(down, "b")).http("GET", "/", "", cassette.Answer{Status: 200, Body: []byte("page")}), func(o *Options) { o.Once = true })
	p, q := r.dial(), r.dial()
	p.join("/chat")
	q.send(upgrade("/chat"))
	q.want("HTTP/1.1 503 ")
	p.send(masked(0x81, "a"))
	p.want("\x81\x01b")
	select {
	case <-r.server.Done():
		t.Fatal("it is done already")
	default:
	}
	_ = p.Close()
	r.held()
	<-r.server.Done()
	if c, err := net.Dial("tcp", r.addr); err == nil {
		_ = c.Close()
		t.Error("it still listens")
	}
}

func TestShutdown(t *testing.T) {
	r := serve(t, chat(text(up, "a"), text(down, "b"), text(up, "c")), nil)
	p, idle := r.dial(), r.dial()
	p.join("/chat")
	p.send(masked(0x81, "a"))
	p.want("\x81\x01b")
	idle.send("GET /none HTTP/1.1\r\n\r\n")
	idle.want("HTTP/1.1 404 ")
	if err := r.server.Close(); err != nil {
		t.Fatal(err)
	}
	res := r.result()
	if !res.Interrupted || res.Held() || res.Mismatch != nil || res.Matched != 1 || res.Report() != "" {
		t.Errorf("%s", res)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.server.Serve(l); err != nil { // too late, and it says so by closing
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// A client that writes a lot before it reads, and is written to a lot, does not
// hold the server up.
func TestBothWriteAtOnce(t *testing.T) {
	const size = 4 << 20
	big := strings.Repeat("0123456789abcdef", size/16)
	r := serve(t, chat(line(cassette.Binary, down, big), line(cassette.Binary, up, big), text(down, "done"), end(down, inspect.Fin)), nil)
	p := r.dial()
	p.join("/chat")
	p.send(masked(0x82, big)) // before anything is read
	p.want("\x82\x7f\x00\x00\x00\x00\x00\x40\x00\x00" + big + "\x81\x04done")
	p.wantFin()
	_ = p.Close()
	r.held()
}

// A client that pings without reading is answered from the newest on, in bounded
// memory.
func TestManyPings(t *testing.T) {
	r := serve(t, chat(text(up, "a"), text(down, "b"), end(down, inspect.Fin)), nil)
	p := r.dial()
	p.join("/chat")
	for range 1000 {
		p.send(strings.Repeat(masked(0x89, "x"), 100))
	}
	p.send(masked(0x89, "last") + masked(0x81, "a"))
	b, err := io.ReadAll(p.r)
	if err != nil || !strings.HasSuffix(string(b), "\x8a\x04last\x81\x01b") {
		t.Errorf("%x %v", b[max(0, len(b)-20):], err)
	}
	_ = p.Close()
	r.held()
}

func TestPongsAreBounded(t *testing.T) {
	p := newPlayer(nil, &cassette.Session{}, agreement{}, nil)
	for i := range 1000 {
		p.take(line(cassette.Ping, up, fmt.Sprint(i)))
	}
	if len(p.pongs) != pongLimit || string(p.pongs[0]) != "936" || string(p.pongs[pongLimit-1]) != "999" {
		t.Errorf("%d pongs, %q to %q", len(p.pongs), p.pongs[0], p.pongs[len(p.pongs)-1])
	}
}

func TestServeFails(t *testing.T) {
	s := New(&chat().Cassette, Options{})
	defer s.Close()
	if err := s.Serve(brokenListener{}); err == nil || !strings.Contains(err.Error(), "accept on") {
		t.Errorf("%v", err)
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, http.ErrServerClosed }
func (brokenListener) Addr() net.Addr            { return &net.TCPAddr{} }
func (brokenListener) Close() error              { return nil }

func TestLoadErrors(t *testing.T) {
	if _, err := Load(context.Background(), t.TempDir()+"/none.pcapng", inspect.Limits{}); err == nil {
		t.Error("no error for no file")
	}
}

// A page in a browser that made a name of its own resolve to us gets nothing.
func TestForeignHost(t *testing.T) {
	r := serve(t, chat(text(down, "hi")).http("GET", "/", "", cassette.Answer{Status: 200, Body: []byte("page")}), nil)
	p := r.dial()
	p.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
	p.want("HTTP/1.1 421 Misdirected Request\r\n")
	p = r.dial()
	p.send(strings.Replace(upgrade("/chat"), "localhost", "evil.example", 1))
	p.want("HTTP/1.1 421 Misdirected Request\r\n")
}
