package record

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/wsproxy/wsproxy/inspect"
)

// SaveOptions say how a recording is saved.
type SaveOptions struct {
	Force   bool // overwrite a file that exists
	Version string
	// Write, if set, writes in place of Convert: another format.
	Write func(ctx context.Context, from string, w io.Writer, o SaveOptions) (Saved, error)
	// Progress, if set, is called now and then: so many bytes of a total have
	// been read.
	Progress func(read, total int64)
}

// Saved says what has been saved.
type Saved struct {
	Bytes  int64 // of the pcapng
	Lapped int64 // bytes of a temporary recording that were written over before they were read
}

// Save writes a recording as one ordinary pcapng file of mode 0600: what a
// temporary recording holds at this moment, which may be written meanwhile, a
// foreign capture, or a copy. Sessions whose beginning a temporary recording no
// longer has begin with their heads and a hole. A file that could not be finished
// is removed. Errors: *ExistsError, *LockedError, ctx's, those of Follow, the
// system's.
func Save(ctx context.Context, from, to string, o SaveOptions) (Saved, error) {
	if same(from, to) {
		return Saved{}, &ExistsError{to}
	}
	if err := Check(from); err != nil {
		return Saved{}, err
	}
	f, err := openFile(Options{Path: to, Force: o.Force})
	if err != nil {
		return Saved{}, err
	}
	write := o.Write
	if write == nil {
		write = Convert
	}
	saved, err := write(ctx, from, f, o)
	if readable(err) {
		return saved, errors.Join(err, f.Close())
	}
	return saved, errors.Join(err, f.Close(), os.Remove(to))
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// readable says that an error of reading leaves something that was read.
func readable(err error) bool {
	var torn *TornError
	var damaged *DamagedError
	return err == nil || errors.As(err, &torn) || errors.As(err, &damaged)
}

// Convert writes a recording as one pcapng to w, as Save does. One that is such a
// file already is copied byte for byte.
func Convert(ctx context.Context, from string, w io.Writer, o SaveOptions) (Saved, error) {
	f, err := openSource(from)
	if err != nil {
		return Saved{}, err
	}
	defer f.Close() // read only
	if err := checkSource(f); err != nil {
		return Saved{}, err
	}
	_, isRing := f.(*ringReader)
	if !isRing && !classic(f) {
		return copied(ctx, f, w, o.Progress)
	}
	total, err := f.end()
	if err != nil {
		return Saved{}, err
	}
	s, err := newSection(oneByOne{w}, nil, 0, o.Version)
	if err != nil {
		return Saved{}, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if isRing {
		f = &untilNow{f.(*ringReader), total}
	}
	c := &saver{section: s, stop: stop, lost: map[legDir]bool{}, probes: map[inspect.ConnID]*inspect.Conn{},
		progress: o.Progress, start: f.oldest(), total: total}
	err = followSource(ctx, f, nil, c)
	if cause := context.Cause(ctx); cause != nil {
		return Saved{}, cause
	}
	if c.why != "" {
		s.stop(c.why)
	}
	s.finish()
	return Saved{s.bytes(), c.lapped}, errors.Join(s.err, err)
}

// copyStep is how much is copied at once.
const copyStep = 1 << 20

// copied copies a file that is pcapng already.
func copied(ctx context.Context, f source, w io.Writer, progress func(read, total int64)) (s Saved, err error) {
	b := make([]byte, copyStep)
	for ctx.Err() == nil {
		n, rerr := f.ReadAt(b, s.Bytes)
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return s, err
			}
			s.Bytes += int64(n)
		}
		if total, err := f.end(); err == nil && progress != nil {
			progress(s.Bytes, max(total, s.Bytes))
		}
		if errors.Is(rerr, io.EOF) {
			return s, faultOf(f)
		} else if rerr != nil {
			return s, rerr
		}
	}
	return s, ctx.Err()
}

// untilNow is a recording that ends where it ended when it was opened: one that
// is written may grow as fast as it is read.
type untilNow struct {
	*ringReader
	size int64
}

