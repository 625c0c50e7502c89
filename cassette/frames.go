package cassette

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/wsproxy/wsproxy/inspect"
)

// way is one direction of a session: its bytes, as far as they may still be
// needed, and the message being put together.
type way struct {
	buf   []byte
	base  int64 // offset of buf[0] in the stream
	gap   bool  // bytes are missing
	open  *message
	pings [][]byte // sent this way and not answered yet
	ctl   *draft   // the control frame whose content follows
	odd   bool     // that frame is
	cut   bool     // the connection ended inside that frame
}

// message is a data message whose frames are coming.
type message struct {
	parts   []*draft
	lengths []int // of their payloads on the wire
	odd     bool  // a frame of it is
	broken  bool  // the connection ended inside a frame of it
	dropped bool  // and that was not its sender's doing
	whole   bool  // it became one line
}

// Limits on the bytes that are kept beside the messages: before a session
// begins, client bytes that wait for the answer; in one, a frame.
const (
	keepBefore = 2 << 20
	keepFrame  = 64<<20 + 1<<20
	pingLimit  = 32
)

// keep keeps a chunk's bytes until the frames in them have been told.
func (w *way) keep(ch inspect.Chunk, inSession bool) {
	if len(w.buf) == 0 || w.base+int64(len(w.buf)) != ch.Off {
		w.buf, w.base = w.buf[:0], ch.Off
	}
	w.buf = append(w.buf, ch.Data...)
	limit := keepBefore
	if inSession {
		limit = keepFrame
	}
	if over := len(w.buf) - limit; over > limit/2 {
		w.buf = slices.Clone(w.buf[over:])
		w.base += int64(over)
	}
}

// take answers the bytes of a frame and forgets everything up to its end; ok is
// false if they were not kept.
func (w *way) take(f *inspect.Frame) (raw []byte, ok bool) {
	start := f.Off - w.base
	end := int64(len(w.buf)) // of a frame that is not whole, what there is
	if f.Missing == 0 {
		end = start + int64(f.Header.Len()) + int64(f.Header.Length())
	}
	if start < 0 || end < start || end > int64(len(w.buf)) {
		return nil, false
	}
	raw = slices.Clone(w.buf[start:end])
	w.buf = w.buf[end:] // moved when it must grow, not for each frame
	w.base += end
	return raw, true
}

// odd says that a frame would not come out the same if it were written anew
// from what it means.
func odd(f *inspect.Frame, before inspect.State, deflate bool) bool {
	h, op := f.Header, f.Header.Opcode()
	switch {
	case op.Reserved(), h.Rsv2(), h.Rsv3(), !h.Minimal(), h.Masked() != (f.Dir == inspect.ToServer):
		return true
	case h.Rsv1() && (!deflate || op.Control() || op == inspect.OpContinuation):
		return true
	case op.Control():
		return !h.Fin() || h.Length() > 125
	}
	return (op == inspect.OpContinuation) != before.InMessage
}

// partial says that a frame which is not whole was left so by its sender.
func (k *making) partial(d inspect.Dir) bool {
	e := k.ending
	return d == inspect.ToClient && e.Leg == inspect.ClientLeg && e.Dir == d &&
		e.How != inspect.NoEnd && e.How != inspect.Self && e.How != inspect.Cut
}

func (k *making) frame(f *inspect.Frame) {
	w := &k.ways[f.Dir]
	raw, ok := w.take(f)
	isOdd := odd(f, k.conn.Before(f.Dir), k.conn.Handshake().Deflate != nil)
	if isOdd && !ok {
		k.problem("a frame that must be kept as bytes is too long")
	}
	d := &draft{line: Line{Kind: Raw, From: f.Dir, Data: raw}, time: f.Last}
	if f.Header.Opcode().Control() {
		w.ctl, w.odd, w.cut = d, isOdd, f.Missing > 0
		return
	}
	if w.open == nil {
		w.open = &message{}
	}
	m := w.open
	if f.Missing > 0 {
		m.broken, m.dropped = true, !k.partial(f.Dir)
	}
	m.parts = append(m.parts, d)
	m.lengths = append(m.lengths, int(f.Header.Length()))
	m.odd = m.odd || isOdd
	if k.early(f.Dir) {
		k.add(f.Dir, d) // its place, whatever it becomes
		d.inside = nil
	}
}

// early says that a direction's messages stand where they began, which a
// recording's reader needs to tell what stood inside them.
func (k *making) early(d inspect.Dir) bool { return d == inspect.ToClient && k.m.hear == nil }

func (k *making) message(msg *inspect.Message) {
	if msg.Opcode.Control() {
		k.control(msg)
		return
	}
	w := &k.ways[msg.Dir]
	m := w.open
	if m == nil {
		return
	}
	w.open = nil
	cut := msg.Cut && !m.broken
	switch {
	case m.dropped:
		for _, p := range m.parts {
			p.gone = true
		}
	case msg.Dir == inspect.ToServer && msg.Undecodable && !m.broken:
		k.problem("a compressed message of the client cannot be inflated")
	case cut && k.ending.How != inspect.NoEnd && !k.partial(msg.Dir):
		for _, p := range m.parts { // whole fragments of a message that was not finished
			p.gone = true
		}
	case cut && msg.Size > int64(len(msg.Data)):
		k.problem("a message of %d bytes is longer than %d, the most that is kept", msg.Size, len(msg.Data))
	case msg.Cut, m.odd, msg.Undecodable, msg.InvalidUTF8 > 0:
		k.asBytes(msg.Dir, m)
	default:
		k.asMessage(msg, m)
	}
}

