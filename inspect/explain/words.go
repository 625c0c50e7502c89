package explain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// Words says a frame in the words that Build makes it of again, byte for byte.
// payload is as on the wire, and may be shorter than the header claims. What comes
// back is safe to show, and as long as the payload is.
func Words(h inspect.Header, payload []byte) string {
	f := frame{h: h, payload: payload}
	op := h.Opcode()
	out := []string{op.String()}
	clear := f.plain(len(payload))
	if op == inspect.OpClose && len(clear) >= 2 {
		code, reason, _ := inspect.ParseClose(clear)
		out = append(out, fmt.Sprint(uint16(code)))
		clear = reason
	}
	switch {
	case len(clear) == 0:
	case op == inspect.OpBinary || op.Reserved() || !legible(clear):
		out = append(out, fmt.Sprintf("0x%x", clear))
	default:
		out = append(out, quote(clear))
	}
	if !h.Fin() {
		out = append(out, "fin=0")
	}
	for i, on := range []bool{h.Rsv1(), h.Rsv2(), h.Rsv3()} {
		if on {
			out = append(out, fmt.Sprintf("rsv%d", i+1))
		}
	}
	if !h.Minimal() {
		out = append(out, fmt.Sprintf("len=%dbit", h.Form()))
	}
	if n := h.Length(); n != uint64(len(payload)) {
		out = append(out, fmt.Sprintf("claims=%d", n))
	}
	if h.Masked() {
		key := h.Key()
		out = append(out, fmt.Sprintf("mask=%x", key[:]))
	}
	return strings.Join(out, " ")
}

// legible says that most of some bytes are text, so that they are better read as one.
func legible(b []byte) bool {
	bad := 0
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' {
			bad++
		}
		i += n
	}
	return bad*4 <= len(b)
}

// quote is a text in quotes as Build reads it: what a terminal might obey is
// escaped.
func quote(b []byte) string {
	var s strings.Builder
	s.WriteByte('"')
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1, r < 0x20 && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			fmt.Fprintf(&s, `\x%02x`, b[0])
		case r == '\n':
			s.WriteString(`\n`)
		case r == '\r':
			s.WriteString(`\r`)
		case r == '\t':
			s.WriteString(`\t`)
		case r == '"' || r == '\\':
			s.WriteString(`\` + string(r))
		case unicode.IsPrint(r):
			s.WriteRune(r)
		default:
			fmt.Fprintf(&s, `\u{%x}`, r)
		}
		b = b[n:]
	}
	s.WriteByte('"')
	return s.String()
}
