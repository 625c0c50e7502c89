package replay

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// pass hands a request that was not recorded on to the fallback, and the rest of
// the connection with it. An exchange ends the connection, so that the next
// request, which may have been recorded, is looked at again.
func (c *conn) pass(r *request) (more bool) {
	o := &c.server.options
	up, err := net.DialTimeout("tcp", o.Fallback, o.HeadTimeout)
	if err != nil {
		return c.answer(r, sentence(http.StatusBadGateway, "wsproxy replay: what was not recorded cannot be passed on: %v", err))
	}
	defer up.Close() // all that was to be said has been, or nobody hears it
	raw := r.raw
	if !r.head.IsUpgrade() {
		raw = lastRequest(raw)
	}
	c.mu.Lock()
	c.passing = up
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		return false
	}
	_ = c.tcp.SetReadDeadline(time.Time{})
	if _, err := up.Write(append(raw, c.rest...)); err != nil {
		return false
	}
	var upward sync.WaitGroup
	upward.Go(func() {
		_, _ = io.Copy(up, c.tcp) // its end is all that it tells
		_ = up.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(c.tcp, up) // until the server ends, or the client is gone
	c.finish()
	_ = c.tcp.Close()
	upward.Wait()
	return false
}

// lastRequest is a request that asks for the end of the connection behind its answer.
func lastRequest(raw []byte) []byte {
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	kept := lines[:1]
	for _, l := range lines[1:] {
		name, _, _ := strings.Cut(l, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "Connection") && !strings.EqualFold(name, "Keep-Alive") {
			kept = append(kept, l)
		}
	}
	return []byte(strings.Join(append(kept, "Connection: close"), "\r\n") + "\r\n\r\n" + body)
}
