package replay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// bufferSize is how much is read at once.
const bufferSize = 32 << 10

// conn is one client connection: HTTP exchanges, then perhaps a session. One
// goroutine owns it, run; a session has another one that writes.
type conn struct {
	// Fixed at the start.
	server *Replayer
	tcp    wire

	// Owned by run.
	head inspect.HeadScanner
	rest []byte // read and not looked at yet

	mu      sync.Mutex
	player  *player  // the session, once it has begun
	passing net.Conn // the fallback, while it answers; nil: it does not
	stopped bool
	busy    bool // a request is under way
}

// request is one HTTP request, whole.
type request struct {
	head *inspect.Head
	raw  []byte // all of it, framing included
	body []byte
}

// errAnswered says that what is wrong has been said to the client.
var errAnswered = errors.New("answered")

// run serves the connection to its end. It returns when the socket is closed and
// the session's writer, if there was one, has returned.
func (c *conn) run() {
	defer c.close()
	for {
		r, err := c.read()
		if err != nil || r == nil {
			return
		}
		if !c.serve(r) {
			return
		}
		if c.setBusy(false) {
			return
		}
	}
}

func (c *conn) close() { _ = c.tcp.Close() }

// setBusy answers whether the connection is to end.
func (c *conn) setBusy(on bool) (stopped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = on
	return c.stopped
}

// stop ends the connection from outside.
func (c *conn) stop() {
	c.mu.Lock()
	c.stopped = true
	p, up := c.player, c.passing
	c.mu.Unlock()
	if p != nil {
		p.stop()
	}
	if up != nil {
		_ = up.Close() // it has told all that it will
	}
	c.close()
}

// stopIdle ends the connection unless something is under way on it.
func (c *conn) stopIdle() {
	c.mu.Lock()
	c.stopped = true
	idle := !c.busy && c.player == nil
	c.mu.Unlock()
	if idle {
		c.close()
	}
}

// fill reads the client's next bytes if none are left over.
func (c *conn) fill(within time.Duration) error {
	if len(c.rest) > 0 {
		return nil
	}
	var by time.Time
	if within > 0 {
		by = time.Now().Add(within)
	}
	return c.fillBy(by)
}

func (c *conn) fillBy(by time.Time) error {
	if len(c.rest) > 0 {
		return nil
	}
	_ = c.tcp.SetReadDeadline(by) // a closed socket tells with the read
	b := make([]byte, bufferSize)
	n, err := c.tcp.Read(b)
	c.rest = b[:n]
	if n > 0 {
		return nil
	}
	return err
}

// read reads one request; nil at the end of the connection.
func (c *conn) read() (*request, error) {
	if err := c.fill(0); err != nil {
		return nil, err
	}
	if c.setBusy(true) {
		return nil, nil
	}
	by := time.Now().Add(c.server.options.HeadTimeout)
	for {
		if err := c.fillBy(by); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.refuse(http.StatusRequestTimeout, "the request's head did not come whole")
			}
			return nil, err
		}
		raw, rest, err := c.head.Next(c.rest)
		if err != nil {
			c.refuse(http.StatusRequestHeaderFieldsTooLarge, "%v", err)
			return nil, errAnswered
		}
		c.rest = rest
		if raw != nil {
			return c.body(append([]byte(nil), raw...))
		}
	}
}

// body reads the rest of a request.
func (c *conn) body(raw []byte) (*request, error) {
	h, err := inspect.ParseRequest(raw)
	if err != nil {
		c.refuse(http.StatusBadRequest, "%s", visible(err.Error()))
		return nil, errAnswered
	}
	r := &request{head: h, raw: raw}
	framing, err := inspect.RequestBody(h)
	if err != nil {
		c.refuse(http.StatusBadRequest, "%s", visible(err.Error()))
		return nil, errAnswered
	}
	if !framing.Done() && h.Token("Expect", "100-continue") {
		if _, err := io.WriteString(c.tcp, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return nil, err
		}
	}
	limit := c.server.options.Limits.Message
	if limit == 0 {
		limit = 16 << 20
	}
	for !framing.Done() {
		if err := c.fill(c.server.options.HeadTimeout); err != nil {
			return nil, err
		}
		data, rest, _, err := framing.Next(c.rest)
		if err != nil {
			c.refuse(http.StatusBadRequest, "%s", visible(err.Error()))
			return nil, errAnswered
		}
		r.raw = append(r.raw, c.rest[:len(c.rest)-len(rest)]...)
		r.body = append(r.body, data...)
		c.rest = rest
		if int64(len(r.raw)) > limit+int64(len(raw)) {
			c.refuse(http.StatusRequestEntityTooLarge, "a body of more than %d bytes", limit)
			return nil, errAnswered
		}
	}
	return r, nil
}

