package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// Route is one of several targets behind a listener, and which requests are for it.
// What is empty asks for nothing.
type Route struct {
	Host  Pattern // of the request's Host
	SNI   Pattern // the name that the client's TLS asks for
	Path  string  // "/api": that path and what is below it
	Strip bool    // the target's paths do not begin with Path

	// Target says how the target is reached: its Target, Unix, ConnectTo, Header,
	// KeepHost, KeepOrigin, AllowHost, Insecure, ClientCert and Upstream. The rest
	// is the listener's.
	Target Config
}

func (r *Route) String() string {
	var all []string
	if r.SNI != "" {
		all = append(all, "TLS for "+string(r.SNI))
	}
	if r.Host != "" || r.prefix() != "" || r.SNI == "" {
		all = append(all, string(r.Host)+r.prefix()+"/*")
	}
	return strings.Join(all, " ")
}

// prefix is the path without a slash or a star at its end.
func (r *Route) prefix() string { return strings.TrimRight(strings.TrimSuffix(r.Path, "*"), "/") }

// branch is a Route that requests can take.
type branch struct {
	Route
	config *Config
	dialer dialer
}

// prepare makes the branches, the most particular first: one that names a host
// before one that names none, a name before a pattern, a longer path before a
// shorter one.
func (s *Server) prepare() error {
	if s.config.Target != nil || s.config.FromTCP {
		return errors.New("several targets stand behind WebSocket clients, and in place of one target")
	}
	s.config.Target = &url.URL{}
	for _, r := range s.config.Routes {
		if !strings.HasPrefix(r.Path, "/") && r.Path != "" {
			return fmt.Errorf("the path %q does not begin with a slash", r.Path)
		}
		b := branch{Route: r, config: s.config.branch(&r)}
		if to := b.config.Target; to == nil || to.Hostname() == "" && b.config.Unix == "" {
			return fmt.Errorf("%s: a target with a host is needed", r.String())
		}
		var err error
		if b.dialer, err = s.newDialer(b.config); err != nil {
			return fmt.Errorf("%s: %w", r.String(), err)
		}
		if slices.ContainsFunc(s.branches, func(o branch) bool {
			return o.Host == r.Host && o.SNI == r.SNI && o.prefix() == r.prefix()
		}) {
			return fmt.Errorf("two targets are for %s", r.String())
		}
		s.branches = append(s.branches, b)
	}
	slices.SortStableFunc(s.branches, func(a, b branch) int {
		return cmp.Or(particular(b.SNI)-particular(a.SNI), particular(b.Host)-particular(a.Host), len(b.prefix())-len(a.prefix()))
	})
	return nil
}

// particular says how little a pattern leaves open.
func particular(p Pattern) int {
	switch {
	case p == "":
		return 0
	case strings.Contains(string(p), "*"):
		return 1 + len(strings.ReplaceAll(string(p), "*", ""))
	}
	return 1 << 16
}

// branch is the configuration of a route's connections. A host that a route names
// is one that requests may be for.
func (c *Config) branch(r *Route) *Config {
	b, t := *c, &r.Target
	b.Target, b.Unix, b.ConnectTo, b.Header, b.Insecure = t.Target, t.Unix, t.ConnectTo, t.Header, t.Insecure
	b.KeepHost, b.KeepOrigin, b.ClientCert, b.Upstream = t.KeepHost, t.KeepOrigin, t.ClientCert, t.Upstream
	b.AllowHost, b.Routes = slices.Concat(c.AllowHost, t.AllowHost), nil
	for _, p := range []Pattern{r.Host, r.SNI} {
		if p != "" {
			b.AllowHost = append(b.AllowHost, string(p))
		}
	}
	if r.Strip {
		b.strip = r.prefix()
	}
	return &b
}

// stripped is what is taken off a request's path.
func (c *Config) stripped(target string) string {
	if c.strip != "" && below(target, c.strip) {
		return c.strip
	}
	return ""
}

// below says that a request's target, in origin-form, is a path or below it.
func below(target, path string) bool {
	rest, ok := strings.CutPrefix(target, path)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '?' || rest[0] == '#')
}

