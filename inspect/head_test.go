package inspect

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

func TestParseRequest(t *testing.T) {
	h, err := ParseRequest([]byte("\r\nGET /a b?x HTTP/1.1\r\nhOsT: example \r\nX-Dup: 1\r\nx-dup:2\r\nEmpty:\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if h.Method != "GET" || h.Target != "/a b?x" || h.Proto != "HTTP/1.1" || h.Get("Host") != "example" || !h.IsUpgrade() || !h.Has("empty") {
		t.Errorf("%+v", h)
	}
	if got := strings.Join(h.Values("X-DUP"), "|"); got != "1|2" {
		t.Errorf("duplicates: %s", got)
	}
	if h.Problem == "" {
		t.Error("a space in the target is no problem")
	}
}

func TestParseHeadProblems(t *testing.T) {
	for _, tt := range []struct{ raw, problem, name, value string }{
		{"GET / HTTP/1.1\r\nA: b\r\n\r\n", "", "A", "b"},
		{"GET / HTTP/1.1\nA: b\n\n", "bare LF", "A", "b"},
		{"GET / HTTP/1.1\r\nA : b\r\n\r\n", "white space around", "A", "b"},
		{"GET / HTTP/1.1\r\nA: b\r\n  c\r\n\r\n", "folded", "A", "b c"},
		{"GET / HTTP/1.1\r\nA: b\r\nnonsense\r\n\r\n", "no colon", "A", "b"},
		{"GET / HTTP/1.1\r\nA(): b\r\n\r\n", "no token", "A()", "b"},
	} {
		h, err := ParseRequest([]byte(tt.raw))
		if err != nil || h.Get(tt.name) != tt.value || !strings.Contains(h.Problem, tt.problem) || (tt.problem == "") != (h.Problem == "") {
			t.Errorf("%q: %+v %v", tt.raw, h, err)
		}
	}
}

func TestParseHeadFails(t *testing.T) {
	for _, raw := range []string{"", "\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n", "G(T / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n\r\n"} {
		if h, err := ParseRequest([]byte(raw)); err == nil {
			t.Errorf("request %q: %+v", raw, h)
		}
	}
	for _, raw := range []string{"", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "ICY 200 OK\r\n\r\n"} {
		if h, err := ParseResponse([]byte(raw)); err == nil {
			t.Errorf("response %q: %+v", raw, h)
		}
	}
	h, err := ParseResponse([]byte("HTTP/1.0 404\r\n\r\n"))
	if err != nil || h.Status != 404 || h.Phrase != "" {
		t.Errorf("no phrase: %+v %v", h, err)
	}
	h, err = ParseResponse([]byte("HTTP/1.1 101 Web Socket Protocol Handshake\r\n\r\n"))
	if err != nil || h.Phrase != "Web Socket Protocol Handshake" {
		t.Errorf("%+v %v", h, err)
	}
}

func TestHeadScannerAnyCut(t *testing.T) {
	for _, raw := range []string{
		"GET / HTTP/1.1\r\nA: b\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nA: b\n\n", "GET / HTTP/1.1\r\nA: b\n\r\n", "A\rB\r\n\r\r\nC\r\n\r\n",
	} {
		stream := raw + "rest"
		for cut := 0; cut <= len(stream); cut++ {
			var s HeadScanner
			first, rest, err := s.Next([]byte(stream[:cut]))
			got := string(first)
			if first == nil && err == nil {
				if want := cut > 0; s.Started() != want || string(s.Partial()) != stream[:cut] {
					t.Fatalf("%q cut at %d: started=%v partial=%q", raw, cut, s.Started(), s.Partial())
				}
				first, rest, err = s.Next([]byte(stream[cut:]))
				got = string(first)
			} else {
				rest = []byte(string(rest) + stream[cut:])
			}
			if err != nil || got != raw || string(rest) != "rest" {
				t.Fatalf("%q cut at %d: %q %q %v", raw, cut, got, rest, err)
			}
		}
	}
}

func TestHeadScannerLimit(t *testing.T) {
	s := HeadScanner{Limit: 10}
	if _, _, err := s.Next([]byte("GET / H")); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Next([]byte("TTP/1.1\r\n\r\n"))
	var long *HeadTooLong
	if !errors.As(err, &long) || long.Limit != 10 || len(s.Partial()) != 10 {
		t.Errorf("%v, kept %d", err, len(s.Partial()))
	}
}

// FuzzHead: what net/http reads as a request's head, we read with the same
// fields; and the scanner takes the same bytes at any cut.
func FuzzHead(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nbody", 5)
	f.Add("\r\nPOST /x HTTP/1.0\nA:b\n\n", 1)
	f.Fuzz(func(t *testing.T, in string, cut int) {
		if cut < 0 || cut > len(in) {
			cut = len(in) / 2
		}
		var s HeadScanner
		raw, rest, err := s.Next([]byte(in))
		if err != nil {
			return
		}
		whole, after := string(raw), string(rest)
		var c HeadScanner
		raw, rest, _ = c.Next([]byte(in[:cut]))
		left := in[cut:]
		if raw == nil {
			raw, rest, _ = c.Next([]byte(in[cut:]))
			left = ""
		}
		if string(raw) != whole || whole != "" && string(rest)+left != after {
			t.Fatalf("%q cut at %d: %q, whole %q", in, cut, raw, whole)
		}
		if whole == "" {
			return
		}
		if whole+after != in {
			t.Fatalf("%q came out as %q and %q", in, whole, after)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(whole)))
		if err != nil {
			return
		}
		ours, err := ParseRequest([]byte(whole))
		if err != nil {
			if theirs.ProtoMajor == 1 && !strings.HasPrefix(in, "\r") && !strings.HasPrefix(in, "\n") {
				t.Fatalf("%q: net/http reads it, we say %v", in, err)
			}
			return
		}
		if ours.Method != theirs.Method {
			t.Fatalf("%q: method %q, net/http %q", in, ours.Method, theirs.Method)
		}
		for name, values := range theirs.Header {
			if name == "Host" || len(ours.Values(name)) == len(values) {
				continue
			}
			t.Fatalf("%q: %s is %q, net/http %q", in, name, ours.Values(name), values)
		}
	})
}

