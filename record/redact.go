package record

import (
	"sync"
	"sync/atomic"

	"github.com/wsproxy/wsproxy/inspect"
)

// Redact answers a stage in front of a recording, or of any other sink, that
// leaves credentials out: what next is told never had them. It replaces them by
// as many asterisks in HTTP heads and in notes, and puts a note in front that
// names what was replaced. Bodies and what follows an upgrade pass as they are.
//
// A head is held until it is whole, client bytes behind an upgrade request until
// its answer; an end lets go of what is held. In what cannot be framed as HTTP
// everything but the line ends is replaced.
func Redact(next inspect.Sink) inspect.Sink {
	return &redactor{next: next, conns: map[inspect.ConnID]*redacting{}}
}

// Detect answers a stage that passes everything on as it is, and calls found
// once, with the names of the first credentials that Redact would replace.
// found is called by the goroutine that brought them.
func Detect(next inspect.Sink, found func(what []string)) inspect.Sink {
	return &redactor{next: next, found: found, conns: map[inspect.ConnID]*redacting{}}
}

// redactor is the stage. A sink's two directions call at once, and the answer in
// one lets go of bytes that the other holds: each connection has its lock.
type redactor struct {
	next  inspect.Sink
	found func([]string) // not nil: only look
	told  atomic.Bool    // found has been called

	mu    sync.Mutex
	conns map[inspect.ConnID]*redacting
}

// redacting is one connection.
type redacting struct {
	stage *redactor
	mu    sync.Mutex
	legs  [2]redactedLeg
}

// redactedLeg frames one leg's HTTP as inspect.Conn does.
type redactedLeg struct {
	ways     [2]redactedWay // by Dir
	queue    []redactedRequest
	switched bool // HTTP is over
	open     bool
	ended    [2]bool
}

// redactedRequest is a request that waits for its final answer.
type redactedRequest struct {
	method string
	hold   bool // an upgrade: what follows waits for the answer
}

// redactedWay is one direction of a leg.
type redactedWay struct {
	leg   inspect.Leg
	dir   inspect.Dir
	phase redactPhase
	head  inspect.HeadScanner
	body  inspect.Body
	off   int64 // of the byte that comes next

	held   []byte // not passed on yet
	pieces []heldPiece
}

// heldPiece is a chunk that a part of what is held came in.
type heldPiece struct {
	chunk inspect.Chunk // without its Data
	n     int           // bytes
}

// redactPhase is what the next byte of a direction is.
type redactPhase uint8

const (
	redactHead redactPhase = iota
	redactBody
	redactHold    // behind an upgrade request, until its answer
	redactNothing // frames, or another protocol
	redactAll     // what cannot be framed
)

// heldLimit bounds what is held behind an upgrade request. The relay stops
// reading a client long before.
const heldLimit = 1 << 20

func (r *redactor) conn(id inspect.ConnID) *redacting {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.conns[id]
	if c == nil {
		c = &redacting{stage: r}
		for l := range c.legs {
			for d := range c.legs[l].ways {
				c.legs[l].ways[d].leg, c.legs[l].ways[d].dir = inspect.Leg(l), inspect.Dir(d)
			}
		}
		r.conns[id] = c
	}
	return c
}

// report tells a detector's find, once.
func (r *redactor) report(s *secrets) {
	if r.found != nil && len(s.what) > 0 && r.told.CompareAndSwap(false, true) {
		r.found(s.what)
	}
}

// Open passes a connection's beginning on; its target is a URL.
func (r *redactor) Open(info inspect.ConnInfo) {
	c := r.conn(info.ID)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.legs[inspect.ClientLeg].open = true
	if info.Bridged() { // the other leg carries no heads
		for d := range c.legs[inspect.ServerLeg].ways {
			c.legs[inspect.ServerLeg].ways[d].phase = redactNothing
		}
	}
	var s secrets
	if target := s.string(info.Target); r.found == nil {
		info.Target = target
	}
	r.next.Open(info)
	r.report(&s)
}

