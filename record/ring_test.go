package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// ringOf is a temporary recording of four segments of 1 MiB.
func ringOf(t testing.TB) (*Writer, string) {
	t.Helper()
	dir := t.TempDir()
	return create(t, Options{Path: dir, Temporary: true, Limit: MinKeep}), dir
}

// feed says messages in both directions of a session until so many bytes have
// passed, each direction's numbered from n on. A message is one chunk.
type ringVoice struct {
	t    testing.TB
	sink inspect.Sink
	id   inspect.ConnID
	off  [2]int64
	n    [2]int
}

func newRingVoice(t testing.TB, s inspect.Sink, id inspect.ConnID) *ringVoice {
	f := &ringVoice{t: t, sink: s, id: id}
	s.Open(conn(id))
	plain := strings.NewReplacer("Sec-WebSocket-Extensions: permessage-deflate\r\n", "")
	f.chunk(inspect.ToServer, []byte(plain.Replace(upgrade)), 0, false)
	f.chunk(inspect.ToClient, []byte(plain.Replace(agreed)), 0, false)
	return f
}

func (f *ringVoice) chunk(d inspect.Dir, b []byte, boundary int, whole bool) {
	f.sink.Chunk(inspect.Chunk{Conn: f.id, Dir: d, Time: t0, Off: f.off[d], Data: b, Boundary: boundary, Whole: whole})
	f.off[d] += int64(len(b))
}

func (f *ringVoice) say(d inspect.Dir, size int) {
	text := fmt.Sprintf("%v %v message %d ", f.id, d, f.n[d])
	f.n[d]++
	text += strings.Repeat("x", max(0, size-len(text)))
	f.chunk(d, frame(inspect.OpText, []byte(text), nil), 1, true)
}

func (f *ringVoice) end() {
	for d, off := range f.off {
		f.sink.End(inspect.Ended{Conn: f.id, Dir: inspect.Dir(d), How: inspect.Fin, Time: t0, Off: off})
	}
}

// spoken collects the start of each message that inspection reads from a sink's input.
type spoken struct {
	inspect.Inspector
	said   map[inspect.SessionID][]string
	opened []inspect.SessionID
	closed map[inspect.SessionID]string
	broken []string
	lapped int64
}

// Note takes what the reader says of itself.
func (s *spoken) Note(n inspect.Note) {
	var l inspect.LappedNote
	if n.Kind == inspect.NoteLapped && json.Unmarshal(n.JSON, &l) == nil {
		s.lapped += l.Bytes
	}
	s.Inspector.Note(n)
}

func newSpoken() *spoken {
	s := &spoken{said: map[inspect.SessionID][]string{}, closed: map[inspect.SessionID]string{}}
	s.Emit = func(_ *inspect.Conn, e inspect.Event) {
		switch e := e.(type) {
		case *inspect.Opened:
			s.opened = append(s.opened, e.Session)
		case *inspect.Message:
			text, _, _ := strings.Cut(string(e.Data), " x")
			s.said[e.Session] = append(s.said[e.Session], strings.TrimRight(text, " x"))
		case *inspect.Closed:
			s.closed[e.Session] = e.Word
		case *inspect.Exchange:
			s.broken = append(s.broken, e.Error)
		case *inspect.Frame:
			if op := e.Header.Opcode(); op != inspect.OpText {
				s.broken = append(s.broken, e.Header.String())
			}
		}
	}
	return s
}

