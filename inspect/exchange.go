package inspect

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// input is the part of a chunk that is still to be read.
type input struct {
	data     []byte
	off      int64
	time     time.Time
	boundary int
}

func (in *input) advance(rest []byte) {
	n := len(in.data) - len(rest)
	in.off += int64(n)
	in.boundary = max(in.boundary-n, 0)
	in.data = rest
}

// phase is what the next byte of a direction belongs to.
type phase uint8

const (
	inHead phase = iota
	inBody
	inHold    // behind an upgrade request, until its answer
	inSession // WebSocket frames
	inOther   // another protocol, or nothing that can be read
)

// side is the HTTP/1 reader of one direction.
type side struct {
	phase phase
	head  HeadScanner
	body  Body
	first time.Time // of the head's first byte
	begun bool
}

// pending is a request that waits for its answer.
type pending struct {
	n        int
	head     *Head
	sent     *Head
	upgrade  bool // to WebSocket
	hold     bool // any upgrade, or CONNECT
	up, down Payload
	upDone   bool
	answer   *Head
	answered time.Time
	start    time.Time
}

type heldBytes struct {
	data []byte
	off  int64
	time time.Time
}

// heldLimit bounds the client bytes kept from before the answer to an upgrade.
const heldLimit = 1 << 20

// readHead collects a head; nil while it is not whole.
func (s *side) readHead(in *input) ([]byte, error) {
	if !s.begun {
		s.begun, s.first = true, in.time
	}
	raw, rest, err := s.head.Next(in.data)
	in.advance(rest)
	if raw == nil {
		return nil, err
	}
	s.begun = false
	return slices.Clone(raw), nil
}

// readBody takes body bytes into p, framing included.
func (s *side) readBody(in *input, p *Payload, limit int64) (done bool, err error) {
	before := len(in.data)
	data, rest, done, err := s.body.Next(in.data)
	p.add(data, before-len(rest), limit)
	in.advance(rest)
	return done, err
}

func (p *Payload) add(data []byte, wire int, limit int64) {
	p.Wire += int64(wire)
	p.Size += int64(len(data))
	if room := limit - int64(len(p.Data)); room > 0 {
		p.Data = append(p.Data, data[:min(int64(len(data)), room)]...)
	}
}

// feedRequests reads what the client sends.
func (c *Conn) feedRequests(in input) {
	for len(in.data) > 0 {
		switch c.req.phase {
		case inHead:
			raw, err := c.req.readHead(&in)
			if err != nil {
				c.unreadable(err)
				return
			}
			if raw != nil {
				c.request(raw)
			}
		case inBody:
			p := c.queue[len(c.queue)-1]
			done, err := c.req.readBody(&in, &p.up, c.limits.Message)
			if err != nil {
				c.unreadable(err)
				return
			}
			if done {
				c.requestDone(p)
			}
		case inHold:
			c.hold(in)
			return
		case inSession:
			c.feedWay(&c.ways[ToServer], in)
			return
		default:
			return
		}
	}
}

func (c *Conn) request(raw []byte) {
	h, err := ParseRequest(raw)
	if err != nil {
		c.unreadable(err)
		return
	}
	c.exchanges++
	p := &pending{n: c.exchanges, head: h, start: c.req.first, upgrade: h.IsUpgrade()}
	p.hold = p.upgrade || h.Upgrading() || h.Method == "CONNECT"
	c.queue = append(c.queue, p)
	body, err := RequestBody(h)
	if err != nil {
		c.unreadable(err)
		return
	}
	c.req.body = body
	if body.Done() {
		c.requestDone(p)
	} else {
		c.req.phase = inBody
	}
}

func (c *Conn) requestDone(p *pending) {
	p.upDone = true
	c.req.phase = inHead
	if p.hold && p.answer == nil {
		c.req.phase = inHold
	}
	if p.answer != nil && c.resp.phase != inBody {
		c.exchange(p)
	}
}

// unreadable ends the reading of requests: what came is no HTTP that can be
// framed, so nothing behind it can be told apart.
func (c *Conn) unreadable(err error) {
	c.req.phase = inOther
	if n := len(c.queue); n > 0 && !c.queue[n-1].upDone {
		return // the answer to it tells the exchange
	}
	c.exchanges++
	c.queue = append(c.queue, &pending{n: c.exchanges, upDone: true, start: c.req.first,
		up: Payload{Wire: int64(len(c.req.head.Partial())), Data: slices.Clone(c.req.head.Partial())}})
	c.queue[len(c.queue)-1].head = &Head{Problem: err.Error()}
}