// takes says that a request is for this target. name is what the client's TLS asked
// for, if it did.
func (b *branch) takes(h *inspect.Head, name string) bool {
	host, port, path := h.Get("Host"), "", h.Target
	if u, err := url.Parse(h.Target); err == nil && u.Host != "" { // absolute-form
		host, path = u.Host, u.EscapedPath()
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		port = host[i+1:]
	}
	return (b.SNI == "" || b.SNI.Matches(name, "")) && (b.Host == "" || b.Host.Matches(host, port)) &&
		(b.prefix() == "" || below(path, b.prefix()))
}

// pick answers the target that a request is for; nil if there is none.
func (c *conn) pick(h *inspect.Head) *branch {
	name := c.asked()
	for i := range c.server.branches {
		if b := &c.server.branches[i]; b.takes(h, name) {
			return b
		}
	}
	return nil
}

// asked is the name that the client's TLS asked for.
func (c *conn) asked() string {
	client := c.client
	if c.carrier != nil {
		client = c.carrier.conn.client
	}
	if client.tls == nil {
		return ""
	}
	return client.tls.ConnectionState().ServerName
}

// settle waits for the first request and takes the connection to its target. What
// came to nothing stands in the route.
func (c *conn) settle() {
	raw, _, err := c.client.firstHead(c.config, recordHandshake)
	var long *inspect.HeadTooLong
	switch {
	case errors.As(err, &long):
		c.denied = &denial{status: 431, phrase: "Request Header Fields Too Large", why: fmt.Sprintf("the request's head is longer than %d bytes", long.Limit)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.denied = &denial{status: 408, phrase: "Request Timeout", why: fmt.Sprintf("the request's head did not end within %v", c.config.HeadTimeout)}
	case c.preface(raw): // each stream settles for itself
	case err == nil && raw != nil:
		h, err := inspect.ParseRequest(raw)
		if err != nil {
			c.denied = &denial{status: 400, phrase: "Bad Request", why: err.Error()}
			return
		}
		if c.denied = c.config.unauthorized(h); c.denied != nil {
			return
		}
		if b := c.pick(h); b != nil {
			c.config, c.dialer = b.config, b.dialer
			return
		}
		c.denied = c.unserved(h)
	}
	// Else the client has left, or speaks TLS: that is met again by whoever reads on.
}

// unserved is the answer to a request that no target is for.
func (c *conn) unserved(h *inspect.Head) *denial {
	var all, hosts []string
	for i := range c.server.branches {
		b := &c.server.branches[i]
		all = append(all, b.String())
		for _, p := range []Pattern{b.Host, b.SNI} {
			if p != "" {
				hosts = append(hosts, string(p))
			}
		}
	}
	if name := append(Hosts(hosts), c.config.AllowHost...).Foreign(h, c.local); name != "" {
		return &denial{status: 421, phrase: "Misdirected Request", why: fmt.Sprintf("no target here is for the host %q", name)}
	}
	if h.Method == "CONNECT" {
		return &denial{status: 405, phrase: "Method Not Allowed", why: "wsproxy is a reverse proxy here and opens no tunnels"}
	}
	path, _, _ := strings.Cut(h.Target, "?")
	host := ""
	if len(hosts) > 0 {
		host = inspect.Visible([]byte(hostOnly(h.Get("Host"))), 200)
	}
	why := fmt.Sprintf("no target here serves %s%s; there is %s", host, inspect.Visible([]byte(path), 200), strings.Join(all, ", "))
	c.config.Logf("%s: %s", c.client.RemoteAddr(), why)
	return &denial{status: 404, phrase: "Not Found", why: why}
}

// roams says that the client's next request may be for another server.
func (c *conn) roams() bool { return c.absolute || c.routed }

// bridged is the bridge that a connection becomes whose target speaks no WebSocket.
func (c *conn) bridged() *bridge {
	b := &bridge{conn: c}
	c.mode = inspect.ModeToTCP
	c.mu.Lock()
	c.bridge = b
	c.mu.Unlock()
	return b
}

// ender is who ends the connection from outside.
func (c *conn) ender() relay {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bridge != nil {
		return c.bridge
	}
	return c
}
