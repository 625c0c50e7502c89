package inspect

import (
	"bytes"
	"testing"
)

func TestHeader(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		f         Fields
		minimal   bool
		text      string
	}{
		{"hello unmasked", "\x81\x05", Fields{Fin: true, Opcode: OpText, Length: 5}, true, "text 5 fin"},
		{"hello masked", "\x81\x85\x37\xfa\x21\x3d", Fields{Fin: true, Opcode: OpText, Masked: true, Key: [4]byte{0x37, 0xfa, 0x21, 0x3d}, Length: 5}, true, "text 5 fin mask=37fa213d"},
		{"256 bytes", "\x82\x7e\x01\x00", Fields{Fin: true, Opcode: OpBinary, Length: 256}, true, "binary 256 fin"},
		{"64 KiB", "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", Fields{Fin: true, Opcode: OpBinary, Length: 65536}, true, "binary 65536 fin"},
		{"non-minimal 16", "\x81\x7e\x00\x05", Fields{Fin: true, Opcode: OpText, Length: 5, Form: 16}, false, "text 5 fin len16"},
		{"non-minimal 64", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Fields{Fin: true, Opcode: OpText, Length: 65535, Form: 64}, false, "text 65535 fin len64"},
		{"all reserved", "\x73\x00", Fields{Rsv1: true, Rsv2: true, Rsv3: true, Opcode: 3}, true, "0x3 0 rsv1 rsv2 rsv3"},
		{"2^64-1", "\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff", Fields{Fin: true, Length: 1<<64 - 1}, true, "cont 18446744073709551615 fin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := NewHeader(tt.f)
			if string(h.Raw()) != tt.raw {
				t.Fatalf("NewHeader: % x, want % x", h.Raw(), tt.raw)
			}
			p, ok := ParseHeader([]byte(tt.raw + "payload"))
			if !ok || p != h {
				t.Fatalf("ParseHeader: % x %v", p.Raw(), ok)
			}
			got := Fields{p.Fin(), p.Rsv1(), p.Rsv2(), p.Rsv3(), p.Opcode(), p.Masked(), p.Key(), p.Length(), tt.f.Form}
			if got != tt.f || p.Minimal() != tt.minimal || p.String() != tt.text || p.Len() != len(tt.raw) {
				t.Errorf("%+v minimal=%v %q len=%d", got, p.Minimal(), p.String(), p.Len())
			}
			for n := range tt.raw {
				if _, ok := ParseHeader([]byte(tt.raw[:n])); ok {
					t.Errorf("%d of %d bytes were taken for a header", n, len(tt.raw))
				}
			}
		})
	}
}

func TestOpcode(t *testing.T) {
	for op, want := range map[Opcode]struct {
		text              string
		control, reserved bool
	}{
		0: {"cont", false, false}, 1: {"text", false, false}, 2: {"binary", false, false}, 3: {"0x3", false, true}, 7: {"0x7", false, true},
		8: {"close", true, false}, 9: {"ping", true, false}, 10: {"pong", true, false}, 11: {"0xb", true, true}, 15: {"0xf", true, true},
	} {
		if op.String() != want.text || op.Control() != want.control || op.Reserved() != want.reserved {
			t.Errorf("%d: %q control=%v reserved=%v", op, op, op.Control(), op.Reserved())
		}
	}
}

// FuzzHeader: what parses serialises to the same bytes, and its fields make the
// same header again.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("\x81\x85\x37\xfa\x21\x3d\x7f"))
	f.Add([]byte("\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff1234"))
	f.Add([]byte("\x81\x7e\x00\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := ParseHeader(b)
		if !ok {
			if len(b) >= maxHeader {
				t.Fatalf("% x is no header", b)
			}
			return
		}
		if !bytes.HasPrefix(b, h.Raw()) || !bytes.Equal(h.Append(nil), h.Raw()) {
			t.Fatalf("% x became % x", b, h.Raw())
		}
		again := NewHeader(Fields{h.Fin(), h.Rsv1(), h.Rsv2(), h.Rsv3(), h.Opcode(), h.Masked(), h.Key(), h.Length(), h.Form()})
		if again != h {
			t.Fatalf("% x from the fields of % x", again.Raw(), h.Raw())
		}
	})
}
