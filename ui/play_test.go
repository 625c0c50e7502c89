package ui

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/lint"
	"github.com/wsproxy/wsproxy/record"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// play is a recording being written as if peers were talking, a millisecond from
// one thing to the next.
type play struct {
	t     testing.TB
	w     *record.Writer
	path  string
	now   time.Time
	conns inspect.ConnID
}

func newPlay(t testing.TB) *play {
	t.Helper()
	path := filepath.Join(t.TempDir(), "play.pcapng")
	w, err := record.Create(record.Options{Path: path, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &play{t: t, w: w, path: path, now: t0}
}

func (p *play) tick(d time.Duration) time.Time {
	p.now = p.now.Add(d)
	return p.now
}

// close ends the recording, so that it can be read to its end.
func (p *play) close() {
	p.t.Helper()
	if err := p.w.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// store opens the recording; live says that it still grows.
func (p *play) store(live bool) *record.Store {
	p.t.Helper()
	var ticks <-chan struct{}
	if live {
		ticks = p.w.Watch()
	}
	s, err := record.OpenStore(context.Background(), p.path, ticks, lint.All()...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { s.Close() })
	if !live {
		await(p.t, "the recording to be read", func() bool { return s.Progress().Done })
	}
	return s
}

// conn is one connection of a play.
type conn struct {
	p    *play
	id   inspect.ConnID
	off  [2][2]int64 // by leg and direction
	zips [2]*flate.Writer
	out  [2]bytes.Buffer
}

func (p *play) connect() *conn {
	p.conns++
	c := &conn{p: p, id: p.conns}
	p.w.Open(inspect.ConnInfo{ID: c.id, Mode: "reverse", Target: "ws://localhost:3000", Time: p.tick(time.Millisecond),
		Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: fmt.Sprintf("127.0.0.1:%d", 40000+c.id)}})
	p.w.Note(inspect.NewNote(c.id, inspect.ServerLeg, inspect.ToServer, p.now, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg, Leg: inspect.ServerLeg,
		ConnInfo: inspect.ConnInfo{ID: c.id}, Server: &inspect.Endpoints{Local: fmt.Sprintf("[::1]:%d", 50000+c.id), Remote: "[::1]:3000"}}))
	p.w.Note(inspect.NewNote(c.id, inspect.ServerLeg, inspect.ToServer, p.now, inspect.NotePeer,
		inspect.PeerNote{Kind: inspect.NotePeer, Addr: "[::1]:3000", Dial: 420 * time.Microsecond}))
	return c
}

// say sends bytes, on both legs.
func (c *conn) say(d inspect.Dir, b string) { c.sayOn(d, b, b) }

// sayOn sends bytes which arrive as others.
func (c *conn) sayOn(d inspect.Dir, client, server string) {
	at := c.p.tick(time.Millisecond)
	first, second := inspect.ClientLeg, inspect.ServerLeg
	if d == inspect.ToClient {
		first, second = second, first
	}
	for _, l := range []inspect.Leg{first, second} {
		b := client
		if l == inspect.ServerLeg {
			b = server
		}
		c.p.w.Chunk(inspect.Chunk{Conn: c.id, Leg: l, Dir: d, Time: at, Off: c.off[l][d], Data: []byte(b)})
		c.off[l][d] += int64(len(b))
	}
}

const (
	testKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	testAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// open sends an upgrade request and a 101, with more header lines in each.
func (c *conn) open(path, asks, answers string) *conn {
	request := func(host string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + testKey +
			"\r\nSec-WebSocket-Version: 13\r\n" + asks + "\r\n"
	}
	c.sayOn(inspect.ToServer, request("127.0.0.1:8080"), request("localhost:3000"))
	c.say(inspect.ToClient, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+testAccept+"\r\n"+answers+"\r\n")
	return c
}

var testMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frame sends a frame; what comes from the client is masked.
func (c *conn) frame(d inspect.Dir, op inspect.Opcode, payload string, change ...func(*inspect.Fields)) {
	f := inspect.Fields{Fin: true, Opcode: op, Length: uint64(len(payload)), Masked: d == inspect.ToServer, Key: testMask}
	for _, ch := range change {
		ch(&f)
	}
	b := inspect.NewHeader(f).Append(nil)
	n := len(b)
	b = append(b, payload...)
	if f.Masked {
		inspect.Mask(f.Key, 0, b[n:])
	}
	c.say(d, string(b))
}

func (c *conn) up(text string)   { c.frame(inspect.ToServer, inspect.OpText, text) }
func (c *conn) down(text string) { c.frame(inspect.ToClient, inspect.OpText, text) }

// zipped sends a compressed message (RFC 7692 section 7.2.1).
func (c *conn) zipped(d inspect.Dir, text string) {
	if c.zips[d] == nil {
		c.zips[d], _ = flate.NewWriter(&c.out[d], 6)
	}
	c.out[d].Reset()
	if _, err := c.zips[d].Write([]byte(text)); err != nil {
		c.p.t.Fatal(err)
	}
	if err := c.zips[d].Flush(); err != nil {
		c.p.t.Fatal(err)
	}
	b := bytes.TrimSuffix(c.out[d].Bytes(), []byte{0, 0, 0xff, 0xff})
	c.frame(d, inspect.OpText, string(b), func(f *inspect.Fields) { f.Rsv1 = true })
}

// end ends a connection, in both directions of both legs.
func (c *conn) end(first inspect.Dir, how inspect.End) {
	for _, d := range []inspect.Dir{first, first.Other()} {
		legs := []inspect.Leg{inspect.ClientLeg, inspect.ServerLeg}
		if d == inspect.ToClient {
			legs[0], legs[1] = legs[1], legs[0]
		}
		at := c.p.tick(time.Millisecond)
		for _, l := range legs {
			c.p.w.End(inspect.Ended{Conn: c.id, Leg: l, Dir: d, How: how, Time: at, Off: c.off[l][d]})
		}
		if how == inspect.Rst {
			return
		}
	}
}

// everyday is a recording with a little of everything.
func everyday(t testing.TB) *play {
	p := newPlay(t)
	h := p.connect()
	h.say(inspect.ToServer, "GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
	h.say(inspect.ToClient, "HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: 12\r\n\r\nconsole.log()"[:12+len("HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: 12\r\n\r\n")])
	h.end(inspect.ToServer, inspect.Fin)

	a := p.connect().open("/graphql", "Sec-WebSocket-Protocol: graphql-transport-ws, graphql-ws\r\nSec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://localhost:5173\r\n",
		"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
	a.up(`{"type":"connection_init"}`)
	a.down(`{"type":"connection_ack"}`)
	a.zipped(inspect.ToServer, `{"id":"7f3a","type":"subscribe","payload":{"query":"subscription { ticks { at price } }","variables":{"limit":12345678901234567890}}}`)
	a.frame(inspect.ToClient, inspect.OpText, `{"id":"7f3a",`, func(f *inspect.Fields) { f.Fin = false })
	a.frame(inspect.ToClient, inspect.OpPing, "hb")
	a.frame(inspect.ToClient, inspect.OpContinuation, `"type":"next","payload":{"data":{"ticks":[1,2.50,true,null]}}}`)
	a.frame(inspect.ToServer, inspect.OpPong, "hb")
	a.frame(inspect.ToClient, inspect.OpBinary, "\x00\x01\x02\xffPNG\x1b[2J")
	a.down("Grüße, 日本語 👩‍👩‍👧 and \x1b]0;title\a \u202ertl")
	a.frame(inspect.ToServer, inspect.OpClose, "\x03\xed")
	a.frame(inspect.ToClient, inspect.OpClose, "\x03\xe8bye")
	a.end(inspect.ToClient, inspect.Fin)

	r := p.connect()
	r.say(inspect.ToServer, "GET /admin HTTP/1.1\r\nHost: localhost:3000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "+testKey+"\r\nSec-WebSocket-Version: 13\r\n\r\n")
	r.say(inspect.ToClient, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{\"error\":\"not logged in\"}")
	r.end(inspect.ToServer, inspect.Fin)

	b := p.connect().open("/chat?room=7", "", "")
	b.up("hello")
	b.down("\xff\xfe not text")
	b.end(inspect.ToClient, inspect.Rst)

	live := p.connect().open("/hmr", "Sec-WebSocket-Protocol: vite-hmr\r\n", "Sec-WebSocket-Protocol: vite-hmr\r\n")
	live.down(`{"type":"connected"}`)
	return p
}

// await waits until something is so.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		if is() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}
