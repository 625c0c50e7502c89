package h2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsproxy/wsproxy/proxy/h2"
)

// peer is a scripted one: it writes whatever frames it likes.
type peer struct {
	testing.TB
	nc *net.TCPConn
	*http2.Framer
	buf bytes.Buffer
	enc *hpack.Encoder
}

func newPeer(t testing.TB, nc *net.TCPConn) *peer {
	_ = nc.SetDeadline(time.Now().Add(patient))
	p := &peer{TB: t, nc: nc, Framer: http2.NewFramer(nc, nc)}
	p.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.buf)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return p
}

// client greets a server at addr as a client that keeps the rules so far.
func client(t testing.TB, addr string, settings ...http2.Setting) *peer {
	p := newPeer(t, dial(t, addr))
	t.Cleanup(func() { p.nc.Close() })
	_, _ = io.WriteString(p.nc, http2.ClientPreface)
	_ = p.WriteSettings(settings...)
	return p
}

// fields sends HEADERS; pairs are names and values.
func (p *peer) fields(id uint32, end bool, pairs ...string) {
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: end, EndHeaders: true, BlockFragment: p.block(pairs...)})
}

func (p *peer) block(pairs ...string) []byte {
	p.buf.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = p.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return bytes.Clone(p.buf.Bytes())
}

func ws(more ...string) []string {
	return append([]string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "example.test"}, more...)
}

func get(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "example.test"}, more...)
}

// await reads frames until one is what ok wants.
func (p *peer) await(what string, ok func(http2.Frame) bool) http2.Frame {
	p.Helper()
	for {
		f, err := p.ReadFrame()
		if err != nil {
			p.Fatalf("%v, and no %s before", err, what)
		}
		if ok(f) {
			return f
		}
	}
}

func (p *peer) awaitReset(id uint32) http2.ErrCode {
	p.Helper()
	return p.await("RST_STREAM", func(f http2.Frame) bool {
		r, ok := f.(*http2.RSTStreamFrame)
		return ok && r.StreamID == id
	}).(*http2.RSTStreamFrame).ErrCode
}

func (p *peer) awaitGoAway() http2.ErrCode {
	p.Helper()
	return p.await("GOAWAY", func(f http2.Frame) bool { _, ok := f.(*http2.GoAwayFrame); return ok }).(*http2.GoAwayFrame).ErrCode
}

func (p *peer) awaitHeaders(id uint32) *http2.MetaHeadersFrame {
	p.Helper()
	return p.await("HEADERS", func(f http2.Frame) bool {
		h, ok := f.(*http2.MetaHeadersFrame)
		return ok && h.StreamID == id
	}).(*http2.MetaHeadersFrame)
}

func (p *peer) awaitEcho() {
	p.Helper()
	data := [8]byte([]byte("are we ?"))
	_ = p.WritePing(false, data)
	p.await("PING", func(f http2.Frame) bool {
		g, ok := f.(*http2.PingFrame)
		return ok && g.IsAck() && g.Data == data
	})
}

// idleServer is our server's role; streams are read to their end, and then left
// until the connection ends.
func idleServer(t testing.TB, o h2.Options) string {
	return serveH2(t, o, func(s *h2.Stream) {
		_, _ = io.Copy(io.Discard, s)
	})
}

