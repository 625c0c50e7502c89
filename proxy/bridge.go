package proxy

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// bridge joins a WebSocket with a byte stream: what comes in data frames goes on
// as bytes, and bytes go on in binary frames. It ends both WebSocket's and TCP's
// way, so it speaks for itself: it answers pings and Close frames, and judges what
// a relay would pass on. See docs/bridges.md for how endings are mapped.
//
// The WebSocket is the recorded client leg and the stream the server leg,
// whichever of them wsproxy dialled. Two goroutines: fromFrames, which owns the
// connection, and toFrames.
type bridge struct {
	*conn
	outward bool // wsproxy is the WebSocket's client, and streams come to it

	// Fixed once the handshake is done.
	base64 bool // in text frames, as websockify's subprotocol of that name has it
	ahead  []byte
	key    *mathrand.ChaCha8 // masks what we send as a client

	// Owned by fromFrames.
	in unframing

	// Owned by toFrames.
	header [maxHeader]byte // of the frame that is being made

	keying  sync.Mutex // of key
	writing sync.Mutex // of frames
	pending struct {
		sync.Mutex
		frames []byte // control frames that wait for their turn
		closed bool   // the last of them is a Close
	}
	heard  atomic.Uint32 // the close code that the WebSocket's peer sent; 0: it has not, see noCode
	sent   atomic.Bool   // we have sent a Close
	ending *time.Timer   // bounds what comes behind the first Close
	timing sync.Mutex
}

// The close codes that a bridge sends of its own accord (RFC 6455 section 7.4.1).
const (
	normalClosure   inspect.CloseCode = 1000
	goingAway       inspect.CloseCode = 1001
	protocolError   inspect.CloseCode = 1002
	unsupportedData inspect.CloseCode = 1003
	invalidPayload  inspect.CloseCode = 1007
	internalError   inspect.CloseCode = 1011
)

// noCode stands for a Close frame without a code.
const noCode = uint32(inspect.NoStatus)

// closeTime is how long a WebSocket's peer may take to answer a Close, and a
// stream's to end once the WebSocket has been closed.
const closeTime = 5 * time.Second

// bridge is the bridge of an accepted connection.
func (s *Server) bridge(nc net.Conn) *bridge {
	r := s.reverse()
	if r.mode = inspect.ModeToTCP; s.config.FromTCP {
		r.mode = inspect.ModeFromTCP
	}
	return &bridge{conn: newConn(s, plain(nc), r), outward: s.config.FromTCP}
}

// run carries the connection to its end.
func (b *bridge) run() {
	defer b.cancel()
	if b.config.Secure != nil && b.denied == nil {
		b.secure()
	}
	b.join()
}

// join is run behind TLS. It waits for both goroutines.
func (b *bridge) join() {
	ready := b.meet
	if b.outward {
		ready = b.call
	}
	if !ready() {
		b.cancel()
		b.closeSockets()
		b.endRest()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.toFrames()
	}()
	b.fromFrames()
	<-done
	b.cancel()
	b.timing.Lock()
	if b.ending != nil {
		b.ending.Stop()
	}
	b.timing.Unlock()
	b.closeSockets()
	b.endRest()
}

// stop ends the bridge from outside: as an endpoint it says that it goes away.
func (b *bridge) stop(why string) {
	if b.sessions.Load() > 0 && !b.isOver() {
		_ = b.client.SetWriteDeadline(time.Now().Add(lingerTime / 10)) // a closed socket tells with the write
		b.close(goingAway, why)
		b.settled()
	}
	b.conn.stop(why)
}

// settled waits until whoever is writing has, or the deadline has come, and sends what
// it left.
func (b *bridge) settled() {
	b.writing.Lock()
	defer b.flush()
	defer b.writing.Unlock()
}

// way is the direction of what comes in frames; the other is that of bytes.
func (b *bridge) way() inspect.Dir {
	if b.outward {
		return inspect.ToClient
	}
	return inspect.ToServer
}

// fromFrames moves what the WebSocket's peer sends, until it has ended.
func (b *bridge) fromFrames() {
	d := b.way()
	if len(b.ahead) > 0 {
		b.unframe(d, b.ahead)
		b.ahead = nil
	}
	in := newIntake(b.client)
	defer in.release()
	for !b.isOver() {
		data, err := in.next()
		if len(data) > 0 {
			b.unframe(d, data)
		}
		if err != nil {
			b.framesEnded(d, err)
			return
		}
	}
}

