package inspect

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// scanned is what a scanner found: the bytes it accounts for and the frames.
type scanned struct {
	bytes  []byte // headers and payloads put together again
	frames []Header
	loads  []string
}

func scanAll(chunks ...[]byte) (out scanned) {
	var s Scanner
	var part []byte
	for _, p := range chunks {
		for len(p) > 0 {
			h, begun, payload, rest := s.Next(p)
			p = rest
			if begun {
				out.frames = append(out.frames, h)
				out.loads = append(out.loads, "")
				out.bytes = h.Append(out.bytes)
			}
			out.bytes = append(out.bytes, payload...)
			if len(payload) > 0 {
				out.loads[len(out.loads)-1] += string(payload)
			}
		}
		part = s.Partial()
	}
	out.bytes = append(out.bytes, part...)
	return out
}

func TestScanner(t *testing.T) {
	stream := "\x81\x05Hello" + "\x89\x00" + "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" + "\x82\x7e\x00\x03abc" + "\x88"
	for cut := 0; cut <= len(stream); cut++ {
		got := scanAll([]byte(stream[:cut]), []byte(stream[cut:]))
		if string(got.bytes) != stream {
			t.Fatalf("cut at %d: % x", cut, got.bytes)
		}
		if want := []string{"Hello", "", "\x7f\x9f\x4d\x51\x58", "abc"}; len(got.loads) != 4 || got.loads[0] != want[0] || got.loads[1] != want[1] || got.loads[2] != want[2] || got.loads[3] != want[3] {
			t.Fatalf("cut at %d: %q", cut, got.loads)
		}
	}
}

func TestScannerBoundary(t *testing.T) {
	var s Scanner
	for i, b := range []byte("\x81\x02hi\x81") {
		if want := i == 0 || i == 4; s.AtBoundary() != want {
			t.Errorf("before byte %d: boundary=%v", i, s.AtBoundary())
		}
		s.Next([]byte{b})
	}
	if got := s.Partial(); string(got) != "\x81" {
		t.Errorf("partial header % x", got)
	}
}

// A frame that claims 2^64-1 bytes costs nothing.
func TestScannerBelievesNoLength(t *testing.T) {
	var s Scanner
	chunk := append([]byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), make([]byte, 1000)...)
	if n := testing.AllocsPerRun(100, func() {
		s = Scanner{}
		s.Next(chunk)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if want := uint64(1<<64 - 1 - 1000); s.Left() != want {
		t.Errorf("%d bytes left, want %d", s.Left(), want)
	}
}

func TestScannerSkip(t *testing.T) {
	var s Scanner
	s.Next([]byte("\x81\x0aab"))
	s.Skip(5)
	if s.Left() != 3 {
		t.Errorf("left %d, want 3", s.Left())
	}
}

// FuzzScanner: the frames account for every byte, the same at any cut.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("\x81\x05Hello\x89\x00\x82\x7e\x00\x03abc"), uint64(1))
	f.Add([]byte("\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff1234payload"), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		whole := scanAll(b)
		if !bytes.Equal(whole.bytes, b) {
			t.Fatalf("% x came out as % x", b, whole.bytes)
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var chunks [][]byte
		for p := b; len(p) > 0; {
			n := min(len(p), 1+r.IntN(9))
			chunks = append(chunks, p[:n])
			p = p[n:]
		}
		cut := scanAll(chunks...)
		if !bytes.Equal(cut.bytes, b) || len(cut.frames) != len(whole.frames) {
			t.Fatalf("% x cut: % x, %d frames, whole %d", b, cut.bytes, len(cut.frames), len(whole.frames))
		}
		for i := range cut.frames {
			if cut.frames[i] != whole.frames[i] || cut.loads[i] != whole.loads[i] {
				t.Fatalf("frame %d differs: %v and %v", i, cut.frames[i], whole.frames[i])
			}
		}
	})
}

func TestMask(t *testing.T) {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := []byte("Hello") // RFC 6455 section 5.7
	if Mask(key, 0, b); string(b) != "\x7f\x9f\x4d\x51\x58" {
		t.Errorf("% x", b)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		plain := make([]byte, n)
		for i := range plain {
			plain[i] = byte(r.Uint32())
		}
		pos := int64(r.IntN(1000))
		want := bytes.Clone(plain)
		for i := range want {
			want[i] ^= key[(pos+int64(i))%4]
		}
		got := bytes.Clone(plain)
		cut := r.IntN(n + 1)
		Mask(key, pos, got[:cut])
		Mask(key, pos+int64(cut), got[cut:])
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes from %d, cut at %d: % x, want % x", n, pos, cut, got, want)
		}
	}
}

func BenchmarkMask(b *testing.B) {
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		Mask([4]byte{1, 2, 3, 4}, 0, p)
	}
}

func BenchmarkScanner(b *testing.B) {
	p := bytes.Repeat(NewHeader(Fields{Fin: true, Opcode: OpText, Length: 32}).Append(nil), 1)
	p = append(p, make([]byte, 32)...)
	p = bytes.Repeat(p, 1000)
	b.SetBytes(int64(len(p)))
	var s Scanner
	for b.Loop() {
		for q := p; len(q) > 0; {
			_, _, _, q = s.Next(q)
		}
	}
}
