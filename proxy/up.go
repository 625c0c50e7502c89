package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// heldLimit is how many client bytes are taken while an upgrade is not answered.
// Past it the client is not read on.
const heldLimit = 64 << 10

// long ago: a deadline that wakes a read.
var past = time.Unix(1, 0)

// up moves bytes from the client to the server until the client's direction has
// ended, or the connection has.
func (c *conn) up() {
	in := newIntake(c.client)
	c.intakes[inspect.ToServer] = in
	defer in.release()
	var held []byte
	timed := false // a deadline for the head stands
	for {
		if c.parted(inspect.ToServer, in, nil) {
			return
		}
		data, err := in.next()
		if len(data) > 0 {
			now := time.Now()
			c.bytes[inspect.ToServer].Add(int64(len(data)))
			if held = c.moveUp(now, data, held); c.isOver() {
				return
			}
			if started := c.req.phase == inHead && c.req.head.Started(); started != timed {
				var by time.Time
				if timed = started; timed {
					by = now.Add(c.config.HeadTimeout)
				}
				c.headDeadline(by)
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if !c.awake() && !c.headLate() {
				return
			}
			if held = c.unhold(held); c.isOver() {
				return // perhaps handed over: the client's socket is open then
			}
			c.again(inspect.ToServer)
			continue
		}
		if err != nil && c.parted(inspect.ToServer, in, err) {
			return
		}
		if err != nil {
			c.unask(inspect.ToServer)
			c.clientEnded(err, held)
			return
		}
	}
}

// headLate ends a connection whose client is too slow with a head, and says
// whether it goes on: what is in a tunnel need be no head.
func (c *conn) headLate() (goesOn bool) {
	if c.tunnel {
		c.passPartial()
		return !c.isOver()
	}
	c.tellPartial()
	c.refuse(408, "Request Timeout", fmt.Sprintf("the request's head did not end within %v", c.config.HeadTimeout))
	return false
}

// moveUp passes on what was read; it answers the bytes that are held back.
func (c *conn) moveUp(now time.Time, data, held []byte) []byte {
	if c.req.phase == inSession {
		return c.feedUp(now, data, nil) // what was held has gone before
	}
	if !c.waits() {
		if held = c.unhold(held); c.handed != nil {
			c.handed = append(c.handed, data...) // it comes behind what was handed over
			return nil
		}
		if !c.waits() { // what was held may hold an upgrade
			return c.feedUp(now, data, held)
		}
	}
	if !c.tellsLate() {
		c.tap(inspect.ClientLeg, inspect.ToServer, now, data, marks{})
	}
	held = append(held, data...)
	if len(held) >= heldLimit {
		c.awaitAnswer()
		held = c.unhold(held)
	}
	return held
}

// waits says that the client's bytes wait for the answer to an upgrade. The
// upgrade's own body does not.
func (c *conn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holding && c.req.phase != inBody
}

// tellsLate says that bytes that are held are told when it is known what they are:
// they may hold a password for wsproxy, or a request for another connection.
func (c *conn) tellsLate() bool { return c.discreet() || c.roams() }

// awaitAnswer waits for the answer to an upgrade, or the connection's end.
func (c *conn) awaitAnswer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.holding && !c.over.Load() {
		c.changed.Wait()
	}
}

// unhold passes on what was held, if the answer has come. It was tapped before.
func (c *conn) unhold(held []byte) []byte {
	c.mu.Lock()
	holding, next := c.holding, c.next
	c.mu.Unlock()
	if holding {
		return held
	}
	if c.req.phase != inSession && next != inHead {
		c.req.phase = next
	}
	if len(held) == 0 {
		return nil
	}
	return c.feedHeld(held)
}

// feedHeld passes on what was held. It was told when it was read, or is told now.
func (c *conn) feedHeld(held []byte) []byte {
	var at marks
	asks := false
	if c.req.phase == inSession {
		asks = c.asks(inspect.ToServer)
		at = frames(&c.scan[inspect.ToServer], held)
	}
	if c.req.phase != inHead && c.tellsLate() {
		c.tap(inspect.ClientLeg, inspect.ToServer, time.Now(), held, at)
	}
	if c.req.phase == inSession {
		if asks {
			c.ask(inspect.ToServer, held)
			return nil
		}
		c.serverLeg(inspect.ToServer, time.Now(), held, marks{})
	}
	if c.req.phase != inHead {
		c.writeUp(held)
		return nil
	}
	return c.requests(time.Now(), held, c.tellsLate())
}

