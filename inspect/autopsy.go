package inspect

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// end takes the end of one direction of one leg. An RST may follow a FIN: it ends
// the other direction.
func (c *Conn) end(e Ended) {
	if c.over || c.ends[e.Leg][e.Dir].How != NoEnd && (e.How != Rst || c.legOver(e.Leg)) {
		return
	}
	c.last = e.Time
	c.ends[e.Leg][e.Dir] = e
	c.order = append(c.order, e)
	if e.Leg == ServerLeg {
		c.serverLeg = true
	} else {
		c.endWay(e.Dir)
	}
	if c.legOver(ClientLeg) && (!c.serverLeg || c.legOver(ServerLeg)) {
		c.finish()
	}
}

// legOver says that nothing more can flow on a leg. A reset ends both directions.
func (c *Conn) legOver(l Leg) bool {
	a, b := c.ends[l][ToServer].How, c.ends[l][ToClient].How
	return a == Rst || b == Rst || a != NoEnd && b != NoEnd
}

// endWay tells what was still open in one direction of the client leg.
func (c *Conn) endWay(d Dir) {
	s := &c.req
	if d == ToClient {
		s = &c.resp
	}
	switch {
	case s.phase == inSession:
		c.cutFrame(&c.ways[d])
	case d == ToClient && s.phase == inBody && s.body.UntilClose():
		c.responseDone(c.queue[0])
	}
	s.phase = inOther
}

// finish tells the end of the connection: of its session, or of the requests
// that were never answered.
func (c *Conn) finish() {
	c.over = true
	for _, d := range []Dir{ToServer, ToClient} {
		c.endWay(d)
	}
	if c.info.Opaque && !c.failed {
		c.tunnel("")
	}
	queue := c.queue
	c.queue = nil
	for _, p := range queue {
		why := "no answer: " + c.enders()
		if p.answer != nil {
			why = "the answer is not whole: " + c.enders()
		}
		if p.upgrade {
			c.refused(p, why)
		} else {
			c.tellExchange(p, why)
		}
	}
	if c.req.phase == inOther && c.opened == nil && len(queue) == 0 && c.exchanges == 0 && c.req.begun {
		c.emit(&Exchange{Conn: c.info, N: 1, Start: c.req.first, Time: c.last,
			Up: Payload{Wire: int64(len(c.req.head.Partial())), Data: c.req.head.Partial()}, Error: "the request's head never ended: " + c.enders()})
	}
	if c.opened != nil {
		c.emit(c.autopsy())
	}
}

// who is the party whose doing an end was: the one that sent in that direction,
// seen from the leg on which it arrived.
func (c *Conn) who(e Ended) string {
	if c.info.Mode == ModeFromTCP {
		e.Leg ^= 1 // the client's leg is the stream
	}
	switch {
	case e.How == Self:
		return "wsproxy"
	case e.How == Cut:
		return "recording"
	case c.killed && e.Leg == ClientLeg == (e.Dir == ToClient): // it was written, not read
		return "wsproxy"
	case e.Leg == ClientLeg && e.Dir == ToServer:
		return "client"
	case e.Leg == ServerLeg && e.Dir == ToClient, !c.serverLeg:
		return "server"
	}
	return "" // wsproxy passing on what the other side did
}

// origins are the ends that somebody began, in order, without the mirrored ones.
func (c *Conn) origins() []Ended {
	var all []Ended
	for _, e := range c.begun() {
		if (e.How == Self || e.How == Cut) && len(all) > 0 && all[len(all)-1].How == e.How {
			continue
		}
		all = append(all, e)
		if e.How == Rst {
			break // what follows a reset is its echo
		}
	}
	return all
}

