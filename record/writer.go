package record

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Options say where and how to record.
type Options struct {
	Path    string
	Force   bool // overwrite a file that exists
	Append  bool // add a section to a recording that exists
	Version string

	// Temporary recordings are a ring of files in the folder Path, which must
	// be there, and never make the traffic wait: past a full queue chunks are
	// dropped and counted, past Limit the oldest bytes give way.
	Temporary bool
	Title     string // of a temporary recording, for Temporaries
	Limit     int64  // about how many bytes a temporary recording keeps; 0: 256 MiB

	// Patience is how long Close waits for a disk that takes nothing; 0: 5 s.
	Patience time.Duration

	// OnStop, if set, is called once by the writing goroutine when the
	// recording ends early: the disk is full.
	OnStop func(why string)

	// OnLess, if set, is called by the writing goroutine when a temporary
	// recording shortens the first frame, and when it drops the first bytes.
	OnLess func(Status)
}

// queueLimit is how many bytes wait for the disk before a recording that was
// asked for makes the traffic wait, and a temporary one drops.
const queueLimit = 8 << 20

// flushEvery is how long what was recorded stays in memory while more comes: a
// reader, and a kill, find all but the last of it in the file.
const flushEvery = time.Millisecond

// Status is what a recording has to say of itself.
type Status struct {
	Path    string
	Bytes   int64  // in the file, with what waits in its buffer
	Packets int64  // in the file
	Behind  int64  // bytes that wait for the writer
	Snapped int64  // bytes of long frames that a temporary recording left out
	Dropped int64  // bytes of traffic that it left out besides
	Waiting bool   // the traffic waits for the disk
	Stopped string // why it ended early; empty: it did not
	Err     error  // the fault behind Stopped, if it was one
}

// Writer is a recording being written. It is an inspect.Sink whose methods may
// be called by many goroutines at once. One goroutine of its own writes the
// file; Close ends it and waits for it.
type Writer struct {
	options Options
	out     *section      // the writing goroutine's, but for out.out.n and abandon
	told    [2]bool       // the writing goroutine's: see tell
	done    chan struct{} // closed by the writing goroutine when it returns

	mu       sync.Mutex
	more     sync.Cond // the queue has something, or is closing
	room     sync.Cond // the queue was taken
	queue    batch
	spare    batch
	closing  bool
	released bool // nothing waits for the disk any more
	status   Status
	thin     map[legDir]*thinned // directions of a temporary recording of which bytes are left out
	watchers []chan struct{}
	closed   bool // the goroutine has returned
	closeErr error
}

type legDir struct {
	conn inspect.ConnID
	leg  inspect.Leg
	dir  inspect.Dir
}

// batch is what came since the writer last looked, in order.
type batch struct {
	ops  []op
	data []byte // of all chunks, one behind the other
}

// size is about how many bytes of memory the batch takes.
func (b *batch) size() int { return len(b.data) + opSize*len(b.ops) }

// full says that there is no room for n bytes. One chunk always has room.
func (b *batch) full(n int) bool { return len(b.ops) > 0 && b.size()+n > queueLimit }

// pressed says that less is to be taken than n bytes.
func (b *batch) pressed(n int) bool { return b.size() > snapFrom || b.full(n) }

// op is one call of the sink. Chunks are nearly all of them, so it is no larger
// than they need.
type op struct {
	kind     opKind
	leg      inspect.Leg
	dir      inspect.Dir
	whole    bool
	stream   bool // of no frames
	boundary uint32
	gap      uint32 // bytes behind these that are left out
	conn     inspect.ConnID
	time     int64 // Unix time in nanoseconds
	off      int64
	from     int // of the bytes in the batch
	size     int
	other    *otherOp // of all but a chunk
}

type otherOp struct {
	info  inspect.ConnInfo
	note  inspect.Note
	ended inspect.Ended
	lost  bool // bytes before the end were left out
}

// opSize is about what an op takes in memory; the queue's limit counts it.
const opSize = 64

func (o *op) chunk(data []byte) inspect.Chunk {
	return inspect.Chunk{Conn: o.conn, Leg: o.leg, Dir: o.dir, Time: time.Unix(0, o.time), Off: o.off,
		Data: data[o.from : o.from+o.size], Gap: int64(o.gap), Boundary: int(o.boundary), Whole: o.whole}
}

type opKind uint8

const (
	opOpen opKind = iota
	opChunk
	opNote
	opEnd
)

