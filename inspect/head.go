package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// HeaderField is one header line. Value has no white space around it; the lines
// of a folded one are joined by a space (RFC 9112 section 5.2).
type HeaderField struct{ Name, Value string }

// Head is the head of an HTTP/1 message: its bytes as they were, and what they
// mean. Order, case and duplicates are kept.
type Head struct {
	Raw     []byte
	Method  string // of a request
	Target  string // of a request
	Proto   string // "HTTP/1.1"
	Status  int    // of a response
	Phrase  string // of a response, may be empty
	Fields  []HeaderField
	Problem string // the first way in which it is not RFC 9112; empty if it is
}

// Get is the value of the first field of that name in any case; empty if there is none.
func (h *Head) Get(name string) string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Values are the values of all fields of that name, in order.
func (h *Head) Values(name string) []string {
	var all []string
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}

// Has says that there is a field of that name.
func (h *Head) Has(name string) bool {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// Token says that one of the fields of that name lists the token (a
// comma-separated list, compared without case; RFC 9110 section 5.6.1).
func (h *Head) Token(name, token string) bool {
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(t, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// IsRequest tells a request's head from a response's.
func (h *Head) IsRequest() bool { return h.Method != "" }

// Upgrading says that the message asks for, or agrees to, another protocol
// (RFC 9110 section 7.8).
func (h *Head) Upgrading() bool { return h.Has("Upgrade") && h.Token("Connection", "upgrade") }

// IsUpgrade says that it is a request to become a WebSocket (RFC 6455 section
// 4.1), whether or not the rest of the handshake is right.
func (h *Head) IsUpgrade() bool {
	return h.IsRequest() && h.Token("Connection", "upgrade") && h.Token("Upgrade", "websocket")
}

func (h *Head) problem(format string, args ...any) {
	if h.Problem == "" {
		h.Problem = fmt.Sprintf(format, args...)
	}
}

// ParseRequest reads a request's head, from the start line to the empty line.
// It fails only if the start line cannot be read; lesser faults are Problem.
func ParseRequest(raw []byte) (*Head, error) {
	h := &Head{Raw: raw}
	line, rest := h.startLine()
	method, line, ok := strings.Cut(line, " ")
	end := strings.LastIndexByte(line, ' ')
	if !ok || end < 0 || method == "" || !isToken(method) {
		return nil, errors.New("not an HTTP request: " + strconv.Quote(clip(firstLine(raw))))
	}
	h.Method, h.Target, h.Proto = method, line[:end], line[end+1:]
	if !isProto(h.Proto) {
		return nil, errors.New("not an HTTP/1 request: " + strconv.Quote(clip(firstLine(raw))))
	}
	if h.Target == "" || strings.ContainsAny(h.Target, " \t") {
		h.problem("white space in the request target")
	}
	h.fields(rest)
	return h, nil
}

// ParseResponse reads a response's head; see ParseRequest.
func ParseResponse(raw []byte) (*Head, error) {
	h := &Head{Raw: raw}
	line, rest := h.startLine()
	proto, line, _ := strings.Cut(line, " ")
	code, phrase, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(code)
	if !isProto(proto) || err != nil || len(code) != 3 || n < 100 {
		return nil, errors.New("not an HTTP/1 response: " + strconv.Quote(clip(firstLine(raw))))
	}
	h.Proto, h.Status, h.Phrase = proto, n, phrase
	h.fields(rest)
	return h, nil
}

func isProto(s string) bool {
	return len(s) == 8 && s[:7] == "HTTP/1." && s[7] >= '0' && s[7] <= '9'
}

// startLine takes the first line that is not empty: RFC 9112 section 2.2 lets a
// few empty ones stand before a request.
func (h *Head) startLine() (line string, rest []byte) {
	rest = h.Raw
	for {
		var l []byte
		l, rest = h.line(rest)
		if len(l) > 0 || len(rest) == 0 {
			return string(l), rest
		}
	}
}

// line takes a line off b, without its end.
func (h *Head) line(b []byte) (line, rest []byte) {
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return line, nil
	}
	trimmed, crlf := bytes.CutSuffix(line, []byte("\r"))
	if !crlf {
		h.problem("a line ends in a bare LF")
	}
	return trimmed, rest
}

func (h *Head) fields(b []byte) {
	for len(b) > 0 {
		var l []byte
		l, b = h.line(b)
		switch {
		case len(l) == 0:
			return
		case l[0] == ' ' || l[0] == '\t':
			h.problem("a header line is folded")
			if n := len(h.Fields); n > 0 {
				f := &h.Fields[n-1]
				f.Value = strings.TrimSpace(f.Value + " " + trim(l))
				continue
			}
		}
		name, value, ok := strings.Cut(string(l), ":")
		if !ok {
			h.problem("the header line %q has no colon", clip(string(l)))
			continue
		}
		bare := strings.Trim(name, " \t")
		if bare != name {
			h.problem("white space around the header name %q", clip(bare))
		} else if !isToken(name) {
			h.problem("the header name %q is no token", clip(name))
		}
		h.Fields = append(h.Fields, HeaderField{bare, trim([]byte(value))})
	}
}

func trim(b []byte) string { return string(bytes.Trim(b, " \t")) }

func firstLine(b []byte) string {
	b = bytes.TrimLeft(b, "\r\n")
	l, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.TrimSuffix(string(l), "\r")
}

// clip shortens what a peer sent for a message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// isToken says that s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}
