package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy/h2"
)

// told is a tap whose events are kept, and what package heard keeps.
type told struct {
	heard
	inspector inspect.Inspector

	keep      sync.Mutex
	opened    []inspect.ConnInfo
	peers     []inspect.PeerNote
	heads     [][2]*inspect.HTTP2Note
	closed    []string
	words     []string
	exchanges []*inspect.Exchange
	refused   []string
}

func newTold() *told {
	h := &told{}
	h.inspector.Emit = func(c *inspect.Conn, e inspect.Event) {
		h.keep.Lock()
		defer h.keep.Unlock()
		switch e := e.(type) {
		case *inspect.Opened:
			h.opened, h.peers, h.heads = append(h.opened, e.Conn), append(h.peers, *c.Peer()), append(h.heads, c.HTTP2())
		case *inspect.Closed:
			h.closed, h.words = append(h.closed, e.Text), append(h.words, e.Word)
		case *inspect.Refused:
			h.refused = append(h.refused, e.Reason)
		case *inspect.Exchange:
			x := *e
			x.Down.Data, x.Up.Data = bytes.Clone(x.Down.Data), bytes.Clone(x.Up.Data)
			h.exchanges, h.heads = append(h.exchanges, &x), append(h.heads, c.HTTP2())
		}
	}
	return h
}

func (h *told) Open(i inspect.ConnInfo) { h.heard.Open(i); h.inspector.Open(i) }
func (h *told) Chunk(c inspect.Chunk)   { h.heard.Chunk(c); h.inspector.Chunk(c) }
func (h *told) Note(n inspect.Note)     { h.heard.Note(n); h.inspector.Note(n) }
func (h *told) End(e inspect.Ended)     { h.heard.End(e); h.inspector.End(e) }

func (h *told) look(f func()) {
	h.keep.Lock()
	defer h.keep.Unlock()
	f()
}

// combo is which version each side speaks.
type combo struct{ client, server bool } // HTTP/2

func (c combo) String() string {
	v := map[bool]string{false: "h1", true: "h2"}
	return v[c.client] + " to " + v[c.server]
}

var combos = []combo{{false, false}, {true, true}, {true, false}, {false, true}}

// h2Rig is a proxy with TLS on both sides, and a server that hands out its
// connections, or streams.
type h2Rig struct {
	*rig
	combo
	told *told
	ca   *authority
	said *lines
	tls  *tls.Config     // the server's
	door func() net.Conn // a client's connection, without TLS yet
	name string          // that clients look for

	arrived chan net.Conn // connections of HTTP/1.1, or streams
	opt     h2.Options    // the server's
	running sync.WaitGroup

	mu     sync.Mutex
	trunks []*h2.Conn // the server's
	tcp    []net.Conn
	secure []*tls.Conn
}

func newH2Rig(t *testing.T, c combo, opt h2.Options, change func(*Config)) *h2Rig {
	t.Helper()
	r := &h2Rig{combo: c, told: newTold(), arrived: make(chan net.Conn, 1000), opt: opt, name: "localhost"}
	d := newDoorRig(t, true, func(config *Config) {
		config.Tap = r.told
		if c.server && !c.client {
			config.HTTP = HTTP2
		}
		if change != nil {
			change(config)
		}
	})
	r.rig, r.ca, r.said, r.tls = d.rig, d.ca, d.said, d.server
	r.door = func() net.Conn { return r.dial() }
	r.serve()
	return r
}

// newH2Tunnel is a forward proxy whose clients come by CONNECT.
func newH2Tunnel(t *testing.T, c combo, opt h2.Options, change func(*Config)) *h2Rig {
	t.Helper()
	r := &h2Rig{combo: c, told: newTold(), arrived: make(chan net.Conn, 1000), opt: opt, name: "server.example"}
	s := newSecureRig(t, func(config *Config) {
		config.Tap = r.told
		if change != nil {
			change(config)
		}
	})
	r.rig, r.ca, r.said, r.tls = s.rig, s.ca, s.said, s.config
	r.door = func() net.Conn { return r.enterTunnel() }
	r.serve()
	return r
}

func (r *h2Rig) enterTunnel() net.Conn { return r.rig.enter(ways[1]) }