// Note passes a note on, without the credentials in its texts.
func (r *redactor) Note(n inspect.Note) {
	var s secrets
	if js := s.json(n.JSON); r.found == nil {
		n.JSON = js
	}
	if n.Conn == 0 {
		r.next.Note(n)
		return
	}
	c := r.conn(n.Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.Kind == inspect.NoteLeg {
		c.legs[n.Leg].open = true
	}
	r.next.Note(n)
	r.report(&s)
}

// Chunk takes bytes. They are copied where they are held.
func (r *redactor) Chunk(ch inspect.Chunk) {
	if r.found != nil {
		r.next.Chunk(ch)
		if r.told.Load() {
			return
		}
	}
	c := r.conn(ch.Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chunk(ch)
}

// End lets go of what is held and passes the end on.
func (r *redactor) End(e inspect.Ended) {
	c := r.conn(e.Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.legs[e.Leg]
	for _, d := range []inspect.Dir{e.Dir, e.Dir.Other()} {
		if d != e.Dir && e.How != inspect.Rst {
			continue
		}
		l.ended[d] = true
		c.release(l, redactHead) // without an answer nothing that waited for one is frames
		c.flush(&l.ways[d], false)
	}
	var s secrets
	if text := s.string(e.Error); r.found == nil {
		e.Error = text
	}
	r.next.End(e)
	for i := range c.legs {
		if l := &c.legs[i]; l.open && !(l.ended[0] && l.ended[1]) {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, e.Conn)
}

// chunk frames a chunk.
func (c *redacting) chunk(ch inspect.Chunk) {
	l := &c.legs[ch.Leg]
	w := &l.ways[ch.Dir]
	if ch.Off != w.off {
		c.hole(l, w)
	}
	w.off = ch.Off + int64(len(ch.Data))
	behind := ch
	behind.Data, behind.Off, behind.Boundary = nil, w.off, 0
	ch.Gap = 0
	c.take(l, ch)
	if behind.Gap > 0 {
		w.off += behind.Gap
		c.hole(l, w)
		c.pass(behind)
	}
}

// hole is bytes that were not told. Of the server leg only heads are, each
// whole; on the client leg nothing can be framed behind a hole.
func (c *redacting) hole(l *redactedLeg, w *redactedWay) {
	if w.phase != redactHead && w.phase != redactBody {
		return
	}
	c.flush(w, false)
	w.head.Reset()
	if w.leg == inspect.ClientLeg {
		w.phase = redactAll
		return
	}
	if w.phase == redactBody {
		c.bodyDone(l, w)
	}
}

// take goes through a chunk's bytes, phase by phase.
func (c *redacting) take(l *redactedLeg, ch inspect.Chunk) {
	w := &l.ways[ch.Dir]
	for len(ch.Data) > 0 {
		switch w.phase {
		case redactHead:
			raw, rest, err := w.head.Next(ch.Data)
			w.hold(cut(&ch, len(ch.Data)-len(rest)))
			if err != nil {
				c.lose(w)
			} else if raw != nil {
				c.whole(l, w, raw)
			}
		case redactBody:
			_, rest, done, err := w.body.Next(ch.Data)
			c.pass(cut(&ch, len(ch.Data)-len(rest)))
			if err != nil {
				w.phase = redactAll
			} else if done {
				c.bodyDone(l, w)
			}
		case redactHold:
			if w.leg == inspect.ServerLeg {
				w.phase = redactHead // the relay has held them: the answer was there, its body was not told
				continue
			}
			if w.hold(cut(&ch, len(ch.Data))); len(w.held) > heldLimit {
				c.lose(w)
			}
		case redactNothing:
			c.pass(cut(&ch, len(ch.Data)))
		default:
			w.hold(cut(&ch, len(ch.Data)))
			c.lose(w)
		}
	}
}

// cut takes n bytes off the front of a chunk.
func cut(ch *inspect.Chunk, n int) inspect.Chunk {
	front := *ch
	front.Data = ch.Data[:n]
	if ch.Boundary > n {
		front.Boundary = 0
	}
	ch.Data = ch.Data[n:]
	ch.Off += int64(n)
	ch.Boundary = max(ch.Boundary-n, 0)
	return front
}

func (w *redactedWay) hold(piece inspect.Chunk) {
	w.held = append(w.held, piece.Data...)
	n := len(piece.Data)
	piece.Data = nil
	w.pieces = append(w.pieces, heldPiece{piece, n})
}

// whole takes a head whose last byte has come: raw as it was, held to be
// replaced.
func (c *redacting) whole(l *redactedLeg, w *redactedWay, raw []byte) {
	if w.dir == inspect.ToServer {
		w.phase = l.request(w, raw)
		c.flush(w, true)
		return
	}
	next, held := l.response(w, raw)
	if held != redactHold {
		c.release(l, held) // in front of their answer, where they came
	}
	c.flush(w, true)
	w.phase = next
}

// request reads a request's head and says what follows it.
func (l *redactedLeg) request(w *redactedWay, raw []byte) redactPhase {
	h, err := inspect.ParseRequest(raw)
	if err != nil {
		return redactAll
	}
	l.queue = append(l.queue, redactedRequest{h.Method, h.IsUpgrade() || h.Upgrading() || h.Method == "CONNECT"})
	if w.body, err = inspect.RequestBody(h); err != nil {
		return redactAll
	}
	if !w.body.Done() {
		return redactBody
	}
	return l.afterRequest()
}

// afterRequest is what follows the newest request, whose body is over.
func (l *redactedLeg) afterRequest() redactPhase {
	n := len(l.queue)
	switch {
	case l.switched:
		return redactNothing // the answer came before the body's end
	case n == 0, !l.queue[n-1].hold, l.ended[inspect.ToClient], l.ways[inspect.ToClient].phase == redactAll:
		return redactHead
	}
	return redactHold
}

// response reads a response's head: what follows it, and what the client bytes
// are that waited for it; redactHold if they still do.
func (l *redactedLeg) response(w *redactedWay, raw []byte) (next, held redactPhase) {
	h, err := inspect.ParseResponse(raw)
	if err != nil {
		return redactAll, redactHead
	}
	if h.Status < 200 && h.Status != 101 {
		return redactHead, redactHold // the final answer is to come
	}
	var q redactedRequest
	if len(l.queue) > 0 {
		q = l.queue[0]
	}
	if h.Status == 101 && q.hold || q.method == "CONNECT" && h.Status/100 == 2 {
		l.switched = true
		return redactNothing, redactNothing
	}
	if w.body, err = inspect.ResponseBody(h, q.method); err != nil {
		return redactAll, redactHead
	}
	held = redactHold
	if q.hold {
		held = redactHead
	}
	if !w.body.Done() {
		return redactBody, held
	}
	l.queue = l.queue[min(1, len(l.queue)):]
	return redactHead, held
}

func (c *redacting) bodyDone(l *redactedLeg, w *redactedWay) {
	if w.dir == inspect.ToServer {
		w.phase = l.afterRequest()
		return
	}
	w.phase = redactHead
	l.queue = l.queue[min(1, len(l.queue)):]
}

// release lets go of client bytes that waited for the answer to an upgrade.
func (c *redacting) release(l *redactedLeg, next redactPhase) {
	w := &l.ways[inspect.ToServer]
	if w.phase != redactHold {
		return
	}
	w.phase = next
	held, pieces := w.held, w.pieces
	w.held, w.pieces = nil, nil
	for _, p := range pieces {
		p.chunk.Data, held = held[:p.n], held[p.n:]
		c.take(l, p.chunk)
	}
}

// lose replaces everything that is held: it cannot be framed, and neither can
// what follows.
func (c *redacting) lose(w *redactedWay) {
	w.phase = redactAll
	var s secrets
	s.blank("bytes that are no HTTP", w.held)
	c.emit(w, &s)
}

// flush passes a head on without its credentials.
func (c *redacting) flush(w *redactedWay, whole bool) {
	if len(w.held) == 0 {
		return
	}
	var s secrets
	s.head(w.held, whole)
	c.emit(w, &s)
}

// emit passes on what is held, in the pieces that it came in, behind the note
// that names what was replaced.
func (c *redacting) emit(w *redactedWay, s *secrets) {
	first := w.pieces[0].chunk
	if len(s.what) > 0 && c.stage.found == nil {
		n := inspect.NewNote(first.Conn, w.leg, w.dir, first.Time, inspect.NoteRedacted,
			inspect.RedactedNote{Kind: inspect.NoteRedacted, What: s.what, Bytes: s.bytes})
		n.Off = first.Off
		c.stage.next.Note(n)
	}
	data := w.held
	for _, p := range w.pieces {
		p.chunk.Data, data = data[:p.n], data[p.n:]
		c.pass(p.chunk)
	}
	w.held, w.pieces = w.held[:0], w.pieces[:0]
	c.stage.report(s)
}

// pass hands a chunk on; a detector has done so before.
func (c *redacting) pass(ch inspect.Chunk) {
	if c.stage.found == nil {
		c.stage.next.Chunk(ch)
	}
}
