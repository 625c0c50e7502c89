package inspect

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	reqHead = "GET /chat?x=1 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	respHead = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// script feeds a Conn and writes down what it says, a line an event.
type script struct {
	c     *Conn
	off   [2][2]int64
	now   time.Time
	lines []string
	by    [2][]string // frames, messages and findings by direction
}

func newScript(limits Limits, judges ...Judge) *script {
	return &script{c: NewConn(ConnInfo{ID: 7, Mode: "reverse"}, limits, judges...), now: t0}
}

func (s *script) send(d Dir, data string) *script { return s.leg(ClientLeg, d, data) }

func (s *script) leg(l Leg, d Dir, data string) *script {
	s.now = s.now.Add(time.Millisecond)
	ch := Chunk{Conn: 7, Leg: l, Dir: d, Time: s.now, Off: s.off[l][d], Data: []byte(data)}
	s.off[l][d] += int64(len(data))
	for e := range s.c.Feed(ch) {
		s.take(e)
	}
	clear(ch.Data) // what is kept must have been copied
	return s
}

func (s *script) gap(d Dir, n int64) *script {
	for e := range s.c.Feed(Chunk{Conn: 7, Dir: d, Time: s.now, Off: s.off[0][d], Gap: n}) {
		s.take(e)
	}
	s.off[0][d] += n
	return s
}

func (s *script) end(l Leg, d Dir, how End) *script {
	s.now = s.now.Add(time.Millisecond)
	for e := range s.c.Close(Ended{Conn: 7, Leg: l, Dir: d, How: how, Time: s.now}) {
		s.take(e)
	}
	return s
}

func (s *script) open() *script { return s.send(ToServer, reqHead).send(ToClient, respHead) }

func (s *script) finish() *script {
	for _, l := range []Leg{ClientLeg, ServerLeg} {
		for _, d := range []Dir{ToServer, ToClient} {
			s.end(l, d, Fin)
		}
	}
	return s
}

func (s *script) take(e Event) {
	line, dir := describe(e)
	s.lines = append(s.lines, line)
	if dir >= 0 {
		s.by[dir] = append(s.by[dir], line)
	}
}

func describe(e Event) (string, int) {
	arrow := func(d Dir) string { return map[Dir]string{ToServer: ">", ToClient: "<"}[d] }
	switch e := e.(type) {
	case *Opened:
		return fmt.Sprintf("opened %s", e.Handshake.Path()), -1
	case *Refused:
		return fmt.Sprintf("refused %s %q", e.Reason, e.Body), -1
	case *Exchange:
		line := fmt.Sprintf("exchange %d", e.N)
		if e.Request != nil {
			line += fmt.Sprintf(" %s %s %q", e.Request.Method, e.Request.Target, e.Up.Data)
		}
		if e.Response != nil {
			line += fmt.Sprintf(" %d %q", e.Response.Status, e.Down.Data)
		}
		if e.Error != "" {
			line += " error"
		}
		return line, -1
	case *Frame:
		line := fmt.Sprintf("frame %s %s off=%d len=%d", arrow(e.Dir), e.Header.Opcode(), e.Off, e.Header.Length())
		if e.Missing > 0 {
			line += fmt.Sprintf(" missing=%d", e.Missing)
		}
		return line, int(e.Dir)
	case *Message:
		line := fmt.Sprintf("message %s %s %q size=%d wire=%d", arrow(e.Dir), e.Opcode, e.Data, e.Size, e.Wire)
		for _, f := range []struct {
			on   bool
			name string
		}{{e.Compressed, "compressed"}, {e.Cut, "cut"}, {e.Undecodable, "undecodable"}} {
			if f.on {
				line += " " + f.name
			}
		}
		if e.InvalidUTF8 > 0 {
			line += fmt.Sprintf(" utf8@%d", e.InvalidUTF8)
		}
		return line, int(e.Dir)
	case *Finding:
		return fmt.Sprintf("finding %s", e.ID), int(e.Dir)
	case *Closed:
		return fmt.Sprintf("closed [%s] %s", e.Word, e.Text), -1
	}
	return fmt.Sprintf("%T", e), -1
}