// begun are the ends that are not wsproxy passing on another. A close_notify is told
// when it is known whether a FIN follows, perhaps behind what the other side made of
// its mirror: it counts where that was told.
func (c *Conn) begun() []Ended {
	var all []Ended
	for _, e := range c.order {
		if c.who(e) == "" {
			e = c.ends[e.Leg^1][e.Dir]
			if c.info.Bridged() || e.How != Fin && e.How != CloseNotify {
				continue
			}
		}
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}

func (c *Conn) enders() string {
	var parts []string
	for _, e := range c.origins() {
		switch e.How {
		case Self:
			parts = append(parts, "wsproxy ended it")
		case Cut:
			parts = append(parts, "the recording ends here")
		default:
			parts = append(parts, c.who(e)+" "+c.endWord(e))
		}
	}
	return strings.Join(parts, ", ")
}

// endWord is what somebody did to end a leg. Of a stream the relay has said it in
// HTTP/2's words.
func (c *Conn) endWord(e Ended) string {
	stream := c.info.HTTP2 != nil
	if e.Leg == ServerLeg {
		stream = c.peer != nil && c.peer.HTTP2
	}
	if stream && e.Error != "" {
		return e.Error
	}
	return endWord(e.How)
}

func endWord(e End) string {
	switch e {
	case Fin:
		return "FIN"
	case Rst:
		return "RST"
	case TLSAlert:
		return "TLS alert"
	}
	return e.String()
}

// autopsy sums up how the session ended.
func (c *Conn) autopsy() *Closed {
	x := &Closed{Session: c.session, Time: c.last, Opened: c.opened.Time, Ends: c.ends, Findings: c.findings}
	for d := range c.ways {
		w := &c.ways[d]
		x.Code[d], x.Reason[d], x.SawClose[d] = w.code, w.reason, w.closed
		x.Ours[d] = w.ours && w.closed
		x.Frames[d], x.Messages[d], x.Bytes[d] = w.frames, w.messages, w.bytes
		x.LastSeen[d] = w.seen
		x.Pings[d] = uint64(len(w.pings)) + w.unpinged
	}
	x.Word = c.word()
	x.Text = c.story(x)
	return x
}

// word is the ending in a word or three: the close code, or 1006 (RFC 6455
// section 7.1.5) and who ended the connection without one.
func (c *Conn) word() string {
	if c.anyClose {
		return fmt.Sprint(uint16(c.ways[c.firstClose].code))
	}
	begun := c.origins()
	if len(begun) == 0 {
		return "1006"
	}
	switch e := begun[0]; e.How {
	case Self:
		return "1006 wsproxy"
	case Cut:
		return "unfinished"
	default:
		return "1006 " + c.who(e) + " " + strings.ToLower(endWord(e.How))
	}
}

func (c *Conn) story(x *Closed) string {
	var b strings.Builder
	if c.anyClose {
		d := c.firstClose
		fmt.Fprintf(&b, "%d by %s", x.Code[d], c.closer(d))
		if r := x.Reason[d]; r != "" {
			fmt.Fprintf(&b, " %q", r)
		}
		switch o := d.Other(); {
		case !x.SawClose[o]:
			fmt.Fprintf(&b, ", not answered by %s", c.closer(o))
		case x.Code[o] != x.Code[d]:
			fmt.Fprintf(&b, ", answered %d by %s", x.Code[o], c.closer(o))
		default:
			fmt.Fprintf(&b, ", answered by %s", c.closer(o))
		}
	} else {
		b.WriteString("1006, no Close frame")
	}
	if who := c.enders(); who != "" {
		b.WriteString("; then " + who)
	}
	fmt.Fprintf(&b, "; %s up, %d down, %s", plural(x.Messages[ToServer], "message"), x.Messages[ToClient], span(x.Time.Sub(x.Opened)))
	for d, n := range x.Pings {
		if n > 0 {
			fmt.Fprintf(&b, "; %s by %s not answered", plural(n, "ping"), sender(Dir(d)))
		}
	}
	return b.String()
}

// closer is who wrote the Close of a direction, or should have. A bridge is an end of
// the WebSocket itself.
func (c *Conn) closer(d Dir) string {
	bridged := c.info.Mode == ModeToTCP && d == ToClient || c.info.Mode == ModeFromTCP && d == ToServer
	if c.ways[d].ours || bridged {
		return "wsproxy"
	}
	return sender(d)
}

// sender is the party that sends in a direction.
func sender(d Dir) string { return d.Sender() }

// Sender is the party that sends in this direction: "client" or "server".
func (d Dir) Sender() string { return name(uint8(d), "client", "server") }

func plural(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// span is a duration as people say it, to two or three digits.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
