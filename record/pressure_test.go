package record

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// stuckWriter is a Writer whose writing goroutine is the test: nothing is written
// before drain.
func stuckWriter(t testing.TB, o Options) *Writer {
	t.Helper()
	out, err := openSection(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &Writer{options: o, out: out, thin: map[legDir]*thinned{}, done: make(chan struct{})}
	w.more.L, w.room.L = &w.mu, &w.mu
	return w
}

func drain(t testing.TB, w *Writer) {
	t.Helper()
	if w.idle() {
		return
	}
	b, _ := w.take()
	for i := range b.ops {
		w.out.op(&b.ops[i], b.data)
	}
	w.forget(b.ops)
	if w.out.flush(); w.out.err != nil {
		t.Fatal(w.out.err)
	}
}

func drained(t testing.TB, w *Writer) {
	t.Helper()
	drain(t, w)
	w.out.finish()
	if err := w.out.close(); err != nil {
		t.Fatal(err)
	}
}

// saidAt is what was really said: the frames of a direction by their offset, and
// the messages by that of their first.
type saidAt struct {
	frames   map[int64]uint64 // payload length
	messages map[int64]saidMessage
}

// truth inspects traffic as it passed and finds frame boundaries as the relay does.
type truth struct {
	inspect.Sink
	inspector inspect.Inspector
	scan      [2]inspect.Scanner
	dirs      [2]saidAt
	offs      map[uint64]int64 // of frames, by number
}

func newTruth(s inspect.Sink) *truth {
	h := &truth{Sink: s, offs: map[uint64]int64{}}
	for d := range h.dirs {
		h.dirs[d] = saidAt{map[int64]uint64{}, map[int64]saidMessage{}}
	}
	h.inspector.Emit = func(_ *inspect.Conn, e inspect.Event) {
		switch e := e.(type) {
		case *inspect.Frame:
			h.offs[e.N] = e.Off
			h.dirs[e.Dir].frames[e.Off] = e.Header.Length()
		case *inspect.Message:
			h.dirs[e.Dir].messages[h.offs[e.First]] = saidMessage{opcode: e.Opcode, data: bytes.Clone(e.Data), compressed: e.Compressed}
		}
	}
	return h
}

func (h *truth) Open(i inspect.ConnInfo) {
	h.inspector.Open(i)
	h.Sink.Open(i)
}

func (h *truth) Chunk(c inspect.Chunk) {
	h.inspector.Chunk(c)
	if c.Off >= int64(len([2]string{upgrade, agreed}[c.Dir])) {
		s := &h.scan[c.Dir]
		if s.AtBoundary() {
			c.Boundary = 1
		}
		for rest := c.Data; len(rest) > 0; {
			if _, _, _, rest = s.Next(rest); c.Boundary == 0 && s.AtBoundary() && len(rest) > 0 {
				c.Boundary = len(c.Data) - len(rest) + 1
			}
		}
		c.Whole = s.AtBoundary()
	}
	h.Sink.Chunk(c)
}

// judge says whether what a reader shows of a message is what was said: all of
// it, or a part with the mark that it is one, or nothing with the mark that it
// cannot be read.
func (h *truth) judge(m *inspect.Message, off int64) (shown bool, err error) {
	said, begins := h.dirs[m.Dir].messages[off]
	switch {
	case m.Undecodable:
		if len(m.Data) > 0 {
			return false, fmt.Errorf("cannot be read and yet says %.60q", m.Data)
		}
		return false, nil
	case !begins && m.Cut && m.Opcode == inspect.OpContinuation && !m.Compressed: // its beginning was left out
		return false, nil
	case !begins:
		return false, fmt.Errorf("no message begins there; %v %.60q", m.Opcode, m.Data)
	case m.Opcode != said.opcode || m.Compressed != said.compressed:
		return false, fmt.Errorf("is %v and not %v", m.Opcode, said.opcode)
	case m.Cut && !m.Compressed && bytes.HasPrefix(said.data, m.Data):
		return false, nil
	case bytes.Equal(m.Data, said.data):
		return true, nil
	}
	return false, fmt.Errorf("says %.60q and not %.60q (cut %v)", m.Data, said.data, m.Cut)
}

// checkInspected reads a recording as show and plain output do.
func (h *truth) checkInspected(t *testing.T, path string) (right, marked int) {
	t.Helper()
	offs := map[uint64]int64{}
	in := &inspect.Inspector{}
	in.Emit = func(c *inspect.Conn, e inspect.Event) {
		if c.Info().ID != 1 {
			return
		}
		switch e := e.(type) {
		case *inspect.Exchange:
			t.Errorf("what follows a hole is taken for HTTP: %v", e.Error)
		case *inspect.Frame:
			offs[e.N] = e.Off
			if n, ok := h.dirs[e.Dir].frames[e.Off]; !ok || n != e.Header.Length() {
				t.Errorf("%v: no frame of %d bytes begins at %d", e.Dir, e.Header.Length(), e.Off)
			}
		case *inspect.Message:
			shown, err := h.judge(e, offs[e.First])
			if err != nil {
				t.Errorf("%v: the message at %d %v", e.Dir, offs[e.First], err)
			}
			if shown {
				right++
			} else {
				marked++
			}
		}
	}
	if err := Follow(context.Background(), path, nil, in); err != nil {
		t.Error(err)
	}
	return right, marked
}

// everything wants each message and remembers it.
type everything func(*Message)

func (f everything) Row(Row) Answer          { return Maybe }
func (f everything) Message(m *Message) bool { f(m); return false }

// checkStored asks a Store for each frame's message and its line, and searches.
func (h *truth) checkStored(t *testing.T, path string) {
	t.Helper()
	s := openStore(t, path, nil)
	<-s.Done()
	if s.Sessions() == 0 || s.Session(0).Conn.ID != 1 {
		t.Fatalf("%d sessions", s.Sessions())
	}
	rows := make([]Row, s.Len(0))
	s.Rows(0, 0, rows)
	offOf := func(n uint64) int64 { return rows[n-1].Off() }
	check := func(how string, r Row, m *Message) {
		if _, err := h.judge(&m.Message, offOf(m.First)); err != nil {
			t.Errorf("%s, frame %d: the message %v to %v at %d %v", how, r.N(), m.First, m.Last, offOf(m.First), err)
		}
	}
	for _, r := range rows {
		m, err := s.Message(r, 1<<20)
		if err != nil {
			t.Errorf("frame %d: %v", r.N(), err)
			continue
		}
		check("Message", r, &m)
		h.checkLine(t, s, r, &m)
	}
	var at Row
	if len(rows) > 0 {
		at = rows[0]
	}
	_, _, err := s.Find(context.Background(), at, false, everything(func(m *Message) { check("Find", at, m) }))
	if err != nil {
		t.Error(err)
	}
}

// checkLine: a line says nothing that the message does not.
func (h *truth) checkLine(t *testing.T, s *Store, r Row, m *Message) {
	t.Helper()
	line := s.Summary(r)
	said, ok := h.dirs[r.Dir()].messages[r.Off()]
	if !ok || m.Undecodable || m.Cut || said.opcode == inspect.OpClose {
		if m.Undecodable && !strings.HasSuffix(line, "(compressed, cannot be inflated)") && !strings.HasPrefix(line, "… goes on") {
			t.Errorf("frame %d: the line of what cannot be read is %.80q", r.N(), line)
		}
		return
	}
	want := inspect.Visible(said.data[:min(len(said.data), lineBytes)], lineWide)
	if got := line[strings.Index(line, ") ")+1:]; !strings.Contains(line, "…") && strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("frame %d: the line is %.80q and not %.80q", r.N(), line, want)
	}
}