// asBytes leaves each frame of a message the bytes that it was.
func (k *making) asBytes(d inspect.Dir, m *message) {
	for _, p := range m.parts {
		if p.line.Data == nil {
			k.problem("a frame that must be kept as bytes is too long")
		}
		if !k.early(d) {
			k.add(d, p)
		}
	}
}

// rest writes down what the server sent of a frame whose header never came whole.
func (k *making) rest() {
	w := &k.ways[inspect.ToClient]
	if len(w.buf) > 0 && !w.gap && k.partial(inspect.ToClient) {
		k.add(inspect.ToClient, &draft{line: Line{Kind: Raw, From: inspect.ToClient, Data: w.buf}, time: k.ending.Time})
		w.buf = nil
	}
}

// asMessage makes one line of a message's frames. A server's stands where its
// first frame was, a client's where its last was.
func (k *making) asMessage(msg *inspect.Message, m *message) {
	m.whole = true
	for _, p := range m.parts[1:] {
		p.gone, p.line.Data = true, nil
	}
	d := m.parts[0]
	d.line = Line{Session: k.session, Kind: Binary, From: msg.Dir, Data: slices.Clone(msg.Data), Compressed: msg.Compressed}
	k.m.hold(len(msg.Data))
	if len(m.parts) > 1 {
		d.line.Frames = m.lengths
		if msg.Compressed {
			d.line.Frames = Proportion(int(msg.Size), m.lengths)
		}
	}
	if msg.Opcode == inspect.OpText {
		d.line.Kind, d.line.Match = TextKind(msg.Data)
	}
	if !k.early(msg.Dir) {
		d.time = msg.Time
		k.add(msg.Dir, d)
	}
}

// TextKind says how a text is kept: as JSON if its bytes can stand in a line.
func TextKind(data []byte) (Kind, Mode) {
	switch {
	case !json.Valid(data):
		return Text, ByKind
	case bytes.ContainsAny(data, "\r\n") || len(bytes.TrimSpace(data)) != len(data):
		return Text, AsJSON
	}
	return JSON, ByKind
}

func (k *making) control(msg *inspect.Message) {
	w := &k.ways[msg.Dir]
	d, isOdd := w.ctl, w.odd
	w.ctl = nil
	if d == nil || w.cut && !k.partial(msg.Dir) {
		return
	}
	if isOdd || msg.Cut || msg.InvalidUTF8 > 0 {
		k.add(msg.Dir, d)
		return
	}
	switch msg.Opcode {
	case inspect.OpPing:
		if len(w.pings) == pingLimit {
			w.pings = w.pings[1:]
		}
		w.pings = append(w.pings, slices.Clone(msg.Data))
		d.line = Line{Kind: Ping, From: msg.Dir, Data: slices.Clone(msg.Data)}
	case inspect.OpPong:
		if k.ways[msg.Dir.Other()].ponged(msg.Data) {
			return // comes by itself when the ping does
		}
		d.line = Line{Kind: Pong, From: msg.Dir, Data: slices.Clone(msg.Data)}
	case inspect.OpClose:
		code, reason, ok := inspect.ParseClose(msg.Data)
		if ok && (code != inspect.NoStatus || len(msg.Data) == 0) {
			d.line = Line{Kind: Close, From: msg.Dir, Code: code, Reason: string(reason)}
		}
	}
	k.add(msg.Dir, d)
}

// ponged says that a pong answers one of this direction's pings, and takes that
// one and the older ones off (RFC 6455 section 5.5.3).
func (w *way) ponged(payload []byte) bool {
	for i := len(w.pings) - 1; i >= 0; i-- {
		if bytes.Equal(w.pings[i], payload) {
			w.pings = w.pings[i+1:]
			return true
		}
	}
	return false
}

// add writes a line of the session down, with its place inside a message of the
// server that is not over.
func (k *making) add(d inspect.Dir, x *draft) {
	x.line.Session = k.session
	if open := k.ways[inspect.ToClient].open; open != nil && len(open.parts) > 0 {
		x.inside, x.fragNum = open, len(open.parts)
	}
	if k.m.hear != nil {
		if d == k.m.hears {
			k.m.hear(x.line)
		}
		return
	}
	k.m.add(x)
}

// Proportion cuts total into as many parts as weights has, in proportion to
// them. Without any weight all of it is in the last part.
func Proportion(total int, weights []int) []int {
	sum, seen, done := 0, 0, 0
	for _, w := range weights {
		sum += w
	}
	parts := make([]int, len(weights))
	for i, w := range weights {
		seen += w
		upTo := total
		if sum > 0 && i < len(weights)-1 {
			upTo = int(int64(total) * int64(seen) / int64(sum))
		} else if i < len(weights)-1 {
			upTo = 0
		}
		parts[i] = max(0, upTo-done)
		done += parts[i]
	}
	return parts
}
