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
)

// session is a Session with its rows.
type session struct {
	Session
	rows     []Row
	findings []inspect.Finding
	streams  [2]*stream // by inspect.Dir, of its connection's client leg
}

// indexed is a connection while it is open.
type indexed struct {
	streams [2]*stream
	session *session // the one that is open
}

// indexer is the Sink that fills a Store. The follower's goroutine calls it; the
// Store's lock is held while an event is taken in, never while bytes are inspected.
type indexer struct {
	store     *Store
	inspector inspect.Inspector
}

func (x *indexer) Open(info inspect.ConnInfo) {
	s := x.store
	s.mu.Lock()
	s.conns[info.ID] = &indexed{streams: [2]*stream{{}, {}}}
	s.mu.Unlock()
	x.inspector.Open(info)
}

func (x *indexer) Chunk(c inspect.Chunk) {
	x.inspector.Chunk(c)
	x.store.version.Add(1)
}

func (x *indexer) Note(n inspect.Note) {
	switch n.Kind {
	case inspect.NoteStopped:
		var stopped inspect.StoppedNote
		if json.Unmarshal(n.JSON, &stopped) == nil {
			x.store.mu.Lock()
			x.store.stopped = stopped.Why
			x.store.mu.Unlock()
		}
	case inspect.NoteLapped:
		var lapped inspect.LappedNote
		if json.Unmarshal(n.JSON, &lapped) == nil {
			x.store.mu.Lock()
			x.store.lapped += lapped.Bytes
			x.store.mu.Unlock()
		}
	}
	x.inspector.Note(n)
	x.store.version.Add(1)
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
	e := extent{off: c.Off, pos: c.Pos, n: int64(len(c.Data))}
	if c.Pos == 0 {
		var ok bool
		if e.pos, ok = s.side.write(c.Data); !ok {
			return
		}
		e.side = true
	} else {
		s.read = max(s.read, c.Pos+e.n)
		s.trim()
	}
	if ix := s.conns[c.Conn]; ix != nil {
		ix.streams[c.Dir].add(e)
	}
}

// trim lets go of where bytes were that a ring no longer has.
func (s *Store) trim() {
	if s.read-s.trimmed < segmentMin {
		return // looking costs something
	}
	from := s.file.oldest()
	if s.trimmed = s.read; from == 0 {
		return
	}
	for _, n := range s.sessions {
		for _, st := range n.streams {
			st.trim(from)
		}
	}
}

// event takes in what inspection says.
func (x *indexer) event(c *inspect.Conn, e inspect.Event) {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	ix := s.conns[c.Info().ID]
	switch e := e.(type) {
	case *inspect.Opened:
		ix.session = s.add(Session{Kind: WebSocket, ID: e.Session, Conn: e.Conn, Peer: c.Peer(), Handshake: e.Handshake,
			Opened: e.Handshake.RequestTime, Last: e.Time}, ix)
	case *inspect.Refused:
		r := *e
		r.Body = slices.Clone(e.Body[:min(len(e.Body), maxBody)])
		s.add(Session{Kind: Refused, ID: e.Session, Conn: e.Conn, Peer: c.Peer(), Handshake: e.Handshake, Refused: &r,
			Opened: e.Handshake.RequestTime, Last: e.Time}, ix)
	case *inspect.Exchange:
		h := *e
		h.Up.Data = slices.Clone(h.Up.Data[:min(len(h.Up.Data), maxBody)])
		h.Down.Data = slices.Clone(h.Down.Data[:min(len(h.Down.Data), maxBody)])
		s.add(Session{Kind: Exchange, Conn: e.Conn, Peer: c.Peer(), Exchange: &h, Opened: e.Start, Last: e.Time}, ix)
	default:
		if ix.session != nil {
			x.inSession(c, ix.session, e)
		}
	}
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
	delete(s.conns, c.Info().ID)
}

func (s *Store) add(what Session, ix *indexed) *session {
	what.Index = len(s.sessions)
	n := &session{Session: what, streams: ix.streams}
	s.sessions = append(s.sessions, n)
	return n
}

// inSession takes in an event of a session that is open.
func (x *indexer) inSession(c *inspect.Conn, n *session, e inspect.Event) {
	switch e := e.(type) {
	case *inspect.Frame:
		if len(n.rows) < maxFrames {
			n.rows = append(n.rows, newRow(n.Index, e))
		}
		n.Last = e.Last
		n.Frames[e.Dir]++
		n.Bytes[e.Dir] += int64(e.Header.Len()) + int64(min(e.Header.Length(), max48)) - e.Missing
	case *inspect.Message:
		x.message(c, n, e)
	case *inspect.Finding:
		n.Findings++
		n.Worst = max(n.Worst, e.Severity)
		if len(n.findings) < maxFindings {
			n.findings = append(n.findings, *e)
		}
		if r := n.row(e.Frame); r != nil {
			r.blame(e.Severity)
		}
	case *inspect.Closed:
		closed := *e
		n.Closed, n.Last = &closed, e.Time
	}
}

// row is the row of frame n, from 1; nil if there is none.
func (n *session) row(frame uint64) *Row {
	if frame == 0 || frame > uint64(len(n.rows)) {
		return nil
	}
	return &n.rows[frame-1]
}

// message marks the rows of a message and keeps the window behind it.
func (x *indexer) message(c *inspect.Conn, n *session, m *inspect.Message) {
	if !m.Opcode.Control() {
		n.Messages[m.Dir]++
	}
	for k := m.First; k <= m.Last; k++ {
		r := n.row(k)
		if r == nil || r.Dir() != m.Dir || r.Opcode().Control() != m.Opcode.Control() {
			continue
		}
		r.set(rowCompressed, m.Compressed)
		r.set(rowOpaque, m.Undecodable)
		r.set(rowInvalid, m.InvalidUTF8 > 0)
	}
	if m.Compressed && !m.Undecodable {
		x.store.windows.passed(windowKey{n.Index, m.Dir}, m.Last, m.Size, func() []byte { return c.Window(m.Dir) })
	}
}
