// Package replay serves what was recorded: a recording or cassette becomes the
// server of a test. [Load] reads a recording, [Server] serves it to clients that
// need not know, and [Result] says of each session whether its client did what
// was recorded.
package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/record"
)

// Load reads a recording. Errors: the system's; *record.FormatError for a file
// of another kind; *cassette.SessionError for a session that cannot be replayed;
// *record.TornError and *record.DamagedError, each with the cassette of what
// could be read.
func Load(ctx context.Context, path string, limits inspect.Limits) (*cassette.Cassette, error) {
	return cassette.From(func(sink inspect.Sink) error { return record.Follow(ctx, path, nil, sink) }, limits)
}

// Options are how a Server serves.
type Options struct {
	// Once ends serving after one session: Done closes and Serve returns. A
	// recorded refusal is no session as long as another was accepted.
	Once bool
	// AllowHost are the hosts, beside loopback's, that requests may be for: what
	// was recorded is not for every page in a browser.
	AllowHost proxy.Hosts
	// Limits bound what a client may make the server keep.
	Limits inspect.Limits
	// HeadTimeout is the most time for a request's head from its first byte,
	// and for each further piece of its body; 0: 10 s.
	HeadTimeout time.Duration
	// Ended, if set, takes each session's result as it ends, one at a time.
	Ended func(Result)
	// Missed, if set, takes a sentence for each request that was not in the
	// recording and is answered 404. One goroutine a connection calls it.
	Missed func(string)
}

// lingerTime is how long a client may take to end the connection after the
// server has, and how long a write may take once there is nothing to win.
const lingerTime = 2 * time.Second

// Server serves a cassette's server side. Its goroutines are the callers of
// Serve, one for each connection and one more for each session; Shutdown waits
// for all of them.
type Server struct {
	options Options
	pick    *picker
	lasting bool // a session was accepted

	done     chan struct{}
	doneOnce sync.Once
	ending   sync.Mutex // held while Ended is called

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	results   []Result
	serving   bool // with Once: the session is taken
	closing   bool
	running   sync.WaitGroup
}

// NewServer makes a server of a cassette, which must not be changed any more.
// Nothing runs before Serve.
func NewServer(c *cassette.Cassette, o Options) *Server {
	if o.HeadTimeout == 0 {
		o.HeadTimeout = 10 * time.Second
	}
	s := &Server{options: o, pick: newPicker(c), done: make(chan struct{}), listeners: map[net.Listener]bool{}, conns: map[*conn]bool{}}
	for _, x := range s.pick.sessions {
		s.lasting = s.lasting || x.Upgrade.Accepted()
	}
	return s
}

// Serve accepts TCP connections until the listener is closed, Shutdown is called
// or, with Once, the session is over, none of which is an error. It may be
// called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = true
	s.mu.Unlock()
	for {
		c, err := l.Accept()
		if err == nil {
			s.accepted(c)
			continue
		}
		s.mu.Lock()
		closing := s.closing
		s.mu.Unlock()
		if closing || errors.Is(err, net.ErrClosed) {
			return nil
		}
		return fmt.Errorf("accept on %s: %w", l.Addr(), err)
	}
}

func (s *Server) accepted(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		_ = nc.Close() // listeners are TCP's
		return
	}
	c := &conn{server: s, tcp: tcp}
	c.head.Limit = s.options.Limits.Head
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		_ = tcp.Close() // it came too late
		return
	}
	s.conns[c] = true
	s.running.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.running.Done()
		c.run()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// Done closes when, with Once, the session is over.
func (s *Server) Done() <-chan struct{} { return s.done }

// Results are those of the sessions that have ended, in the order of their ends.
func (s *Server) Results() []Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Result(nil), s.results...)
}

// begin takes the one session that Once allows; false if it is taken.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Once && s.serving {
		return false
	}
	s.serving = true
	return true
}

// ended takes a session's result. again says that it does not count for Once.
func (s *Server) ended(r Result, again bool) {
	s.ending.Lock()
	defer s.ending.Unlock()
	s.mu.Lock()
	s.results = append(s.results, r)
	if again {
		s.serving = false
	}
	s.mu.Unlock()
	if s.options.Ended != nil {
		s.options.Ended(r)
	}
	if s.options.Once && !again {
		s.doneOnce.Do(func() {
			_ = s.closeListeners() // Shutdown tells
			close(s.done)
		})
	}
}

func (s *Server) closeListeners() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	var errs []error
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close ends serving at once: it closes the listeners and every connection, and
// waits until all goroutines have returned. A session that was under way is
// Interrupted.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.Shutdown(ctx)
}

// Shutdown closes the listeners, lets open sessions go on until ctx ends, and
// then does what Close does.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.closeListeners()
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.stopIdle()
	}
	all := make(chan struct{})
	go func() { s.running.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.stop()
	}
	<-all
	return err
}
