package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/wsproxy/wsproxy/inspect"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)

// heard is a sink that writes down what it is told.
type heard struct {
	mu      sync.Mutex
	lines   []string
	streams map[legDir][]byte // with '?' for bytes that were not captured
	ends    map[legDir]inspect.Ended
	bounds  []int64 // offsets that were named as a frame's start
}

func newHeard() *heard {
	return &heard{streams: map[legDir][]byte{}, ends: map[legDir]inspect.Ended{}}
}

func (h *heard) Open(i inspect.ConnInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf("open %v %s %s %s", i.ID, i.Mode, i.Client.Remote, i.Time.UTC().Format(time.RFC3339Nano)))
}

func (h *heard) Chunk(c inspect.Chunk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := legDir{c.Conn, c.Leg, c.Dir}
	if int64(len(h.streams[k])) != c.Off {
		h.lines = append(h.lines, fmt.Sprintf("offset %d, want %d", c.Off, len(h.streams[k])))
	}
	if c.Boundary > 0 {
		h.bounds = append(h.bounds, c.Off+int64(c.Boundary-1))
	}
	h.streams[k] = append(h.streams[k], c.Data...)
	h.streams[k] = append(h.streams[k], bytes.Repeat([]byte("?"), int(c.Gap))...)
}

func (h *heard) Note(n inspect.Note) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf("note %s %v %s", n.Kind, n.Conn, n.Leg))
}

func (h *heard) End(e inspect.Ended) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends[legDir{e.Conn, e.Leg, e.Dir}] = e
	h.lines = append(h.lines, fmt.Sprintf("end %v %s %s %s %d %s", e.Conn, e.Leg, e.Dir, e.How, e.Off, e.Error))
}

func conn(id inspect.ConnID) inspect.ConnInfo {
	return inspect.ConnInfo{ID: id, Mode: "reverse", Target: "ws://localhost:3000", Time: t0,
		Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: fmt.Sprintf("127.0.0.1:%d", 40000+id)}}
}

func serverLeg(id inspect.ConnID) inspect.Note {
	return inspect.NewNote(id, inspect.ServerLeg, inspect.ToServer, t0, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg,
		Leg: inspect.ServerLeg, ConnInfo: inspect.ConnInfo{ID: id}, Server: &inspect.Endpoints{Local: fmt.Sprintf("[::1]:%d", 50000+id), Remote: "[::1]:3000"}})
}

func create(t testing.TB, o Options) *Writer {
	t.Helper()
	w, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func closed(t testing.TB, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func follow(t testing.TB, path string) *heard {
	t.Helper()
	h := newHeard()
	if err := Follow(context.Background(), path, nil, h); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path, Version: "test"})
	w.Open(conn(1))
	w.Note(inspect.NewNote(1, inspect.ClientLeg, inspect.ToServer, t0, inspect.NoteSession, inspect.SessionNote{Kind: inspect.NoteSession, Session: 1}))
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Data: []byte("GET / HTTP/1.1\r\n\r\n")})
	w.Note(serverLeg(1))
	w.Note(inspect.NewNote(1, inspect.ServerLeg, inspect.ToServer, t0, inspect.NotePeer, inspect.PeerNote{Kind: inspect.NotePeer, Addr: "[::1]:3000"}))
	big := bytes.Repeat([]byte("0123456789abcdef"), 10000) // more than one IP packet holds
	w.Chunk(inspect.Chunk{Conn: 1, Leg: inspect.ServerLeg, Dir: inspect.ToClient, Time: t0, Data: big})
	w.End(inspect.Ended{Conn: 1, Leg: inspect.ServerLeg, Dir: inspect.ToServer, How: inspect.CloseNotify, Time: t0, Off: 77})
	w.End(inspect.Ended{Conn: 1, Leg: inspect.ServerLeg, Dir: inspect.ToClient, How: inspect.Rst, Time: t0, Off: 160000, Error: "reset"})
	w.End(inspect.Ended{Conn: 1, Leg: inspect.ClientLeg, Dir: inspect.ToServer, How: inspect.Fin, Time: t0, Off: 18})
	closed(t, w)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	h := follow(t, path)
	id := inspect.ConnID(1).String()
	want := []string{
		"open " + id + " reverse 127.0.0.1:40001 2026-11-23T12:00:00.123456789Z",
		"note session " + id + " client",
		"note leg " + id + " server",
		"note peer " + id + " server",
		"end " + id + " server to-server close_notify 77 ",
		"end " + id + " server to-client rst 160000 reset",
		"end " + id + " client to-server fin 18 ",
		"note finished 0000000000000000 client",
		"end " + id + " client to-client cut 0 ",
	}
	if !slices.Equal(h.lines, want) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(h.lines, "\n"), strings.Join(want, "\n"))
	}
	if got := h.streams[legDir{1, inspect.ServerLeg, inspect.ToClient}]; !bytes.Equal(got, big) {
		t.Errorf("%d bytes came back", len(got))
	}
}