// A reader that keeps up reads every message, however often the ring goes round.
func TestRingFollowedLive(t *testing.T) {
	w, dir := ringOf(t)
	live := w.Watch()
	got := newSpoken()
	var read atomic.Int64
	got.After = func(*inspect.Conn) { read.Add(1) }
	done := make(chan error, 1)
	go func() { done <- Follow(context.Background(), dir, live, got) }()
	f := newRingVoice(t, w, 1)
	idle := newRingVoice(t, w, 2)
	for i := range int64(1500) { // 12 MB through 4 MiB
		f.say(inspect.ToServer, 4000)
		f.say(inspect.ToClient, 4000)
		await(t, func() bool { return read.Load() >= 2*i-200 })
	}
	idle.say(inspect.ToClient, 100)
	idle.end()
	f.end()
	closed(t, w)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := len(got.said[1]); n != 3000 || len(got.said[2]) != 1 {
		t.Errorf("%d and %d messages", n, len(got.said[2]))
	}
	if len(got.opened) != 2 || len(got.broken) > 0 || got.closed[1] != "1006 client fin" || got.closed[2] != "1006 client fin" {
		t.Errorf("opened %v, broken %v, closed %v", got.opened, got.broken, got.closed)
	}
	if st := w.Status(); st.Stopped != "" || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
	ringStaysSmall(t, dir)
}

// keepUp waits until the writer has written what was put in, so that a test's
// reader sees it in time.
func keepUp(t testing.TB, w *Writer) {
	await(t, func() bool { return w.Status().Behind < 64<<10 })
}

func ringStaysSmall(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.pcapng"))
	if err != nil || len(names) != 4 {
		t.Fatalf("%d segments, %v", len(names), err)
	}
	for _, n := range names {
		st, err := os.Stat(n)
		if err != nil || st.Size() > segmentMin || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", n, st.Size(), st.Mode())
		}
	}
}

// A reader that comes late begins at the oldest bytes. The session that began
// before them is there all the same, from a message's beginning on.
func TestRingReadLate(t *testing.T) {
	w, dir := ringOf(t)
	f := newRingVoice(t, w, 1)
	idle := newRingVoice(t, w, 2)
	for range 2000 {
		f.say(inspect.ToClient, 4000)
		keepUp(t, w)
	}
	idle.say(inspect.ToServer, 50)
	closed(t, w)
	got := newSpoken()
	if err := Follow(context.Background(), dir, nil, got); err != nil {
		t.Fatal(err)
	}
	said := got.said[1]
	if len(said) < 500 || len(said) > 1100 || said[len(said)-1] != fmt.Sprintf("%v to-client message 1999", f.id) {
		t.Fatalf("%d messages, the last %q", len(said), said[len(said)-1])
	}
	for i, text := range said { // one after the other, none left out
		if want := fmt.Sprintf("%v to-client message %d", f.id, 2000-len(said)+i); text != want {
			t.Fatalf("message %d is %q, want %q", i, text, want)
		}
	}
	if len(got.said[2]) != 1 || len(got.opened) != 2 || len(got.broken) > 0 {
		t.Errorf("the idle session: %v; opened %v, broken %v", got.said[2], got.opened, got.broken)
	}
}

// A session that is resumed inside a frame goes on with the next one.
func TestRingResumesInsideAFrame(t *testing.T) {
	w, dir := ringOf(t)
	f := newRingVoice(t, w, 1)
	const size = 3 * MinKeep
	f.chunk(inspect.ToClient, inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Length: size}).Raw(), 1, false)
	for range size / 32768 {
		f.chunk(inspect.ToClient, bytes.Repeat([]byte("x"), 32768), 0, false)
		keepUp(t, w)
	}
	f.say(inspect.ToClient, 100)
	f.say(inspect.ToServer, 100)
	f.end()
	closed(t, w)
	got := newSpoken()
	if err := Follow(context.Background(), dir, nil, got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.said[1]) != fmt.Sprintf("[%v to-client message 0 %v to-server message 0]", f.id, f.id) || len(got.broken) > 0 {
		t.Errorf("said %v, broken %v", got.said[1], got.broken)
	}
}

// held is a sink that takes its time over one chunk.
type held struct {
	inspect.Sink
	at, n       int
	there, goOn chan struct{}
}

