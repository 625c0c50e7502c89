// Package h2 makes an HTTP/2 stream look like an HTTP/1.1 connection that carries
// one request, so that a relay of HTTP/1.1 bytes needs no second way for HTTP/2.
//
// A [Conn] has the server's role ([NewServer]) or the client's ([NewClient]).
// Each [Stream] on it is a net.Conn whose bytes are HTTP/1.1: an extended CONNECT
// (RFC 8441) reads as the upgrade to a WebSocket, 200 as 101, END_STREAM as the
// end, RST_STREAM as a reset. Behind the 101 the bytes of DATA are passed as they
// are. What the fields were in HTTP/2 is told by [Stream.Head].
//
// # Flow control
//
// A stream buffers at most its own window, 256 KiB, of what was not read. Its
// window is given back as its reader reads; the connection's at once for what is
// buffered. So a stream that nobody reads stops its own sender and nobody else,
// and a connection holds at most its streams times that much. Streams that wait
// for the connection's window or its socket go in turn, a frame each.
//
// # Goroutines
//
// [Conn.Run] is the frame loop, in a goroutine of the caller's; it starts one that
// writes to the socket, and waits for it. Streams have none of their own.
package h2

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	streamWindow    = 256 << 10 // receive window of a stream, and most of what one buffers
	connWindow      = 1 << 20   // receive window of a connection
	initialWindow   = 65535     // of both, until SETTINGS say otherwise (RFC 9113 section 6.9.2)
	maxWindow       = 1<<31 - 1
	maxFrame        = 16 << 10 // most payload of a frame, either way
	outBound        = 64 << 10 // bytes to be written past which streams wait
	outLimit        = outBound + 128<<10 + maxFrame
	lastWords       = time.Second // for a GOAWAY to go out
	defaultStreams  = 256
	defaultHead     = 64 << 10
	defaultGreeting = 10 * time.Second
)

// Options are a connection's. The zero value will do.
type Options struct {
	Logf      func(format string, args ...any) // told each breach by the peer, one line, at most 20 a connection and one for its end; it must not call back
	HeadLimit int                              // most bytes of a head, counted as RFC 9113 section 6.5.2 does; 0: 64 KiB
	Streams   int                              // server's role: most streams at once; 0: 256
	Greeting  time.Duration                    // how long the peer may take to send its SETTINGS; 0: 10 s
	Scheme    string                           // client's role: the :scheme of requests; "": https
	NoConnect bool                             // server's role: take no WebSockets, and say so
}

// Conn is an HTTP/2 connection in one of the two roles.
type Conn struct {
	// Fixed after newConn.
	nc     net.Conn
	opt    Options
	server bool
	handle func(*Stream)
	ready  chan struct{} // closed when the peer's SETTINGS have come, or the connection is over

	// Owned by the frame loop.
	in     *http2.Framer
	meter  meter
	recv   int64 // what the peer may still send
	credit int64 // of what it has sent, not given back yet

	mu       sync.Mutex
	flush    sync.Cond // out or over
	out      bytes.Buffer
	fw       *http2.Framer // writes to out
	henc     *hpack.Encoder
	hbuf     bytes.Buffer // of henc
	send     int64        // what we may still send
	peer     settings
	patience patience
	streams  map[uint32]*Stream   // that frames may come for
	owners   map[*Stream]struct{} // streams that were handed out and not closed
	reserved int                  // client's role: streams that have no number yet
	recent   [64]uint32           // streams that we have reset, newest at lately-1
	lately   int
	queue    []*Stream // that wait for their turn to send DATA
	heads    []*Stream // that wait for room in out
	nextID   uint32    // client's role
	lastID   uint32    // server's role: the highest that the client has used
	draining bool      // no new streams
	goAway   *GoAwayError
	over     error // why the connection has ended
	told     int   // lines for Logf
	heard    bool  // the peer has sent its SETTINGS
}

// settings are the peer's, as far as they matter (RFC 9113 section 6.5.2).
type settings struct {
	window  int64
	frame   int
	streams uint32
	connect bool
}

// NewServer takes a connection from a client. handle is called for each request
// with its stream, in the frame loop: it must not wait, and hands the stream to
// somebody who closes it. [Conn.Run] does the work.
func NewServer(nc net.Conn, o Options, handle func(*Stream)) *Conn {
	c := newConn(nc, o)
	c.server, c.handle = true, handle
	settings := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.opt.Streams)},
		{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.opt.HeadLimit)},
	}
	if !o.NoConnect {
		settings = append(settings, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}) // RFC 8441 section 3
	}
	c.greet(settings...)
	return c
}

// NewClient takes a connection to a server. [Conn.Run] does the work, and
// [Conn.Open] opens streams.
func NewClient(nc net.Conn, o Options) *Conn {
	c := newConn(nc, o)
	c.nextID = 1
	c.out.WriteString(http2.ClientPreface)
	c.greet(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.opt.HeadLimit)})
	return c
}

