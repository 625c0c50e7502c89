package replay

import (
	"bytes"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

const fuzzedAnswer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + sampleAccept + "\r\n"

// recordedBytes is the cassette of a session with these bytes, cut into pieces.
func recordedBytes(t *testing.T, client, server []byte, extensions string, piece int) (*cassette.Cassette, error) {
	t.Helper()
	offer, agreed := "", "\r\n"
	if extensions != "" {
		offer, agreed = "Sec-WebSocket-Extensions: "+extensions, "Sec-WebSocket-Extensions: "+extensions+"\r\n\r\n"
	}
	return cassette.From(func(s inspect.Sink) error {
		var off [2]int64
		say := func(d inspect.Dir, b []byte) {
			for len(b) > 0 {
				n := min(piece, len(b))
				s.Chunk(inspect.Chunk{Conn: 1, Dir: d, Off: off[d], Data: b[:n], Time: time.Unix(off[0]+off[1], 0)})
				off[d] += int64(n)
				b = b[n:]
			}
		}
		s.Open(inspect.ConnInfo{ID: 1})
		if offer == "" {
			say(up, []byte(upgrade("/chat")))
		} else {
			say(up, []byte(upgrade("/chat", offer)))
		}
		say(down, []byte(fuzzedAnswer+agreed))
		say(up, client)
		say(down, server)
		s.End(inspect.Ended{Conn: 1, Dir: down, How: inspect.Fin})
		s.End(inspect.Ended{Conn: 1, Dir: up, How: inspect.Fin})
		return nil
	}, inspect.Limits{})
}

// FuzzServerBytes: whatever bytes a server sent without compression, legal or
// not, its replay sends the same ones.
func FuzzServerBytes(f *testing.F) {
	for _, s := range []string{
		"\x81\x02hi\x82\x00\x88\x02\x03\xe8", "\x01\x02he\x89\x01p\x00\x00\x8a\x00\x80\x03llo", "\x01\x01a\x81\x01b\x80\x01c",
		"\x81\x7e\x00\x02hi", "\xf3\x01x", "\x81\x81\x00\x00\x00\x00b", "\x81\x02\xc3\x28", "\x01\x01\xc3\x89\x00\x80\x01\x28", "\x88\x01\x03\x81\x01z",
		"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff12", "\x09\x01a\x8b\x00", "\x88\x02\x03\xed", "\x81", "\x01\x01a\x88\x00\x80\x03b",
	} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, server []byte, piece uint8) {
		c, err := recordedBytes(t, nil, server, "", int(piece)+1)
		if err != nil {
			t.Fatal(err)
		}
		p := newPlayer(nil, c.Sessions()[0], agreement{}, nil)
		if got := replayed(t, p); !bytes.Equal(got, server) {
			t.Fatalf("the server sent %x, its replay %x", server, got)
		}
	})
}

// replayed is what speak writes if every step is due at once.
func replayed(t *testing.T, p *player) []byte {
	var out []byte
	var pending [][]byte
	told := 0
	flush := func(within int) {
		for len(pending) > 0 && (within == 0 || told < within) {
			out, pending, told = append(out, pending[0]...), pending[1:], told+1
		}
	}
	for _, s := range p.steps {
		flush(s.within)
		if s.line == nil || s.line.Kind == cassette.End {
			continue
		}
		frames, err := p.encoder.frames(s.line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, frames[0]...)
		if len(frames) > 1 {
			pending, told = frames[1:], 1
		}
	}
	flush(0)
	return out
}

// FuzzClientBytes: a client that sends what it sent before is always found to
// hold, however its bytes arrive, compressed or not, and one that leaves a
// message out is not.
func FuzzClientBytes(f *testing.F) {
	zip, err := newDeflater(15)
	if err != nil {
		f.Fatal(err)
	}
	a, _ := zip.message([]byte(`{"a":1}`))
	first := masked(0xc1, string(a))
	b, _ := zip.message([]byte(`{"a":1}`))
	for _, s := range []string{
		first + masked(0xc1, string(b)), masked(0x81, `{"a":1}`) + masked(0x89, "p") + masked(0x88, "\x03\xe8"), "\x81\x02hi", masked(0x01, "a") + masked(0x8a, "") + masked(0x80, "b"),
		masked(0xb1, "a"), masked(0x83, "a"), masked(0x81, "\xc3"), masked(0x09, "a"), masked(0x88, "\x03"), masked(0x01, "a") + masked(0x81, "b"),
	} {
		f.Add([]byte(s), uint8(1), true)
		f.Add([]byte(s), uint8(200), false)
	}
	f.Fuzz(func(t *testing.T, client []byte, piece uint8, deflate bool) {
		extensions, answer, request := "", fuzzedAnswer+"\r\n", upgrade("/chat")
		if deflate {
			extensions = "permessage-deflate"
			answer, request = fuzzedAnswer+"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", upgrade("/chat", "Sec-WebSocket-Extensions: permessage-deflate")
		}
		c, err := recordedBytes(t, client, nil, extensions, len(client)+1)
		if err != nil {
			return // a message that cannot be inflated
		}
		p := newPlayer(nil, c.Sessions()[0], agreement{}, cassette.Hear([]byte(request), []byte(answer), inspect.Limits{}))
		for b := client; len(b) > 0; b = b[min(int(piece)+1, len(b)):] {
			if err := p.hear(b[:min(int(piece)+1, len(b))]); err != nil {
				t.Fatalf("%v: %+v", err, p.failed)
			}
		}
		if !p.await.over() {
			t.Fatalf("%d of %d messages came: %v", p.await.came, len(p.await.want), p.await.want)
		}
		if len(p.await.want) > 0 && p.await.want[0].Kind != cassette.Raw {
			q := newPlayer(nil, c.Sessions()[0], agreement{}, cassette.Hear([]byte(request), []byte(answer), inspect.Limits{}))
			if err := q.hear([]byte(masked(0x82, "never said before"))); err == nil {
				t.Fatal("another message passed")
			}
		}
	})
}
