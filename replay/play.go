package replay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
)

// OnMiss is what becomes of a session in which something is not as recorded.
type OnMiss uint8

// What a mismatch leads to. Each is told and counts, but with CloseOnMiss.
const (
	FailOnMiss     OnMiss = iota // a Close frame with the code 1011 and a short reason
	ContinueOnMiss               // nothing: the message is taken for the one that was expected
	CloseOnMiss                  // as FailOnMiss, but it is no failure
	ResetOnMiss                  // a reset, without a word
)

// step is something that this side does once its time has come.
type step struct {
	line   *cassette.Line // nil: only wait
	within int            // fragments of the newest message that go out before; 0: all
	needs  int            // messages of the other side that must have come
	parted bool           // the other side must have ended
}

// wire is a socket of either role.
type wire interface {
	net.Conn
	CloseWrite() error
}

// reset ends a connection with an RST, where it has one.
func reset(w wire) {
	switch c := w.(type) {
	case *tapped:
		c.reset()
	case *net.TCPConn:
		proxy.Reset(c)
	case interface{ NetConn() net.Conn }:
		if tcp, ok := c.NetConn().(*net.TCPConn); ok {
			proxy.Reset(tcp)
			return
		}
		_ = w.Close()
	default:
		_ = w.Close()
	}
}

// player is one session of which one side is played. Two goroutines share it:
// run listens to the other side, and speak, which run starts and waits for, does
// what the side that is played did.
type player struct {
	// Fixed before run.
	wire    wire
	side    inspect.Dir       // whose messages are sent
	hearing *cassette.Hearing // owned by run
	opening []byte            // what is sent first: the 101's head
	steps   []step
	sends   int  // steps that are more than waiting
	open    bool // the recording ends before this side did
	abrupt  bool // the other side ended without a Close
	onMiss  OnMiss
	speed   float64       // pauses are divided by it; 0: there are none
	loop    bool          // begin again at the end
	limit   time.Duration // how long the other side may be silent when it is expected to speak; 0: for ever

	// Owned by speak.
	encoder encoder
	pending net.Buffers // fragments of the newest message that are still to go
	told    int         // those that went
	torn    bool        // a write failed, perhaps inside a frame

	mu       sync.Mutex
	changed  sync.Cond // any of the fields below
	await    awaiting
	sent     int             // steps that were done
	pongs    [][]byte        // payloads to answer with
	answers  []cassette.Line // of reactions
	early    []cassette.Line // what came for the next round of a loop
	goodbye  bool            // the other side has sent a Close frame
	parted   bool            // the other side has ended, or said Close when nobody expected it
	closing  bool            // a Close frame was sent
	ended    bool            // this side is over
	farewell []byte          // a Close frame that answers the other's when all else is done
	failed   *Mismatch
	more     []*Mismatch
	stopped  bool // from outside
}

// Bounds on what waits to be sent; of pings the newest are answered (RFC 6455
// section 5.5.3).
const (
	pongLimit   = 64
	answerLimit = 1024
)

// newPlayer plays the server, on a connection that has been accepted.
func newPlayer(w wire, s *cassette.Session, a agreement, h *cassette.Hearing) *player {
	p := newSide(inspect.ToClient, s, a.deflate, cassette.NewScope(nil))
	p.wire, p.hearing, p.opening = w, h, a.answer
	return p
}

// newSide plays one side of a session.
func newSide(side inspect.Dir, s *cassette.Session, deflate *inspect.Deflate, scope *cassette.Scope) *player {
	p := &player{side: side, encoder: encoder{side: side, deflate: deflate}, open: true}
	p.changed.L = &p.mu
	p.await.side, p.await.scope = side.Other(), scope
	(&script{player: p}).read(s.Lines)
	if len(p.await.reactions) > 0 {
		p.await.anew = s.ReactionNames()
	}
	p.await.start()
	return p
}

