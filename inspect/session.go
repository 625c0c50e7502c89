package inspect

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"time"
)

var errGap = errors.New("bytes were not captured")

func itoa(n int) string { return strconv.Itoa(n) }

// way is one direction of a session: frames, messages and what they add up to.
type way struct {
	dir  Dir
	scan Scanner
	lost bool // behind a hole: nothing can be read before the next known boundary
	// Behind a hole: whether a message is open is not known before the next
	// frame that begins or ends one.
	blind bool

	// The frame being read.
	frame   Frame
	inFrame bool
	pos     int64 // payload bytes seen
	before  State // of the way, before this frame
	ctl     []byte
	msg     building
	told    Message // the event of the message that ended last

	inflater *Inflater
	holed    bool // bytes of this direction are missing: the window is wrong

	closed   bool
	ours     bool // wsproxy writes, or wrote, the Close
	code     CloseCode
	reason   string
	frames   uint64
	messages uint64
	bytes    int64
	seen     time.Time
	pings    [][]byte // sent this way, not answered yet
	unpinged uint64   // older ones, no longer kept
}

// building is the data message being put together.
type building struct {
	open       bool
	opcode     Opcode
	compressed bool
	headless   bool // behind a hole: its beginning is missing
	first      uint64
	wire       int64
	data       []byte // unmasked; as on the wire if compressed; up to a hole
	over       bool   // data was cut at the limit
	holed      bool
	text       UTF8
}

// pingLimit bounds the unanswered pings that are remembered each way.
const pingLimit = 32

// controlLimit is the most that is kept of a control frame's payload. Legal
// ones have at most 125 bytes (RFC 6455 section 5.5).
const controlLimit = 4096

func (c *Conn) feedWay(w *way, in input) {
	w.seen = in.time
	if w.lost {
		if in.boundary == 0 {
			return
		}
		in.advance(in.data[in.boundary-1:])
		w.lost = false
	}
	for len(in.data) > 0 {
		if !w.inFrame && w.scan.AtBoundary() {
			w.frame = Frame{Session: c.session, Dir: w.dir, First: in.time, Off: in.off}
		}
		h, begun, payload, rest := w.scan.Next(in.data)
		in.advance(rest)
		if begun {
			c.beginFrame(w, h)
		}
		if len(payload) > 0 {
			c.payload(w, payload)
		}
		if w.inFrame && w.scan.Left() == 0 {
			w.frame.Last = in.time
			c.endFrame(w)
		}
	}
}

func (c *Conn) beginFrame(w *way, h Header) {
	w.inFrame, w.pos, w.frame.Header = true, 0, h
	w.ctl = w.ctl[:0]
	w.before = State{InMessage: w.msg.open, Opcode: w.msg.opcode, Compressed: w.msg.compressed, Closed: w.closed, Blind: w.blind}
	// A data opcode begins a message, and so does a continuation of nothing,
	// which is judged but still shown.
	op := h.Opcode()
	if !op.Control() && (op != OpContinuation || !w.msg.open) {
		c.beginMessage(w)
	}
	if !op.Control() && (op != OpContinuation || h.Fin()) {
		w.blind = false
	}
}

// payload takes the next payload bytes of the frame being read.
func (c *Conn) payload(w *way, p []byte) {
	h := w.frame.Header
	w.bytes += int64(len(p))
	if h.Opcode().Control() && w.frame.Missing == 0 {
		keep := p[:min(len(p), controlLimit-len(w.ctl))]
		n := len(w.ctl)
		w.ctl = append(w.ctl, keep...)
		unmask(h, w.pos, w.ctl[n:])
	} else if !h.Opcode().Control() {
		c.messagePart(w, p)
	}
	w.pos += int64(len(p))
}

func unmask(h Header, pos int64, b []byte) {
	if h.Masked() {
		Mask(h.Key(), pos, b)
	}
}

