package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy/h2"
)

// trunks are the HTTP/2 connections to servers that the streams of one client's
// connection share; they are never shared by clients. Whoever made it closes it.
type trunks struct {
	server *Server

	mu      sync.Mutex
	to      map[place]*terminus
	all     []*h2.Conn
	running sync.WaitGroup // the frame loops
}

// place is where trunks lead: the same server may be reached in two ways.
type place struct {
	of         *Config
	addr, name string
}

// terminus is a server that trunks lead to.
type terminus struct {
	turn chan struct{} // who holds it looks for a trunk, or dials: those behind use what came of it

	// Of whoever has the turn.
	trunks []*trunk
	spare  *dialled // an HTTP/1.1 connection that nobody has used yet
	old    bool     // it was offered HTTP/2 and took HTTP/1.1
	failed *dialled // the last dialling, if it came to nothing
	when   time.Time
}

// trunk is one HTTP/2 connection to a server.
type trunk struct {
	h2     *h2.Conn
	note   inspect.PeerNote
	shared bool // it has had a stream
}

func (s *Server) newTrunks() *trunks { return &trunks{server: s, to: map[place]*terminus{}} }

func (t *trunks) terminus(d dialer) *terminus {
	key := place{d.of, d.addr, d.name}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.to[key]
	if at == nil {
		at = &terminus{turn: make(chan struct{}, 1)}
		t.to[key] = at
	}
	return at
}

// close ends all of them and waits for their frame loops. No stream is opened any
// more.
func (t *trunks) close() {
	if t == nil {
		return
	}
	t.mu.Lock()
	for _, c := range t.all {
		c.Close()
	}
	for _, at := range t.to {
		if at.spare != nil {
			at.spare.socket.close()
		}
	}
	t.mu.Unlock()
	t.running.Wait()
}

// adopt takes in a connection that was dialled before. The error is that of
// h2.Conn's Ready if it speaks HTTP/2.
func (t *trunks) adopt(ctx context.Context, d dialer, r *dialled) error {
	at := t.terminus(d)
	if !r.socket.speaksHTTP2() {
		at.old, at.spare = true, r
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	return t.lay(at, d, r).h2.Ready(ctx)
}

// lay makes a trunk of a connection: close waits for its frame loop.
func (t *trunks) lay(at *terminus, d dialer, r *dialled) *trunk {
	o := h2.Options{Logf: t.server.config.Logf, HeadLimit: int(t.server.config.HeadLimit), Greeting: d.timeout}
	if !d.secure {
		o.Scheme = "http"
	}
	nc := r.socket.Conn
	if len(r.socket.ahead) > 0 { // behind another proxy's answer
		nc = &under{Conn: nc, ahead: r.socket.ahead}
	}
	k := &trunk{h2: h2.NewClient(nc, o), note: r.note}
	k.note.HTTP2 = true
	at.trunks = append(at.trunks, k)
	t.mu.Lock()
	t.all = append(t.all, k.h2)
	t.mu.Unlock()
	t.running.Add(1)
	go func() {
		defer t.running.Done()
		_ = k.h2.Run() // its streams tell
		t.mu.Lock()
		defer t.mu.Unlock()
		t.all = slices.DeleteFunc(t.all, func(c *h2.Conn) bool { return c == k.h2 })
	}()
	return k
}

// open answers a stream to the server, on a trunk that is there or a new one. A server
// that speaks no HTTP/2, or takes no WebSockets on it and is to, gets HTTP/1.1.
func (t *trunks) open(ctx context.Context, d dialer, upgrade bool) (*socket, inspect.PeerNote, error) {
	at := t.terminus(d)
	asked := time.Now()
	select {
	case at.turn <- struct{}{}:
	case <-ctx.Done():
		r := d.step(ctx, &dialled{note: inspect.PeerNote{Kind: inspect.NotePeer, Addr: d.addr}}, func(ctx context.Context, _ *dialled) error { return ctx.Err() })
		return nil, r.note, r.err
	}
	r := at.failed
	if r == nil || asked.After(at.when) { // who waited for another's dialling does not begin again
		r = t.find(ctx, at, d, upgrade)
		at.failed, at.when = nil, time.Now()
		if r != nil && r.err != nil && ctx.Err() == nil && !errors.Is(r.err, h2.ErrNoExtendedConnect) {
			at.failed = r
		}
	}
	<-at.turn
	if r != nil && !errors.Is(r.err, h2.ErrNoExtendedConnect) {
		return r.socket, r.note, r.err
	}
	s, note, err := d.dial(ctx)
	if r != nil {
		note.Fallback = h2.ErrNoExtendedConnect.Error()
	}
	if err != nil && r != nil {
		err = fmt.Errorf("%s, and HTTP/1.1 cannot be had: %w", note.Fallback, err)
		note.Error = err.Error()
	}
	return s, note, err
}

// find finds or makes a stream; nil: the server is to be dialled for HTTP/1.1.
func (t *trunks) find(ctx context.Context, at *terminus, d dialer, upgrade bool) *dialled {
	if r := at.spare; r != nil {
		at.spare = nil
		return r
	}
	if at.old {
		return nil
	}
	for _, k := range slices.Clone(at.trunks) {
		r, err := k.open(ctx, d, upgrade)
		if r != nil {
			return r
		}
		if !errors.Is(err, h2.ErrFull) {
			k.h2.Shutdown() // once its last stream has ended
			at.trunks = slices.DeleteFunc(at.trunks, func(o *trunk) bool { return o == k })
		}
	}
	r := d.plainly(ctx)
	if r.err == nil && d.secure {
		r = d.secured(ctx, r, alpnHTTP2, alpnHTTP1)
	}
	if r.err != nil {
		return r
	}
	if d.secure {
		at.old = !r.socket.speaksHTTP2()
		if t.server.learn(d, at.old); at.old {
			return r
		}
	}
	k := t.lay(at, d, r)
	opened, err := k.open(ctx, d, upgrade)
	if opened == nil { // before its first stream
		hint := ""
		if !d.secure {
			hint = " (--http 2 speaks HTTP/2 to it without TLS)"
		}
		opened = &dialled{note: k.note, err: fmt.Errorf("the server %s opens no stream on its HTTP/2 connection: %w%s", d.addr, err, hint)}
		opened.note.Error = opened.err.Error()
	}
	return opened
}

// open opens a stream on a trunk. One that is wanted for an upgrade, and cannot be
// had for that, is a dialled with an error.
func (k *trunk) open(ctx context.Context, d dialer, upgrade bool) (*dialled, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	note := k.note
	if note.Shared = k.shared; k.shared {
		note.Dial = 0
	}
	if err := k.h2.Ready(ctx); errors.Is(err, h2.ErrNoExtendedConnect) && upgrade {
		return &dialled{note: note, err: err}, nil
	}
	st, err := k.h2.Open(ctx)
	if err != nil {
		return nil, err
	}
	k.shared = true
	return &dialled{socket: &socket{Conn: st}, note: note}, nil
}
