package record

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Store is the index over a recording, finished or still growing, with random
// access to every frame and message in it. One goroutine follows the file; the
// methods answer what it has read so far and may be called by any goroutine.
// What they answer never changes afterwards, but for a session's counts.
type Store struct {
	path    string
	file    source // for reading payloads
	side    *side  // bytes of conversations that were put together while reading
	ring    bool   // it is a temporary recording, which is written over
	room    int64  // bytes that the index of a ring may have
	most    int64  // with more it is looked at what can go, at least room
	ctx     context.Context
	stop    context.CancelFunc
	indexed chan struct{} // closed when every frame is known
	done    chan struct{} // closed when everything is, and nobody reads any more

	version atomic.Uint64

	mu      sync.Mutex
	pages   *pages
	shelf   shelf
	open    int    // findings of sessions that are open, which are in memory
	read    int64  // bytes of the file
	checked int64  // bytes of it whose messages were looked at
	trimmed int64  // the read at which a ring was last looked at for what is gone
	stopped string // why the recording ended early, if it says so
	lapped  int64  // bytes that were written over before they were read
	err     error

	reading sync.Mutex // one reader of messages at a time
	inflate []*cursor
	lines   map[lineKey]string
}

// Kind tells the rows of a session list apart.
type Kind uint8

// A session that was opened, an upgrade that was refused, a plain HTTP exchange.
const (
	WebSocket Kind = iota
	Refused
	Exchange
)

// Session is a session, a refused upgrade or an exchange as it stood when asked
// for. What its pointers lead to does not change and must not be changed.
type Session struct {
	Index     int // in the Store, from 0, in the order in which they appeared
	Kind      Kind
	ID        inspect.SessionID // of a WebSocket or Refused
	Conn      inspect.ConnInfo
	Peer      *inspect.PeerNote     // how reaching the server went; nil: not known
	HTTP2     [2]*inspect.HTTP2Note // by inspect.Leg: the heads as they came in HTTP/2; nil: they did not
	Handshake *inspect.Handshake    // of a WebSocket or Refused
	Exchange  *inspect.Exchange     // of an Exchange; its bodies are cut to 64 KiB
	Refused   *inspect.Refused      // of a Refused; its body is cut to 64 KiB
	Opened    time.Time             // when the request began
	Last      time.Time             // when something last happened
	Closed    *inspect.Closed       // nil as long as it is open

	Frames   [2]uint64 // by inspect.Dir
	Messages [2]uint64 // by inspect.Dir; data messages
	Bytes    [2]int64  // by inspect.Dir; of frames
	Findings uint64
	Worst    inspect.Severity // of the findings; meaningless without any

	Forgotten bool // it was written over, and nothing is known of it
}

// Progress is how far the Store has read its file.
type Progress struct {
	Read, Size int64  // bytes
	Indexed    bool   // every frame is known; of a finished file, messages are looked at behind that
	Checked    int64  // bytes whose messages were looked at: text that is no UTF-8, what cannot be inflated, findings
	Done       bool   // everything is known
	Err        error  // what reading met; see Follow
	Stopped    string // why the recording ended early, if it says so
	Lapped     int64  // bytes of a temporary recording that were written over before they were read
}

// Frame is one frame with its payload as it was on the wire.
type Frame struct {
	Row     Row
	Header  inspect.Header
	Payload []byte // masked if the header says so; at most what was asked for
	Cut     bool   // Payload is shorter than what was recorded
	Missing bool   // the rest of the payload is not in the recording
}

// Message is a data message or a control frame, unmasked and inflated.
type Message struct {
	inspect.Message       // Data at most what was asked for; Cut if there was more
	Rows            []Row // its frames, at most 1,000 of them
}

// Filter says which frames are looked for. Row decides on the index alone; where
// that is not enough it answers Maybe, and Message decides.
type Filter interface {
	Row(Row) Answer
	Message(*Message) bool
}

// Answer is what a Filter says of a Row.
type Answer uint8

// No and Yes are final, Maybe needs the message.
const (
	No Answer = iota
	Yes
	Maybe
)

// OpenStore opens a recording, or a foreign capture, and begins to index it. With
// live nil it is read to its end, twice: first for its frames, then for what their
// messages hold and for findings. Otherwise it is read on each tick of live, until that is
// closed (Writer.Watch, Poll). The error is only of opening the file: what else
// is wrong with it Progress tells. The caller must Close the Store, which also
// ends with ctx.
func OpenStore(ctx context.Context, path string, live <-chan struct{}, judges ...inspect.Judge) (*Store, error) {
	f, err := openSource(path)
	if err != nil {
		return nil, err
	}
	s := newStore(ctx, path, f)
	go func() {
		defer close(s.done)
		err := s.index(s.ctx, live, judges)
		s.mu.Lock()
		if s.err = err; s.pages.err != nil {
			s.err = s.pages.err // it ended the reading
		}
		s.mu.Unlock()
		s.version.Add(1)
	}()
	return s, nil
}

