package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy/h2"
)

// conn is one client connection and the server connection dialled for it. Two
// goroutines relay: up (client to server, which also owns the connection) and,
// once the server is dialled, down.
type conn struct {
	// Fixed after newConn.
	route
	server *Server
	id     inspect.ConnID
	client *socket
	local  net.Addr
	ctx    context.Context
	cancel context.CancelFunc
	start  time.Time

	bytes    [2]atomic.Int64 // relayed, by Dir
	sessions atomic.Int64

	// Owned by the goroutine that moves the direction.
	off  [2][2]atomic.Int64 // stream offsets, by leg and direction; who ends a leg reads both
	scan [2]inspect.Scanner

	gate    atomic.Pointer[gating] // nil: frames are not asked about
	passage [2]*passage            // by Dir, owned as off is; nil: all that was read has passed
	intakes [2]*intake             // by Dir, owned as off is

	// Owned by up.
	req      reading
	handed   []byte            // the client's bytes that belong to its next connection; nil: there is none
	upgrades inspect.SessionID // upgrade requests so far

	// Owned by down.
	resp reading

	// Written by up before down starts.
	upstream *socket
	downDone chan struct{}

	// HTTP/2.
	carrier    *carrier  // whose stream the client is; nil: a socket. Fixed
	carries    *h2.Conn  // the client's, whose streams are relayed apart; guarded by mu
	trunks     *trunks   // to servers, of a client that is no stream; owned by up
	concealing concealer // owned by up

	mu       sync.Mutex
	bridge   *bridge     // that it has become; nil: none
	changed  sync.Cond   // holding, queue or over
	queue    []pending   // requests whose final answer has not come
	holding  bool        // client bytes wait for the answer to an upgrade
	next     phase       // what they are, once it has come
	roused   bool        // up is to look again, whatever it waits for
	headBy   time.Time   // when the request's head must have ended; zero: none has begun
	over     atomic.Bool // set with mu held: sockets are closed or about to be
	why      string      // of an end that is wsproxy's
	entered  *Session    // nil: there is none that the Gate knows
	withheld atomic.Bool // down has the beginning of a frame that does not pass yet
	legEnded [2][2]bool
	legReset [2]bool
}

// pending is a request that waits for its answer.
type pending struct {
	method  string
	upgrade bool // to WebSocket
	hold    bool // any upgrade: bytes behind it wait for the answer

	head    *inspect.Head // of an upgrade to WebSocket that a Gate will ask about
	session inspect.SessionID
}

// phase is what the next bytes of a direction are.
type phase uint8

const (
	inHead phase = iota
	inBody
	inSession // WebSocket frames
	inOther   // bytes that are not framed here
)

// reading frames one direction's HTTP.
type reading struct {
	phase phase
	head  inspect.HeadScanner
	body  inspect.Body
}

func newConn(s *Server, client *socket, r route) *conn {
	c := &conn{route: r, server: s, id: newID(), client: client, local: client.LocalAddr(), start: time.Now()}
	c.changed.L = &c.mu
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.req.head.Limit, c.resp.head.Limit = s.config.HeadLimit, s.config.HeadLimit
	if r.opaque && !r.absolute {
		c.req.phase, c.resp.phase = inOther, inOther
	}
	return c
}

// run relays the connection to its end. It returns when both goroutines have
// and both sockets are closed; but for the client's, if its next request belongs
// to another connection (handed).
func (c *conn) run() {
	defer c.cancel()
	if c.ushered() {
		return
	}
	if c.config.Tap != nil {
		c.config.Tap.Open(c.clientInfo())
		c.noteHTTP2(inspect.ClientLeg)
	}
	if c.begin() {
		c.up()
	}
	c.cancel() // nobody is left to be given a moment
	if c.handed != nil && c.upstream != nil {
		c.upstream.close()
	}
	if c.downDone != nil {
		<-c.downDone
	}
	if c.handed == nil {
		c.closeSockets()
	}
	c.trunks.close()
	c.endRest()
	c.leave()
	if c.preface(c.handed) {
		c.client.ahead, c.handed = c.handed, nil
		c.carry() // what never was a stream has been told by h2
	}
}

// ushered shakes hands with the client and finds its target, and says whether
// somebody else has carried the connection to its end.
func (c *conn) ushered() bool {
	if c.config.Secure != nil && c.client.tls == nil && c.config.Forward == nil && c.denied == nil && c.failure == nil && c.carrier == nil {
		c.secure()
	}
	if c.failure == nil && c.denied == nil && c.client.speaksHTTP2() {
		if c.failure = c.carry(); c.failure == nil {
			return true
		}
		c.opaque = true
	}
	if c.routed && c.denied == nil && c.failure == nil {
		c.settle()
		if c.config.toStream() {
			c.bridged().join()
			return true
		}
	}
	return false
}

