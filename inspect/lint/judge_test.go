package lint

import (
	"iter"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// opened is a Conn with a session in it.
func opened(t testing.TB, extension string, judges ...inspect.Judge) *inspect.Conn {
	t.Helper()
	c := inspect.NewConn(inspect.ConnInfo{ID: 1}, inspect.Limits{}, judges...)
	for dir, head := range []string{plainRequest, plainResponse} {
		if extension != "" {
			head += "Sec-WebSocket-Extensions: " + extension + "\n"
		}
		head = strings.ReplaceAll(head+"\n", "\n", "\r\n")
		for range c.Feed(inspect.Chunk{Dir: inspect.Dir(dir), Data: []byte(head)}) {
		}
	}
	if c.Handshake() == nil {
		t.Fatal("no session was opened")
	}
	return c
}

// Millions of clean frames must not cost an allocation each.
func TestCleanFrameCostsNothing(t *testing.T) {
	clean := []inspect.Event{
		&inspect.Frame{Dir: inspect.ToServer, Header: inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: 5})},
		&inspect.Message{Dir: inspect.ToServer, Opcode: inspect.OpText, Data: []byte("Hello"), Size: 5},
		&inspect.Frame{Dir: inspect.ToClient, Header: inspect.NewHeader(inspect.Fields{Fin: true, Rsv1: true, Opcode: inspect.OpBinary, Length: 70000})},
		&inspect.Frame{Dir: inspect.ToClient, Header: inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpPing, Length: 125})},
		&inspect.Message{Dir: inspect.ToClient, Opcode: inspect.OpClose, Data: []byte("\x03\xe8bye"), Size: 5},
	}
	c := opened(t, "permessage-deflate")
	judges := All()
	n := testing.AllocsPerRun(100, func() {
		for _, e := range clean {
			for _, j := range judges {
				if found := j.Judge(e, c); found != nil {
					t.Fatalf("%v is found in a clean event", found)
				}
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for clean events", n)
	}
}

// Judges are asked about every event; what is not theirs must not hurt them.
func TestOtherEvents(t *testing.T) {
	c := inspect.NewConn(inspect.ConnInfo{}, inspect.Limits{})
	for _, e := range []inspect.Event{
		&inspect.Opened{}, &inspect.Opened{Handshake: &inspect.Handshake{Request: &inspect.Head{}}},
		&inspect.Refused{}, &inspect.Exchange{}, &inspect.Finding{}, &inspect.Altered{}, &inspect.Closed{},
		&inspect.Message{Opcode: inspect.OpClose}, &inspect.Message{Opcode: inspect.OpClose, Size: 1, Cut: true},
	} {
		for _, j := range All() {
			if found := j.Judge(e, c); found != nil {
				t.Errorf("%T: %v", e, found)
			}
		}
	}
}

// Before a handshake is known, as in the middle of a capture, nothing was agreed.
func TestNoHandshake(t *testing.T) {
	c := inspect.NewConn(inspect.ConnInfo{}, inspect.Limits{})
	f := &inspect.Frame{Dir: inspect.ToClient, Header: inspect.NewHeader(inspect.Fields{Fin: true, Rsv1: true, Opcode: inspect.OpText, Length: 1})}
	got := written(judge(framing).Judge(f, c))
	want := "error reserved-bit, RFC 6455 5.2, handshake, to-server: RSV1 is set, and no extension was agreed that gives it a meaning"
	if len(got) != 1 || got[0] != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A text longer than what is kept is judged to its end, and the byte that is
// not kept is not shown.
func TestInvalidUTF8BehindTheLimit(t *testing.T) {
	c := inspect.NewConn(inspect.ConnInfo{ID: 1}, inspect.Limits{Message: 8}, All()...)
	var got []string
	feed := func(dir inspect.Dir, data string) {
		for e := range c.Feed(inspect.Chunk{Dir: dir, Data: []byte(data)}) {
			if f, ok := e.(*inspect.Finding); ok {
				got = append(got, line(*f))
			}
		}
	}
	feed(inspect.ToServer, strings.ReplaceAll(plainRequest+"\n", "\n", "\r\n"))
	feed(inspect.ToClient, strings.ReplaceAll(plainResponse+"\n", "\n", "\r\n"))
	feed(inspect.ToClient, "\x81\x0c0123456789\xffz")
	want := "error invalid-utf8, RFC 6455 8.1, frame 1, to-client: byte 11 of the text message is not UTF-8"
	if len(got) != 1 || got[0] != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A peer's header cannot make a finding long.
func TestLongNamesAreCut(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, h := range []string{"Sec-WebSocket-Protocol: " + long, "Sec-WebSocket-Extensions: " + long} {
		f := fixture{pieces: []piece{
			{inspect.ToServer, []byte(strings.ReplaceAll(plainRequest+"Sec-WebSocket-Protocol: "+strings.Repeat("ab,", 2000)+"c\nSec-WebSocket-Extensions: y\n\n", "\n", "\r\n"))},
			{inspect.ToClient, []byte(strings.ReplaceAll(plainResponse+h+"\n\n", "\n", "\r\n"))},
		}}
		found := talk(f.pieces)
		if len(found) != 1 || len(found[0].Detail) > 300 || !strings.Contains(found[0].Detail, "…") {
			t.Errorf("%.40s…: found %q", h, written(found))
		}
	}
}

func BenchmarkJudges(b *testing.B) {
	c := opened(b, "permessage-deflate")
	f := &inspect.Frame{Dir: inspect.ToServer, Header: inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: 5})}
	m := &inspect.Message{Dir: inspect.ToServer, Opcode: inspect.OpText, Data: []byte("Hello"), Size: 5}
	judges := All()
	b.ReportAllocs()
	for b.Loop() {
		for _, j := range judges {
			if j.Judge(f, c) != nil || j.Judge(m, c) != nil {
				b.Fatal("a clean frame was found at fault")
			}
		}
	}
}

// Behind a hole nobody can say whether a continuation is an orphan.
func TestNoOrphanBehindAHole(t *testing.T) {
	c := inspect.NewConn(inspect.ConnInfo{ID: 1}, inspect.Limits{}, All()...)
	var ids []string
	run := func(events iter.Seq[inspect.Event]) {
		for e := range events {
			if f, ok := e.(*inspect.Finding); ok {
				ids = append(ids, f.ID)
			}
		}
	}
	off := [2]int64{}
	feed := func(d inspect.Dir, b string, gap int64, boundary int) {
		run(c.Feed(inspect.Chunk{Conn: 1, Dir: d, Off: off[d], Data: []byte(b), Gap: gap, Boundary: boundary}))
		off[d] += int64(len(b)) + gap
	}
	feed(inspect.ToServer, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 0, 0)
	feed(inspect.ToClient, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", 0, 0)
	feed(inspect.ToClient, "", 100, 0)
	feed(inspect.ToClient, "\x00\x01a\x80\x01b", 0, 1) // the rest of a message that began in the hole
	if len(ids) != 0 {
		t.Fatalf("findings behind the hole: %v", ids)
	}
	feed(inspect.ToClient, "\x80\x01c", 0, 0)
	if len(ids) != 1 || ids[0] != "orphan-continuation" {
		t.Fatalf("the orphan behind a whole message: %v", ids)
	}
}