// TestStreamBreaches has clients break rules that cost their stream: RST_STREAM
// with the code of RFC 9113, one line, and the connection goes on.
func TestStreamBreaches(t *testing.T) {
	pe := http2.ErrCodeProtocol
	for _, c := range []struct {
		name   string
		fields []string
		code   http2.ErrCode
	}{
		{"no method", []string{":scheme", "https", ":path", "/", ":authority", "a.test"}, pe},
		{"method with a space", get()[2:], pe},
		{"no path", []string{":method", "GET", ":scheme", "https", ":authority", "a.test"}, pe},
		{"empty path", []string{":method", "GET", ":scheme", "https", ":path", "", ":authority", "a.test"}, pe},
		{"path with a space", []string{":method", "GET", ":scheme", "https", ":path", "/ HTTP/1.1", ":authority", "a.test"}, pe},
		{"path without a slash", []string{":method", "GET", ":scheme", "https", ":path", "x", ":authority", "a.test"}, pe},
		{"no authority", []string{":method", "GET", ":scheme", "https", ":path", "/"}, pe},
		{"authority with user information", []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "me@a.test"}, pe},
		{"two hosts", get("host", "other.test"), pe},
		{"two host fields", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "a.test", "host", "b.test"}, pe},
		{"pseudo twice", get(":path", "/"), pe},
		{"pseudo behind a field", append(get("a", "b"), ":protocol", "websocket"), pe},
		{"unknown pseudo", get(":version", "1"), pe},
		{"status in a request", get(":status", "200"), pe},
		{"protocol without CONNECT", get(":protocol", "websocket"), pe},
		{"CONNECT with a path", []string{":method", "CONNECT", ":scheme", "https", ":path", "/", ":authority", "a.test:1"}, pe},
		{"extended CONNECT without a path", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a.test"}, pe},
		{"extended CONNECT without authority", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/"}, pe},
		{"another protocol", []string{":method", "CONNECT", ":protocol", "webtransport", ":scheme", "https", ":path", "/", ":authority", "a.test"}, http2.ErrCodeRefusedStream},
		{"extended CONNECT with content-length", ws("content-length", "5"), pe},
		{"upper case", get("X-Upper", "1"), pe},
		{"colon in a name", get("a:b", "1"), pe},
		{"space in a name", get("a b", "1"), pe},
		{"empty name", get("", "1"), pe},
		{"CR LF in a value", get("x", "1\r\nevil: 1"), pe},
		{"LF in a value", get("x", "1\nevil: 1"), pe},
		{"NUL in a value", get("x", "1\x00"), pe},
		{"white space around a value", get("x", " 1"), pe},
		{"connection", get("connection", "close"), pe},
		{"keep-alive", get("keep-alive", "1"), pe},
		{"proxy-connection", get("proxy-connection", "close"), pe},
		{"transfer-encoding", get("transfer-encoding", "chunked"), pe},
		{"upgrade", get("upgrade", "websocket"), pe},
		{"te", get("te", "gzip"), pe},
		{"content-length twice", get("content-length", "0", "content-length", "1"), pe},
		{"content-length +1", get("content-length", "+1"), pe},
		{"content-length without a body", get("content-length", "1"), pe},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log lines
			p := client(t, idleServer(t, h2.Options{Logf: log.Logf}))
			if c.name == "method with a space" {
				c.fields = append([]string{":method", "GET /"}, c.fields...)
			}
			p.fields(1, true, c.fields...)
			if code := p.awaitReset(1); code != c.code {
				t.Errorf("RST_STREAM with %v", code)
			}
			p.awaitEcho()
			if got := log.String(); strings.Count(got, "\n") != 0 || !strings.Contains(got, "stream 1: "+c.code.String()) {
				t.Errorf("the log says %q", got)
			}
		})
	}
}