// Create opens a recording and starts its writing goroutine. The file is made
// with mode 0600. Errors: *ExistsError, *LockedError, *FormatError (appending to
// what is no pcapng), or the system's.
func Create(o Options) (*Writer, error) {
	if o.Limit == 0 {
		o.Limit = 256 << 20
	}
	out, err := openSection(o)
	if err != nil {
		return nil, err
	}
	w := &Writer{options: o, out: out, done: make(chan struct{}), thin: map[legDir]*thinned{}}
	w.more.L, w.room.L = &w.mu, &w.mu
	w.status.Path = o.Path
	w.status.Bytes = out.bytes()
	go w.run(out)
	return w, nil
}

// openSection opens the file, or the ring, and writes the head of a section.
func openSection(o Options) (*section, error) {
	if o.Temporary {
		return newRing(o)
	}
	f, err := openFile(o)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if errors.Is(err, syscall.ESPIPE) { // a pipe has no place to seek to
		err = nil
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s, err := newSection(partsOf(f), f, size, o.Version)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// openFile opens the file, locked and cut to what may stay in it.
func openFile(o Options) (*os.File, error) {
	flags := os.O_RDWR | os.O_CREATE
	if !o.Force && !o.Append {
		flags |= os.O_EXCL
	}
	f, err := os.OpenFile(o.Path, flags, 0o600)
	if errors.Is(err, os.ErrExist) {
		if Live(o.Path) {
			return nil, &LockedError{o.Path}
		}
		return nil, &ExistsError{o.Path}
	}
	if err != nil {
		return nil, err
	}
	if err := claim(f, o); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// claim locks a file and cuts it to what may stay in it. A device or a pipe is
// written to as it is.
func claim(f *os.File, o Options) error {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	ok, err := lock(f)
	if err != nil {
		return err
	}
	if !ok {
		return &LockedError{o.Path}
	}
	var keep int64
	if o.Append {
		if keep, err = wholeBlocks(f); err != nil {
			return err
		}
	}
	return f.Truncate(keep)
}

// Status answers how the recording stands now.
func (w *Writer) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Behind = int64(len(w.queue.data))
	return s
}

// Watch answers a new channel that gets a value after each flush and is closed
// when the recording is: what Follow needs to read a recording that grows.
func (w *Writer) Watch() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{}, 1)
	if w.closed {
		close(c)
	} else {
		w.watchers = append(w.watchers, c)
	}
	return c
}

// ErrStalled says that the disk took nothing for so long that a recording was
// given up.
var ErrStalled = errors.New("the disk takes nothing")

// Release lets nothing wait for the disk any more: what does not fit into the
// queue is left out, and counted as Dropped. It is for whoever must end.
func (w *Writer) Release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released = true
	w.room.Broadcast()
}

// Close writes what waits, the statistics and the note that the recording is
// finished, and waits until all of it is in the file; but not for a disk that takes
// nothing, which is ErrStalled. A second call answers the same error.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closing = true
	w.more.Signal()
	w.room.Broadcast()
	w.mu.Unlock()
	patience := w.options.Patience
	if patience == 0 {
		patience = 5 * time.Second
	}
	for before := w.out.bytes(); ; {
		select {
		case <-w.done:
			return w.closeErr
		case <-time.After(patience):
		}
		now := w.out.bytes()
		if now == before {
			return w.abandon(patience)
		}
		before = now
	}
}

// abandon closes the file under the writing goroutine, which ends a write to a
// pipe. One that hangs in a file system cannot be ended: it is left behind.
func (w *Writer) abandon(patience time.Duration) error {
	w.out.abandon()
	select {
	case <-w.done:
	case <-time.After(patience):
	}
	return ErrStalled
}

// Open records that a client connected.
func (w *Writer) Open(info inspect.ConnInfo) {
	w.put(op{kind: opOpen, other: &otherOp{info: info}}, nil)
}

// Note records what the bytes cannot say.
func (w *Writer) Note(n inspect.Note) { w.put(op{kind: opNote, other: &otherOp{note: n}}, nil) }

// End records how a direction of a leg ended.
func (w *Writer) End(e inspect.Ended) { w.put(op{kind: opEnd, other: &otherOp{ended: e}}, nil) }