// serve takes the proxy's connections until the test ends.
func (r *h2Rig) serve() {
	c, t := r.combo, r.t
	protos := []string{"http/1.1"}
	if c.server {
		protos = []string{"h2", "http/1.1"}
	}
	r.tls.NextProtos = protos
	r.running.Go(func() {
		for {
			nc, err := r.upstream.Accept()
			if err != nil {
				return
			}
			r.running.Go(func() { r.welcome(nc) })
		}
	})
	t.Cleanup(func() {
		_ = r.upstream.Close()
		r.mu.Lock()
		for _, c := range r.tcp {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
}

// welcome takes a connection of the proxy's.
func (r *h2Rig) welcome(nc net.Conn) {
	c := tls.Server(nc, r.tls)
	_ = c.SetDeadline(time.Now().Add(patience))
	r.mu.Lock()
	r.tcp, r.secure = append(r.tcp, nc), append(r.secure, c)
	r.mu.Unlock()
	if c.Handshake() != nil {
		_ = nc.Close()
		return
	}
	if c.ConnectionState().NegotiatedProtocol != "h2" {
		r.arrived <- c
		return
	}
	_ = c.SetDeadline(time.Time{})
	s := h2.NewServer(c, r.opt, func(st *h2.Stream) {
		_ = st.SetDeadline(time.Now().Add(patience))
		r.arrived <- st
	})
	r.mu.Lock()
	r.trunks = append(r.trunks, s)
	r.mu.Unlock()
	_ = s.Run()
}

func (r *h2Rig) config(protos ...string) *tls.Config {
	return &tls.Config{ServerName: r.name, RootCAs: r.ca.pool(), NextProtos: protos}
}

// h2Client is a client's connection that speaks HTTP/2.
func (r *h2Rig) h2Client() (*h2.Conn, *tls.Conn) {
	r.t.Helper()
	c := tls.Client(r.door(), r.config("h2"))
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return r.speak(c), c
}

func (r *h2Rig) speak(c *tls.Conn) *h2.Conn {
	client := h2.NewClient(c, h2.Options{})
	r.running.Go(func() { _ = client.Run() })
	r.t.Cleanup(client.Close)
	return client
}

func (r *h2Rig) stream(c *h2.Conn) *h2.Stream {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := c.Open(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = st.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = st.Close() })
	return st
}

// enter is a new client.
func (r *h2Rig) enter() net.Conn {
	r.t.Helper()
	if r.combo.client {
		c, _ := r.h2Client()
		return r.stream(c)
	}
	return tls.Client(r.door(), r.config("http/1.1"))
}

func (r *h2Rig) next() net.Conn {
	r.t.Helper()
	select {
	case c := <-r.arrived:
		r.t.Cleanup(func() { _ = c.Close() })
		return c
	case <-time.After(patience):
		r.t.Fatal("nobody came")
		return nil
	}
}

// head reads a head and nothing behind it.
func (r *h2Rig) head(c net.Conn) string {
	r.t.Helper()
	var b []byte
	for one := make([]byte, 1); !bytes.HasSuffix(b, []byte("\r\n\r\n")); b = append(b, one[0]) {
		if _, err := io.ReadFull(c, one); err != nil {
			r.t.Fatalf("%v behind %q", err, b)
		}
	}
	return string(b)
}

// upgraded opens a session on a client's connection.
func (r *h2Rig) upgraded(client net.Conn) (server net.Conn) {
	r.t.Helper()
	r.send(client, upgradeHead)
	server = r.next()
	r.accepted(client, server)
	return server
}

func (r *h2Rig) accepted(client, server net.Conn) {
	r.t.Helper()
	h, err := inspect.ParseRequest([]byte(r.head(server)))
	if err != nil || !h.IsUpgrade() || h.Target != "/chat" || len(h.Values("x-twice")) != 2 {
		r.t.Fatalf("the server got %q, %v", h.Raw, err)
	}
	r.send(server, strings.Replace(switchHead, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", inspect.AcceptKey(h.Get("Sec-WebSocket-Key")), 1))
	a, err := inspect.ParseResponse([]byte(r.head(client)))
	if err != nil || a.Status != 101 || a.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		r.t.Fatalf("the client got %q, %v", a.Raw, err)
	}
}

// TestHTTP2Frames: frames pass between both versions as they came, and are told as
// they passed.
func TestHTTP2Frames(t *testing.T) {
	for _, c := range combos {
		t.Run(c.String(), func(t *testing.T) {
			r := newH2Rig(t, c, h2.Options{}, nil)
			client := r.enter()
			server := r.upgraded(client)
			want := ""
			for name, f := range wireFrames {
				if name == "2^63-1 claimed" {
					continue // nothing follows it
				}
				want += f
				for _, way := range []struct{ from, to net.Conn }{{client, server}, {server, client}} {
					cut := len(f) / 2
					r.send(way.from, f[:cut])
					r.expect(way.to, f[:cut])
					r.send(way.from, f[cut:])
					r.expect(way.to, f[cut:])
				}
			}
			for l := range r.told.bytes {
				for d := range r.told.bytes[l] {
					await(t, "all is told", func() bool { return r.told.size(inspect.Leg(l), inspect.Dir(d)) > len(want) })
					r.told.heard.mu.Lock()
					got := r.told.bytes[l][d]
					if !bytes.HasSuffix(got, []byte("\r\n\r\n"+want)) {
						t.Errorf("leg %d, direction %d: %d bytes were told", l, d, len(got))
					}
					r.told.heard.mu.Unlock()
				}
			}
			r.told.look(func() { r.facts(r.told.opened[0], r.told.peers[0], r.told.heads[0]) })
			_ = client.Close()
			_ = server.Close()
		})
	}
}

// facts checks what is told of the legs.
func (r *h2Rig) facts(info inspect.ConnInfo, peer inspect.PeerNote, heads [2]*inspect.HTTP2Note) {
	alpn := map[bool]string{false: "http/1.1", true: "h2"}
	if info.ClientTLS.ALPN != alpn[r.combo.client] || peer.TLS.ALPN != alpn[r.combo.server] || peer.HTTP2 != r.combo.server {
		r.t.Errorf("client %+v, server %+v", info.ClientTLS, peer)
	}
	if is := info.HTTP2 != nil; is != r.combo.client || is && (info.HTTP2.Conn == 0 || info.HTTP2.Stream != 1 || !strings.HasSuffix(info.Client.Remote, " stream 1")) {
		r.t.Errorf("client leg %+v", info)
	}
	for l, want := range []string{
		"{:method CONNECT} {:protocol websocket} {:scheme https} {:authority 127.0.0.1} {:path /chat} {x-twice 1} {x-twice 2} {sec-websocket-version 13}",
		"{:status 200}"} {
		switch note := heads[l]; {
		case ![]bool{r.combo.client, r.combo.server}[l]:
			if note != nil {
				r.t.Errorf("leg %d: %+v", l, note)
			}
		case note == nil || strings.Trim(fmt.Sprint(note.Fields), "[]") != want || note.Stream != 1:
			r.t.Errorf("leg %d: %+v", l, note)
		}
	}
}

// ending is one side's doing, and what the other is to see and the autopsy to say.
type ending struct {
	name   string
	do     func(r *h2Rig, c net.Conn)
	reset  bool
	h1, h2 string // in the autopsy, behind the side's name
}

var endings = []ending{
	{"half-close", func(r *h2Rig, c net.Conn) {
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			r.t.Fatal(err)
		}
		if tc, ok := c.(*tls.Conn); ok {
			_ = tc.NetConn().(*net.TCPConn).CloseWrite()
		}
	}, false, "FIN", "END_STREAM"},
	{"reset", func(r *h2Rig, c net.Conn) {
		if st, ok := c.(*h2.Stream); ok {
			_ = st.Reset()
			return
		}
		reset(c.(*tls.Conn).NetConn())
	}, true, "RST", "RST_STREAM CANCEL"},
}

// TestHTTP2Endings: each ending of each side is mirrored in the other's version, and
// told in words.
func TestHTTP2Endings(t *testing.T) {
	for _, c := range combos {
		for _, e := range endings {
			for _, byServer := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v, %s, by the server %v", c, e.name, byServer), func(t *testing.T) {
					r := newH2Rig(t, c, h2.Options{}, nil)
					client := r.enter()
					server := r.upgraded(client)
					from, to, who, h2side := client, server, "client", c.client
					if byServer {
						from, to, who, h2side = server, client, "server", c.server
					}
					f := wireFrames["masked"]
					r.send(from, f)
					r.expect(to, f)
					e.do(r, from)
					r.met(to, e.reset)
					if !e.reset { // the other direction goes on
						r.send(to, f)
						r.expect(from, f)
						e.do(r, to)
						r.met(from, false)
					}
					r.settled()
					want := who + " " + map[bool]string{false: e.h1, true: e.h2}[h2side]
					r.told.look(func() {
						if len(r.told.closed) != 1 || !strings.Contains(r.told.closed[0], want) {
							t.Errorf("the autopsy says %q, not %q", r.told.closed, want)
						}
					})
				})
			}
		}
	}
}

