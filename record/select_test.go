package record

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
)

// chosenOf are the frames that a filter wants, as session:number.
func chosenOf(t *testing.T, s *Store, source string) string {
	t.Helper()
	f, err := filter.Compile(source)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	var looked, of int64
	err = s.Select(t.Context(), f, func(r Row) error {
		all = append(all, fmt.Sprintf("%d:%d", r.Session(), r.N()))
		return nil
	}, func(l, o int64) {
		if l < looked || l > o {
			t.Errorf("%d of %d behind %d of %d", l, o, looked, of)
		}
		looked, of = l, o
	})
	if err != nil || looked != of || of == 0 {
		t.Errorf("%s: looked at %d of %d, %v", source, looked, of, err)
	}
	return strings.Join(all, " ")
}

func TestSelect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	for id, frames := range []string{"\x81\x05Hello\x89\x04beat\x01\x03abc\x80\x03def", "\x81\x0f{\"type\":\"next\"}\x88\x02\x03\xe9"} {
		c := inspect.ConnID(id + 1)
		w.Open(conn(c))
		w.Chunk(inspect.Chunk{Conn: c, Time: t0, Data: []byte(strings.Replace(upgrade, "/chat", fmt.Sprintf("/room/%d", id), 1))})
		w.Chunk(inspect.Chunk{Conn: c, Dir: inspect.ToClient, Time: t0, Data: []byte(agreed)})
		w.Chunk(inspect.Chunk{Conn: c, Dir: inspect.ToClient, Time: t0.Add(time.Second), Off: int64(len(agreed)), Data: []byte(frames)})
	}
	closed(t, w)
	s := openStore(t, path, nil)
	<-s.Done()
	for source, want := range map[string]string{
		`op == text`:                       "0:1 0:3 1:1",
		`op == ping || op == close`:        "0:2 1:2",
		`session.path == "/room/1"`:        "1:1 1:2",
		`json.type == "next"`:              "1:1",
		`HELLO`:                            "0:1",
		`"CDE"`:                            "0:3 0:4",
		`text contains "def" && fin`:       "0:4",
		`code == 1001`:                     "1:2",
		`time > 0.5 && time < 1.5 && !fin`: "0:3",
		`session.n == 1 && dir == down && len == 4`:  "0:2",
		`session.word == "unfinished" && op == ping`: "0:2",
		`op == binary`: "",
	} {
		if got := chosenOf(t, s, source); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	var row [1]Row
	s.Rows(0, 0, row[:])
	f, _ := filter.Compile(`"cde"`)
	if r, ok, err := s.Find(t.Context(), row[0], false, s.Choice(f)); err != nil || !ok || r.N() != 3 {
		t.Errorf("found %d, %v, %v", r.N(), ok, err)
	}
}

// TestSelectEnds: with its context, and with the first error.
func TestSelectEnds(t *testing.T) {
	s := openStore(t, largeRecording(t, 16), nil)
	<-s.Done()
	f, err := filter.Compile(`op == text`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	if err := s.Select(ctx, f, func(Row) error { n++; return nil }, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) || n == 0 || n > 2*selectStep {
		t.Errorf("%d rows, %v", n, err)
	}
	enough := errors.New("enough")
	if err := s.Select(t.Context(), f, func(Row) error { return enough }, nil); err != enough {
		t.Errorf("%v", err)
	}
}

// BenchmarkSelect looks through a recording of WSPROXY_BENCH_MIB MiB, 128 without that.
func BenchmarkSelect(b *testing.B) {
	mib, err := strconv.Atoi(os.Getenv("WSPROXY_BENCH_MIB"))
	if err != nil {
		mib = 128
	}
	path := largeRecording(b, mib)
	s, err := OpenStore(context.Background(), path, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	<-s.Done()
	frames, bytes := 0, int64(0)
	for i := range s.Sessions() {
		frames += s.Len(i)
		bytes += s.Session(i).Bytes[inspect.ToClient]
	}
	for name, source := range map[string]string{"header": `op == text && len > 100_000 && dir == up`, "text": `"there is no such text in it"`, "json": `json.type == "x"`} {
		b.Run(name, func(b *testing.B) {
			f, err := filter.Compile(source)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(bytes)
			for b.Loop() {
				if err := s.Select(context.Background(), f, func(Row) error { return nil }, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(frames)*float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkAnyMessage reads messages anywhere in a recording of one compressed session
// with context takeover: each needs the window before it.
func BenchmarkAnyMessage(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a.pcapng")
	w := create(b, Options{Path: path})
	r := rand.New(rand.NewPCG(7, 9))
	for range 4 {
		recordSession(b, r, w, inspect.ConnID(1+r.Uint64N(1e9)), 20_000, 2000)
	}
	closed(b, w)
	s, err := OpenStore(context.Background(), path, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	<-s.Done()
	var took []time.Duration
	for b.Loop() {
		i := r.IntN(s.Sessions())
		var row [1]Row
		s.Rows(i, r.IntN(s.Len(i)), row[:])
		start := time.Now()
		if _, err := s.Message(row[0], 1<<20); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
}
