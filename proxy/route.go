package proxy

import (
	"net/url"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// route is where a connection goes, and how its client said so.
type route struct {
	config *Config // of this connection: behind a forward proxy each has a target
	dialer dialer
	mode   string
	via    string // the CONNECT or SOCKS request in whose tunnel it is; empty: none

	routed   bool // each request may be for another of the listener's targets
	absolute bool // requests name their server (RFC 9112 section 3.2.2); only those for the target are served here
	inside   bool // they are answered in this process, by goproxy, which dials
	tunnel   bool // what is not HTTP goes on as it is
	opaque   bool // nothing is taken for HTTP
	silent   bool // nothing that passes is told

	ready   *dialled // the server, if it was dialled before
	denied  *denial  // nothing is relayed: this is the answer to the client
	failure *failure // nothing is relayed: this is why
}

// dialled is what came of dialling a server.
type dialled struct {
	socket *socket
	note   inspect.PeerNote
	err    error // the note's, in a sentence; then there is no socket
}

// denial is an answer in the server's place.
type denial struct {
	status      int
	phrase, why string
	header      string // lines beside the usual ones
}

// failure is why a connection came to nothing before it carried HTTP.
type failure struct {
	how       inspect.End // of the client's direction
	text, why string      // what the system said; a sentence
}

// reverse is the one route of a reverse proxy, or what all its routes begin with.
func (s *Server) reverse() route {
	return route{config: &s.config, dialer: s.dial, mode: "reverse", routed: len(s.branches) > 0}
}

// forward is the route to a server that a client names. The client's head is the
// server's: it knows nothing of wsproxy.
func (s *Server) forward(target *url.URL) (route, error) {
	c := s.config
	c.Target, c.ConnectTo, c.KeepHost, c.KeepOrigin, c.AllowHost = target, "", true, true, Hosts{"*"}
	d, err := s.newDialer(&c)
	return route{config: &c, dialer: d, mode: "forward"}, err
}

// elsewhere is a route that leads nowhere: it is told why.
func (s *Server) elsewhere() route {
	c := s.config
	c.Target = &url.URL{}
	return route{config: &c, mode: "forward"}
}

// absoluteTarget is the server that a request in absolute-form names; nil if it
// names none that could be reached.
func absoluteTarget(h *inspect.Head) *url.URL {
	u, err := url.Parse(h.Target)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return nil
	}
	switch u.Scheme {
	case "http", "https", "ws", "wss":
		return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}
	}
	return nil
}

// belongs says that a request in absolute-form is for this connection's server,
// and answered the way that it answers.
func (c *conn) belongs(raw []byte) bool {
	h, err := inspect.ParseRequest(raw)
	if err != nil {
		return true // it is refused here
	}
	if c.routed {
		w := c.pick(h)
		return w != nil && w.config == c.config
	}
	u := absoluteTarget(h)
	return u != nil && *u == *c.config.Target && h.Upgrading() != c.inside && c.config.authorized(h)
}

// handOver ends the connection, but for the client's socket, once its requests
// are answered: the client's next request goes elsewhere.
func (c *conn) handOver(raw, rest []byte) {
	c.drained()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over.Load() {
		return
	}
	c.handed = append(append([]byte{}, raw...), rest...)
	if c.why = "the client's next request went to another server"; c.preface(raw) {
		c.why = "the client speaks HTTP/2, and its streams follow apart"
	}
	c.over.Store(true)
}

// tellPartial tells what has come of a head that will not be whole. Where requests
// choose their server only a whole one is told, where it belongs.
func (c *conn) tellPartial() {
	if c.roams() && c.req.phase == inHead {
		c.tapHead(time.Now(), c.req.head.Partial())
		c.req.head.Reset()
	}
}

// passPartial passes on what has come of a head that does not end: inside a tunnel
// it need not be one. It was told.
func (c *conn) passPartial() {
	c.headDeadline(time.Time{})
	c.req.phase = inOther
	c.serverLeg(inspect.ToServer, time.Now(), c.req.head.Partial(), marks{})
	if c.upstream != nil || c.connect() {
		c.writeUp(c.req.head.Partial())
	}
	c.req.head.Reset()
}

// passOther passes on what a tunnel carries that is not HTTP.
func (c *conn) passOther(now time.Time, data []byte) {
	c.req.phase = inOther
	if c.upstream != nil || c.connect() {
		c.serverLeg(inspect.ToServer, now, data, marks{})
		c.writeUp(data)
	}
}

// letter says that a byte may begin an HTTP request: a method, or an empty line
// before it.
func letter(b byte) bool { return b >= 'A' && b <= 'Z' || b == '\r' || b == '\n' }

// answers waits until every request has its answer, at most so long.
func (c *conn) answers(most time.Duration) {
	late := false
	timer := time.AfterFunc(most, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.changed.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && !c.over.Load() && !late {
		c.changed.Wait()
	}
}
