package record

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// unread is a Store of a recording of one compressed session of several MiB whose
// frames are known and whose messages nobody has looked at.
func unread(t *testing.T) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	w.Open(conn(1))
	var off [2]int64
	r := rand.New(rand.NewPCG(8, 9))
	pour(r, w, 1, inspect.ToServer, &off[0], []byte(upgrade))
	pour(r, w, 1, inspect.ToClient, &off[1], []byte(agreed))
	k := newTalker(t, r, inspect.ToClient)
	for i := range 3000 {
		text := fmt.Appendf(nil, `{"p":%d,`, i)
		for range 256 {
			text = binary.LittleEndian.AppendUint64(text, r.Uint64())
		}
		b := frame(inspect.OpBinary, k.compressed(t, text), func(f *inspect.Fields) { f.Rsv1 = true })
		w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: t0, Off: off[1], Data: b})
		off[1] += int64(len(b))
	}
	closed(t, w)
	f, err := openSource(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(context.Background(), path, f)
	t.Cleanup(func() { _ = f.Close(); s.pages.close() })
	if err := Follow(t.Context(), path, nil, newIndexer(s, framePass, nil)); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNotReadYet: a message far behind what was looked at is not waited for, one near
// the beginning is there, and a Store that closes waits for neither.
func TestNotReadYet(t *testing.T) {
	s := unread(t)
	var row [1]Row
	s.Rows(0, 100, row[:])
	if m, err := s.Message(row[0], 100); err != nil || !strings.HasPrefix(string(m.Data), `{"p":100,`) {
		t.Errorf("message 100: %q, %v", m.Data, err)
	}
	s.Rows(0, s.Len(0)-1, row[:])
	if m, err := s.Message(row[0], 100); !errors.Is(err, ErrNotYet) || len(m.Data) > 0 {
		t.Errorf("the last message: %q, %v", m.Data, err)
	}
	const text = "7b2270223a323939392c"                                                         // {"p":2999,
	if line := s.Summary(row[0]); line != ErrNotYet.Error() && !strings.HasPrefix(line, text) { // it goes on where the last one left off
		t.Errorf("its line: %q", line)
	}
	if err := Follow(t.Context(), s.path, nil, newIndexer(s, messagePass, nil)); err != nil {
		t.Fatal(err)
	}
	if line := s.Summary(row[0]); !strings.HasPrefix(line, text) {
		t.Errorf("its line, once it was read: %q", line)
	}
	s.stop()
	s.Rows(0, s.Len(0)/2, row[:])
	if _, err := s.Message(row[0], 100); !errors.Is(err, context.Canceled) {
		t.Errorf("of a Store that closes: %v", err)
	}
}

// TestIndexCannotBeWritten: the reading ends and says why, and memory does not take the
// file's place.
func TestIndexCannotBeWritten(t *testing.T) {
	path := largeRecording(t, 64)
	f, err := openSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newStore(t.Context(), path, f)
	defer s.stop()
	p := s.pages
	p.hold = 8
	p.file, err = os.OpenFile(path, os.O_RDONLY, 0) // which takes nothing
	if err != nil {
		t.Fatal(err)
	}
	defer p.file.Close()
	if err := s.index(s.ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("indexing ended with %v", err)
	}
	if p.err == nil || !strings.HasPrefix(p.err.Error(), "the index: write ") || len(p.all) > 2*p.hold {
		t.Errorf("%d pages in memory, %v", len(p.all), p.err)
	}
}

// TestExchangesInARing: what one connection that carries only exchanges leaves in the
// index is given back too.
func TestExchangesInARing(t *testing.T) {
	w, dir := ringOf(t)
	s := openStore(t, dir, w.Watch())
	w.Open(conn(1))
	var off [2]int64
	say := func(d inspect.Dir, b string) {
		w.Chunk(inspect.Chunk{Conn: 1, Dir: d, Time: t0, Off: off[d], Data: []byte(b)})
		off[d] += int64(len(b))
	}
	body := strings.Repeat("x", 2000)
	for n := range 10_000 {
		say(inspect.ToServer, "GET /p HTTP/1.1\r\nHost: a\r\n\r\n")
		say(inspect.ToClient, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		await(t, func() bool { return s.Sessions() >= n-100 })
	}
	closed(t, w)
	<-s.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shelf.n-s.shelf.first > 4000 || s.shelf.first < 6000 || s.pages.used > 16<<20 {
		t.Errorf("of %d exchanges those from %d on are remembered, in %d bytes", s.shelf.n, s.shelf.first, s.pages.used)
	}
}

// TestFindingsOfOpenSessions: however many sessions break the rules at once, a bounded
// number of findings is kept and all are counted.
func TestFindingsOfOpenSessions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	s, err := OpenStore(t.Context(), path, w.Watch(), judgeFunc(func(e inspect.Event, _ *inspect.Conn) []inspect.Finding {
		if _, ok := e.(*inspect.Frame); ok {
			return []inspect.Finding{{ID: "a", Severity: inspect.Error}}
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var voices []*ringVoice
	for i := range 30 {
		v := newRingVoice(t, w, inspect.ConnID(i+1)*1000)
		voices = append(voices, v)
		for range maxFindings {
			v.say(inspect.ToServer, 40)
		}
	}
	await(t, func() bool { return s.Sessions() == 30 && s.Len(29) == maxFindings })
	kept, counted := 0, uint64(0)
	for i := range 30 {
		kept += len(s.Findings(i))
		counted += s.Session(i).Findings
	}
	if kept != maxOpenFindings || counted != 30*maxFindings {
		t.Errorf("%d findings are kept, %d counted", kept, counted)
	}
	for _, v := range voices {
		v.end()
	}
	closed(t, w)
	<-s.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != 0 {
		t.Errorf("%d findings are taken to be in memory", s.open)
	}
}

// TestRingIsReadOnce: one that is written over meanwhile is not read a second time,
// which would meet other sessions.
func TestRingIsReadOnce(t *testing.T) {
	w, dir := ringOf(t)
	v := newRingVoice(t, w, 1)
	v.say(inspect.ToServer, 40)
	v.end()
	closed(t, w)
	s := openStore(t, dir, nil)
	<-s.Done()
	if p := s.Progress(); p.Err != nil || !p.Indexed || s.Len(0) != 1 {
		t.Errorf("%+v", p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checked != 0 {
		t.Errorf("%d bytes were read again", s.checked)
	}
}

// TestWrittenOverMessage: a compressed message that a ring has written over since it was
// indexed is missing, and not empty.
func TestWrittenOverMessage(t *testing.T) {
	w, dir := ringOf(t)
	s := openStore(t, dir, w.Watch())
	w.Open(conn(9))
	w.Chunk(inspect.Chunk{Conn: 9, Time: t0, Data: []byte(upgrade)})
	w.Chunk(inspect.Chunk{Conn: 9, Dir: inspect.ToClient, Time: t0, Data: []byte(agreed)})
	w.Chunk(inspect.Chunk{Conn: 9, Dir: inspect.ToClient, Time: t0, Off: int64(len(agreed)), Data: []byte("\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), Boundary: 1, Whole: true})
	await(t, func() bool { return s.Sessions() == 1 && s.Len(0) == 1 })
	var row [1]Row
	s.Rows(0, 0, row[:])
	if m, err := s.Message(row[0], 100); err != nil || string(m.Data) != "Hello" {
		t.Fatalf("%q, %v", m.Data, err)
	}
	v := newRingVoice(t, w, 1)
	for range 2500 {
		v.say(inspect.ToClient, 4000)
		keepUp(t, w)
	}
	await(t, func() bool { return w.Status().Behind == 0 })
	if m, err := s.Message(row[0], 100); err == nil && string(m.Data) != "Hello" && !m.Cut && !m.Undecodable {
		t.Errorf("%q, and nothing said", m.Data)
	}
	closed(t, w)
}
