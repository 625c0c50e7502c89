package replay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
	"github.com/wsproxy/wsproxy/record"
)

// randomSession is what two sides may say to each other, up to a clean end.
func randomSession(rng *rand.Rand) *tape {
	word := func() string {
		b := make([]byte, rng.IntN(40))
		for i := range b {
			b[i] = "abc ${}\"\\é\n0123"[rng.IntN(15)]
		}
		return strings.ToValidUTF8(string(b), "?")
	}
	deflate := rng.IntN(2) == 0
	u := cassette.Upgrade{Path: fmt.Sprintf("/r%d", rng.IntN(3))}
	if deflate {
		u.Extensions = []string{"permessage-deflate", "permessage-deflate; server_no_context_takeover", "permessage-deflate; client_max_window_bits=10; server_max_window_bits=9"}[rng.IntN(3)]
	}
	var lines []cassette.Line
	for range rng.IntN(40) {
		l := cassette.Line{From: inspect.Dir(rng.IntN(2))}
		switch rng.IntN(6) {
		case 0:
			l.Kind, l.Data = cassette.Binary, []byte(word()+"\xff")
		case 1:
			l.Kind, l.Data = cassette.Ping, []byte(fmt.Sprint(rng.Uint32()))
		case 2:
			l.Kind, l.Data = cassette.JSON, fmt.Appendf(nil, `{"id":"%x","n":%d}`, rng.Uint64()|1<<60, rng.IntN(9))
		default:
			l.Kind, l.Data = cassette.Text, []byte("#"+word())
		}
		if l.Kind != cassette.Ping {
			l.Compressed = deflate && rng.IntN(2) == 0
			if n := len(l.Data); rng.IntN(3) == 0 && n > 2 && !l.Compressed {
				k := rng.IntN(n)
				l.Frames = []int{k, n - k}
			}
		}
		lines = append(lines, l)
	}
	first := inspect.Dir(rng.IntN(2))
	lines = append(lines, closing(first, 1000, "bye"), closing(first.Other(), 1000, "bye"), end(down, inspect.Fin), end(up, inspect.Fin))
	return new(tape).session(u, lines...)
}

// For random sessions: what a replayed server and a replayed client say to each
// other is what was recorded; and what is recorded of that, made into a cassette
// with variables, holds again.
func TestRoundTrips(t *testing.T) {
	for seed := range wstest.Count("replayed round trips") {
		c := randomSession(rand.New(rand.NewPCG(uint64(seed), 5)))
		again := played(t, c, seed)
		again.Tidy()
		again.Make(cassette.Making{Variables: true})
		var file strings.Builder
		if err := again.Write(&file); err != nil {
			t.Fatal(err)
		}
		read, err := cassette.Parse(strings.NewReader(file.String()))
		if err != nil {
			t.Fatalf("seed %d: %v\nin\n%s", seed, err, file.String())
		}
		played(t, &tape{*read}, seed)
	}
}