func (u *untilNow) ReadAt(b []byte, off int64) (int, error) {
	if off >= u.size {
		return 0, io.EOF
	}
	short := min(int64(len(b)), u.size-off)
	n, err := u.ringReader.ReadAt(b[:short], off)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

func (u *untilNow) after(off int64) (int64, bool) {
	next, ok := u.ringReader.after(off)
	return next, ok && next < u.size
}

func (u *untilNow) end() (int64, error) { return u.size, nil }

// saver is the sink that writes what a recording holds once more, in one section.
type saver struct {
	section *section
	stop    context.CancelCauseFunc
	lost    map[legDir]bool                  // behind a hole
	probes  map[inspect.ConnID]*inspect.Conn // as long as no session has opened
	lapped  int64
	why     string // the recording ended early

	progress           func(read, total int64)
	start, told, total int64
}

func (v *saver) Open(info inspect.ConnInfo) {
	v.probes[info.ID] = inspect.NewConn(info, inspect.Limits{Message: 1})
	v.section.open(info)
	v.settle()
}

// Chunk writes bytes. A hole is told with what follows it.
func (v *saver) Chunk(c inspect.Chunk) {
	if v.progress != nil && c.Pos >= v.told+copyStep {
		v.told = c.Pos
		v.progress(c.Pos-v.start, v.total-v.start)
	}
	v.probe(c)
	key := legDir{c.Conn, c.Leg, c.Dir}
	if len(c.Data) == 0 && c.Pos == 0 {
		if r := v.section.conns[c.Conn]; r != nil {
			r.whole[c.Leg][c.Dir] = c.Whole && !v.lost[key]
		}
		v.lost[key] = true
		return
	}
	if v.lost[key] && !v.resume(&c) {
		return
	}
	delete(v.lost, key)
	v.section.chunk(c)
	v.settle()
}

// resume goes on behind a hole, in a session at the next frame that is known to
// begin; elsewhere with the next byte, and only the sequence numbers tell.
func (v *saver) resume(c *inspect.Chunk) bool {
	if c.Boundary > 0 {
		c.Off += int64(c.Boundary - 1)
		c.Data = c.Data[c.Boundary-1:]
		return true
	}
	if c.Leg == inspect.ClientLeg && v.probes[c.Conn] == nil {
		return false
	}
	if r := v.section.conns[c.Conn]; r != nil && r.legs[c.Leg] != nil {
		off := &r.off[c.Leg][c.Dir]
		r.legs[c.Leg].seq[c.Dir] += uint32(c.Off - *off)
		*off = c.Off
	}
	return true
}

// probe finds out whether a connection has a session.
func (v *saver) probe(c inspect.Chunk) {
	p := v.probes[c.Conn]
	if p == nil || c.Leg != inspect.ClientLeg {
		return
	}
	for e := range p.Feed(c) {
		if _, ok := e.(*inspect.Opened); ok {
			delete(v.probes, c.Conn)
		}
	}
}

func (v *saver) Note(n inspect.Note) {
	switch n.Kind {
	case inspect.NoteLapped:
		var l inspect.LappedNote
		if json.Unmarshal(n.JSON, &l) == nil {
			v.lapped += l.Bytes
		}
	case inspect.NoteStopped:
		var s inspect.StoppedNote
		if json.Unmarshal(n.JSON, &s) == nil {
			v.why = s.Why
		}
	default:
		v.section.note(n)
		v.settle()
	}
}

// End writes how a direction ended. Those that are open at the end of a recording
// are so in the other one too.
func (v *saver) End(e inspect.Ended) {
	key := legDir{e.Conn, e.Leg, e.Dir}
	if e.How != inspect.Cut {
		v.section.end(e, v.lost[key])
		v.settle()
	}
	delete(v.lost, key)
	if v.section.conns[e.Conn] == nil || e.How == inspect.Cut {
		delete(v.probes, e.Conn)
	}
}

// settle writes what lies in memory that is used again, and ends reading when
// that fails.
func (v *saver) settle() {
	if v.section.err == nil {
		v.section.err = v.section.out.settle()
	}
	if v.section.err != nil {
		v.stop(v.section.err)
	}
}
