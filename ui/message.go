package ui

import (
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// message makes the Message tab: what was said, decoded.
func (m *maker) message() (whole bool) {
	switch m.want.entry {
	case entryOpen:
		return m.opening()
	case entryEnd:
		return m.ending()
	}
	if p := m.want.piped; p != nil {
		return m.output(p)
	}
	msg, err := m.source.Message(m.want.row, m.want.most())
	if err != nil {
		return m.failed(err)
	}
	m.messageHead(&msg)
	m.messageFaults(&msg)
	switch {
	case msg.Undecodable:
	case msg.Opcode == inspect.OpClose:
		m.closing(msg.Data)
	case len(msg.Data) == 0:
		m.say(dim, "(empty)")
	default:
		m.payload(&msg)
	}
	if n := int64(len(msg.Data)); n < msg.Size && !msg.Undecodable {
		if m.more = m.want.most() < pageMost; m.more {
			m.say(odd, "… %s more; the first %s are shown, G goes on", bytesOf(msg.Size-n), bytesOf(n))
		} else {
			m.say(odd, "… %s more; the first %s are shown", bytesOf(msg.Size-n), bytesOf(n))
		}
	}
	return ends(msg.Rows)
}

// ends says that the message is complete.
func ends(rows []record.Row) bool { return len(rows) > 0 && rows[len(rows)-1].Ends() }

// failed says why there is nothing to show.
func (m *maker) failed(err error) bool {
	m.say(bad, "cannot be read: %s", visible(err.Error()))
	return false
}

// messageHead says in a line what kind of message it is.
func (m *maker) messageHead(msg *record.Message) {
	parts := []string{fmt.Sprintf("%s by the %s", opName(msg.Opcode), msg.Dir.Sender())}
	if ours(&m.session, msg.Opcode, msg.Dir) {
		parts[0] = opName(msg.Opcode) + " by wsproxy, in the place of the " + msg.Dir.Sender()
	}
	if msg.Compressed && !msg.Undecodable {
		parts = append(parts, fmt.Sprintf("%s inflated from %s on the wire", bytesOf(msg.Size), bytesOf(msg.Wire)))
	} else {
		parts = append(parts, bytesOf(msg.Wire))
	}
	if msg.First != msg.Last {
		parts = append(parts, fmt.Sprintf("frames #%d to #%d", msg.First, msg.Last))
	}
	m.say(dim, "%s", strings.Join(parts, " · "))
}

// opName is an opcode where it stands in a sentence.
func opName(op inspect.Opcode) string {
	if op == inspect.OpContinuation {
		return "continuation"
	}
	return op.String()
}

func (m *maker) messageFaults(msg *record.Message) {
	last := len(msg.Rows) - 1
	switch {
	case last >= 0 && msg.Rows[last].Missing():
		m.say(bad, "Not whole: payload bytes are missing, or never came.")
	case !ends(msg.Rows) && m.session.Closed != nil:
		m.say(bad, "Not whole: its last fragment never came.")
	case !ends(msg.Rows):
		m.say(odd, "Not whole yet: its last fragment has not come.")
	}
	if msg.Undecodable {
		m.say(bad, "Compressed, and cannot be inflated: what it refers back to is lost or damaged.")
	}
	if at := msg.InvalidUTF8; at > 0 {
		what := ""
		if i := at - 1; i < int64(len(msg.Data)) {
			what = fmt.Sprintf(", 0x%02x", msg.Data[i])
		}
		m.say(bad, "Not UTF-8: the first bad byte is at offset %d%s (RFC 6455 8.1).", at-1, what)
	}
}

func printable(b []byte) bool { return inspect.Visible(b, 0) == string(b) }

// closing explains a Close frame's payload.
func (m *maker) closing(b []byte) {
	code, reason, ok := inspect.ParseClose(b)
	switch {
	case !ok:
		m.say(bad, "One byte, which is no code: a Close has none or at least two (RFC 6455 5.5.1).")
		return
	case len(b) == 0:
		m.say(plain, "No code. An application is told 1005, no status received (RFC 6455 7.1.5).")
		return
	}
	m.add(span{code.String(), strong}, span{": " + code.Meaning(), plain})
	if !code.Sendable() {
		m.say(bad, "This code must not be sent (RFC 6455 7.4).")
	}
	if len(reason) == 0 {
		m.say(dim, "(no reason given)")
		return
	}
	m.add(append([]span{{"reason: ", dim}}, payload(reason, quoted)...)...)
}

// opening tells how a session began, or what an exchange asked.
func (m *maker) opening() bool {
	s := &m.session
	if s.Kind == record.Exchange {
		e := s.Exchange
		if e.Request == nil {
			m.say(bad, "%s", visible(e.Error))
		} else {
			m.add(span{visible(e.Request.Method + " " + e.Request.Target), strong})
		}
		m.body(&e.Up, e.Request)
		return false
	}
	h := s.Handshake
	m.add(span{visible(h.Request.Method + " " + h.Path()), strong})
	if s.Kind == record.Refused {
		m.say(bad, "Refused: %s", visible(s.Refused.Reason))
	} else {
		m.field("subprotocol", "%s", agreed(h.Subprotocol, h.Offered))
		var ext, offered []string
		for _, e := range h.Ext {
			ext = append(ext, e.String())
		}
		for _, e := range h.OfferedExt {
			offered = append(offered, e.String())
		}
		m.field("extensions", "%s", agreed(strings.Join(ext, ", "), offered))
	}
	m.peer()
	m.say(dim, "Tab 4 shows both heads, byte for byte.")
	return false
}

func agreed(what string, offered []string) string {
	switch {
	case what != "" && len(offered) > 1:
		return visible(what) + "  (offered: " + visible(strings.Join(offered, ", ")) + ")"
	case what != "":
		return visible(what)
	case len(offered) > 0:
		return "none  (offered: " + visible(strings.Join(offered, ", ")) + ")"
	}
	return "none"
}

// ending tells how a session ended, or what an exchange was answered.
func (m *maker) ending() bool {
	s := &m.session
	switch {
	case s.Kind == record.Exchange:
		e := s.Exchange
		if e.Response != nil {
			m.add(span{visible(fmt.Sprint(e.Response.Status, " ", e.Response.Phrase)), strong})
		}
		if e.Error != "" {
			m.say(bad, "%s", visible(e.Error))
		}
		for _, hint := range Past(e) {
			m.say(odd, "%s", hint)
		}
		m.body(&e.Down, e.Response)
	case s.Kind == record.Refused:
		m.say(bad, "Refused: %s", visible(s.Refused.Reason))
		var head *inspect.Head
		if s.Handshake != nil {
			head = s.Handshake.Response
		}
		m.body(&inspect.Payload{Size: s.Refused.BodySize, Data: s.Refused.Body}, head)
	default:
		m.autopsy()
	}
	return false
}

// body adds the body of an HTTP message.
func (m *maker) body(b *inspect.Payload, head *inspect.Head) {
	if b.Size == 0 {
		m.say(dim, "(no body)")
		return
	}
	kind, data := "", b.Data
	cut := int64(len(b.Data)) < b.Size
	if head != nil {
		kind = head.Get("Content-Type")
		if enc := head.Get("Content-Encoding"); enc != "" {
			kind += ", encoded as " + enc
			if plain, whole, ok := decoded(data, enc); ok {
				data, cut = plain, cut || !whole
				kind += ", shown decoded"
			}
		}
	}
	m.say(dim, "%s  %s", bytesOf(b.Size), visible(kind))
	switch {
	case looksJSON(data, cut):
		m.json(data, m.want.folds)
	case strings.IndexByte(string(data), 0) < 0 && mostlyText(data):
		m.text(data)
	default:
		m.dump(data)
	}
	if cut {
		m.say(odd, "… %s more; the first %s are shown", bytesOf(b.Size-int64(len(b.Data))), bytesOf(int64(len(b.Data))))
	}
}

func mostlyText(b []byte) bool {
	var u inspect.UTF8
	return u.Feed(b)
}

// autopsy says who ended the session and how.
func (m *maker) autopsy() {
	s := &m.session
	c := s.Closed
	if c == nil {
		m.say(good, "The session is open.")
		return
	}
	m.add(span{visible(c.Text), strong})
	for d, sent := range c.SawClose {
		who := inspect.Dir(d).Sender()
		text := "sent no Close frame"
		if sent {
			text = fmt.Sprintf("sent Close %s", c.Code[d])
			if c.Ours[d] {
				text = fmt.Sprintf("was spoken for by wsproxy, with Close %s", c.Code[d])
			}
			if c.Reason[d] != "" {
				text += ", because: " + visible(c.Reason[d])
			}
		}
		if seen := c.LastSeen[d]; !seen.IsZero() {
			text += fmt.Sprintf("; last heard %s before the end", took(c.Time.Sub(seen)))
		}
		if n := c.Pings[d]; n > 0 {
			text += fmt.Sprintf("; %s not answered", count(n, "ping"))
		}
		m.field(who, "%s", text)
	}
	for _, leg := range []inspect.Leg{inspect.ClientLeg, inspect.ServerLeg} {
		for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
			if e := c.Ends[leg][d]; e.How != inspect.NoEnd {
				m.field("TCP", "%s", endOf(e, c))
			}
		}
	}
	m.field("in all", "%s up, %s down, %s and %s of frames in %s", count(c.Messages[inspect.ToServer], "message"),
		fmt.Sprint(c.Messages[inspect.ToClient]), bytesOf(c.Bytes[inspect.ToServer]), bytesOf(c.Bytes[inspect.ToClient]), took(c.Time.Sub(c.Opened)))
}