func (s *script) want(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(s.lines, lines) {
		t.Errorf("events:\n\t%s\nwant:\n\t%s", strings.Join(s.lines, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func frame(f Fields, payload string) string {
	f.Length = uint64(len(payload))
	b := []byte(payload)
	if f.Masked {
		Mask(f.Key, 0, b)
	}
	h := NewHeader(f)
	return string(h.Raw()) + string(b)
}

func TestConnSession(t *testing.T) {
	s := newScript(Limits{}).open()
	s.send(ToServer, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58") // RFC 6455 section 5.7
	s.send(ToClient, "\x81\x05Hello")
	s.send(ToServer, "\x89\x80\x01\x02\x03\x04").send(ToClient, "\x8a\x00")
	s.send(ToServer, frame(Fields{Fin: true, Opcode: OpClose, Masked: true}, "\x03\xe8bye"))
	s.send(ToClient, "\x88\x02\x03\xe8")
	s.end(ServerLeg, ToClient, Fin).end(ClientLeg, ToClient, Fin).end(ClientLeg, ToServer, Fin).end(ServerLeg, ToServer, Fin)
	s.want(t, "opened /chat?x=1",
		`frame > text off=148 len=5`, `message > text "Hello" size=5 wire=5`,
		`frame < text off=129 len=5`, `message < text "Hello" size=5 wire=5`,
		`frame > ping off=159 len=0`, `message > ping "" size=0 wire=0`,
		`frame < pong off=136 len=0`, `message < pong "" size=0 wire=0`,
		`frame > close off=165 len=5`, `message > close "\x03\xe8bye" size=5 wire=5`,
		`frame < close off=138 len=2`, `message < close "\x03\xe8" size=2 wire=2`,
		`closed [1000] 1000 by client "bye", answered by server; then server FIN, client FIN; 1 message up, 1 down, 10 ms`)
}

func TestConnFragmentsAndControlBetween(t *testing.T) {
	s := newScript(Limits{}).open()
	s.send(ToClient, "\x01\x03Hel\x89\x01p\x80\x02lo")
	s.want(t, "opened /chat?x=1",
		`frame < text off=129 len=3`,
		`frame < ping off=134 len=1`, `message < ping "p" size=1 wire=1`,
		`frame < cont off=137 len=2`, `message < text "Hello" size=5 wire=5`)
}

func TestConnEndings(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(*script)
		want string
	}{
		{"server reset", func(s *script) {
			s.end(ServerLeg, ToClient, Rst).end(ClientLeg, ToClient, Rst).end(ServerLeg, ToServer, Rst).end(ClientLeg, ToServer, Rst)
		}, "closed [1006 server rst] 1006, no Close frame; then server RST; 0 messages up, 0 down, 2 ms"},
		{"client fin", func(s *script) {
			s.end(ClientLeg, ToServer, Fin).end(ServerLeg, ToServer, Fin).end(ServerLeg, ToClient, Fin).end(ClientLeg, ToClient, Fin)
		}, "closed [1006 client fin] 1006, no Close frame; then client FIN, server FIN; 0 messages up, 0 down, 4 ms"},
		{"server close_notify, its FIN told behind the client's", func(s *script) {
			s.end(ClientLeg, ToClient, Fin).end(ClientLeg, ToServer, Fin).end(ServerLeg, ToServer, Fin).end(ServerLeg, ToClient, Fin)
		}, "closed [1006 server fin] 1006, no Close frame; then server FIN, client FIN; 0 messages up, 0 down, 4 ms"},
		{"server close_notify and no FIN", func(s *script) {
			s.end(ClientLeg, ToClient, Fin).end(ClientLeg, ToServer, Fin).end(ServerLeg, ToServer, Fin).end(ServerLeg, ToClient, CloseNotify)
		}, "closed [1006 server close_notify] 1006, no Close frame; then server close_notify, client FIN; 0 messages up, 0 down, 4 ms"},
		{"client close_notify, its FIN told behind the server's", func(s *script) {
			s.end(ServerLeg, ToServer, Fin).end(ServerLeg, ToClient, Fin).end(ClientLeg, ToServer, Fin).end(ClientLeg, ToClient, Fin)
		}, "closed [1006 client fin] 1006, no Close frame; then client FIN, server FIN; 0 messages up, 0 down, 4 ms"},
		{"client fin, then reset", func(s *script) {
			s.end(ClientLeg, ToServer, Fin).end(ServerLeg, ToServer, Fin).end(ClientLeg, ToServer, Rst).end(ServerLeg, ToServer, Rst)
		}, "closed [1006 client fin] 1006, no Close frame; then client FIN, client RST; 0 messages up, 0 down, 4 ms"},
		{"wsproxy", func(s *script) {
			s.end(ClientLeg, ToServer, Self).end(ServerLeg, ToServer, Self).end(ServerLeg, ToClient, Self).end(ClientLeg, ToClient, Self)
		}, "closed [1006 wsproxy] 1006, no Close frame; then wsproxy ended it; 0 messages up, 0 down, 4 ms"},
		{"cut", func(s *script) {
			s.end(ClientLeg, ToServer, Cut).end(ClientLeg, ToClient, Cut).end(ServerLeg, ToServer, Cut).end(ServerLeg, ToClient, Cut)
		}, "closed [unfinished] 1006, no Close frame; then the recording ends here; 0 messages up, 0 down, 4 ms"},
		{"unanswered close and ping", func(s *script) {
			s.send(ToClient, "\x89\x01x\x88\x04\x03\xf3up").end(ServerLeg, ToClient, Fin).end(ClientLeg, ToClient, Fin)
			s.end(ClientLeg, ToServer, Rst).end(ServerLeg, ToServer, Rst)
		}, `closed [1011] 1011 by server "up", not answered by client; then server FIN, client RST; 0 messages up, 0 down, 5 ms; 1 ping by server not answered`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(Limits{}).open().leg(ServerLeg, ToServer, reqHead).leg(ServerLeg, ToClient, respHead)
			s.now = s.c.opened.Time
			tc.do(s)
			if got := s.lines[len(s.lines)-1]; got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if !s.c.Over() {
				t.Error("the connection is not over")
			}
		})
	}
}

// A bridge is an end of the WebSocket: its Close is wsproxy's.
func TestConnBridgeCloses(t *testing.T) {
	for mode, want := range map[string]string{
		ModeToTCP:   `1003 by wsproxy "no", answered by client; then client FIN`,
		ModeFromTCP: `1003 by server "no", answered by wsproxy; then `,
	} {
		s := newScript(Limits{}).open()
		s.c.info.Mode = mode
		s.send(ToClient, "\x88\x04\x03\xebno").send(ToServer, "\x88\x84\x00\x00\x00\x00\x03\xebno")
		s.end(ClientLeg, ToServer, Fin).end(ClientLeg, ToClient, Fin)
		if got := s.lines[len(s.lines)-1]; !strings.Contains(got, want) {
			t.Errorf("%s: %s", mode, got)
		}
	}
}

func TestConnImportedSessionHasOneLeg(t *testing.T) {
	s := newScript(Limits{}).open().end(ClientLeg, ToClient, Fin).end(ClientLeg, ToServer, Fin)
	if got := s.lines[1]; !strings.HasPrefix(got, "closed [1006 server fin] 1006, no Close frame; then server FIN, client FIN;") {
		t.Error(got)
	}
}

func TestConnCutFrame(t *testing.T) {
	s := newScript(Limits{}).open()
	s.send(ToServer, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00abc").finish()
	if want := "frame > binary off=148 len=9223372036854775807 missing=9223372036854775804"; s.lines[1] != want {
		t.Errorf("got %s, want %s", s.lines[1], want)
	}
	if want := `message > binary "abc" size=3 wire=3 cut`; s.lines[2] != want {
		t.Errorf("got %s, want %s", s.lines[2], want)
	}
}

func TestConnExchangesThenUpgrade(t *testing.T) {
	s := newScript(Limits{})
	for i := range 10 {
		s.send(ToServer, fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", i))
		s.send(ToClient, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n")
	}
	s.open().send(ToClient, "\x81\x00")
	if want := `exchange 10 POST /9 "hi" 200 "yes"`; s.lines[9] != want {
		t.Errorf("got %s, want %s", s.lines[9], want)
	}
	if want := `message < text "" size=0 wire=0`; s.lines[len(s.lines)-1] != want {
		t.Errorf("got %s, want %s", s.lines[len(s.lines)-1], want)
	}
}

func TestConnPipelinedRequests(t *testing.T) {
	s := newScript(Limits{})
	s.send(ToServer, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n")
	s.send(ToClient, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
	s.want(t, `exchange 1 HEAD /a "" 200 ""`, `exchange 2 GET /b "" 200 "b"`)
}

func TestConnRefusedThenSecondRequest(t *testing.T) {
	s := newScript(Limits{})
	s.send(ToServer, reqHead+"GET /next HTTP/1.1\r\nHost: h\r\n\r\n") // behind the upgrade: held, then a request
	s.send(ToClient, "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nstop")
	s.send(ToClient, "HTTP/1.1 204 OK\r\n\r\n")
	s.send(ToServer, reqHead).send(ToClient, respHead).send(ToClient, "\x89\x00")
	s.want(t, `refused 403 No "stop"`, `exchange 2 GET /next "" 204 ""`, "opened /chat?x=1",
		`frame < ping off=190 len=0`, `message < ping "" size=0 wire=0`)
	if s.c.Session() != 8 {
		t.Errorf("the second upgrade is session %v, want 8", s.c.Session())
	}
}

func TestConnHeldFramesAreJudgedAfterTheAnswer(t *testing.T) {
	s := newScript(Limits{}, judgeAll{})
	s.send(ToServer, reqHead+"\x81\x01x")
	if len(s.lines) != 0 {
		t.Fatalf("said before the answer: %q", s.lines)
	}
	s.send(ToClient, respHead+"\x81\x01y")
	s.want(t, "opened /chat?x=1", "finding *inspect.Opened",
		`frame > text off=148 len=1`, `message > text "x" size=1 wire=1`, "finding *inspect.Frame", "finding *inspect.Message",
		`frame < text off=129 len=1`, `message < text "y" size=1 wire=1`, "finding *inspect.Frame", "finding *inspect.Message")
}

// judgeAll finds something in everything.
type judgeAll struct{}

func (judgeAll) Judge(e Event, _ *Conn) []Finding { return []Finding{{ID: fmt.Sprintf("%T", e)}} }

func TestConnNoAnswer(t *testing.T) {
	s := newScript(Limits{}).send(ToServer, reqHead).finish()
	s.want(t, `refused no answer: client FIN, server FIN ""`)
	s = newScript(Limits{}).send(ToServer, "\x16\x03\x01 garbage\r\n\r\n").finish()
	s.want(t, "exchange 1 error")
	s = newScript(Limits{}).send(ToServer, "GET / HT").finish()
	s.want(t, "exchange 1 error")
	s = newScript(Limits{}).send(ToServer, "GET /eof HTTP/1.0\r\n\r\n").send(ToClient, "HTTP/1.0 200 OK\r\n\r\nuntil close").finish()
	s.want(t, `exchange 1 GET /eof "" 200 "until close"`)
}

func TestConnSentHead(t *testing.T) {
	s := newScript(Limits{}).send(ToServer, reqHead)
	s.leg(ServerLeg, ToServer, strings.Replace(reqHead, "Host: h", "Host: target", 1)).leg(ServerLeg, ToClient, respHead)
	s.send(ToClient, respHead)
	h := s.c.Handshake()
	if h == nil || h.Sent == nil || h.Sent.Get("Host") != "target" || h.Request.Get("Host") != "h" {
		t.Errorf("handshake: %+v", h)
	}
}

// deflated makes messages with context takeover (RFC 7692 section 7.2.1).
type deflated struct {
	buf bytes.Buffer
	w   *flate.Writer
}

func (d *deflated) message(s string) string {
	if d.w == nil {
		d.w, _ = flate.NewWriter(&d.buf, 6)
	}
	d.buf.Reset()
	d.w.Write([]byte(s))
	d.w.Flush()
	return string(bytes.TrimSuffix(d.buf.Bytes(), []byte("\x00\x00\xff\xff")))
}

func (s *script) openDeflate() *script {
	const offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	return s.send(ToServer, strings.TrimSuffix(reqHead, "\r\n")+offer).send(ToClient, strings.TrimSuffix(respHead, "\r\n")+offer)
}

func TestConnDeflate(t *testing.T) {
	var d deflated
	const text = `{"op":"subscribe","channel":"ticker"}`
	s := newScript(Limits{}).openDeflate()
	first, second := d.message(text), d.message(text)
	if len(second) >= len(first)/2 {
		t.Fatalf("the second message does not use the window: %d bytes after %d", len(second), len(first))
	}
	s.send(ToClient, frame(Fields{Fin: true, Rsv1: true, Opcode: OpText}, first))
	s.send(ToClient, frame(Fields{Fin: true, Opcode: OpText}, "plain"))
	s.send(ToClient, frame(Fields{Rsv1: true, Opcode: OpText}, second[:2])+frame(Fields{Fin: true, Opcode: OpContinuation}, second[2:]))
	var got []string
	for _, l := range s.lines {
		if strings.HasPrefix(l, "message") {
			got = append(got, l)
		}
	}
	want := []string{
		fmt.Sprintf("message < text %q size=%d wire=%d compressed", text, len(text), len(first)),
		`message < text "plain" size=5 wire=5`,
		fmt.Sprintf("message < text %q size=%d wire=%d compressed", text, len(text), len(second)),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestConnCapsInflatedSize(t *testing.T) {
	var d deflated
	bomb, after := d.message(strings.Repeat("A", 1<<20)), d.message("after AAAA")
	s := newScript(Limits{Inflated: 4096, Message: 4096}).openDeflate()
	s.send(ToClient, frame(Fields{Fin: true, Rsv1: true, Opcode: OpText}, bomb)+frame(Fields{Fin: true, Rsv1: true, Opcode: OpText}, after))
	if l := s.lines[2]; !strings.Contains(l, "size=1048576") || !strings.HasSuffix(l, "compressed cut") || len(l) > 5000 {
		t.Errorf("bomb: %.60q … %q", l, l[len(l)-40:])
	}
	if want := fmt.Sprintf(`message < text "after AAAA" size=10 wire=%d compressed`, len(after)); s.lines[4] != want {
		t.Errorf("got %s, want %s", s.lines[4], want)
	}
}

func TestConnUndecodableAfterHole(t *testing.T) {
	var d deflated
	one, two, three := d.message("the first message"), d.message("the second message"), d.message("the third message")
	s := newScript(Limits{}).openDeflate()
	zip := Fields{Fin: true, Rsv1: true, Opcode: OpText}
	s.send(ToClient, frame(zip, one)).gap(ToClient, int64(len(frame(zip, two))))
	s.send(ToClient, frame(zip, three)) // not at a named boundary: unreadable
	if n := len(s.lines); n != 3 {
		t.Fatalf("read on behind a hole: %q", s.lines)
	}
	ch := Chunk{Conn: 7, Dir: ToClient, Time: s.now, Off: s.off[0][ToClient], Data: []byte(frame(zip, three)), Boundary: 1}
	for e := range s.c.Feed(ch) {
		s.take(e)
	}
	if want := fmt.Sprintf(`message < text "" size=0 wire=%d compressed undecodable`, len(three)); s.lines[4] != want {
		t.Errorf("got %s, want %s", s.lines[4], want)
	}
}

// What goes on behind a hole is no message of its own: where compression was
// agreed nobody knows whether it is compressed.
func TestConnFragmentsBehindAHole(t *testing.T) {
	rest := "\x00\x04rest" + "\x80\x03end" + "\x81\x01n"
	for _, c := range []struct {
		open *script
		want string
	}{
		{newScript(Limits{}).open(), `message < cont "restend" size=7 wire=7 cut`},
		{newScript(Limits{}).openDeflate(), `message < cont "" size=0 wire=7 compressed cut undecodable`},
	} {
		s := c.open
		s.send(ToClient, "\x01\x03abc").gap(ToClient, 100)
		ch := Chunk{Conn: 7, Dir: ToClient, Time: s.now, Off: s.off[0][ToClient], Data: []byte(rest), Boundary: 1}
		for e := range s.c.Feed(ch) {
			s.take(e)
		}
		if n := len(s.lines); n < 7 || s.lines[n-3] != c.want || !strings.HasPrefix(s.lines[n-1], `message < text "n"`) {
			t.Errorf("%q\nwant %s", s.lines, c.want)
		}
	}
}

// A control frame with a hole in it, which no legal one is long enough for.
func TestConnGapInsideAPing(t *testing.T) {
	s := newScript(Limits{}).open()
	s.send(ToClient, "\x89\x0aabc").gap(ToClient, 4).send(ToClient, "xyz")
	s.want(t, "opened /chat?x=1", `frame < ping off=129 len=10 missing=4`, `message < ping "abc" size=10 wire=10 cut`)
}

func TestConnGapInsidePayload(t *testing.T) {
	s := newScript(Limits{}).open()
	s.send(ToClient, "\x81\x0aabc").gap(ToClient, 4).send(ToClient, "xyz\x81\x01n")
	s.want(t, "opened /chat?x=1", `frame < text off=129 len=10 missing=4`, `message < text "abc" size=10 wire=10 cut`,
		`frame < text off=141 len=1`, `message < text "n" size=1 wire=1`)
}

func TestConnInvalidUTF8(t *testing.T) {
	s := newScript(Limits{Message: 8}).open()
	s.send(ToClient, "\x01\x02a\xc3\x80\x02\xa9b") // é across fragments: valid
	s.send(ToClient, "\x81\x0cabcdefghij\xff!")    // beyond what is kept: still judged
	s.send(ToClient, "\x81\x02a\xc3")              // ends inside a character
	s.send(ToClient, "\x88\x05\x03\xe8ab\xff")     // a close reason
	var got []string
	for _, l := range s.lines {
		if strings.HasPrefix(l, "message") {
			got = append(got, l[strings.Index(l, "size="):])
		}
	}
	if want := []string{"size=4 wire=4", "size=12 wire=12 cut utf8@11", "size=2 wire=2 utf8@2", "size=5 wire=5 utf8@5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestConnAnyCut shows that how a stream is cut makes no difference.
func TestConnAnyCut(t *testing.T) {
	up, down := sampleStreams()
	whole := cutUp(up, down, len(up), len(down))
	if len(whole[0]) < 5 || len(whole[1]) < 5 {
		t.Fatalf("the sample says too little: %q", whole)
	}
	for n := 1; n < 40; n++ {
		if got := cutUp(up, down, n, n); !slices.Equal(got[0], whole[0]) || !slices.Equal(got[1], whole[1]) {
			t.Fatalf("cut into %d bytes:\n%q\nwhole:\n%q", n, got, whole)
		}
	}
}

func sampleStreams() (up, down string) {
	var du, dd deflated
	zip := Fields{Fin: true, Rsv1: true, Opcode: OpText, Masked: true, Key: [4]byte{1, 2, 3, 4}}
	up = frame(zip, du.message("hello hello hello")) +
		frame(Fields{Opcode: OpBinary, Masked: true, Key: [4]byte{9, 8, 7, 6}}, "abc") +
		frame(Fields{Fin: true, Opcode: OpPing, Masked: true}, "mid") +
		frame(Fields{Fin: true, Opcode: OpText}, "unmasked, inside another") +
		frame(Fields{Fin: true, Opcode: OpContinuation, Form: 64}, "orphan") +
		frame(Fields{Fin: true, Opcode: 0xb, Rsv3: true}, "reserved") +
		frame(Fields{Fin: true, Opcode: OpClose, Masked: true}, "\x03")
	zip.Masked = false
	down = frame(zip, dd.message("hello hello hello")) + frame(zip, dd.message("")) + frame(zip, dd.message("hello again")) +
		frame(zip, "\xff\xff damaged") + frame(Fields{Fin: true, Opcode: OpText}, "bad \xff text") +
		frame(Fields{Fin: true, Opcode: OpClose}, "\x03\xe8\xff") + "\x82\x7e\x01"
	return up, down
}

func cutUp(up, down string, nu, nd int) [2][]string {
	s := newScript(Limits{}, judgeAll{}).openDeflate()
	for len(up) > 0 {
		n := min(nu, len(up))
		s.send(ToServer, up[:n])
		up = up[n:]
	}
	for len(down) > 0 {
		n := min(nd, len(down))
		s.send(ToClient, down[:n])
		down = down[n:]
	}
	s.finish()
	return s.by
}

// FuzzConn feeds arbitrary bytes behind a handshake and shows that the events
// of each direction do not depend on the cuts, and that frames account for
// every byte.
func FuzzConn(f *testing.F) {
	up, down := sampleStreams()
	f.Add([]byte(up), []byte(down), uint64(1))
	f.Add([]byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff0123"), []byte("\xc1\x01\x00\xc1\x00"), uint64(2))
	f.Fuzz(func(t *testing.T, up, down []byte, seed uint64) {
		if len(up)+len(down) > 1<<16 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		whole := cutUp(string(up), string(down), len(up), len(down))
		cut := cutUp(string(up), string(down), 1+r.IntN(20), 1+r.IntN(20))
		for d := range whole {
			if !slices.Equal(whole[d], cut[d]) {
				t.Fatalf("direction %d: whole\n%q\ncut\n%q", d, whole[d], cut[d])
			}
		}
	})
}

// FuzzConnHTTP feeds arbitrary bytes from the first byte on.
func FuzzConnHTTP(f *testing.F) {
	f.Add([]byte(reqHead), []byte(respHead+"\x81\x00"), uint64(1))
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
		[]byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 x\r\n\r\n"), uint64(2))
	f.Fuzz(func(t *testing.T, up, down []byte, seed uint64) {
		if len(up)+len(down) > 1<<16 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		whole, cut := newScript(Limits{}), newScript(Limits{})
		whole.send(ToServer, string(up)).send(ToClient, string(down)).finish()
		for rest := string(up); rest != ""; {
			n := min(len(rest), 1+r.IntN(20))
			cut.send(ToServer, rest[:n])
			rest = rest[n:]
		}
		for rest := string(down); rest != ""; {
			n := min(len(rest), 1+r.IntN(20))
			cut.send(ToClient, rest[:n])
			rest = rest[n:]
		}
		cut.finish()
		strip := func(lines []string) []string { // durations differ with the cuts
			out := slices.Clone(lines)
			for i, l := range out {
				if strings.HasPrefix(l, "closed") {
					out[i] = l[:strings.LastIndex(l, ",")]
				}
			}
			return out
		}
		if !slices.Equal(strip(whole.lines), strip(cut.lines)) {
			t.Fatalf("whole\n%q\ncut\n%q", whole.lines, cut.lines)
		}
	})
}
