package proxy

import (
	"net"
	"sync"
	"sync/atomic"
)

// house is what servers beside each other share: they count, are limited and end
// together, and each knows the others' listeners for its own.
type house struct {
	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[relay]bool
	stats     Stats // of connections that have ended
	closing   bool
	full      bool // the last connection was one too many
	relays    sync.WaitGroup
	said      map[string]bool // what is said once
	old       map[string]bool // addresses of servers that were offered HTTP/2 and have none
	ungated   atomic.Bool     // nothing is held any more

	exchangers []*exchanger // fixed before the first Serve
}

// Beside answers a server with another Config in the same process, for listeners of
// its own. Stats and Shutdown of either are those of both. It is to be called before
// anything is served; what it starts, Shutdown ends.
func (s *Server) Beside(c Config) (*Server, error) { return newServer(c, s.house) }

// listensAt says that one of the listeners is the Unix socket of that path.
func (s *Server) listensAt(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		if a, ok := l.Addr().(*net.UnixAddr); ok && a.Name == path {
			return true
		}
	}
	return false
}
