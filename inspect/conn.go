package inspect

import (
	"iter"
	"time"
)

// Limits bound what one connection may make inspection keep.
type Limits struct {
	Head     int64 // most bytes of one HTTP head; 0: 64 KiB
	Inflated int64 // most bytes of one compressed message, before and after inflating, that are kept; 0: 16 MiB
	Message  int64 // most bytes of one message or body that an event carries; 0: 16 MiB

	// HeadersOnly leaves the payloads of data frames alone: messages have no Data, and
	// whether they are UTF-8, or can be inflated, is not said unless a hole decides it.
	HeadersOnly bool
}

func (l Limits) orDefault() Limits {
	if l.Head == 0 {
		l.Head = 64 << 10
	}
	if l.Inflated == 0 {
		l.Inflated = 16 << 20
	}
	if l.Message == 0 {
		l.Message = 16 << 20
	}
	return l
}

// Judge looks at an event and answers what it breaks. A judge keeps no state of
// its own: what came before stands in the Conn. inspect/lint has them all.
type Judge interface {
	Judge(Event, *Conn) []Finding
}

// State is what one direction of a session had said before the frame being judged.
type State struct {
	InMessage  bool   // between the fragments of a message
	Opcode     Opcode // of that message
	Compressed bool   // that message has RSV1 set, with permessage-deflate agreed
	Closed     bool   // a Close frame was sent this way
	Blind      bool   // bytes are missing, and InMessage is not known
}

// Conn is one connection being inspected: HTTP exchanges, then at most one
// WebSocket session. It is fed chunks in order and answers events; how the
// bytes were cut into chunks makes no difference to the events of a direction.
// It must not be used by two goroutines at once.
type Conn struct {
	info   ConnInfo
	limits Limits
	judges []Judge
	yield  func(Event) bool

	// The HTTP phase.
	req, resp side
	sent      side // requests as they left for the server
	queue     []*pending
	exchanges int
	upgrades  int
	held      []heldBytes
	heldSize  int64
	peer      *PeerNote
	http2     [2]*HTTP2Note // by Leg
	serverLeg bool
	failed    bool // a FailedNote said all there is
	killed    bool // an AlteredNote said that wsproxy ends it

	// The session.
	session    SessionID
	handshake  *Handshake
	opened     *Opened
	ways       [2]way // by Dir
	frameN     uint64
	findings   uint64
	anyClose   bool
	firstClose Dir

	ends  [2][2]Ended
	order []Ended // in the order they came
	last  time.Time
	over  bool
}

// NewConn starts the inspection of one connection. Judges may be nil.
func NewConn(info ConnInfo, limits Limits, judges ...Judge) *Conn {
	c := &Conn{info: info, limits: limits.orDefault(), judges: judges}
	for _, s := range []*side{&c.req, &c.resp, &c.sent} {
		s.head.Limit = c.limits.Head
	}
	if info.Opaque {
		c.req.phase, c.resp.phase = inOther, inOther
	}
	c.ways[ToServer] = way{dir: ToServer}
	c.ways[ToClient] = way{dir: ToClient}
	return c
}

// Info is what the connection was opened with.
func (c *Conn) Info() ConnInfo { return c.info }

// Handshake is the newest upgrade's handshake; nil before the first one was answered.
func (c *Conn) Handshake() *Handshake { return c.handshake }

// Session is the ID of the newest upgrade; 0 before the first one was answered.
func (c *Conn) Session() SessionID { return c.session }

// Peer says how reaching the server went; nil as long as nobody said so.
func (c *Conn) Peer() *PeerNote { return c.peer }

// Before is the state of a direction before its newest frame.
func (c *Conn) Before(d Dir) State { return c.ways[d].before }

// Window is a copy of the inflate window that the direction's next compressed
// message may refer to (RFC 7692 section 7.1.1): at most 32 KiB, nil without
// context takeover, before the first such message, and behind a hole.
func (c *Conn) Window(d Dir) []byte {
	f := c.ways[d].inflater
	if f == nil || f.IsLost() || !f.takeover {
		return nil
	}
	return f.Window()
}

// Over says that both legs have ended and nothing more will come.
func (c *Conn) Over() bool { return c.over }

// Feed takes the connection's next chunk and answers what it completes. The
// chunk is read while the answer is ranged over, which must be done to the end.
// It never fails: a peer cannot fail, only be judged.
func (c *Conn) Feed(ch Chunk) iter.Seq[Event] {
	return c.answer(func() { c.feed(&ch) })
}

func (c *Conn) feed(ch *Chunk) {
	c.last = ch.Time
	if ch.Leg == ServerLeg {
		c.serverLeg = true
		if ch.Dir == ToServer && !c.info.Bridged() {
			c.feedSent(*ch)
		}
		return
	}
	in := input{data: ch.Data, off: ch.Off, time: ch.Time, boundary: ch.Boundary}
	if ch.Dir == ToServer {
		c.feedRequests(in)
	} else {
		c.feedResponses(in)
	}
	if ch.Gap > 0 {
		c.gap(ch.Dir, ch.Gap, ch.Time)
	}
}

// Note takes what the bytes cannot say: which server was reached and how.
func (c *Conn) Note(n Note) iter.Seq[Event] {
	return c.answer(func() { c.takeNote(n) })
}

// Close takes the end of one direction of one leg. The session is Closed when
// both legs have ended.
func (c *Conn) Close(e Ended) iter.Seq[Event] {
	return c.answer(func() { c.end(e) })
}

// answer runs f with events going to the ranging loop. A loop that stops early
// loses the rest of the events, never the state.
func (c *Conn) answer(f func()) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		on := true
		c.yield = func(e Event) bool {
			if on {
				on = yield(e)
			}
			return on
		}
		f()
		c.yield = nil
	}
}

// emit tells an event and then what the judges find in it.
func (c *Conn) emit(e Event) {
	c.yield(e)
	c.tell(c.judge(e), 0, ToServer)
}

func (c *Conn) judge(e Event) []Finding {
	var all []Finding
	for _, j := range c.judges {
		all = append(all, j.Judge(e, c)...)
	}
	return all
}

// tell emits findings, with the place they were found at filled in where the
// judge left it open.
func (c *Conn) tell(found []Finding, frame uint64, d Dir) {
	for i := range found {
		f := &found[i]
		f.Session, f.Conn, f.Time = c.session, c.info.ID, c.last
		if f.Frame == 0 && frame != 0 {
			f.Frame, f.Dir = frame, d
		}
		c.findings++
		c.yield(f)
	}
}
