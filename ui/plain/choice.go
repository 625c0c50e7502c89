package plain

import (
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
)

// choice is a filter at work on what passes. A nil one wants everything.
type choice struct {
	matcher  *filter.Matcher
	sessions map[inspect.SessionID]*filter.Session
	said     bool // what the filter said of the waiting frame's message
}

func newChoice(f *filter.Filter) *choice {
	if f == nil {
		return nil
	}
	return &choice{matcher: f.Matcher(), sessions: map[inspect.SessionID]*filter.Session{}}
}

// session keeps what is known of a session as long as it has frames.
func (c *choice) session(number func(inspect.SessionID) int, e inspect.Event) {
	if c == nil {
		return
	}
	switch e := e.(type) {
	case *inspect.Opened:
		h := e.Handshake
		c.sessions[e.Session] = &filter.Session{N: number(e.Session), Path: h.Path(), Protocol: h.Subprotocol, Mode: e.Conn.Mode, Target: e.Conn.Target,
			Client: e.Conn.Client.Remote, Status: 101, Open: true, Opened: h.RequestTime}
	case *inspect.Closed:
		delete(c.sessions, e.Session)
	}
}

// message asks about the message of the frame that waits: now, since only now all of
// it is there.
func (c *choice) message(f *inspect.Frame, m *inspect.Message) {
	if c == nil {
		return
	}
	if c.matcher.Frame(c.facts(f, nil)) == filter.Maybe {
		c.said = c.matcher.Message(m)
	}
}

// frame says whether a frame is wanted, with what was found in it. Fragments before a
// message's last are judged by what their headers say.
func (c *choice) frame(f *inspect.Frame, found []inspect.Finding) bool {
	if c == nil {
		return true
	}
	said := c.said
	c.said = false
	switch c.matcher.Frame(c.facts(f, found)) {
	case filter.Yes:
		return true
	case filter.No:
		return false
	}
	return said
}

func (c *choice) facts(f *inspect.Frame, found []inspect.Finding) *filter.Frame {
	s := c.sessions[f.Session]
	if s == nil {
		s = &filter.Session{}
	}
	h := f.Header
	x := &filter.Frame{Session: s, N: f.N, Time: f.First, Dir: f.Dir, Op: h.Opcode(), Length: h.Length(), Fin: h.Fin(),
		Rsv1: h.Rsv1(), Rsv2: h.Rsv2(), Rsv3: h.Rsv3(), Masked: h.Masked(), Minimal: h.Minimal(), Missing: f.Missing > 0}
	worst := -1
	for i := range found {
		worst = max(worst, int(found[i].Severity))
	}
	if worst >= 0 {
		x.Finding = inspect.Severity(worst).String()
	}
	return x
}