// newStore is a Store of nothing yet.
func newStore(ctx context.Context, path string, f source) *Store {
	_, plain := f.(plainSource)
	dirs := scratch{path: path, ring: !plain}
	s := &Store{path: path, file: f, side: &side{dirs: dirs}, ring: !plain, room: math.MaxInt64,
		indexed: make(chan struct{}), done: make(chan struct{}), pages: newPages(dirs), lines: map[lineKey]string{}}
	s.ctx, s.stop = context.WithCancel(ctx)
	s.shelf = newShelf(s.pages)
	if r, ok := f.(*ringReader); ok {
		s.room = r.indexRoom()
	}
	s.most = s.room
	return s
}

// index reads the recording. A ring may be written over between two readings, so that
// the second would not meet what the first one did.
func (s *Store) index(ctx context.Context, live <-chan struct{}, judges []inspect.Judge) error {
	if live != nil || s.ring {
		defer close(s.indexed)
		return followSource(ctx, s.file, live, newIndexer(s, bothPasses, judges))
	}
	err := followSource(ctx, s.file, nil, newIndexer(s, framePass, nil))
	close(s.indexed)
	s.version.Add(1)
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, again(followSource(ctx, s.file, nil, newIndexer(s, messagePass, judges)), err))
}

// full says that the index cannot be written any further.
func (s *Store) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages.err != nil
}

// again is what the second reading met that the first one had not.
func again(err, before error) error {
	if before != nil && err != nil && before.Error() == err.Error() {
		return nil
	}
	return err
}

// Close stops following, waits for that to end, and closes the file. Only Frame,
// Message, Summary and Find fail afterwards.
func (s *Store) Close() error {
	s.stop()
	<-s.done
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.side.close()
	s.pages.close()
	return s.file.Close()
}

// Indexed is closed when every frame of the recording is known, or Done is.
func (s *Store) Indexed() <-chan struct{} { return s.indexed }

// Done is closed when the recording has been read to its end, and its messages too.
func (s *Store) Done() <-chan struct{} { return s.done }

// Version is a number that grows whenever something new can be seen.
func (s *Store) Version() uint64 { return s.version.Load() }

// Progress says how far the recording has been read.
func (s *Store) Progress() Progress {
	var p Progress
	select {
	case <-s.done:
		p.Done = true
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.indexed:
		p.Indexed = true
	default:
	}
	p.Size, _ = s.file.end() // what cannot be told is shown as nothing
	p.Read, p.Checked, p.Err, p.Stopped, p.Lapped = s.read, s.checked, s.err, s.stopped, s.lapped
	if p.Indexed && p.Err == nil {
		p.Read = p.Size
	}
	if p.Done && p.Err == nil {
		p.Checked = p.Size
	}
	return p
}

// Sessions is how many sessions, refusals and exchanges there have been so far.
func (s *Store) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.n
}

// FirstSession is the index of the first session that is not forgotten. Of a ring
// those are that had ended before what is left of it.
func (s *Store) FirstSession() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.first
}

// Session answers the session of that index, which must be below Sessions. Of one
// that is forgotten nothing but the index is known.
func (s *Store) Session(i int) Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.shelf.get(i); n != nil {
		return n.Session
	}
	return Session{Index: i, Forgotten: true}
}

// Len is how many frames of the session there have been so far. Frame N has row N-1.
func (s *Store) Len(session int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.shelf.get(session); n != nil {
		return int(n.rows.n)
	}
	return 0
}

// First is the number of the first row that is left: a ring writes over the frames
// before it.
func (s *Store) First(session int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.shelf.get(session); n != nil {
		return int(n.rows.first)
	}
	return 0
}

// Rows copies a session's rows into dst, from row number from on, and answers
// how many there were. Before First there are none.
func (s *Store) Rows(session, from int, dst []Row) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.shelf.get(session)
	if n == nil {
		return 0
	}
	k := 0
	for i := int64(from); k < len(dst) && n.rows.has(i); {
		b := n.rows.from(s.pages, i, false)
		for ; k < len(dst) && len(b) > 0; k++ {
			b = b[copy(dst[k][:], b):]
			i++
		}
	}
	return k
}

// Findings answers the session's findings in order; past 1,000 they are only
// counted.
func (s *Store) Findings(session int) []inspect.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.shelf.get(session); n != nil {
		return slices.Clone(n.findings)
	}
	return nil
}