// TestBodyBreaches has clients whose bodies break rules.
func TestBodyBreaches(t *testing.T) {
	for _, c := range []struct {
		name string
		code http2.ErrCode
		do   func(p *peer)
	}{
		{"longer than content-length", http2.ErrCodeProtocol, func(p *peer) {
			p.fields(1, false, get("content-length", "3")...)
			_ = p.WriteData(1, true, []byte("four"))
		}},
		{"shorter than content-length", http2.ErrCodeProtocol, func(p *peer) {
			p.fields(1, false, get("content-length", "3")...)
			_ = p.WriteData(1, true, []byte("tw"))
		}},
		{"past the stream's window", http2.ErrCodeFlowControl, func(p *peer) {
			p.fields(1, false, ws()...)
			for range 17 { // 272 KiB, and nobody reads before the 101
				_ = p.WriteData(1, false, make([]byte, 16<<10))
			}
		}},
		{"window past 2^31-1", http2.ErrCodeFlowControl, func(p *peer) {
			p.fields(1, false, ws()...)
			_ = p.WriteWindowUpdate(1, 1<<31-1)
		}},
		{"WINDOW_UPDATE by nothing", http2.ErrCodeProtocol, func(p *peer) {
			p.fields(1, false, ws()...)
			_ = p.WriteWindowUpdate(1, 0)
		}},
		{"HEADERS in a tunnel", http2.ErrCodeProtocol, func(p *peer) {
			p.fields(1, false, ws()...)
			p.fields(1, true, "x", "y")
		}},
		{"HEADERS in the middle of a body", http2.ErrCodeProtocol, func(p *peer) {
			p.fields(1, false, get()...)
			p.fields(1, false, "x", "y")
		}},
		{"pseudo in trailers", http2.ErrCodeProtocol, func(p *peer) {
			p.fields(1, false, get()...)
			p.fields(1, true, ":path", "/")
		}},
		{"DATA behind the end", http2.ErrCodeStreamClosed, func(p *peer) {
			p.fields(1, true, get()...)
			_ = p.WriteData(1, false, []byte("x"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := client(t, idleServer(t, h2.Options{}))
			c.do(p)
			if code := p.awaitReset(1); code != c.code {
				t.Errorf("RST_STREAM with %v", code)
			}
			_ = p.WriteData(1, false, []byte("late")) // it may not know yet
			p.awaitEcho()
		})
	}
}

// TestConnectionBreaches has clients break rules that cost the connection: GOAWAY
// with the code of RFC 9113 and one line.
func TestConnectionBreaches(t *testing.T) {
	pe, fc := http2.ErrCodeProtocol, http2.ErrCodeFlowControl
	raw := func(typ http2.FrameType, flags http2.Flags, id uint32, payload string) func(p *peer) {
		return func(p *peer) { _ = p.WriteRawFrame(typ, flags, id, []byte(payload)) }
	}
	for _, c := range []struct {
		name string
		code http2.ErrCode
		do   func(p *peer)
	}{
		{"even stream", pe, func(p *peer) { p.fields(2, true, get()...) }},
		{"stream going back", http2.ErrCodeStreamClosed, func(p *peer) { p.fields(5, true, get()...); p.fields(3, true, get()...) }},
		{"DATA on an idle stream", pe, func(p *peer) { _ = p.WriteData(7, false, []byte("x")) }},
		{"DATA on stream 0", pe, raw(http2.FrameData, 0, 0, "x")},
		{"RST_STREAM on an idle stream", pe, func(p *peer) { _ = p.WriteRSTStream(7, 0) }},
		{"WINDOW_UPDATE on an idle stream", pe, func(p *peer) { _ = p.WriteWindowUpdate(7, 1) }},
		{"connection's window past 2^31-1", fc, func(p *peer) { _ = p.WriteWindowUpdate(0, 1<<31-1) }},
		{"INITIAL_WINDOW_SIZE past 2^31-1", fc, func(p *peer) { _ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) }},
		{"INITIAL_WINDOW_SIZE that overflows a stream's", fc, func(p *peer) {
			p.fields(1, false, ws()...)
			_ = p.WriteWindowUpdate(1, 1<<30)
			_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		}},
		{"MAX_FRAME_SIZE too small", pe, func(p *peer) { _ = p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}) }},
		{"SETTINGS of five bytes", http2.ErrCodeFrameSize, raw(http2.FrameSettings, 0, 0, "12345")},
		{"PING of seven bytes", http2.ErrCodeFrameSize, raw(http2.FramePing, 0, 0, "1234567")},
		{"CONTINUATION out of place", pe, raw(http2.FrameContinuation, 4, 1, "x")},
		{"PING inside a head", pe, func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(get()...)})
			_ = p.WritePing(false, [8]byte{})
		}},
		{"PUSH_PROMISE", pe, func(p *peer) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: p.block(get()...), EndHeaders: true})
		}},
		{"broken HPACK", http2.ErrCodeCompression, func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\xff\xff\xff\xff\xff\xff"), EndHeaders: true})
		}},
		{"frame too large", http2.ErrCodeFrameSize, func(p *peer) { _, _ = p.nc.Write([]byte("\xff\xff\xff\x00\x00\x00\x00\x00\x01")) }},
		{"padding longer than the frame", pe, raw(http2.FrameData, http2.FlagDataPadded, 1, "\x09x")},
		{"rapid resets", http2.ErrCodeEnhanceYourCalm, func(p *peer) {
			for id := uint32(1); id < 6000; id += 2 {
				p.fields(id, false, ws()...)
				if p.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return
				}
			}
		}},
		{"PINGs", http2.ErrCodeEnhanceYourCalm, func(p *peer) {
			for range 5000 {
				_ = p.WritePing(false, [8]byte{})
			}
		}},
		{"SETTINGS", http2.ErrCodeEnhanceYourCalm, func(p *peer) {
			for range 5000 {
				_ = p.WriteSettings()
			}
		}},
		{"empty DATA", http2.ErrCodeEnhanceYourCalm, func(p *peer) {
			p.fields(1, false, ws()...)
			for range 5000 {
				_ = p.WriteData(1, false, nil)
			}
		}},
		{"CONTINUATIONs without fields", http2.ErrCodeEnhanceYourCalm, func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(get()...)})
			for range 50000 {
				if p.WriteContinuation(1, false, nil) != nil {
					return
				}
			}
		}},
		{"CONTINUATIONs with fields", pe, func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.block(get()...)})
			for i := range 5000 {
				if p.WriteContinuation(1, false, p.block(fmt.Sprint("x", i), strings.Repeat("y", 500))) != nil {
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log lines
			p := client(t, idleServer(t, h2.Options{Logf: log.Logf}))
			go func() { c.do(p); _ = p.nc.CloseWrite() }()
			if code := p.awaitGoAway(); code != c.code {
				t.Errorf("GOAWAY with %v: %s", code, log.String())
			}
			if _, err := io.Copy(io.Discard, p.nc); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			if got := log.String(); !strings.Contains(got, c.code.String()) {
				t.Errorf("the log says %q", got)
			}
		})
	}
}

