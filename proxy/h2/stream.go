package h2

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/inspect"
)

// Stream is one HTTP/2 stream as an HTTP/1.1 connection that carries one request.
// It is a net.Conn, for one reader and one writer at a time; Close, Reset and the
// deadlines may be called by anybody at any time. Whoever got it closes it.
//
// In the server's role Read answers the request and Write takes the answer; in the
// client's it is the other way round, and the answer says "Connection: close"
// unless it is a 101. Bytes written behind the one message are dropped.
//
// Behind the head of an upgrade the server's role reads nothing until a 101 has
// been written: what came early is the session's, or nobody's. Behind any other
// request it reads nothing until the answer has been written, and then io.EOF.
type Stream struct {
	c    *Conn
	wmu  sync.Mutex // one writer
	text outbox     // guarded by wmu

	// Guarded by c.mu.
	id       uint32 // 0: the client's role, before the request's head
	reserved bool   // it counts in c.reserved
	head     Head
	kind     kind
	method   string
	key      string // Sec-WebSocket-Key
	old      bool   // the request is HTTP/1.0

	readable sync.Cond
	in       inbox
	answered bool  // the head of a final answer has passed
	accepted bool  // it is a tunnel: a 101, or a 2xx to CONNECT
	recv     int64 // what the peer may still send
	credit   int64 // of what has been read, not given back yet
	expect   int64 // of the body by content-length, still to come; -1: not known
	readBy   deadline

	writable sync.Cond
	send     int64 // what we may still send
	ended    bool  // END_STREAM was sent
	writeBy  deadline

	err    error // how it was cut
	closed bool
}

// kind is what a request asks for.
type kind uint8

const (
	exchange  kind = iota // an ordinary request
	webSocket             // an extended CONNECT, an upgrade
	tunnel                // a CONNECT
)

// Head is what the two heads were in HTTP/2: pseudo-header fields and fields, in
// order. Response is the final answer's, and empty before it has come.
type Head struct{ Request, Response []inspect.HeaderField }

func (c *Conn) newStream(id uint32) *Stream {
	s := &Stream{c: c, id: id, reserved: id == 0, recv: streamWindow, send: c.peer.window, expect: -1}
	s.readable.L, s.writable.L = &c.mu, &c.mu
	s.text.head.Limit = int64(c.opt.HeadLimit)
	c.owners[s] = struct{}{}
	return s
}

// ID is the stream's number; 0 in the client's role until the request's head was written.
func (s *Stream) ID() uint32 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.id
}

// Head answers the heads as HTTP/2 has them.
func (s *Stream) Head() Head {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.head
}

// Read reads HTTP/1.1 bytes. io.EOF is the peer's END_STREAM; a *ResetError,
// *GoAwayError, *BreachError or *EndError, all syscall.ECONNRESET, say how the
// stream was cut, once what came before has been read.
func (s *Stream) Read(p []byte) (int, error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p) > 0 {
		switch {
		case s.closed:
			return 0, net.ErrClosed
		case s.readBy.expired:
			return 0, os.ErrDeadlineExceeded
		}
		if n, content := s.in.take(p, s.mayRead()); n > 0 {
			s.giveBack(content)
			return n, nil
		}
		if err := s.readEnd(); err != nil {
			return 0, err
		}
		s.readable.Wait()
	}
	return 0, nil
}

// Wait waits until Read would not: for bytes, an end, or a deadline. Its caller needs no
// buffer as long as there is nothing to put into one.
func (s *Stream) Wait() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	for !s.closed && !s.readBy.expired && !s.in.ready(s.mayRead()) && s.readEnd() == nil {
		s.readable.Wait()
	}
}

// mayRead says that what lies behind the head may be read.
func (s *Stream) mayRead() bool { return !s.c.server || s.kind == exchange || s.accepted }

// readEnd is the error for a reader that has read everything; nil: more may come.
func (s *Stream) readEnd() error {
	all := s.in.done()
	switch {
	case s.c.server && !s.accepted:
		if s.err == nil && !s.ended { // for the answer, or the rest
			return nil
		}
		if s.err == nil || s.ended {
			return io.EOF
		}
	case all && (s.err == nil || !s.accepted):
		return io.EOF
	}
	return s.err
}

// giveBack gives window back for n bytes that have been read.
func (s *Stream) giveBack(n int) {
	s.credit += int64(n)
	if s.credit >= streamWindow/4 && !s.in.ended && s.err == nil && s.c.over == nil {
		_ = s.c.fw.WriteWindowUpdate(s.id, uint32(s.credit))
		s.recv += s.credit
		s.credit = 0
		s.c.flush.Signal()
	}
}

