package record

import (
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Room that is kept in a segment for its statistics, and bounds on a packet's
// overhead and on what of a segment carried sessions may take.
const (
	beginShare     = 8 // all sessions begin a segment together if they need no more than this part of it
	statisticsRoom = 1 << 10
	packetRoom     = 128 // block, IP and TCP headers
	notesRoom      = 512 // what is noted of a chunk besides
	carryShare     = 2
)

// carry is what is needed to begin a connection once more in a newer segment of
// a ring, when the one that it began in is about to be written over: the SYN's
// note, and both heads of its session.
type carry struct {
	info   inspect.ConnInfo
	since  int64         // segment in which it began last
	probe  *inspect.Conn // until the session has opened; then nil
	head   [2][]byte     // by Dir; nil: no session
	whole  [2]bool       // by Dir: a frame begins with the next byte
	marked [2]int64      // by Dir: segment in which a frame's beginning was marked last
}

func newCarry(info inspect.ConnInfo, seq int64) *carry {
	return &carry{info: info, since: seq, marked: [2]int64{seq, seq}, probe: inspect.NewConn(info, inspect.Limits{Message: 1})}
}

// mark marks the first frame that begins in a segment, for who reads on from there.
func (y *carry) mark(r *recorded, c *inspect.Chunk, seq int64) {
	at := c.Boundary - 1
	if c.Leg != inspect.ClientLeg || y.probe != nil || y.marked[c.Dir] == seq || at < 0 || at >= min(maxSegment, len(c.Data)) {
		return
	}
	y.marked[c.Dir] = seq
	n := inspect.NewNote(c.Conn, c.Leg, c.Dir, c.Time, inspect.NoteBoundary,
		inspect.BoundaryNote{Kind: inspect.NoteBoundary, Dir: c.Dir, At: at})
	r.notes[c.Leg] = append(r.notes[c.Leg], comment(n.JSON))
}

// wrote takes a piece of a chunk of the client leg that has been written; last
// says that it was the chunk's last.
func (y *carry) wrote(c *inspect.Chunk, piece []byte, last bool) {
	if c.Leg != inspect.ClientLeg {
		return
	}
	if y.probe == nil {
		y.whole[c.Dir] = last && c.Whole
		return
	}
	ch := *c
	ch.Data, ch.Boundary = piece, 0
	for e := range y.probe.Feed(ch) {
		if o, ok := e.(*inspect.Opened); ok {
			y.head = [2][]byte{o.Handshake.Request.Raw, o.Handshake.Response.Raw}
		}
	}
	if y.head[0] != nil {
		y.probe = nil
		y.whole[inspect.ToClient] = true // the answer's head comes alone; client bytes may have come before it
	}
}

// begun says that the client leg's SYN and SYN+ACK are written.
func (r *recorded) begun() bool { return r.legs[inspect.ClientLeg].open }

// size is about what beginning the connection once more takes.
func (y *carry) size() int64 {
	return 2<<10 + int64(len(y.head[0])+len(y.head[1]))
}

// makeRoom begins the next segment where this one has no room for a packet.
func (s *section) makeRoom(payload int, comments []string) {
	if !s.rolling && s.used+packetSize(payload, comments) > s.ring.size-fillerSize-statisticsRoom-s.reserve {
		s.roll()
	}
}

// packetSize is the most that a packet takes.
func packetSize(payload int, comments []string) int64 {
	n := int64(packetRoom + payload)
	for _, c := range comments {
		n += int64(len(c)) + 8
	}
	return n
}

// due says that a connection began in the segment that the next one is written over.
func (s *section) due(y *carry) bool { return y.since <= s.ring.seq+1-s.ring.count }

// roll ends the segment and begins the next one. While there are few connections
// all of them begin once more there, so that who reads from any segment on knows
// them all; of many, only those that would lose their beginning, before it is gone.
func (s *section) roll() {
	s.rolling = true
	defer func() { s.rolling = false }()
	for _, r := range s.conns {
		room := s.ring.size - fillerSize - statisticsRoom - s.used
		if y := r.carry; s.err == nil && r.begun() && s.due(y) && y.size() < room {
			y.since = s.ring.seq
			s.resume(r, y)
		}
	}
	s.statistics(struct {
		Kind string `json:"kind"`
	}{inspect.NoteContinues})
	if s.err == nil {
		s.err = s.ring.next()
	}
	if s.err == nil {
		s.err = s.beginSegment()
	}
}

func (s *section) beginSegment() error {
	s.perLeg, s.start = [2]uint64{}, time.Time{}
	if err := s.begin(comment(marshal(inspect.SegmentNote{Kind: inspect.NoteSegment, N: s.ring.seq}))); err != nil {
		return err
	}
	s.used, s.reserve = s.ring.at, 0
	var all int64
	for _, r := range s.conns {
		all += r.carry.size()
		if s.due(r.carry) {
			s.reserve += r.carry.size()
		}
	}
	if s.reserve = min(s.reserve, s.ring.size/carryShare); all > s.ring.size/beginShare {
		return s.ring.publish()
	}
	s.reserve = 0
	for _, r := range s.conns {
		if r.begun() {
			r.carry.since = s.ring.seq
			s.resume(r, r.carry)
		}
	}
	if s.flush(); s.err != nil {
		return s.err
	}
	return s.ring.publish()
}

// resume writes a connection's SYN and the heads of its session once more, with
// sequence numbers in front of what comes next.
func (s *section) resume(r *recorded, y *carry) {
	c := r.legs[inspect.ClientLeg]
	next := c.seq
	for d := range c.seq {
		c.seq[d] -= uint32(len(y.head[d])) + 1
	}
	waiting := r.notes[inspect.ClientLeg]
	now := s.last
	leg := inspect.NewNote(y.info.ID, inspect.ClientLeg, inspect.ToServer, now, inspect.NoteLeg,
		inspect.LegNote{Kind: inspect.NoteLeg, Leg: inspect.ClientLeg, ConnInfo: y.info})
	again := inspect.ResumedNote{Kind: inspect.NoteResumed, Since: y.info.Time, Off: r.off[inspect.ClientLeg], Whole: y.whole}
	for d := range y.head {
		again.Head[d] = int64(len(y.head[d]))
	}
	r.notes[inspect.ClientLeg] = []string{comment(leg.JSON), comment(marshal(again))}
	s.packet(r, inspect.ClientLeg, now, tcp{dir: inspect.ToServer, flags: flagSyn})
	s.packet(r, inspect.ClientLeg, now, tcp{dir: inspect.ToClient, flags: flagSyn | flagAck})
	for d, head := range y.head {
		for len(head) > 0 {
			n := min(len(head), maxSegment)
			s.packet(r, inspect.ClientLeg, now, tcp{inspect.Dir(d), flagPsh | flagAck, head[:n], 0})
			head = head[n:]
		}
	}
	c.seq = next
	r.notes[inspect.ClientLeg] = waiting
}

func marshal(note any) []byte { return inspect.NewNote(0, 0, 0, time.Time{}, "", note).JSON }