// TestNotHTTP2 has clients that speak something else, or nothing.
func TestNotHTTP2(t *testing.T) {
	for _, c := range []struct{ name, bytes, want string }{
		{"HTTP/1.1", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "begins with GET / HTTP/1.1"},
		{"no SETTINGS", http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", "SETTINGS are not the first frame"},
		{"acknowledged first", http2.ClientPreface + "\x00\x00\x00\x04\x01\x00\x00\x00\x00", "SETTINGS are not the first frame"},
		{"silence", "", "no SETTINGS within 30ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log lines
			nc := dial(t, idleServer(t, h2.Options{Logf: log.Logf, Greeting: 30 * time.Millisecond}))
			defer nc.Close()
			_, _ = io.WriteString(nc, c.bytes)
			_, _ = io.Copy(io.Discard, nc)
			if got := log.String(); !strings.Contains(got, c.want) {
				t.Errorf("the log says %q", got)
			}
		})
	}
}

// TestTooLargeHead answers 431 and goes on.
func TestTooLargeHead(t *testing.T) {
	p := client(t, idleServer(t, h2.Options{HeadLimit: 4096}))
	p.fields(1, true, get("x", strings.Repeat("y", 4000))...)
	if got := p.awaitHeaders(1).PseudoValue("status"); got != "431" {
		t.Errorf("status %s", got)
	}
	p.awaitEcho()
}

// TestTooManyStreams refuses streams past the limit, which streams count against
// for as long as their owner has them, and takes others once one is over.
func TestTooManyStreams(t *testing.T) {
	free, freed := make(chan struct{}), make(chan struct{})
	p := client(t, serveH2(t, h2.Options{Streams: 2}, func(s *h2.Stream) {
		if s.ID() == 1 {
			<-free
			s.Close()
			close(freed)
		} else {
			_, _ = io.Copy(io.Discard, s)
		}
	}))
	p.fields(1, false, ws()...)
	p.fields(3, false, ws()...)
	_ = p.WriteRSTStream(1, http2.ErrCodeCancel) // its owner has not noticed
	p.fields(5, false, ws()...)
	if code := p.awaitReset(5); code != http2.ErrCodeRefusedStream {
		t.Errorf("RST_STREAM with %v", code)
	}
	close(free)
	<-freed
	p.fields(7, false, ws()...)
	_ = p.WritePing(false, [8]byte{})
	p.await("PING", func(f http2.Frame) bool {
		if _, refused := f.(*http2.RSTStreamFrame); refused {
			t.Fatal("stream 7 is refused")
		}
		_, ok := f.(*http2.PingFrame)
		return ok
	})
}