// stuffing is a connection of which nothing can be read: it fills the ring.
type stuffing struct {
	sink inspect.Sink
	off  int64
}

func newStuffing(s inspect.Sink) *stuffing {
	info := conn(8)
	info.Opaque = true
	s.Open(info)
	return &stuffing{sink: s}
}

func (f *stuffing) pass(n int) {
	if f != nil {
		f.sink.Chunk(inspect.Chunk{Conn: 8, Time: t0, Off: f.off, Data: make([]byte, n)})
		f.off += int64(n)
	}
}

// lapped checks that the ring has gone round.
func (f *stuffing) lapped(t *testing.T, dir string) {
	t.Helper()
	if f == nil {
		return
	}
	r, err := openRing(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.oldest() == 0 {
		t.Error("nothing was written over")
	}
}

// speak records a session with compressed messages both ways, long ones and short
// ones, in random pieces, and calls between after each piece.
func speak(t testing.TB, r *rand.Rand, s inspect.Sink, messages, size int, between func()) {
	s.Open(conn(1))
	var off [2]int64
	pour(r, s, 1, inspect.ToServer, &off[0], []byte(upgrade))
	pour(r, s, 1, inspect.ToClient, &off[1], []byte(agreed))
	between()
	talkers := [2]*talker{newTalker(t, r, inspect.ToServer), newTalker(t, r, inspect.ToClient)}
	for range messages {
		for d, k := range talkers {
			var b []byte
			for range 1 + r.IntN(3) {
				b = append(b, k.message(t, 1+r.IntN(1+r.IntN(size)))...)
			}
			pour(r, s, 1, inspect.Dir(d), &off[d], b)
			between()
		}
	}
	for d := range off {
		s.End(inspect.Ended{Conn: 1, Dir: inspect.Dir(d), How: inspect.Fin, Time: t0.Add(time.Hour), Off: off[d]})
	}
}

// Whatever is left out of a temporary recording, for want of time or of room, no
// reader shows a text that was not said.
func TestNothingWrongIsShown(t *testing.T) {
	var snapped, dropped int64
	var right, marked int
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 51))
		dir := t.TempDir()
		w := stuckWriter(t, Options{Path: dir, Temporary: true, Limit: MinKeep})
		h := newTruth(w)
		var others *stuffing
		if seed == 5 { // more than the ring keeps
			others = newStuffing(w)
		}
		speak(t, r, h, 60, 10_000, func() {
			others.pass(50_000)
			switch r.IntN(12) {
			case 0: // another connection fills the queue; nothing of it is written
				w.Chunk(inspect.Chunk{Conn: 9, Time: t0, Off: 0, Data: make([]byte, r.IntN(queueLimit))})
			case 1, 2, 3:
				drain(t, w)
			}
		})
		drained(t, w)
		others.lapped(t, dir)
		st := w.Status()
		snapped, dropped = snapped+st.Snapped, dropped+st.Dropped
		some, rest := h.checkInspected(t, dir)
		right, marked = right+some, marked+rest
		h.checkStored(t, dir)
		if t.Failed() {
			t.Fatalf("seed %d: %d bytes shortened, %d dropped", seed, st.Snapped, st.Dropped)
		}
	}
	if snapped == 0 || dropped == 0 || right < 100 || marked < 200 {
		t.Errorf("%d bytes shortened, %d dropped, %d messages right, %d marked", snapped, dropped, right, marked)
	}
}

