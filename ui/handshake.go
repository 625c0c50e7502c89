package ui

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// handshake makes the Handshake tab: both heads as they were, what each header
// means, what wsproxy changed, and what came of it.
func (m *maker) handshake() (whole bool) {
	request, response := m.heads()
	s := &m.session
	switch {
	case request == nil:
		m.say(bad, "What came was not HTTP.")
	default:
		var sent *inspect.Head
		if s.Handshake != nil {
			sent = s.Handshake.Sent
		}
		m.add(span{"Request", strong}, span{"  by the client", dim})
		m.head(request, sent)
	}
	m.add()
	if response == nil {
		m.add(span{"Answer", strong}, span{"  none came", bad})
	} else {
		m.add(span{"Answer", strong}, span{"  by the server", dim})
		m.head(response, nil)
	}
	if s.Kind != record.Exchange && s.Handshake != nil {
		m.accept(s.Handshake)
		for _, p := range s.Handshake.Problems {
			m.say(bad, "%s", visible(p))
		}
	}
	m.http2Heads()
	m.title("Connection")
	m.peer()
	m.http2Legs()
	switch {
	case s.Kind == record.WebSocket:
		m.title("How it ended")
		m.autopsy()
	case s.Kind == record.Refused:
		m.title("How it ended")
		m.say(bad, "Refused: %s", visible(s.Refused.Reason))
	}
	return false
}

// head adds a head line by line in its own bytes, with a sentence below each
// line that matters here. sent is what the server got, if that was different.
func (m *maker) head(h, sent *inspect.Head) {
	var kept map[string]int
	if sent != nil {
		kept = map[string]int{}
		for l := range bytes.Lines(sent.Raw) {
			kept[string(l)]++
		}
	}
	left := linesOf(sent)
	for l := range bytes.Lines(h.Raw) {
		bare := bytes.TrimRight(l, "\r\n")
		if len(bare) == 0 {
			continue
		}
		mark := span{"  ", plain}
		if kept != nil {
			if kept[string(l)] > 0 {
				kept[string(l)]--
			} else {
				mark = span{"- ", odd}
			}
		}
		m.lines = append(m.lines, line{spans: append([]span{mark}, headLine(bare, l)...), indent: 4})
		if mark.text == "- " {
			if now := instead(l, left, h); now != nil {
				m.lines = append(m.lines, line{spans: append([]span{{"+ ", good}}, headLine(bytes.TrimRight(now, "\r\n"), now)...), indent: 4})
			}
		}
		m.explainHeader(bare, h)
	}
	if h.Problem != "" {
		m.under(bad, "%s", visible(h.Problem))
	}
	if sent != nil {
		m.addedLines(h, sent)
		m.under(odd, "wsproxy changed the marked lines (-) on the way to the server (+).")
	}
}

// linesOf are the lines of a head, by the field's name in lower case.
func linesOf(h *inspect.Head) map[string][]byte {
	if h == nil {
		return nil
	}
	all := map[string][]byte{}
	for l := range bytes.Lines(h.Raw) {
		all[lineName(l, len(all) == 0)] = l
	}
	return all
}

// lineName is the name that a line is known by: of its field, or of the first line.
func lineName(l []byte, first bool) string {
	if first {
		return ""
	}
	n, _, ok := bytes.Cut(l, []byte(":"))
	if !ok {
		return string(l)
	}
	return strings.ToLower(string(bytes.TrimSpace(n)))
}

// instead is the line that the server got for one that was changed.
func instead(l []byte, sent map[string][]byte, h *inspect.Head) []byte {
	now := sent[lineName(l, bytes.HasPrefix(h.Raw, l))]
	if bytes.Equal(now, l) {
		return nil
	}
	return now
}

// addedLines are the lines that the server got and the client did not send.
func (m *maker) addedLines(h, sent *inspect.Head) {
	had := linesOf(h)
	first := true
	for l := range bytes.Lines(sent.Raw) {
		bare := bytes.TrimRight(l, "\r\n")
		if _, ok := had[lineName(l, first)]; !ok && len(bare) > 0 {
			m.lines = append(m.lines, line{spans: append([]span{{"+ ", good}}, headLine(bare, l)...), indent: 4})
		}
		first = false
	}
}

// headLine is a head's line with its name apart from its value. An end that is
// not CRLF is shown.
func headLine(bare, l []byte) []span {
	var spans []span
	if n, value, ok := bytes.Cut(bare, []byte(":")); ok && !bytes.ContainsAny(n, " \t") {
		spans = append(payload(n, name), span{":", dim})
		spans = append(spans, payload(value, plain)...)
	} else {
		spans = payload(bare, strong)
	}
	if !bytes.HasSuffix(l, []byte("\r\n")) {
		spans = append(spans, span{"␊", special})
	}
	return spans
}

// explainHeader says below a line what it means for the handshake.
func (m *maker) explainHeader(bare []byte, h *inspect.Head) {
	n, value, ok := bytes.Cut(bare, []byte(":"))
	if !ok {
		return
	}
	what := strings.ToLower(string(bytes.TrimSpace(n)))
	for _, x := range headers {
		if x.name == what && (x.in == both || (x.in == inRequest) == h.IsRequest()) {
			text, r := x.text, dim
			if x.judge != nil {
				if wrong := x.judge(string(bytes.TrimSpace(value)), &m.session); wrong != "" {
					text, r = text+" "+wrong, bad
				}
			}
			m.under(r, "%s", text)
		}
	}
}

// accept works the Sec-WebSocket-Accept out (RFC 6455 section 4.2.2).
func (m *maker) accept(h *inspect.Handshake) {
	if h.Key == "" {
		m.say(bad, "There is no Sec-WebSocket-Key, so nothing to answer it with (RFC 6455 4.1).")
		return
	}
	m.title("The Accept, worked out [RFC 6455 4.2.2]")
	const column = 10
	row := func(what, value string, r role) {
		m.lines = append(m.lines, line{spans: []span{{fmt.Sprintf("  %-*s", column-2, what), name}, {value, r}}, indent: column})
	}
	sum, _ := base64.StdEncoding.DecodeString(h.Want) // of our own making
	row("key", visible(h.Key), plain)
	row("+ GUID", "258EAFA5-E914-47DA-95CA-C5AB0DC85B11, the same for everyone", plain)
	row("SHA-1", fmt.Sprintf("%x", sum), plain)
	row("base64", h.Want, plain)
	switch {
	case h.Response == nil:
		row("answer", "none came", bad)
	case h.Accept == "":
		row("answer", "has no Sec-WebSocket-Accept", bad)
	case h.Accept == h.Want:
		row("answer", "the same, so the server read this request", good)
	default:
		row("answer", visible(h.Accept)+" is something else: the client must end the connection", bad)
	}
}