func (h *held) Chunk(c inspect.Chunk) {
	if h.n++; h.n == h.at {
		close(h.there)
		<-h.goOn
	}
	h.Sink.Chunk(c)
}

// A reader that is overtaken says so by a hole and goes on; nothing wrong is read.
func TestRingLapsASlowReader(t *testing.T) {
	w, dir := ringOf(t)
	live := make(chan struct{})
	got := newSpoken()
	done := make(chan error, 1)
	f := newRingVoice(t, w, 1)
	for range 100 {
		f.say(inspect.ToClient, 4000)
	}
	keepUp(t, w)
	await(t, func() bool { return w.Status().Packets >= 104 })
	slow := &held{Sink: got, at: 102, there: make(chan struct{}), goOn: make(chan struct{})} // both heads, and all that was said
	go func() { done <- Follow(context.Background(), dir, live, slow) }()
	<-slow.there
	for range 3000 {
		f.say(inspect.ToClient, 4000)
		keepUp(t, w)
	}
	f.end()
	closed(t, w)
	close(slow.goOn)
	close(live)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	said := got.said[1]
	before := 0
	for before < len(said) && said[before] == fmt.Sprintf("%v to-client message %d", f.id, before) {
		before++
	}
	behind := said[before:]
	if before < 100 || len(behind) < 500 || len(said) > 2000 {
		t.Fatalf("%d messages in front of the hole, %d behind it", before, len(behind))
	}
	for i, text := range behind {
		if want := fmt.Sprintf("%v to-client message %d", f.id, 3100-len(behind)+i); text != want {
			t.Fatalf("behind the hole message %d is %q, want %q", i, text, want)
		}
	}
	if len(got.opened) != 1 || len(got.broken) > 0 || got.closed[1] != "1006 client fin" {
		t.Errorf("opened %v, broken %v, closed %v", got.opened, got.broken, got.closed)
	}
	if got.lapped < MinKeep {
		t.Errorf("%d bytes were said to be gone", got.lapped)
	}
}

func TestStoreOfARing(t *testing.T) {
	w, dir := ringOf(t)
	s := openStore(t, dir, w.Watch())
	f := newRingVoice(t, w, 1)
	for n := range 2500 {
		f.say(inspect.ToClient, 4000)
		await(t, func() bool { return n < 200 || s.Sessions() == 1 && s.Len(0) >= n-200 }) // it is not overtaken
	}
	await(t, func() bool { return s.Sessions() == 1 && s.Len(0) == 2500 })
	first := s.First(0)
	if first < 500 || first >= 2400 {
		t.Errorf("frames before %d are forgotten", first)
	}
	rows := make([]Row, 2500)
	if n := s.Rows(0, 0, rows) + s.Rows(0, first-1, rows); n != 0 {
		t.Errorf("%d rows are there that were written over", n)
	}
	if n := s.Rows(0, first, rows[first:]); n != 2500-first {
		t.Errorf("%d rows from %d on", n, first)
	}
	if m, err := s.Message(rows[2499], 100); err != nil || !strings.Contains(string(m.Data), "message 2499") {
		t.Errorf("the newest: %q, %v", m.Data, err)
	}
	if _, err := s.Message(rows[first], 100); err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrLapped) {
		t.Errorf("the oldest: %v", err)
	}
	s.mu.Lock()
	used := s.pages.used
	s.mu.Unlock()
	if used > 200_000 {
		t.Errorf("the index takes %d bytes", used)
	}
	closed(t, w)
}