// TestStreams shows that what many goroutines record comes back byte for byte.
func TestStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	live := w.Watch()
	h := newHeard()
	followed := make(chan error, 1)
	go func() { followed <- Follow(context.Background(), path, live, h) }()
	want := map[legDir][]byte{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for id := inspect.ConnID(1); id <= 8; id++ {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(id), 9))
			w.Open(conn(id))
			var off [2]int64
			for range 300 {
				d := inspect.Dir(r.IntN(2))
				b := make([]byte, 1+r.IntN(1<<r.IntN(15)))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				w.Chunk(inspect.Chunk{Conn: id, Dir: d, Time: t0, Off: off[d], Data: b})
				off[d] += int64(len(b))
				mu.Lock()
				k := legDir{id, inspect.ClientLeg, d}
				want[k] = append(want[k], b...)
				mu.Unlock()
				clear(b) // it must have been copied
			}
			w.End(inspect.Ended{Conn: id, Dir: inspect.ToServer, How: inspect.Fin, Time: t0, Off: off[0]})
			w.End(inspect.Ended{Conn: id, Dir: inspect.ToClient, How: inspect.Fin, Time: t0, Off: off[1]})
		})
	}
	wg.Wait()
	closed(t, w)
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	for _, got := range []*heard{h, follow(t, path)} {
		for k, b := range want {
			if !bytes.Equal(got.streams[k], b) {
				t.Errorf("%v: %d bytes came back of %d", k, len(got.streams[k]), len(b))
			}
		}
		for _, l := range got.lines {
			if strings.HasPrefix(l, "offset") || strings.Contains(l, "cut") {
				t.Error(l)
			}
		}
	}
	if st := w.Status(); st.Packets < 8*300 || st.Behind != 0 || st.Err != nil || st.Stopped != "" {
		t.Errorf("%+v", st)
	}
}

func TestExistsForceAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	one := func(o Options, id inspect.ConnID) {
		t.Helper()
		w := create(t, o)
		w.Open(conn(id))
		w.Chunk(inspect.Chunk{Conn: id, Time: t0, Data: []byte(fmt.Sprint("bytes of ", id))})
		var locked *LockedError
		if _, err := Create(Options{Path: path, Append: true}); !errors.As(err, &locked) {
			t.Errorf("two writers: %v", err)
		}
		if _, err := Create(Options{Path: path, Force: true}); !errors.As(err, &locked) {
			t.Errorf("two writers: %v", err)
		}
		if _, err := Create(Options{Path: path}); !errors.As(err, &locked) {
			t.Errorf("two writers: %v", err)
		}
		if !Live(path) {
			t.Error("it is not live")
		}
		closed(t, w)
		if Live(path) {
			t.Error("it is still live")
		}
	}
	one(Options{Path: path}, 1)
	var exists *ExistsError
	if _, err := Create(Options{Path: path}); !errors.As(err, &exists) {
		t.Fatalf("overwritten silently: %v", err)
	}
	one(Options{Path: path, Append: true}, 2)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-5], 0o600); err != nil { // torn: the tail is cut off before appending
		t.Fatal(err)
	}
	one(Options{Path: path, Append: true}, 3)
	h := follow(t, path)
	for id := inspect.ConnID(1); id <= 3; id++ {
		if got := string(h.streams[legDir{id, 0, 0}]); got != fmt.Sprint("bytes of ", id) {
			t.Errorf("connection %d: %q", id, got)
		}
	}
	one(Options{Path: path, Force: true}, 4)
	if h := follow(t, path); len(h.streams) != 1 {
		t.Errorf("not overwritten: %v", h.lines)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("this is no capture"), 0o600); err != nil {
		t.Fatal(err)
	}
	var format *FormatError
	if _, err := Create(Options{Path: text, Append: true}); !errors.As(err, &format) {
		t.Errorf("appended to text: %v", err)
	}
	if b, _ := os.ReadFile(text); string(b) != "this is no capture" {
		t.Errorf("it was changed: %q", b)
	}
}

