package cassette

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/inspect"
)

const (
	upgradeHead = "GET /chat?x=1 HTTP/1.1\r\nHost: h\r\norigin: http://h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	switchHead = "HTTP/1.1 101 Odd Phrase\r\nupgrade: WebSocket\r\nX-b: 2\r\nCONNECTION: upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)

var t0 = time.Date(2026, 11, 23, 3, 42, 21, 0, time.UTC)

// tape feeds a sink with what a connection did; each call is a millisecond later.
type tape struct {
	sink inspect.Sink
	conn inspect.ConnID
	off  [2][2]int64
	now  time.Time
	cut  int // chunks are at most that long; 0: as they are given
}

func (t *tape) up(data string) *tape   { return t.chunk(inspect.ToServer, data) }
func (t *tape) down(data string) *tape { return t.chunk(inspect.ToClient, data) }

func (t *tape) chunk(d inspect.Dir, data string) *tape {
	t.now = t.now.Add(time.Millisecond)
	for b := []byte(data); len(b) > 0; {
		n := len(b)
		if t.cut > 0 {
			n = min(n, t.cut)
		}
		p := bytes.Clone(b[:n])
		t.sink.Chunk(inspect.Chunk{Conn: t.conn, Dir: d, Time: t.now, Off: t.off[0][d], Data: p})
		clear(p) // what is kept must have been copied
		t.off[0][d] += int64(n)
		b = b[n:]
	}
	return t
}

func (t *tape) gap(d inspect.Dir, n int64) *tape {
	t.sink.Chunk(inspect.Chunk{Conn: t.conn, Dir: d, Time: t.now, Off: t.off[0][d], Gap: n})
	t.off[0][d] += n
	return t
}

func (t *tape) end(l inspect.Leg, d inspect.Dir, how inspect.End) *tape {
	t.now = t.now.Add(time.Millisecond)
	t.sink.End(inspect.Ended{Conn: t.conn, Leg: l, Dir: d, How: how, Time: t.now})
	return t
}

// serverFin is a FIN of the server, mirrored to the client.
func (t *tape) serverFin() *tape {
	return t.end(inspect.ServerLeg, inspect.ToClient, inspect.Fin).end(inspect.ClientLeg, inspect.ToClient, inspect.Fin)
}

func (t *tape) open() *tape { return t.up(upgradeHead).down(switchHead) }

func (t *tape) openDeflate(agreed string) *tape {
	return t.up(strings.TrimSuffix(upgradeHead, "\r\n") + deflateOffer).
		down(strings.TrimSuffix(switchHead, "\r\n") + "Sec-WebSocket-Extensions: " + agreed + "\r\n\r\n")
}

// record makes a cassette of what play does on one connection.
func record(play func(*tape), cut int, limits inspect.Limits) (*Cassette, error) {
	return From(func(s inspect.Sink) error {
		t := &tape{sink: s, conn: 7, now: t0, cut: cut}
		s.Open(inspect.ConnInfo{ID: 7})
		play(t)
		return nil
	}, limits)
}

// told writes lines in a form that fits a table.
func told(c *Cassette) []string {
	var all []string
	for _, l := range c.Lines {
		var b strings.Builder
		fmt.Fprintf(&b, "%d %s %s", l.Session, map[inspect.Dir]string{inspect.ToServer: ">", inspect.ToClient: "<"}[l.From], l.Kind)
		switch l.Kind {
		case Open:
			fmt.Fprintf(&b, " %s %d", l.Upgrade.Path, l.Upgrade.Accept.Status)
		case HTTP:
			fmt.Fprintf(&b, " %s %s %q %d %q", l.Exchange.Method, l.Exchange.Path, l.Exchange.Body, l.Exchange.Answer.Status, l.Exchange.Answer.Body)
		case Close:
			fmt.Fprintf(&b, " %d %q", l.Code, l.Reason)
		case End:
			fmt.Fprintf(&b, " %s", l.How)
		case Raw, Binary:
			fmt.Fprintf(&b, " %x", l.Data)
		default:
			fmt.Fprintf(&b, " %s", l.Data)
		}
		if l.Match == AsJSON {
			b.WriteString(" as-json")
		}
		if l.Frames != nil {
			fmt.Fprintf(&b, " frames=%v", l.Frames)
		}
		if l.Compressed {
			b.WriteString(" compressed")
		}
		if l.Within > 0 {
			fmt.Fprintf(&b, " within=%d", l.Within)
		}
		all = append(all, b.String())
	}
	return all
}