// played plays both sides of a cassette, and answers what a recording of that says.
func played(t *testing.T, c *tape, seed int) *cassette.Cassette {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w, err := record.Create(record.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, c, func(o *Options) { o.Tap = w })
	for _, res := range drive(t, c, r.addr, nil) {
		if !res.Held() {
			t.Fatalf("seed %d: %s\n%s", seed, res, res.Report())
		}
	}
	r.held()
	if err := r.server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Load(t.Context(), path, inspect.Limits{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for _, d := range cassette.Diff(&c.Cassette, got, cassette.DiffOptions{Frames: true}) {
		if d.Kind != cassette.Moved {
			t.Fatalf("seed %d: %+v", seed, d)
		}
	}
	return got
}

// Many replays at once do not disturb each other.
func TestManyAtOnce(t *testing.T) {
	c := file(t, `{"cassette":1,"values":{"sid":"S"}}
{"open":{"path":"/chat"}}
{"from":"server","json":{"sid":"${sid}"}}
{"from":"client","json":{"id":"${id}","sid":"${sid}"}}
{"from":"server","json":{"id":"${id}"}}
{"from":"client","text":"bye ${id}"}
{"from":"server","close":1000}
{"from":"client","close":1000}
{"from":"server","end":"fin"}
`)
	n := wstest.Count("replays at once")
	r := serve(t, c, func(o *Options) { o.Ended = nil })
	var running sync.WaitGroup
	var bad atomic.Int64
	for i := range n {
		running.Go(func() {
			o := DriveOptions{Dial: loopback, Wait: 3 * patience, Values: map[string][]byte{"id": fmt.Appendf(nil, `"client %d"`, i)}}
			all, err := Drive(t.Context(), &c.Cassette, &url.URL{Scheme: "ws", Host: r.addr}, o)
			if err != nil || len(all) != 1 || !all[0].Held() {
				if bad.Add(1) < 5 {
					t.Errorf("client %d: %v %v", i, all, err)
				}
			}
		})
	}
	running.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	results := r.server.Results()
	if len(results) != n {
		t.Errorf("%d results, want %d", len(results), n)
	}
	for _, res := range results {
		if !res.Held() {
			t.Errorf("%s\n%s", res, res.Report())
		}
	}
}

// exchange is a session of so many messages, half of them each side's.
func exchange(n int) *tape {
	var lines []cassette.Line
	for i := range n / 2 {
		lines = append(lines, js(up, fmt.Sprintf(`{"op":"get","n":%d}`, i)), js(down, fmt.Sprintf(`{"n":%d,"price":"1742.50"}`, i)))
	}
	return chat(append(lines, closing(up, 1000, ""), closing(down, 1000, ""), end(down, inspect.Fin), end(up, inspect.Fin))...)
}

// feed is a session in which the server says so many messages.
func feed(n int) *tape {
	var lines []cassette.Line
	for i := range n {
		lines = append(lines, js(down, fmt.Sprintf(`{"n":%d,"price":"1742.50"}`, i)))
	}
	return chat(append(lines, closing(down, 1000, ""), closing(up, 1000, ""), end(down, inspect.Fin), end(up, inspect.Fin))...)
}

// A long session takes memory for its lines, and for nothing else.
func TestLongSession(t *testing.T) {
	n := wstest.Count("messages of a replayed feed")
	c := feed(n)
	before := heap()
	r := serve(t, c, nil)
	var most atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 20 {
			<-tick.C
			most.Store(max(most.Load(), heap()))
		}
	}()
	wantHeld(t, drive(t, c, r.addr, nil), 1)
	<-done
	if res := r.held(); res.Sent != n+2 {
		t.Errorf("%s", res)
	}
	// A player has a step or an expectation for each line.
	if grown, limit := int64(most.Load())-int64(before), int64(n)*600+32<<20; grown > limit {
		t.Errorf("%d messages took %d MiB more, and %d MiB are allowed", n, grown>>20, limit>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The server's side of a feed, to a client that only reads.
func BenchmarkServe(b *testing.B) {
	c := feed(b.N)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := New(&c.Cassette, Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	b.ResetTimer()
	if _, err := nc.Write([]byte(upgrade("/chat"))); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 256<<10)
	for last := ""; !strings.HasSuffix(last, "\x88\x02\x03\xe8"); {
		n, err := nc.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		last = (last + string(buf[max(0, n-4):n]))
		last = last[max(0, len(last)-4):]
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	_ = nc.Close()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	<-served
}

// Both sides of a conversation in which each waits for the other.
func BenchmarkExchange(b *testing.B) { benchmarkBoth(b, exchange(b.N)) }

// Both sides of a feed: what is sent, and compared.
func BenchmarkFeed(b *testing.B) { benchmarkBoth(b, feed(b.N)) }

func benchmarkBoth(b *testing.B, c *tape) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := New(&c.Cassette, Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	b.ResetTimer()
	all, err := Drive(b.Context(), &c.Cassette, &url.URL{Scheme: "ws", Host: l.Addr().String()}, DriveOptions{Dial: loopback})
	b.StopTimer()
	if err != nil || len(all) != 1 || !all[0].Held() {
		b.Fatal(all, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	<-served
}