// sample is a small recording and its connection's streams.
func sample(t testing.TB) (file []byte, up, down string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sample.pcapng")
	w := create(t, Options{Path: path, Version: "v"})
	w.Open(conn(5))
	var off [2]int64
	for i := range 6 {
		for d, s := range []string{fmt.Sprintf("question %d ", i), fmt.Sprintf("answer %d ", i)} {
			w.Chunk(inspect.Chunk{Conn: 5, Dir: inspect.Dir(d), Time: t0, Off: off[d], Data: []byte(s)})
			off[d] += int64(len(s))
			if d == 0 {
				up += s
			} else {
				down += s
			}
		}
	}
	w.End(inspect.Ended{Conn: 5, Dir: 0, How: inspect.Fin, Time: t0, Off: off[0]})
	w.End(inspect.Ended{Conn: 5, Dir: 1, How: inspect.Fin, Time: t0, Off: off[1]})
	closed(t, w)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file, up, down
}

// packetsBefore counts the whole packets that pcapgo reads in the first n bytes.
func packetsBefore(t testing.TB, file []byte, n int) (packets int, payload int) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file[:n]), pcapgo.NgReaderOptions{})
	if err != nil {
		return 0, 0
	}
	for {
		data, _, err := r.ReadPacketData()
		if err != nil {
			return packets, payload
		}
		packets++
		payload += len(data) - 40
	}
}

// TestCutAnywhere cuts a file at every byte: every whole packet before the cut
// is read, and the error says where the file was cut.
func TestCutAnywhere(t *testing.T) {
	file, up, down := sample(t)
	path := filepath.Join(t.TempDir(), "cut.pcapng")
	begins := int64(0) // the block that the cut is in
	for n := range file {
		if length := int64(binary.LittleEndian.Uint32(file[begins+4:])); int64(n) == begins+length {
			begins = int64(n)
		}
		if err := os.WriteFile(path, file[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		h := newHeard()
		err := Follow(context.Background(), path, nil, h)
		var torn *TornError
		var format *FormatError
		switch {
		case errors.As(err, &torn):
			if torn.Offset != begins || torn.Offset == int64(n) {
				t.Fatalf("cut at %d: torn at %d, the block begins at %d", n, torn.Offset, begins)
			}
		case errors.As(err, &format):
			if n > 100 {
				t.Fatalf("cut at %d: %v", n, err)
			}
		case err != nil:
			t.Fatalf("cut at %d: %v", n, err)
		case begins != int64(n):
			t.Fatalf("cut at %d, inside the block at %d, and nothing is said", n, begins)
		}
		gotUp, gotDown := string(h.streams[legDir{5, 0, 0}]), string(h.streams[legDir{5, 0, 1}])
		if !strings.HasPrefix(up, gotUp) || !strings.HasPrefix(down, gotDown) {
			t.Fatalf("cut at %d: %q %q", n, gotUp, gotDown)
		}
		if _, payload := packetsBefore(t, file, n); len(gotUp)+len(gotDown) < payload {
			t.Fatalf("cut at %d: %d bytes came back, pcapgo reads %d", n, len(gotUp)+len(gotDown), payload)
		}
		if len(h.ends) != 0 && len(h.ends) != 2 {
			t.Fatalf("cut at %d: %v", n, h.lines)
		}
	}
}

// TestDamageAnywhere damages every byte: it costs at most the block it is in.
func TestDamageAnywhere(t *testing.T) {
	file, up, down := sample(t)
	path := filepath.Join(t.TempDir(), "damaged.pcapng")
	for n := range file {
		bad := bytes.Clone(file)
		bad[n] ^= 0x55
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		h := newHeard()
		err := Follow(context.Background(), path, nil, h) // whatever it says, it must not panic
		if n < 200 {
			continue // without section and interfaces nothing can be read
		}
		// The stream is whole but for one packet's bytes, or for the connection's
		// first packet, without which the rest is read as a foreign capture.
		total := 0
		for _, b := range h.streams {
			total += len(b) - bytes.Count(b, []byte("?"))
		}
		if n >= len(file)-100 {
			continue // the last block's damage is a torn tail
		}
		if lost := len(up) + len(down) - total; lost > 11 {
			t.Fatalf("byte %d: %d bytes lost, %v\n%s", n, lost, err, strings.Join(h.lines, "\n"))
		}
	}
}

// An RST may follow a FIN, and ends the other direction; nothing follows it.
func TestResetBehindFin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	w.Open(conn(1))
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Data: []byte("abc")})
	for _, how := range []inspect.End{inspect.Fin, inspect.Fin, inspect.Rst, inspect.Rst} {
		w.End(inspect.Ended{Conn: 1, How: how, Time: t0, Off: 3})
	}
	w.End(inspect.Ended{Conn: 1, Dir: inspect.ToClient, How: inspect.Self, Time: t0})
	closed(t, w)
	var ends []string
	for _, l := range follow(t, path).lines {
		if strings.HasPrefix(l, "end ") {
			ends = append(ends, l)
		}
	}
	want := []string{"end 0000000000000001 client to-server fin 3 ", "end 0000000000000001 client to-server rst 3 "}
	if !slices.Equal(ends, want) {
		t.Errorf("%q\nwant %q", ends, want)
	}
}

