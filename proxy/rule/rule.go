// Package rule says what is done to traffic on the user's word. So far that is to hold
// frames: [Holds] is the proxy.Gate that does.
package rule

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/proxy"
)

// ErrNotHeld says that no frame of a session waits.
var ErrNotHeld = errors.New("no frame of this session waits")

// Holds are the sessions that are held: by hand, when every frame waits, or by a filter,
// when those do that it chooses, each with what comes behind it in its direction. It
// is a proxy.Gate; its methods may be called by many goroutines.
type Holds struct {
	changed func()
	regate  func()

	mu       sync.Mutex
	filter   *filter.Filter
	hand     map[inspect.SessionID]bool
	sessions map[inspect.SessionID]*session // that are asked about
}

// NewHolds is a gate that holds nothing. changed is called whenever what it holds
// has changed, by the goroutines of the relay too: it must return at once.
func NewHolds(changed func()) *Holds {
	return &Holds{changed: changed, regate: func() {}, hand: map[inspect.SessionID]bool{}, sessions: map[inspect.SessionID]*session{}}
}

// Bind takes what has the gate asked again: proxy.Server.Regate. It must be called before
// anything else, once.
func (h *Holds) Bind(regate func()) { h.regate = regate }

// State is what is held at one time.
type State struct {
	Filter string // by which frames are held; empty: none
	Blind  int    // open sessions whose compressed messages the filter cannot look into: they began before it
	Held   []Held // who waits longest comes first; then those of which nothing waits
}

// Held is a session that is held.
type Held struct {
	ID      inspect.SessionID
	Hand    bool      // by hand: every frame waits
	Waiting []Waiting // at most one a direction, the older one first
}

// Waiting is a frame that waits.
type Waiting struct {
	Dir   inspect.Dir
	Op    inspect.Opcode
	Size  uint64 // bytes of payload
	By    string // "hand" or "filter"
	Since time.Time
	Text  string // the beginning of its payload, safe to show
}

// State answers what is held.
func (h *Holds) State() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := State{}
	if h.filter != nil {
		st.Filter = h.filter.String()
	}
	for _, s := range h.sessions {
		x, blind := s.state()
		if blind {
			st.Blind++
		}
		if x.Hand || len(x.Waiting) > 0 {
			st.Held = append(st.Held, x)
		}
	}
	slices.SortFunc(st.Held, func(a, b Held) int {
		if byWait := cmp.Compare(len(b.Waiting), len(a.Waiting)); (len(a.Waiting) == 0) != (len(b.Waiting) == 0) {
			return byWait
		}
		if len(a.Waiting) > 0 {
			if c := a.Waiting[0].Since.Compare(b.Waiting[0].Since); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return st
}

// Hold holds a session by hand, from its next frames on. The error is
// proxy.ErrNoSession.
func (h *Holds) Hold(id inspect.SessionID) error {
	h.mu.Lock()
	h.hand[id] = true
	h.mu.Unlock()
	h.regate()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[id] == nil { // nobody asked
		delete(h.hand, id)
		return proxy.ErrNoSession
	}
	h.changed()
	return nil
}

// Step lets one frame go: the one of the session that waits longest. What comes behind
// it waits from there on, as if the session had been held by hand. The error is
// ErrNotHeld.
func (h *Holds) Step(id inspect.SessionID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[id]
	if s == nil || !s.step() {
		return ErrNotHeld
	}
	h.hand[id] = true
	h.changed()
	return nil
}

// Resume lets go of a session: what waits passes, and what comes then, unless the filter
// chooses it. The error is ErrNotHeld.
func (h *Holds) Resume(id inspect.SessionID) error {
	h.mu.Lock()
	s := h.sessions[id]
	delete(h.hand, id)
	if s == nil || !s.resume() {
		h.mu.Unlock()
		return ErrNotHeld
	}
	h.mu.Unlock()
	h.regate()
	h.changed()
	return nil
}

// ResumeAll resumes all sessions. The filter stays.
func (h *Holds) ResumeAll() {
	h.mu.Lock()
	clear(h.hand)
	for _, s := range h.sessions {
		s.resume()
	}
	h.mu.Unlock()
	h.regate()
	h.changed()
}

// Choose holds from here on the frames that a filter chooses; nil: none. Frames that an
// earlier one chose go on waiting as long as there is one.
func (h *Holds) Choose(f *filter.Filter) {
	h.mu.Lock()
	h.filter = f
	h.mu.Unlock()
	h.regate()
	h.changed()
}

// Session is a method of proxy.Gate.
func (h *Holds) Session(x proxy.Session) proxy.Filter {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[x.ID]
	hand := h.hand[x.ID]
	if !hand && h.filter == nil {
		if s != nil {
			s.resume()
			delete(h.sessions, x.ID)
		}
		return nil
	}
	if s == nil {
		s = newSession(x, h.changed)
		h.sessions[x.ID] = s
	}
	s.set(hand, h.filter)
	return s
}

// Ended is a method of proxy.Gate.
func (h *Holds) Ended(id inspect.SessionID) {
	h.mu.Lock()
	s := h.sessions[id]
	delete(h.sessions, id)
	delete(h.hand, id)
	h.mu.Unlock()
	if s != nil {
		h.changed()
	}
}