// feedUp tells and passes on bytes that nothing holds back.
func (c *conn) feedUp(now time.Time, data, held []byte) []byte {
	switch c.req.phase {
	case inSession:
		asks := c.asks(inspect.ToServer)
		at := frames(&c.scan[inspect.ToServer], data)
		if c.tap(inspect.ClientLeg, inspect.ToServer, now, data, at); asks {
			c.ask(inspect.ToServer, data)
			return nil
		}
		c.serverLeg(inspect.ToServer, now, data, at)
		c.writeUp(data)
	case inOther:
		c.tap(inspect.ClientLeg, inspect.ToServer, now, data, marks{})
		c.serverLeg(inspect.ToServer, now, data, marks{})
		c.writeUp(data)
	default:
		return append(held, c.requests(now, data, true)...)
	}
	return nil
}

// requests frames HTTP requests and passes them on. It answers what stands
// behind an upgrade request and must wait for the answer. told says that the
// bytes are new; held ones were told when they came.
func (c *conn) requests(now time.Time, data []byte, told bool) (held []byte) {
	tell := func(p []byte) {
		if told {
			c.tap(inspect.ClientLeg, inspect.ToServer, now, p, marks{})
		}
	}
	tellHead := func(p []byte) {
		if told {
			c.tapHead(now, p)
		}
	}
	for len(data) > 0 && !c.isOver() {
		if c.req.phase == inOther {
			tell(data)
			c.passOther(now, data)
			return nil
		}
		if c.req.phase == inHead && !c.req.head.Started() && c.stranger(now, data, tell) {
			return nil
		}
		if c.req.phase == inBody {
			_, rest, done, err := c.req.body.Next(data)
			piece := data[:len(data)-len(rest)]
			tell(piece)
			c.serverLeg(inspect.ToServer, now, piece, marks{})
			c.writeUp(piece)
			if data = rest; err != nil {
				c.req.phase = inOther // its end cannot be found: what follows goes on as it is
				tell(rest)
				c.serverLeg(inspect.ToServer, now, rest, marks{})
				c.writeUp(rest)
				return nil
			}
			if done {
				c.req.phase = inHead
			}
			if done && c.waits() {
				return c.hold(data, tell)
			}
			continue
		}
		raw, rest, err := c.req.head.Next(data)
		piece := data[:len(data)-len(rest)]
		data = rest
		if c.roams() { // only a whole head says whether it belongs here
			piece = raw
		}
		if raw == nil {
			tellHead(piece)
			if err != nil {
				c.tellPartial()
				c.refuse(431, "Request Header Fields Too Large", fmt.Sprintf("the request's head is longer than %d bytes", c.config.HeadLimit))
			}
			return nil
		}
		if c.misplaced(raw) {
			c.handOver(raw, data)
			return nil
		}
		if c.request(raw, func() { tellHead(piece) }) {
			return c.hold(data, tell)
		}
	}
	return nil
}

// hold answers what stands behind an upgrade.
func (c *conn) hold(data []byte, tell func([]byte)) (held []byte) {
	if len(data) > 0 && !c.tellsLate() {
		tell(data)
	}
	return append(held, data...)
}

// stranger deals with a client that begins with what is no HTTP, if it does.
func (c *conn) stranger(now time.Time, data []byte, tell func([]byte)) bool {
	switch {
	case data[0] == recordHandshake && c.unsecured():
		tell(data)
		c.refuseTLS()
	case c.tunnel && !letter(data[0]):
		tell(data)
		c.passOther(now, data)
	default:
		return false
	}
	return true
}