func (c *Conn) beginMessage(w *way) {
	if w.msg.open {
		// A new message inside another: the old one never ends.
		c.tell(c.endMessage(w, true), c.frameN, w.dir)
	}
	h := w.frame.Header
	w.msg = building{open: true, opcode: h.Opcode(), data: w.msg.data[:0]}
	w.msg.compressed = h.Rsv1() && c.handshake.Deflate != nil && h.Opcode() != OpContinuation
	if w.blind && h.Opcode() == OpContinuation { // it may be of a compressed message
		w.msg.headless, w.msg.compressed = true, c.handshake.Deflate != nil
	}
}

// keepLimit is how much of a message is kept: of a compressed one the wire
// bytes, which are needed whole to inflate it.
func (c *Conn) keepLimit(m *building) int64 {
	if m.compressed {
		return c.limits.Inflated
	}
	return c.limits.Message
}

func (c *Conn) messagePart(w *way, p []byte) {
	m, h := &w.msg, w.frame.Header
	m.wire += int64(len(p))
	if c.limits.HeadersOnly || m.holed {
		return // it does not go on where what is kept ends
	}
	pos := w.pos
	if room := c.keepLimit(m) - int64(len(m.data)); room > 0 && !m.over {
		keep := p[:min(int64(len(p)), room)]
		n := len(m.data)
		m.data = append(m.data, keep...)
		unmask(h, pos, m.data[n:])
		c.checkText(m, m.data[n:])
		p, pos = p[len(keep):], pos+int64(len(keep))
	}
	if len(p) == 0 {
		return
	}
	m.over = true
	if m.compressed || m.opcode != OpText {
		return
	}
	var scratch [4096]byte
	for len(p) > 0 { // too long to keep, but still to be judged
		n := copy(scratch[:], p)
		unmask(h, pos, scratch[:n])
		c.checkText(m, scratch[:n])
		p, pos = p[n:], pos+int64(n)
	}
}

func (c *Conn) checkText(m *building, b []byte) {
	if m.opcode == OpText && !m.compressed && !m.holed {
		m.text.Feed(b)
	}
}

// endFrame tells the frame that is whole now, or that was cut off.
func (c *Conn) endFrame(w *way) {
	f := &w.frame
	op := f.Header.Opcode()
	w.inFrame = false
	c.frameN++
	f.N = c.frameN
	f.Ends = op.Control() || f.Header.Fin()
	w.frames++
	w.bytes += int64(f.Header.Len())
	if !op.Control() && w.msg.first == 0 {
		w.msg.first = f.N
	}
	c.yield(f)
	found := c.judge(f)
	switch {
	case op.Control():
		found = append(found, c.control(w)...)
	case f.Header.Fin():
		found = append(found, c.endMessage(w, f.Missing > 0)...)
	}
	c.tell(found, f.N, f.Dir)
}

// endMessage tells the data message of this direction and answers its findings.
func (c *Conn) endMessage(w *way, cut bool) []Finding {
	m := &w.msg
	if !m.open {
		return nil
	}
	m.open = false
	w.messages++
	msg := &w.told
	*msg = Message{Session: c.session, Dir: w.dir, First: m.first, Last: c.frameN, Time: w.frame.Last,
		Opcode: m.opcode, Wire: m.wire, Size: m.wire, Data: m.data, Compressed: m.compressed, Cut: cut || m.over || m.holed || m.headless}
	if m.compressed {
		c.inflate(w, msg, cut)
	}
	if m.opcode == OpText && !msg.Undecodable && !m.holed {
		if !m.compressed && !cut {
			m.text.End()
		}
		msg.InvalidUTF8 = m.text.Bad()
	}
	c.yield(msg)
	found := c.judge(msg)
	if cap(m.data) > 1<<20 {
		m.data = nil // a large buffer is not kept for the small messages that follow
	}
	return found
}