func TestHole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	w.Open(conn(1))
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Data: []byte("abc")})
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Off: 10, Data: []byte("klm"), Boundary: 1})
	closed(t, w)
	h := follow(t, path)
	if got := string(h.streams[legDir{1, 0, 0}]); got != "abc???????klm" || !slices.Equal(h.bounds, []int64{10}) {
		t.Errorf("%q, boundaries %v", got, h.bounds)
	}
}

func TestTemporaryDropsAndResumesAtABoundary(t *testing.T) {
	w := &Writer{options: Options{Temporary: true}, thin: map[legDir]*thinned{}, done: make(chan struct{})}
	w.more.L, w.room.L = &w.mu, &w.mu
	chunk := func(off int64, n, boundary int) {
		w.Chunk(inspect.Chunk{Conn: 1, Off: off, Data: make([]byte, n), Boundary: boundary})
	}
	chunk(0, queueLimit-10, 1) // nobody writes: the queue is full
	chunk(queueLimit-10, 100, 1)
	chunk(queueLimit+90, 5, 0)
	if st := w.Status(); st.Dropped != 105 || st.Behind != queueLimit-10 {
		t.Fatalf("%+v", st)
	}
	w.take()
	chunk(queueLimit+95, 50, 0) // not at a boundary: still left out
	chunk(queueLimit+145, 50, 31)
	if st := w.Status(); st.Dropped != 185 || st.Behind != 20 {
		t.Errorf("%+v", st)
	}
	o := w.queue.ops[len(w.queue.ops)-1]
	if o.off != queueLimit+175 || o.boundary != 1 {
		t.Errorf("resumed at %d", o.off)
	}
}