// unframe passes on what the data frames among some bytes carry. The bytes are
// changed.
func (b *bridge) unframe(d inspect.Dir, data []byte) {
	now := time.Now()
	b.bytes[d].Add(int64(len(data)))
	b.tap(inspect.ClientLeg, d, now, data, frames(&b.scan[d], data))
	if b.heard.Load() != 0 {
		return // nothing counts behind a Close (RFC 6455 section 5.5.1)
	}
	payload, broken := b.in.take(data, b)
	if len(payload) > 0 {
		b.tap(inspect.ServerLeg, d, now, payload, marks{raw: true})
		if _, err := b.upstream.Write(payload); err != nil && !b.isOver() {
			b.streamReset(d.Other(), writeText(err))
		}
	}
	switch {
	case broken != nil:
		b.fail(broken)
	case b.in.closed:
		b.closed(b.in.closeCode())
	}
}

// toFrames moves what the stream carries, until that has ended.
func (b *bridge) toFrames() {
	d := b.way().Other()
	in := newIntake(b.upstream)
	in.room = maxHeader
	defer in.release()
	for !b.isOver() {
		data, err := in.next()
		if len(data) > 0 {
			now := time.Now()
			b.tap(inspect.ServerLeg, d, now, data, marks{raw: true})
			if !b.sent.Load() {
				b.frame(now, d, in, data)
			}
		}
		if err != nil {
			b.streamEnded(d, err)
			return
		}
	}
}

// maxHeader is how long a frame's header can be (RFC 6455 section 5.2).
const maxHeader = 14

// base64Buffers hold a frame with the largest payload that is read at once.
var base64Buffers = sync.Pool{New: func() any { return new([maxHeader + (largeBuffer+2)/3*4]byte) }}

// frame writes bytes that were just taken in as one message. They are changed.
func (b *bridge) frame(now time.Time, d inspect.Dir, in *intake, data []byte) {
	f := inspect.Fields{Fin: true, Opcode: inspect.OpBinary, Masked: b.outward, Length: uint64(len(data))}
	if b.base64 {
		f.Opcode, f.Length = inspect.OpText, uint64(base64.StdEncoding.EncodedLen(len(data)))
	}
	out := b.head(b.header[:0], &f)
	at := len(out)
	if b.base64 {
		buf := base64Buffers.Get().(*[maxHeader + (largeBuffer+2)/3*4]byte)
		defer base64Buffers.Put(buf)
		out = base64.StdEncoding.AppendEncode(append(buf[:0], out...), data)
	} else {
		out = in.behind(out, data)
	}
	if f.Masked {
		inspect.Mask(f.Key, 0, out[at:])
	}
	b.bytes[d].Add(int64(len(out)))
	b.writing.Lock()
	b.write(now, out)
	b.writing.Unlock()
	b.flush()
}

// head appends a frame's header, with a key of its own if it is masked (RFC 6455
// section 5.3).
func (b *bridge) head(out []byte, f *inspect.Fields) []byte {
	for f.Masked && f.Key == [4]byte{} {
		b.keying.Lock()
		v := b.key.Uint64()
		b.keying.Unlock()
		f.Key = [4]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
	}
	return inspect.NewHeader(*f).Append(out)
}

// write writes whole frames; writing is held.
func (b *bridge) write(now time.Time, frame []byte) {
	d := b.way().Other()
	b.tap(inspect.ClientLeg, d, now, frame, marks{first: 1, whole: true})
	if _, err := b.client.Write(frame); err != nil && !b.isOver() {
		b.abort(inspect.ClientLeg, b.way(), inspect.Rst, writeText(err))
	}
}

// control sends a control frame, behind the data frame that is being written if
// there is one: whoever writes that sends it. Nothing follows a Close.
func (b *bridge) control(op inspect.Opcode, payload []byte) {
	f := inspect.Fields{Fin: true, Opcode: op, Masked: b.outward, Length: uint64(len(payload))}
	b.pending.Lock()
	if b.pending.closed || len(b.pending.frames) > pendingLimit && op != inspect.OpClose {
		b.pending.Unlock()
		return // of many pings the latest need no answer each (RFC 6455 section 5.5.3)
	}
	b.pending.closed = op == inspect.OpClose
	at := len(b.pending.frames) + 2
	if f.Masked {
		at += 4
	}
	b.pending.frames = append(b.head(b.pending.frames, &f), payload...)
	if f.Masked {
		inspect.Mask(f.Key, 0, b.pending.frames[at:])
	}
	b.pending.Unlock()
	b.flush()
}

// pendingLimit bounds the answers to pings of a peer that does not read them.
const pendingLimit = 4 << 10

