package h2

import "fmt"

// Bounded says what a connection holds beyond its bounds; nil: nothing.
func (c *Conn) Bounded() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.out.Len(); n > outLimit+2*c.opt.HeadLimit {
		return fmt.Errorf("%d bytes to be written", n)
	}
	if n := len(c.owners); n > c.opt.Streams && c.server {
		return fmt.Errorf("%d streams", n)
	}
	for s := range c.owners {
		if n := len(s.in.content); n > streamWindow+maxFrame {
			return fmt.Errorf("%d bytes of content on stream %d", n, s.id)
		}
		if n := len(s.in.pre) + len(s.in.trailers); n > 4*c.opt.HeadLimit {
			return fmt.Errorf("%d bytes of heads on stream %d", n, s.id)
		}
	}
	return nil
}

// Waiting is how many streams wait for their turn to send DATA.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}
