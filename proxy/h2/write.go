package h2

import (
	"bytes"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// write is the goroutine that writes to the socket. It takes what has been put in
// out, in one piece, and ends when the connection is over and the last has gone.
func (c *Conn) write() {
	var spare bytes.Buffer
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for c.out.Len() == 0 && c.over == nil {
			c.flush.Wait()
		}
		if c.out.Len() == 0 {
			return
		}
		c.out, spare = spare, c.out
		for _, s := range c.heads {
			s.writable.Broadcast()
		}
		c.heads = c.heads[:0]
		c.nudge()
		c.mu.Unlock()
		_, err := c.nc.Write(spare.Bytes())
		if spare.Reset(); spare.Cap() > 2*outBound {
			spare = bytes.Buffer{}
		}
		c.mu.Lock()
		if err != nil {
			c.fail(&EndError{err})
			return
		}
	}
}

// nudge lets the first of those that wait look whether it may send: c.mu is held.
func (c *Conn) nudge() {
	if len(c.queue) > 0 {
		c.queue[0].writable.Broadcast()
	}
}

// room waits until s may send a head: it needs no window, so it does not wait for
// the turn of those that do. c.mu is held.
func (s *Stream) room() error {
	for {
		if err := s.unsendable(); err != nil || s.c.out.Len() < outBound {
			return err
		}
		s.c.heads = append(s.c.heads, s)
		s.writable.Wait()
	}
}

// turn waits until s may send DATA, behind those that asked before, and answers
// how many of want bytes. c.mu is held.
func (s *Stream) turn(want int) (int, error) {
	c := s.c
	queued := false
	leave := func() {
		for i := range c.queue {
			if queued && c.queue[i] == s {
				c.queue = append(c.queue[:i], c.queue[i+1:]...)
				queued = false
				c.nudge()
				return
			}
		}
	}
	defer leave()
	for {
		if err := s.unsendable(); err != nil {
			return 0, err
		}
		if s.send <= 0 { // it holds nobody else up
			leave()
			s.writable.Wait()
			continue
		}
		if !queued {
			c.queue, queued = append(c.queue, s), true
		}
		if n := min(int64(want), s.send, c.send, int64(c.peer.frame)); c.queue[0] == s && c.out.Len() < outBound && n > 0 {
			return int(n), nil
		}
		s.writable.Wait()
	}
}

// sendData sends p as DATA, as windows allow, and END_STREAM with its last frame
// if end says so. It answers how much has gone.
func (s *Stream) sendData(p []byte, end bool) (sent int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p) > 0 {
		n, err := s.turn(len(p))
		if err != nil {
			return sent, err
		}
		last := end && n == len(p)
		_ = c.fw.WriteData(s.id, last, p[:n])
		c.patience.earn(2) // a WINDOW_UPDATE for the stream and one for the connection are due
		c.send -= int64(n)
		s.send -= int64(n)
		c.flush.Signal()
		sent, p = sent+n, p[n:]
		if last {
			s.ending()
		}
	}
	return sent, nil
}

// sendEnd sends END_STREAM, with trailers if there are any.
func (s *Stream) sendEnd(trailers []hpack.HeaderField) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.unsendable(); err != nil {
		return err
	}
	if len(trailers) > 0 {
		c.writeFields(s.id, trailers, true)
	} else {
		_ = c.fw.WriteData(s.id, true, nil)
	}
	c.flush.Signal()
	s.ending()
	return nil
}

// sendHead sends the fields of a message. In the client's role the first ones give
// the stream its number.
func (s *Stream) sendHead(fields []hpack.HeaderField, end bool) error {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.room(); err != nil {
		return err
	}
	if s.id == 0 {
		if c.goAway != nil {
			return c.goAway
		}
		s.id, s.reserved = c.nextID, false
		c.nextID += 2
		c.reserved--
		c.streams[s.id] = s
		s.send = c.peer.window
	}
	c.writeFields(s.id, fields, end)
	c.flush.Signal()
	if end {
		s.ending()
	}
	return nil
}

// writeFields writes HEADERS and the CONTINUATIONs that it takes: c.mu is held.
func (c *Conn) writeFields(id uint32, fields []hpack.HeaderField, end bool) {
	c.hbuf.Reset()
	for _, f := range fields {
		_ = c.henc.WriteField(f)
	}
	for first := true; first || c.hbuf.Len() > 0; first = false {
		piece := c.hbuf.Next(c.peer.frame)
		whole := c.hbuf.Len() == 0
		if first {
			_ = c.fw.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: piece, EndStream: end, EndHeaders: whole})
		} else {
			_ = c.fw.WriteContinuation(id, whole, piece)
		}
	}
}

// reset puts RST_STREAM behind what has been sent on a stream: c.mu is held.
func (c *Conn) reset(id uint32, code http2.ErrCode) {
	_ = c.fw.WriteRSTStream(id, code)
	c.recent[c.lately%len(c.recent)] = id
	c.lately++
	c.flush.Signal()
}

// spend takes n off the peer's patience; an error means that it has none left.
// c.mu is held.
func (c *Conn) spend(n int, what string) error {
	if !c.patience.spend(time.Now(), n) {
		return breach(http2.ErrCodeEnhanceYourCalm, "too many %s", what)
	}
	return nil
}