// begin does what comes before the client's bytes are relayed, and says whether
// they are to be.
func (c *conn) begin() bool {
	switch {
	case c.failure != nil:
		f := c.failure
		c.fail(f.why)
		if f.how != inspect.Self {
			c.ended(inspect.ClientLeg, inspect.ToServer, f.how, f.text)
		}
		return false
	case c.denied != nil:
		c.tapHead(time.Now(), c.client.ahead)
		c.client.ahead = nil
		c.refuse(c.denied.status, c.denied.phrase, c.denied.why)
		return false
	case c.ready != nil && c.ready.err == nil && !c.ready.socket.speaksHTTP2():
		return c.connect() // what the server says first, and its end, are not to wait for a request
	}
	return true
}

// fail tells why the connection carried nothing.
func (c *conn) fail(why string) {
	c.server.sayOnce(why)
	c.note(inspect.ClientLeg, inspect.ToServer, inspect.NoteFailed, inspect.FailedNote{Kind: inspect.NoteFailed, Why: why})
	c.mu.Lock()
	c.why = why
	c.mu.Unlock()
}

// wary says that the client has ended without a word inside TLS that is ours, as
// those do that look at the certificate only behind the handshake.
func (c *conn) wary() bool {
	return (c.tunnel || c.config.Secure != nil) && c.client.tls != nil && c.bytes[inspect.ToServer].Load() == 0 && time.Since(c.start) < waryTime
}

// waryTime is how soon a client leaves that does not like our certificate. One that
// only kept a connection ready leaves later.
const waryTime = 2 * time.Second

// rouse makes up look again: c.mu is held. Neither a head's deadline that up sets
// at the same moment nor bytes that arrive can undo it.
func (c *conn) rouse() {
	c.roused = true
	_ = c.client.SetReadDeadline(past) // a closed socket tells with the next read
}

// awake takes back what rouse did and says whether it did anything: a read that
// timed out without it has waited for a request's head too long.
func (c *conn) awake() (roused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	roused, c.roused = c.roused, false
	_ = c.client.SetReadDeadline(c.headBy)
	return roused
}

// headDeadline sets or takes back when the head being read must have ended.
func (c *conn) headDeadline(by time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headBy = by
	if !c.roused {
		_ = c.client.SetReadDeadline(by)
	}
}

// count adds the connection to the counts.
func (c *conn) count(st *Stats) {
	st.Sessions += int(c.sessions.Load())
	for d := range c.bytes {
		st.Bytes[d] += c.bytes[d].Load()
	}
}

// idle says that nothing is under way: no request and no session.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carries != nil {
		return c.carries.Streams() == 0
	}
	return len(c.queue) == 0 && c.sessions.Load() == 0 && !c.opaque
}

// stop closes the connection from outside.
func (c *conn) stop(why string) {
	c.mu.Lock()
	if !c.over.Swap(true) {
		c.why = why
	}
	c.changed.Broadcast()
	carries := c.carries
	c.mu.Unlock()
	c.cancel()
	if carries != nil {
		carries.Close() // and soon the socket, behind a GOAWAY
		return
	}
	c.closeSockets()
}

func (c *conn) closeSockets() {
	c.mu.Lock()
	c.over.Store(true)
	up, client := c.upstream, c.client
	c.changed.Broadcast()
	c.mu.Unlock()
	client.close()
	if up != nil {
		up.close()
	}
}

// isOver says that the sockets are closed, so that an error is only its echo.
func (c *conn) isOver() bool { return c.over.Load() }

// tap tells bytes, after they were read and before they are written.
func (c *conn) tap(l inspect.Leg, d inspect.Dir, t time.Time, data []byte, at marks) {
	off := c.off[l][d].Add(int64(len(data))) - int64(len(data))
	if c.config.Tap == nil || len(data) == 0 || c.silent {
		return
	}
	c.config.Tap.Chunk(inspect.Chunk{Conn: c.id, Leg: l, Dir: d, Time: t, Off: off, Data: data, Boundary: at.first, Whole: at.whole, Stream: at.raw})
}

// passOver counts bytes of the server leg that are not told.
func (c *conn) passOver(d inspect.Dir, n int) { c.off[inspect.ServerLeg][d].Add(int64(n)) }

// serverLeg tells bytes of the server leg, if all of them are wanted, or counts them.
func (c *conn) serverLeg(d inspect.Dir, t time.Time, data []byte, at marks) {
	if c.config.BothLegs && !c.inside {
		c.tap(inspect.ServerLeg, d, t, data, at)
	} else {
		c.passOver(d, len(data))
	}
}

