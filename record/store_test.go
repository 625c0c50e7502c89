package record

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/wsproxy/wsproxy/inspect"
)

const (
	upgrade = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	agreed  = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	shunned = "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nno way"
)

// frame is a frame as it stands on the wire.
func frame(op inspect.Opcode, payload []byte, change func(*inspect.Fields)) []byte {
	f := inspect.Fields{Fin: true, Opcode: op, Length: uint64(len(payload))}
	if change != nil {
		change(&f)
	}
	b := inspect.NewHeader(f).Append(nil)
	n := len(b)
	b = append(b, payload...)
	if f.Masked {
		inspect.Mask(f.Key, 0, b[n:])
	}
	return b
}

// talker is one direction of a session that compresses with context takeover.
type talker struct {
	r    *rand.Rand
	dir  inspect.Dir
	zip  *flate.Writer
	sent bytes.Buffer
}

func newTalker(t testing.TB, r *rand.Rand, d inspect.Dir) *talker {
	k := &talker{r: r, dir: d}
	var err error
	if k.zip, err = flate.NewWriter(&k.sent, 6); err != nil {
		t.Fatal(err)
	}
	return k
}

// compressed is a message's payload as RFC 7692 section 7.2.1 makes it.
func (k *talker) compressed(t testing.TB, p []byte) []byte {
	k.sent.Reset()
	if _, err := k.zip.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := k.zip.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(bytes.TrimSuffix(k.sent.Bytes(), []byte{0, 0, 0xff, 0xff}))
}

// message is a random one, as frames: compressed or not, in fragments or not,
// with a ping between some of them.
func (k *talker) message(t testing.TB, size int) []byte {
	words := []string{`{"type":"tick",`, `"price":`, "12.5", "null", "äöü", "}", " "}
	var p []byte
	for len(p) < size {
		p = append(p, words[k.r.IntN(len(words))]...)
		p = fmt.Appendf(p, "%d", k.r.IntN(1000))
	}
	packed := k.r.IntN(3) > 0
	if packed {
		p = k.compressed(t, p)
	}
	var out []byte
	op := inspect.OpText
	for first := true; ; first = false {
		n := len(p)
		if k.r.IntN(3) == 0 {
			n = k.r.IntN(len(p) + 1)
		}
		out = append(out, frame(op, p[:n], func(f *inspect.Fields) {
			f.Fin, f.Rsv1 = n == len(p), packed && first
			f.Masked = k.dir == inspect.ToServer
			f.Key = [4]byte{byte(k.r.IntN(256)), 2, 3, byte(k.r.IntN(256))}
		})...)
		if n == len(p) {
			return out
		}
		p, op = p[n:], inspect.OpContinuation
		if k.r.IntN(2) == 0 {
			out = append(out, frame(inspect.OpPing, []byte("hb"), nil)...)
		}
	}
}

// told is what inspection said of traffic, copied.
type told struct {
	frames   []inspect.Frame
	messages []inspect.Message
}

func (h *told) event(_ *inspect.Conn, e inspect.Event) {
	switch e := e.(type) {
	case *inspect.Frame:
		h.frames = append(h.frames, *e)
	case *inspect.Message:
		m := *e
		m.Data = bytes.Clone(m.Data)
		h.messages = append(h.messages, m)
	}
}

// both hands each call to two sinks.
type both struct{ a, b inspect.Sink }

func (s both) Open(i inspect.ConnInfo) { s.a.Open(i); s.b.Open(i) }
func (s both) Chunk(c inspect.Chunk)   { s.a.Chunk(c); s.b.Chunk(c) }
func (s both) Note(n inspect.Note)     { s.a.Note(n); s.b.Note(n) }
func (s both) End(e inspect.Ended)     { s.a.End(e); s.b.End(e) }

// pour hands a direction's bytes on in random pieces.
func pour(r *rand.Rand, s inspect.Sink, id inspect.ConnID, d inspect.Dir, off *int64, b []byte) {
	for len(b) > 0 {
		n := 1 + r.IntN(min(len(b), 1+r.IntN(90000)))
		s.Chunk(inspect.Chunk{Conn: id, Dir: d, Time: t0.Add(time.Duration(*off)), Off: *off, Data: b[:n]})
		*off += int64(n)
		b = b[n:]
	}
}

