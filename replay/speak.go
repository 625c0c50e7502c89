package replay

import (
	"net"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
)

// The Close frame that tells a client of a mismatch (RFC 6455 section 7.4.1).
const (
	mismatchCode   inspect.CloseCode = 1008
	mismatchReason                   = "replay: mismatch"
)

// speak does what the server did, each step when its time has come, and answers
// pings. It returns when all is done or the client cannot be written to.
func (p *player) speak() {
	defer p.hangUp()
	if p.write(p.answer) != nil {
		return
	}
	for i := range p.steps {
		s := &p.steps[i]
		if p.flush(s.within) != nil || !p.await(s) || p.do(s) != nil {
			return
		}
	}
	if p.flush(0) == nil {
		p.await(nil)
	}
}

func (p *player) write(b ...[]byte) error {
	buffers := net.Buffers(b)
	_, err := buffers.WriteTo(p.tcp)
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

// await waits until a step is due, or with nil until the client's side is over.
// It answers pings meanwhile. False: there is nothing more to do.
func (p *player) await(s *step) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var say []byte
		switch {
		case p.failed != nil || p.stopped:
			return false
		case p.closing || p.ended:
			p.pongs = nil
		case len(p.pongs) > 0:
			say, p.pongs = control(inspect.OpPong, p.pongs[0]), p.pongs[1:]
		case s == nil && p.farewell != nil:
			say, p.farewell, p.closing = p.farewell, nil, true
		}
		switch {
		case say != nil:
			p.mu.Unlock()
			err := p.write(say)
			p.mu.Lock()
			if err != nil {
				return false
			}
		case s != nil && p.arrived >= s.needs && (p.parted || !s.parted):
			return true
		case s == nil && (p.parted || p.ended):
			return false
		default:
			p.changed.Wait()
		}
	}
}

// do takes a step.
func (p *player) do(s *step) error {
	l := s.line
	if l == nil {
		return nil
	}
	if l.Kind == cassette.End {
		p.end(l.How)
		return nil
	}
	frames, err := p.encoder.frames(l)
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

// end ends the server's side as the recorded server did.
func (p *player) end(how inspect.End) {
	if how == inspect.Rst {
		proxy.Reset(p.tcp)
	} else {
		_ = p.tcp.CloseWrite() // fails where the client has reset, which listening tells
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	p.ended = true
	p.mayLinger()
}

// hangUp is the last that the client hears: the Close frame of a mismatch, unless
// something stands in its way, and a FIN.
func (p *player) hangUp() {
	p.mu.Lock()
	failed, closing, over := p.failed != nil, p.closing, p.ended || p.stopped
	p.ended = true
	p.mayLinger()
	p.mu.Unlock()
	if over {
		return
	}
	if failed && !closing && !p.torn {
		_ = p.write(closeFrame(mismatchCode, mismatchReason)) // the client may have gone
	}
	_ = p.tcp.CloseWrite()
}