// met waits for a peer's end.
func (r *h2Rig) met(c net.Conn, reset bool) {
	r.t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || reset && !errors.Is(err, syscall.ECONNRESET) || !reset && err != io.EOF {
		r.t.Fatalf("read %d, %v; reset wanted: %v", n, err, reset)
	}
}

// settled waits until the session has been told whole.
func (r *h2Rig) settled() {
	r.t.Helper()
	await(r.t, "the session is over", func() bool {
		n := 0
		r.told.look(func() { n = len(r.told.closed) })
		return n > 0
	})
}

// TestHTTP2Codes: between two streams the code of RST_STREAM is passed on.
func TestHTTP2Codes(t *testing.T) {
	for _, code := range []http2.ErrCode{http2.ErrCodeCancel, http2.ErrCodeEnhanceYourCalm, http2.ErrCodeInternal, http2.ErrCodeNo} {
		r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
		client := r.enter()
		server := r.upgraded(client)
		_ = server.(*h2.Stream).ResetWith(code)
		var reset *h2.ResetError
		if _, err := io.ReadAll(client); !errors.As(err, &reset) || reset.Code != code {
			t.Errorf("%v became %v", code, err)
		}
		r.settled()
		r.told.look(func() {
			if !strings.Contains(r.told.closed[0], "; then server RST_STREAM "+code.String()) {
				t.Errorf("%q", r.told.closed)
			}
		})
	}
}

// TestHTTP2Many: many sessions on one client's connection share one to the server,
// and say so; nobody else does.
func TestHTTP2Many(t *testing.T) {
	const sessions = 60
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	one, _ := r.h2Client()
	other, _ := r.h2Client()
	type pair struct{ client, server net.Conn }
	var pairs []pair
	for i := range sessions {
		c := one
		if i%10 == 0 {
			c = other
		}
		client := r.stream(c)
		pairs = append(pairs, pair{client, r.upgraded(client)})
	}
	for i, p := range pairs {
		text := fmt.Sprintf("\x81\x05%05d", i)
		r.send(p.client, text)
		r.expect(p.server, text)
	}
	for i, p := range pairs {
		text := fmt.Sprintf("\x82\x05%05d", i)
		r.send(p.server, text)
		r.expect(p.client, text)
	}
	r.mu.Lock()
	if len(r.trunks) != 2 {
		t.Errorf("%d connections to the server", len(r.trunks))
	}
	r.mu.Unlock()
	r.told.look(func() {
		conns := map[inspect.ConnID]int{}
		shared := 0
		for i, info := range r.told.opened {
			conns[info.HTTP2.Conn]++
			if r.told.peers[i].Shared {
				shared++
			}
		}
		if len(conns) != 2 || shared != sessions-2 {
			t.Errorf("streams by connection: %v; %d share one to the server", conns, shared)
		}
	})
	for _, p := range pairs {
		_ = p.client.(*h2.Stream).Reset()
		r.met(p.server, true)
	}
}