func readBody(b Body, chunks ...string) (content, rest string, wire int, err error) {
	for i, c := range chunks {
		p := []byte(c)
		for len(p) > 0 {
			data, r, done, err := b.Next(p)
			content += string(data)
			wire += len(p) - len(r)
			p = r
			if err != nil {
				return content, string(p), wire, err
			}
			if done {
				return content, string(p) + strings.Join(chunks[i+1:], ""), wire, nil
			}
		}
	}
	return content, "", wire, io.ErrUnexpectedEOF
}

func TestBody(t *testing.T) {
	for _, tt := range []struct{ name, head, method, stream, content, rest string }{
		{"length", "Content-Length: 5\r\n", "", "helloNEXT", "hello", "NEXT"},
		{"length twice the same", "Content-Length: 5, 5\r\nContent-Length: 5\r\n", "", "helloNEXT", "hello", "NEXT"},
		{"chunked", "Transfer-Encoding: chunked\r\n", "", "3;ext=\"x\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nNEXT", "abc0123456789", "NEXT"},
		{"chunked wins", "Content-Length: 1\r\nTransfer-Encoding: gzip, Chunked\r\n", "", "1\nx\n0\n\nNEXT", "x", "NEXT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := ParseRequest([]byte("POST / HTTP/1.1\r\n" + tt.head + "\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			for cut := 0; cut <= len(tt.stream); cut++ {
				b, err := RequestBody(h)
				if err != nil {
					t.Fatal(err)
				}
				content, rest, wire, err := readBody(b, tt.stream[:cut], tt.stream[cut:])
				if err != nil || content != tt.content || rest != tt.rest || wire != len(tt.stream)-len(tt.rest) {
					t.Fatalf("cut at %d: %q %q %d %v", cut, content, rest, wire, err)
				}
			}
		})
	}
}

func TestBodyNone(t *testing.T) {
	for _, tt := range []struct{ method, head string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		{"GET", "HTTP/1.1 204 x\r\n\r\n"},
		{"GET", "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"},
		{"GET", "HTTP/1.1 103 x\r\n\r\n"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	} {
		h, err := ParseResponse([]byte(tt.head))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := ResponseBody(h, tt.method); err != nil || !b.Done() {
			t.Errorf("%s %q: %+v %v", tt.method, tt.head, b, err)
		}
	}
	h, _ := ParseResponse([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	if b, err := ResponseBody(h, "GET"); err != nil || !b.UntilClose() || b.Done() {
		t.Errorf("until close: %+v %v", b, err)
	}
	h, _ = ParseRequest([]byte("GET / HTTP/1.1\r\n\r\n"))
	if b, err := RequestBody(h); err != nil || !b.Done() {
		t.Errorf("a GET has no body: %+v %v", b, err)
	}
}

func TestBodyFails(t *testing.T) {
	for _, head := range []string{"Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: -1\r\n", "Content-Length: +1\r\n", "Content-Length:\r\n", "Transfer-Encoding: gzip\r\n", "Content-Length: 99999999999999999999\r\n"} {
		h, err := ParseRequest([]byte("POST / HTTP/1.1\r\n" + head + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := RequestBody(h); err == nil {
			t.Errorf("%q: %+v", head, b)
		}
	}
	for _, stream := range []string{"x\r\n", "\r\n", "+1\r\na", "3\r\nabcd\r\n", "fffffffffffffffff\r\n", strings.Repeat("0", 5000)} {
		if _, _, _, err := readBody(Body{kind: chunked}, stream); err == nil || err == io.ErrUnexpectedEOF {
			t.Errorf("%.20q: %v", stream, err)
		}
	}
}

// FuzzChunked: what net/http reads of a chunked body, we read; and how it is
// cut makes no difference.
func FuzzChunked(f *testing.F) {
	f.Add("3\r\nabc\r\n0\r\n\r\n", uint64(1))
	f.Add("1;x\r\na\r\n00\r\nT: v\r\n\r\nrest", uint64(2))
	f.Fuzz(func(t *testing.T, in string, seed uint64) {
		content, rest, wire, err := readBody(Body{kind: chunked}, in)
		r := rand.New(rand.NewPCG(seed, 0))
		var chunks []string
		for p := in; p != ""; {
			n := min(len(p), 1+r.IntN(7))
			chunks = append(chunks, p[:n])
			p = p[n:]
		}
		content2, rest2, wire2, err2 := readBody(Body{kind: chunked}, chunks...)
		if content != content2 || wire != wire2 || (err == nil) != (err2 == nil) || err == nil && rest != rest2 {
			t.Fatalf("%q cut: %q %d %v, whole %q %d %v", in, content2, wire2, err2, content, wire, err)
		}
		resp, e := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+in)), nil)
		if e != nil {
			return
		}
		theirs, e := io.ReadAll(resp.Body)
		if e == nil && (err != nil || content != string(theirs)) {
			t.Fatalf("%q: net/http reads %q, we %q %v", in, theirs, content, err)
		}
	})
}