// inflate fills in a compressed message's content (RFC 7692 section 7.2.2).
func (c *Conn) inflate(w *way, msg *Message, cut bool) {
	d := c.handshake.Deflate
	if w.inflater == nil {
		w.inflater = NewInflater(d.Takeover(w.dir), d.WindowBits(w.dir), min(c.limits.Inflated, c.limits.Message))
		if w.holed {
			w.inflater.Lost()
		}
	}
	msg.Size, msg.Data, msg.Cut = 0, nil, cut || w.msg.over || w.msg.holed || w.msg.headless
	if msg.Cut {
		w.inflater.Lost()
		msg.Undecodable = true
		return
	}
	if c.limits.HeadersOnly {
		msg.Undecodable = w.inflater.IsLost()
		return
	}
	data, size, err := w.inflater.Message(w.msg.data)
	if err != nil {
		msg.Undecodable = true
		return
	}
	msg.Data, msg.Size, msg.Cut = data, size, int64(len(data)) < size
	if msg.Opcode == OpText {
		w.msg.text.Feed(data)
		if !msg.Cut {
			w.msg.text.End()
		}
	}
}

// control tells a control frame's content and answers its findings.
func (c *Conn) control(w *way) []Finding {
	f := &w.frame
	msg := &w.told
	*msg = Message{Session: c.session, Dir: w.dir, First: f.N, Last: f.N, Time: f.Last, Opcode: f.Header.Opcode(),
		Wire: w.pos, Size: w.pos, Data: w.ctl, Cut: f.Missing > 0 || w.pos > int64(len(w.ctl))}
	switch msg.Opcode {
	case OpPing:
		w.ping(w.ctl)
	case OpPong:
		c.ways[w.dir.Other()].ponged(w.ctl)
	case OpClose:
		if code, reason, ok := ParseClose(w.ctl); ok {
			var u UTF8
			u.Feed(reason)
			u.End()
			if u.Bad() > 0 {
				msg.InvalidUTF8 = u.Bad() + 2
			}
			if !w.closed {
				w.code, w.reason = code, string(reason)
			}
		}
	}
	c.yield(msg)
	found := c.judge(msg)
	if msg.Opcode == OpClose && !w.closed {
		w.closed = true
		if !c.anyClose {
			c.anyClose, c.firstClose = true, w.dir
		}
	}
	return found
}

func (w *way) ping(payload []byte) {
	if len(w.pings) == pingLimit {
		w.pings = w.pings[1:]
		w.unpinged++
	}
	w.pings = append(w.pings, bytes.Clone(payload))
}

// ponged takes an answer to this direction's pings: it answers the ping with
// its payload and every older one (RFC 6455 section 5.5.3).
func (w *way) ponged(payload []byte) {
	for i := len(w.pings) - 1; i >= 0; i-- {
		if bytes.Equal(w.pings[i], payload) {
			w.pings, w.unpinged = w.pings[i+1:], 0
			return
		}
	}
}

// gapInSession passes over bytes that were not captured.
func (c *Conn) gapInSession(w *way, n int64) {
	w.holed = true
	if w.inflater != nil {
		w.inflater.Lost()
	}
	if w.inFrame && w.scan.Left() > uint64(n) {
		c.skipPayload(w, n)
		return
	}
	if w.inFrame && w.scan.Left() == uint64(n) {
		c.skipPayload(w, n)
		w.frame.Last = c.last
		c.endFrame(w)
		return
	}
	c.cutFrame(w)
	w.scan, w.lost, w.blind = Scanner{}, true, true
}

func (c *Conn) skipPayload(w *way, n int64) {
	w.scan.Skip(uint64(n))
	w.frame.Missing += n
	w.pos += n
	if !w.frame.Header.Opcode().Control() {
		w.msg.wire += n
		w.msg.holed = true
	}
}

// cutFrame tells the frame that ends in the middle: at a hole, or at the end.
func (c *Conn) cutFrame(w *way) {
	if w.inFrame {
		left := w.scan.Left()
		if left > math.MaxInt64 {
			left = math.MaxInt64
		}
		w.frame.Missing, w.frame.Last = int64(left), w.seen
		c.endFrame(w)
	}
	if w.msg.open {
		c.tell(c.endMessage(w, true), c.frameN, w.dir)
	}
}
