package decode

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/wsproxy/wsproxy/inspect"
)

// bomb packs a great many zeros, which pack to very little.
func bomb(t *testing.T, how string, inside []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch how {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, _ = w.Write(inside)
		_ = w.Close()
	case "zlib":
		w := zlib.NewWriter(&b)
		_, _ = w.Write(inside)
		_ = w.Close()
	case "zstd":
		w, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(inside)
		_ = w.Close()
	}
	return b.Bytes()
}

// What peers may send to make a decoder work: each is decoded by every protocol, in
// bounded time and memory.
func TestHostile(t *testing.T) {
	zeros := make([]byte, 32<<20)
	gz := bomb(t, "gzip", zeros)
	for name, b := range map[string][]byte{
		"deep lists":            []byte(strings.Repeat("[", 1<<16)),
		"deep objects":          []byte(strings.Repeat(`{"a":`, 1<<16)),
		"deep and whole":        []byte(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)),
		"a number of 64 KiB":    []byte(`{"id":` + strings.Repeat("9", 1<<16) + `,"method":"x"}`),
		"an id of 64 KiB":       []byte(`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 1<<16) + `","method":"x"}`),
		"many documents":        bytes.Repeat([]byte(`{"id":1}`+"\n"), 1<<12),
		"many in a batch":       append(append([]byte(`[`), bytes.Repeat([]byte(`{"jsonrpc":"2.0","id":1,"method":"a"},`), 1<<11)...), []byte(`{}]`)...),
		"json in json":          []byte(`{"a":` + quoted(quoted(quoted(`{"b":[1]}`))) + `}`),
		"2^32 values":           {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01},
		"2^32 members":          {0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 'a', 1},
		"2^64 values":           {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"deep MessagePack":      bytes.Repeat([]byte{0x91}, 1<<16),
		"deep MessagePack, end": append(bytes.Repeat([]byte{0x91}, 1<<16), 0xc0),
		"deep CBOR":             bytes.Repeat([]byte{0x81}, 1<<16),
		"endless CBOR":          bytes.Repeat([]byte{0x9f}, 1<<16),
		"a varint of 10 bytes":  {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"protobuf in protobuf":  nestedProtobuf(400),
		"gzip bomb":             gz,
		"zlib bomb":             bomb(t, "zlib", zeros),
		"zstd bomb":             bomb(t, "zstd", zeros),
		"bombs in a bomb":       bomb(t, "gzip", bytes.Repeat(gz, 20)),
		"mqtt of 256 MiB":       {0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 'a'},
		"only line ends":        bytes.Repeat([]byte("\n"), 1<<16),
		"only separators":       bytes.Repeat([]byte{0x1e}, 1<<16),
		"only zeros":            make([]byte, 1<<16),
		"random":                noise(1 << 20),
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range table(t).Protocols() {
				if strings.Contains(name, "bomb") && !slices.Contains([]string{"text", "json", "mqtt", "kubernetes"}, p.Name) {
					continue // those that look at any bytes do so in the same way
				}
				s := table(t).Session(nil)
				if err := s.Force(p.Name); err != nil {
					t.Fatal(err)
				}
				hostile(t, s, p.Name, b)
			}
			hostile(t, table(t).Session(nil), "(guessed)", b)
		})
	}
}

func hostile(t *testing.T, s *Session, name string, b []byte) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := time.Now()
	for _, op := range []inspect.Opcode{inspect.OpText, inspect.OpBinary} {
		for _, d := range []inspect.Dir{inspect.ToClient, inspect.ToServer} {
			items := s.Message(&inspect.Message{Opcode: op, Dir: d, Data: b, First: 1, Last: 1})
			for i := range items[:min(len(items), 50)] {
				items[i].Line(200)
			}
		}
	}
	took := time.Since(begun)
	runtime.ReadMemStats(&after)
	if took > 5*time.Second { // on a slow machine under the race detector; it is milliseconds
		t.Errorf("%s took %v", name, took)
	}
	if int64(after.HeapAlloc)-int64(before.HeapAlloc) > 64<<20 { // most of it is garbage
		runtime.GC()
		runtime.ReadMemStats(&after)
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 64<<20 {
		t.Errorf("%s keeps %d MiB", name, kept>>20)
	}
	runtime.KeepAlive(s)
}

func quoted(s string) string { return string(quote(nil, s)) }

func nestedProtobuf(depth int) []byte {
	b := []byte{0x08, 0x01}
	for range depth {
		b = append(binary.AppendUvarint([]byte{0x0a}, uint64(len(b))), b...)
	}
	return b
}

// noise is bytes that mean nothing, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// A session remembers a bounded number of requests that nobody answers, and lets the
// oldest go.
func TestWaitingIsBounded(t *testing.T) {
	s := table(t).Session(nil)
	if err := s.Force("json-rpc"); err != nil {
		t.Fatal(err)
	}
	m := &inspect.Message{Opcode: inspect.OpText}
	for i := range 3 * maxWaiting {
		m.Data = []byte(`{"jsonrpc":"2.0","id":` + numberNode("", int64(i)).Text + `,"method":"m"}`)
		s.Message(m)
	}
	w := s.Waiting()
	if len(w) != maxWaiting || w[len(w)-1].N != 3*maxWaiting || w[0].N < 2*maxWaiting {
		t.Errorf("%d wait, from #%d to #%d", len(w), w[0].N, w[len(w)-1].N)
	}
	m.Dir, m.Data = inspect.ToClient, []byte(`{"jsonrpc":"2.0","id":`+w[len(w)-1].ID+`,"result":1}`)
	if it := s.Message(m)[0]; it.Answers != 3*maxWaiting || it.Of != "m" {
		t.Errorf("the newest was not found: %s", it.Line(100))
	}
	if len(s.order) > 3*maxWaiting {
		t.Errorf("the order has %d entries", len(s.order))
	}
}

// Whatever a message of a fixture is cut to, the rest of the conversation is decoded.
func TestTruncated(t *testing.T) {
	for _, name := range fixtures(t) {
		f := readFixture(t, name)
		for i, cut := range f.messages {
			for n := 0; n < min(len(cut.data), 64); n++ {
				s := table(t).Session(nil)
				if err := s.Force(filepath.Base(filepath.Dir(name))); err != nil {
					t.Fatal(err)
				}
				for k, m := range f.messages[max(0, i-1):min(len(f.messages), i+2)] {
					if m.op == 0 {
						continue
					}
					data := m.data
					if k == min(i, 1) {
						data = data[:min(n, len(data))]
					}
					checkItems(t, s, &inspect.Message{Dir: m.dir, Opcode: m.op, Data: data, First: uint64(k + 1), Last: uint64(k + 1)})
				}
			}
		}
	}
}