// The same of a recording from which packets are missing in other ways: holes that
// a note tells of, and packets that are not whole, anywhere.
func TestNothingWrongIsShownOfAnyHole(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 52))
		path := filepath.Join(t.TempDir(), "a.pcapng")
		w := create(t, Options{Path: path})
		h := newTruth(&puncher{Sink: w, r: r})
		speak(t, r, h, 60, 8000, func() {})
		closed(t, w)
		right, marked := h.checkInspected(t, path)
		h.checkStored(t, path)
		if right == 0 || marked == 0 {
			t.Errorf("seed %d: %d right, %d marked", seed, right, marked)
		}
		if t.Failed() {
			return
		}
	}
}

// puncher leaves bytes out on their way to a recording.
type puncher struct {
	inspect.Sink
	r           *rand.Rand
	begun, lost [2]bool
}

func (p *puncher) Chunk(c inspect.Chunk) {
	if c.Boundary == 0 && !p.begun[c.Dir] { // heads stay whole
		p.Sink.Chunk(c)
		return
	}
	p.begun[c.Dir] = true
	if p.lost[c.Dir] {
		if c.Boundary == 0 || p.r.IntN(3) == 0 {
			return
		}
		n := c.Boundary - 1
		c.Off, c.Data, c.Boundary, p.lost[c.Dir] = c.Off+int64(n), c.Data[n:], 1, false
	}
	switch p.r.IntN(40) {
	case 0:
		p.lost[c.Dir] = true
	case 1: // a packet that is not whole
		n := p.r.IntN(len(c.Data))
		c.Data, c.Gap = c.Data[:n], int64(len(c.Data)-n)
		p.Sink.Chunk(c)
	default:
		p.Sink.Chunk(c)
	}
}
