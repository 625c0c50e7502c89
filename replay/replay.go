// Package replay plays what was recorded: a recording or cassette becomes the
// server of a test, or its clients.
//
// In a Go test [Server] and [Client] are all that is needed, and [Record] makes the
// cassette. Below them [Load] reads a recording, [Replayer] serves it to clients that
// need not know, [Drive] plays its clients against a real server, and [Result] says
// of each session whether the other side did what was recorded.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/record"
)

// Load reads a recording or a cassette. Errors: the system's; *cassette.FileError
// for a cassette that is wrong; *record.FormatError for a file of another kind;
// *cassette.SessionError for a session that cannot be replayed; *record.TornError
// and *record.DamagedError, each with the cassette of what could be read.
func Load(ctx context.Context, path string, limits inspect.Limits) (*cassette.Cassette, error) {
	c, err := loadCassette(path)
	if c != nil || err != nil {
		return c, err
	}
	return cassette.From(func(sink inspect.Sink) error { return record.Follow(ctx, path, nil, sink) }, limits)
}

// LoadRedacted is Load of a recording without the credentials in its HTTP heads;
// a cassette is read as it is.
func LoadRedacted(ctx context.Context, path string, limits inspect.Limits) (*cassette.Cassette, error) {
	c, err := loadCassette(path)
	if c != nil || err != nil {
		return c, err
	}
	return cassette.From(func(sink inspect.Sink) error { return record.Follow(ctx, path, nil, record.Redact(sink)) }, limits)
}

// loadCassette reads a cassette file; nil without an error: it is none.
func loadCassette(path string) (*cassette.Cassette, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	start := make([]byte, 64<<10)
	n, err := io.ReadFull(f, start)
	switch {
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil // a folder, perhaps: a temporary recording
	case !cassette.IsFile(start[:n]) && filepath.Ext(path) != ".ndjson":
		return nil, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return cassette.Parse(f)
}

// Options are how a Replayer serves.
type Options struct {
	// Once ends serving after one session: Done closes and Serve returns. A
	// recorded refusal is no session as long as another was accepted.
	Once bool
	// OnMiss is what a client gets that does not do what was recorded.
	OnMiss OnMiss
	// Speed divides the pauses that were recorded; 0: there are none.
	Speed float64
	// Loop begins a session again when its last message has been sent. What was
	// recorded of its end is left out.
	Loop bool
	// Values are what variables stand for, as JSON, in place of the cassette's.
	Values map[string][]byte
	// Now is the clock of ${now}; nil: time.Now.
	Now func() time.Time
	// AllowHost are the hosts, beside loopback's, that requests may be for: what
	// was recorded is not for every page in a browser.
	AllowHost proxy.Hosts
	// Limits bound what a client may make the server keep.
	Limits inspect.Limits
	// HeadTimeout is the most time for a request's head from its first byte,
	// and for each further piece of its body; 0: 10 s.
	HeadTimeout time.Duration
	// Ended, if set, takes each session's result as it ends, one at a time.
	Ended func(Result)
	// Fallback answers connections whose request was not recorded: it is the
	// address of a server on this machine, which gets all of such a connection.
	// Empty: they are answered 404.
	Fallback string
	// Tap, if set, is told what passes.
	Tap inspect.Sink
	// Missed, if set, takes a sentence for each request that was not in the
	// recording and is answered 404. One goroutine a connection calls it.
	Missed func(string)
}

// lingerTime is how long a client may take to end the connection after the
// server has, and how long a write may take once there is nothing to win.
const lingerTime = 2 * time.Second

// Replayer serves a cassette's server side. Its goroutines are the callers of
// Serve, one for each connection and one more for each session; Shutdown waits
// for all of them.
type Replayer struct {
	options Options
	pick    *picker
	values  map[string][]byte
	lasting bool // a session was accepted

	done     chan struct{}
	doneOnce sync.Once
	ending   sync.Mutex // held while Ended is called

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	results   []Result
	serving   bool // with Once: the session is taken
	closing   bool
	running   sync.WaitGroup
}

// New makes a replayer of a cassette, which must not be changed any more.
// Nothing runs before Serve.
func New(c *cassette.Cassette, o Options) *Replayer {
	if o.HeadTimeout == 0 {
		o.HeadTimeout = 10 * time.Second
	}
	s := &Replayer{options: o, pick: newPicker(c), values: valuesOf(c, o.Values), done: make(chan struct{}), listeners: map[net.Listener]bool{}, conns: map[*conn]bool{}}
	for _, x := range s.pick.sessions {
		s.lasting = s.lasting || x.Upgrade.Accepted()
	}
	return s
}

// valuesOf are a cassette's values with others in their place.
func valuesOf(c *cassette.Cassette, others map[string][]byte) map[string][]byte {
	all := maps.Clone(c.Values)
	if all == nil {
		all = map[string][]byte{}
	}
	maps.Copy(all, others)
	return all
}

// scope is that of a new session.
func (s *Replayer) scope() *cassette.Scope {
	scope := cassette.NewScope(s.values)
	if s.options.Now != nil {
		scope.Now = s.options.Now
	}
	return scope
}

// Serve accepts connections until the listener is closed, Shutdown is called
// or, with Once, the session is over, none of which is an error. It may be
// called for several listeners.
func (s *Replayer) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = true
	s.mu.Unlock()
	for {
		c, err := l.Accept()
		if err == nil {
			s.accepted(c)
			continue
		}
		s.mu.Lock()
		closing := s.closing
		s.mu.Unlock()
		if closing || errors.Is(err, net.ErrClosed) {
			return nil
		}
		return fmt.Errorf("accept on %s: %w", l.Addr(), err)
	}
}