// request passes one request's head on; tell tells the client leg's bytes. It
// answers whether what follows is held until the answer.
func (c *conn) request(raw []byte, tell func()) (hold bool) {
	h, err := inspect.ParseRequest(raw)
	if err != nil && c.tunnel {
		tell()
		c.passOther(time.Now(), raw)
		return false
	}
	if err != nil {
		tell()
		c.refuse(400, "Bad Request", err.Error())
		return false
	}
	p := pending{method: h.Method, upgrade: h.IsUpgrade()}
	p.hold = p.upgrade || h.Upgrading() || h.Method == "CONNECT"
	sent := c.config.rewrite(h, c.local)
	if p.upgrade {
		if c.config.Gate != nil {
			p.session = inspect.SessionID(c.id) + c.upgrades
			p.head, _ = inspect.ParseRequest(bytes.Clone(raw)) // as above
		}
		c.noteSession(sent)
	}
	tell()
	body, err := inspect.RequestBody(h)
	if err != nil {
		c.refuse(400, "Bad Request", err.Error())
		return false
	}
	if name := c.config.AllowHost.Foreign(h, c.local); name != "" {
		c.refuse(421, "Misdirected Request", fmt.Sprintf("wsproxy stands in front of %s and does not answer for the host %q; start it with --allow-host %s if it should", c.config.Target, name, name))
		return false
	}
	if d := c.config.unauthorized(h); d != nil {
		c.denied = d
		c.refuse(d.status, d.phrase, d.why)
		return false
	}
	if h.Method == "CONNECT" && !c.tunnel { // inside a tunnel it asks the proxy at its end
		c.refuse(405, "Method Not Allowed", "wsproxy is a reverse proxy here and opens no tunnels")
		return false
	}
	if c.upstream == nil && !c.connectFor(p.upgrade) {
		return false
	}
	c.req.body = body
	if !body.Done() {
		c.req.phase = inBody
	}
	c.mu.Lock()
	c.queue = append(c.queue, p)
	c.holding = p.hold
	c.next = inHead
	c.mu.Unlock()
	if p.upgrade && !c.config.BothLegs {
		c.tap(inspect.ServerLeg, inspect.ToServer, time.Now(), sent, marks{})
	} else {
		c.serverLeg(inspect.ToServer, time.Now(), sent, marks{})
	}
	c.writeUp(sent)
	return p.hold && body.Done()
}

// noteSession names the session that an upgrade request may begin; inspection
// counts them alike.
func (c *conn) noteSession(sent []byte) {
	if h, err := inspect.ParseRequest(sent); err == nil {
		c.note(inspect.ClientLeg, inspect.ToServer, inspect.NoteSession, inspect.SessionNote{Kind: inspect.NoteSession,
			Session: inspect.SessionID(c.id) + c.upgrades, Mode: c.mode, URL: c.config.sessionURL(h)})
	}
	c.upgrades++
}

// connect dials the server and starts down. When that fails the client gets a
// 502 that says why.
func (c *conn) connect() bool { return c.connectFor(false) }

// connectFor is connect for a request that is an upgrade, or not: not every server
// takes both alike.
func (c *conn) connectFor(upgrade bool) bool {
	s, note, err := c.dial(upgrade)
	if err != nil {
		if c.isOver() {
			return false
		}
		c.config.Logf("%s", err)
		c.note(inspect.ClientLeg, inspect.ToClient, inspect.NotePeer, note)
		c.refuse(502, "Bad Gateway", err.Error())
		return false
	}
	c.mu.Lock()
	over := c.over.Load()
	c.upstream = s
	c.mu.Unlock()
	if !c.inside {
		c.note(inspect.ServerLeg, inspect.ToServer, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg, Leg: inspect.ServerLeg,
			ConnInfo: inspect.ConnInfo{ID: c.id, Mode: c.mode}, Server: c.serverEnds(s)})
		c.note(inspect.ServerLeg, inspect.ToServer, inspect.NotePeer, note)
	}
	if over {
		s.close()
		return false
	}
	c.downDone = make(chan struct{})
	go func() {
		defer close(c.downDone)
		c.down()
	}()
	return true
}

