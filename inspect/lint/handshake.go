package lint

import (
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// handshake judges an answer that opened a session, as its client must (RFC 6455
// section 4.1). A refusal agrees on nothing and is not judged.
func handshake(e inspect.Event, _ *inspect.Conn) []inspect.Finding {
	o, ok := e.(*inspect.Opened)
	if !ok || o.Handshake == nil || o.Handshake.Response == nil {
		return nil
	}
	all := accept(nil, o.Handshake)
	all = subprotocol(all, o.Handshake)
	all = extensions(all, o.Handshake)
	for i := range all {
		all[i].Dir = inspect.ToClient // it is the answer that is judged
	}
	return all
}

// shown bounds how much of a peer's header a finding repeats.
const shown = 80

func visible(s string) string { return `"` + inspect.Visible([]byte(s), shown) + `"` }

func accept(all []inspect.Finding, h *inspect.Handshake) []inspect.Finding {
	switch {
	case !h.Response.Has("Sec-WebSocket-Accept"):
		if h.Want == "" {
			return found(all, "accept-missing", "the answer has no Sec-WebSocket-Accept, and the request no Sec-WebSocket-Key")
		}
		return found(all, "accept-missing", "the answer has no Sec-WebSocket-Accept; the key asks for %s", h.Want)
	case h.Want == "":
		return found(all, "accept-wrong", "Sec-WebSocket-Accept is %s, but the request has no Sec-WebSocket-Key", visible(h.Accept))
	case h.Accept != h.Want:
		return found(all, "accept-wrong", "Sec-WebSocket-Accept is %s; the key asks for \"%s\"", visible(h.Accept), h.Want)
	}
	return all
}

func subprotocol(all []inspect.Finding, h *inspect.Handshake) []inspect.Finding {
	if !h.Response.Has("Sec-WebSocket-Protocol") || slices.Contains(h.Offered, h.Subprotocol) {
		return all
	}
	name := visible(h.Subprotocol)
	if len(h.Offered) == 0 {
		return found(all, "subprotocol-not-offered", "the server chose the subprotocol %s; the client offered none", name)
	}
	for _, o := range h.Offered {
		if strings.EqualFold(o, h.Subprotocol) {
			return found(all, "subprotocol-not-offered", "the server chose the subprotocol %s; the client offered it as %s", name, visible(o))
		}
	}
	return found(all, "subprotocol-not-offered", "the server chose the subprotocol %s; the client offered %s", name, list(h.Offered))
}

func extensions(all []inspect.Finding, h *inspect.Handshake) []inspect.Finding {
	for _, x := range h.Ext {
		offered := false
		bits := false // some offer of it lets the server limit the client's window
		for _, o := range h.OfferedExt {
			if o.Name == x.Name {
				offered = true
				bits = bits || hasParam(o, "client_max_window_bits")
			}
		}
		switch {
		case !offered && len(h.OfferedExt) == 0:
			all = found(all, "extension-not-offered", "the server agreed on the extension %s; the client offered none", visible(x.Name))
		case !offered:
			all = found(all, "extension-not-offered", "the server agreed on the extension %s; the client offered %s", visible(x.Name), list(names(h.OfferedExt)))
		case x.Name == inspect.DeflateName && !bits && hasParam(x, "client_max_window_bits"):
			all = foundAt(all, "extension-not-offered", "RFC 7692 7.1.2.2", "the server limits the client's window with client_max_window_bits; the client did not offer that")
		}
	}
	return all
}

func hasParam(x inspect.Extension, name string) bool {
	return slices.ContainsFunc(x.Params, func(p inspect.Param) bool { return p.Name == name })
}

func names(exts []inspect.Extension) []string {
	var all []string
	for _, x := range exts {
		if !slices.Contains(all, x.Name) {
			all = append(all, x.Name)
		}
	}
	return all
}

// list is what a client offered, one after the other; a hostile client can
// offer as many as its head has room for.
func list(offered []string) string {
	return inspect.Visible([]byte(strings.Join(offered, ", ")), shown)
}