// script takes a session's lines apart into what is awaited and what is done.
type script struct {
	*player
	left, closed bool // the other side ended, it sent a Close
	over         bool // this side did either
}

func (x *script) read(lines []cassette.Line) {
	for i := range lines {
		switch l := &lines[i]; {
		case l.Kind == cassette.When:
			if x.side == inspect.ToClient {
				x.await.reactions = append(x.await.reactions, l.Reaction)
			}
		case l.From == x.side:
			x.own(l)
		default:
			x.other(l)
		}
	}
}

// own takes a line of the side that is played.
func (x *script) own(l *cassette.Line) {
	if l.Kind == cassette.Pong && x.side == inspect.ToServer && l.Match == cassette.ByKind {
		return // it answered a ping that is answered by itself
	}
	within := l.Within
	if x.side == inspect.ToServer {
		within = 0 // these are the server's fragments
	}
	x.steps = append(x.steps, step{l, within, len(x.await.want), x.left && !x.closed})
	x.sends++
	x.over = x.over || l.Kind == cassette.Close || l.Kind == cassette.End
	if l.Kind == cassette.End {
		x.open = false
	}
}

// other takes a line of the side that is listened to.
func (x *script) other(l *cassette.Line) {
	switch {
	case l.Awaited():
		x.await.add(l)
		x.closed = x.closed || l.Kind == cassette.Close
		if l.Within > 0 && x.side == inspect.ToClient { // the fragments behind it wait for it
			x.steps = append(x.steps, step{nil, l.Within, len(x.await.want), false})
		}
	case l.Kind == cassette.End:
		x.left = true
		x.abrupt = !x.closed && !x.over
	}
}

// run plays the session. It returns when both sides are done and speak has
// returned; rest is what the other side sent behind its head. The caller closes
// the socket.
func (p *player) run(rest []byte) {
	spoken := make(chan struct{})
	go func() { defer close(spoken); p.speak() }()
	err := p.hear(rest)
	buf := make([]byte, bufferSize)
	for err == nil {
		p.patience()
		var n int
		n, err = p.wire.Read(buf)
		if n > 0 {
			if e := p.hear(buf[:n]); e != nil {
				err = e
			}
		}
	}
	p.left(err)
	<-spoken
}

// patience bounds the next read where the other side is expected to speak.
func (p *player) patience() {
	if p.limit == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.ended && p.await.over() {
		return // another bound is set
	}
	_ = p.wire.SetReadDeadline(time.Now().Add(p.limit)) // a closed socket tells with the read
}

// errFailed says that the session has a mismatch, so nothing more is compared.
var errFailed = errors.New("mismatch")

// hear takes the other side's next bytes.
func (p *player) hear(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	lines, err := p.hearing.Feed(data)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.changed.Broadcast()
	for _, l := range lines {
		p.take(l)
		if p.failed != nil && p.onMiss != ContinueOnMiss {
			return errFailed
		}
	}
	if err != nil {
		var s *cassette.SessionError
		if errors.As(err, &s) {
			err = errors.New(s.Problem)
		}
		p.miss(p.stuck(err.Error()))
		return errFailed
	}
	return nil
}

// miss takes a mismatch; p.mu is held.
func (p *player) miss(m *Mismatch) {
	if p.failed == nil {
		p.failed = m
		return
	}
	p.more = append(p.more, m)
}

// stuck is a mismatch where the next message should have come.
func (p *player) stuck(problem string) *Mismatch {
	m := &Mismatch{Side: p.await.side, Message: p.await.front + 1, Problem: problem}
	if !p.await.over() {
		want := p.await.want[p.await.front]
		m.Want, m.Line = cassette.Describe(*want), want.At
	}
	return m
}

