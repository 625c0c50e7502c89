package record

import (
	"encoding/json"
	"slices"

	"github.com/wsproxy/wsproxy/inspect"
)

// Bounds on what the index keeps of one session.
const (
	maxFindings = 1000
	maxBody     = 64 << 10
	maxFrames   = 1<<32 - 1 // a Row's number has 32 bits

	maxOpenFindings = 20_000 // of all sessions that are open; more are only counted
)

// pass says what one reading of a recording is for.
type pass uint8

const (
	bothPasses  pass = iota
	framePass        // sessions, frames and where their bytes lie; no payload is looked at
	messagePass      // behind that: what messages hold, windows, findings
)

// indexed is a connection while it is open.
type indexed struct {
	streams [2]*stream
	session *session // the one that is open
}

// indexer is the Sink that fills a Store. The follower's goroutine calls it; the
// Store's lock is held while an event is taken in, never while bytes are inspected.
type indexer struct {
	store     *Store
	pass      pass
	inspector inspect.Inspector
	conns     map[inspect.ConnID]*indexed
	seen      int // sessions so far, in the second pass
}

func newIndexer(s *Store, p pass, judges []inspect.Judge) *indexer {
	x := &indexer{store: s, pass: p, conns: map[inspect.ConnID]*indexed{}}
	x.inspector = inspect.Inspector{Judges: judges, Emit: x.event, Each: x.chunk, After: x.after, Limits: inspect.Limits{HeadersOnly: p == framePass}}
	return x
}

func (x *indexer) Open(info inspect.ConnInfo) {
	ix := &indexed{}
	if x.pass != messagePass {
		ix.streams = [2]*stream{newStream(), newStream()}
	}
	x.conns[info.ID] = ix
	x.inspector.Open(info)
}

func (x *indexer) Chunk(c inspect.Chunk) {
	x.inspector.Chunk(c)
	if x.store.full() {
		x.store.stop() // what cannot be written down would fill the memory
	}
	x.store.version.Add(1)
}

func (x *indexer) Note(n inspect.Note) {
	if x.pass != messagePass {
		x.store.note(n)
	}
	x.inspector.Note(n)
	x.store.version.Add(1)
}

// note takes a note of the recording itself.
func (s *Store) note(n inspect.Note) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n.Kind {
	case inspect.NoteStopped:
		var stopped inspect.StoppedNote
		if json.Unmarshal(n.JSON, &stopped) == nil {
			s.stopped = stopped.Why
		}
	case inspect.NoteLapped:
		var lapped inspect.LappedNote
		if json.Unmarshal(n.JSON, &lapped) == nil {
			s.lapped += lapped.Bytes
		}
	}
}

func (x *indexer) End(e inspect.Ended) {
	x.inspector.End(e)
	x.store.version.Add(1)
}

// chunk notes where bytes lie, before they are inspected.
func (x *indexer) chunk(_ *inspect.Conn, c inspect.Chunk) {
	if c.Leg != inspect.ClientLeg || len(c.Data) == 0 {
		return
	}
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	end := c.Pos + int64(len(c.Data))
	if x.pass == messagePass {
		s.checked = max(s.checked, end)
		return
	}
	e := extent{off: c.Off, pos: c.Pos, n: int64(len(c.Data))}
	if c.Pos == 0 {
		var ok bool
		if e.pos, ok = s.side.write(c.Data); !ok {
			return
		}
		e.side = true
	} else {
		s.read = max(s.read, end)
		x.trim()
	}
	if ix := x.conns[c.Conn]; ix != nil {
		ix.streams[c.Dir].add(s.pages, e)
		if ix.session != nil {
			ix.session.last = max(ix.session.last, end)
		}
	}
}

// trim lets go of what a ring no longer has, and of the older half of what it has
// where the index is as large as it may be.
func (x *indexer) trim() {
	s := x.store
	if s.read-s.trimmed < segmentMin && s.pages.used <= s.most {
		return // looking costs something
	}
	s.trimmed = s.read
	from := s.file.oldest()
	if s.pages.used > s.room {
		from = max(from, s.shelf.from+(s.read-s.shelf.from)/2)
		defer func() { s.most = max(s.room, s.pages.used+s.room/8) }()
	}
	if from == 0 {
		return
	}
	s.shelf.forget(from)
	for _, ix := range x.conns {
		if ix.session == nil { // it carries exchanges
			ix.streams[0].trim(s.pages, from)
			ix.streams[1].trim(s.pages, from)
		}
	}
}

