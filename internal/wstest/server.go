package wstest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Server is an HTTP server on a free loopback port. Unlike net/http's own it
// also ends what its handlers took over, and waits for them.
type Server struct {
	Addr string // host:port

	http     *http.Server
	ctx      context.Context
	cancel   context.CancelFunc
	handlers sync.WaitGroup
	served   chan error

	mu      sync.Mutex
	conns   map[net.Conn]bool
	closing bool
}

// Serve starts a server. Its goroutines are those of net/http; Close ends them.
func Serve(h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: l.Addr().String(), served: make(chan error, 1), conns: map[net.Conn]bool{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.counted(h),
		ReadHeaderTimeout: 10 * time.Second,
		ConnState:         s.state,
		// A hijacked request's own context would never end.
		BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	go func() { s.served <- s.http.Serve(l) }()
	return s, nil
}

// state keeps the connections that are open. One that was taken over stays
// until Close, since net/http tells no more of it.
func (s *Server) state(c net.Conn, st http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case st == http.StateNew && s.closing:
		_ = c.Close() // it came too late
	case st == http.StateNew:
		s.conns[c] = true
	case st == http.StateClosed:
		delete(s.conns, c)
	}
}

// counted lets Close wait for handlers.
func (s *Server) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			http.Error(w, "closing", http.StatusServiceUnavailable)
			return
		}
		s.handlers.Add(1)
		s.mu.Unlock()
		defer s.handlers.Done()
		h.ServeHTTP(w, r)
	})
}

// Close ends the server: the listener, every connection, and each handler's
// context. It waits until the handlers have returned.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closing = true
	conns := s.conns
	s.conns = map[net.Conn]bool{}
	s.mu.Unlock()
	s.cancel()
	err := s.http.Close()
	for c := range conns {
		_ = c.Close() // mostly closed already
	}
	s.handlers.Wait()
	if e := <-s.served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// Echo answers upgrades with a gorilla server that sends each message back, with
// its default Origin check on. Compression is agreed to where a client offers
// it.
func Echo(w http.ResponseWriter, r *http.Request) {
	u := websocket.Upgrader{EnableCompression: true}
	c, err := u.Upgrade(w, r, nil)
	if err != nil {
		return // the client was told
	}
	defer c.Close()
	for {
		kind, data, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, data) != nil {
			return
		}
	}
}