func newConn(nc net.Conn, o Options) *Conn {
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	if o.HeadLimit == 0 {
		o.HeadLimit = defaultHead
	}
	if o.Streams == 0 {
		o.Streams = defaultStreams
	}
	if o.Greeting == 0 {
		o.Greeting = defaultGreeting
	}
	if o.Scheme == "" {
		o.Scheme = "https"
	}
	c := &Conn{nc: nc, opt: o, ready: make(chan struct{}), recv: connWindow, send: initialWindow,
		peer:    settings{window: initialWindow, frame: maxFrame, streams: 1<<32 - 1},
		streams: map[uint32]*Stream{}, owners: map[*Stream]struct{}{}, patience: patience{left: patienceMost}}
	c.flush.L = &c.mu
	c.fw = http2.NewFramer(&c.out, nil)
	c.henc = hpack.NewEncoder(&c.hbuf)
	c.meter.r = bufio.NewReaderSize(nc, maxFrame)
	c.in = http2.NewFramer(io.Discard, &c.meter)
	c.in.SetReuseFrames()
	c.in.SetMaxReadFrameSize(maxFrame)
	c.in.MaxHeaderListSize = uint32(o.HeadLimit)
	c.in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return c
}

// greet puts our SETTINGS, and the connection's window, first on the wire.
func (c *Conn) greet(s ...http2.Setting) {
	_ = c.fw.WriteSettings(s...) // into a buffer: never fails, here and below
	_ = c.fw.WriteWindowUpdate(0, connWindow-initialWindow)
}

// Run moves frames until the connection is over, and closes it. The error says
// why it ended, if the peer or the network is to blame; nil means that both sides
// had nothing more to say.
func (c *Conn) Run() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.write()
	}()
	err := c.frames()
	c.mu.Lock()
	if c.over == nil {
		c.fail(err)
	}
	err = c.over
	c.mu.Unlock()
	<-done
	c.linger()
	_ = c.nc.Close()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, errDone) {
		return nil
	}
	return err
}

// errDone ends a connection that has nothing left to carry.
var errDone = errors.New("the HTTP/2 connection has carried its last stream")

// linger reads on for a moment after a GOAWAY that has a reason: closing a socket
// with unread bytes would reset it, and the peer might never see it.
func (c *Conn) linger() {
	var b *BreachError
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !errors.As(c.over, &b) || !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lastWords))
	buf := make([]byte, 4096)
	for range 256 {
		if _, err := c.nc.Read(buf); err != nil {
			return
		}
	}
}

// Close ends the connection and every stream on it; a GOAWAY says so. It does not
// wait: Run returns soon after.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(net.ErrClosed)
}

// Shutdown takes no more streams, tells the peer so, and lets those there are come
// to their ends; Run returns then.
func (c *Conn) Shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining || c.over != nil {
		return
	}
	c.draining = true
	_ = c.fw.WriteGoAway(c.lastID, http2.ErrCodeNo, nil)
	c.flush.Signal()
	c.drained()
}

// drained ends a connection that takes no streams once it has none: c.mu is held.
func (c *Conn) drained() {
	if c.draining && len(c.streams) == 0 && len(c.owners) == 0 {
		c.fail(errDone)
	}
}

// Streams is how many streams were handed out and not closed.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.owners)
}

// Greeted says that the peer has begun to speak HTTP/2.
func (c *Conn) Greeted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// Ready waits for the peer's SETTINGS. It says whether the server takes WebSockets
// over HTTP/2 (ErrNoExtendedConnect); other errors mean that the connection is over.
func (c *Conn) Ready(ctx context.Context) error {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over != nil:
		return c.cause()
	case !c.server && !c.peer.connect:
		return ErrNoExtendedConnect
	}
	return nil
}

// Open opens a stream to the server, once its SETTINGS have come. It gets its
// number when the head of a request has been written to it. The error is ErrFull,
// a *GoAwayError if the server takes no more, or why the connection is over.
func (c *Conn) Open(ctx context.Context) (*Stream, error) {
	if err := c.Ready(ctx); err != nil && !errors.Is(err, ErrNoExtendedConnect) {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over != nil:
		return nil, c.cause()
	case c.goAway != nil:
		return nil, c.goAway
	case c.draining:
		return nil, net.ErrClosed
	case uint64(len(c.streams)+c.reserved) >= uint64(c.peer.streams), c.nextID > maxWindow-2*uint32(c.reserved):
		return nil, ErrFull
	}
	c.reserved++
	return c.newStream(0), nil
}

// fail ends the connection for everybody: c.mu is held. Only the first reason counts.
func (c *Conn) fail(err error) {
	if c.over != nil {
		return
	}
	c.over = err
	var b *BreachError
	switch {
	case errors.As(err, &b):
		c.line("%v", err)
		_ = c.fw.WriteGoAway(c.lastID, b.Code, []byte(b.Reason))
	case errors.Is(err, net.ErrClosed):
		_ = c.fw.WriteGoAway(c.lastID, http2.ErrCodeNo, nil)
	}
	for s := range c.owners {
		if !s.ended || !s.in.ended {
			s.fail(c.cause())
		}
	}
	_ = c.nc.SetReadDeadline(past) // a closed socket tells by itself
	_ = c.nc.SetWriteDeadline(time.Now().Add(lastWords))
	c.flush.Broadcast()
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
}

// cause is what the end of the connection means to a stream: c.mu is held.
func (c *Conn) cause() error {
	var end *EndError
	if c.goAway != nil && (c.over == nil || errors.As(c.over, &end)) {
		return c.goAway
	}
	return c.over
}

// tell writes a line about the peer, while it has not had too many: c.mu is held.
func (c *Conn) tell(format string, args ...any) {
	const most = 20
	if c.told++; c.told <= most {
		c.line(format, args...)
	}
}

func (c *Conn) line(format string, args ...any) {
	c.opt.Logf("HTTP/2 peer %v: %s", c.nc.RemoteAddr(), fmt.Sprintf(format, args...))
}

// past is a deadline that wakes a read.
var past = time.Unix(1, 0)