// Chunk records bytes. It copies them and returns, unless too much waits for the
// disk: then a recording that was asked for waits, and a temporary one takes less.
// Of a chunk with a Gap a packet is written that is not whole.
func (w *Writer) Chunk(c inspect.Chunk) {
	w.put(op{kind: opChunk, leg: c.Leg, dir: c.Dir, whole: c.Whole, stream: c.Stream, boundary: uint32(c.Boundary), conn: c.Conn,
		time: c.Time.UnixNano(), off: c.Off, gap: uint32(c.Gap), size: len(c.Data)}, c.Data)
}

func (w *Writer) put(o op, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.kind == opChunk && !w.options.Temporary {
		w.wait(len(data))
		if w.released && w.queue.full(len(data)) {
			w.status.Dropped += int64(len(data))
			return
		}
	}
	switch {
	case w.closing || w.status.Stopped != "":
	case o.kind == opChunk && w.options.Temporary:
		w.squeeze(o, data)
	default:
		if o.kind == opEnd {
			o.other.lost = w.lost(&o.other.ended)
		}
		w.add(o, data)
	}
}

// add puts something at the end of the queue.
func (w *Writer) add(o op, data []byte) {
	o.from, o.size = len(w.queue.data), len(data)
	w.queue.data = append(w.queue.data, data...)
	w.queue.ops = append(w.queue.ops, o)
	if len(w.queue.ops) == 1 {
		w.more.Signal()
	}
}

// wait blocks while the queue has no room. One chunk always has.
func (w *Writer) wait(n int) {
	for w.queue.full(n) && !w.closing && !w.released && w.status.Stopped == "" {
		w.status.Waiting = true
		w.room.Wait()
	}
}

// run is the writing goroutine.
func (w *Writer) run(out *section) {
	flushed := time.Now()
	for {
		b, closing := w.take()
		for i := range b.ops {
			out.op(&b.ops[i], b.data)
		}
		if out.err == nil {
			out.err = out.out.settle() // the batch is used again
		}
		w.forget(b.ops)
		if wait := flushEvery - time.Since(flushed); wait > 0 && !closing && out.err == nil {
			if !w.idle() {
				continue
			}
			time.Sleep(wait) // what comes meanwhile is taken together
		}
		out.flush()
		flushed = time.Now()
		w.progress(out)
		w.tell()
		if out.err != nil {
			w.stop(out, out.err.Error())
		}
		if closing || out.stopped {
			break
		}
	}
	w.finish(out)
}

// take waits for something to do and takes all of it.
func (w *Writer) take() (batch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue.ops) == 0 && !w.closing {
		w.more.Wait()
	}
	b := w.queue
	w.queue = batch{w.spare.ops[:0], w.spare.data[:0]}
	w.spare = b // ours until the next call
	if cap(b.data) > 2*queueLimit {
		w.spare = batch{} // one huge chunk does not stay
	}
	w.status.Waiting = false
	w.room.Broadcast()
	return b, w.closing && len(w.queue.ops) == 0
}

func (w *Writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue.ops) == 0
}

// forget lets go of what is known of directions that have ended.
func (w *Writer) forget(ops []op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range ops {
		if ops[i].kind == opEnd {
			e := &ops[i].other.ended
			delete(w.thin, legDir{e.Conn, e.Leg, e.Dir})
		}
		ops[i] = op{} // no strings stay behind
	}
}

// progress tells the watchers that the file has grown.
func (w *Writer) progress(out *section) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Bytes, w.status.Packets = out.bytes(), out.packets
	for _, c := range w.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// tell says, once of each, that frames are shortened and that bytes are dropped.
func (w *Writer) tell() {
	st := w.Status()
	if w.options.OnLess != nil && (st.Snapped > 0 && !w.told[0] || st.Dropped > 0 && !w.told[1]) {
		w.told = [2]bool{st.Snapped > 0, st.Dropped > 0}
		w.options.OnLess(st)
	}
}

// stop ends the recording early. The traffic goes on.
func (w *Writer) stop(out *section, why string) {
	if out.stopped {
		return
	}
	out.stop(why)
	w.mu.Lock()
	w.status.Stopped, w.status.Err = why, out.err
	w.queue = batch{}
	w.room.Broadcast()
	w.mu.Unlock()
	if w.options.OnStop != nil {
		w.options.OnStop(why)
	}
}

// finish ends the file, lets go of the lock and tells everybody.
func (w *Writer) finish(out *section) {
	out.finish()
	w.progress(out)
	err := errors.Join(out.err, out.close())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, c := range w.watchers {
		close(c)
	}
	w.watchers = nil
	w.closeErr = err
	close(w.done)
}
