package lint

import "github.com/wsproxy/wsproxy/inspect"

// text judges the content of messages: that text is UTF-8, that what is
// compressed can be inflated.
func text(e inspect.Event, _ *inspect.Conn) []inspect.Finding {
	m, ok := e.(*inspect.Message)
	if !ok {
		return nil
	}
	var all []inspect.Finding
	if m.InvalidUTF8 > 0 {
		what := "text message"
		if m.Opcode == inspect.OpClose {
			what = "close frame's payload"
		}
		all = found(all, "invalid-utf8", "byte %d of the %s is not UTF-8%s", m.InvalidUTF8, what, badByte(m))
	}
	// A message that never ended cannot inflate, which is not its sender's fault.
	if m.Undecodable && !m.Cut {
		all = found(all, "undecodable-message", "%s of compressed %s cannot be inflated: they are damaged, or refer to earlier bytes that are missing", count(m.Wire), m.Opcode)
	}
	return all
}

// badByte names the byte at which the text stops being UTF-8, if it was kept.
func badByte(m *inspect.Message) string {
	i := m.InvalidUTF8 - 1
	if i >= int64(len(m.Data)) {
		return ""
	}
	const hex = "0123456789abcdef"
	b := m.Data[i]
	return ": 0x" + string([]byte{hex[b>>4], hex[b&15]})
}
