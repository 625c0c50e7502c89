package record

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// fewPages are pages of which hardly any stay in memory.
func fewPages(t *testing.T) *pages {
	t.Helper()
	p := newPages(scratch{path: t.TempDir() + "/a"})
	p.hold = 4
	t.Cleanup(func() {
		if p.err != nil {
			t.Error(p.err)
		}
		p.close()
	})
	return p
}

func record16(i int64) []byte {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(i))
	binary.LittleEndian.PutUint64(b[8:], uint64(i)*0x9e3779b97f4a7c15)
	return b[:]
}

// TestLists: whatever lists grow side by side, are changed in the middle and trimmed,
// each answers what was put into it; what is given back is used again.
func TestLists(t *testing.T) {
	p := fewPages(t)
	r := rand.New(rand.NewPCG(1, 2))
	lists := make([]list, 20)
	changed := make([]map[int64]int64, len(lists))
	for i := range lists {
		lists[i].size = 16
		changed[i] = map[int64]int64{}
	}
	check := func(k int, i int64) {
		t.Helper()
		want := i
		if c, ok := changed[k][i]; ok {
			want = c
		}
		if got := lists[k].at(p, i); !bytes.Equal(got, record16(want)) {
			t.Fatalf("list %d, record %d: %x", k, i, got)
		}
	}
	for step := range 60_000 {
		k := r.IntN(len(lists))
		l := &lists[k]
		switch {
		case l.n == l.first || step%50 != 0:
			for range 1 + r.IntN(4) {
				l.add(p, record16(l.n))
			}
		case step%100 == 0:
			i := l.first + r.Int64N(l.n-l.first)
			copy(l.from(p, i, true), record16(-i))
			changed[k][i] = -i
		default:
			l.trim(p, l.first+r.Int64N(1+(l.n-l.first)/4))
		}
		if l.n > l.first {
			check(k, l.first)
			check(k, l.n-1)
			check(k, l.first+r.Int64N(l.n-l.first))
		}
	}
	if p.file == nil || len(p.all) > p.hold {
		t.Errorf("%d pages are in memory, file %v", len(p.all), p.file)
	}
	i := lists[0].first + (lists[0].n-lists[0].first)/2
	if got := lists[0].search(p, func(b []byte) bool { // changed ones break the order, so only the first half of it is told
		v := int64(binary.LittleEndian.Uint64(b))
		return v >= i || -v >= i
	}); got != i {
		t.Errorf("searching for %d found %d", i, got)
	}
	for k := range lists {
		lists[k].drop(p)
	}
	if p.used != 0 {
		t.Errorf("%d bytes are still handed out", p.used)
	}
	end := place(0)
	for range 3 {
		again := list{size: 16}
		for i := range int64(20_000) {
			again.add(p, record16(i))
		}
		again.drop(p)
		if end != 0 && p.end != end {
			t.Errorf("the file grew from %d to %d units for what was given back", end, p.end)
		}
		end = p.end
	}
}

// TestWindowsAreKept: none is thinned, and each is what was taken.
func TestWindowsAreKept(t *testing.T) {
	p := fewPages(t)
	ws := newWindows()
	full := func(n uint64) []byte { return bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 16<<10) }
	for n := uint64(1); n <= 300; n++ {
		ws.passed(p, n*10, windowEvery, func() []byte { return full(n) })
	}
	for _, n := range []uint64{11, 20, 21, 2005, 3001} {
		w, ok := ws.before(p, n)
		at := (n - 1) / 10
		if !ok || w.n != at*10 || !bytes.Equal(p.fetch(w.at, w.of), full(at)) {
			t.Errorf("before frame %d stands %d, %v", n, w.n, ok)
		}
	}
	if _, ok := ws.before(p, 10); ok {
		t.Error("something stands before the first")
	}
	ws.trim(p, 1000)
	if w, ok := ws.before(p, 1000); !ok || w.n != 990 {
		t.Errorf("behind trimming frame 1000 goes on from %d, %v", w.n, ok)
	}
	ws.drop(p)
	if p.used != 0 {
		t.Errorf("%d bytes are still handed out", p.used)
	}
}