// masked is a client's frame with the key 37 fa 21 3d.
func masked(first byte, payload string) string {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := []byte(payload)
	inspect.Mask(key, 0, b)
	return string([]byte{first, 0x80 | byte(len(b))}) + string(key[:]) + string(b)
}

// deflated compresses messages of one sender, window kept.
func deflated(messages ...string) []string {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 6)
	var all []string
	for _, m := range messages {
		out.Reset()
		_, _ = w.Write([]byte(m))
		_ = w.Flush()
		all = append(all, strings.TrimSuffix(out.String(), "\x00\x00\xff\xff"))
	}
	return all
}

func TestFrom(t *testing.T) {
	const opened = "1 > open /chat?x=1 101"
	zip := deflated(`{"a":"hello hello"}`, `{"a":"hello hello"}`)
	zipUp := deflated("ping me")
	tests := []struct {
		name string
		play func(*tape)
		want []string
	}{
		{"messages of each kind", func(x *tape) {
			x.open().up(masked(0x81, `{"op":1}`)).down("\x81\x02hi\x82\x02\x00\xff").up(masked(0x81, "{\n}")).
				up(masked(0x81, ` 1`)).up(masked(0x82, "\x01\x02")).down("\x81\x00")
		}, []string{opened, `1 > json {"op":1}`, "1 < text hi", "1 < binary 00ff", "1 > text {\n} as-json", "1 > text  1 as-json", "1 > binary 0102", "1 < text "}},
		{"close and ends", func(x *tape) {
			x.open().up(masked(0x88, "\x03\xe8bye")).down("\x88\x00").serverFin().end(inspect.ClientLeg, inspect.ToServer, inspect.Fin)
		}, []string{opened, `1 > close 1000 "bye"`, `1 < close 1005 ""`, "1 < end fin", "1 > end fin"}},
		{"server reset without close", func(x *tape) {
			x.open().down("\x81\x01a").end(inspect.ServerLeg, inspect.ToClient, inspect.Rst).end(inspect.ClientLeg, inspect.ToClient, inspect.Rst)
		}, []string{opened, "1 < text a", "1 < end rst"}},
		{"wsproxy ended it", func(x *tape) {
			x.open().down("\x81\x01a").end(inspect.ClientLeg, inspect.ToServer, inspect.Self).end(inspect.ClientLeg, inspect.ToClient, inspect.Self)
		}, []string{opened, "1 < text a"}},
		{"pings are answered", func(x *tape) {
			x.open().up(masked(0x89, "a")).up(masked(0x89, "b")).down("\x8a\x01b").down("\x8a\x01z").down("\x89\x02hb").up(masked(0x8a, "hb")).up(masked(0x8a, "?"))
		}, []string{opened, "1 > ping a", "1 > ping b", "1 < pong z", "1 < ping hb", "1 > pong ?"}},
		{"fragments with a ping and a message in between", func(x *tape) {
			x.open().down("\x01\x02he").down("\x89\x01p").down("\x00\x00").up(masked(0x81, "so")).down("\x80\x03llo").down("\x81\x01.")
		}, []string{opened, "1 < text hello frames=[2 0 3]", "1 < ping p within=1", "1 > text so within=2", "1 < text ."}},
		{"fragments of the client", func(x *tape) {
			x.open().up(masked(0x01, `{"a"`)).down("\x81\x01x").up(masked(0x89, "p")).up(masked(0x80, `:1}`))
		}, []string{opened, "1 < text x", "1 > ping p", `1 > json {"a":1} frames=[4 3]`}},
		{"compressed with the window kept", func(x *tape) {
			x.openDeflate("permessage-deflate").down("\xc1" + string(rune(len(zip[0]))) + zip[0]).down("\xc1" + string(rune(len(zip[1]))) + zip[1]).
				down("\x81\x05plain").up(masked(0xc1, zipUp[0]))
		}, []string{opened, `1 < json {"a":"hello hello"} compressed`, `1 < json {"a":"hello hello"} compressed`, "1 < text plain", "1 > text ping me compressed"}},
		{"compressed in fragments", func(x *tape) {
			n := len(zip[0])
			x.openDeflate("permessage-deflate").down("\x41\x04" + zip[0][:4] + "\x00\x00" + "\x80" + string(rune(n-4)) + zip[0][4:])
		}, []string{opened, fmt.Sprintf(`1 < json {"a":"hello hello"} frames=%v compressed`, Proportion(19, []int{4, 0, len(zip[0]) - 4}))}},
		{"odd frames of the server", func(x *tape) {
			x.open().down("\x81\x7e\x00\x02hi").down("\xa1\x01a").down("\xc1\x01a").down("\x83\x01a").down("\x8b\x01a").down("\x09\x01a").
				down("\x80\x01a").down("\x88\x01\x03").down("\x81\x81\x00\x00\x00\x00b").down("\x81\x02\xc3\x28").down("\x88\x02\x03\xed").
				down("\x88\x03\x03\xe8\xff").down("\x8a\x7e\x00\x7e" + strings.Repeat("p", 126))
		}, []string{opened, "1 < raw 817e00026869", "1 < raw a10161", "1 < raw c10161", "1 < raw 830161", "1 < raw 8b0161", "1 < raw 090161", "1 < raw 800161",
			"1 < raw 880103", "1 < raw 81810000000062", "1 < raw 8102c328", "1 < raw 880203ed", "1 < raw 880303e8ff", "1 < raw 8a7e007e" + strings.Repeat("70", 126)}},
		{"a message that another one breaks into", func(x *tape) {
			x.open().down("\x01\x01a").down("\x89\x00").down("\x81\x01b").down("\x81\x01c")
		}, []string{opened, "1 < raw 010161", "1 < ping ", "1 < raw 810162", "1 < text c"}},
		{"bad utf-8 across fragments", func(x *tape) {
			x.open().down("\x01\x01\xc3").down("\x89\x00").down("\x80\x01\x28")
		}, []string{opened, "1 < raw 0101c3", "1 < ping ", "1 < raw 800128"}},
		{"odd frames of the client", func(x *tape) {
			x.open().up("\x81\x02hi").up(masked(0xb1, "a")).up(masked(0x88, "\x03"))
		}, []string{opened, "1 > raw 81026869", "1 > raw b18137fa213d56", "1 > raw 888137fa213d34"}},
		{"data after close", func(x *tape) {
			x.open().down("\x88\x02\x03\xe9").down("\x81\x01a").serverFin()
		}, []string{opened, `1 < close 1001 ""`, "1 < text a", "1 < end fin"}},
		{"half a frame before a reset", func(x *tape) {
			x.open().down("\x81\x01a\x01\x01b\x80\x05hal").end(inspect.ClientLeg, inspect.ToClient, inspect.Rst)
		}, []string{opened, "1 < text a", "1 < raw 010162", "1 < raw 800568616c", "1 < end rst"}},
		{"half a header before a fin", func(x *tape) {
			x.open().down("\x81").serverFin()
		}, []string{opened, "1 < raw 81", "1 < end fin"}},
		{"half a ping before a fin", func(x *tape) {
			x.open().down("\x89\x04hb").serverFin()
		}, []string{opened, "1 < raw 89046862", "1 < end fin"}},
		{"a recording that is cut inside a message", func(x *tape) {
			x.open().down("\x81\x01a\x01\x01b\x80\x05hal").up(masked(0x81, "abc")[:6]).end(inspect.ClientLeg, inspect.ToServer, inspect.Cut).end(inspect.ClientLeg, inspect.ToClient, inspect.Cut)
		}, []string{opened, "1 < text a"}},
		{"a recording that is cut between fragments", func(x *tape) {
			x.open().down("\x01\x01b").down("\x89\x00").end(inspect.ClientLeg, inspect.ToServer, inspect.Cut).end(inspect.ClientLeg, inspect.ToClient, inspect.Cut)
		}, []string{opened, "1 < ping "}},
		{"frames right behind the heads", func(x *tape) {
			x.up(upgradeHead + masked(0x81, "early")).down(switchHead + "\x81\x02hi")
		}, []string{opened, "1 > text early", "1 < text hi"}},
		{"exchanges and a session", func(x *tape) {
			x.up("GET / HTTP/1.1\r\nHost: h\r\n\r\n").down("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n").
				up("POST /p HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi").down("HTTP/1.1 204 No Content\r\n\r\n").open().down("\x81\x01a")
		}, []string{`0 > http GET / "" 200 "page"`, `0 > http POST /p "hi" 204 ""`, opened, "1 < text a"}},
		{"refused, then accepted", func(x *tape) {
			x.up(upgradeHead).down("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").open().up(masked(0x81, "x"))
		}, []string{"1 > open /chat?x=1 401", "2 > open /chat?x=1 101", "2 > text x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := record(tt.play, 0, inspect.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, told(c)); diff != "" {
				t.Error(diff)
			}
			if c.Recorded.IsZero() || c.Lines[0].After != 0 {
				t.Errorf("recorded %v, first line after %v", c.Recorded, c.Lines[0].After)
			}
			// How the bytes were cut makes no difference.
			for _, n := range []int{1, 3} {
				c, err := record(tt.play, n, inspect.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, told(c)); diff != "" {
					t.Errorf("in pieces of %d: %s", n, diff)
				}
			}
		})
	}
}

