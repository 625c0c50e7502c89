package h2

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsproxy/wsproxy/inspect"
)

// sendResponse takes the head of an HTTP/1.1 answer in the server's role.
func (s *Stream) sendResponse(h *inspect.Head) error {
	if h.Status == 101 {
		return s.sendSwitching(h)
	}
	all := []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(h.Status)}}
	chunked := h.Has("Transfer-Encoding")
	connected := s.kind == tunnel && h.Status/100 == 2
	all, lost := fieldsOf(h, all, func(name string) bool {
		return name == "content-length" && (chunked || connected || h.Status < 200)
	})
	s.lose(lost)
	if h.Status < 200 {
		return s.sendHead(all, false)
	}
	if connected {
		return s.sendAccepted(all)
	}
	body, err := inspect.ResponseBody(h, s.method)
	if err != nil {
		return err
	}
	s.text.body, s.text.chunked = body, chunked
	switch {
	case body.Done():
		s.text.phase = outOver
	case body.UntilClose():
		s.text.phase = outUntilClose
	default:
		s.text.phase = outBody
	}
	s.setResponse(all)
	return s.sendHead(all, body.Done())
}

// sendSwitching makes 101 a 200 (RFC 8441 section 5). Whether the server's
// Sec-WebSocket-Accept was right is for whoever inspects the HTTP/1.1 bytes.
func (s *Stream) sendSwitching(h *inspect.Head) error {
	if s.kind != webSocket {
		return errors.New("101 to a request that asked for no upgrade")
	}
	all := []hpack.HeaderField{{Name: ":status", Value: "200"}}
	all, lost := fieldsOf(h, all, func(name string) bool {
		return name == "sec-websocket-accept" || name == "content-length"
	})
	s.lose(lost)
	return s.sendAccepted(all)
}

func (s *Stream) sendAccepted(all []hpack.HeaderField) error {
	s.text.phase = outTunnel
	s.setResponse(all)
	if err := s.sendHead(all, false); err != nil {
		return err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.accepted = true
	s.readable.Broadcast()
	return nil
}

func (s *Stream) setResponse(all []hpack.HeaderField) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.head.Response = told(all)
}

// lose tells which fields HTTP/2 cannot carry.
func (s *Stream) lose(names []string) {
	if len(names) == 0 {
		return
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.tell("fields that HTTP/2 cannot carry were left out: %s", inspect.Visible([]byte(strings.Join(names, ", ")), 200))
}

// tooLarge answers a request whose head is too long: c.mu is held.
func (c *Conn) tooLarge(id uint32) error {
	c.tell("stream %d: a head of more than %d bytes", id, c.opt.HeadLimit)
	c.writeFields(id, []hpack.HeaderField{{Name: ":status", Value: "431"}}, true)
	c.reset(id, http2.ErrCodeNo)
	return c.spend(2, "broken streams")
}

// answer takes the head of an answer in the client's role: c.mu is held.
func (s *Stream) answer(f *http2.MetaHeadersFrame) error {
	status, fields, err := statusOf(f.Fields)
	if err != nil {
		return err
	}
	accepted := status/100 == 2 && s.kind != exchange
	var b []byte
	switch {
	case status == 101:
		return malformed("the status 101, which HTTP/2 does not have")
	case status < 200:
		if f.StreamEnded() {
			return malformed("the end behind the interim answer %d", status)
		}
		b = fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	case accepted && s.kind == webSocket:
		b = line(line([]byte("HTTP/1.1 101 Switching Protocols\r\n"), "Upgrade", "websocket"), "Connection", "Upgrade")
		if s.key != "" {
			b = line(b, "Sec-WebSocket-Accept", inspect.AcceptKey(s.key))
		}
	default:
		b = fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	}
	for _, f := range fields {
		if err := forbidden(f); err != nil {
			return err
		}
		if f.Name == "sec-websocket-accept" && accepted || f.Name == "content-length" && (accepted || status < 200) {
			continue
		}
		b = line(b, f.Name, f.Value)
	}
	if status >= 200 {
		if b, err = s.finalAnswer(b, status, fields, f.StreamEnded()); err != nil {
			return err
		}
		s.answered, s.accepted = true, accepted
		s.head.Response = told(f.Fields)
	}
	s.in.pre = append(append(s.in.pre, b...), "\r\n"...)
	if len(s.in.pre) > 2*s.c.opt.HeadLimit { // interim answers without end
		return breach(http2.ErrCodeEnhanceYourCalm, "interim answers without end")
	}
	if f.StreamEnded() {
		return s.endReceived(nil)
	}
	s.readable.Broadcast()
	return nil
}

// finalAnswer adds the lines that say how the body is framed.
func (s *Stream) finalAnswer(b []byte, status int, fields []hpack.HeaderField, end bool) ([]byte, error) {
	if status/100 == 2 && s.kind != exchange {
		return b, nil
	}
	length, err := lengthOf(fields)
	if err != nil {
		return nil, err
	}
	switch {
	case s.method == "HEAD" || status == 204 || status == 304:
		s.expect = 0
	case length >= 0:
		s.expect = length
	case end:
		b = line(b, "Content-Length", "0")
	case !s.old: // to HTTP/1.0 the end says where it ends
		s.in.chunked = true
		b = line(b, "Transfer-Encoding", "chunked")
	}
	return line(b, "Connection", "close"), nil
}

// statusOf reads the one pseudo-header field of an answer (RFC 9113 section 8.3.2).
func statusOf(all []hpack.HeaderField) (status int, fields []hpack.HeaderField, err error) {
	if len(all) == 0 || all[0].Name != ":status" || len(all) > 1 && strings.HasPrefix(all[1].Name, ":") {
		return 0, nil, malformed("an answer without :status alone")
	}
	v := all[0].Value
	status, err = strconv.Atoi(v)
	if err != nil || len(v) != 3 || status < 100 {
		return 0, nil, malformed("the status %s", inspect.Visible([]byte(v), 20))
	}
	return status, all[1:], nil
}

// trail takes the HEADERS behind a body: c.mu is held.
func (s *Stream) trail(f *http2.MetaHeadersFrame) error {
	if !f.StreamEnded() {
		return malformed("HEADERS in the middle of a body")
	}
	lines, err := trailersOf(f.Fields)
	if err != nil {
		return err
	}
	return s.endReceived(lines)
}
