package replay

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// fits says that a client which offers these may be answered with what was
// agreed: every extension is offered, and permessage-deflate in a form that the
// answer is one to (RFC 7692 section 7.1).
func fits(agreed, offered []inspect.Extension) bool {
	for _, a := range agreed {
		ok := false
		for _, o := range offered {
			ok = ok || o.Name == a.Name && (a.Name != inspect.DeflateName || deflateFits(a, o))
		}
		if !ok {
			return false
		}
	}
	return true
}

func deflateFits(agreed, offer inspect.Extension) bool {
	a, err := inspect.DeflateOf([]inspect.Extension{agreed})
	if err != nil {
		return false
	}
	param := func(e inspect.Extension, name string) (string, bool) {
		for _, p := range e.Params {
			if p.Name == name {
				return p.Value, true
			}
		}
		return "", false
	}
	if _, asked := param(offer, "server_no_context_takeover"); asked && !a.ServerNoContextTakeover {
		return false
	}
	if most, asked := param(offer, "server_max_window_bits"); asked && !atMost(a.ServerMaxWindowBits, most) {
		return false
	}
	most, knows := param(offer, "client_max_window_bits")
	if _, told := param(agreed, "client_max_window_bits"); told {
		return knows && (most == "" || atMost(a.ClientMaxWindowBits, most))
	}
	return true
}

func atMost(bits int, most string) bool {
	n, err := strconv.Atoi(most)
	return err == nil && bits <= n
}

// agreement is what one handshake comes to.
type agreement struct {
	answer  []byte           // the head
	deflate *inspect.Deflate // nil: messages go plain
}

// agree writes the answer to an upgrade that was accepted when it was recorded.
// It fails for a request that cannot be answered.
func agree(u *cassette.Upgrade, request *inspect.Head) (agreement, error) {
	h := inspect.NewHandshake(request, nil, nil)
	var a agreement
	extensions, err := inspect.ParseExtensions([]string{u.Extensions})
	if err != nil || !fits(extensions, h.OfferedExt) {
		extensions = nil
	}
	if len(extensions) > 0 {
		// One that cannot be read was agreed on all the same; its frames are
		// kept as bytes.
		a.deflate, _ = inspect.DeflateOf(extensions)
	}
	fields := u.Accept.Headers
	if fields == nil {
		fields = u.Needed()
	}
	var out []inspect.HeaderField
	extended := len(extensions) == 0
	for _, f := range fields {
		switch strings.ToLower(f.Name) {
		case "sec-websocket-accept":
			if f.Value == "" {
				if f.Value = h.Want; h.Key == "" {
					return a, fmt.Errorf("the request has no Sec-WebSocket-Key")
				}
			}
		case "sec-websocket-protocol":
			f.Value = u.Subprotocol
		case "sec-websocket-extensions":
			if extended {
				continue
			}
			extended, f.Value = true, u.Extensions
		}
		out = append(out, f)
	}
	a.answer = head(&u.Accept, out)
	return a, nil
}

// head writes an answer's head with these fields.
func head(a *cassette.Answer, fields []inspect.HeaderField) []byte {
	proto, phrase := a.Proto, a.Phrase
	if proto == "" {
		proto = "HTTP/1.1"
	}
	if phrase == "" && a.Headers == nil {
		phrase = http.StatusText(a.Status)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %03d %s\r\n", proto, a.Status, phrase)
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// response writes an answer that is not a 101, as recorded, and says whether
// only the connection's end ends its body.
func response(a *cassette.Answer, method string) (raw []byte, untilClose bool) {
	bare := method == "HEAD" || a.Status == http.StatusNoContent || a.Status == http.StatusNotModified
	fields := make([]inspect.HeaderField, 0, len(a.Headers)+1)
	chunked, sized := false, false
	for _, f := range a.Headers {
		switch strings.ToLower(f.Name) {
		case "transfer-encoding":
			chunked = true
		case "content-length":
			sized = true
			if !bare {
				f.Value = strconv.Itoa(len(a.Body))
			}
		}
		fields = append(fields, f)
	}
	h := &inspect.Head{Status: a.Status, Fields: fields}
	if chunked {
		// Whether chunks are framed depends on the last coding alone.
		body, err := inspect.ResponseBody(h, method)
		untilClose = err == nil && body.UntilClose()
		chunked = !untilClose
	} else if !sized && a.Headers == nil {
		fields = append(fields, inspect.HeaderField{Name: "Content-Length", Value: strconv.Itoa(len(a.Body))})
	} else {
		untilClose = !sized && !bare
	}
	raw = head(a, fields)
	switch {
	case bare:
	case chunked:
		if len(a.Body) > 0 {
			raw = append(fmt.Appendf(raw, "%x\r\n", len(a.Body)), a.Body...)
			raw = append(raw, "\r\n"...)
		}
		raw = append(raw, "0\r\n\r\n"...)
	default:
		raw = append(raw, a.Body...)
	}
	return raw, untilClose && !bare
}

// sentence is an answer of our own: a status and a line of text.
func sentence(status int, format string, args ...any) *cassette.Answer {
	body := fmt.Sprintf(format, args...) + "\n"
	return &cassette.Answer{Status: status, Phrase: http.StatusText(status), Body: []byte(body), Headers: []inspect.HeaderField{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"}, {Name: "Content-Length", Value: strconv.Itoa(len(body))}}}
}