// take compares a line of the other side with what is expected; p.mu is held.
func (p *player) take(l cassette.Line) {
	defer p.mayLinger()
	switch {
	case l.Kind == cassette.Ping:
		if len(p.pongs) == pongLimit {
			p.pongs = p.pongs[1:]
		}
		p.pongs = append(p.pongs, l.Data)
	case l.Kind == cassette.Pong:
		if l.Match = cassette.Exact; len(p.await.want) > p.await.pos && p.await.want[p.await.pos].Kind == cassette.Pong {
			_, _, _ = p.await.take(l) // one that is not expected is no mistake
		}
	case !l.Awaited() || p.await.over() && p.parted: // said behind its Close
	default:
		p.takeMessage(l)
	}
}

// takeMessage is take of a message or a Close.
func (p *player) takeMessage(l cassette.Line) {
	if p.loop && p.await.over() && l.Kind != cassette.Close && len(p.await.want) > 0 && len(p.early) < answerLimit {
		p.early = append(p.early, l) // this side is not done with the round
		return
	}
	p.goodbye = p.goodbye || l.Kind == cassette.Close
	reaction, miss, near := p.await.take(l)
	switch {
	case reaction != nil:
		if len(p.answers)+len(reaction.Send) <= answerLimit {
			for _, l := range reaction.Send {
				p.answers = append(p.answers, p.await.scope.Fill(l))
			}
		}
	case miss == nil:
	case l.Kind == cassette.Close && (p.loop || p.await.over() && !p.abrupt):
		// The recorded side ended the session its own way, or the recording
		// ends; the other may well answer that with a Close.
		p.parted = true
		if (p.open || p.loop) && !p.closing {
			p.farewell = p.encoder.closeFrame(l.Code, l.Reason)
		}
	default:
		p.miss(miss)
		if p.onMiss == ContinueOnMiss {
			p.await.pass(l, near)
			p.parted = p.parted || l.Kind == cassette.Close
		}
	}
}

// mayLinger bounds the wait for the other side's end once there is nothing else
// to wait for; p.mu is held.
func (p *player) mayLinger() {
	if p.ended && p.await.over() {
		_ = p.wire.SetReadDeadline(time.Now().Add(lingerTime)) // a closed socket tells with the read
	}
}

// left takes the end of the other side, or of listening to it.
func (p *player) left(err error) {
	p.mu.Lock()
	_, missing := p.await.required()
	ours := p.stopped || errors.Is(err, net.ErrClosed) || errors.Is(err, errFailed)
	if missing > 0 && !ours && !p.loop {
		how := "the " + p.await.side.Sender()
		switch {
		case errors.Is(err, io.EOF):
			how += " left"
		case errors.Is(err, os.ErrDeadlineExceeded):
			how += fmt.Sprintf(" said nothing for %v", p.limit)
		default:
			how += " reset the connection"
		}
		were := "messages were"
		if missing == 1 {
			were = "message was"
		}
		p.miss(p.stuck(fmt.Sprintf("%s; %d %s still expected, the next is this one", how, missing, were)))
	}
	p.parted = true
	failed := p.failed != nil
	p.changed.Broadcast()
	p.mu.Unlock()
	if failed && errors.Is(err, errFailed) {
		// What else comes is not looked at, but must be read: else closing the
		// socket would be a reset, and the Close frame lost.
		deadline := time.Now().Add(lingerTime)
		_ = p.wire.SetWriteDeadline(deadline)
		_ = p.wire.SetReadDeadline(deadline)
		_, _ = io.Copy(io.Discard, p.wire)
	}
}

// stop ends the session from outside; the caller closes the socket.
func (p *player) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.changed.Broadcast()
}

// fill tells how it went, once run has returned.
func (p *player) fill(r *Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Side = p.await.side
	r.Expected, _ = p.await.required()
	r.Matched, r.Sends, r.Sent = p.await.came, p.sends, p.sent
	r.Mismatch, r.More = p.failed, p.more
	r.Interrupted = p.failed == nil && p.stopped && (!p.await.over() || p.sent < p.sends)
}
