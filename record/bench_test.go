package record

import (
	"path/filepath"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
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
