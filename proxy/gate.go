package proxy

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Gate says of which sessions frames are to be asked about. Its methods are called
// by many goroutines, and must not call the Server.
type Gate interface {
	// Session answers who is asked about each frame of a session; nil: nobody, and
	// its bytes pass at no cost. It is called when a session opens, and again at each
	// Regate: what it answers counts from the next frame of each direction on.
	Session(Session) Filter
	// Ended says that a session that Session was asked about is over.
	Ended(inspect.SessionID)
}

// Session is a session as a Gate gets to know it.
type Session struct {
	ID        inspect.SessionID
	Conn      inspect.ConnInfo
	Handshake *inspect.Handshake
	Opening   bool // no frame has passed yet
}

// Filter is asked about each frame of a session before any of its bytes pass. The
// two directions ask at the same time.
type Filter interface {
	// Whole says that Frame must have all of a frame's payload. The relay keeps it
	// until it has come, up to 16 MiB: of a longer one Frame gets what is there.
	Whole(inspect.Dir, inspect.Header) bool
	// Frame decides. Of the frame Session, Header, Dir and First are known; the payload is as on
	// the wire, whole or its beginning, and valid during the call only.
	Frame(f inspect.Frame, payload []byte) Verdict
}

// Verdict is what becomes of a frame. The zero Verdict lets it pass.
type Verdict struct {
	// Hold has the frame, and all behind it in its direction, wait until the channel
	// is closed. Then it is asked about again.
	Hold <-chan struct{}
	By   string // who holds it: "hand", "filter"
}

// Kill is how a session is to be ended.
type Kill struct {
	How    inspect.End // Fin or Rst; NoEnd: with a Close frame
	Code   inspect.CloseCode
	Reason string // of the Close frame, 123 bytes at most
}

// ErrNoSession says that a session is over, or no relayed one: bridges and what
// nobody looks into are not.
var ErrNoSession = errors.New("this session cannot be held or ended: it is over, or passes a bridge, which is an end of it itself")

// payloadLimit is the most that is kept of a frame whose payload a Filter wants.
const payloadLimit = 16 << 20

// killedByHand is why a killed session ended.
const killedByHand = "killed by hand"

// killTime is how long a killed session may take to end by itself.
const killTime = time.Second

// gating is what the two directions of a session do beside relaying. It does not change:
// another one takes its place.
type gating struct {
	filter Filter
	kill   *Kill
	by     time.Time     // when a killed session must have ended
	late   *time.Timer   // sees to that
	over   chan struct{} // closed when another gating counts
}

// passage is a direction whose frames are asked about: what was read and has not
// passed. It belongs to the goroutine that moves the direction.
type passage struct {
	scan  inspect.Scanner // of what has passed
	ahead []byte          // the beginning of a frame, which is too short to ask about
}

// Regate has the Gate asked again about every open session.
func (s *Server) Regate() {
	for _, c := range s.sessions() {
		c.regate()
	}
}

// Kill ends a session: with a Close frame for both peers, each at a frame boundary or
// else with an RST; with a FIN; or with an RST. It does not wait for that. The Error is
// ErrNoSession.
func (s *Server) Kill(id inspect.SessionID, k Kill) error {
	for _, c := range s.sessions() {
		if c.startKill(id, k) {
			return nil
		}
	}
	return ErrNoSession
}

// sessions are the connections that may have one.
func (s *Server) sessions() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.conns))
	for r := range s.conns {
		if c := r.relayed(); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// relayed is the connection itself.
func (c *conn) relayed() *conn { return c }

// relayed is nil: a bridge is an endpoint of its session.
func (b *bridge) relayed() *conn { return nil }

// relayed is the connection that is relayed now; nil if none is.
func (e *edge) relayed() *conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil && e.conn.ender() != relay(e.conn) {
		return nil // it has become a bridge
	}
	return e.conn
}

// enter asks the Gate about a session that opens. down calls it, before the
// client's frames are let go.
func (c *conn) enter(p *pending, answer *inspect.Head) {
	if c.config.Gate == nil || p.head == nil || c.silent {
		return
	}
	if copied, err := inspect.ParseResponse(bytes.Clone(answer.Raw)); err == nil {
		answer = copied // the relay's own is read over
	}
	s := &Session{ID: p.session, Opening: true, Handshake: inspect.NewHandshake(p.head, nil, answer),
		Conn: inspect.ConnInfo{ID: c.id, Mode: c.mode, Target: c.config.Target.String(), Time: c.start, Via: c.via,
			Client: inspect.Endpoints{Local: c.local.String(), Remote: c.client.RemoteAddr().String()}}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entered = s
	c.reask()
	s.Opening = false
}

// regate asks the Gate who is asked about the session from here on.
func (c *conn) regate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entered != nil && !c.over.Load() {
		c.reask()
	}
}

