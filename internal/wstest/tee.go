package wstest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Tee listens on a free loopback port, dials its target for each connection and
// copies both ways, mirrors FIN and RST, and keeps every byte. With one on each
// side of a proxy, what the proxy did is what differs between the two.
type Tee struct {
	Addr string // host:port

	target   string
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond
	log     []*Passed
}

// Passed is one connection of a Tee.
type Passed struct {
	mu    sync.Mutex
	bytes [2][]byte // by inspect.Dir
	ends  Endings
	over  chan struct{}
}

// Endings are how the two sides of a connection ended: the client's end is that
// of the bytes to the server. Behind a reset of either side nothing is told.
type Endings struct{ Client, Server inspect.End }

// NewTee starts a tee in front of target. Its goroutines are one that accepts
// and two for each connection; Close waits for them.
func NewTee(target string) (*Tee, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Tee{Addr: l.Addr().String(), target: target, listener: l}
	t.changed.L = &t.mu
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.running.Go(t.accept)
	return t, nil
}

func (t *Tee) accept() {
	for {
		c, err := t.listener.Accept()
		if err != nil {
			return
		}
		p := &Passed{over: make(chan struct{})}
		t.mu.Lock()
		t.log = append(t.log, p)
		t.changed.Broadcast()
		t.mu.Unlock()
		t.running.Go(func() { t.pass(p, c.(*net.TCPConn)) })
	}
}

// pass copies one connection to its end.
func (t *Tee) pass(p *Passed, client *net.TCPConn) {
	defer close(p.over)
	defer client.Close()
	server, err := dialTCP(t.ctx, t.target)
	if err != nil {
		_ = client.SetLinger(0) // the target refuses: so do we
		return
	}
	defer server.Close()
	stop := context.AfterFunc(t.ctx, func() {
		_ = client.Close() // closed twice at worst
		_ = server.Close()
	})
	defer stop()
	var down sync.WaitGroup
	down.Go(func() { p.copy(inspect.ToClient, server, client) })
	p.copy(inspect.ToServer, client, server)
	down.Wait()
}

// copy moves the bytes of one direction and then passes its end on.
func (p *Passed) copy(d inspect.Dir, from, to *net.TCPConn) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.keep(d, b[:n])
		if n > 0 {
			if _, e := to.Write(b[:n]); e != nil {
				p.reset(d.Other(), e, to, from)
				return
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			p.end(d, inspect.Fin)
			if e := to.CloseWrite(); e != nil {
				p.reset(d.Other(), e, to, from)
			}
			return
		default:
			p.reset(d, err, from, to)
			return
		}
	}
}

func (p *Passed) keep(d inspect.Dir, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes[d] = append(p.bytes[d], b...)
}

// end notes how the side that sends in d has ended; the first word counts, and
// behind a reset of the other side there is none.
func (p *Passed) end(d inspect.Dir, how inspect.End) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine, other := &p.ends.Client, p.ends.Server
	if d == inspect.ToClient {
		mine, other = &p.ends.Server, p.ends.Client
	}
	if *mine == inspect.NoEnd && other != inspect.Rst {
		*mine = how
	}
}

// reset notes that the side that sends in d has reset the connection, which is
// gone by that, and resets the other.
func (p *Passed) reset(d inspect.Dir, err error, gone, other *net.TCPConn) {
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return // our own closing
	}
	p.end(d, inspect.Rst)
	_ = gone.Close()
	drain(other)
	_ = other.SetLinger(0) // on a closed socket there is nothing left to do
	_ = other.Close()
}

// drain waits until a peer has what was sent: a reset would throw it away.
func drain(c *net.TCPConn) {
	by := time.Now().Add(2 * time.Second)
	for unsent(c) > 0 && time.Now().Before(by) {
		time.Sleep(time.Millisecond) // no system tells when a send queue is empty
	}
}

// Wait answers the n-th connection, from 0, once it is over.
func (t *Tee) Wait(ctx context.Context, n int) (*Passed, error) {
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.changed.Broadcast()
	})
	defer stop()
	t.mu.Lock()
	for len(t.log) <= n && ctx.Err() == nil {
		t.changed.Wait()
	}
	if ctx.Err() != nil {
		t.mu.Unlock()
		return nil, ctx.Err()
	}
	p := t.log[n]
	t.mu.Unlock()
	select {
	case <-p.over:
		return p, nil
	case <-ctx.Done():
		return p, ctx.Err()
	}
}

// Bytes are those that have passed in a direction so far, in memory of their own.
func (p *Passed) Bytes(d inspect.Dir) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]byte(nil), p.bytes[d]...)
}

// Ends are how the two sides have ended so far.
func (p *Passed) Ends() Endings {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ends
}

// Len is how many connections were accepted.
func (t *Tee) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.log)
}

// Close ends everything that is still open and waits for it.
func (t *Tee) Close() error {
	err := t.listener.Close()
	t.cancel()
	t.running.Wait()
	return err
}
