package record

import (
	"github.com/wsproxy/wsproxy/inspect"
)

// session is a Session with where its rows are, its streams of bytes and the windows
// of its compressed messages.
type session struct {
	Session
	rows     list
	findings []inspect.Finding
	streams  [2]*stream // by inspect.Dir, of its connection's client leg; nil: it has no frames
	windows  [2]windows // by inspect.Dir
	last     int64      // place in the recording of the last byte that was its own

	held    bool  // by a pass over the recording
	changed bool  // since it was laid into the index
	trimmed int64 // what lay before it in the recording was let go of
}

func newSession() *session {
	return &session{rows: list{size: len(Row{})}, windows: [2]windows{newWindows(), newWindows()}}
}

// row reads the row of frame n, from 1; ok is false if there is none.
func (n *session) row(p *pages, frame uint64) (r Row, ok bool) {
	i := int64(frame) - 1
	if !n.rows.has(i) {
		return r, false
	}
	copy(r[:], n.rows.at(p, i))
	return r, true
}

// change changes the row of frame n, if there is one.
func (n *session) change(p *pages, frame uint64, f func(*Row)) {
	i := int64(frame) - 1
	if !n.rows.has(i) {
		return
	}
	b := n.rows.from(p, i, true)
	r := Row(b[:len(Row{})])
	f(&r)
	copy(b, r[:])
}

// trim lets go of what leads to bytes before a place in a ring, which are gone.
func (n *session) trim(p *pages, from int64) {
	if from <= n.trimmed || n.streams[0] == nil {
		n.trimmed = max(n.trimmed, from)
		return
	}
	n.trimmed, n.changed = from, true
	var offs [2]int64
	for d, s := range n.streams {
		offs[d] = s.trim(p, from)
	}
	i := n.rows.first
	for ; i < n.rows.n; i++ {
		r := Row(n.rows.at(p, i))
		if r.Off() >= offs[r.Dir()] {
			break
		}
	}
	n.rows.trim(p, i)
	for d := range n.windows {
		n.windows[d].trim(p, uint64(i)+1)
	}
}

// drop gives everything back that the session has in the index.
func (n *session) drop(p *pages) {
	n.rows.drop(p)
	for d := range n.windows {
		n.windows[d].drop(p)
		if s := n.streams[d]; s != nil {
			s.list.drop(p)
		}
	}
}
