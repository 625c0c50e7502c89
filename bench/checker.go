package main

import "github.com/wsproxy/wsproxy/inspect"

// checker takes what arrives on one connection apart and compares it with what was
// sent. It allocates nothing a message.
type checker struct {
	want   content
	size   int  // of a message, where frames do not say; 0: they do
	asides bool // text messages are words between the two ends, not content

	scan       inspect.Scanner
	at         int  // bytes of the message so far, where frames do not say
	aside      bool // the message that arrives is one
	compressed bool

	next      uint64 // sequence number of the message to come
	messages  int64  // that were what was sent
	bytes     int64  // of payload
	lost      int64
	corrupted int64
	said      []byte // the last aside
	heard     bool   // an aside has come whole
	closed    bool   // a Close frame has come
}

// feed takes bytes as they were read; done is called for each message that has come
// whole and intact.
func (c *checker) feed(p []byte, done func(seq uint64)) {
	for len(p) > 0 {
		h, fresh, payload, rest := c.scan.Next(p)
		p = rest
		if fresh {
			c.begin(h)
		}
		if h.Len() == 0 {
			continue
		}
		if c.size > 0 && !h.Opcode().Control() {
			c.flow(payload, done)
			continue
		}
		if !h.Opcode().Control() {
			c.piece(payload)
		}
		if c.scan.Left() == 0 && h.Fin() && !h.Opcode().Control() {
			c.end(done)
		}
	}
}

// flow takes payload of messages that are told apart by their size alone.
func (c *checker) flow(p []byte, done func(seq uint64)) {
	for len(p) > 0 {
		n := min(len(p), c.size-c.at)
		c.piece(p[:n])
		p = p[n:]
		if c.at += n; c.at == c.size {
			c.at = 0
			c.end(done)
		}
	}
}

func (c *checker) begin(h inspect.Header) {
	switch op := h.Opcode(); {
	case op == inspect.OpClose:
		c.closed = true
	case op.Control() || op == inspect.OpContinuation:
	default:
		c.compressed = h.Rsv1()
		if c.aside = c.asides && op == inspect.OpText; c.aside {
			c.said = c.said[:0]
		}
	}
}

func (c *checker) piece(p []byte) {
	if c.aside {
		c.said = append(c.said, p...)
		return
	}
	c.bytes += int64(len(p))
	c.want.piece(p)
}

func (c *checker) end(done func(seq uint64)) {
	if c.aside {
		c.heard = true
		return
	}
	seq, intact := c.want.end(c.next, c.compressed)
	switch {
	case !intact, seq < c.next: // altered, or a second time
		c.corrupted++
		if !intact {
			c.next++
		}
		return
	case seq > c.next:
		c.lost += int64(seq - c.next)
	}
	c.next = seq + 1
	c.messages++
	if done != nil {
		done(seq)
	}
}

// outstanding counts what was sent, up to the sequence number sent, and has not come
// back as lost.
func (c *checker) outstanding(sent uint64) {
	if sent > c.next {
		c.lost += int64(sent - c.next)
		c.next = sent
	}
}