// TestHTTP2Stalled: a stream that nobody reads stops its sender, and holds no other
// stream of the same connections up, either way.
func TestHTTP2Stalled(t *testing.T) {
	for _, c := range []combo{{true, true}, {true, false}} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, down %v", c, down), func(t *testing.T) {
				r := newH2Rig(t, c, h2.Options{}, nil)
				conn, _ := r.h2Client()
				stalled := r.stream(conn)
				from, to := net.Conn(stalled), r.upgraded(stalled)
				if down {
					from, to = to, from
				}
				piece := bytes.Repeat([]byte("x"), 64<<10)
				head := "\x82\x7f\x00\x00\x00\x00\x40\x00\x00\x00" // a GiB is to come
				r.send(from, head)
				sent := 0
				for { // until the windows and the buffers of sockets between are full
					_ = from.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
					n, err := from.Write(piece)
					if sent += n; err != nil {
						break
					}
					if sent > 256<<20 {
						t.Fatal("nothing stops the sender")
					}
				}
				client := r.stream(conn)
				server := r.upgraded(client)
				big := "\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00" + strings.Repeat("y", 1<<20)
				for range 4 {
					go func() { _, _ = io.WriteString(client, big) }()
					r.expect(server, big)
					go func() { _, _ = io.WriteString(server, big) }()
					r.expect(client, big)
				}
				_ = to.SetReadDeadline(time.Now().Add(patience))
				r.expect(to, head+strings.Repeat("x", min(sent, 256<<10))) // it was only waiting
			})
		}
	}
}

// TestHTTP2GoAway: a server that takes no more streams keeps those it has, and gets
// the next ones on another connection.
func TestHTTP2GoAway(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	conn, _ := r.h2Client()
	first := r.stream(conn)
	server := r.upgraded(first)
	r.mu.Lock()
	r.trunks[0].Shutdown()
	r.mu.Unlock()
	f := wireFrames["masked"]
	r.send(server, f) // behind the GOAWAY
	r.expect(first, f)
	second := r.stream(conn)
	r.upgraded(second)
	r.mu.Lock()
	n := len(r.trunks)
	r.mu.Unlock()
	if n != 2 {
		t.Errorf("%d connections to the server", n)
	}
	r.send(first, f)
	r.expect(server, f)
	_ = first.CloseWrite()
	r.met(server, false)
}

// TestHTTP2RefusedByGoAway: a client may try again what the server says it has not looked
// at, and is told so.
func TestHTTP2RefusedByGoAway(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	shared, _ := r.h2Client()
	st := r.stream(shared)
	r.send(st, upgradeHead)
	r.head(r.next())
	r.mu.Lock()
	r.send(r.secure[0], "\x00\x00\x08\x07\x00\x00\x00\x00\x00"+"\x00\x00\x00\x00"+"\x00\x00\x00\x00") // the last stream is 0
	r.mu.Unlock()
	var reset *h2.ResetError
	if _, err := io.ReadAll(st); !errors.As(err, &reset) || reset.Code != http2.ErrCodeRefusedStream {
		t.Errorf("%v", err)
	}
	again := r.stream(shared)
	r.upgraded(again)
}

// TestHTTP2Cut: the end of a whole HTTP/2 connection is the end of each stream on it,
// and is told as that.
func TestHTTP2Cut(t *testing.T) {
	for _, byServer := range []bool{false, true} {
		r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
		conn, below := r.h2Client()
		a, b := r.stream(conn), r.stream(conn)
		sa, sb := r.upgraded(a), r.upgraded(b)
		who := "client"
		if byServer {
			who = "server"
			r.mu.Lock()
			reset(r.tcp[0])
			r.mu.Unlock()
			r.met(a, true)
			r.met(b, true)
		} else {
			reset(below.NetConn())
			r.met(sa, true)
			r.met(sb, true)
		}
		await(t, "both sessions are over", func() bool {
			n := 0
			r.told.look(func() { n = len(r.told.closed) })
			return n == 2
		})
		r.told.look(func() {
			for i, text := range r.told.closed {
				if !strings.Contains(text, "; then "+who+" left with its whole HTTP/2 connection: ") || r.told.words[i] != "1006 "+who+" rst" {
					t.Errorf("%q, %q", text, r.told.words[i])
				}
			}
		})
	}
}

// TestHTTP2Full: where the server allows no more streams there is another connection.
func TestHTTP2Full(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{Streams: 2}, nil)
	conn, _ := r.h2Client()
	for range 5 {
		st := r.stream(conn)
		server := r.upgraded(st)
		r.send(st, "\x81\x00")
		r.expect(server, "\x81\x00")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.trunks) != 3 {
		t.Errorf("%d connections for 5 streams, 2 each", len(r.trunks))
	}
}

