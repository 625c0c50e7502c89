package record

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/lint"
)

// BenchmarkWriter is what one chunk costs the relay and the writer together.
func BenchmarkWriter(b *testing.B) {
	for name, path := range map[string]string{"null": "/dev/null", "file": filepath.Join(b.TempDir(), "a.pcapng")} {
		for size, n := range map[string]int{"128B": 128, "16KiB": 16 << 10, "256KiB": 256 << 10} {
			b.Run(name+"/"+size, func(b *testing.B) {
				w := create(b, Options{Path: path, Force: true})
				w.Open(conn(1))
				data := make([]byte, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				off := int64(0)
				for b.Loop() {
					w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Off: off, Data: data})
					off += int64(n)
				}
				closed(b, w)
			})
		}
	}
}

// BenchmarkIndex is what a frame costs a Store that reads a recording.
func BenchmarkIndex(b *testing.B) {
	for size, n := range map[string]int{"100B": 100, "4KiB": 4 << 10} {
		b.Run(size, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "a.pcapng")
			w := create(b, Options{Path: path})
			v := newRingVoice(b, w, 1)
			for range 100_000 {
				v.say(inspect.ToClient, n)
			}
			v.end()
			closed(b, w)
			b.ReportAllocs()
			b.ResetTimer()
			frames := 0
			for b.Loop() {
				s, err := OpenStore(context.Background(), path, nil, lint.All()...)
				if err != nil {
					b.Fatal(err)
				}
				<-s.Done()
				frames += s.Len(0)
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
		})
	}
}