func TestFromKeepsTheAnswer(t *testing.T) {
	c, err := record(func(x *tape) {
		x.up(strings.Replace(upgradeHead, "Sec-WebSocket-V", "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-V", 1)).
			down(strings.Replace(switchHead, "X-b: 2", "X-b: 2\r\nX-B:  3\r\nSec-WebSocket-Protocol: b", 1))
	}, 0, inspect.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	u := c.Sessions()[0].Upgrade
	want := []inspect.HeaderField{{Name: "upgrade", Value: "WebSocket"}, {Name: "X-b", Value: "2"}, {Name: "X-B", Value: "3"},
		{Name: "Sec-WebSocket-Protocol", Value: "b"}, {Name: "CONNECTION", Value: "upgrade"}, {Name: "Sec-WebSocket-Accept"}}
	if diff := cmp.Diff(want, u.Accept.Headers); diff != "" {
		t.Error(diff)
	}
	if u.Accept.Phrase != "Odd Phrase" || u.Subprotocol != "b" || !slices.Equal(u.Subprotocols, []string{"a", "b"}) || u.Headers[1].Name != "origin" {
		t.Errorf("%+v", u)
	}
	// A wrong Accept stays.
	c, err = record(func(x *tape) { x.up(upgradeHead).down(strings.Replace(switchHead, "s3pP", "xxxx", 1)) }, 0, inspect.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if h := c.Sessions()[0].Upgrade.Accept.Headers; h[len(h)-1].Value != "xxxxLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("%+v", h)
	}
}

func TestAfter(t *testing.T) {
	c, err := record(func(x *tape) {
		x.open().up(masked(0x81, "a"))
		x.now = x.now.Add(30 * time.Second)
		x.down("\x81\x01b")
	}, 0, inspect.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Recorded.Equal(t0.Add(2*time.Millisecond)) || c.Lines[1].After != time.Millisecond || c.Lines[2].After != 30*time.Second+time.Millisecond {
		t.Errorf("%v %v %v", c.Recorded, c.Lines[1].After, c.Lines[2].After)
	}
}

func TestFromRefusesHoles(t *testing.T) {
	zip := deflated("some text, some text", "some text, some text")
	tests := []struct {
		name, want string
		limits     inspect.Limits
		play       func(*tape)
	}{
		{"client's bytes", "bytes that the client sent are missing", inspect.Limits{}, func(x *tape) { x.open().gap(inspect.ToServer, 5) }},
		{"server's bytes inside a payload", "bytes that the server sent are missing", inspect.Limits{}, func(x *tape) { x.open().down("\x81\x05he").gap(inspect.ToClient, 3) }},
		{"server's bytes", "bytes that the server sent are missing", inspect.Limits{}, func(x *tape) { x.open().down("\x81\x01a").gap(inspect.ToClient, 100) }},
		{"damaged compressed client message", "cannot be inflated", inspect.Limits{}, func(x *tape) {
			x.openDeflate("permessage-deflate").up(masked(0xc1, "\xff\xff\xff"))
		}},
		{"client's window is not known", "cannot be inflated", inspect.Limits{}, func(x *tape) {
			x.openDeflate("permessage-deflate").up(masked(0xc1, zip[1]))
		}},
		{"long message", "a message of 30 bytes is longer than 20", inspect.Limits{Message: 20, Inflated: 20}, func(x *tape) {
			x.open().down("\x81\x1e" + strings.Repeat("x", 30))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := record(tt.play, 0, tt.limits)
			var s *SessionError
			if !errors.As(err, &s) || s.Session != 1 || s.Path != "/chat?x=1" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// What cannot be served is left out with a warning; the session is made all the
// same.
func TestWarnings(t *testing.T) {
	c, err := record(func(x *tape) {
		x.up("GET /big HTTP/1.1\r\n\r\n").down("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + strings.Repeat("x", 30)).open().down("\x81\x01a")
	}, 0, inspect.Limits{Message: 20})
	if err != nil || len(c.Sessions()) != 1 || len(c.Exchanges()) != 0 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "GET /big is left out") {
		t.Errorf("%v %v", c, err)
	}
	c, err = record(func(x *tape) {
		x.up(upgradeHead).end(inspect.ClientLeg, inspect.ToServer, inspect.Rst)
	}, 0, inspect.Limits{})
	if err != nil || len(c.Sessions()) != 0 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "client RST") {
		t.Errorf("%v %v", c, err)
	}
	c, err = record(func(x *tape) {
		x.up(upgradeHead).down("HTTP/1.1 403 No\r\nContent-Length: 30\r\n\r\nhalf").serverFin().
			end(inspect.ClientLeg, inspect.ToServer, inspect.Fin).end(inspect.ServerLeg, inspect.ToServer, inspect.Fin)
	}, 0, inspect.Limits{})
	if err != nil || len(c.Sessions()) != 0 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "its body is not whole") {
		t.Errorf("%+v %v", c, err)
	}
}

func TestTwoSessionsAtOnce(t *testing.T) {
	c, err := From(func(s inspect.Sink) error {
		a := &tape{sink: s, conn: 1, now: t0}
		b := &tape{sink: s, conn: 2, now: t0}
		s.Open(inspect.ConnInfo{ID: 1})
		s.Open(inspect.ConnInfo{ID: 2})
		a.open()
		b.open()
		a.up(masked(0x81, "a"))
		b.up(masked(0x81, "b"))
		a.down("\x81\x01A")
		return nil
	}, inspect.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"1 > open /chat?x=1 101", "2 > open /chat?x=1 101", "1 > text a", "2 > text b", "1 < text A"}
	if diff := cmp.Diff(want, told(c)); diff != "" {
		t.Error(diff)
	}
	if s := c.Sessions(); len(s) != 2 || len(s[0].Lines) != 2 || len(s[1].Lines) != 1 || s[0].Ends() {
		t.Errorf("%+v", s)
	}
}

func TestFeedsError(t *testing.T) {
	broken := errors.New("broken")
	c, err := From(func(s inspect.Sink) error {
		x := &tape{sink: s, conn: 7, now: t0}
		s.Open(inspect.ConnInfo{ID: 7})
		x.open()
		return broken
	}, inspect.Limits{})
	if !errors.Is(err, broken) || len(c.Sessions()) != 1 {
		t.Errorf("%v %v", c, err)
	}
}

// A Hearing says of the client what From says of it.
func TestHear(t *testing.T) {
	zip := deflated("hello hello", "hello hello")
	offer := strings.TrimSuffix(upgradeHead, "\r\n") + deflateOffer
	answer := strings.TrimSuffix(switchHead, "\r\n") + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	sent := masked(0xc1, zip[0]) + masked(0xc1, zip[1]) + masked(0x89, "p") + masked(0x01, "a") + masked(0x80, "b") + "\x81\x01u" + masked(0x88, "\x03\xe8")
	for _, n := range []int{1, 7, len(sent)} {
		h := Hear([]byte(offer), []byte(answer), inspect.Limits{})
		var got Cassette
		for b := []byte(sent); len(b) > 0; b = b[min(n, len(b)):] {
			lines, err := h.Feed(b[:min(n, len(b))])
			if err != nil {
				t.Fatal(err)
			}
			got.Lines = append(got.Lines, lines...)
		}
		want := []string{"1 > text hello hello compressed", "1 > text hello hello compressed", "1 > ping p", "1 > text ab frames=[1 1]", "1 > raw 810175", `1 > close 1000 ""`}
		if diff := cmp.Diff(want, told(&got)); diff != "" {
			t.Error(diff)
		}
	}
	h := Hear([]byte(offer), []byte(answer), inspect.Limits{})
	if _, err := h.Feed([]byte(masked(0xc1, zip[1]))); err == nil {
		t.Error("a message without its window was read")
	}
}

func TestProportion(t *testing.T) {
	for _, tt := range []struct {
		total   int
		weights []int
		want    []int
	}{
		{10, []int{5, 5}, []int{5, 5}}, {10, []int{1, 0, 1}, []int{5, 0, 5}}, {3, []int{100, 100, 100}, []int{1, 1, 1}},
		{7, []int{0, 0}, []int{0, 7}}, {9, []int{5, 0}, []int{9, 0}}, {0, []int{2, 3}, []int{0, 0}}, {5, []int{9}, []int{5}},
		{1 << 26, []int{1 << 26, 1 << 26}, []int{1 << 25, 1 << 25}},
	} {
		if got := Proportion(tt.total, tt.weights); !slices.Equal(got, tt.want) {
			t.Errorf("%d by %v: %v, want %v", tt.total, tt.weights, got, tt.want)
		}
	}
}
