package replay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// step is something that the server does once its time has come.
type step struct {
	line   *cassette.Line // nil: only wait
	within int            // fragments of the newest message that go out before; 0: all
	needs  int            // expected client messages that must have come
	parted bool           // the client must have ended its side
}

// player is one session being served. Two goroutines share it: run listens to
// the client, and speak, which run starts and waits for, does what the server
// did.
type player struct {
	// Fixed after newPlayer.
	tcp     *net.TCPConn
	hearing *cassette.Hearing // owned by run
	answer  []byte            // the 101's head
	expect  []cassette.Line
	steps   []step
	sends   int  // steps that are more than waiting
	open    bool // the recording ends before the server did
	abrupt  bool // the client ended without a Close

	// Owned by speak.
	encoder encoder
	pending net.Buffers // fragments of the newest message that are still to go
	told    int         // those that went
	torn    bool        // a write failed, perhaps inside a frame

	mu       sync.Mutex
	changed  sync.Cond // any of the fields below
	arrived  int       // expected messages that have come
	sent     int       // steps that were done
	pongs    [][]byte  // payloads to answer with
	parted   bool      // the client has ended its side, or said Close when nobody expected it
	closing  bool      // a Close frame was sent
	ended    bool      // the server's side is over
	farewell []byte    // a Close frame that answers the client's when all else is done
	failed   *Mismatch
	stopped  bool // by the Server
}

// pongLimit bounds the pings that wait to be answered; the newest are (RFC 6455
// section 5.5.3).
const pongLimit = 64

func newPlayer(tcp *net.TCPConn, s *cassette.Session, a agreement, h *cassette.Hearing) *player {
	p := &player{tcp: tcp, hearing: h, answer: a.answer, encoder: encoder{deflate: a.deflate}, open: true}
	p.changed.L = &p.mu
	left, closed, over := false, false, false // the client ended, it sent a Close, the server did either
	for i := range s.Lines {
		l := &s.Lines[i]
		switch {
		case l.Expected():
			p.expect = append(p.expect, *l)
			closed = closed || l.Kind == cassette.Close
			if l.Within > 0 { // the fragments behind it wait for it
				p.steps = append(p.steps, step{nil, l.Within, len(p.expect), false})
			}
		case l.From == inspect.ToServer && l.Kind == cassette.End:
			left = true
			p.abrupt = !closed && !over
		case l.From == inspect.ToClient:
			p.steps = append(p.steps, step{l, l.Within, len(p.expect), left && !closed})
			p.sends++
			over = over || l.Kind == cassette.Close || l.Kind == cassette.End
			if l.Kind == cassette.End {
				p.open = false
			}
		}
	}
	return p
}

// run serves the session. It returns when both sides are done and speak has
// returned; rest is what the client sent behind its request. The caller closes
// the socket.
func (p *player) run(rest []byte) {
	spoken := make(chan struct{})
	go func() { defer close(spoken); p.speak() }()
	err := p.hear(rest)
	buf := make([]byte, bufferSize)
	for err == nil {
		var n int
		n, err = p.tcp.Read(buf)
		if n > 0 {
			if e := p.hear(buf[:n]); e != nil {
				err = e
			}
		}
	}
	p.left(err)
	<-spoken
}

// errFailed says that the session has a mismatch, so nothing more is compared.
var errFailed = errors.New("mismatch")

// hear takes the client's next bytes.
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
		if p.failed != nil {
			return errFailed
		}
	}
	if err != nil {
		var s *cassette.SessionError
		if errors.As(err, &s) {
			err = errors.New(s.Problem)
		}
		p.failed = &Mismatch{Message: p.arrived + 1, Problem: err.Error()}
		if p.arrived < len(p.expect) {
			p.failed.Want = cassette.Describe(p.expect[p.arrived])
		}
		return errFailed
	}
	return nil
}

// take compares a client's line with the one that is expected; p.mu is held.
func (p *player) take(l cassette.Line) {
	switch {
	case l.Kind == cassette.Ping:
		if len(p.pongs) == pongLimit {
			p.pongs = p.pongs[1:]
		}
		p.pongs = append(p.pongs, l.Data)
	case !l.Expected(): // a pong
	case p.arrived < len(p.expect):
		if diff := cassette.Match(p.expect[p.arrived], l); diff != nil {
			p.failed = differs(p.arrived+1, p.expect[p.arrived], l, diff)
			return
		}
		p.arrived++
	case p.parted: // said behind its Close
	case l.Kind == cassette.Close && !p.abrupt:
		// The recorded server ended the session its own way, or the recording
		// ends; a client may well answer that with a Close.
		p.parted = true
		if p.open && !p.closing {
			p.farewell = closeFrame(l.Code, l.Reason)
		}
	default:
		p.failed = &Mismatch{Message: p.arrived + 1, Problem: "nothing more was recorded", Got: cassette.Describe(l)}
	}
	p.mayLinger()
}

// mayLinger bounds the wait for the client's end once there is nothing else to
// wait for; p.mu is held.
func (p *player) mayLinger() {
	if p.ended && p.arrived == len(p.expect) {
		_ = p.tcp.SetReadDeadline(time.Now().Add(lingerTime)) // a closed socket tells with the read
	}
}

// left takes the end of the client's side, or of listening to it.
func (p *player) left(err error) {
	p.mu.Lock()
	missing := p.expect[p.arrived:]
	ours := p.stopped || errors.Is(err, net.ErrClosed) || errors.Is(err, errFailed)
	if len(missing) > 0 && p.failed == nil && !ours {
		how := "the client left"
		if !errors.Is(err, io.EOF) {
			how = "the client reset the connection"
		}
		were := "messages were"
		if len(missing) == 1 {
			were = "message was"
		}
		p.failed = &Mismatch{Message: p.arrived + 1, Want: cassette.Describe(missing[0]),
			Problem: fmt.Sprintf("%s; %d %s still expected, the next is this one", how, len(missing), were)}
	}
	p.parted = true
	failed := p.failed != nil
	p.changed.Broadcast()
	p.mu.Unlock()
	if failed && errors.Is(err, errFailed) {
		// What else comes is not looked at, but must be read: else closing the
		// socket would be a reset, and the Close frame lost.
		deadline := time.Now().Add(lingerTime)
		_ = p.tcp.SetWriteDeadline(deadline)
		_ = p.tcp.SetReadDeadline(deadline)
		_, _ = io.Copy(io.Discard, p.tcp)
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
	r.Expected, r.Matched, r.Sends, r.Sent = len(p.expect), p.arrived, p.sends, p.sent
	r.Mismatch = p.failed
	r.Interrupted = p.failed == nil && p.stopped && (p.arrived < len(p.expect) || p.sent < p.sends)
}
