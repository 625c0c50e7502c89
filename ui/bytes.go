package ui

import (
	"bytes"
	"fmt"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// bytes makes the Bytes tab: what was on the wire.
func (m *maker) bytes() (whole bool) {
	if m.want.entry != entryFrame {
		m.headBytes()
		return false
	}
	f, err := m.source.Frame(m.want.row, pageLimit)
	if err != nil {
		return m.failed(err)
	}
	m.headerBytes(f.Header)
	m.payloadBytes(&f)
	if f.Cut {
		m.say(odd, "… the first %s of the payload are shown", bytesOf(int64(len(f.Payload))))
	}
	if f.Missing {
		m.say(bad, "The rest of the payload is not in the recording, or never came.")
	}
	return true
}

// headBytes shows the bytes of the heads where no frame is selected.
func (m *maker) headBytes() {
	request, response := m.heads()
	h := request
	if m.want.entry == entryEnd {
		if m.session.Kind == record.WebSocket {
			m.say(dim, "A connection ends with no bytes of its own. Tab 1 tells how it ended.")
			return
		}
		h = response
	}
	if h == nil {
		m.say(dim, "(nothing came)")
		return
	}
	m.dump(h.Raw)
	if m.want.entry == entryOpen && m.session.Kind == record.WebSocket && response != nil {
		m.title("The answer")
		m.dump(response.Raw)
	}
}

// headerBytes is the header in hex, each field in its colour and named.
func (m *maker) headerBytes(h inspect.Header) {
	raw := h.Raw()
	spans := []span{{"header  ", dim}, {fmt.Sprintf("%02x", raw[0]), bits}, {" ", plain}, {fmt.Sprintf("%02x", raw[1]), size}}
	legend := []span{{"        ", plain}, {"FIN RSV opcode", bits}, {"  ", plain}, {"MASK length", size}}
	rest := raw[2:]
	if n := h.Form() / 8; n > 0 {
		spans = append(spans, span{" " + spaced(rest[:n]), size})
		rest = rest[n:]
	}
	legend = append(legend, span{fmt.Sprintf(" = %d", h.Length()), size})
	if h.Masked() {
		spans = append(spans, span{" " + spaced(rest), key})
		legend = append(legend, span{"  masking key", key})
	}
	m.add(spans...)
	m.add(legend...)
}

// payloadBytes is the payload in hex and ASCII; of a masked one also what it is
// without the mask, beside it.
func (m *maker) payloadBytes(f *record.Frame) {
	b := f.Payload
	if len(b) == 0 {
		m.say(dim, "no payload")
		return
	}
	if !f.Header.Masked() {
		m.dump(b)
		return
	}
	clear := bytes.Clone(b)
	inspect.Mask(f.Header.Key(), 0, clear)
	columns := func(n int) int { return 8 + 3*n + 2 + 3*n + 1 + n }
	n := perLine(m.width, columns)
	m.add(span{pad("offset", 8), dim}, span{pad("on the wire, masked", 3*n), dim}, span{"│ ", dim}, span{"without the mask", dim})
	for at := 0; at < len(b); at += n {
		end := min(at+n, len(b))
		m.add(span{fmt.Sprintf("%06x  ", at), dim}, span{pad(spaced(b[at:end]), 3*n), key}, span{"│ ", dim},
			span{pad(spaced(clear[at:end]), 3*n+1), plain}, span{ascii(clear[at:end]), quoted})
	}
}

// heads are the two heads of a session, refusal or exchange; nil where none came.
func (m *maker) heads() (request, response *inspect.Head) {
	s := &m.session
	if s.Kind == record.Exchange {
		return s.Exchange.Request, s.Exchange.Response
	}
	if s.Handshake == nil {
		return nil, nil
	}
	return s.Handshake.Request, s.Handshake.Response
}