// TestIndexLiesOnDisk: an index of many frames, of connections that interleave, takes a
// bounded room in memory.
func TestIndexLiesOnDisk(t *testing.T) {
	frames := wstest.Count("frames of a large index")
	f, err := os.Create(t.TempDir() + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newStore(t.Context(), f.Name(), plainSource{f})
	s.pages.hold = min(pagesHold, frames/2000) // of few frames few pages, so that the disk is used
	defer s.pages.close()
	x := newIndexer(s, bothPasses, nil)
	const conns = 32
	before := heap()
	for id := inspect.ConnID(1); id <= conns; id++ {
		x.Open(inspect.ConnInfo{ID: id})
		x.conns[id].session = x.opened(x.conns[id], Session{Kind: WebSocket})
	}
	head := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpBinary, Length: 100})
	pos := int64(100)
	for n := range frames {
		id := inspect.ConnID(1 + n%conns)
		d := inspect.Dir(n / conns % 2)
		off := int64(n/conns/2) * 102
		x.chunk(nil, inspect.Chunk{Conn: id, Dir: d, Off: off, Pos: pos, Data: make([]byte, 102)})
		x.inSession(nil, x.conns[id].session, &inspect.Frame{N: uint64(1 + n/conns), Dir: d, Header: head, Off: off, First: time.Unix(0, int64(n))})
		pos += 180
	}
	if grown := heap() - before; grown > int64(s.pages.hold*pageSize)+2<<20+int64(frames)/100 || grown > 40<<20 {
		t.Errorf("%d frames take %d bytes of memory", frames, grown)
	}
	if s.pages.used < int64(frames)*48 || s.pages.used > int64(frames)*100 {
		t.Errorf("%d frames take %d bytes of the index", frames, s.pages.used)
	}
	var rows [100]Row
	for id := range conns {
		n := s.Len(id)
		if n < frames/conns {
			t.Fatalf("session %d has %d frames", id, n)
		}
		for range 20 {
			from := rand.IntN(n)
			k := s.Rows(id, from, rows[:])
			if k != min(100, n-from) {
				t.Fatalf("%d rows from %d of %d", k, from, n)
			}
			for i, r := range rows[:k] {
				if want := int64(from+i)*conns + int64(id); r.N() != uint64(from+i+1) || r.Session() != id || r.Time().UnixNano() != want {
					t.Fatalf("row %d of session %d is frame %d at %d", from+i, id, r.N(), r.Time().UnixNano())
				}
				if e := s.shelf.get(id).streams[r.Dir()].reach(s.pages, r.Off(), r.Off()+102); len(e) != 1 || e[0].pos != 100+180*r.Time().UnixNano() {
					t.Fatalf("frame %d lies at %+v", r.N(), e)
				}
			}
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestManySessions: sessions that nobody looks at lie in the index, and come back as
// they were.
func TestManySessions(t *testing.T) {
	sessions := wstest.Count("sessions of a large index")
	path := t.TempDir() + "/a.pcapng"
	w := create(t, Options{Path: path})
	for n := range sessions {
		id := inspect.ConnID(n + 1)
		w.Open(conn(id))
		w.Chunk(inspect.Chunk{Conn: id, Time: t0, Data: []byte(upgrade)})
		w.Chunk(inspect.Chunk{Conn: id, Dir: inspect.ToClient, Time: t0, Data: []byte(agreed)})
		w.Chunk(inspect.Chunk{Conn: id, Time: t0, Off: int64(len(upgrade)), Data: []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\x82\x00\x00\x00\x00\x03\xe8")})
		for d := range inspect.Dir(2) {
			w.End(inspect.Ended{Conn: id, Dir: d, How: inspect.Fin, Time: t0})
		}
	}
	closed(t, w)
	s := openStore(t, path, nil)
	<-s.Done()
	if s.Sessions() != sessions || s.FirstSession() != 0 {
		t.Fatalf("%d sessions from %d on", s.Sessions(), s.FirstSession())
	}
	s.mu.Lock()
	if out := len(s.shelf.out); out > maxIdle+1 {
		t.Errorf("%d sessions are in memory", out)
	}
	s.mu.Unlock()
	for range 200 {
		i := rand.IntN(sessions)
		x := s.Session(i)
		if x.Index != i || x.Conn.ID != inspect.ConnID(i+1) || x.Handshake == nil || x.Handshake.Want != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || x.Closed == nil || x.Closed.Word != "1000" || x.Frames[0] != 2 {
			t.Fatalf("session %d is %+v", i, x)
		}
		var rows [3]Row
		if n := s.Rows(i, 0, rows[:]); n != 2 {
			t.Fatalf("session %d has %d rows", i, n)
		}
		if m, err := s.Message(rows[0], 100); err != nil || string(m.Data) != "Hello" {
			t.Fatalf("session %d says %q, %v", i, m.Data, err)
		}
	}
}