// dial dials the server apart: dialling, and TLS more so, wants a deep stack, which
// up would keep for as long as the connection lasts.
func (c *conn) dial(upgrade bool) (s *socket, note inspect.PeerNote, err error) {
	switch {
	case c.ready != nil && c.ready.err != nil:
		return nil, c.ready.note, c.ready.err
	case c.inside:
		s, err = c.server.exchanger.dial()
		return s, note, err
	case c.wantsHTTP2():
		apart(func() { s, note, err = c.dialHTTP2(upgrade) })
		return s, note, err
	case c.ready != nil:
		return c.ready.socket, c.ready.note, nil
	}
	apart(func() { s, note, err = c.dialer.dial(c.ctx) })
	return s, note, err
}

// apart runs f in a goroutine of its own and waits for it: a deep stack does not
// stay with the caller.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// writeUp writes to the server. A server that has reset the connection has reset
// the session.
func (c *conn) writeUp(p []byte) {
	if _, err := c.upstream.Write(p); err != nil && !c.isOver() && !c.inside { // a pipe's other end tells down
		c.unwritten(inspect.ServerLeg, inspect.ToClient, err)
	}
}

func writeText(err error) string {
	if _, text, cut := streamCut(err); cut {
		return text
	}
	if isReset(err) {
		return ""
	}
	return err.Error()
}

// clientEnded passes on how the client's direction ended.
func (c *conn) clientEnded(err error, held []byte) {
	if c.isOver() || errors.Is(err, net.ErrClosed) {
		return
	}
	how, text := c.client.ending(err)
	c.tellPartial()
	if how != inspect.Fin && c.tellsLate() {
		c.tapHead(time.Now(), held) // no answer will say what it was
	}
	if c.wary() {
		c.fail(c.untrusted(c.shownName(), "it left right behind the handshake"))
	}
	if c.inside && how == inspect.Fin {
		c.answers(lingerTime) // a pipe cannot end one way only
	}
	for len(held) > 0 && how == inspect.Fin {
		c.awaitAnswer() // they come before the FIN
		if held = c.unhold(held); c.isOver() {
			return
		}
	}
	c.mirror(inspect.ClientLeg, inspect.ToServer, how, text)
	switch {
	case how != inspect.Fin:
	case c.upstream == nil:
		c.closing() // nobody is left who would answer
	case c.carrier != nil && c.sessions.Load() == 0:
		c.closeSockets() // a stream's one request has its answer
	}
}

// closing ends the client leg of a connection without a server.
func (c *conn) closing() {
	if c.client.finish() == nil {
		c.ended(inspect.ClientLeg, inspect.ToClient, inspect.Self, "")
	}
}

// refuse answers in the server's place, in plain text, and ends the connection.
func (c *conn) refuse(status int, phrase, why string) {
	c.drained()
	if c.isOver() {
		return
	}
	text := "wsproxy: " + strings.ToUpper(why[:1]) + why[1:] + ".\n"
	more := ""
	if c.denied != nil {
		more = c.denied.header
	}
	page := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n%s\r\n%s",
		status, phrase, len(text), more, text)
	c.tap(inspect.ClientLeg, inspect.ToClient, time.Now(), []byte(page), marks{})
	by := time.Now().Add(lingerTime)
	c.headDeadline(by)
	_ = c.client.SetWriteDeadline(by) // a closed socket tells with the write
	if _, err := c.client.Write([]byte(page)); err == nil {
		c.closing()
	}
	c.linger()
	c.mu.Lock()
	c.why = why
	c.mu.Unlock()
	c.closeSockets()
}

// lingerTime is how long a client that was refused may take to read why.
const lingerTime = time.Second

// linger reads on for a moment: closing a socket with unread bytes would reset
// it, and the client might lose the answer.
func (c *conn) linger() {
	buf := make([]byte, 4096)
	for range 64 {
		n, err := c.client.Read(buf)
		c.tapHead(time.Now(), buf[:n])
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if err == nil || late && c.awake() {
			continue
		}
		if !late && !c.isOver() {
			how, text := c.client.ending(err)
			c.ended(inspect.ClientLeg, inspect.ToServer, how, text)
		}
		return
	}
}

// drained waits until every request before has its answer.
func (c *conn) drained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 && !c.over.Load() {
		c.changed.Wait()
	}
}
