package ui

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/wsproxy/wsproxy/inspect"
)

// spoken is a recording of a conversation of inspect/decode's fixtures: what a real
// application said.
func spoken(t testing.TB, fixture string) *play {
	t.Helper()
	a, err := txtar.ParseFile("../inspect/decode/testdata/" + fixture)
	if err != nil {
		t.Fatal(err)
	}
	p := newPlay(t)
	path, protocol := "/", ""
	var c *conn
	for _, f := range a.Files {
		for line := range strings.Lines(string(f.Data)) {
			word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			switch {
			case f.Name == "session" && word == "path":
				path = rest
			case f.Name == "session" && word == "subprotocol":
				protocol = "Sec-WebSocket-Protocol: " + rest + "\r\n"
			case f.Name == "messages":
				if c == nil {
					c = p.connect().open(path, protocol, protocol)
				}
				c.line(word, rest)
			}
		}
	}
	return p
}

// line sends a message as a fixture has it.
func (c *conn) line(word, rest string) {
	d := inspect.ToServer
	if word[0] == '<' || word == "close" && rest[0] == '<' {
		d = inspect.ToClient
	}
	switch {
	case word == "close":
		c.frame(d, inspect.OpClose, "\x03\xe8")
	case strings.HasSuffix(word, "x"):
		b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		if err != nil {
			c.p.t.Fatal(err)
		}
		c.frame(d, inspect.OpBinary, string(b))
	default:
		c.frame(d, inspect.OpText, rest)
	}
}

// The screens of conversations: two applications that speak JSON, and one that does not.
func TestConversationScreens(t *testing.T) {
	for name, fixture := range map[string]string{"socketio": "socket.io/app-socket.io-4.txtar", "graphql": "graphql-transport-ws/app-graphql-ws.txtar", "mqtt": "mqtt/app-mqtt-5.txtar"} {
		p := spoken(t, fixture)
		p.close()
		s := p.store(false)
		for _, test := range []struct {
			name, keys string
			w, h       int
		}{
			{"frames-120x40", "<Enter>jjjj", 120, 40},
			{"conversation-120x40", "<Enter>jjjj7<Enter><Enter>", 120, 40},
			{"conversation-80x24", "<Enter>jj7", 80, 24},
			{"decoded-80x24", "<Enter>jjjj:view dec<Enter>", 80, 24},
		} {
			t.Run(name+"-"+test.name, func(t *testing.T) {
				d := drive(t, s, Options{Title: name + ".pcapng"}, test.w, test.h).keys(test.keys)
				golden(t, "talk-"+name+"-"+test.name, d.text()+strings.Repeat("=", test.w)+"\n"+d.looks())
			})
		}
	}
}

// A request is marked with its answer and the answer with its request; what waits says
// for how long, until it is answered.
func TestPairs(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/rpc", "", "")
	c.up(`{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}`)
	c.up(`{"jsonrpc":"2.0","id":2,"method":"fail"}`)
	c.down(`{"jsonrpc":"2.0","id":1,"result":3}`)
	s := p.store(true)
	await(t, "three frames", func() bool { return s.Sessions() == 1 && s.Len(0) == 3 })
	d := drive(t, s, Options{Live: true}, 100, 30).keys("<Enter>")
	d.has("unanswered ") // and the age goes on: nothing else asks for a drawing
	await(t, "another drawing", func() bool {
		before := d.view.drew.ended.Load()
		<-time.After(5 * time.Millisecond)
		return d.view.drew.ended.Load() > before
	})
	d.has("add [1, 2]", "⤷ #3 +2 ms", "⤶ #1 +2 ms", "unanswered ", "json-rpc")
	d.keys("7").has("json-rpc · 2 requests · 1 reply", "Unanswered (1)", "#2     → fail")
	c.down(`{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no such method"}}`)
	d.has("⤶ #2 +2 ms", "1 error").hasNot("unanswered", "Unanswered")
	d.keys("2G<Tab><Tab>g")
	if looks := splitLines(d.looks())[9]; !strings.Contains(looks, "!!!!!!") {
		t.Errorf("an error is not red: %q", looks)
	}
	// Enter in the tree goes to the frame.
	d.keys("<Enter>gj7<Enter>j<Enter>")
	d.do(func() {
		if f := &d.view.frames; d.view.focus != onFrames || f.cursor != 3 {
			t.Errorf("Enter went to row %d", f.cursor)
		}
	})
}