// endOf says how one direction of one leg ended.
func endOf(e inspect.Ended, c *inspect.Closed) string {
	from, to := "client", "wsproxy"
	if e.Leg == inspect.ServerLeg {
		from, to = "wsproxy", "server"
	}
	if e.Dir == inspect.ToClient {
		from, to = to, from
	}
	s := fmt.Sprintf("%s to %s: %s", from, to, endName(e.How))
	if !e.Time.IsZero() {
		s += fmt.Sprintf(", %s after the opening", took(e.Time.Sub(c.Opened)))
	}
	if e.Error != "" {
		s += " (" + visible(e.Error) + ")"
	}
	return s
}

func endName(e inspect.End) string {
	switch e {
	case inspect.Fin:
		return "FIN, an orderly end"
	case inspect.Rst:
		return "RST, a reset"
	case inspect.CloseNotify:
		return "TLS close_notify without a FIN"
	case inspect.TLSAlert:
		return "a fatal TLS alert"
	case inspect.Self:
		return "ended by wsproxy itself"
	case inspect.Cut:
		return "the recording ends before it did"
	}
	return e.String()
}

// peer says how the server was reached.
func (m *maker) peer() {
	s := &m.session
	if c := s.Conn.Client; c.Remote != "" {
		m.field("client", "%s, to %s", visible(c.Remote), visible(c.Local))
	}
	if t := s.Conn.ClientTLS; t != nil {
		m.field("TLS", "%s", tlsText(t))
	}
	if s.Conn.Via != "" {
		m.field("via", "%s", visible(s.Conn.Via))
	}
	p := s.Peer
	if p == nil {
		return
	}
	if p.Proxy != "" {
		m.field("proxy", "%s", visible(p.Proxy))
	}
	switch {
	case p.Error != "":
		m.add(span{fmt.Sprintf("%-14s", "server"), name}, span{visible(p.Addr + ": " + p.Error), bad})
		return
	case p.Dial > 0:
		m.field("server", "%s, connected in %s", visible(p.Addr), took(p.Dial))
	default:
		m.field("server", "%s", visible(p.Addr))
	}
	if t := p.TLS; t != nil {
		m.field("TLS", "%s", tlsText(t))
		if !t.Verified {
			m.add(span{fmt.Sprintf("%-14s", ""), name}, span{"the certificate was not verified: " + visible(t.Why), odd})
		}
	}
}

// tlsText is what there is to say of a leg's TLS.
func tlsText(t *inspect.TLSInfo) string {
	text := visible(t.Version + " " + t.Cipher)
	if t.ALPN != "" {
		text += ", ALPN " + visible(t.ALPN)
	}
	if t.SNI != "" {
		text += ", SNI " + visible(t.SNI)
	}
	if t.Resumed {
		text += ", resumed"
	}
	if len(t.Names) > 0 {
		text += ", certificate for " + visible(strings.Join(t.Names, ", "))
	}
	if !t.Expiry.IsZero() {
		text += " until " + t.Expiry.Format("2006-01-02")
	}
	return text
}
