package ui

import (
	"fmt"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// http2Heads adds the heads as they came in HTTP/2; those above are their equivalents.
func (m *maker) http2Heads() {
	for l, note := range m.session.HTTP2 {
		if note == nil {
			continue
		}
		what, who := "Request", "by the client"
		if inspect.Leg(l) == inspect.ServerLeg {
			what, who = "Answer", "by the server"
		}
		m.add()
		m.add(span{what + " in HTTP/2", strong}, span{fmt.Sprintf("  %s, on stream %d", who, note.Stream), dim})
		for _, f := range note.Fields {
			spans := append([]span{{"  ", plain}}, payload([]byte(f.Name), name)...)
			spans = append(spans, span{": ", dim})
			m.lines = append(m.lines, line{spans: append(spans, payload([]byte(f.Value), plain)...), indent: 4})
		}
	}
	upgrade := m.session.Kind != record.Exchange
	if upgrade && m.session.HTTP2[inspect.ClientLeg] != nil {
		m.under(plain, "HTTP/2 has no Sec-WebSocket-Key (RFC 8441 section 5): wsproxy made the one above up.")
	}
	if upgrade && m.session.HTTP2[inspect.ServerLeg] != nil {
		m.under(plain, "Nor has it a Sec-WebSocket-Accept: wsproxy worked that out from the key.")
	}
}

// http2Legs says which legs are streams, and of which connection.
func (m *maker) http2Legs() {
	if h := m.session.Conn.HTTP2; h != nil {
		m.field("HTTP/2", "the client's leg is stream %d of connection %s", h.Stream, h.Conn)
	}
	p := m.session.Peer
	switch {
	case p == nil:
	case p.HTTP2 && p.Shared:
		m.field("HTTP/2", "the server's leg is a stream too, of a connection that was there")
	case p.HTTP2:
		m.field("HTTP/2", "the server's leg is a stream too, the first of its connection")
	case p.Fallback != "":
		m.add(span{fmt.Sprintf("%-14s", "HTTP/2"), name}, span{"not with the server: " + visible(p.Fallback), odd})
	}
}
