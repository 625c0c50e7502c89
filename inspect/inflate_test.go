package inspect

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// oneShot inflates messages as one stream, with the standard library.
func oneShot(t testing.TB, messages []string) string {
	t.Helper()
	all := strings.Join(messages, "\x00\x00\xff\xff") + "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
	out, err := io.ReadAll(flate.NewReader(strings.NewReader(all)))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestInflaterRFC7692(t *testing.T) {
	for _, tt := range []struct{ name, in string }{ // RFC 7692 section 7.2.3
		{"one block", "\xf2\x48\xcd\xc9\xc9\x07\x00"},
		{"no compression", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"},
		{"final block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"},
		{"two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewInflater(true, 15, 1<<20)
			if data, size, err := f.Message([]byte(tt.in)); err != nil || string(data) != "Hello" || size != 5 {
				t.Errorf("%q %d %v", data, size, err)
			}
		})
	}
	f := NewInflater(true, 15, 1<<20)
	for _, in := range []string{"\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf2\x00\x11\x00\x00"} { // section 7.2.3.2
		if data, _, err := f.Message([]byte(in)); err != nil || string(data) != "Hello" {
			t.Errorf("%q %v", data, err)
		}
	}
}

func TestInflaterAgainstOneShot(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for level := 1; level <= 9; level++ {
		var d deflated
		d.w, _ = flate.NewWriter(&d.buf, level)
		var texts, messages []string
		for range 60 {
			n := []int{0, 1, 20, 300, 5000, 70000}[r.IntN(6)]
			text := strings.Repeat(string(rune('a'+r.IntN(26)))+"bcdefgh", n/8+1)[:n]
			if r.IntN(3) == 0 {
				b := make([]byte, n)
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				text = string(b)
			}
			texts = append(texts, text)
			messages = append(messages, d.message(text))
		}
		if oneShot(t, messages) != strings.Join(texts, "") {
			t.Fatal("the oracle does not agree with itself")
		}
		f := NewInflater(true, 15, 1<<20)
		for i, m := range messages {
			data, size, err := f.Message([]byte(m))
			if err != nil || string(data) != texts[i] || size != int64(len(texts[i])) {
				t.Fatalf("level %d, message %d of %d bytes: %d bytes, %v", level, i, len(texts[i]), size, err)
			}
			if i%7 == 0 { // a checkpoint and back
				g := NewInflater(true, 15, 1<<20)
				g.SetWindow(f.Window())
				f = g
			}
		}
	}
}

func TestInflaterNoTakeover(t *testing.T) {
	f := NewInflater(false, 15, 100)
	var d deflated
	m := d.message("Hello Hello Hello")
	for range 3 {
		if data, _, err := f.Message([]byte(m)); err != nil || string(data) != "Hello Hello Hello" {
			t.Fatalf("%q %v", data, err)
		}
	}
	if _, _, err := f.Message([]byte("\xff\xff\xff")); err == nil {
		t.Error("damage went unseen")
	}
	if data, _, err := f.Message([]byte(m)); err != nil || f.IsLost() {
		t.Errorf("a damaged message without takeover hurt the next: %q %v", data, err)
	}
	if second := d.message("Hello Hello Hello"); f.takeover || len(f.Window()) != 0 {
		if _, _, err := f.Message([]byte(second)); err == nil {
			t.Error("inflated a message that needs the window")
		}
	}
}

func TestInflaterDamage(t *testing.T) {
	f := NewInflater(true, 15, 100)
	if _, _, err := f.Message([]byte("\xff\xff\xff")); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("damaged: %v", err)
	}
	var d deflated
	if _, _, err := f.Message([]byte(d.message("fine"))); !errors.Is(err, ErrLost) || !f.IsLost() {
		t.Errorf("behind the damage: %v", err)
	}
	f = NewInflater(true, 15, 100)
	if data, _, err := f.Message([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00more")); err == nil {
		t.Errorf("bytes behind a final block: %q", data)
	}
	f = NewInflater(true, 15, 100)
	if data, _, err := f.Message([]byte("\x00\x05\x00\xfa\xffHe")); err == nil {
		t.Errorf("a stored block that swallows the tail: %q", data)
	}
}

func TestInflaterBomb(t *testing.T) {
	var d deflated
	bomb, after := d.message(strings.Repeat("\x00", 8<<20)), d.message("after\x00\x00\x00\x00\x00\x00")
	f := NewInflater(true, 15, 1000)
	data, size, err := f.Message([]byte(bomb))
	if err != nil || len(data) != 1000 || size != 8<<20 {
		t.Fatalf("%d of %d bytes, %v", len(data), size, err)
	}
	if data, _, err = f.Message([]byte(after)); err != nil || string(data) != "after\x00\x00\x00\x00\x00\x00" {
		t.Errorf("%q %v", data, err)
	}
	if n := cap(f.dict); n > 256<<10 {
		t.Errorf("the window takes %d bytes", n)
	}
}

// FuzzInflater: however the text is cut into messages, what is inflated is the
// text, as one stream through the standard library says too.
func FuzzInflater(f *testing.F) {
	f.Add([]byte("hello hello hello hello"), uint64(1), uint8(6))
	f.Add(bytes.Repeat([]byte("abc"), 5000), uint64(2), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64, level uint8) {
		if len(text) > 1<<16 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		var d deflated
		d.w, _ = flate.NewWriter(&d.buf, int(level%10))
		in := NewInflater(true, 15, 1<<16)
		var messages []string
		for rest := text; ; {
			n := r.IntN(min(len(rest), 3000) + 1)
			m := d.message(string(rest[:n]))
			messages = append(messages, m)
			data, size, err := in.Message([]byte(m))
			if err != nil || !bytes.Equal(data, rest[:n]) || size != int64(n) {
				t.Fatalf("message %d: %d bytes of %d, %v", len(messages), size, n, err)
			}
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
		if oneShot(t, messages) != string(text) {
			t.Fatal("the oracle says something else")
		}
	})
}

// FuzzInflaterGarbage: no input makes it panic, keep more than its limit, or
// disagree with the standard library about what a message holds.
func FuzzInflaterGarbage(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"))
	f.Add([]byte("\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		in := NewInflater(true, 15, 1<<20)
		data, size, err := in.Message(b)
		if int64(len(data)) > 1<<20 || size < int64(len(data)) {
			t.Fatalf("%d bytes kept of %d", len(data), size)
		}
		if err != nil {
			return
		}
		want, e := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(append(b[:len(b):len(b)], deflateTail...))), 1<<20))
		if e != nil || !bytes.Equal(data, want) {
			t.Fatalf("%d bytes, the standard library says %d, %v", len(data), len(want), e)
		}
	})
}
