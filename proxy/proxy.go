// Package proxy moves bytes between clients and their server, both ways, as they
// come: every frame, legal or not, and every ending. What passes is told to a
// tap, an inspect.Sink; nothing on the path looks at it for longer than framing
// needs.
//
// [Server] accepts; each connection is relayed by two goroutines, see conn.go.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Config says what to stand in front of, and how.
type Config struct {
	Target    *url.URL // ws, wss, http or https; its path is put in front of the client's. tcp: a bridge
	ConnectTo string   // host:port to dial instead of the target's
	Unix      string   // path of the socket to dial instead, if the target is behind one; with a target of unix:// a bridge
	Header    []inspect.HeaderField

	Routes []Route // several targets in place of one, chosen for each request; then Target is nil
	strip  string  // what a request's path begins with and the target's does not

	Access // who may come

	FromTCP bool // clients speak no WebSocket: their bytes go to the target in messages

	KeepHost   bool  // pass the client's Host on
	KeepOrigin bool  // pass an Origin or Referer that names us on
	AllowHost  Hosts // that requests may be for
	Insecure   bool  // do not verify the target's certificate

	// Secure answers a certificate for a name or an address, if listeners speak TLS;
	// nil: they do not. A forward proxy's never do.
	Secure     func(host string) (*tls.Certificate, error)
	ClientCert *tls.Certificate // shown to a server that asks; nil: none
	KeyLog     io.Writer        // gets the keys of all TLS, for whoever is to read it besides; nil: nobody

	HTTP        HTTP          // versions that are spoken
	BothLegs    bool          // tap the server leg whole, not only its handshake and end
	HeadLimit   int64         // most bytes of an HTTP head; 0: 64 KiB
	HeadTimeout time.Duration // most time for a request's head, from its first byte; 0: 10 s
	DialTimeout time.Duration // most time to reach the server, TLS included; 0: 10 s
	Grace       time.Duration // how long sessions may go on after Shutdown
	MaxConns    int           // most open connections, past which a client gets a 503; 0: no limit

	Gate     Gate     // asked about frames; nil: all pass
	Upstream Upstream // another proxy, through which servers are reached; nil: there is none
	Forward  *Forward // nil: a reverse proxy for Target; else clients name their targets
	absolute bool     // requests are in absolute-form (RFC 9112 section 3.2.2), which is not the server's

	Tap  inspect.Sink                     // nil: nobody listens
	Logf func(format string, args ...any) // nil: nobody reads it
}

// Stats are counts since the start.
type Stats struct {
	Open     int      // connections that are open
	Total    int      // connections that were accepted
	Sessions int      // upgrades that the server agreed to
	Denied   int      // clients that were not let in for their address
	Bytes    [2]int64 // relayed, by inspect.Dir
}

// Server is a reverse proxy for one target or several, or a forward proxy. Its goroutines are the callers of
// Serve and two for each connection; Shutdown waits for all of them.
type Server struct {
	*house // shared with the servers beside it

	// Fixed after New.
	config    Config
	dial      dialer
	branches  []branch   // in the order in which they are tried
	exchanger *exchanger // nil: a reverse proxy
}

// relay is what becomes of one accepted connection: a conn, a bridge, or an edge in
// front of several conns.
type relay interface {
	run()
	idle() bool
	relayed() *conn // what it relays now, as it comes; nil: nothing
	stop(why string)
	count(*Stats)
}

// New checks a Config. Nothing runs before Serve.
func New(c Config) (*Server, error) {
	return newServer(c, &house{listeners: map[net.Listener]bool{}, conns: map[relay]bool{}, said: map[string]bool{}, old: map[string]bool{}})
}

