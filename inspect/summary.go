package inspect

import (
	"fmt"
	"unicode/utf8"
)

// Summary is a message in one line that is safe to show on a terminal. Of a JSON
// object what its telling members say stands in front: its type, event, op, method or
// action, its id and operationName. Other text is shown as it is, a close code with
// its reason, of binary data its kind and size, if its beginning tells, and how it
// begins in hexadecimal. At most so many bytes of it are shown.
func Summary(m *Message, most int) string {
	switch {
	case m.Undecodable:
		return "(compressed, cannot be inflated)"
	case m.Opcode == OpClose:
		code, reason, ok := ParseClose(m.Data)
		switch {
		case !ok:
			return "one byte"
		case len(reason) == 0:
			return fmt.Sprint(uint16(code))
		}
		return fmt.Sprint(uint16(code), " ", Visible(reason, most))
	case m.Opcode == OpText && m.InvalidUTF8 == 0:
		return summaryText(m.Data, most)
	}
	return summaryBinary(m, most)
}

// gistFrom is how long a JSON text is before its gist says more than itself.
const gistFrom = 40

func summaryText(b []byte, most int) string {
	if len(b) >= gistFrom {
		if g := gist(b); g != "" {
			return g + "  " + Visible(b, max(most-len(g), most/4))
		}
	}
	return Visible(b, most)
}

// summaryBinary shows text as text and the rest in hexadecimal.
func summaryBinary(m *Message, most int) string {
	b := m.Data
	if legible(b, most) {
		return summaryText(b, most)
	}
	about := ""
	if k := Kind(b); k != "" && !m.Opcode.Control() && m.Opcode != OpText {
		about = fmt.Sprintf("%s, %d bytes  ", k, m.Size)
	}
	if n := most / 4; len(b) > n {
		return fmt.Sprintf("%s%x…", about, b[:n])
	}
	return fmt.Sprintf("%s%x", about, b)
}

// legible says that bytes are text, as far as they are looked at: nothing in them has to
// be made visible but the ends of lines.
func legible(b []byte, most int) bool {
	for i := 0; i < len(b) && i < most; {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || r < 0x20 && r != '\n' && r != '\r' && r != '\t' || r >= 0x7f && Visible(b[i:i+n], 0) != string(b[i:i+n]) {
			return false
		}
		i += n
	}
	return true
}