// A protocol's heartbeats fold as pings do, Enter opens them, P shows all.
func TestHeartbeatsOfAProtocolFold(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/socket.io/?EIO=4&transport=websocket", "", "")
	c.down(`0{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":1}`)
	for range 3 {
		c.down("2")
		c.up("3")
	}
	c.up(`42["hello"]`)
	s := p.store(true)
	await(t, "eight frames", func() bool { return s.Sessions() == 1 && s.Len(0) == 8 })
	d := drive(t, s, Options{Live: true}, 100, 30).keys("<Enter>").has("▸ heartbeats ×6 folded", "hello", "socket.io")
	d.keys("P").hasNot("folded").keys("P").has("×6 folded").keys("gjj<Enter>").hasNot("folded")
	for range 4 {
		c.down("2")
	}
	d.keys("G").has("▸ heartbeats ×4 folded")
}

// D says which protocol it is, and takes it back.
func TestForcedProtocol(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "", "")
	c.up(`{"jsonrpc":"2.0","id":1,"method":"add"}`)
	c.down(`42["news"]`)
	p.close()
	d := drive(t, p.store(false), Options{}, 120, 30).keys("<Enter>").has("json-rpc").keys("Dsocket.io<Enter>").has("is taken for socket.io", "news", "decode-broken")
	d.keys("D<Enter>").has("is guessed", "json-rpc").keys(":decode nonsense<Enter>").has(`there is no protocol "nonsense"`).keys(":decode raw<Enter>").hasNot("⤶", "decode-broken")
	drive(t, p.store(false), Options{Decode: "stomp"}, 120, 30).keys("<Enter>7").has("stomp (you say so: D)")
}

// What a ledger keeps is what was put into it, in memory, in the file, and once that was
// written over.
func TestLedger(t *testing.T) {
	p := newPlay(t)
	p.close()
	l := ledger{make: p.store(false).Scratch, most: ledgerMost}
	defer l.close()
	for i := uint32(1); i <= 5000; i++ {
		s := said{first: 2 * i, last: 2 * i, id: fmt.Sprint("id", i), topic: "t", text: fmt.Sprint("item ", i), name: 4}
		if i%2 == 0 {
			s.answers, s.latency = i-1, 7
			l.reply(&s)
		}
		l.add(&s)
	}
	if l.file == nil || len(l.tail) > chunkSlots*slotSize {
		t.Fatal("it is all in memory")
	}
	for _, i := range []uint32{1, 2, 511, 512, 513, 2047, 4999, 5000} {
		s, ok := l.get(i)
		if !ok || s.n != i || s.last != 2*i || s.text != fmt.Sprint("item ", i) || s.id != fmt.Sprint("id", i) {
			t.Errorf("item %d is %+v, %v", i, s, ok)
		}
		if odd := i%2 == 1; odd != (s.answered == 2*i+2) || odd != (s.after == 7) || odd != (s.replies == 1) {
			t.Errorf("item %d was answered by %d after %v", i, s.answered, s.after)
		}
		if at := l.from(2 * i); at != i {
			t.Errorf("frame %d is item %d", 2*i, at)
		}
		if at := l.from(2*i - 1); at != i {
			t.Errorf("frame %d is in front of item %d", 2*i-1, at)
		}
	}
	if at := l.from(10_001); at != 5001 {
		t.Errorf("behind the last is %d", at)
	}
}

// A filter asks what messages mean, live too.
func TestDecodedFilter(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/rpc", "", "")
	c.up(`{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}`)
	c.up(`{"jsonrpc":"2.0","id":2,"method":"fail"}`)
	c.frame(inspect.ToClient, inspect.OpText, `{"jsonrpc":"2.0",`, func(f *inspect.Fields) { f.Fin = false })
	s := p.store(true)
	await(t, "three frames", func() bool { return s.Sessions() == 1 && s.Len(0) == 3 })
	d := drive(t, s, Options{Live: true}, 100, 30).keys("f decode.name == 'add'<Enter><Enter>").has("1 of 3", "add [1, 2]").hasNot("fail")
	d.keys("f<Ctrl-U>latency > 0.001<Enter>").has("0 of ")
	c.frame(inspect.ToClient, inspect.OpContinuation, `"id":1,"result":3}`)
	c.down(`{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"no"}}`)
	d.has("3 of 5", "reply 3").hasNot("add")
	d.keys("f<Ctrl-U>decode.kind == 'error' && text contains 'no'<Enter>").has("1 of 5").keys("f<Ctrl-U>decode.protocol == 'json-rpc'<Enter>").has("5 of 5")
	d.keys("Draw<Enter>").has("SESSIONS 0 of 1")
	for range 200 {
		c.down(`{"jsonrpc":"2.0","method":"tick"}`)
	}
	d.keys("<Esc>D<Enter>f<Ctrl-U>decode.kind == 'event'<Enter>").has("200 of 205")
}