func newServer(c Config, h *house) (*Server, error) {
	if c.Forward == nil && len(c.Routes) == 0 && (c.Target == nil || c.Target.Hostname() == "" && c.Unix == "") {
		return nil, errors.New("a target with a host is needed")
	}
	if c.ConnectTo != "" {
		if _, _, err := net.SplitHostPort(c.ConnectTo); err != nil {
			return nil, fmt.Errorf("connect to %q: %w", c.ConnectTo, err)
		}
	}
	if c.HeadLimit == 0 {
		c.HeadLimit = 64 << 10
	}
	if c.HeadTimeout == 0 {
		c.HeadTimeout = 10 * time.Second
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 10 * time.Second
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	s := &Server{house: h, config: c}
	if c.Forward != nil {
		s.exchanger = newExchanger(s)
		h.exchangers = append(h.exchangers, s.exchanger)
		return s, nil
	}
	if len(c.Routes) > 0 {
		return s, s.prepare()
	}
	var err error
	s.dial, err = s.newDialer(&s.config)
	return s, err
}

// Serve accepts connections until the listener is closed or Shutdown is called,
// which is no error. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = true
	s.mu.Unlock()
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		if err == nil {
			pause = 0
			s.accepted(c)
			continue
		}
		if s.isClosing() || errors.Is(err, net.ErrClosed) {
			return nil
		}
		if !temporary(err) {
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		// Out of descriptors or memory: those who are connected go on.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.config.Logf("accept on %s: %v; trying again in %v", l.Addr(), err, pause)
		time.Sleep(pause)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) accepted(nc net.Conn) {
	if !s.admitted(nc) {
		return
	}
	var c relay
	switch {
	case s.config.Forward != nil, len(s.branches) > 0:
		c = newEdge(s, nc)
	case s.config.FromTCP || s.config.toStream():
		c = s.bridge(nc)
	default:
		c = newConn(s, plain(nc), s.reverse())
	}
	s.start(c, nc, func() {})
}

// start runs what becomes of a connection, or of an HTTP/2 stream, in a goroutine of
// its own, for which Shutdown waits. done is called when it is over, or never was.
func (s *Server) start(c relay, nc net.Conn, done func()) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		_ = nc.Close() // it came too late
		done()
		return
	}
	first := false
	if max := s.config.MaxConns; max > 0 && len(s.conns) >= max {
		if len(s.conns) >= max+refusals {
			s.mu.Unlock()
			_ = nc.Close() // it has waited for its turn in vain
			done()
			return
		}
		first, s.full, c = !s.full, true, s.crowded(nc)
	}
	s.conns[c] = true
	s.stats.Total++
	s.relays.Add(1)
	s.mu.Unlock()
	if first {
		s.config.Logf("%s; new ones are refused until one ends", s.config.tooMany())
	}
	go func() {
		defer s.relays.Done()
		defer done()
		c.run()
		s.ended(c)
	}()
}

// refusals is how many clients past MaxConns may be told so at a time.
const refusals = 16

func (c *Config) tooMany() string {
	return fmt.Sprintf("%d connections are open, which is as many as the limit of open files allows (ulimit -n)", c.MaxConns)
}

// crowded is a connection that is one too many.
func (s *Server) crowded(nc net.Conn) relay {
	r := s.reverse()
	if s.config.Forward != nil {
		r = s.elsewhere()
	}
	r.denied = &denial{status: 503, phrase: "Service Unavailable", why: s.config.tooMany()}
	return newConn(s, plain(nc), r)
}

func (s *Server) ended(c relay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.full = s.full && len(s.conns) >= s.config.MaxConns
	c.count(&s.stats)
}

// Stats answers the counts as they stand.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	for c := range s.conns {
		c.count(&st)
	}
	st.Open = len(s.conns)
	return st
}

// Shutdown closes the listeners, lets open sessions go on for the grace, closes
// their sockets and waits until every relay has returned. When ctx ends, the
// grace is over.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	var errs []error
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	conns := make([]relay, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	s.ungated.Store(true)
	s.Regate()
	var open []relay
	for _, c := range conns {
		if c.idle() {
			c.stop("wsproxy is shutting down")
		} else {
			open = append(open, c)
			if d, ok := c.(interface{ drain() }); ok {
				d.drain()
			}
		}
	}
	done := make(chan struct{})
	go func() { s.relays.Wait(); close(done) }()
	if len(open) > 0 {
		grace := time.NewTimer(s.config.Grace)
		defer grace.Stop()
		select {
		case <-done:
		case <-grace.C:
		case <-ctx.Done():
		}
	}
	for _, c := range open {
		c.stop("wsproxy is shutting down")
	}
	<-done
	for _, x := range s.exchangers {
		x.close()
	}
	return errors.Join(errs...)
}

// listensOn says that an address leads to one of the listeners.
func (s *Server) listensOn(to netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		a, ok := l.Addr().(*net.TCPAddr)
		if !ok || a.Port != int(to.Port()) {
			continue
		}
		if a.IP.IsUnspecified() && local(to.Addr()) || to.Addr().IsUnspecified() && a.IP.IsLoopback() || a.IP.Equal(to.Addr().AsSlice()) {
			return true
		}
	}
	return false
}

// local says that an address is one of this machine's.
func local(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip.AsSlice())
	})
}

// newID is random, so that recordings can be merged.
func newID() inspect.ConnID { return inspect.ConnID(rand.Uint64()) }
