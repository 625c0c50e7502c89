package lint

import "github.com/wsproxy/wsproxy/inspect"

// closing judges Close frames and what comes behind them (RFC 6455 sections
// 5.5.1 and 7.4).
func closing(e inspect.Event, c *inspect.Conn) []inspect.Finding {
	switch e := e.(type) {
	case *inspect.Frame:
		// Only data frames: a Ping or Pong that crossed the Close is let pass.
		if op := e.Header.Opcode(); !op.Control() && c.Before(e.Dir).Closed {
			return found(nil, "data-after-close", "the %s sent this %s frame after its Close frame", e.Dir.Sender(), kind(op))
		}
	case *inspect.Message:
		if e.Opcode == inspect.OpClose {
			return closeBody(e)
		}
	}
	return nil
}

func closeBody(m *inspect.Message) []inspect.Finding {
	if len(m.Data) < 2 {
		if m.Size == 1 && !m.Cut {
			return found(nil, "one-byte-close", "the body is the one byte %#02x, which is no status code", m.Data[0])
		}
		return nil
	}
	code, _, _ := inspect.ParseClose(m.Data)
	switch code.Class() {
	case inspect.CloseReserved:
		return found(nil, "close-code-reserved", "the close code is %d, which %s", code, code.Meaning())
	case inspect.CloseInvalid, inspect.CloseUnassigned:
		return found(nil, "close-code-invalid", "the close code is %d, which %s", code, code.Meaning())
	}
	return nil
}