// serve answers a request and says whether another one may follow.
func (c *conn) serve(r *request) (more bool) {
	if name := c.server.options.AllowHost.Foreign(r.head, c.tcp.LocalAddr()); name != "" {
		why := fmt.Sprintf("a request for the host %s, which is not allowed (--allow-host)", visible(name))
		if c.server.options.Missed != nil {
			c.server.options.Missed(why)
		}
		return c.answer(r, sentence(http.StatusMisdirectedRequest, "wsproxy replay: %s", why))
	}
	if r.head.IsUpgrade() {
		return c.upgrade(r)
	}
	if x := c.server.pick.exchange(r.head, r.body); x != nil {
		return c.answer(r, &x.Answer)
	}
	if c.server.options.Fallback != "" {
		return c.pass(r)
	}
	why := visible(r.head.Method+" "+r.head.Target) + " is not in the recording"
	if c.server.options.Missed != nil {
		c.server.options.Missed(why)
	}
	return c.answer(r, sentence(http.StatusNotFound, "wsproxy replay: %s", why))
}

// upgrade serves the session that was recorded for a request.
func (c *conn) upgrade(r *request) (more bool) {
	if !c.server.begin() {
		return c.answer(r, sentence(http.StatusServiceUnavailable, "wsproxy replay: one session is served (--once), and another client has it"))
	}
	result := Result{Path: r.head.Target, Client: c.tcp.RemoteAddr().String()}
	scope := c.server.scope()
	s, err := c.server.pick.session(r.head, scope)
	if err != nil && c.server.options.Fallback != "" {
		c.server.free()
		return c.pass(r)
	}
	if err != nil {
		result.Status = http.StatusNotFound
		result.Mismatch = &Mismatch{Problem: err.Error()}
		more = c.answer(r, sentence(http.StatusNotFound, "wsproxy replay: %v", err))
		c.server.ended(result, false)
		return more
	}
	result.Session, result.Status = s.N, s.Upgrade.Accept.Status
	if !s.Upgrade.Accepted() {
		more = c.answer(r, &s.Upgrade.Accept)
		c.server.ended(result, c.server.lasting)
		return more
	}
	a, err := agree(s.Upgrade, r.head)
	if err != nil {
		result.Status = http.StatusBadRequest
		result.Mismatch = &Mismatch{Problem: err.Error()}
		more = c.answer(r, sentence(http.StatusBadRequest, "wsproxy replay: %v", err))
		c.server.ended(result, false)
		return more
	}
	p := newPlayer(c.tcp, s, a, cassette.Hear(r.raw, a.answer, c.server.options.Limits))
	o := &c.server.options
	p.await.scope, p.onMiss, p.speed, p.loop = scope, o.OnMiss, o.Speed, o.Loop
	c.play(p, result)
	return false
}

// play serves a session to its end.
func (c *conn) play(p *player, result Result) {
	c.mu.Lock()
	c.player = p
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		p.stop()
	}
	_ = c.tcp.SetReadDeadline(time.Time{}) // no limit for an open socket
	p.run(c.rest)
	p.fill(&result)
	c.close()
	c.server.ended(result, false)
}

// answer writes an answer and says whether another request may follow.
func (c *conn) answer(r *request, a *cassette.Answer) (more bool) {
	raw, untilClose := response(a, r.head.Method)
	_ = c.tcp.SetWriteDeadline(time.Time{})
	if _, err := c.tcp.Write(raw); err != nil {
		return false
	}
	last := &inspect.Head{Fields: a.Headers}
	if !untilClose && !last.Token("Connection", "close") && !r.head.Token("Connection", "close") && r.head.Proto != "HTTP/1.0" {
		return true
	}
	c.finish()
	return false
}

// refuse answers what is no request that can be served.
func (c *conn) refuse(status int, format string, args ...any) {
	raw, _ := response(sentence(status, "wsproxy replay: "+format, args...), "")
	_ = c.tcp.SetWriteDeadline(time.Now().Add(lingerTime))
	if _, err := c.tcp.Write(raw); err == nil {
		c.finish()
	}
}

// finish sends a FIN and gives the client a moment to do the same: a socket that
// is closed with bytes unread is reset, and its last answer lost.
func (c *conn) finish() {
	if c.tcp.CloseWrite() != nil {
		return
	}
	_ = c.tcp.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, c.tcp) // until the FIN, a reset or the deadline
}