func openStore(t testing.TB, path string, live <-chan struct{}) *Store {
	t.Helper()
	s, err := OpenStore(context.Background(), path, live)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// session records a session of that many messages each way.
func recordSession(t testing.TB, r *rand.Rand, s inspect.Sink, id inspect.ConnID, messages, size int) {
	s.Open(conn(id))
	var off [2]int64
	pour(r, s, id, inspect.ToServer, &off[0], []byte(upgrade))
	pour(r, s, id, inspect.ToClient, &off[1], []byte(agreed))
	talkers := [2]*talker{newTalker(t, r, inspect.ToServer), newTalker(t, r, inspect.ToClient)}
	for range messages {
		for d, k := range talkers {
			pour(r, s, id, inspect.Dir(d), &off[d], k.message(t, r.IntN(size)))
		}
	}
	for d := range off {
		s.End(inspect.Ended{Conn: id, Dir: inspect.Dir(d), How: inspect.Fin, Time: t0.Add(time.Hour), Off: off[d]})
	}
}

// Whatever inspection says while bytes pass, the store answers from the file, in
// any order.
func TestStoreAnswersWhatInspectionSaid(t *testing.T) {
	for name, size := range map[string]int{"small": 300, "past several windows": 60_000} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, uint64(size)))
			path := filepath.Join(t.TempDir(), "a.pcapng")
			w := create(t, Options{Path: path})
			want := &told{}
			recordSession(t, r, both{w, &inspect.Inspector{Emit: want.event}}, 1, 150, size)
			closed(t, w)
			s := openStore(t, path, nil)
			<-s.Done()
			if p := s.Progress(); !p.Done || p.Err != nil || p.Read != p.Size || p.Size == 0 {
				t.Fatalf("progress %+v", p)
			}
			for d := range 2 {
				if n := s.windowsOf(0, inspect.Dir(d)); size > 50_000 && n == 0 {
					t.Errorf("no windows of the direction %v are kept", inspect.Dir(d))
				}
			}
			checkFrames(t, s, want)
			for _, i := range r.Perm(len(want.messages))[:8] {
				checkMessage(t, s, want.messages[i])
			}
		})
	}
}

func checkFrames(t *testing.T, s *Store, want *told) {
	t.Helper()
	rows := make([]Row, s.Len(0)+1)
	if n := s.Rows(0, 0, rows); n != len(want.frames) || s.Len(0) != n {
		t.Fatalf("%d rows of %d frames", n, len(want.frames))
	}
	for i, f := range want.frames {
		row := rows[i]
		if row.N() != f.N || row.Off() != f.Off || row.Dir() != f.Dir || row.Ends() != f.Ends || !row.Time().Equal(f.First) ||
			row.Opcode() != f.Header.Opcode() || row.Masked() != f.Header.Masked() || row.Length() != f.Header.Length() || row.Fin() != f.Header.Fin() {
			t.Fatalf("row %d of %s: %v", i, f.Header, row)
		}
		got, err := s.Frame(row, 1<<20)
		if err != nil || got.Header != f.Header || got.Cut || got.Missing || uint64(len(got.Payload)) != f.Header.Length() {
			t.Fatalf("frame %d: %v, %v; want %v", i, got.Header, err, f.Header)
		}
	}
}

func checkMessage(t *testing.T, s *Store, want inspect.Message) {
	t.Helper()
	var row [1]Row
	s.Rows(0, int(want.Last)-1, row[:])
	got, err := s.Message(row[0], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	got.Time = want.Time // of the last frame's first byte, there of its last
	if a, b := fmt.Sprintf("%+v", got.Message), fmt.Sprintf("%+v", want); a != b {
		t.Fatalf("message %d\n%.300s\nwant\n%.300s", want.First, a, b)
	}
	part, err := s.Message(row[0], 10)
	if err != nil || !bytes.Equal(part.Data, want.Data[:min(10, len(want.Data))]) || part.Cut != (want.Size > 10) || part.Size != want.Size {
		t.Fatalf("the first bytes of message %d: %q, cut %v, %v", want.First, part.Data, part.Cut, err)
	}
}

func TestStoreFollowsARecordingThatGrows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	s := openStore(t, path, w.Watch())
	before := s.Version()
	want := &told{}
	sink := both{w, &inspect.Inspector{Emit: want.event}}
	sink.Open(conn(1))
	var off [2]int64
	pour(r, sink, 1, inspect.ToServer, &off[0], []byte(upgrade))
	pour(r, sink, 1, inspect.ToClient, &off[1], []byte(agreed))
	k := newTalker(t, r, inspect.ToServer)
	for n := 1; n <= 5; n++ {
		pour(r, sink, 1, inspect.ToServer, &off[0], k.message(t, 100))
		await(t, func() bool { return s.Sessions() == 1 && s.Len(0) == len(want.frames) })
		checkFrames(t, s, want)
	}
	if got := s.Session(0); got.Closed != nil || got.Frames[0] != uint64(len(want.frames)) || got.Messages[0] != 5 {
		t.Errorf("the open session: %+v", got)
	}
	if s.Version() == before {
		t.Error("the version did not change")
	}
	closed(t, w)
	<-s.Done()
	if got := s.Session(0).Closed; got == nil || got.Word != "unfinished" {
		t.Errorf("closed: %+v", got)
	}
}

