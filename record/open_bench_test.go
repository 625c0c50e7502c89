package record

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/lint"
)

// largeRecording makes a recording of about so many MiB: 32 connections side by side
// whose servers send 1 KiB text messages mostly, some of 16 KiB and some of 128 bytes.
func largeRecording(tb testing.TB, mib int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "large.pcapng")
	w, err := Create(Options{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	const conns = 32
	var off [conns]int64
	plain := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	now := t0
	for id := range inspect.ConnID(conns) {
		w.Open(conn(id + 1))
		w.Chunk(inspect.Chunk{Conn: id + 1, Time: now, Data: []byte(upgrade)})
		w.Chunk(inspect.Chunk{Conn: id + 1, Dir: inspect.ToClient, Time: now, Data: []byte(plain)})
		off[id] = int64(len(plain))
	}
	r := rand.New(rand.NewPCG(1, 1))
	text := make([]byte, 64<<10)
	for i := range text {
		text[i] = "abcdefghijklmnopqrstuvwxyz \":{},0123456789"[r.IntN(41)]
	}
	var b []byte
	for written := int64(0); written < int64(mib)<<20; {
		size := 1 << 10
		switch r.IntN(10) {
		case 0:
			size = 16 << 10
		case 1, 2:
			size = 128
		}
		id := r.IntN(conns)
		h := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Length: uint64(size)})
		b = append(h.Append(b[:0]), text[r.IntN(len(text)-size):][:size]...)
		now = now.Add(time.Microsecond)
		w.Chunk(inspect.Chunk{Conn: inspect.ConnID(id + 1), Dir: inspect.ToClient, Time: now, Off: off[id], Data: b})
		off[id] += int64(len(b))
		written += int64(len(b)) + 100
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// BenchmarkOpen opens a recording of WSPROXY_BENCH_MIB MiB, 128 without that: until its
// frames are known, and until its messages are.
func BenchmarkOpen(b *testing.B) {
	mib, err := strconv.Atoi(os.Getenv("WSPROXY_BENCH_MIB"))
	if err != nil {
		mib = 128
	}
	path := largeRecording(b, mib)
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, whole := range []bool{false, true} {
		b.Run(map[bool]string{false: "frames", true: "messages"}[whole], func(b *testing.B) {
			b.SetBytes(st.Size())
			for b.Loop() {
				s, err := OpenStore(context.Background(), path, nil, lint.All()...)
				if err != nil {
					b.Fatal(err)
				}
				if <-s.Indexed(); whole {
					<-s.Done()
				}
				n := 0
				for i := range s.Sessions() {
					n += s.Len(i)
				}
				b.ReportMetric(float64(n), "frames")
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	fmt.Fprintf(os.Stderr, "%s: %d bytes\n", path, st.Size())
}
