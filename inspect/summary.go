package inspect

import "fmt"

// Summary is a message in one line that is safe to show on a terminal: text as
// it is, a close code with its reason, binary in hexadecimal. At most so many
// bytes of it are looked at.
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
		return Visible(m.Data, most)
	}
	return visibleBinary(m.Data, most)
}

// visibleBinary shows text as text and the rest in hexadecimal.
func visibleBinary(b []byte, most int) string {
	head := b[:min(len(b), most)]
	if Visible(head, 0) == string(head) {
		return Visible(b, most)
	}
	if n := most / 4; len(b) > n {
		return fmt.Sprintf("%x…", b[:n])
	}
	return fmt.Sprintf("%x", b)
}
