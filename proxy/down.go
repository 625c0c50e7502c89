package proxy

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// down moves bytes from the server to the client until the server's direction
// has ended, or the connection has.
func (c *conn) down() {
	in := newIntake(c.upstream)
	c.intakes[inspect.ToClient] = in
	defer in.release()
	for {
		if c.parted(inspect.ToClient, in, nil) {
			return
		}
		data, err := in.next()
		if len(data) > 0 {
			c.bytes[inspect.ToClient].Add(int64(len(data)))
			if c.feedDown(time.Now(), data); c.isOver() {
				return
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) { // roused
			_ = c.upstream.SetReadDeadline(time.Time{}) // a closed socket tells with the next read
			c.again(inspect.ToClient)
			continue
		}
		if err != nil && c.parted(inspect.ToClient, in, err) {
			return
		}
		if err != nil {
			c.unask(inspect.ToClient)
			c.serverEnded(err)
			return
		}
	}
}

func (c *conn) serverEnded(err error) {
	if c.isOver() || errors.Is(err, net.ErrClosed) {
		return
	}
	how, text := c.upstream.ending(err)
	if c.mirror(inspect.ServerLeg, inspect.ToClient, how, text); c.isOver() {
		return
	}
	// No answer will come any more: up is not to wait for one, and a server
	// that ends an HTTP connection has nothing to be asked.
	c.mu.Lock()
	c.queue, c.holding, c.next = nil, false, inOther
	http := c.sessions.Load() == 0 && !c.opaque
	c.changed.Broadcast()
	c.rouse()
	c.mu.Unlock()
	if http {
		c.lastWords()
	}
}

// lastWords gives a client a moment to end a connection that the server has
// ended between requests, and then ends it.
func (c *conn) lastWords() {
	timer := time.AfterFunc(lingerTime, func() { c.stop("the server ended the connection") })
	<-c.ctx.Done()
	timer.Stop()
}

// feedDown passes on what was read from the server.
func (c *conn) feedDown(now time.Time, data []byte) {
	for len(data) > 0 && !c.isOver() {
		switch c.resp.phase {
		case inSession:
			asks := c.asks(inspect.ToClient)
			at := frames(&c.scan[inspect.ToClient], data)
			if c.serverLeg(inspect.ToClient, now, data, at); asks {
				c.ask(inspect.ToClient, data)
				return
			}
			c.pass(now, data, at)
			return
		case inBody:
			_, rest, done, err := c.resp.body.Next(data)
			piece := data[:len(data)-len(rest)]
			c.serverLeg(inspect.ToClient, now, piece, marks{})
			c.pass(now, piece, marks{})
			if data = rest; err != nil {
				c.unframed()
			} else if done {
				c.resp.phase = inHead
				c.answered(inHead)
			}
		case inHead:
			raw, rest, err := c.resp.head.Next(data)
			piece := data[:len(data)-len(rest)]
			if err != nil {
				piece, rest = data, nil
			}
			after := c.respond(raw, now, piece)
			c.pass(now, piece, marks{})
			if data = rest; err != nil {
				c.unframed()
			} else if after != nil {
				after()
			}
		default:
			c.serverLeg(inspect.ToClient, now, data, marks{})
			c.pass(now, data, marks{})
			return
		}
	}
}

// pass tells bytes and writes them to the client.
func (c *conn) pass(now time.Time, p []byte, at marks) {
	c.tap(inspect.ClientLeg, inspect.ToClient, now, p, at)
	if _, err := c.client.Write(p); err != nil && !c.isOver() {
		c.unwritten(inspect.ClientLeg, inspect.ToServer, err)
	}
}

// unframed goes on without framing: what the server sends is not HTTP/1.
func (c *conn) unframed() {
	c.resp.phase = inOther
	c.answered(inOther)
}

// respond reads a response's head, nil if it is not whole, and tells the server
// leg. What it answers is to be done once the client has the head.
func (c *conn) respond(raw []byte, now time.Time, piece []byte) func() {
	c.mu.Lock()
	var p pending
	if len(c.queue) > 0 {
		p = c.queue[0]
	}
	c.mu.Unlock()
	if p.upgrade && !c.config.BothLegs {
		c.tap(inspect.ServerLeg, inspect.ToClient, now, piece, marks{})
	} else {
		c.serverLeg(inspect.ToClient, now, piece, marks{})
	}
	if raw == nil {
		return nil
	}
	h, err := inspect.ParseResponse(raw)
	if err != nil {
		return c.unframed
	}
	if h.Status < 200 && h.Status != 101 {
		return nil // the final answer is to come
	}
	c.noteHTTP2(inspect.ServerLeg)
	if h.Status == 101 && p.hold || p.method == "CONNECT" && h.Status/100 == 2 {
		next := inOther
		if p.upgrade {
			next = inSession
		}
		return func() {
			if c.resp.phase = next; next == inSession {
				c.enter(&p, h)
			}
			c.answered(next)
		}
	}
	body, err := inspect.ResponseBody(h, p.method)
	if err != nil {
		return c.unframed
	}
	if body.Done() {
		return func() { c.answered(inHead) }
	}
	c.resp.body = body
	return func() { c.resp.phase = inBody }
}

// answered takes the oldest request off the queue: its answer is whole. next is
// what the client's bytes behind it are.
func (c *conn) answered(next phase) {
	if next == inSession {
		c.sessions.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		c.queue = c.queue[1:]
	}
	if c.holding && (len(c.queue) == 0 || next != inHead) {
		c.holding, c.next = false, next
		c.rouse() // up may wait in a read with bytes in hand
	}
	c.changed.Broadcast()
}
