package replay

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

func TestFrames(t *testing.T) {
	for _, tt := range []struct {
		name string
		line cassette.Line
		want []string
	}{
		{"text", text(down, "hi"), []string{"\x81\x02hi"}},
		{"json", js(down, "{}"), []string{"\x81\x02{}"}},
		{"empty", line(cassette.Binary, down, ""), []string{"\x82\x00"}},
		{"16-bit length", line(cassette.Binary, down, strings.Repeat("x", 126)), []string{"\x82\x7e\x00\x7e" + strings.Repeat("x", 126)}},
		{"fragments", fragments(text(down, "hello"), 1, 0, 4), []string{"\x01\x01h", "\x00\x00", "\x80\x04ello"}},
		{"lengths that do not add up", fragments(text(down, "hello"), 1, 1), []string{"\x01\x02he", "\x80\x03llo"}},
		{"compressed for a client that cannot", compressed(text(down, "hi")), []string{"\x81\x02hi"}},
		{"ping", line(cassette.Ping, down, "p"), []string{"\x89\x01p"}},
		{"pong", line(cassette.Pong, down, ""), []string{"\x8a\x00"}},
		{"close", closing(down, 1000, "bye"), []string{"\x88\x05\x03\xe8bye"}},
		{"empty close", closing(down, inspect.NoStatus, ""), []string{"\x88\x00"}},
		{"forbidden close", closing(down, 1006, ""), []string{"\x88\x02\x03\xee"}},
		{"raw", line(cassette.Raw, down, "\xf3\x01"), []string{"\xf3\x01"}},
	} {
		e := encoder{side: down}
		frames, err := e.frames(&tt.line)
		var got []string
		for _, f := range frames {
			got = append(got, string(f))
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

// What is compressed is inflated again with a window no larger than agreed, by
// an inflater that knows of no other.
func TestCompression(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 700)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	messages := []string{"", "hello hello", "hello hello", strings.Repeat("ab", 20000), string(random), string(random), string(random) + "x" + string(random), "{}"}
	for bits := 8; bits <= 15; bits++ {
		for _, takeover := range []bool{true, false} {
			d := &inspect.Deflate{ServerMaxWindowBits: bits, ClientMaxWindowBits: 15, ServerNoContextTakeover: !takeover}
			e := encoder{side: down, deflate: d}
			f := inspect.NewInflater(takeover, bits, 1<<20)
			for i, m := range messages {
				l := compressed(text(down, m))
				if i%2 == 1 {
					l.Frames = []int{len(m) / 2, 0, len(m) - len(m)/2}
				}
				frames, err := e.frames(&l)
				if err != nil {
					t.Fatal(err)
				}
				for n, x := range frames {
					h, _ := inspect.ParseHeader(x)
					if h.Rsv1() != (n == 0) || h.Fin() != (n == len(frames)-1) || (h.Opcode() == inspect.OpText) != (n == 0) || !h.Minimal() || int(h.Length()) != len(x)-h.Len() {
						t.Errorf("message %d frame %d: %v", i, n, h)
					}
				}
				if want := max(1, len(l.Frames)); len(frames) != want {
					t.Errorf("%d frames, want %d", len(frames), want)
				}
				if got := inflated(t, f, frames...); got != m {
					t.Errorf("bits %d, takeover %v, message %d: %d bytes, want %d", bits, takeover, i, len(got), len(m))
				}
			}
		}
	}
}

// The window goes on from message to message only where that is agreed.
func TestTakeover(t *testing.T) {
	size := func(takeover bool) int {
		e := encoder{side: down, deflate: &inspect.Deflate{ServerMaxWindowBits: 15, ServerNoContextTakeover: !takeover}}
		n := 0
		for range 2 {
			l := compressed(text(down, "a message that is not long at all, but longer than its number"))
			frames, err := e.frames(&l)
			if err != nil {
				t.Fatal(err)
			}
			n = len(frames[0])
		}
		return n
	}
	if with, without := size(true), size(false); with > without/2 {
		t.Errorf("the same message again is %d bytes with context takeover and %d without", with, without)
	}
}

// An odd compressed frame is in the client's window and not in ours: what comes
// next must not count on where things are.
func TestCompressionBehindRaw(t *testing.T) {
	d := &inspect.Deflate{ServerMaxWindowBits: 15}
	e := encoder{side: down, deflate: d}
	f := inspect.NewInflater(true, 15, 1<<20)
	send := func(l cassette.Line, header int) {
		frames, err := e.frames(&l)
		if err != nil {
			t.Fatal(err)
		}
		data, _, err := f.Message(frames[0][header:])
		if err != nil || !bytes.Contains(data, []byte("hello hello")) {
			t.Fatalf("%q %v", data, err)
		}
	}
	send(compressed(text(down, "hello hello 1")), 2)
	other := &deflater{}
	if o, err := newDeflater(15); err != nil {
		t.Fatal(err)
	} else {
		other = o
	}
	zip, err := other.message([]byte("hello hello, in a frame whose length is not minimal"))
	if err != nil {
		t.Fatal(err)
	}
	send(line(cassette.Raw, down, "\xc1\x7e\x00"+string(rune(len(zip)))+string(zip)), 4)
	send(compressed(text(down, "hello hello 1")), 2)
}
