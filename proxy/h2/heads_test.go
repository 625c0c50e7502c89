package h2_test

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/proxy/h2"
)

// flat writes fields as lines.
func flat(f *http2.MetaHeadersFrame) string {
	var b strings.Builder
	for _, h := range f.Fields {
		b.WriteString(h.Name + ": " + h.Value + "\n")
	}
	return b.String()
}

// TestRequestsToHTTP1 has each request of a client's read as HTTP/1.1.
func TestRequestsToHTTP1(t *testing.T) {
	key := regexp.MustCompile(`Sec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\n`)
	for _, c := range []struct {
		name   string
		fields []string
		body   string
		trail  []string
		end    bool
		want   string
	}{
		{name: "WebSocket", fields: ws("origin", "https://a.test", "sec-websocket-version", "13", "sec-websocket-key", "theirs", "cookie", "a=1", "x", "", "cookie", "b=2"),
			want: "GET /chat HTTP/1.1\r\nHost: example.test\r\norigin: https://a.test\r\nsec-websocket-version: 13\r\ncookie: a=1; b=2\r\nx: \r\nConnection: Upgrade\r\nUpgrade: websocket\r\nKEY\r\n\r\n"},
		{name: "WebSocket with content-length 0 and te", fields: ws("content-length", "0", "te", "trailers"),
			want: "GET /chat HTTP/1.1\r\nHost: example.test\r\nte: trailers\r\nConnection: TE, Upgrade\r\nUpgrade: websocket\r\nKEY\r\n\r\n"},
		{name: "GET", fields: get("accept", "*/*"), end: true, want: "GET / HTTP/1.1\r\nHost: example.test\r\naccept: */*\r\n\r\n"},
		{name: "host only", fields: []string{":method", "GET", ":scheme", "https", ":path", "/", "a", "1", "host", "h.test"}, end: true, want: "GET / HTTP/1.1\r\nHost: h.test\r\na: 1\r\n\r\n"},
		{name: "OPTIONS *", fields: []string{":method", "OPTIONS", ":scheme", "https", ":path", "*", ":authority", "h.test"}, end: true, want: "OPTIONS * HTTP/1.1\r\nHost: h.test\r\n\r\n"},
		{name: "CONNECT", fields: []string{":method", "CONNECT", ":authority", "h.test:443"}, want: "CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n"},
		{name: "content-length", fields: get("content-length", "5"), body: "hello", end: true, want: "GET / HTTP/1.1\r\nHost: example.test\r\ncontent-length: 5\r\n\r\nhello"},
		{name: "chunked, with trailers", fields: get(), body: "hello", trail: []string{"x-sum", "5", "content-length", "9"},
			want: "GET / HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n"},
		{name: "an empty body", fields: get(), trail: []string{"x-sum", "0"}, want: "GET / HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-sum: 0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, 3, 4096} { // however it is read
				got := make(chan string, 1)
				p := client(t, serveH2(t, h2.Options{}, func(s *h2.Stream) {
					_ = s.SetDeadline(time.Now().Add(patient))
					var b bytes.Buffer
					whole := func() bool {
						return strings.HasSuffix(key.ReplaceAllString(b.String(), "KEY\r\n"), c.want[max(0, len(c.want)-9):])
					}
					for buf := make([]byte, size); !whole(); {
						n, err := s.Read(buf)
						if b.Write(buf[:n]); err != nil {
							t.Errorf("%v behind %q", err, b.String())
							break
						}
					}
					if h := s.Head(); len(h.Request) != len(c.fields)/2 || h.Request[0].Name != ":method" {
						t.Errorf("the head is told as %v", h.Request)
					}
					got <- b.String()
				}))
				p.fields(1, c.end && c.body == "", c.fields...)
				if c.body != "" {
					_ = p.WriteDataPadded(1, c.end, []byte(c.body), make([]byte, 100))
				}
				if c.trail != nil {
					p.fields(1, true, c.trail...)
				}
				if b := key.ReplaceAllString(<-got, "KEY\r\n"); b != c.want {
					t.Fatalf("got  %q\nwant %q", b, c.want)
				}
			}
		})
	}
}

