package explain

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

func header(t testing.TB, raw string) inspect.Header {
	t.Helper()
	h, ok := inspect.ParseHeader([]byte(raw))
	if !ok || h.Len() != len(raw) {
		t.Fatalf("%x is no header", raw)
	}
	return h
}

const ruler = `
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1`

func TestDiagram(t *testing.T) {
	for _, test := range []struct {
		name, raw, want string
	}{
		{"masked text", "\x81\x85\x37\xfa\x21\x3d", `
+-+-+-+-+-------+-+-------------+-------------------------------+
|F|R|R|R|opcode |M| Payload len |          Masking-key          |
|I|S|S|S|  (4)  |A|     (7)     |                               |
|N|V|V|V|       |S|             |                               |
| |1|2|3|       |K|             |                               |
|1|0|0|0|0 0 0 1|1|0 0 0 0 1 0 1|0 0 1 1 0 1 1 1 1 1 1 1 1 0 1 0|
| | | | | text  | |      5      |             37 fa             |
+-+-+-+-+-------+-+-------------+-------------------------------+
|      Masking-key (cont.)      |         Payload data          |
|0 0 1 0 0 0 0 1 0 0 1 1 1 1 0 1|                               |
|             21 3d             |            5 bytes            |
+-------------------------------+-------------------------------+`},
		{"empty ping", "\x89\x00", `
+-+-+-+-+-------+-+-------------+
|F|R|R|R|opcode |M| Payload len |
|I|S|S|S|  (4)  |A|     (7)     |
|N|V|V|V|       |S|             |
| |1|2|3|       |K|             |
|1|0|0|0|1 0 0 1|0|0 0 0 0 0 0 0|
| | | | | ping  | |      0      |
+-+-+-+-+-------+-+-------------+`},
		{"16-bit length, no mask", "\x02\x7e\x01\x00", `
+-+-+-+-+-------+-+-------------+-------------------------------+
|F|R|R|R|opcode |M| Payload len |    Extended payload length    |
|I|S|S|S|  (4)  |A|     (7)     |                               |
|N|V|V|V|       |S|             |                               |
| |1|2|3|       |K|             |                               |
|0|0|0|0|0 0 1 0|0|1 1 1 1 1 1 0|0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0|
| | | | |binary | |     126     |          01 00 = 256          |
+-+-+-+-+-------+-+-------------+-------------------------------+
|                         Payload data                          |
|                           256 bytes                           |
+---------------------------------------------------------------+`},
		{"everything set, nothing in it", "\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04", `
+-+-+-+-+-------+-+-------------+-------------------------------+
|F|R|R|R|opcode |M| Payload len |    Extended payload length    |
|I|S|S|S|  (4)  |A|     (7)     |                               |
|N|V|V|V|       |S|             |                               |
| |1|2|3|       |K|             |                               |
|1|1|1|1|1 1 1 1|1|1 1 1 1 1 1 1|0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0|
| | | | |  0xf  | |     127     |             00 00             |
+-+-+-+-+-------+-+-------------+-------------------------------+
|                Extended payload length (cont.)                |
|0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0|
|                          00 00 00 00                          |
+-------------------------------+-------------------------------+
|Extended payload length (cont.)|          Masking-key          |
|0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0|0 0 0 0 0 0 0 1 0 0 0 0 0 0 1 0|
|           00 00 = 0           |             01 02             |
+-------------------------------+-------------------------------+
|      Masking-key (cont.)      |
|0 0 0 0 0 0 1 1 0 0 0 0 0 1 0 0|
|             03 04             |
+-------------------------------+`},
		{"longest length", "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", `
+-+-+-+-+-------+-+-------------+-------------------------------+
|F|R|R|R|opcode |M| Payload len |    Extended payload length    |
|I|S|S|S|  (4)  |A|     (7)     |                               |
|N|V|V|V|       |S|             |                               |
| |1|2|3|       |K|             |                               |
|1|0|0|0|0 0 1 0|0|1 1 1 1 1 1 1|1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1|
| | | | |binary | |     127     |             ff ff             |
+-+-+-+-+-------+-+-------------+-------------------------------+
|                Extended payload length (cont.)                |
|1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1|
|                          ff ff ff ff                          |
+-------------------------------+-------------------------------+
|Extended payload length (cont.)|         Payload data          |
|1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1|                               |
| ff ff = 18446744073709551615  |  18446744073709551615 bytes   |
+-------------------------------+-------------------------------+`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(Diagram(header(t, test.raw)), "\n")
			if want := strings.TrimPrefix(ruler+test.want, "\n"); got != want {
				t.Errorf("diagram:\n%s\nwant:\n%s", got, want)
			}
		})
	}
	if got := Diagram(inspect.Header{}); got != nil {
		t.Errorf("the diagram of no header is %q", got)
	}
}

// headers are one of each shape: every length form, masked or not.
func headers() []inspect.Header {
	var all []inspect.Header
	for first := range 256 {
		for _, form := range []int{7, 16, 64} {
			for _, masked := range []bool{false, true} {
				for _, n := range []uint64{0, 1, 125, 126, 65535, 65536, 1 << 40, 1<<64 - 1} {
					all = append(all, inspect.NewHeader(inspect.Fields{
						Fin: first&0x80 != 0, Rsv1: first&0x40 != 0, Rsv2: first&0x20 != 0, Rsv3: first&0x10 != 0,
						Opcode: inspect.Opcode(first & 15), Masked: masked, Key: [4]byte{0xa5, byte(first), 0, 0xff}, Form: form, Length: n}))
				}
			}
		}
	}
	return all
}

// The bits in the figure, read from left to right, are the bytes of the header.
func TestDiagramHoldsTheHeader(t *testing.T) {
	for _, h := range headers() {
		var bits strings.Builder
		lines := Diagram(h)
		for _, line := range lines {
			if len(line) > 65 {
				t.Fatalf("%s: %q has %d columns", h, line, len(line))
			}
			if isBits(line) {
				for _, c := range line {
					if c == '0' || c == '1' {
						bits.WriteRune(c)
					}
				}
			}
		}
		want := ""
		for _, b := range h.Raw() {
			want += fmt.Sprintf("%08b", b)
		}
		if bits.String() != want {
			t.Fatalf("%s: the figure holds the bits\n%s, the header\n%s", h, bits.String(), want)
		}
		shows := strings.Contains(strings.Join(lines, "\n"), "Payload data")
		if shows != (h.Length() > 0) {
			t.Fatalf("%s: a box for the payload: %v", h, shows)
		}
	}
}

// isBits tells the rows of bits: nothing but digits 0 and 1, each alone.
func isBits(line string) bool {
	cells := strings.FieldsFunc(line, func(r rune) bool { return r == '|' || r == ' ' })
	return strings.HasPrefix(line, "|") && len(cells) >= 16 &&
		!slices.ContainsFunc(cells, func(c string) bool { return c != "0" && c != "1" })
}