// server has our client's role on a connection whose server is scripted.
func server(t testing.TB, settings ...http2.Setting) (*h2.Conn, *peer) {
	t.Helper()
	got := make(chan *net.TCPConn, 1)
	done := make(chan struct{})
	addr := listen(t, func(c net.Conn) { got <- c.(*net.TCPConn); <-done })
	t.Cleanup(func() { close(done) })
	c := clientH2(t, addr, h2.Options{Logf: t.Logf})
	p := newPeer(t, <-got)
	if _, err := io.ReadFull(p.nc, make([]byte, len(http2.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	_ = p.WriteSettings(settings...)
	return c, p
}

var connectable = http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}

// TestServerBreaches has servers answer what RFC 9113 forbids: the stream is reset
// and its reader told, after what came before.
func TestServerBreaches(t *testing.T) {
	for _, c := range []struct {
		name string
		want string // of the error
		do   func(p *peer)
	}{
		{"no status", "without :status", func(p *peer) { p.fields(1, true, "x", "y") }},
		{"status and another", "mix of request and response", func(p *peer) { p.fields(1, true, ":status", "200", ":path", "/") }},
		{"status of two digits", "the status 20", func(p *peer) { p.fields(1, true, ":status", "20") }},
		{"101", "101", func(p *peer) { p.fields(1, false, ":status", "101") }},
		{"interim end", "interim", func(p *peer) { p.fields(1, true, ":status", "103") }},
		{"interim without end", "interim", func(p *peer) {
			for range 100 {
				p.fields(1, false, ":status", "103", "link", strings.Repeat("x", 2000))
			}
		}},
		{"DATA first", "before the answer", func(p *peer) { _ = p.WriteData(1, false, []byte("x")) }},
		{"transfer-encoding", "transfer-encoding", func(p *peer) { p.fields(1, true, ":status", "200", "transfer-encoding", "chunked") }},
		{"LF in a value", "invalid header field value", func(p *peer) { p.fields(1, true, ":status", "200", "x", "a\nb") }},
		{"more than content-length", "past its content-length", func(p *peer) {
			p.fields(1, false, ":status", "200", "content-length", "1")
			_ = p.WriteData(1, true, []byte("xHTTP/1.1 200 OK\r\n\r\n"))
		}},
		{"less than content-length", "before its content-length", func(p *peer) {
			p.fields(1, false, ":status", "200", "content-length", "9")
			_ = p.WriteData(1, true, []byte("x"))
		}},
		{"a body to 204", "past its content-length", func(p *peer) {
			p.fields(1, false, ":status", "204")
			_ = p.WriteData(1, true, []byte("x"))
		}},
		{"HEADERS in the middle", "in the middle", func(p *peer) {
			p.fields(1, false, ":status", "200")
			p.fields(1, false, ":status", "200")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, p := server(t, connectable)
			s := open(t, conn)
			if _, err := io.WriteString(s, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			p.awaitHeaders(1)
			c.do(p)
			p.awaitReset(1)
			_, err := io.ReadAll(s)
			var b *h2.BreachError
			if !errors.As(err, &b) || !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the reader is told %v", err)
			}
			p.awaitEcho()
		})
	}
}

// TestHowStreamsEnd tells apart how a peer ended a stream.
func TestHowStreamsEnd(t *testing.T) {
	for _, c := range []struct {
		name, want string
		as         any
		do         func(p *peer)
	}{
		{"END_STREAM", "", nil, func(p *peer) { _ = p.WriteData(1, true, []byte("!")) }},
		{"RST_STREAM", "RST_STREAM INTERNAL_ERROR", new(*h2.ResetError), func(p *peer) {
			_ = p.WriteData(1, false, []byte("!"))
			_ = p.WriteRSTStream(1, http2.ErrCodeInternal)
		}},
		{"GOAWAY", "GOAWAY NO_ERROR: bye ␛", new(*h2.GoAwayError), func(p *peer) {
			_ = p.WriteData(1, false, []byte("!"))
			_ = p.WriteGoAway(0, http2.ErrCodeNo, []byte("bye \x1b"))
		}},
		{"GOAWAY and the end", "GOAWAY ENHANCE_YOUR_CALM", new(*h2.GoAwayError), func(p *peer) {
			_ = p.WriteData(1, false, []byte("!"))
			_ = p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, nil)
			_ = p.nc.CloseWrite()
		}},
		{"FIN", "the HTTP/2 connection ended: EOF", new(*h2.EndError), func(p *peer) {
			_ = p.WriteData(1, false, []byte("!"))
			_ = p.nc.CloseWrite()
		}},
		{"FIN in a frame", "the HTTP/2 connection ended: unexpected EOF", new(*h2.EndError), func(p *peer) {
			_ = p.WriteData(1, false, []byte("!"))
			_, _ = io.WriteString(p.nc, "\x00\x00")
			_ = p.nc.CloseWrite()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, p := server(t, connectable)
			s := open(t, conn)
			_, _ = io.WriteString(s, upgrade)
			p.awaitHeaders(1)
			p.fields(1, false, ":status", "200")
			c.do(p)
			got, err := io.ReadAll(s)
			if !bytes.HasSuffix(got, []byte("\r\n\r\n!")) {
				t.Errorf("%q", got)
			}
			if c.as == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, c.as) || err.Error() != c.want || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("writing answers %v", err)
			}
		})
	}
}