// reask is regate with c.mu held.
func (c *conn) reask() {
	if c.server.ungated.Load() {
		c.turn(nil)
	} else if f := c.config.Gate.Session(*c.entered); f != nil {
		c.turn(&gating{filter: f, over: make(chan struct{})})
	} else {
		c.turn(nil)
	}
}

// turn has another gating count; c.mu is held. A kill is the last.
func (c *conn) turn(g *gating) {
	old := c.gate.Load()
	if old == g || old != nil && old.kill != nil {
		return
	}
	c.gate.Store(g)
	if old == nil {
		return
	}
	close(old.over)
	c.rouse() // what the beginning of a frame was kept back for may have changed
	if c.withheld.Load() && c.upstream != nil {
		_ = c.upstream.SetReadDeadline(past) // as above
	}
}

// leave ends what the Gate knows of the session, when its connection has ended.
func (c *conn) leave() {
	if g := c.gate.Load(); g != nil && g.late != nil {
		g.late.Stop()
	}
	c.mu.Lock()
	s := c.entered
	c.mu.Unlock()
	if s != nil {
		c.config.Gate.Ended(s.ID)
	}
}

// asks says that the frames of a direction do not just pass. It is to be called before
// the direction's scanner goes on.
func (c *conn) asks(d inspect.Dir) bool {
	if c.passage[d] != nil {
		return true
	}
	if c.gate.Load() == nil {
		return false
	}
	c.passage[d] = &passage{scan: c.scan[d]}
	return true
}

// again looks again at the beginning of a frame that was kept back.
func (c *conn) again(d inspect.Dir) {
	if p := c.passage[d]; p != nil && len(p.ahead) > 0 {
		c.ask(d, nil)
	}
}

// unask passes on the beginning of a frame that has no end: its sender has ended.
func (c *conn) unask(d inspect.Dir) {
	if p := c.passage[d]; p != nil && len(p.ahead) > 0 && !c.isOver() {
		c.passOn(d, p.ahead, marks{first: 1})
		p.ahead = nil
	}
}

// ask passes on what may pass of bytes that were read, frame by frame, and waits with
// what is held. The bytes have been told where they were read. When the session is
// killed the rest is let go of.
func (c *conn) ask(d inspect.Dir, data []byte) {
	p := c.passage[d]
	if len(p.ahead) > 0 {
		p.ahead = append(p.ahead, data...)
		data = p.ahead
	}
	out := passing{conn: c, dir: d, data: data}
	for out.to < len(out.data) && !c.isOver() {
		g := c.gate.Load()
		if p.scan.AtBoundary() && g != nil {
			if g.kill != nil {
				out.flush()
				p.ahead = append([]byte(nil), out.data[out.to:]...) // never to pass: it is counted
				return
			}
			h, whole := c.sight(g, d, out.data[out.to:])
			if !whole {
				out.flush()
				p.ahead = append(p.ahead[:0], out.data[out.to:]...)
				c.withhold(d, true)
				return
			}
			if !out.admit(g, h) {
				continue // things have changed meanwhile
			}
		}
		out.released()
		out.take(&p.scan)
	}
	out.flush()
	p.ahead = nil
	c.withhold(d, false)
	if c.gate.Load() == nil {
		c.passage[d] = nil // all that was read has passed
	}
}

// unwritten ends a connection whose leg l takes no more bytes. A killed one ends
// otherwise.
func (c *conn) unwritten(l inspect.Leg, d inspect.Dir, err error) {
	if g := c.gate.Load(); g != nil && g.kill != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	c.abort(l, d, inspect.Rst, writeText(err))
}

// withhold says that down has the beginning of a frame that does not pass yet; up
// can always be roused.
func (c *conn) withhold(d inspect.Dir, on bool) {
	if d == inspect.ToClient {
		c.withheld.Store(on)
	}
}

// sight is the header that a frame begins with; false if what there is of the frame
// is too little to ask about it.
func (c *conn) sight(g *gating, d inspect.Dir, data []byte) (h inspect.Header, enough bool) {
	h, ok := inspect.ParseHeader(data)
	if !ok {
		return h, false
	}
	long := h.Length() > payloadLimit
	return h, long || len(data)-h.Len() >= int(h.Length()) || !g.filter.Whole(d, h)
}

// passing is the part of some bytes that is on its way: data[from:to] may pass.
type passing struct {
	conn     *conn
	dir      inspect.Dir
	data     []byte
	from, to int
	at       marks
	held     time.Time // since when the frame at to waits; zero: it does not
	by       string
}