// flush sends the control frames that wait, unless somebody writes who will look
// for them himself.
func (b *bridge) flush() {
	for b.waiting() && b.writing.TryLock() {
		b.pending.Lock()
		frames := b.pending.frames
		b.pending.frames = nil
		b.pending.Unlock()
		if len(frames) > 0 {
			b.write(time.Now(), frames)
		}
		b.writing.Unlock()
	}
}

func (b *bridge) waiting() bool {
	b.pending.Lock()
	defer b.pending.Unlock()
	return len(b.pending.frames) > 0
}

// close sends a Close frame, once.
func (b *bridge) close(code inspect.CloseCode, reason string) {
	if b.sent.Swap(true) {
		return
	}
	var body []byte
	if code != inspect.NoStatus {
		body = append([]byte{byte(code >> 8), byte(code)}, reason[:min(len(reason), 123)]...)
	}
	b.control(inspect.OpClose, body)
	b.limit()
}

// limit gives what follows the first Close its time.
func (b *bridge) limit() {
	b.timing.Lock()
	defer b.timing.Unlock()
	if b.ending == nil {
		b.ending = time.AfterFunc(closeTime, func() { b.conn.stop("nothing came within " + closeTime.String() + " of a Close") })
	}
}

// closed takes the peer's Close: the stream gets a FIN, and the peer its answer
// when the stream has ended too.
func (b *bridge) closed(code inspect.CloseCode) {
	b.heard.Store(uint32(code))
	b.finishStream()
	if b.sent.Load() { // it is the answer
		b.finishFrames()
	}
	b.limit()
}

// finishStream ends our direction of the stream with a FIN.
func (b *bridge) finishStream() {
	d := b.way()
	if err := b.upstream.finish(); err == nil {
		b.ended(inspect.ServerLeg, d, inspect.Fin, "")
	} else if isReset(err) {
		b.streamReset(d.Other(), "")
	}
}

// finishFrames ends our direction of the WebSocket, behind both Close frames. A
// client leaves that to the server (RFC 6455 section 7.1.1).
func (b *bridge) finishFrames() {
	if b.outward && !b.legGone() {
		return
	}
	b.writing.Lock() // behind the last frame
	defer b.writing.Unlock()
	if b.client.finish() == nil {
		b.ended(inspect.ClientLeg, b.way().Other(), inspect.Fin, "")
	}
}

// legGone says that the WebSocket's peer has ended its direction.
func (b *bridge) legGone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.legEnded[inspect.ClientLeg][b.way()]
}

// streamEnded passes on how the stream ended. A FIN ends one direction of it: the
// WebSocket's peer may go on until it answers the Close.
func (b *bridge) streamEnded(d inspect.Dir, err error) {
	if b.isOver() || errors.Is(err, net.ErrClosed) {
		return
	}
	how, text := b.upstream.ending(err)
	if how != inspect.Fin {
		b.streamReset(d, text)
		return
	}
	b.ended(inspect.ServerLeg, d, how, text)
	switch code := b.heard.Load(); {
	case code == 0:
		b.close(normalClosure, "")
	default: // now the Close has its answer
		b.close(inspect.CloseCode(code), "")
		b.finishFrames()
	}
}

// streamReset tells the WebSocket's peer that the stream was reset.
func (b *bridge) streamReset(d inspect.Dir, text string) {
	b.ended(inspect.ServerLeg, d, inspect.Rst, text)
	b.upstream.close()
	b.close(internalError, "the TCP connection was reset")
	if b.heard.Load() != 0 {
		b.finishFrames()
	}
}

// framesEnded passes on how the WebSocket's connection ended. Without a Close
// before, the stream is told by the same ending.
func (b *bridge) framesEnded(d inspect.Dir, err error) {
	if b.isOver() || errors.Is(err, net.ErrClosed) {
		return
	}
	how, text := b.client.ending(err)
	if how != inspect.Fin && how != inspect.CloseNotify {
		b.abort(inspect.ClientLeg, d, how, text)
		return
	}
	b.ended(inspect.ClientLeg, d, how, text)
	if b.heard.Load() != 0 && b.sent.Load() {
		if b.client.finish() == nil {
			b.ended(inspect.ClientLeg, d.Other(), inspect.Fin, "")
		}
		b.closeSockets() // a stream that has not ended yet has nobody to talk to
		return
	}
	b.limit()
	b.heard.CompareAndSwap(0, noCode)
	b.pending.Lock()
	b.pending.closed = true // there is nobody to answer
	b.pending.Unlock()
	b.finishStream()
}