// Write takes HTTP/1.1 bytes, cut anywhere. It waits for windows, and for the
// socket while 64 KiB are to be written to it. Errors are those of Read;
// ErrNoExtendedConnect if a request asks for a WebSocket and the server takes
// none; and one that unwraps to none of ours for bytes that are not HTTP/1.1,
// after which the stream is reset. Behind a deadline in the middle of a message
// only a session goes on where it stopped; anything else is to be closed.
func (s *Stream) Write(p []byte) (int, error) {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	n := 0
	for n < len(p) {
		k, err := s.translate(p[n:])
		n += k
		if err != nil {
			if s.answerWhole() {
				return len(p), nil // the server wanted no more of the request
			}
			return n, err
		}
	}
	return n, nil
}

// answerWhole says that the answer has come whole, so that it does not matter what
// became of the request.
func (s *Stream) answerWhole() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return !s.c.server && s.answered && !s.accepted && s.in.ended && !s.closed
}

// CloseWrite says that nothing more will be written: END_STREAM. In the middle of
// a message, which has its end by other means, it is a reset. It waits for a Write
// that is under way.
func (s *Stream) CloseWrite() error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	switch s.text.phase {
	case outOver:
		return nil
	case outTunnel, outUntilClose:
		s.text.phase = outOver
		return s.sendEnd(nil)
	}
	s.text.phase = outOver
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.abandon(http2.ErrCodeInternal)
	s.fail(errCut)
	return nil
}

// errCut says that the one who wrote stopped in the middle.
var errCut = errors.New("the message was not ended")

// abandon resets the stream towards the peer, if it knows it: c.mu is held.
func (s *Stream) abandon(code http2.ErrCode) {
	c := s.c
	if c.streams[s.id] == s {
		delete(c.streams, s.id)
		c.reset(s.id, code)
	}
	if s.reserved {
		s.reserved = false
		c.reserved--
	}
}

// Close lets go of the stream: RST_STREAM with CANCEL unless both sides have ended
// it, and with NO_ERROR behind an answer that was written whole (RFC 9113 section
// 8.1). It never waits; a Read or Write that does answers net.ErrClosed.
func (s *Stream) Close() error {
	code := http2.ErrCodeCancel
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.server && s.ended && !s.accepted {
		code = http2.ErrCodeNo
	}
	return s.close(code)
}

// Reset is Close with CANCEL, whatever was said before: what RST is to TCP
// (RFC 8441 section 5).
func (s *Stream) Reset() error { return s.ResetWith(http2.ErrCodeCancel) }

// ResetWith is Reset with another code.
func (s *Stream) ResetWith(code http2.ErrCode) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.close(code)
}

// Err is how the stream was cut; nil: it was not, or not yet.
func (s *Stream) Err() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.err
}

func (s *Stream) close(code http2.ErrCode) error {
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	s.abandon(code)
	s.in = inbox{}
	s.readBy.set(s, time.Time{})
	s.writeBy.set(s, time.Time{})
	s.readable.Broadcast()
	s.writable.Broadcast()
	delete(s.c.owners, s)
	s.c.drained()
	return nil
}

// fail cuts the stream, towards its owner: c.mu is held.
func (s *Stream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// ending notes that END_STREAM was sent: c.mu is held.
func (s *Stream) ending() {
	s.ended = true
	s.readable.Broadcast()
	s.bothEnded()
}

// bothEnded forgets a stream that both sides have ended: c.mu is held.
func (s *Stream) bothEnded() {
	if s.ended && s.in.ended {
		delete(s.c.streams, s.id)
		s.c.drained()
	}
}

// unsendable is why nothing can be sent: c.mu is held.
func (s *Stream) unsendable() error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.err != nil:
		return s.err
	case s.c.over != nil:
		return s.c.cause()
	case s.ended:
		return syscall.EPIPE
	case s.writeBy.expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// LocalAddr is the connection's.
func (s *Stream) LocalAddr() net.Addr { return s.c.nc.LocalAddr() }

// RemoteAddr is the connection's.
func (s *Stream) RemoteAddr() net.Addr { return s.c.nc.RemoteAddr() }

// SetDeadline sets both.
func (s *Stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline also wakes a Read that waits.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.readBy, t) }

// SetWriteDeadline also wakes a Write that waits.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.writeBy, t) }

func (s *Stream) setDeadline(d *deadline, t time.Time) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	d.set(s, t)
	return nil
}

// deadline is one of a stream's; guarded by its connection's lock.
type deadline struct {
	timer   *time.Timer
	expired bool
}

// set replaces the deadline; the zero time is none.
func (d *deadline) set(s *Stream, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.expired = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.expire(s)
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		if d.timer == timer { // and not replaced since
			d.expire(s)
		}
	})
	d.timer = timer
}

func (d *deadline) expire(s *Stream) {
	d.expired = true
	s.readable.Broadcast()
	s.writable.Broadcast()
}
