package h2

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsproxy/wsproxy/inspect"
)

// request is a client's request on a stream, and what it is in HTTP/1.1.
type request struct {
	raw     []byte
	fields  []inspect.HeaderField
	kind    kind
	method  string
	chunked bool
	length  int64 // -1: not known
}

// pseudo are a request's pseudo-header fields; http2.Framer lets each through once.
type pseudo struct {
	method, scheme, authority, path, protocol  string
	hasScheme, hasAuthority, hasPath, extended bool
}

// newRequest reads the fields of a request (RFC 9113 section 8.3.1, RFC 8441
// section 4); end says that no body follows. Errors are *BreachError.
func newRequest(all []hpack.HeaderField, end bool) (*request, error) {
	var p pseudo
	n := 0
	for ; n < len(all) && strings.HasPrefix(all[n].Name, ":"); n++ {
		switch v := all[n].Value; all[n].Name {
		case ":method":
			p.method = v
		case ":scheme":
			p.scheme, p.hasScheme = v, true
		case ":authority":
			p.authority, p.hasAuthority = v, true
		case ":path":
			p.path, p.hasPath = v, true
		case ":protocol":
			p.protocol, p.extended = v, true
		default:
			return nil, malformed("%s in a request", all[n].Name)
		}
	}
	fields := all[n:]
	r := &request{fields: told(all), method: p.method}
	var err error
	if r.length, err = lengthOf(fields); err != nil {
		return nil, err
	}
	if r.kind, err = p.check(); err != nil {
		return nil, err
	}
	host, err := hostOf(p, fields)
	if err != nil {
		return nil, err
	}
	switch {
	case r.kind != exchange && r.length > 0: // in HTTP/1.1 it would frame the session's first bytes
		return nil, malformed("content-length in a CONNECT")
	case r.kind != exchange:
		r.length = -1
	case end && r.length > 0:
		return nil, malformed("content-length %d and no body", r.length)
	case end:
		r.length = 0
	default:
		r.chunked = r.length < 0
	}
	r.raw, err = r.head(p, host, fields)
	return r, err
}

// check says what the request is, if its pseudo-header fields may stand together.
func (p *pseudo) check() (kind, error) {
	switch {
	case p.method == "":
		return 0, malformed("a request without :method")
	case !isToken(p.method):
		return 0, malformed("the method %s", inspect.Visible([]byte(p.method), 60))
	case p.method == "CONNECT" && !p.extended:
		if p.hasScheme || p.hasPath || p.authority == "" {
			return 0, malformed("a CONNECT has :authority, no :scheme and no :path")
		}
		return tunnel, nil
	case p.extended && p.method != "CONNECT":
		return 0, malformed(":protocol with the method %s", p.method)
	case p.scheme == "" || p.path == "":
		return 0, malformed("a request without :scheme or :path")
	case !isPath(p.path, p.method):
		return 0, malformed("the :path %s", inspect.Visible([]byte(p.path), 60))
	case p.extended && !p.hasAuthority:
		return 0, malformed("an extended CONNECT without :authority")
	case p.extended && p.protocol != "websocket":
		return 0, breach(http2.ErrCodeRefusedStream, "a CONNECT for the protocol %s, which is not websocket", inspect.Visible([]byte(p.protocol), 60))
	case p.extended:
		return webSocket, nil
	}
	return exchange, nil
}