func TestAskedForWaits(t *testing.T) {
	w := &Writer{done: make(chan struct{})}
	w.more.L, w.room.L = &w.mu, &w.mu
	w.Chunk(inspect.Chunk{Conn: 1, Data: make([]byte, queueLimit)})
	through := make(chan struct{})
	go func() {
		w.Chunk(inspect.Chunk{Conn: 1, Off: queueLimit, Data: []byte("x")})
		close(through)
	}()
	for !w.Status().Waiting {
		select {
		case <-through:
			t.Fatal("it did not wait")
		default:
		}
	}
	w.take()
	<-through
	if st := w.Status(); st.Behind != 1 || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

// fullDisk takes so many bytes and no more.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

func TestFullDisk(t *testing.T) {
	out, err := newSection(oneByOne{&fullDisk{3 << 20}}, io.NopCloser(nil), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	w := &Writer{options: Options{OnStop: func(why string) { said <- why }}, out: out, done: make(chan struct{})}
	w.more.L, w.room.L = &w.mu, &w.mu
	go w.run(out)
	w.Open(conn(1))
	var off int64
	for w.Status().Stopped == "" {
		w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Off: off, Data: make([]byte, 1<<20)}) // must not block for ever
		off += 1 << 20
	}
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Off: off, Data: make([]byte, 64<<20)}) // and not wait any more
	if err := w.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the fault was not told: %v", err)
	}
	if st := w.Status(); !errors.Is(st.Err, syscall.ENOSPC) || <-said != "no space left on device" || st.Packets == 0 {
		t.Errorf("%+v", st)
	}
}

func TestForeignFiles(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "text": "hello, this is a text file\n", "zeros": strings.Repeat("\x00", 100), "short": "ab"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var format *FormatError
		if err := Follow(context.Background(), path, nil, newHeard()); !errors.As(err, &format) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Follow(context.Background(), filepath.Join(t.TempDir(), "none"), nil, newHeard()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	create(t, Options{Path: path})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Follow(ctx, path, make(chan struct{}), newHeard()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPoll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	h := newHeard()
	followed := make(chan error, 1)
	go func() { followed <- Follow(context.Background(), path, Poll(context.Background(), path), h) }()
	w.Open(conn(1))
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Data: []byte("abc")})
	for {
		h.mu.Lock()
		n := len(h.streams)
		h.mu.Unlock()
		if n > 0 { // seen while it is still being written
			break
		}
	}
	closed(t, w)
	if err := <-followed; err != nil {
		t.Error(err)
	}
	if got := string(h.streams[legDir{1, 0, 0}]); got != "abc" {
		t.Errorf("%q", got)
	}
}

// FuzzWalker: whatever pcapgo reads of a file, the walker reads too; and no
// file makes it panic or take memory that the file does not hold.
func FuzzWalker(f *testing.F) {
	file, _, _ := sample(f)
	f.Add(file)
	f.Add(file[:len(file)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		var ours [][]byte
		var s sections
		w := walker{r: bytes.NewReader(b)}
		torn := 0 // pcapgo reads a packet whose block is cut off behind it
		for {
			blk, err := w.next()
			var format *FormatError
			if errors.As(err, &format) {
				return // they believe in section headers that we do not
			}
			if errors.Is(err, errShort) {
				torn = 1
			}
			if err != nil {
				break
			}
			if p, ok := s.take(blk); ok {
				ours = append(ours, bytes.Clone(p.data))
			}
		}
		if cap(w.buf) > len(b)+64<<10 {
			t.Fatalf("%d bytes kept for a file of %d", cap(w.buf), len(b))
		}
		r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return
		}
		var theirs [][]byte
		for {
			data, _, err := r.ReadPacketData()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return // it gives up where we go on
			}
			theirs = append(theirs, data)
		}
		if w.damage > 0 {
			return // they believe in blocks that we do not
		}
		if len(ours)+torn < len(theirs) {
			t.Fatalf("%d packets, pcapgo reads %d", len(ours), len(theirs))
		}
		for i := range ours[:min(len(ours), len(theirs))] {
			if !bytes.Equal(ours[i], theirs[i]) {
				t.Fatalf("packet %d: % x, pcapgo % x", i, ours[i], theirs[i])
			}
		}
	})
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pcapng")
	w := create(t, Options{Path: path})
	if err := Check(path); err != nil {
		t.Errorf("a recording that has just begun: %v", err)
	}
	closed(t, w)
	foreign := conversationWire(101).file(t, 0, 1)
	if err := Check(foreign); err != nil {
		t.Errorf("a pcap: %v", err)
	}
	for name, content := range map[string]string{"empty": "", "short": "\n\r\r\n\x1c", "text": "hello, this is text"} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var format *FormatError
		if err := Check(p); !errors.As(err, &format) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