// hold keeps client bytes that came before the answer to an upgrade request:
// only the answer says whether they are frames or the next request.
func (c *Conn) hold(in input) {
	if c.heldSize+int64(len(in.data)) > heldLimit {
		c.req.phase = inOther
		return
	}
	c.heldSize += int64(len(in.data))
	c.held = append(c.held, heldBytes{slices.Clone(in.data), in.off, in.time})
}

func (c *Conn) release(next phase) {
	if c.req.phase == inHold {
		c.req.phase = next
	}
	held := c.held
	c.held, c.heldSize = nil, 0
	for _, b := range held {
		c.feedRequests(input{data: b.data, off: b.off, time: b.time})
	}
}

// feedSent reads the requests as they left for the server, for the changes that
// wsproxy made to them.
func (c *Conn) feedSent(ch Chunk) {
	in := input{data: ch.Data, off: ch.Off, time: ch.Time}
	var ignored Payload
	for len(in.data) > 0 {
		switch c.sent.phase {
		case inHead:
			raw, err := c.sent.readHead(&in)
			if raw == nil || err != nil {
				if err != nil {
					c.sent.phase = inOther
				}
				continue
			}
			c.sentHead(raw)
		case inBody:
			done, err := c.sent.readBody(&in, &ignored, 0)
			if err != nil {
				c.sent.phase = inOther
			} else if done {
				c.sent.phase = inHead
			}
		default:
			return
		}
	}
}

func (c *Conn) sentHead(raw []byte) {
	h, err := ParseRequest(raw)
	if err != nil {
		c.sent.phase = inOther
		return
	}
	if body, err := RequestBody(h); err == nil && !body.Done() {
		c.sent.body, c.sent.phase = body, inBody
	}
	if n := len(c.queue); n > 0 && h.IsUpgrade() {
		c.queue[n-1].sent = h
	}
}

// feedResponses reads what the client receives.
func (c *Conn) feedResponses(in input) {
	for len(in.data) > 0 {
		switch c.resp.phase {
		case inHead:
			raw, err := c.resp.readHead(&in)
			if err != nil {
				c.resp.phase = inOther
				c.failAnswer(err.Error())
				return
			}
			if raw != nil {
				c.response(raw)
			}
		case inBody:
			p := c.queue[0]
			done, err := c.resp.readBody(&in, &p.down, c.limits.Message)
			if err != nil {
				c.resp.phase = inOther
				c.failAnswer(err.Error())
				return
			}
			if done {
				c.responseDone(p)
			}
		case inSession:
			c.feedWay(&c.ways[ToClient], in)
			return
		default:
			return
		}
	}
}

func (c *Conn) failAnswer(why string) {
	if len(c.queue) > 0 {
		p := c.queue[0]
		c.queue = c.queue[1:]
		c.tellExchange(p, why)
	}
}

func (c *Conn) response(raw []byte) {
	h, err := ParseResponse(raw)
	if err != nil {
		c.resp.phase = inOther
		c.failAnswer(err.Error())
		return
	}
	if h.Status >= 100 && h.Status < 200 && h.Status != 101 {
		return // an interim answer; the final one is to come
	}
	if len(c.queue) == 0 {
		c.exchanges++ // nobody asked: a server that speaks first, such as a 408
		c.queue = append(c.queue, &pending{n: c.exchanges, upDone: true, start: c.resp.first})
	}
	p := c.queue[0]
	p.answer, p.answered = h, c.last
	method := ""
	if p.head != nil {
		method = p.head.Method
	}
	if h.Status == 101 && p.hold || method == "CONNECT" && h.Status/100 == 2 {
		c.switched(p)
		return
	}
	body, err := ResponseBody(h, method)
	if err != nil {
		c.resp.phase = inOther
		c.failAnswer(err.Error())
		return
	}
	c.resp.body = body
	if body.Done() {
		c.responseDone(p)
	} else {
		c.resp.phase = inBody
	}
}

func (c *Conn) responseDone(p *pending) {
	c.resp.phase = inHead
	if p.upDone {
		c.exchange(p)
	}
}

// exchange tells a request whose answer is whole.
func (c *Conn) exchange(p *pending) {
	c.queue = slices.DeleteFunc(c.queue, func(q *pending) bool { return q == p })
	if p.upgrade {
		c.refused(p, "")
	} else {
		c.tellExchange(p, "")
	}
	if p.hold {
		c.release(inHead)
	}
}