// isPath says that a :path can stand in a request line as it is.
func isPath(path, method string) bool {
	if path[0] != '/' && (path != "*" || method != "OPTIONS") {
		return false
	}
	for i := 0; i < len(path); i++ {
		if path[i] <= ' ' || path[i] == 0x7f || path[i] == '#' {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

// hostOf is the one host that the request names (RFC 9113 section 8.3.1).
func hostOf(p pseudo, fields []hpack.HeaderField) (string, error) {
	host, has := p.authority, p.hasAuthority
	for i, f := range fields {
		if f.Name != "host" {
			continue
		}
		if has && (!strings.EqualFold(f.Value, host) || i > 0 && !p.hasAuthority) {
			return "", malformed("two hosts: %s and %s", inspect.Visible([]byte(host), 60), inspect.Visible([]byte(f.Value), 60))
		}
		if !has {
			host, has = f.Value, true
		}
	}
	if host == "" {
		return "", malformed("a request without :authority and host")
	}
	for i := 0; i < len(host); i++ {
		if host[i] <= ' ' || host[i] >= 0x7f || strings.IndexByte("/@\\?#,", host[i]) >= 0 {
			return "", malformed("the :authority %s", inspect.Visible([]byte(host), 60))
		}
	}
	return host, nil
}

// head writes the request as HTTP/1.1: Host first, the fields in their order.
func (r *request) head(p pseudo, host string, fields []hpack.HeaderField) ([]byte, error) {
	method, target := p.method, p.path
	switch r.kind {
	case webSocket:
		method = "GET"
	case tunnel:
		target = p.authority
	}
	b := line(fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", method, target), "Host", host)
	cookies, te := crumbs(fields), false
	for _, f := range fields {
		if err := forbidden(f); err != nil {
			return nil, err
		}
		switch {
		case f.Name == "host", f.Name == "sec-websocket-key" && r.kind == webSocket,
			f.Name == "content-length" && r.kind != exchange:
		case f.Name == "cookie":
			if cookies != "" {
				b, cookies = line(b, f.Name, cookies), ""
			}
		case f.Name == "te" && te:
		default:
			te = te || f.Name == "te"
			b = line(b, f.Name, f.Value)
		}
	}
	options := make([]string, 0, 2)
	if te {
		options = append(options, "TE") // RFC 9110 section 10.1.4
	}
	if r.kind == webSocket {
		options = append(options, "Upgrade")
	}
	if len(options) > 0 {
		b = line(b, "Connection", strings.Join(options, ", "))
	}
	if r.kind == webSocket {
		b = line(line(b, "Upgrade", "websocket"), "Sec-WebSocket-Key", newKey())
	}
	if r.chunked {
		b = line(b, "Transfer-Encoding", "chunked")
	}
	return append(b, "\r\n"...), nil
}

// crumbs joins the cookie fields, which HTTP/2 may split (RFC 9113 section 8.2.3).
func crumbs(fields []hpack.HeaderField) string {
	var all []string
	for _, f := range fields {
		if f.Name == "cookie" {
			all = append(all, f.Value)
		}
	}
	return strings.Join(all, "; ")
}

// newKey makes a Sec-WebSocket-Key up: HTTP/2 has none (RFC 8441 section 5).
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.StdEncoding.EncodeToString(b[:])
}

// sendRequest takes the head of an HTTP/1.1 request in the client's role.
func (s *Stream) sendRequest(h *inspect.Head) error {
	body, err := inspect.RequestBody(h)
	if err != nil {
		return err
	}
	k := exchange
	switch {
	case h.Method == "GET" && h.IsUpgrade():
		k = webSocket
	case h.Method == "CONNECT":
		k = tunnel
	}
	if k == webSocket && !body.Done() {
		return errors.New("an upgrade with a body cannot be asked for over HTTP/2")
	}
	s.c.mu.Lock()
	s.kind, s.method, s.key, s.old = k, h.Method, h.Get("Sec-WebSocket-Key"), h.Proto == "HTTP/1.0"
	able := s.c.peer.connect
	s.c.mu.Unlock()
	if k == webSocket && !able {
		return ErrNoExtendedConnect
	}
	all, lost, err := requestFields(h, k, s.c.opt.Scheme)
	if err != nil {
		return err
	}
	s.lose(lost)
	s.c.mu.Lock()
	s.head.Request = told(all)
	s.c.mu.Unlock()
	end := k == exchange && body.Done()
	s.text.body, s.text.chunked = body, h.Has("Transfer-Encoding")
	switch {
	case end:
		s.text.phase = outOver
	case k == exchange:
		s.text.phase = outBody
	default:
		s.text.phase = outTunnel
	}
	return s.sendHead(all, end)
}

// requestFields are the fields of a request as HTTP/2 has them.
func requestFields(h *inspect.Head, k kind, scheme string) (all []hpack.HeaderField, lost []string, err error) {
	add := func(name, value string) { all = append(all, hpack.HeaderField{Name: name, Value: value}) }
	authority, path := h.Get("Host"), h.Target
	if k == tunnel {
		add(":method", "CONNECT")
		add(":authority", h.Target)
	} else {
		if _, rest, absolute := strings.Cut(path, "://"); absolute && path[0] != '/' {
			if at := strings.IndexAny(rest, "/?"); at < 0 {
				authority, path = rest, "/"
			} else if authority, path = rest[:at], rest[at:]; path[0] == '?' {
				path = "/" + path
			}
		}
		if path == "" || !isPath(path, h.Method) {
			return nil, nil, fmt.Errorf("the request target %s cannot be asked for over HTTP/2", inspect.Visible([]byte(h.Target), 60))
		}
		if k == webSocket {
			add(":method", "CONNECT")
			add(":protocol", "websocket")
		} else {
			add(":method", h.Method)
		}
		add(":scheme", scheme)
		if authority != "" {
			add(":authority", authority)
		}
		add(":path", path)
	}
	chunked := h.Has("Transfer-Encoding")
	all, lost = fieldsOf(h, all, func(name string) bool {
		return name == "host" || name == "sec-websocket-key" && k == webSocket || name == "content-length" && (chunked || k != exchange)
	})
	return all, lost, nil
}