// broken is why a peer's frames cannot be carried on.
type broken struct {
	code inspect.CloseCode
	why  string
}

// fail ends a bridge whose WebSocket peer broke the protocol: the stream is reset,
// so that nobody takes what came of it for whole.
func (b *bridge) fail(e *broken) {
	b.server.config.Logf("bridge from %s: %s", b.peerAddr(), e.why)
	b.heard.Store(uint32(e.code))
	b.close(e.code, e.why)
	b.upstream.reset()
	b.ended(inspect.ServerLeg, b.way(), inspect.Rst, "")
	b.finishFrames()
}

func (b *bridge) peerAddr() net.Addr { return b.client.RemoteAddr() }

// unframing takes frames apart.
type unframing struct {
	scan      inspect.Scanner
	header    inspect.Header
	pos       int64 // of the payload so far
	inMessage bool
	closed    bool // a Close has come
	control   []byte
	quad      []byte // base64 that is not four characters yet
}

// take answers the bytes that the data frames in p carry, in p's own memory.
func (u *unframing) take(p []byte, b *bridge) (payload []byte, err *broken) {
	out := p[:0]
	for rest := p; len(rest) > 0; {
		h, begins, part, more := u.scan.Next(rest)
		rest = more
		if begins {
			if err := u.check(h, b); err != nil {
				return out, err
			}
			u.header, u.pos, u.control = h, 0, u.control[:0]
			if op := h.Opcode(); !op.Control() {
				u.inMessage = !h.Fin()
			}
		}
		if u.header.Masked() {
			inspect.Mask(u.header.Key(), u.pos, part)
		}
		u.pos += int64(len(part))
		whole := u.scan.AtBoundary()
		switch {
		case u.header.Opcode().Control():
			u.control = append(u.control, part...)
			if whole {
				u.answer(b)
			}
			if u.closed {
				return out, nil // nothing counts behind it
			}
		case b.base64:
			if out, err = u.decode(out, part, whole && u.header.Fin()); err != nil {
				return out, err
			}
		default:
			out = append(out, part...)
		}
	}
	return out, nil
}

// check judges a header as an endpoint must (RFC 6455 section 5).
func (u *unframing) check(h inspect.Header, b *bridge) *broken {
	op := h.Opcode()
	continues := op == inspect.OpContinuation
	switch {
	case h.Masked() == b.outward:
		return &broken{protocolError, map[bool]string{true: "a server's frames are not masked", false: "a client's frames are masked"}[b.outward]}
	case h.Rsv1() || h.Rsv2() || h.Rsv3():
		return &broken{protocolError, "a reserved bit is set and no extension was agreed"}
	case op.Reserved():
		return &broken{protocolError, fmt.Sprintf("opcode %d is reserved", op)}
	case op.Control() && (!h.Fin() || h.Length() > 125):
		return &broken{protocolError, "a control frame is whole and has 125 bytes at most"}
	case op.Control():
		return nil
	case continues != u.inMessage:
		return &broken{protocolError, "a message begins with its opcode and goes on with continuations"}
	case op == inspect.OpText && !b.base64 && !b.outward:
		return &broken{unsupportedData, "a bridge takes binary messages, not text"}
	}
	return nil
}

// answer answers a ping and notes a Close.
func (u *unframing) answer(b *bridge) {
	switch u.header.Opcode() {
	case inspect.OpPing:
		b.control(inspect.OpPong, u.control)
	case inspect.OpClose:
		u.closed = true
	}
}

// closeCode is the code of the Close that came.
func (u *unframing) closeCode() inspect.CloseCode {
	if len(u.control) < 2 {
		return inspect.NoStatus
	}
	return inspect.CloseCode(u.control[0])<<8 | inspect.CloseCode(u.control[1])
}

// decode appends what base64 stands for; a message's must be whole (RFC 4648
// section 4).
func (u *unframing) decode(out, part []byte, end bool) ([]byte, *broken) {
	u.quad = append(u.quad, part...)
	n := len(u.quad) / 4 * 4
	text := u.quad[:n]
	rest := slices.Clone(u.quad[n:])
	out, err := base64.StdEncoding.AppendDecode(out, text)
	u.quad = append(u.quad[:0], rest...)
	if err != nil || end && len(rest) > 0 {
		return out, &broken{invalidPayload, "a message is not base64"}
	}
	return out, nil
}

// keys is a source of masking keys that nobody can foresee.
func keys() *mathrand.ChaCha8 {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // it never fails
	return mathrand.NewChaCha8(seed)
}