// TestAnswersToHTTP2 has each HTTP/1.1 answer, cut at every byte, come out as
// HTTP/2.
func TestAnswersToHTTP2(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		fields       []string // the request; nil: GET
		close        bool     // CloseWrite behind it
		want         []string // heads, "|" and data, and how it ends
	}{
		{name: "101", fields: ws(), answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Whatever\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nSec-WebSocket-Accept: x\r\nX-Odd:  Case \r\n\r\nframes", close: true,
			want: []string{":status: 103\nlink: </a>\n", ":status: 200\nx-odd: Case\n", "|frames", "END"}},
		{name: "refused", fields: ws(), answer: "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\n\r\n",
			want: []string{":status: 403\ncontent-length: 2\n", "|no", "END"}},
		{name: "chunked", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0;z\r\n\r\n",
			want: []string{":status: 200\n", "|abcde", "END"}},
		{name: "trailers", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n",
			want: []string{":status: 200\n", "|abc", "x-sum: 3\n", "END"}},
		{name: "until close", answer: "HTTP/1.0 200 OK\r\nKeep-Alive: 5\r\n\r\nall of it", close: true, want: []string{":status: 200\n", "|all of it", "END"}},
		{name: "204", answer: "HTTP/1.1 204 No Content\r\n\r\n", want: []string{":status: 204\n", "END"}},
		{name: "HEAD", fields: append([]string{":method", "HEAD"}, get()[2:]...), answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", want: []string{":status: 200\ncontent-length: 10\n", "END"}},
		{name: "names HTTP/2 cannot carry", answer: "HTTP/1.1 204 No Content\r\nBad Name: 1\r\nBad: \x01\r\nGood: 1\r\n\r\n", want: []string{":status: 204\ngood: 1\n", "END"}},
		{name: "CONNECT", fields: []string{":method", "CONNECT", ":authority", "h.test:443"}, answer: "HTTP/1.1 200 OK\r\n\r\nbytes", close: true, want: []string{":status: 200\n", "|bytes", "END"}},
		{name: "101 unasked", answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", want: []string{"RST INTERNAL_ERROR"}},
		{name: "not HTTP", answer: "SSH-2.0-x\r\n\r\n", want: []string{"RST INTERNAL_ERROR"}},
		{name: "cut off", answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", close: true, want: []string{":status: 200\ncontent-length: 10\n", "|half", "RST INTERNAL_ERROR"}},
		{name: "cut off in a chunk", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", close: true, want: []string{":status: 200\n", "|half", "RST INTERNAL_ERROR"}},
		{name: "cut off in the head", answer: "HTTP/1.1 200 OK\r\n", close: true, want: []string{"RST INTERNAL_ERROR"}},
		{name: "broken chunk", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", want: []string{":status: 200\n", "RST INTERNAL_ERROR"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{1, 7, 4096} {
				p := client(t, serveH2(t, h2.Options{}, func(s *h2.Stream) {
					for rest := c.answer; rest != ""; {
						n := min(size, len(rest))
						if _, err := io.WriteString(s, rest[:n]); err != nil {
							break
						}
						rest = rest[n:]
					}
					if c.close {
						_ = s.CloseWrite()
					}
					_, _ = io.Copy(io.Discard, s)
				}))
				fields := c.fields
				if fields == nil {
					fields = get()
				}
				p.fields(1, fields[1] != "CONNECT", fields...)
				if got := p.transcript(1); strings.Join(got, "~") != strings.Join(c.want, "~") {
					t.Fatalf("in pieces of %d: got %q\nwant %q", size, got, c.want)
				}
			}
		})
	}
}

// transcript is what comes on a stream up to its end.
func (p *peer) transcript(id uint32) []string {
	p.Helper()
	var all []string
	for {
		f := p.await("end", func(f http2.Frame) bool { return f.Header().StreamID == id })
		end := false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			all, end = append(all, flat(f)), f.StreamEnded()
		case *http2.DataFrame:
			end = f.StreamEnded()
			if n := len(all); n > 0 && all[n-1][0] == '|' {
				all[n-1] += string(f.Data())
			} else if len(f.Data()) > 0 {
				all = append(all, "|"+string(f.Data()))
			}
		case *http2.RSTStreamFrame:
			return append(all, "RST "+f.ErrCode.String())
		}
		if end {
			return append(all, "END")
		}
	}
}