// TestHTTP2WithoutConnect: a server that takes no WebSockets over HTTP/2 gets them over
// HTTP/1.1; where it has none, the client is told in words.
func TestHTTP2WithoutConnect(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{NoConnect: true}, nil)
	var deaf atomic.Bool
	r.tls.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if deaf.Load() && !slices.Contains(h.SupportedProtos, "h2") {
			return nil, errors.New("HTTP/2 only")
		}
		return nil, nil
	}
	conn, _ := r.h2Client()
	st := r.stream(conn)
	server := r.upgraded(st)
	if _, ok := server.(*tls.Conn); !ok {
		t.Errorf("the server got a %T", server)
	}
	r.told.look(func() {
		if p := r.told.peers[0]; p.TLS.ALPN != "http/1.1" || !strings.Contains(p.Fallback, "ENABLE_CONNECT_PROTOCOL") {
			t.Errorf("%+v", p)
		}
	})
	get := r.stream(conn)
	r.send(get, "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
	page := r.next()
	if _, ok := page.(*h2.Stream); !ok {
		t.Errorf("an exchange got a %T", page)
	}
	r.head(page)
	r.send(page, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
	if got, err := io.ReadAll(get); err != nil || !strings.HasSuffix(string(got), "\r\n\r\nhi") {
		t.Errorf("%q, %v", got, err)
	}

	deaf.Store(true)
	lost := r.stream(conn)
	r.send(lost, upgradeHead)
	got, err := io.ReadAll(lost)
	if text := string(got); err != nil || !strings.HasPrefix(text, "HTTP/1.1 502 ") || !strings.Contains(text, "ENABLE_CONNECT_PROTOCOL") || !strings.Contains(text, "HTTP/1.1 cannot be had") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestHTTP2Exchanges: requests that ask for no WebSocket pass with their bodies.
func TestHTTP2Exchanges(t *testing.T) {
	for _, c := range combos {
		t.Run(c.String(), func(t *testing.T) {
			r := newH2Rig(t, c, h2.Options{}, nil)
			body := strings.Repeat("0123456789", 30_000)
			client := r.enter()
			go func() {
				_, _ = io.WriteString(client, fmt.Sprintf("POST /up?x=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			}()
			server := r.next()
			if h := r.head(server); !strings.HasPrefix(h, "POST /up?x=1 HTTP/1.1\r\n") {
				t.Errorf("%q", h)
			}
			r.expect(server, body)
			go func() {
				_, _ = io.WriteString(server, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
				_, _ = io.WriteString(server, fmt.Sprintf("HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			}()
			if h := r.head(client); !strings.HasPrefix(h, "HTTP/1.1 103 Early Hints\r\n") {
				t.Errorf("%q", h)
			}
			if h := r.head(client); !strings.HasPrefix(h, "HTTP/1.1 201 Created\r\n") {
				t.Errorf("%q", h)
			}
			r.expect(client, body)
			await(t, "the exchange is told", func() bool {
				n := 0
				r.told.look(func() { n = len(r.told.exchanges) })
				return n == 1
			})
			r.told.look(func() {
				x := r.told.exchanges[0]
				if x.Error != "" || string(x.Up.Data) != body || string(x.Down.Data) != body {
					t.Errorf("%d up, %d down, %q", x.Up.Size, x.Down.Size, x.Error)
				}
				if got := r.told.heads[0]; (got[0] != nil) != c.client || (got[1] != nil) != c.server {
					t.Errorf("heads %+v", got)
				}
			})
			if c.client {
				r.met(client, false)
			}
		})
	}
}

// TestHTTP2Refused: a refusal reaches the client with its body.
func TestHTTP2Refused(t *testing.T) {
	for _, c := range combos[1:] {
		r := newH2Rig(t, c, h2.Options{}, nil)
		client := r.enter()
		r.send(client, upgradeHead)
		server := r.next()
		r.head(server)
		r.send(server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")
		if h := r.head(client); !strings.HasPrefix(h, "HTTP/1.1 403 Forbidden\r\n") {
			t.Errorf("%v: %q", c, h)
		}
		b := make([]byte, 100)
		n, _ := client.Read(b)
		if !strings.Contains(string(b[:n]), "no\n") {
			t.Errorf("%v: %q", c, b[:n])
		}
		await(t, "it is told", func() bool {
			ok := false
			r.told.look(func() { ok = slices.Equal(r.told.refused, []string{"403 Forbidden"}) })
			return ok
		})
	}
}

// TestHTTP2BadPeers: who breaks HTTP/2's rules gets a GOAWAY, one line says so, and a
// session tells it if there was one; nobody else is touched.
func TestHTTP2BadPeers(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	good := r.enter()
	server := r.upgraded(good)
	for name, c := range map[string]struct{ sends, says string }{
		"no preface":   {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "breaks the rules"},
		"no SETTINGS":  {http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", "SETTINGS are not the first frame"},
		"a huge frame": {http2.ClientPreface + "\xff\xff\xff\x04\x00\x00\x00\x00\x00", "FRAME_SIZE_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(r.told.failures(t))
			bad := tls.Client(r.door(), r.config("h2"))
			r.send(bad, c.sends)
			_, _ = io.Copy(io.Discard, bad)
			await(t, "it is told", func() bool { return len(r.told.failures(t)) == before+1 })
			if why := r.told.failures(t)[before]; !strings.Contains(why, c.says) {
				t.Errorf("told %q", why)
			}
		})
	}
	if n := strings.Count(r.said.String(), "\n"); n < 3 || n > 6 {
		t.Errorf("said %q", r.said)
	}
	f := wireFrames["masked"]
	r.send(good, f)
	r.expect(server, f)
}

// TestHTTP2BreachInSession: a frame that RFC 9113 forbids ends the connection that it
// came on, and the sessions there say why.
func TestHTTP2BreachInSession(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	conn, below := r.h2Client()
	st := r.stream(conn)
	server := r.upgraded(st)
	r.send(below, "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00") // WINDOW_UPDATE of 0
	r.met(server, true)
	r.settled()
	r.told.look(func() {
		if !strings.Contains(r.told.closed[0], "PROTOCOL_ERROR") && !strings.Contains(r.told.closed[0], "wsproxy ended it") {
			t.Errorf("%q", r.told.closed)
		}
	})
	if !strings.Contains(r.said.String(), "PROTOCOL_ERROR") {
		t.Errorf("said %q", r.said)
	}
}

// TestHTTP2BadServer: the same of a server.
func TestHTTP2BadServer(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	conn, _ := r.h2Client()
	st := r.stream(conn)
	r.upgraded(st)
	r.mu.Lock()
	r.send(r.secure[0], "\x00\x00\x08\x07\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00") // GOAWAY on stream 1
	r.mu.Unlock()
	r.met(st, true)
	r.settled()
	if !strings.Contains(r.said.String(), "PROTOCOL_ERROR") {
		t.Errorf("said %q", r.said)
	}
	again := r.stream(conn) // the client's connection goes on, and the server may do better
	server := r.upgraded(again)
	r.send(again, "\x81\x00")
	r.expect(server, "\x81\x00")
}

// TestHTTP2Preference: a client that takes either version gets the one that the server
// speaks, as far as that is known.
func TestHTTP2Preference(t *testing.T) {
	for _, c := range []struct {
		name          string
		scheme        string
		server        bool
		http          HTTP
		first, second string
	}{
		{"a server without TLS", "ws", false, HTTPAuto, "http/1.1", "http/1.1"},
		{"a server of HTTP/2", "wss", true, HTTPAuto, "h2", "h2"},
		{"a server of HTTP/1.1", "wss", false, HTTPAuto, "h2", "http/1.1"},
		{"switched off", "wss", true, HTTP1, "http/1.1", "http/1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newH2Rig(t, combo{true, c.server}, h2.Options{}, func(config *Config) { config.HTTP, config.Target.Scheme = c.http, c.scheme })
			for i, want := range []string{c.first, c.second} {
				client := tls.Client(r.door(), r.config("h2", "http/1.1"))
				if err := client.Handshake(); err != nil {
					t.Fatal(err)
				}
				if got := client.ConnectionState().NegotiatedProtocol; got != want {
					t.Errorf("client %d gets %q, not %q", i+1, got, want)
				}
				if want == "h2" && i == 0 {
					conn := r.speak(client)
					r.upgraded(r.stream(conn))
				}
			}
		})
	}
}

// TestHTTP2Foreign: a page that made its name lead here is refused over HTTP/2 too.
func TestHTTP2Foreign(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	st := r.enter()
	r.send(st, strings.Replace(upgradeHead, "hOST: 127.0.0.1", "Host: rebound.example", 1))
	if got, err := io.ReadAll(st); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 421 Misdirected Request\r\n") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestHTTP2Unreachable: many streams that want a server that does not answer are told so
// together, not one behind the other.
func TestHTTP2Unreachable(t *testing.T) {
	const wait = 300 * time.Millisecond
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := newH2Rig(t, combo{true, true}, h2.Options{}, func(c *Config) { c.DialTimeout, c.ConnectTo = wait, silent.Addr().String() })
	conn, _ := r.h2Client()
	start := time.Now()
	var all sync.WaitGroup
	for range 20 {
		st := r.stream(conn)
		r.send(st, upgradeHead)
		all.Go(func() {
			if got, err := io.ReadAll(st); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 502 ") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	all.Wait()
	if took := time.Since(start); took > 10*wait {
		t.Errorf("it took %v", took)
	}
}

// TestHTTP2LastWord: clients in a tunnel get a GOAWAY too.
func TestHTTP2LastWord(t *testing.T) {
	r := newH2Tunnel(t, combo{true, true}, h2.Options{}, nil)
	conn, _ := r.h2Client()
	st := r.stream(conn)
	r.upgraded(st)
	if err := r.rig.server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	await(t, "the client is told", func() bool {
		_, err := conn.Open(context.Background())
		var away *h2.GoAwayError
		return errors.As(err, &away) && away.Code == http2.ErrCodeNo
	})
}

// TestHTTP2Shutdown: clients get a GOAWAY, sessions their grace, and then all is over.
func TestHTTP2Shutdown(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, func(c *Config) { c.Grace = patience })
	conn, _ := r.h2Client()
	st := r.stream(conn)
	server := r.upgraded(st)
	idle, _ := r.h2Client()
	done := make(chan error, 1)
	go func() { done <- r.rig.server.Shutdown(context.Background()) }()
	await(t, "the client is told", func() bool {
		_, err := conn.Open(context.Background())
		var away *h2.GoAwayError
		return errors.As(err, &away)
	})
	await(t, "the client without a stream is", func() bool {
		_, err := idle.Open(context.Background())
		return err != nil
	})
	f := wireFrames["masked"]
	r.send(st, f)
	r.expect(server, f)
	_ = st.CloseWrite()
	r.met(server, false)
	_ = server.(*h2.Stream).CloseWrite()
	r.met(st, false)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHTTP2PriorKnowledge: a client may begin with HTTP/2 where there is no TLS, and
// with --http 2 so do we.
func TestHTTP2PriorKnowledge(t *testing.T) {
	for _, version := range []HTTP{HTTPAuto, HTTP2} {
		tap := newTold()
		r := newRig(t, func(c *Config) { c.HTTP, c.Tap = version, tap })
		client := h2.NewClient(r.dial(), h2.Options{Scheme: "http"})
		var running sync.WaitGroup
		running.Go(func() { _ = client.Run() })
		x := &h2Rig{rig: r, told: tap, arrived: make(chan net.Conn, 10)}
		running.Go(func() {
			nc, err := r.upstream.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(patience))
			if version == HTTPAuto {
				x.arrived <- nc
				return
			}
			_ = h2.NewServer(nc, h2.Options{}, func(s *h2.Stream) { x.arrived <- s }).Run()
		})
		st := x.stream(client)
		server := x.upgraded(st)
		f := wireFrames["masked"]
		r.send(st, f)
		r.expect(server, f)
		if _, ok := server.(*h2.Stream); ok != (version == HTTP2) {
			t.Errorf("with %d the server got a %T", version, server)
		}
		_ = st.Reset()
		client.Close()
		_ = server.Close()
		await(t, "all is over", func() bool { return r.server.Stats().Open == 0 })
		running.Wait()
		tap.look(func() {
			if len(tap.opened) != 1 || tap.opened[0].HTTP2 == nil || len(tap.exchanges) != 0 || tap.opened[0].TLS {
				t.Errorf("opened %+v, exchanges %v", tap.opened, tap.exchanges)
			}
		})
	}
}

// TestHTTP2InTunnel: what is intercepted speaks the version that both ends would have
// agreed on without wsproxy.
func TestHTTP2InTunnel(t *testing.T) {
	for _, c := range []struct {
		name           string
		client, server []string
		want           combo
		http           HTTP
	}{
		{"both", []string{"h2", "http/1.1"}, []string{"h2", "http/1.1"}, combo{true, true}, HTTPAuto},
		{"the server has none", []string{"h2", "http/1.1"}, []string{"http/1.1"}, combo{false, false}, HTTPAuto},
		{"the client has none", []string{"http/1.1"}, []string{"h2", "http/1.1"}, combo{false, false}, HTTPAuto},
		{"no ALPN", nil, []string{"h2", "http/1.1"}, combo{false, false}, HTTPAuto},
		{"the client has nothing else", []string{"h2"}, []string{"http/1.1"}, combo{true, false}, HTTPAuto},
		{"switched off", []string{"h2", "http/1.1"}, []string{"h2", "http/1.1"}, combo{false, false}, HTTP1},
		{"forced", []string{"http/1.1"}, []string{"h2", "http/1.1"}, combo{false, true}, HTTP2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newH2Tunnel(t, c.want, h2.Options{}, func(config *Config) { config.HTTP = c.http })
			r.tls.NextProtos = c.server
			below := tls.Client(r.door(), r.config(c.client...))
			if err := below.Handshake(); err != nil {
				t.Fatal(err)
			}
			client := net.Conn(below)
			if is := below.ConnectionState().NegotiatedProtocol == "h2"; is != c.want.client {
				t.Fatalf("the client got %q", below.ConnectionState().NegotiatedProtocol)
			}
			if c.want.client {
				conn := r.speak(below)
				client = r.stream(conn)
				defer func() { r.upgraded(r.stream(conn)) }() // and another
			}
			server := r.upgraded(client)
			if _, is := server.(*h2.Stream); is != c.want.server {
				t.Errorf("the server got a %T", server)
			}
			r.exact(client, server)
			r.told.look(func() {
				if info := r.told.opened[0]; info.Via != "CONNECT "+r.upstream.Addr().String() || (info.HTTP2 != nil) != c.want.client {
					t.Errorf("%+v", info)
				}
			})
		})
	}
}

// TestHTTP2MirroredConnect: a server that takes no WebSockets over HTTP/2 is not made to
// look as if it did, so that a browser does what it would do.
func TestHTTP2MirroredConnect(t *testing.T) {
	for _, without := range []bool{false, true} {
		r := newH2Tunnel(t, combo{true, true}, h2.Options{NoConnect: without}, nil)
		conn, _ := r.h2Client()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err := conn.Ready(ctx); errors.Is(err, h2.ErrNoExtendedConnect) != without {
			t.Errorf("without %v: %v", without, err)
		}
		cancel()
	}
}

// TestHTTP2TunnelFails: a server whose certificate is not trusted, and a client that
// does not trust ours, are told of as with HTTP/1.1.
func TestHTTP2TunnelFails(t *testing.T) {
	r := newH2Tunnel(t, combo{true, true}, h2.Options{}, func(c *Config) { c.Insecure = false })
	conn, _ := r.h2Client()
	for range 2 {
		st := r.stream(conn)
		r.send(st, upgradeHead)
		if got, err := io.ReadAll(st); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 502 ") || !strings.Contains(string(got), "is not trusted") {
			t.Errorf("%q, %v", got, err)
		}
	}

	r = newH2Tunnel(t, combo{true, true}, h2.Options{}, nil)
	config := r.config("h2")
	config.RootCAs = newAuthority(t).pool()
	if err := tls.Client(r.door(), config).Handshake(); err == nil {
		t.Fatal("trusted")
	}
	await(t, "it is told", func() bool { return len(r.told.failures(t)) == 1 })
	if why := r.told.failures(t)[0]; !strings.Contains(why, "does not take wsproxy's certificate for server.example") {
		t.Errorf("%q", why)
	}
	await(t, "it is over", func() bool { return r.rig.server.Stats().Open == 0 })
}

// TestHTTP2Forgets: connections to a server that ends them again and again are let go of
// while the client's goes on.
func TestHTTP2Forgets(t *testing.T) {
	r := newH2Rig(t, combo{true, true}, h2.Options{}, nil)
	shared, _ := r.h2Client()
	keeps := r.stream(shared)
	server := r.upgraded(keeps)
	var trunks *trunks
	r.rig.server.mu.Lock()
	for c := range r.rig.server.conns {
		if k := c.(*conn).carrier; k != nil {
			trunks = k.trunks
		}
	}
	r.rig.server.mu.Unlock()
	for range 5 {
		st := r.stream(shared)
		end := r.upgraded(st)
		r.mu.Lock()
		r.trunks[len(r.trunks)-1].Shutdown()
		r.mu.Unlock()
		r.send(end, "\x81\x00") // behind the GOAWAY
		r.expect(st, "\x81\x00")
		_ = st.CloseWrite()
		r.met(end, false)
		_ = end.(*h2.Stream).CloseWrite()
		r.met(st, false)
	}
	await(t, "no more than two are left", func() bool { // the first, and perhaps the last
		trunks.mu.Lock()
		defer trunks.mu.Unlock()
		return len(trunks.all) <= 2
	})
	r.send(keeps, "\x81\x00")
	r.expect(server, "\x81\x00")
}

// TestHTTP2Churn: sessions that come and go in every way, many at once on few connections,
// are each told from their beginning to their end, and leave nothing behind.
func TestHTTP2Churn(t *testing.T) {
	for _, c := range combos[1:3] {
		t.Run(c.String(), func(t *testing.T) {
			const clients, each, rounds = 3, 8, 5
			r := newH2Rig(t, c, h2.Options{}, nil)
			var serving sync.WaitGroup
			ends := map[int]func(net.Conn){
				0: func(c net.Conn) { _ = c.Close() },
				1: func(c net.Conn) {
					if st, ok := c.(*h2.Stream); ok {
						_ = st.CloseWrite()
						_, _ = io.Copy(io.Discard, st)
					}
					_ = c.Close()
				},
				2: func(c net.Conn) {
					if st, ok := c.(*h2.Stream); ok {
						_ = st.ResetWith(http2.ErrCodeInternal)
					} else {
						reset(c.(*tls.Conn).NetConn())
					}
				},
			}
			serving.Go(func() { // an echo that leaves in its own way at the third message
				for n := 0; n < clients*each*rounds; n++ {
					s := <-r.arrived
					serving.Go(func() { r.echo(s, ends[n%3]) })
				}
			})
			var playing sync.WaitGroup
			for i := range clients {
				conn, _ := r.h2Client()
				for j := range each {
					playing.Go(func() {
						for k := range rounds {
							st, err := conn.Open(context.Background())
							if err != nil {
								t.Error(err)
								return
							}
							_ = st.SetDeadline(time.Now().Add(patience))
							r.play(st, (i+j+k)%4)
							ends[(i+2*j+k)%3](st)
							_ = st.Close()
						}
					})
				}
			}
			playing.Wait()
			serving.Wait()
			await(t, "every session is told whole", func() bool {
				n, m := 0, 0
				r.told.look(func() { n, m = len(r.told.opened), len(r.told.closed) })
				return n == m && n == clients*each*rounds
			})
			await(t, "only the clients' connections are left", func() bool { return r.rig.server.Stats().Open == clients })
		})
	}
}

// echo answers an upgrade and sends back what comes, three times.
func (r *h2Rig) echo(c net.Conn, end func(net.Conn)) {
	defer end(c)
	var raw []byte
	for one := make([]byte, 1); !bytes.HasSuffix(raw, []byte("\r\n\r\n")); raw = append(raw, one[0]) {
		if _, err := io.ReadFull(c, one); err != nil {
			return
		}
	}
	h, err := inspect.ParseRequest(raw)
	if err != nil {
		r.t.Error(err)
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+inspect.AcceptKey(h.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
	b := make([]byte, 7)
	for range 3 {
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// play is a client's part of it, with so many messages.
func (r *h2Rig) play(st *h2.Stream, messages int) {
	_, _ = io.WriteString(st, upgradeHead)
	var raw []byte
	for one := make([]byte, 1); !bytes.HasSuffix(raw, []byte("\r\n\r\n")); raw = append(raw, one[0]) {
		if _, err := io.ReadFull(st, one); err != nil {
			r.t.Errorf("%v behind %q", err, raw)
			return
		}
	}
	b := make([]byte, 7)
	for range messages {
		if _, err := io.WriteString(st, "\x81\x05Hello"); err != nil {
			return
		}
		if _, err := io.ReadFull(st, b); err != nil {
			return // it may have left by now
		}
		if string(b) != "\x81\x05Hello" {
			r.t.Errorf("%q", b)
		}
	}
}