// await waits for something that another goroutine brings about.
func await(t testing.TB, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen")
		}
	}
}

func TestStoreSessions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	w.Open(conn(1))
	var off [2]int64
	r := rand.New(rand.NewPCG(3, 4))
	say := func(d inspect.Dir, b string) { pour(r, w, 1, d, &off[d], []byte(b)) }
	w.Note(inspect.NewNote(1, inspect.ServerLeg, inspect.ToServer, t0, inspect.NotePeer, inspect.PeerNote{Kind: inspect.NotePeer, Addr: "[::1]:3000"}))
	w.Note(serverLeg(1))
	say(inspect.ToServer, "GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
	say(inspect.ToClient, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
	say(inspect.ToServer, upgrade)
	say(inspect.ToClient, shunned)
	say(inspect.ToServer, upgrade)
	say(inspect.ToClient, agreed)
	say(inspect.ToServer, string(frame(inspect.OpText, []byte("bare"), nil)))
	say(inspect.ToClient, string(frame(inspect.OpClose, []byte("\x03\xe8bye"), nil)))
	w.End(inspect.Ended{Conn: 1, Dir: inspect.ToServer, How: inspect.Rst, Time: t0.Add(time.Second), Off: off[0]})
	closed(t, w)

	judge := judgeFunc(func(e inspect.Event, _ *inspect.Conn) []inspect.Finding {
		if f, ok := e.(*inspect.Frame); ok && f.Dir == inspect.ToServer {
			return []inspect.Finding{{ID: "a", Severity: inspect.Info}, {ID: "b", Severity: inspect.Error}}
		}
		return nil
	})
	s, err := OpenStore(context.Background(), path, nil, judge)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-s.Done()
	if s.Sessions() != 3 {
		t.Fatalf("%d sessions", s.Sessions())
	}
	page, no, ws := s.Session(0), s.Session(1), s.Session(2)
	if page.Kind != Exchange || page.Exchange.Request.Target != "/page" || string(page.Exchange.Down.Data) != "hi" {
		t.Errorf("the exchange: %+v", page)
	}
	if no.Kind != Refused || no.Refused.Reason != "403 Forbidden" || string(no.Refused.Body) != "no way" || no.Handshake.Path() != "/chat" {
		t.Errorf("the refusal: %+v", no)
	}
	if ws.Kind != WebSocket || ws.Closed == nil || ws.Closed.Word != "1000" || ws.Frames != [2]uint64{1, 1} || ws.Messages != [2]uint64{1, 0} ||
		ws.Bytes != [2]int64{6, 7} || ws.Findings != 2 || ws.Worst != inspect.Error || ws.ID != no.ID+1 {
		t.Errorf("the session: %+v", ws)
	}
	if got := s.Findings(2); len(got) != 2 || got[1].ID != "b" || got[1].Frame != 1 {
		t.Errorf("findings %+v", got)
	}
	var rows [3]Row
	if n := s.Rows(2, 0, rows[:]); n != 2 {
		t.Fatalf("%d rows", n)
	}
	if worst, ok := rows[0].Worst(); !ok || worst != inspect.Error {
		t.Errorf("the worst finding of frame 1: %v, %v", worst, ok)
	}
	if _, ok := rows[1].Worst(); ok {
		t.Error("frame 2 has no finding")
	}
	if a, b := s.Summary(rows[0]), s.Summary(rows[1]); a != "bare" || b != "1000 bye" {
		t.Errorf("summaries %q, %q", a, b)
	}
	if n := s.Rows(2, 2, rows[:]) + s.Rows(2, -1, rows[:]) + s.Rows(0, 0, rows[:]); n != 0 {
		t.Errorf("%d rows that are not there", n)
	}
}

type judgeFunc func(inspect.Event, *inspect.Conn) []inspect.Finding

func (f judgeFunc) Judge(e inspect.Event, c *inspect.Conn) []inspect.Finding { return f(e, c) }

// A foreign capture is out of order in its own file; the store reads it in order.
func TestStoreOfAForeignCapture(t *testing.T) {
	hello := frame(inspect.OpText, []byte("hello, foreign world"), nil)
	w := newWire(layers.LinkTypeEthernet).
		add(inspect.ToServer, flagSyn, "").add(inspect.ToClient, flagSyn|flagAck, "").
		add(inspect.ToServer, flagAck|flagPsh, upgrade).add(inspect.ToClient, flagAck|flagPsh, agreed).
		add(inspect.ToClient, flagAck|flagPsh, string(hello[:5])).add(inspect.ToClient, flagAck|flagPsh, string(hello[5:12])).
		add(inspect.ToClient, flagAck|flagPsh, string(hello[12:])).
		add(inspect.ToServer, flagAck|flagFin, "").add(inspect.ToClient, flagAck|flagFin, "")
	s := openStore(t, w.file(t, 0, 1, 2, 3, 6, 4, 4, 5, 7, 8), nil)
	<-s.Done()
	if s.Sessions() != 1 || s.Len(0) != 1 {
		t.Fatalf("%d sessions", s.Sessions())
	}
	var row [1]Row
	s.Rows(0, 0, row[:])
	if m, err := s.Message(row[0], 100); err != nil || string(m.Data) != "hello, foreign world" {
		t.Errorf("%q, %v", m.Data, err)
	}
}

// A frame that only claims its bytes costs nothing, and a hole shows.
func TestStoreClaimsAndHoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	w.Open(conn(1))
	var off [2]int64
	r := rand.New(rand.NewPCG(5, 6))
	pour(r, w, 1, inspect.ToServer, &off[0], []byte(upgrade))
	pour(r, w, 1, inspect.ToClient, &off[1], []byte(agreed))
	whole := frame(inspect.OpText, []byte("0123456789"), nil)
	pour(r, w, 1, inspect.ToClient, &off[1], whole[:6])
	off[1] += 3 // not recorded: 456
	pour(r, w, 1, inspect.ToClient, &off[1], whole[9:])
	pour(r, w, 1, inspect.ToClient, &off[1], []byte("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffabc"))
	closed(t, w)
	s := openStore(t, path, nil)
	<-s.Done()
	rows := make([]Row, 2)
	if n := s.Rows(0, 0, rows); n != 2 {
		t.Fatalf("%d rows", n)
	}
	f, err := s.Frame(rows[0], 100)
	if err != nil || string(f.Payload) != "0123" || !f.Missing || f.Cut {
		t.Errorf("the frame with the hole: %q missing %v, %v", f.Payload, f.Missing, err)
	}
	f, err = s.Frame(rows[1], 1<<40)
	if err != nil || string(f.Payload) != "abc" || !f.Missing {
		t.Errorf("the frame that claims 2^63-1 bytes: %q missing %v, %v", f.Payload, f.Missing, err)
	}
	if m, err := s.Message(rows[1], 1<<40); err != nil || string(m.Data) != "abc" || !m.Cut || m.Size != 3 {
		t.Errorf("its message: %q of %d, %v", m.Data, m.Size, err)
	}
}

func TestFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	w.Open(conn(1))
	var off [2]int64
	r := rand.New(rand.NewPCG(8, 9))
	pour(r, w, 1, inspect.ToServer, &off[0], []byte(upgrade))
	pour(r, w, 1, inspect.ToClient, &off[1], []byte(agreed))
	k := newTalker(t, r, inspect.ToClient)
	for i := range 2000 {
		text := fmt.Appendf(nil, `{"price":%d}`, i)
		if i == 700 || i == 1900 {
			text = []byte(`{"Price": NULL}`)
		}
		p := k.compressed(t, text)
		pour(r, w, 1, inspect.ToClient, &off[1], frame(inspect.OpText, p, func(f *inspect.Fields) { f.Rsv1 = true }))
	}
	closed(t, w)
	s := openStore(t, path, nil)
	<-s.Done()
	ctx := context.Background()
	var at []uint64
	var from Row
	for {
		row, ok, err := s.Find(ctx, from, false, Text(`"price": null`))
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		at, from = append(at, row.N()), row
	}
	if !slices.Equal(at, []uint64{701, 1901}) {
		t.Errorf("found at %v", at)
	}
	if row, ok, err := s.Find(ctx, from, true, Text("NULL")); err != nil || !ok || row.N() != 701 {
		t.Errorf("backwards: %d, %v, %v", row.N(), ok, err)
	}
	if _, ok, err := s.Find(ctx, from, true, Text("nowhere")); ok || err != nil {
		t.Errorf("found what is not there, or %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := s.Find(stopped, Row{}, false, Text("x")); err != context.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestStoreOfNoRecording(t *testing.T) {
	if _, err := OpenStore(context.Background(), filepath.Join(t.TempDir(), "none"), nil); !os.IsNotExist(err) {
		t.Errorf("error %v", err)
	}
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte("not a capture at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path, nil)
	<-s.Done()
	if p := s.Progress(); fmt.Sprint(p.Err) != "not a pcapng or pcap file (byte 0)" {
		t.Errorf("error %v", p.Err)
	}
}

// windowsOf is how many windows of a direction are kept.
func (s *Store) windowsOf(session int, d inspect.Dir) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shelf.get(session).windows[d].n
}