// TestRequestsToHTTP2 has each HTTP/1.1 request, cut at every byte, come out as
// HTTP/2.
func TestRequestsToHTTP2(t *testing.T) {
	for _, c := range []struct {
		name, request string
		close         bool
		want          []string
	}{
		{"upgrade", upgrade + "frames", true, []string{":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: example.test\n:path: /chat?x=1\nx-odd: Case\nsec-websocket-version: 13\nsec-websocket-protocol: chat\n", "|frames", "END"}},
		{"GET and another", "GET / HTTP/1.1\r\nHost: a.test\r\nTE: gzip, trailers\r\nKeep-Alive: 1\r\nAuthorization: b\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n", true,
			[]string{":method: GET\n:scheme: https\n:authority: a.test\n:path: /\nte: trailers\nauthorization: b\n", "END"}},
		{"absolute", "GET http://b.test:81?q HTTP/1.1\r\nHost: a.test\r\n\r\n", false, []string{":method: GET\n:scheme: https\n:authority: b.test:81\n:path: /?q\n", "END"}},
		{"h2c", "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", false, []string{":method: GET\n:scheme: https\n:authority: a.test\n:path: /\n", "END"}},
		{"body", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", false, []string{":method: POST\n:scheme: https\n:authority: a.test\n:path: /\ncontent-length: 3\n", "|abc", "END"}},
		{"chunks", "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n", false, []string{":method: POST\n:scheme: https\n:authority: a.test\n:path: /\n", "|abc", "x: 1\n", "END"}},
		{"cut off", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\na", true, []string{":method: POST\n:scheme: https\n:authority: a.test\n:path: /\ncontent-length: 3\n", "|a", "RST INTERNAL_ERROR"}},
		{"CONNECT", "CONNECT a.test:1 HTTP/1.1\r\nHost: a.test:1\r\n\r\nx", true, []string{":method: CONNECT\n:authority: a.test:1\n", "|x", "END"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, p := server(t, connectable)
			for i, size := range []int{1, 7, 4096} {
				s := open(t, conn)
				for rest := c.request; rest != ""; {
					n := min(size, len(rest))
					if _, err := io.WriteString(s, rest[:n]); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				if c.close {
					_ = s.CloseWrite()
				}
				if got := p.transcript(uint32(2*i + 1)); strings.Join(got, "~") != strings.Join(c.want, "~") {
					t.Fatalf("in pieces of %d: got %q\nwant %q", size, got, c.want)
				}
			}
		})
	}
	for _, bad := range []string{"GET x HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET /#a HTTP/1.1\r\nHost: a.test\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n", "\x00\x01 \r\n\r\n"} {
		conn, _ := server(t, connectable)
		s := open(t, conn)
		if _, err := io.WriteString(s, bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
		s.Close()
		if conn.Streams() != 0 {
			t.Errorf("%d streams", conn.Streams())
		}
	}
}

// TestAnswersToHTTP1 has each answer of a server's read as HTTP/1.1.
func TestAnswersToHTTP1(t *testing.T) {
	const accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	page := "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
	for _, c := range []struct {
		name, request string
		do            func(p *peer)
		want          string
	}{
		{"200 to an upgrade", upgrade, func(p *peer) {
			p.fields(1, false, ":status", "103", "link", "</a>")
			p.fields(1, false, ":status", "200", "sec-websocket-protocol", "chat", "content-length", "5", "sec-websocket-accept", "x")
			_ = p.WriteData(1, true, []byte("frames"))
		}, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + accepted + "sec-websocket-protocol: chat\r\n\r\nframes"},
		{"refused", upgrade, func(p *peer) {
			p.fields(1, false, ":status", "403", "x", "y")
			_ = p.WriteData(1, true, []byte("no"))
		}, "HTTP/1.1 403 Forbidden\r\nx: y\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nno\r\n0\r\n\r\n"},
		{"content-length", page, func(p *peer) {
			p.fields(1, false, ":status", "299", "content-length", "2")
			_ = p.WriteData(1, true, []byte("ok"))
		}, "HTTP/1.1 299 \r\ncontent-length: 2\r\nConnection: close\r\n\r\nok"},
		{"no body", page, func(p *peer) { p.fields(1, true, ":status", "200") }, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"204", page, func(p *peer) { p.fields(1, false, ":status", "204"); _ = p.WriteData(1, true, nil) }, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
		{"HEAD", strings.Replace(page, "GET", "HEAD", 1), func(p *peer) { p.fields(1, true, ":status", "200", "content-length", "9") }, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nConnection: close\r\n\r\n"},
		{"HTTP/1.0", strings.Replace(page, "/1.1", "/1.0", 1), func(p *peer) {
			p.fields(1, false, ":status", "200")
			_ = p.WriteData(1, true, []byte("old"))
		}, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nold"},
		{"trailers", page, func(p *peer) {
			p.fields(1, false, ":status", "200")
			_ = p.WriteData(1, false, []byte("a"))
			p.fields(1, true, "x-sum", "1", "host", "evil")
		}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\n\r\n"},
		{"whole, and then reset", page, func(p *peer) {
			p.fields(1, false, ":status", "200", "content-length", "1")
			_ = p.WriteData(1, true, []byte("a"))
			_ = p.WriteRSTStream(1, http2.ErrCodeNo)
		}, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nConnection: close\r\n\r\na"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, p := server(t, connectable)
			s := open(t, conn)
			_, _ = io.WriteString(s, c.request)
			p.awaitHeaders(1)
			c.do(p)
			got, err := io.ReadAll(s)
			if string(got) != c.want || err != nil {
				t.Errorf("%v\ngot  %q\nwant %q", err, got, c.want)
			}
			if h := s.Head(); len(h.Response) == 0 || h.Response[0].Name != ":status" || h.Request[0].Name != ":method" {
				t.Errorf("the heads are told as %v", h)
			}
		})
	}
}
