package replay

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// picker chooses what was recorded for a request: in recorded order, and from
// the start again when all that fit have been used.
type picker struct {
	mu        sync.Mutex
	sessions  []*cassette.Session
	exchanges []*cassette.Exchange
	used      map[any]bool               // since all that fit have been used
	served    map[*cassette.Session]bool // ever
}

func newPicker(c *cassette.Cassette) *picker {
	return &picker{sessions: c.Sessions(), exchanges: c.Exchanges(), used: map[any]bool{}, served: map[*cassette.Session]bool{}}
}

// next takes the first of all that is not used yet, or starts again.
func next[T comparable](p *picker, all []T) T {
	for _, x := range all {
		if !p.used[x] {
			p.used[x] = true
			return x
		}
	}
	for _, x := range all[1:] {
		delete(p.used, x)
	}
	return all[0]
}

// session is the recorded session for an upgrade request; scope gets what its
// path says. An error says in a sentence why there is none.
func (p *picker) session(h *inspect.Head, scope *cassette.Scope) (*cassette.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offered := inspect.ParseTokens(h.Values("Sec-WebSocket-Protocol"))
	var here, same, able []*cassette.Session
	for _, s := range p.sessions {
		u := s.Upgrade
		if !cassette.NewScope(nil).Path(u.Path, h.Target) {
			continue
		}
		here = append(here, s)
		switch {
		case slices.EqualFunc(u.Subprotocols, offered, cassette.NewScope(nil).Path):
			same = append(same, s)
		case u.Subprotocol == "" || slices.Contains(offered, u.Subprotocol):
			able = append(able, s)
		}
	}
	if len(same) == 0 {
		same = able
	}
	if len(same) > 0 {
		s := next(p, same)
		p.served[s] = true
		scope.Path(s.Upgrade.Path, h.Target)
		for i, o := range offered {
			if i < len(s.Upgrade.Subprotocols) {
				scope.Path(s.Upgrade.Subprotocols[i], o)
			}
		}
		return s, nil
	}
	if len(here) > 0 {
		return nil, fmt.Errorf("the recorded sessions of %s speak %s, which the client does not offer",
			visible(h.Target), p.list(here, func(s *cassette.Session) string { return s.Upgrade.Subprotocol }))
	}
	if len(p.sessions) == 0 {
		return nil, fmt.Errorf("no session of %s was recorded", visible(h.Target))
	}
	return nil, fmt.Errorf("no session of %s was recorded, only of %s",
		visible(h.Target), p.list(p.sessions, func(s *cassette.Session) string { return s.Upgrade.Path }))
}

// unused are the sessions that nobody has asked for.
func (p *picker) unused() (all []*cassette.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		if !p.served[s] {
			all = append(all, s)
		}
	}
	return all
}

// namedPaths is how many paths or subprotocols a sentence names.
const namedPaths = 10

func (p *picker) list(all []*cassette.Session, name func(*cassette.Session) string) string {
	var names []string
	for _, s := range all {
		if n := visible(name(s)); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if more := len(names) - namedPaths; more > 0 {
		names = append(names[:namedPaths], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// exchange is the recorded exchange for a request: one with the same body, if
// there is such a one. Nil: the method and target are not in the recording.
func (p *picker) exchange(h *inspect.Head, body []byte) *cassette.Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	var here, same []*cassette.Exchange
	for _, x := range p.exchanges {
		if x.Method != h.Method || !cassette.NewScope(nil).Path(x.Path, h.Target) {
			continue
		}
		here = append(here, x)
		if bytes.Equal(x.Body, body) {
			same = append(same, x)
		}
	}
	switch {
	case len(same) > 0:
		return next(p, same)
	case len(here) > 0:
		return next(p, here)
	}
	return nil
}

func visible(s string) string { return inspect.Visible([]byte(s), 200) }
