package main

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/wsproxy/wsproxy/inspect"
)

// The most that is read at once; buffers begin small and grow when a read fills them.
const (
	firstBuffer = 4 << 10
	mostBuffer  = 256 << 10
)

// loadServer is the server of the load: it echoes under /echo and pushes messages
// under /push?size=N until it is told to stop.
type loadServer struct {
	mu       sync.Mutex
	patterns map[int]*pattern
}

// serve returns when the listener is closed; connections end with the process, or
// with their clients.
func (s *loadServer) serve(l net.Listener) error {
	return acceptEach(l, func(c net.Conn) { _ = s.session(c) }) // the client's side counts what is missing
}

func (s *loadServer) session(c net.Conn) error {
	buf := make([]byte, firstBuffer)
	target, rest, err := accept(c, buf)
	if err != nil {
		return err
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return err
	}
	if u.Path == "/push" {
		size, err := strconv.Atoi(u.Query().Get("size"))
		if err != nil || size < 8 || size > 16<<20 {
			return fmt.Errorf("no size to push: %q", target)
		}
		return push(c, s.pattern(size))
	}
	return echo(c, buf, rest)
}

func (s *loadServer) pattern(size int) *pattern {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.patterns == nil {
		s.patterns = map[int]*pattern{}
	}
	if s.patterns[size] == nil {
		s.patterns[size] = newPattern(size, false)
	}
	return s.patterns[size]
}

// echo sends every frame back without its mask, as its bytes arrive: a long one
// goes out before it is whole.
func echo(c net.Conn, buf, first []byte) error {
	var e echoer
	out := e.feed(make([]byte, 0, firstBuffer), first)
	for {
		if len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return err
			}
		}
		if e.closed {
			return nil
		}
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		out = e.feed(out[:0], buf[:n])
		if n == len(buf) && n < mostBuffer {
			buf = make([]byte, 4*n)
		}
	}
}

// echoer turns a client's stream into the server's answer.
type echoer struct {
	scan   inspect.Scanner
	pos    int64 // in the frame's payload
	closed bool
}

func (e *echoer) feed(out, p []byte) []byte {
	for len(p) > 0 && !e.closed {
		h, fresh, payload, rest := e.scan.Next(p)
		p = rest
		if fresh {
			e.pos = 0
			out = inspect.NewHeader(inspect.Fields{Fin: h.Fin(), Rsv1: h.Rsv1(), Opcode: h.Opcode(), Length: h.Length()}).Append(out)
		}
		if len(payload) > 0 {
			from := len(out)
			out = append(out, payload...)
			inspect.Mask(h.Key(), e.pos, out[from:])
			e.pos += int64(len(payload))
		}
		e.closed = h.Opcode() == inspect.OpClose && h.Len() > 0 && e.scan.Left() == 0
	}
	return out
}

// batchSize is how much goes out at once.
const batchSize = 64 << 10

// push sends messages until the client says "stop", and then how many there were.
func push(c net.Conn, p *pattern) error {
	var stopped atomic.Bool
	go func() {
		awaitStop(c)
		stopped.Store(true) // the writer sees it, or fails
	}()
	var seq uint64
	batch := make([]byte, 0, batchSize+p.size+64)
	for !stopped.Load() {
		for batch = batch[:0]; len(batch) < batchSize; seq++ {
			batch = p.appendFrame(batch, seq)
		}
		if _, err := c.Write(batch); err != nil {
			return err
		}
	}
	text := fmt.Appendf(nil, "sent %d", seq)
	h := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Length: uint64(len(text))})
	if _, err := c.Write(append(h.Raw(), text...)); err != nil {
		return err
	}
	for { // until the client has read it and ends the connection
		if _, err := c.Read(batch[:cap(batch)]); err != nil {
			return nil
		}
	}
}

// awaitStop returns when the client has said something, or is gone.
func awaitStop(c net.Conn) {
	check := checker{asides: true, want: newPattern(8, true)}
	var e echoer
	buf, out := make([]byte, 512), make([]byte, 0, 1024)
	for !check.heard && !check.closed {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		out = e.feed(out[:0], buf[:n]) // without the mask
		check.feed(out, nil)
	}
}