// event takes in what inspection says.
func (x *indexer) event(c *inspect.Conn, e inspect.Event) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	ix := x.conns[c.Info().ID]
	switch e := e.(type) {
	case *inspect.Opened:
		ix.session = x.opened(ix, Session{Kind: WebSocket, ID: e.Session, Conn: e.Conn, Peer: c.Peer(), HTTP2: c.HTTP2(), Handshake: e.Handshake,
			Opened: e.Handshake.RequestTime, Last: e.Time})
	case *inspect.Refused:
		r := *e
		r.Body = slices.Clone(e.Body[:min(len(e.Body), maxBody)])
		x.once(Session{Kind: Refused, ID: e.Session, Conn: e.Conn, Peer: c.Peer(), HTTP2: c.HTTP2(), Handshake: e.Handshake, Refused: &r,
			Opened: e.Handshake.RequestTime, Last: e.Time})
	case *inspect.Exchange:
		h := *e
		h.Up.Data = slices.Clone(h.Up.Data[:min(len(h.Up.Data), maxBody)])
		h.Down.Data = slices.Clone(h.Down.Data[:min(len(h.Down.Data), maxBody)])
		x.once(Session{Kind: Exchange, Conn: e.Conn, Peer: c.Peer(), HTTP2: c.HTTP2(), Exchange: &h, Opened: e.Start, Last: e.Time})
	default:
		if ix.session != nil {
			x.inSession(c, ix.session, e)
		}
	}
}

// opened is the session that begins, which is held until it is over. The second
// pass meets the sessions of the first, in the same order.
func (x *indexer) opened(ix *indexed, what Session) *session {
	s := x.store
	if x.pass == messagePass {
		x.seen++
		return s.shelf.hold(x.seen - 1)
	}
	n := newSession()
	n.Session, n.streams, n.last = what, ix.streams, s.read
	s.shelf.add(n)
	return n
}

// once takes in what is over as soon as it is known.
func (x *indexer) once(what Session) {
	s := x.store
	if x.pass == messagePass {
		x.seen++
		return
	}
	n := newSession()
	n.Session, n.last = what, s.read
	s.shelf.add(n)
	s.shelf.let(n)
}

// after lets go of a connection that is over. Its last chunk or end may lead to
// several events, so that it is not for event to do.
func (x *indexer) after(c *inspect.Conn) {
	if !c.Over() {
		return
	}
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	ix := x.conns[c.Info().ID]
	if ix == nil {
		return
	}
	delete(x.conns, c.Info().ID)
	if ix.session != nil {
		s.open -= min(s.open, len(ix.session.findings))
		s.shelf.let(ix.session)
		return
	}
	for _, st := range ix.streams {
		if st != nil {
			st.list.drop(s.pages)
		}
	}
}

// inSession takes in an event of a session that is open.
func (x *indexer) inSession(c *inspect.Conn, n *session, e inspect.Event) {
	s := x.store
	switch e := e.(type) {
	case *inspect.Frame:
		if x.pass == messagePass {
			return
		}
		if n.rows.n < maxFrames {
			r := newRow(n.Index, e)
			if c != nil && e.Header.Opcode() == inspect.OpContinuation {
				if was := c.Before(e.Dir); was.Blind && !was.InMessage {
					r[31] |= rowStray
				}
			}
			n.rows.add(s.pages, r[:])
		}
		n.Last = e.Last
		n.Frames[e.Dir]++
		n.Bytes[e.Dir] += int64(e.Header.Len()) + int64(min(e.Header.Length(), max48)) - e.Missing
	case *inspect.Message:
		x.message(c, n, e)
	case *inspect.Finding:
		n.Findings++
		n.Worst = max(n.Worst, e.Severity)
		if len(n.findings) < maxFindings && s.open < maxOpenFindings {
			n.findings = append(n.findings, *e)
			s.open++
		}
		n.change(s.pages, e.Frame, func(r *Row) { r.blame(e.Severity) })
	case *inspect.Closed:
		closed := *e
		n.Closed, n.Last = &closed, e.Time
	}
}

// message marks the rows of a message and keeps the window behind it.
func (x *indexer) message(c *inspect.Conn, n *session, m *inspect.Message) {
	p := x.store.pages
	if !m.Opcode.Control() && x.pass != messagePass {
		n.Messages[m.Dir]++
	}
	if m.Compressed || m.Undecodable || m.InvalidUTF8 > 0 {
		for k := m.First; k <= m.Last; k++ {
			n.change(p, k, func(r *Row) {
				if r.Dir() != m.Dir || r.Opcode().Control() != m.Opcode.Control() {
					return
				}
				r.set(rowCompressed, m.Compressed)
				r.set(rowOpaque, m.Undecodable)
				r.set(rowInvalid, m.InvalidUTF8 > 0)
			})
		}
	}
	if m.Compressed && !m.Undecodable && x.pass != framePass {
		n.windows[m.Dir].passed(p, m.Last, m.Size, func() []byte { return c.Window(m.Dir) })
	}
}
