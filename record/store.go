package record

import (
	"context"
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
	path string
	file source // for reading payloads
	side *side  // bytes of conversations that were put together while reading
	stop context.CancelFunc
	done chan struct{} // closed when the follower has returned

	version atomic.Uint64

	mu       sync.Mutex
	sessions []*session
	read     int64 // bytes of the file
	trimmed  int64 // the read at which a ring was last looked at for what is gone
	conns    map[inspect.ConnID]*indexed
	windows  windows
	stopped  string // why the recording ended early, if it says so
	lapped   int64  // bytes that were written over before they were read
	err      error

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
	Peer      *inspect.PeerNote  // how reaching the server went; nil: not known
	Handshake *inspect.Handshake // of a WebSocket or Refused
	Exchange  *inspect.Exchange  // of an Exchange; its bodies are cut to 64 KiB
	Refused   *inspect.Refused   // of a Refused; its body is cut to 64 KiB
	Opened    time.Time          // when the request began
	Last      time.Time          // when something last happened
	Closed    *inspect.Closed    // nil as long as it is open

	Frames   [2]uint64 // by inspect.Dir
	Messages [2]uint64 // by inspect.Dir; data messages
	Bytes    [2]int64  // by inspect.Dir; of frames
	Findings uint64
	Worst    inspect.Severity // of the findings; meaningless without any
}

// Progress is how far the Store has read its file.
type Progress struct {
	Read, Size int64  // bytes
	Done       bool   // the follower has returned
	Err        error  // what it returned; see Follow
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
// live nil it is read to its end; otherwise on each tick of live, until that is
// closed (Writer.Watch, Poll). The error is only of opening the file: what else
// is wrong with it Progress tells. The caller must Close the Store, which also
// ends with ctx.
func OpenStore(ctx context.Context, path string, live <-chan struct{}, judges ...inspect.Judge) (*Store, error) {
	f, err := openSource(path)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	s := &Store{path: path, file: f, side: &side{}, stop: stop, done: make(chan struct{}),
		conns: map[inspect.ConnID]*indexed{}, windows: newWindows(), lines: map[lineKey]string{}}
	in := &indexer{store: s, inspector: inspect.Inspector{Judges: judges}}
	in.inspector.Emit, in.inspector.Each, in.inspector.After = in.event, in.chunk, in.after
	go func() {
		defer close(s.done)
		err := Follow(ctx, path, live, in)
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
		s.version.Add(1)
	}()
	return s, nil
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
	return s.file.Close()
}

// Done is closed when the recording has been read to its end.
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
	p.Size, _ = s.file.end() // what cannot be told is shown as nothing
	p.Read, p.Err, p.Stopped, p.Lapped = s.read, s.err, s.stopped, s.lapped
	if p.Done && p.Err == nil {
		p.Read = p.Size
	}
	return p
}

// Sessions is how many sessions, refusals and exchanges there are so far.
func (s *Store) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// Session answers the session of that index, which must be below Sessions.
func (s *Store) Session(i int) Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[i].Session
}

// Len is how many frames of the session are indexed. Frame N has row N-1.
func (s *Store) Len(session int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions[session].rows)
}

// Rows copies a session's rows into dst, from row number from on, and answers
// how many there were.
func (s *Store) Rows(session, from int, dst []Row) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := s.sessions[session].rows
	if from < 0 || from >= len(rows) {
		return 0
	}
	return copy(dst, rows[from:])
}

// Findings answers the session's findings in order; past 1,000 they are only
// counted.
func (s *Store) Findings(session int) []inspect.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sessions[session].findings)
}