// TestOurEnds are what the peer sees of CloseWrite, Close and Reset.
func TestOurEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *h2.Stream)
		end  bool
		code http2.ErrCode
	}{
		{"CloseWrite", func(s *h2.Stream) { _ = s.CloseWrite() }, true, 0},
		{"Close", func(s *h2.Stream) { _ = s.Close() }, false, http2.ErrCodeCancel},
		{"Reset", func(s *h2.Stream) { _ = s.Reset() }, false, http2.ErrCodeCancel},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, p := server(t, connectable)
			s := open(t, conn)
			_, _ = io.WriteString(s, upgrade+"early")
			c.do(s)
			f := p.await("DATA", func(f http2.Frame) bool { _, ok := f.(*http2.DataFrame); return ok }).(*http2.DataFrame)
			if string(f.Data()) != "early" {
				t.Errorf("%q", f.Data())
			}
			f2 := p.await("end", func(f http2.Frame) bool { return f.Header().StreamID == 1 })
			if r, ok := f2.(*http2.RSTStreamFrame); ok == c.end || ok && r.ErrCode != c.code {
				t.Errorf("%v", f2)
			}
			if d, ok := f2.(*http2.DataFrame); ok && !d.StreamEnded() {
				t.Errorf("%v", f2)
			}
		})
	}
}

// TestOpen says when no stream, or no WebSocket, can be had.
func TestOpen(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	t.Run("full", func(t *testing.T) {
		conn, p := server(t, connectable, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		s := open(t, conn)
		if _, err := conn.Open(ctx); !errors.Is(err, h2.ErrFull) {
			t.Errorf("%v", err)
		}
		_, _ = io.WriteString(s, upgrade)
		p.awaitHeaders(1)
		if _, err := conn.Open(ctx); !errors.Is(err, h2.ErrFull) {
			t.Errorf("%v", err)
		}
		s.Close()
		s = open(t, conn)
		_, _ = io.WriteString(s, upgrade)
		p.awaitHeaders(3)
	})
	t.Run("no extended CONNECT", func(t *testing.T) {
		conn, p := server(t)
		if err := conn.Ready(ctx); !errors.Is(err, h2.ErrNoExtendedConnect) {
			t.Errorf("%v", err)
		}
		s := open(t, conn)
		if _, err := io.WriteString(s, upgrade); !errors.Is(err, h2.ErrNoExtendedConnect) {
			t.Errorf("%v", err)
		}
		s = open(t, conn)
		_, _ = io.WriteString(s, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
		p.awaitHeaders(1)
	})
	t.Run("gone away", func(t *testing.T) {
		conn, p := server(t, connectable)
		s := open(t, conn)
		_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
		p.awaitEcho()
		var gone *h2.GoAwayError
		if _, err := conn.Open(ctx); !errors.As(err, &gone) {
			t.Errorf("%v", err)
		}
		if _, err := io.WriteString(s, upgrade); !errors.As(err, &gone) {
			t.Errorf("%v", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		conn, _ := server(t, connectable)
		s := open(t, conn)
		conn.Close()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		if _, err := conn.Open(ctx); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
	t.Run("context", func(t *testing.T) {
		addr := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		conn := clientH2(t, addr, h2.Options{})
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := conn.Open(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
