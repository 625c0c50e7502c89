package ui

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/wsproxy/wsproxy/inspect"
)

func encoded(t *testing.T, encoding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw":
		w, err = flate.NewWriter(&b, 6)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecoded(t *testing.T) {
	text := strings.Repeat("a body that repeats itself ", 2000)
	for i := range 2000 { // and does not
		text += fmt.Sprintf("%x ", i*i*i)
	}
	for name, encoding := range map[string]string{"gzip": "GZip", "deflate": "deflate", "raw": "deflate", "br": "BR", "zstd": " zstd "} {
		body := encoded(t, name, text)
		if got, whole, ok := decoded(body, encoding); string(got) != text || !whole || !ok {
			t.Errorf("%s: %d bytes, %v, %v", name, len(got), whole, ok)
		}
		if name == "zstd" { // it is one block
			continue
		}
		if got, whole, ok := decoded(body[:len(body)/2], encoding); !strings.HasPrefix(text, string(got)) || whole || !ok {
			t.Errorf("half of %s: %d bytes, %v, %v", name, len(got), whole, ok)
		}
	}
	for _, encoding := range []string{"gzip", "zstd", "br", "", "identity"} {
		if _, _, ok := decoded([]byte("no such thing"), encoding); ok {
			t.Errorf("%q is taken", encoding)
		}
	}
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		bomb := encoded(t, encoding, strings.Repeat("0", 3*decodedLimit))
		if got, whole, ok := decoded(bomb, encoding); len(got) != decodedLimit || whole || !ok {
			t.Errorf("of a bomb in %s: %d bytes, %v, %v", encoding, len(got), whole, ok)
		}
	}
	if got, whole, ok := decoded([]byte("\x0b\x02\x80hello\x03"), "br"); string(got) != "hello" || !whole || !ok { // RFC 7932, by hand
		t.Errorf("hello in br is %q, %v, %v", got, whole, ok)
	}
}

// An encoded body is shown as what it is.
func TestEncodedBody(t *testing.T) {
	m := maker{}
	m.width = 100
	head := &inspect.Head{Fields: []inspect.HeaderField{{Name: "Content-Type", Value: "application/json"}, {Name: "Content-Encoding", Value: "gzip"}}}
	body := encoded(t, "gzip", `{"answer":42}`)
	m.body(&inspect.Payload{Size: int64(len(body)), Data: body}, head)
	text := ""
	for i := range m.lines {
		text += m.lines[i].String() + "\n"
	}
	wants(t, text, "application/json, encoded as gzip, shown decoded", `"answer": 42`)
}
