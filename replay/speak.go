package replay

import (
	"net"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// mismatchCode is that of the Close frame that tells of a mismatch: what was
// expected did not come (RFC 6455 section 7.4.1).
const mismatchCode inspect.CloseCode = 1011

// speak does what this side did, each step when its time has come, and answers
// pings. It returns when all is done or the other side cannot be written to.
func (p *player) speak() {
	defer p.hangUp()
	if len(p.opening) > 0 && p.write(p.opening) != nil {
		return
	}
	for again := true; again; again = p.loop && p.rewind() {
		for i := range p.steps {
			s := &p.steps[i]
			if p.loop && s.line != nil && (s.line.Kind == cassette.End || s.line.Kind == cassette.Close) {
				continue
			}
			if p.flush(s.within) != nil || !p.due(s) || p.do(s) != nil {
				return
			}
		}
		if p.flush(0) != nil {
			return
		}
	}
	p.due(nil)
}

// rewind begins a session again whose lines are done; false: the other side is.
func (p *player) rewind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.await.over() && !p.parted && !p.stopped && p.failed == nil {
		p.changed.Wait()
	}
	if p.parted || p.stopped || p.failed != nil || p.sends == 0 {
		return false
	}
	p.await.start()
	early := p.early
	p.early = nil
	for _, l := range early {
		p.take(l)
	}
	return true
}

func (p *player) write(b ...[]byte) error {
	var err error
	if len(b) == 1 {
		_, err = p.wire.Write(b[0])
	} else {
		buffers := net.Buffers(b)
		_, err = buffers.WriteTo(p.wire)
	}
	p.torn = p.torn || err != nil
	return err
}

// flush sends the newest message's fragments until so many have gone; 0: all.
func (p *player) flush(within int) error {
	n := len(p.pending)
	if within > 0 {
		n = min(n, max(0, within-p.told))
	}
	if n == 0 {
		return nil
	}
	now := p.pending[:n:n]
	p.pending, p.told = p.pending[n:], p.told+n
	return p.write(append([][]byte(nil), now...)...)
}

// due waits until a step is due, or with nil until the other side is over. It
// answers pings and reacts meanwhile. False: there is nothing more to do.
func (p *player) due(s *step) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var at time.Time // of a step that has a pause before it
	for {
		if p.failed != nil && p.onMiss != ContinueOnMiss || p.stopped {
			return false
		}
		switch say := p.aside(s == nil || p.loop && p.parted); {
		case say != nil:
			p.mu.Unlock()
			err := p.write(say...)
			p.mu.Lock()
			if err != nil {
				return false
			}
		case p.ready(s) && p.wait(s, &at):
			return true
		case p.idle(s):
			return false
		default:
			p.changed.Wait()
		}
	}
}

// ready says that what a step waits for has come; p.mu is held.
func (p *player) ready(s *step) bool {
	return s != nil && p.await.front >= s.needs && (p.parted || !s.parted)
}

// idle says that nothing is left to wait for: nobody to send to, or behind the
// last step nobody to answer. p.mu is held.
func (p *player) idle(s *step) bool {
	if s == nil {
		// The server ends a connection first (RFC 6455 section 7.1.1), also where
		// nobody wrote down that it did.
		closed := p.open && p.closing && p.goodbye
		return p.parted || p.ended || p.await.over() && (p.side == inspect.ToServer || closed)
	}
	return p.parted && !p.ready(s) && (p.side == inspect.ToServer || p.loop)
}

// aside is what is to be sent beside the steps: a pong, the answer of a reaction
// and, when all is done, the answer to a Close; nil: nothing. p.mu is held.
func (p *player) aside(done bool) [][]byte {
	switch {
	case p.closing || p.ended:
		p.pongs, p.answers = nil, nil
	case len(p.pongs) > 0:
		pong := p.encoder.control(inspect.OpPong, p.pongs[0])
		p.pongs = p.pongs[1:]
		return [][]byte{pong}
	case len(p.answers) > 0 && len(p.pending) == 0:
		return p.react()
	case done && p.farewell != nil:
		say := [][]byte{p.farewell}
		p.farewell, p.closing = nil, true
		return say
	}
	return nil
}

// react takes the next answer of a reaction; p.mu is held.
func (p *player) react() [][]byte {
	l := p.answers[0]
	p.answers = p.answers[1:]
	frames, err := p.encoder.frames(&l)
	if err != nil {
		return nil
	}
	p.closing = p.closing || l.Kind == cassette.Close
	return frames
}

// wait says that the pause before a step is over; if it is not, something will
// change when it is. p.mu is held.
func (p *player) wait(s *step, at *time.Time) bool {
	if p.speed == 0 || s.line == nil || s.line.After == 0 {
		return true
	}
	if at.IsZero() {
		pause := time.Duration(float64(s.line.After) / p.speed)
		*at = time.Now().Add(pause)
		time.AfterFunc(pause, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changed.Broadcast()
		})
	}
	return !time.Now().Before(*at)
}

// do takes a step.
func (p *player) do(s *step) error {
	if s.line == nil {
		return nil
	}
	if s.line.Kind == cassette.End {
		p.end(s.line.How)
		return nil
	}
	l := *s.line
	if l.Template {
		p.mu.Lock()
		l = p.await.scope.Fill(l)
		p.mu.Unlock()
	}
	frames, err := p.encoder.frames(&l)
	if err != nil {
		return err
	}
	if err := p.write(frames[0]); err != nil {
		return err
	}
	if len(frames) > 1 {
		p.pending, p.told = frames[1:], 1
	}
	h, _ := inspect.ParseHeader(frames[0])
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.closing = p.closing || h.Opcode() == inspect.OpClose
	return nil
}

// end ends this side as the recorded one did.
func (p *player) end(how inspect.End) {
	if how == inspect.Rst {
		reset(p.wire)
	} else {
		_ = p.wire.CloseWrite() // fails where the other side has reset, which listening tells
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.ended = true
	p.mayLinger()
}

// hangUp is the last that the other side hears: the Close frame of a mismatch,
// unless something stands in its way, and a FIN.
func (p *player) hangUp() {
	p.mu.Lock()
	failed, closing, over := p.failed, p.closing, p.ended || p.stopped
	p.ended = true
	p.mayLinger()
	p.mu.Unlock()
	switch {
	case over:
		return
	case failed != nil && p.onMiss == ResetOnMiss:
		reset(p.wire)
		return
	case failed != nil && p.onMiss != ContinueOnMiss && !closing && !p.torn:
		_ = p.write(p.encoder.closeFrame(mismatchCode, failed.reason())) // the other side may have gone
	}
	_ = p.wire.CloseWrite()
}
