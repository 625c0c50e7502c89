package proxy

import (
	"bytes"
	"net"
	"net/url"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// rewriting makes a client's head what the server gets: the target's Host, its
// origin where the client names ours, the target's path in front, and the
// headers that the user asked for. Every other byte stays as it is.
type rewriting struct {
	config *Config
	own    []string // hosts under which the client knows us
	out    []byte
	done   map[string]bool // headers of the user that replaced one
}

func (c *Config) rewrite(h *inspect.Head, local net.Addr) []byte {
	r := rewriting{config: c, own: append(h.Values("Host"), local.String()), done: map[string]bool{}}
	raw := h.Raw
	line := nextLine(&raw)
	for len(bytes.Trim(line, "\r\n")) == 0 && len(raw) > 0 { // empty lines in front
		r.out = append(r.out, line...)
		line = nextLine(&raw)
	}
	r.requestLine(line, h)
	for len(raw) > 0 {
		line = nextLine(&raw)
		if len(bytes.Trim(line, "\r\n")) == 0 {
			r.added(lineEnd(line))
			r.out = append(r.out, line...)
			break
		}
		for len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') { // folded
			line = line[:len(line)+len(nextLine(&raw))]
		}
		r.field(line)
	}
	return append(r.out, raw...)
}

// nextLine takes a line off b, with its end. It is a slice of b.
func nextLine(b *[]byte) []byte {
	n := bytes.IndexByte(*b, '\n') + 1
	if n == 0 {
		n = len(*b)
	}
	line := (*b)[:n]
	*b = (*b)[n:]
	return line
}

func lineEnd(line []byte) string {
	if bytes.HasSuffix(line, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

func (r *rewriting) requestLine(line []byte, h *inspect.Head) {
	if r.config.absolute {
		r.originForm(line, h)
		return
	}
	prefix := strings.TrimSuffix(r.config.Target.EscapedPath(), "/")
	strip := r.config.stripped(h.Target)
	if prefix == "" && strip == "" || !strings.HasPrefix(h.Target, "/") {
		r.out = append(r.out, line...)
		return
	}
	at := bytes.Index(line, []byte(h.Target))
	r.out = append(append(r.out, line[:at]...), prefix...)
	rest := line[at+len(strip):]
	path, _, _ := strings.Cut(h.Target[len(strip):], "?")
	switch {
	case path == "/" && prefix != "":
		rest = rest[1:] // "/" asks for the target itself
	case path == "" && prefix == "":
		r.out = append(r.out, '/')
	}
	r.out = append(r.out, rest...)
}

// originForm writes a request line in absolute-form as its server is to get it
// (RFC 9112 section 3.2.1): without the scheme and the host.
func (r *rewriting) originForm(line []byte, h *inspect.Head) {
	at := bytes.Index(line, []byte(h.Target))
	r.out = append(r.out, line[:at]...)
	rest := line[at:]
	authority := strings.Index(h.Target, "://") + len("://")
	n := strings.IndexAny(h.Target[authority:], "/?#")
	if n < 0 {
		n = len(h.Target) - authority
	}
	if rest = rest[authority+n:]; rest[0] != '/' {
		r.out = append(r.out, '/')
	}
	r.out = append(r.out, rest...)
}

// field writes a header line, folded lines included, with its value replaced
// where that is ours to do.
func (r *rewriting) field(line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		r.out = append(r.out, line...)
		return
	}
	key := strings.ToLower(string(bytes.TrimSpace(name)))
	if r.config.absolute && strings.HasPrefix(key, "proxy-") || r.config.asks() && key == "authorization" {
		return // it is for wsproxy
	}
	now, change := r.value(key, string(bytes.TrimSpace(value)))
	if r.done[key] && r.ours(key) != nil {
		return // the user's header replaces all of that name
	}
	if r.ours(key) != nil {
		r.done[key] = true
	}
	if !change {
		r.out = append(r.out, line...)
		return
	}
	start := len(name) + 1
	for start < len(line) && (line[start] == ' ' || line[start] == '\t') {
		start++
	}
	end := len(bytes.TrimRight(line, " \t\r\n"))
	r.out = append(append(r.out, line[:start]...), now...)
	r.out = append(r.out, line[max(start, end):]...)
}

// ours is the user's header of that name.
func (r *rewriting) ours(key string) *inspect.HeaderField {
	for i, f := range r.config.Header {
		if strings.EqualFold(f.Name, key) {
			return &r.config.Header[i]
		}
	}
	return nil
}

func (r *rewriting) value(key, value string) (now string, change bool) {
	if f := r.ours(key); f != nil {
		return f.Value, true
	}
	switch key {
	case "host":
		return r.config.host(), !r.config.KeepHost
	case "origin", "referer":
		if u, err := url.Parse(value); err == nil && !r.config.KeepOrigin && r.isOwn(u) {
			u.Scheme, u.Host = r.config.httpScheme(), r.config.host()
			return u.String(), true
		}
	}
	return value, false
}

func (r *rewriting) isOwn(u *url.URL) bool {
	for _, own := range r.own {
		if u.Host != "" && strings.EqualFold(u.Host, own) {
			return true
		}
	}
	return false
}

// added writes the user's headers that replaced none.
func (r *rewriting) added(end string) {
	for _, f := range r.config.Header {
		if key := strings.ToLower(f.Name); !r.done[key] {
			r.out = append(r.out, f.Name+": "+f.Value+end...)
		}
	}
}

// host is the target's host as a browser would name it: without the scheme's
// own port.
func (c *Config) host() string {
	if c.Target.Port() == defaultPort(c.Target.Scheme) {
		return strings.TrimSuffix(c.Target.Host, ":"+c.Target.Port())
	}
	return c.Target.Host
}

func (c *Config) httpScheme() string {
	if c.Target.Scheme == "wss" || c.Target.Scheme == "https" {
		return "https"
	}
	return "http"
}

// sessionURL is the URL that an upgrade asks of the server.
func (c *Config) sessionURL(sent *inspect.Head) string {
	scheme := "ws"
	if c.httpScheme() == "https" {
		scheme = "wss"
	}
	if !strings.HasPrefix(sent.Target, "/") {
		return scheme + "://" + c.Target.Host + "/"
	}
	return scheme + "://" + c.Target.Host + sent.Target
}
