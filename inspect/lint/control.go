package lint

import "github.com/wsproxy/wsproxy/inspect"

// maxControl is the most payload a control frame may have (RFC 6455 section 5.5).
const maxControl = 125

// control judges what all control frames have in common, the reserved ones too.
func control(e inspect.Event, _ *inspect.Conn) []inspect.Finding {
	f, ok := e.(*inspect.Frame)
	if !ok || !f.Header.Opcode().Control() {
		return nil
	}
	var all []inspect.Finding
	op := f.Header.Opcode()
	if !f.Header.Fin() {
		all = found(all, "fragmented-control-frame", "FIN is clear on this %s frame", op)
	}
	if n := f.Header.Length(); n > maxControl {
		all = found(all, "oversized-control-frame", "this %s frame has a payload of %s; %d are the most", op, count(n), maxControl)
	}
	return all
}
