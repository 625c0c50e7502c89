package record

import (
	"encoding/json"

	"github.com/wsproxy/wsproxy/inspect"
)

// resumed is the note on a SYN that is written again in a newer segment.
func resumed(p *captured) *inspect.ResumedNote {
	for _, js := range p.notes() {
		var n inspect.ResumedNote
		if kindOf(js) == inspect.NoteResumed && json.Unmarshal([]byte(js), &n) == nil {
			return &n
		}
	}
	return nil
}

// resume opens a connection in the middle: its heads come first, then what
// follows, with a hole of known size between.
func (fl *follower) resume(key flowKey, p *captured, s segment, n inspect.LegNote, again *inspect.ResumedNote) {
	l := &leg{conn: n.ID, leg: n.Leg, key: key, next: [2]uint32{s.seq + 1}, known: [2]bool{true}, again: again}
	fl.legs[key] = l
	fl.legs[key.reverse()] = l
	fl.order = append(fl.order, l)
	n.Time = again.Since
	fl.sink.Open(n.ConnInfo)
	fl.behindHeads(l, p)
}

// rejoin takes a connection that is known up where it is resumed, in the
// directions in which packets of it were missed. Its heads are not read again.
func (fl *follower) rejoin(l *leg, p *captured, s segment, again *inspect.ResumedNote) {
	if l.stale[inspect.ToServer] {
		l.next[inspect.ToServer] = s.seq + 1 + uint32(again.Head[inspect.ToServer])
	}
	if l.stale[inspect.ToClient] {
		l.known[inspect.ToClient], l.skip = false, uint32(again.Head[inspect.ToClient])
	}
	for d, stale := range l.stale {
		if stale {
			l.stale[d] = false
			fl.jump(l, inspect.Dir(d), p, again, false)
		}
	}
}

// behindHeads hands on, once both heads have been read, that bytes behind them are gone.
func (fl *follower) behindHeads(l *leg, p *captured) {
	again := l.again
	if l.off[0] < again.Head[0] || l.off[1] < again.Head[1] {
		return
	}
	l.again = nil
	fl.jump(l, inspect.ToServer, p, again, true)
	fl.jump(l, inspect.ToClient, p, again, true)
}

// jump hands on that bytes are gone, up to where the connection is resumed; heads
// says that they are those behind the heads.
func (fl *follower) jump(l *leg, d inspect.Dir, p *captured, again *inspect.ResumedNote, heads bool) {
	if n := again.Off[d] - l.off[d]; n > 0 {
		fl.hole(l, d, p.time, n, heads)
		l.blind[d], l.sure[d] = !again.Whole[d], again.Whole[d]
	}
}

// boundary is where in a packet of a resumed direction a frame begins, as
// inspect.Chunk counts it; 0 where that is known anyway, or not known yet.
func (fl *follower) boundary(l *leg, d inspect.Dir, p *captured) int {
	switch {
	case l.sure[d]:
		l.sure[d] = false
		return 1
	case l.blind[d]:
		at := marked(p, d)
		l.blind[d] = at == 0
		return at
	}
	return 0
}

// marked is where a packet says that a frame begins in it, counted from 1.
func marked(p *captured, d inspect.Dir) int {
	for _, js := range p.notes() {
		var n inspect.BoundaryNote
		if kindOf(js) == inspect.NoteBoundary && json.Unmarshal([]byte(js), &n) == nil && n.Dir == d {
			return n.At + 1
		}
	}
	return 0
}

// lapped says that the reader was too slow: packets are gone, of which nobody
// knows. What goes on is read on from the next frame that is marked.
func (fl *follower) lapped(bytes int64) {
	fl.sink.Note(inspect.NewNote(0, inspect.ClientLeg, inspect.ToServer, fl.last, inspect.NoteLapped,
		inspect.LappedNote{Kind: inspect.NoteLapped, Bytes: bytes}))
	for _, l := range fl.order {
		l.stale = [2]bool{true, true}
	}
}
