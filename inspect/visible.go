package inspect

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible makes hostile text safe to show on one line of a terminal: control
// characters become their Unicode pictures (␛ for ESC), other invisible and
// bidirectional ones an escape, \u{202e}; a byte that is no UTF-8 becomes
// \xNN. At most max bytes of b are looked at (0: all); "…" marks the rest.
func Visible(b []byte, max int) string {
	cut := max > 0 && len(b) > max
	if cut {
		b = b[:max]
		for i := 0; i < utf8.UTFMax-1 && len(b) > 0; i++ { // not inside a character
			if r, n := utf8.DecodeLastRune(b); r != utf8.RuneError || n > 1 {
				break
			}
			b = b[:len(b)-1]
		}
	}
	var s strings.Builder
	s.Grow(len(b) + 3)
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] >= 0x20 && b[n] < 0x7f { // mostly all of it
			n++
		}
		if n > 0 {
			s.Write(b[:n])
			b = b[n:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		visibleRune(&s, r, n, b[0])
		b = b[n:]
	}
	if cut {
		s.WriteString("…")
	}
	return s.String()
}

func visibleRune(s *strings.Builder, r rune, n int, first byte) {
	const hex = "0123456789abcdef"
	switch {
	case r == utf8.RuneError && n == 1:
		s.WriteString(`\x`)
		s.WriteByte(hex[first>>4])
		s.WriteByte(hex[first&15])
	case r < 0x20:
		s.WriteRune(0x2400 + r) // CONTROL PICTURES
	case r == 0x7f:
		s.WriteRune(0x2421)
	case r == ' ' || unicode.IsGraphic(r) && !joins(r):
		s.WriteRune(r)
	case r == 0x200d || r >= 0xfe00 && r <= 0xfe0f:
		s.WriteRune(r) // joins the parts of an emoji; harmless
	default:
		s.WriteString(`\u{`)
		started := false
		for shift := 20; shift >= 0; shift -= 4 {
			if d := r >> shift & 15; d != 0 || started || shift == 0 {
				s.WriteByte(hex[d])
				started = true
			}
		}
		s.WriteByte('}')
	}
}

// joins says that a graphic character would change how its neighbours are laid
// out, or break a line.
func joins(r rune) bool { return r == 0x2028 || r == 0x2029 || r == 0xad }