func (s *Replayer) accepted(nc net.Conn) {
	c := &conn{server: s, tcp: tap(wireOf(nc), s.options.Tap, inspect.ToServer)}
	c.head.Limit = s.options.Limits.Head
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		_ = c.tcp.Close() // it came too late
		return
	}
	s.conns[c] = true
	s.running.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.running.Done()
		c.run()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// Done closes when, with Once, the session is over.
func (s *Replayer) Done() <-chan struct{} { return s.done }

// Unused are the cassette's sessions that no client has asked for so far.
func (s *Replayer) Unused() []*cassette.Session { return s.pick.unused() }

// Results are those of the sessions that have ended, in the order of their ends.
func (s *Replayer) Results() []Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Result(nil), s.results...)
}

// begin takes the one session that Once allows; false if it is taken.
func (s *Replayer) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Once && s.serving {
		return false
	}
	s.serving = true
	return true
}

// free gives back what begin took.
func (s *Replayer) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving = false
}

// ended takes a session's result. again says that it does not count for Once.
func (s *Replayer) ended(r Result, again bool) {
	s.ending.Lock()
	defer s.ending.Unlock()
	s.mu.Lock()
	s.results = append(s.results, r)
	if again {
		s.serving = false
	}
	s.mu.Unlock()
	if s.options.Ended != nil {
		s.options.Ended(r)
	}
	if s.options.Once && !again {
		s.doneOnce.Do(func() {
			_ = s.closeListeners() // Shutdown tells
			close(s.done)
		})
	}
}

func (s *Replayer) closeListeners() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	var errs []error
	for l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close ends serving at once: it closes the listeners and every connection, and
// waits until all goroutines have returned. A session that was under way is
// Interrupted.
func (s *Replayer) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return s.Shutdown(ctx)
}

// Shutdown closes the listeners, lets open sessions go on until ctx ends, and
// then does what Close does.
func (s *Replayer) Shutdown(ctx context.Context) error {
	err := s.closeListeners()
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.stopIdle()
	}
	all := make(chan struct{})
	go func() { s.running.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.stop()
	}
	<-all
	return err
}
