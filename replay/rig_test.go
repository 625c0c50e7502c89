package replay

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for what must happen.
const patience = 10 * time.Second

const (
	up   = inspect.ToServer
	down = inspect.ToClient
)

func text(d inspect.Dir, s string) cassette.Line {
	return cassette.Line{Kind: cassette.Text, From: d, Data: []byte(s)}
}

func js(d inspect.Dir, s string) cassette.Line {
	return cassette.Line{Kind: cassette.JSON, From: d, Data: []byte(s)}
}

func line(k cassette.Kind, d inspect.Dir, s string) cassette.Line {
	return cassette.Line{Kind: k, From: d, Data: []byte(s)}
}

func closing(d inspect.Dir, code inspect.CloseCode, reason string) cassette.Line {
	return cassette.Line{Kind: cassette.Close, From: d, Code: code, Reason: reason}
}

func end(d inspect.Dir, how inspect.End) cassette.Line {
	return cassette.Line{Kind: cassette.End, From: d, How: how}
}

func compressed(l cassette.Line) cassette.Line { l.Compressed = true; return l }

func within(n int, l cassette.Line) cassette.Line { l.Within = n; return l }

func fragments(l cassette.Line, n ...int) cassette.Line { l.Frames = n; return l }

// tape is a cassette of one session for each upgrade, numbered in order.
type tape struct{ cassette.Cassette }

func (t *tape) session(u cassette.Upgrade, lines ...cassette.Line) *tape {
	n := len(t.Sessions()) + 1
	if u.Accept.Status == 0 {
		u.Accept.Status = 101
	}
	t.Lines = append(t.Lines, cassette.Line{Kind: cassette.Open, Session: n, Upgrade: &u})
	for _, l := range lines {
		l.Session = n
		t.Lines = append(t.Lines, l)
	}
	return t
}

func (t *tape) http(method, path, body string, a cassette.Answer) *tape {
	t.Lines = append(t.Lines, cassette.Line{Kind: cassette.HTTP, Exchange: &cassette.Exchange{Method: method, Path: path, Body: []byte(body), Answer: a}})
	return t
}

func chat(lines ...cassette.Line) *tape {
	return new(tape).session(cassette.Upgrade{Path: "/chat"}, lines...)
}

// rig is a Replayer with its listener.
type rig struct {
	t       *testing.T
	addr    string
	server  *Replayer
	results chan Result
	missed  chan string
}

func serve(t *testing.T, c *tape, change func(*Options)) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, addr: l.Addr().String(), results: make(chan Result, 100), missed: make(chan string, 100)}
	o := Options{Ended: func(res Result) { r.results <- res }, Missed: func(why string) { r.missed <- why }}
	if change != nil {
		change(&o)
	}
	r.server = New(&c.Cassette, o)
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(l) }()
	t.Cleanup(func() {
		if err := r.server.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-served:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
	})
	return r
}

// result waits for the next session's.
func (r *rig) result() Result {
	r.t.Helper()
	select {
	case res := <-r.results:
		return res
	case <-time.After(patience):
		r.t.Fatal("no session has ended")
	}
	return Result{}
}

// held waits for a result that is as recorded.
func (r *rig) held() Result {
	r.t.Helper()
	res := r.result()
	if !res.Held() {
		r.t.Errorf("%s\n%s", res, res.Report())
	}
	return res
}

// peer is a client that a test writes byte by byte.
type peer struct {
	t *testing.T
	*net.TCPConn
	r *bufio.Reader
}

func (r *rig) dial() *peer {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = c.Close() })
	return &peer{r.t, c.(*net.TCPConn), bufio.NewReader(c)}
}

const sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// upgrade is a request with the key of RFC 6455 section 1.3.
func upgrade(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// join upgrades and answers the head of the 101.
func (p *peer) join(path string, headers ...string) string {
	p.t.Helper()
	p.send(upgrade(path, headers...))
	h := p.readHead()
	if !strings.HasPrefix(h, "HTTP/1.1 101 ") {
		p.t.Fatalf("the answer is %q", h)
	}
	return h
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) readHead() string {
	p.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n\r\n") {
		c, err := p.r.ReadByte()
		if err != nil {
			p.t.Fatalf("%v behind %q", err, b.String())
		}
		b.WriteByte(c)
	}
	return b.String()
}

// want reads exactly these bytes.
func (p *peer) want(s string) {
	p.t.Helper()
	b := make([]byte, len(s))
	n, err := io.ReadFull(p.r, b)
	if string(b[:n]) != s {
		p.t.Fatalf("got %x (%v), want %x", b[:n], err, s)
	}
}

// wantFin reads the end of the server's side.
func (p *peer) wantFin() {
	p.t.Helper()
	if b, err := io.ReadAll(p.r); err != nil || len(b) > 0 {
		p.t.Fatalf("got %x and %v, not a FIN", b, err)
	}
}

// quiet makes sure that the server says nothing of its own accord: the first ping
// is answered when it has taken what was sent before, the second one behind all
// that this led to.
func (p *peer) quiet() {
	p.t.Helper()
	for range 2 {
		p.send(masked(0x89, "quiet?"))
		p.want("\x8a\x06quiet?")
	}
}

// masked is a client's frame.
func masked(first byte, payload string) string {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	h := inspect.NewHeader(inspect.Fields{Masked: true, Key: key, Length: uint64(len(payload))})
	b := h.Append(nil)
	b[0] = first
	p := []byte(payload)
	inspect.Mask(key, 0, p)
	return string(append(b, p...))
}

// wantMismatch reads what a client gets that does not do what was recorded.
func (p *peer) wantMismatch() {
	p.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil || head[0] != 0x88 || string(head[2:]) != "\x03\xf3" {
		p.t.Fatalf("got %x (%v), want a Close of 1011", head, err)
	}
	reason := make([]byte, int(head[1])-2)
	if _, err := io.ReadFull(p.r, reason); err != nil || !strings.HasPrefix(string(reason), "replay: ") || !utf8.Valid(reason) {
		p.t.Fatalf("the reason is %q (%v)", reason, err)
	}
}

// inflated reads a compressed message off wire bytes that are its frames.
func inflated(t *testing.T, f *inspect.Inflater, frames ...[]byte) string {
	t.Helper()
	var b bytes.Buffer
	for _, x := range frames {
		h, _ := inspect.ParseHeader(x)
		b.Write(x[h.Len():])
	}
	data, _, err := f.Message(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
