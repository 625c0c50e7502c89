package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// box is a field, or the part of one that stands in one row.
type box struct {
	names []string // one below the other
	width int      // bits
	bits  []byte   // '0' and '1', width of them; nil for the payload
	value string
}

// rowBits is how many bits the RFC draws in a row.
const rowBits = 32

// Diagram is the figure of RFC 6455 section 5.2, drawn for this frame: only its
// own fields, with their bits and what they stand for. Lines have at most 65
// columns; the zero Header has none.
func Diagram(h inspect.Header) []string {
	if h.Len() == 0 {
		return nil
	}
	out := []string{
		" 0                   1                   2                   3",
		" 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1",
	}
	var above []box
	for _, row := range rows(h) {
		out = append(out, border(above, row))
		out = append(out, draw(row)...)
		above = row
	}
	return append(out, border(above, nil))
}

// rows are the frame's fields, cut where a row is full.
func rows(h inspect.Header) [][]box {
	raw := h.Raw()
	var bits []byte
	for _, b := range raw {
		bits = fmt.Appendf(bits, "%08b", b)
	}
	take := func(n int) []byte {
		b := bits[:n]
		bits = bits[n:]
		return b
	}
	all := [][]box{{
		{[]string{"F", "I", "N"}, 1, take(1), ""},
		{[]string{"R", "S", "V", "1"}, 1, take(1), ""},
		{[]string{"R", "S", "V", "2"}, 1, take(1), ""},
		{[]string{"R", "S", "V", "3"}, 1, take(1), ""},
		{[]string{"opcode", "(4)"}, 4, take(4), h.Opcode().String()},
		{[]string{"M", "A", "S", "K"}, 1, take(1), ""},
		{[]string{"Payload len", "(7)"}, 7, take(7), fmt.Sprint(raw[1] & 0x7f)},
	}}
	used := 16 // bits of the last row
	place := func(name string, width int, value string) {
		for again := ""; width > 0; again = " (cont.)" {
			if used == rowBits {
				all, used = append(all, nil), 0
			}
			n := min(width, rowBits-used)
			b := box{names: []string{name + again}, width: n}
			if len(bits) >= width {
				b.bits = take(n)
				b.value = octets(raw[len(raw)-len(bits)/8-n/8 : len(raw)-len(bits)/8])
			}
			width, used = width-n, used+n
			if width == 0 {
				b.value += value
			}
			all[len(all)-1] = append(all[len(all)-1], b)
		}
	}
	if f := h.Form(); f > 7 {
		place("Extended payload length", f, fmt.Sprintf(" = %d", h.Length()))
	}
	if h.Masked() {
		place("Masking-key", 32, "")
	}
	if n := h.Length(); n > 0 {
		place("Payload data", rowBits-used%rowBits, count(n))
	}
	return all
}

// border is the line between two rows, with a corner wherever either has one.
func border(above, below []box) string {
	var line []byte
	for _, row := range [][]box{above, below} {
		at := 0
		for _, b := range row {
			for len(line) < at+2*b.width+1 {
				line = append(line, '-')
			}
			line[at] = '+'
			at += 2 * b.width
			line[at] = '+'
		}
	}
	return string(line)
}

// draw is a row without its borders: names, then bits, then values.
func draw(row []box) []string {
	tall := 0
	bits, values := false, false
	for _, b := range row {
		tall = max(tall, len(b.names))
		bits = bits || b.bits != nil
		values = values || b.value != ""
	}
	cells := make([][]string, 0, len(row))
	for _, b := range row {
		cell := make([]string, tall, tall+2)
		copy(cell, b.names)
		if bits {
			cell = append(cell, strings.Join(strings.Split(string(b.bits), ""), " "))
		}
		if values {
			cell = append(cell, b.value)
		}
		cells = append(cells, cell)
	}
	var out []string
	for i := range cells[0] {
		var line strings.Builder
		for j, b := range row {
			line.WriteString("|" + middle(cells[j][i], 2*b.width-1))
		}
		out = append(out, line.String()+"|")
	}
	return slices.Clip(out)
}

// middle puts s into the middle of n columns.
func middle(s string, n int) string {
	left := max(n-len(s), 0) / 2
	return fmt.Sprintf("%-*s", n, strings.Repeat(" ", left)+s)
}