// take adds the rest of a frame to what may pass.
func (o *passing) take(scan *inspect.Scanner) {
	if o.at.first == 0 && scan.AtBoundary() {
		o.at.first = o.to - o.from + 1
	}
	_, _, _, rest := scan.Next(o.data[o.to:])
	o.to = len(o.data) - len(rest)
	o.at.whole = scan.AtBoundary()
}

// flush passes on what may.
func (o *passing) flush() {
	if o.from == o.to || o.conn.isOver() {
		return
	}
	o.conn.passOn(o.dir, o.data[o.from:o.to], o.at)
	o.from, o.at = o.to, marks{}
}

// passOn writes what has been asked about. What goes to the client is told here, where
// it is certain that it is sent; what goes to the server was, where it was read.
func (c *conn) passOn(d inspect.Dir, p []byte, at marks) {
	if d == inspect.ToClient {
		c.pass(time.Now(), p, at)
		return
	}
	c.serverLeg(d, time.Now(), p, at)
	c.writeUp(p)
}

// admit asks about the frame at to and waits as long as it is held; false if
// it is to be looked at afresh.
func (o *passing) admit(g *gating, h inspect.Header) bool {
	c := o.conn
	rest := o.data[o.to+h.Len():]
	if n := h.Length(); n < uint64(len(rest)) {
		rest = rest[:n]
	}
	f := inspect.Frame{Session: c.entered.ID, Header: h, Dir: o.dir, First: o.held}
	if f.First.IsZero() {
		f.First = time.Now()
	}
	v := g.filter.Frame(f, rest)
	if v.Hold == nil {
		return true
	}
	o.flush() // what came before it
	o.held, o.by = f.First, v.By
	o.settle()
	select {
	case <-v.Hold:
	case <-g.over:
	case <-c.ctx.Done():
	}
	return false
}

// settleLimit is the most that a direction takes with it while it is held, so that the
// buffer that it was read into goes back.
const settleLimit = 8 << 10

// settle makes a long wait cheap.
func (o *passing) settle() {
	in, rest := o.conn.intakes[o.dir], o.data[o.to:]
	if in == nil || len(rest) > settleLimit || len(in.buf) == 0 || &o.data[0] != &in.buf[0] {
		return // it lies elsewhere, or is much
	}
	o.data, o.from, o.to = bytes.Clone(rest), 0, 0
	in.release()
}

// released notes that the frame at to was held, if it was.
func (o *passing) released() {
	if o.held.IsZero() {
		return
	}
	o.conn.note(inspect.ClientLeg, o.dir, inspect.NoteAltered, inspect.AlteredNote{Kind: inspect.NoteAltered, Dir: o.dir,
		Action: inspect.ActHold, By: o.by, Held: time.Since(o.held)})
	o.held = time.Time{}
}

// startKill begins to kill the session, if it is this connection's. Both directions
// see to it, each to the peer that it writes to.
func (c *conn) startKill(id inspect.SessionID, k Kill) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entered == nil || c.entered.ID != id || c.over.Load() {
		return false
	}
	if g := c.gate.Load(); g != nil && g.kill != nil {
		return true // it is under way
	}
	c.why = killedByHand
	g := &gating{kill: &k, by: time.Now().Add(killTime), over: make(chan struct{})}
	g.late = time.AfterFunc(2*killTime+drainLimit, func() { c.stop(killedByHand) })
	c.turn(g)
	writeBy := g.by
	if k.How == inspect.Rst {
		writeBy = past
	}
	for _, s := range []*socket{c.client, c.upstream} { // closed sockets tell with the next read
		_ = s.SetWriteDeadline(writeBy)
	}
	c.rouse()
	_ = c.upstream.SetReadDeadline(past)
	return true
}

// parted does a direction's part of a kill and says so; false: nobody kills the session.
// err is what reading has met, if it has.
func (c *conn) parted(d inspect.Dir, in *intake, err error) bool {
	g := c.gate.Load()
	if g == nil || g.kill == nil {
		return false
	}
	from, to, leg := c.client, c.upstream, inspect.ServerLeg
	if d == inspect.ToClient {
		from, to, leg = c.upstream, c.client, inspect.ClientLeg
	}
	out := parting{conn: c, dir: d, gating: g, in: in, from: from, err: err}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		out.err = nil
	}
	if c.passage[d] == nil {
		c.passage[d] = &passage{scan: c.scan[d]}
	}
	if g.kill.How == inspect.NoEnd {
		out.toBoundary()
	}
	if c.isOver() {
		return true
	}
	act := out.say(to, leg)
	if act == inspect.ActRst {
		to.reset()
		c.ended(leg, d, inspect.Rst, "")
	}
	if g.kill.How != inspect.Rst {
		out.listen()
	}
	if act != inspect.ActRst && to.finish() == nil {
		c.ended(leg, d, inspect.Self, killedByHand)
	}
	return true
}

