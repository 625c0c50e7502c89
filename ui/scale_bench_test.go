package ui

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// manyFrames makes a recording of one session with so many small text messages, 64 of
// them in a packet.
func manyFrames(tb testing.TB, frames int) string {
	tb.Helper()
	return manyMessages(tb, frames, func(n int) string { return `{"n":` + strconv.Itoa(n) + `}` })
}

// manyMessages is manyFrames with other texts.
func manyMessages(tb testing.TB, frames int, say func(n int) string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "many.pcapng")
	w, err := record.Create(record.Options{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	w.Open(inspect.ConnInfo{ID: 1, Mode: "reverse", Time: now, Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: "127.0.0.1:50000"}})
	up := "GET /many HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	down := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	w.Chunk(inspect.Chunk{Conn: 1, Time: now, Data: []byte(up)})
	w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: now, Data: []byte(down)})
	off := int64(len(down))
	for n := 0; n < frames; {
		var b []byte
		for range min(64, frames-n) {
			text := say(n)
			b = append(inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Length: uint64(len(text))}).Append(b), text...)
			n++
		}
		now = now.Add(time.Millisecond)
		w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: now, Off: off, Data: b})
		off += int64(len(b))
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// BenchmarkFrames draws the list of a session of WSPROXY_BENCH_FRAMES frames, a million
// without that, at its end, its beginning and anywhere between.
func BenchmarkFrames(b *testing.B) {
	frames, err := strconv.Atoi(os.Getenv("WSPROXY_BENCH_FRAMES"))
	if err != nil {
		frames = 1_000_000
	}
	s, err := record.OpenStore(context.Background(), manyFrames(b, frames), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	<-s.Done()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, size := range []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"200x50", 200, 50}} {
		b.Run(size.name, func(b *testing.B) {
			sim := tcell.NewSimulationScreen("UTF-8")
			d := driveOn(b, sim, s, Options{Title: "many.pcapng"}, size.w, size.h)
			d.keys("<Enter>")
			r := rand.New(rand.NewPCG(1, 1))
			screen := d.view.screen
			n := 0
			for b.Loop() {
				d.post(func() {
					switch n++; n % 3 {
					case 0:
						d.view.frames.to(0)
					case 1:
						d.view.frames.to(d.view.frames.n - 1)
					default:
						d.view.frames.to(r.IntN(d.view.frames.n))
					}
					d.view.Draw(screen)
					screen.Show()
				})
			}
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.Logf("%d frames; %d MiB of heap after it was read, %d after drawing", s.Len(0), before.HeapAlloc>>20, after.HeapAlloc>>20)
}