// Small frames make an index larger than they are: it counts against what may be
// kept, and the newest frames stay.
func TestIndexOfARingIsBounded(t *testing.T) {
	w, dir := ringOf(t)
	s := openStore(t, dir, w.Watch())
	f := newRingVoice(t, w, 1)
	const each, chunks = 30_000, 40 // frames of two bytes: 60 KB of pings, 960 KB of rows
	for n := range chunks {
		f.chunk(inspect.ToClient, bytes.Repeat([]byte{0x89, 0}, each), 2*each, true)
		await(t, func() bool { return s.Sessions() == 1 && s.Len(0) == (n+1)*each })
		s.mu.Lock()
		used, room := s.pages.used, s.room
		s.mu.Unlock()
		if used > 3*room { // what came at once is never cut
			t.Fatalf("after %d chunks the index takes %d bytes of %d", n, used, room)
		}
	}
	rows := make([]Row, 100)
	if n := s.Rows(0, chunks*each-100, rows); n != 100 || rows[99].N() != chunks*each {
		t.Errorf("%d of the newest rows are there", n)
	}
	if s.First(0) == 0 {
		t.Error("nothing was forgotten")
	}
	closed(t, w)
}

// Each segment is a pcapng file by itself, at any time, for other programs too.
func TestRingSegmentsAreFiles(t *testing.T) {
	w, dir := ringOf(t)
	f := newRingVoice(t, w, 1)
	for range 1300 {
		f.say(inspect.ToClient, 4000)
		keepUp(t, w)
	}
	await(t, func() bool { return w.Status().Behind == 0 })
	segments, err := filepath.Glob(filepath.Join(dir, "*.pcapng"))
	if err != nil || len(segments) != 4 {
		t.Fatal(segments, err)
	}
	for _, path := range segments {
		packets := 0
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{})
		if err != nil {
			t.Fatal(path, err)
		}
		for {
			if _, _, err := r.ReadPacketData(); err != nil {
				break
			}
			packets++
		}
		if packets < 10 {
			t.Errorf("%s: pcapgo reads %d packets", path, packets)
		}
		w := walker{r: bytes.NewReader(b)}
		blocks := 0
		for _, err = w.next(); err == nil; _, err = w.next() {
			blocks++
		}
		if blocks < packets+3 || w.damage > 0 || err.Error() != "EOF" {
			t.Errorf("%s: %d blocks, damage %d, %v", path, blocks, w.damage, err)
		}
	}
	closed(t, w)
}

func TestRingIsRemovedWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ring")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := create(t, Options{Path: dir, Temporary: true, Title: "8080 to 3000"})
	for _, live := range []bool{true, false} {
		if Live(dir) != live {
			t.Errorf("somebody writes it: %v", !live)
		}
		if all, err := Temporaries(filepath.Dir(dir)); err != nil || len(all) != 1 || all[0] != (Temporary{dir, "8080 to 3000", live}) {
			t.Errorf("%+v, %v", all, err)
		}
		closed(t, w)
	}
	if err := RemoveTemporary(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestRingOfNonsense(t *testing.T) {
	var format *FormatError
	empty := t.TempDir()
	if err := Follow(context.Background(), empty, nil, newSpoken()); !errors.As(err, &format) {
		t.Errorf("an empty folder: %v", err)
	}
	hostile := t.TempDir()
	head := []byte(ringMagic)
	for _, n := range []uint64{1 << 40, 1 << 60, 3, 7} {
		head = binary.LittleEndian.AppendUint64(head, n)
	}
	if err := os.WriteFile(filepath.Join(hostile, ringState), head, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Follow(context.Background(), hostile, nil, newSpoken()); !errors.As(err, &format) {
		t.Errorf("a hostile state: %v", err)
	}
}

// A ring survives being written at random, with many sessions that come and go.
func TestRingOfManySessions(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	w, dir := ringOf(t)
	live := w.Watch()
	got := newSpoken()
	var read atomic.Int64
	got.After = func(*inspect.Conn) { read.Add(1) }
	done := make(chan error, 1)
	go func() { done <- Follow(context.Background(), dir, live, got) }()
	total := int64(0)
	open := map[inspect.ConnID]*ringVoice{}
	said := map[inspect.SessionID]int{}
	for id := inspect.ConnID(1); id <= 400; id++ {
		open[id] = newRingVoice(t, w, id)
		total += 2 // its heads
		for range 40 {
			for _, f := range open {
				f.say(inspect.Dir(r.IntN(2)), 50+r.IntN(2000))
				said[inspect.SessionID(f.id)]++
				total++
				break
			}
		}
		await(t, func() bool { return read.Load() > total-500 }) // a reader that is overtaken is another test
		for n, f := range open {
			if len(open) > 20 {
				f.end()
				total += 2
				delete(open, n)
			}
			break
		}
		keepUp(t, w)
	}
	for _, f := range open {
		f.end()
	}
	closed(t, w)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(got.broken) > 0 || len(got.opened) != 400 || len(got.closed) != 400 {
		t.Fatalf("broken %v, opened %d, closed %d", got.broken, len(got.opened), len(got.closed))
	}
	for id, n := range said {
		if len(got.said[id]) != n {
			t.Errorf("session %v: %d of %d messages", id, len(got.said[id]), n)
		}
	}
}

// A killed writer leaves a ring that reads up to where it was.
func TestRingOfAKilledWriter(t *testing.T) {
	if dir := os.Getenv("WSPROXY_TEST_RING"); dir != "" {
		w, err := Create(Options{Path: dir, Temporary: true, Limit: MinKeep})
		if err != nil {
			t.Fatal(err)
		}
		f := newRingVoice(t, w, 1)
		fmt.Println("writing")
		for { // until it is killed
			f.say(inspect.ToClient, 3000)
		}
	}
	for round := range wstest.Count("rings of a killed process") {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^TestRingOfAKilledWriter$")
		cmd.Env = append(os.Environ(), "WSPROXY_TEST_RING="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		await(t, func() bool { // it has gone round a few times
			r, err := openRing(dir)
			if err != nil {
				return false
			}
			defer r.Close()
			newest, _, err := r.limits()
			return err == nil && newest >= int64(4+round%8)
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		got := newSpoken()
		if err := Follow(context.Background(), dir, nil, got); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if n := len(got.said[1]); n < 200 || len(got.broken) > 0 {
			t.Errorf("round %d: %d messages, broken %v", round, n, got.broken)
		}
	}
}

// Wherever a segment ends, in a handshake or inside a long chunk, who reads late
// reads what was said. Only a handshake whose first half is gone cannot be read.
func TestRingReadLateAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	w, dir := ringOf(t)
	for id := inspect.ConnID(1); id <= 150; id++ {
		f := newRingVoice(t, w, id)
		for range 3 {
			f.say(inspect.Dir(r.IntN(2)), 1+r.IntN(150_000))
		}
		await(t, func() bool { return w.Status().Behind == 0 })
		if id%5 == 0 {
			f.end()
		}
		keepUp(t, w)
		if id < 10 || id%7 != 0 {
			continue
		}
		got := newSpoken()
		await(t, func() bool { // what was said last is in the file
			got = newSpoken()
			if err := Follow(context.Background(), dir, nil, got); err != nil {
				t.Fatal(err)
			}
			return len(got.said[inspect.SessionID(id)]) == 3
		})
		if len(got.broken) > 1 {
			t.Fatalf("session %d: broken %v", id, got.broken)
		}
		for s, said := range got.said {
			for i, text := range said {
				if !strings.HasPrefix(text, s.String()+" to-") {
					t.Fatalf("session %v: message %d is %.60q", s, i, text)
				}
			}
		}
	}
	closed(t, w)
}

// A reader that is overtaken before its first block is overtaken, not wrong.
func TestRingOvertakesTheFirstBlock(t *testing.T) {
	w := walker{r: lappedReader{}}
	if _, err := w.next(); !errors.Is(err, ErrLapped) {
		t.Errorf("the error is %v", err)
	}
}

type lappedReader struct{}

func (lappedReader) ReadAt([]byte, int64) (int, error) { return 0, ErrLapped }