// parting is a direction of a session that is killed.
type parting struct {
	*gating
	conn *conn
	dir  inspect.Dir
	in   *intake
	from *socket
	err  error
}

// read reads on, until the session must have ended; ok is false when there is nothing more.
func (o *parting) read() (data []byte, ok bool) {
	if o.err != nil || !time.Now().Before(o.by) {
		return nil, false
	}
	_ = o.from.SetReadDeadline(o.by) // a closed socket tells with the read
	data, o.err = o.in.next()
	if errors.Is(o.err, os.ErrDeadlineExceeded) { // it may be an older one
		o.err = nil
	}
	c, now := o.conn, time.Now()
	c.bytes[o.dir].Add(int64(len(data)))
	at := frames(&c.scan[o.dir], data)
	if o.dir == inspect.ToServer {
		c.tap(inspect.ClientLeg, o.dir, now, data, at)
	} else {
		c.serverLeg(o.dir, now, data, at)
	}
	return data, true
}

// toBoundary passes on the rest of the frame that is under way.
func (o *parting) toBoundary() {
	for p := o.conn.passage[o.dir]; !p.scan.AtBoundary() && !o.conn.isOver(); {
		data, ok := o.read()
		if !ok {
			return
		}
		o.conn.ask(o.dir, data)
	}
}

// say tells the peer that the session ends, and the tap, and answers how.
func (o *parting) say(to *socket, leg inspect.Leg) (act string) {
	c, p := o.conn, o.conn.passage[o.dir]
	n := inspect.AlteredNote{Kind: inspect.NoteAltered, Dir: o.dir, By: "hand", Lost: int64(len(p.ahead))}
	var frame []byte
	switch {
	case o.kill.How == inspect.Fin:
		n.Action = inspect.ActFin
	case o.kill.How == inspect.Rst || !p.scan.AtBoundary():
		n.Action = inspect.ActRst
	default:
		frame = closeFrame(o.kill, o.dir == inspect.ToServer)
		n.Action, n.Code, n.Wrote = inspect.ActClose, o.kill.Code, hex.EncodeToString(frame)
	}
	c.note(leg, o.dir, inspect.NoteAltered, n)
	if frame == nil {
		return n.Action
	}
	c.tap(leg, o.dir, time.Now(), frame, marks{first: 1, whole: true})
	if _, err := to.Write(frame); err != nil {
		return inspect.ActRst
	}
	return n.Action
}

// listen waits for the Close that the peer answers with, or its end. Nothing of it is
// passed on.
func (o *parting) listen() {
	c := o.conn
	scan := c.passage[o.dir].scan
	data := c.passage[o.dir].ahead
	for ok := true; ok && !c.isOver(); data, ok = o.read() {
		for rest := data; len(rest) > 0; {
			h, _, _, more := scan.Next(rest)
			if rest = more; h.Opcode() == inspect.OpClose && scan.AtBoundary() && h.Len() > 0 {
				return
			}
		}
	}
	if o.err == nil || c.isOver() {
		return
	}
	l := inspect.ClientLeg
	if o.dir == inspect.ToClient {
		l = inspect.ServerLeg
	}
	if how, text := o.from.ending(o.err); !errors.Is(o.err, net.ErrClosed) {
		c.ended(l, o.dir, how, text)
	}
}

// closeFrame is a Close frame (RFC 6455 section 5.5.1), for a server masked with a
// fresh key.
func closeFrame(k *Kill, masked bool) []byte {
	var body []byte
	if k.Code != inspect.NoStatus {
		body = append([]byte{byte(k.Code >> 8), byte(k.Code)}, k.Reason[:min(len(k.Reason), 123)]...)
	}
	f := inspect.Fields{Fin: true, Opcode: inspect.OpClose, Masked: masked, Length: uint64(len(body))}
	if masked {
		_, _ = rand.Read(f.Key[:]) // it never fails
		inspect.Mask(f.Key, 0, body)
	}
	return append(inspect.NewHeader(f).Append(nil), body...)
}

// String says it in words: "Close 1001", "FIN", "RST".
func (k Kill) String() string {
	switch k.How {
	case inspect.Fin:
		return "FIN"
	case inspect.Rst:
		return "RST"
	}
	return fmt.Sprintf("Close %d", k.Code)
}
