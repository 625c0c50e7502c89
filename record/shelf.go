package record

import "slices"

// shelf holds a Store's sessions: in memory those that a pass over the recording
// is in, and a few that were looked at last; of the others only where they lie
// in the index. The Store's lock guards it.
type shelf struct {
	pages *pages
	n     int // sessions that there ever were
	first int // those before it are forgotten
	slots map[int]*[slotsAtOnce]slot
	out   map[int]*session
	idle  []*session // of those, the ones that nobody holds, the longest first
	from  int64      // what lies before it in the recording is gone
}

// slot is where a session lies.
type slot struct {
	at   place // noPlace: it was never put there
	n    uint32
	gone bool
	last int64 // place in the recording of the last byte that was its own
}

const (
	slotsAtOnce = 256
	maxIdle     = 64
)

func newShelf(p *pages) shelf {
	return shelf{pages: p, slots: map[int]*[slotsAtOnce]slot{}, out: map[int]*session{}}
}

func (b *shelf) slot(i int) *slot {
	if s := b.slots[i/slotsAtOnce]; s != nil {
		return &s[i%slotsAtOnce]
	}
	return nil
}

// add takes a session in. It is held.
func (b *shelf) add(n *session) {
	n.Index = b.n
	if b.n++; b.slots[n.Index/slotsAtOnce] == nil {
		b.slots[n.Index/slotsAtOnce] = new([slotsAtOnce]slot)
	}
	n.held = true
	b.out[n.Index] = n
}

// get is a session; nil if it is forgotten. Unless it is held it may be put back
// by the next get, so that changes in it are lost.
func (b *shelf) get(i int) *session {
	n := b.out[i]
	if n == nil {
		s := b.slot(i)
		if s == nil || s.gone || s.at == noPlace {
			return nil
		}
		n = thaw(b.pages.fetch(s.at, int(s.n)))
		b.out[i] = n
		b.rest(n)
	} else if !n.held && b.idle[len(b.idle)-1] != n {
		b.idle = append(slices.DeleteFunc(b.idle, func(o *session) bool { return o == n }), n)
	}
	n.trim(b.pages, b.from)
	return n
}

// hold is get for somebody who will change the session, until let.
func (b *shelf) hold(i int) *session {
	n := b.get(i)
	if n != nil && !n.held {
		b.idle = slices.DeleteFunc(b.idle, func(o *session) bool { return o == n })
		n.held = true
	}
	return n
}

// let says that a session will not be changed any more.
func (b *shelf) let(n *session) {
	n.held, n.changed = false, true
	b.rest(n)
}

func (b *shelf) rest(n *session) {
	if b.idle = append(b.idle, n); len(b.idle) > maxIdle {
		b.put(b.idle[0])
		b.idle = slices.Delete(b.idle, 0, 1)
	}
}

// forget lets go of what lies before a place in a ring, which is gone: of sessions
// that are over and lie wholly before it, everything.
func (b *shelf) forget(from int64) {
	if from <= b.from {
		return
	}
	b.from = from
	for _, n := range b.out {
		n.trim(b.pages, from)
	}
	for k, block := range b.slots {
		left := false
		for i := range block {
			s, index := &block[i], k*slotsAtOnce+i
			if s.at != noPlace && !s.gone && s.last < from && b.out[index] == nil {
				n := thaw(b.pages.fetch(s.at, int(s.n)))
				n.drop(b.pages)
				b.pages.drop(s.at, int(s.n))
				s.gone = true
			}
			left = left || !s.gone
		}
		if !left {
			delete(b.slots, k)
		}
	}
	for b.first < b.n {
		s := b.slot(b.first)
		if s != nil && !s.gone {
			break
		}
		b.first++
	}
}

// put lays a session back.
func (b *shelf) put(n *session) {
	delete(b.out, n.Index)
	s := b.slot(n.Index)
	if !n.changed || s == nil || s.gone {
		return
	}
	if s.at != noPlace {
		b.pages.drop(s.at, int(s.n))
	}
	frozen := freeze(n)
	s.at, s.n, s.last = b.pages.store(frozen), uint32(len(frozen)), n.last
	n.changed = false
}