func (c *Conn) tellExchange(p *pending, why string) {
	x := &Exchange{Conn: c.info, N: p.n, Request: p.head, Response: p.answer,
		Up: p.up, Down: p.down, Start: p.start, Time: c.last, Error: why}
	if p.head != nil && p.head.Method == "" && p.head.Problem != "" {
		x.Request, x.Error = nil, p.head.Problem
	}
	c.emit(x)
}

// switched is the final answer that ends HTTP on this connection.
func (c *Conn) switched(p *pending) {
	c.queue = c.queue[1:]
	if !p.upgrade {
		c.resp.phase = inOther
		c.tellExchange(p, "")
		c.release(inOther)
		return
	}
	c.shake(p)
	c.opened = &Opened{Session: c.session, Conn: c.info, Handshake: c.handshake, Time: p.answered}
	c.resp.phase = inSession
	c.emit(c.opened)
	c.release(inSession)
}

func (c *Conn) shake(p *pending) {
	c.session = SessionID(c.info.ID) + SessionID(c.upgrades)
	c.upgrades++
	c.handshake = NewHandshake(p.head, p.sent, p.answer)
	c.handshake.RequestTime, c.handshake.AnswerTime = p.start, p.answered
}

func (c *Conn) refused(p *pending, why string) {
	c.shake(p)
	if why == "" {
		why = answerText(p.answer)
		if c.peer != nil && c.peer.Error != "" {
			why += ": " + c.peer.Error
		}
	}
	c.emit(&Refused{Session: c.session, Conn: c.info, Handshake: c.handshake, Time: c.last,
		Reason: why, Body: p.down.Data, BodySize: p.down.Size})
}

func answerText(h *Head) string {
	text := itoa(h.Status)
	if h.Phrase != "" {
		text += " " + h.Phrase
	}
	if to := h.Get("Location"); to != "" && h.Status/100 == 3 {
		text += " to " + to
	}
	return text
}

func (c *Conn) takeNote(n Note) {
	if n.Leg == ServerLeg && n.Kind == NoteLeg {
		c.serverLeg = true
	}
	if n.Kind == NotePeer {
		p := new(PeerNote)
		if json.Unmarshal(n.JSON, p) == nil {
			c.peer = p
		}
	}
	if n.Kind == NoteHTTP2 {
		c.takeHTTP2(n)
	}
	if n.Kind == NoteFailed {
		var f FailedNote
		if json.Unmarshal(n.JSON, &f) == nil {
			c.failed, c.last = true, n.Time
			c.tunnel(f.Why)
		}
	}
	if n.Kind == NoteAltered && c.opened != nil {
		c.altered(n)
	}
}

// altered takes what wsproxy did to the session. The direction stands in the note:
// a recording may have it on a packet of the other one.
func (c *Conn) altered(n Note) {
	var a AlteredNote
	if json.Unmarshal(n.JSON, &a) != nil || a.Dir > ToClient {
		a = AlteredNote{Dir: n.Dir & 1}
	}
	switch a.Action {
	case ActClose:
		c.killed = true
		if w := &c.ways[ToClient]; a.Dir == ToClient && !w.closed { // what the client sends is its own
			w.ours = true
		}
	case ActFin, ActRst:
		c.killed = true
	}
	c.emit(&Altered{Session: c.session, Frame: c.frameN, Dir: a.Dir, Act: a, Note: n})
}

// tunnel tells a connection that carried nothing to be read as the exchange that
// asked for it.
func (c *Conn) tunnel(why string) {
	x := &Exchange{Conn: c.info, N: 1, Start: c.info.Time, Time: c.last, Error: why}
	if method, target, ok := strings.Cut(c.info.Via, " "); ok {
		x.Request = &Head{Method: method, Target: target}
	}
	for d, p := range []*Payload{&x.Up, &x.Down} {
		p.Wire = max(c.ends[ClientLeg][d].Off, c.ends[ServerLeg][d].Off) // a reset tells of one direction
		p.Size = p.Wire
	}
	c.emit(x)
}

// gap is a hole in what was captured. Inside a payload the frame goes on behind
// it; anywhere else only a chunk that names a frame boundary can be read again.
func (c *Conn) gap(d Dir, n int64, t time.Time) {
	s := &c.req
	if d == ToClient {
		s = &c.resp
	}
	if s.phase == inSession {
		c.gapInSession(&c.ways[d], n)
		return
	}
	if d == ToServer {
		if s.phase != inOther {
			c.unreadable(errGap)
		}
	} else {
		s.phase = inOther
		c.failAnswer(errGap.Error())
	}
}