func (c *conn) note(l inspect.Leg, d inspect.Dir, kind string, v any) {
	if c.config.Tap != nil {
		c.config.Tap.Note(inspect.NewNote(c.id, l, d, time.Now(), kind, v))
	}
}

// ended tells the end of one direction of one leg, once. A reset is told behind a
// FIN too, since it ends the whole leg; behind a reset nothing more is told.
func (c *conn) ended(l inspect.Leg, d inspect.Dir, how inspect.End, text string) {
	c.mu.Lock()
	told := c.legReset[l] || c.legEnded[l][d] && (how != inspect.Rst || c.legEnded[l][d.Other()])
	c.legEnded[l][d] = true
	c.legReset[l] = c.legReset[l] || how == inspect.Rst
	c.mu.Unlock()
	if !told && c.config.Tap != nil && (l == inspect.ClientLeg || !c.inside) {
		c.config.Tap.End(inspect.Ended{Conn: c.id, Leg: l, Dir: d, How: how, Time: time.Now(), Off: c.off[l][d].Load(), Error: text})
	}
}

// endRest tells the ends that nobody else brought about.
func (c *conn) endRest() {
	for _, l := range []inspect.Leg{inspect.ClientLeg, inspect.ServerLeg} {
		if l == inspect.ServerLeg && (c.upstream == nil || c.inside) {
			continue
		}
		for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
			c.ended(l, d, inspect.Self, c.why)
		}
	}
}

// marks say where frames begin and end in bytes of a session.
type marks struct {
	first int  // where the first one begins, counted from 1; 0: none does, or nobody looked
	whole bool // one ends with the last byte
	raw   bool // there are none: the bytes are a stream's
}

// frames scans a session's bytes.
func frames(s *inspect.Scanner, p []byte) marks {
	var m marks
	if s.AtBoundary() {
		m.first = 1
	}
	for rest := p; len(rest) > 0; {
		_, _, _, rest = s.Next(rest)
		if m.first == 0 && s.AtBoundary() && len(rest) > 0 {
			m.first = len(p) - len(rest) + 1
		}
	}
	m.whole = s.AtBoundary()
	return m
}

// legs are a leg's socket and its peer's.
func (c *conn) socket(l inspect.Leg) *socket {
	if l == inspect.ClientLeg {
		return c.client
	}
	return c.upstream
}

func otherLeg(l inspect.Leg) inspect.Leg { return l ^ 1 }

// mirror passes an end on: what was met reading leg l, whose bytes flow in d,
// becomes the same on the other leg.
func (c *conn) mirror(l inspect.Leg, d inspect.Dir, how inspect.End, text string) {
	from, to := c.socket(l), c.socket(otherLeg(l))
	switch how {
	case inspect.Fin:
		c.ended(l, d, how, text)
	case inspect.CloseNotify: // told when it is known whether a FIN follows
	default:
		c.abort(l, d, how, text)
		return
	}
	if to != nil && !c.isOver() {
		if err := to.finish(); err == nil {
			c.ended(otherLeg(l), d, inspect.Fin, "")
		} else if isReset(err) || errors.Is(err, syscall.ENOTCONN) { // gone without a read or write to tell
			c.abort(otherLeg(l), d.Other(), inspect.Rst, writeText(err))
		}
	}
	if how == inspect.CloseNotify {
		c.afterCloseNotify(l, d, from)
	}
}

// afterCloseNotify waits until a FIN has followed a close_notify, or the
// connection is over in the other direction too.
func (c *conn) afterCloseNotify(l inspect.Leg, d inspect.Dir, from *socket) {
	err := from.awaitFin()
	for l == inspect.ClientLeg && errors.Is(err, os.ErrDeadlineExceeded) && c.awake() { // that was for whoever reads
		err = from.awaitFin()
	}
	if errors.Is(err, io.EOF) {
		c.ended(l, d, inspect.Fin, "")
	} else {
		c.ended(l, d, inspect.CloseNotify, "without FIN")
	}
}

// abort ends both legs: leg l has ended with an RST or a TLS alert, and the other
// is reset.
func (c *conn) abort(l inspect.Leg, d inspect.Dir, how inspect.End, text string) {
	c.mu.Lock()
	if c.over.Swap(true) {
		c.mu.Unlock()
		return
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	c.cancel()
	c.ended(l, d, how, text)
	if to := c.socket(otherLeg(l)); to != nil {
		to.resetLike(c.socket(l))
		c.ended(otherLeg(l), d, inspect.Rst, "")
	}
	c.socket(l).close()
}
