//go:build !race

// With the race detector sync.Pool forgets at random.

package proxy

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// silent is a tap that nobody listens to.
type silent struct{}

func (silent) Open(inspect.ConnInfo) {}
func (silent) Chunk(inspect.Chunk)   {}
func (silent) Note(inspect.Note)     {}
func (silent) End(inspect.Ended)     {}

// A held direction does not keep the buffer that it read into.
func TestHeldIsSmall(t *testing.T) {
	g := &turnstile{on: true}
	r := newRig(t, func(c *Config) { c.Tap, c.Gate = silent{}, g })
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what a pool holds goes with the second one
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n = 200
	var clients []net.Conn
	for range n {
		c, _ := r.open()
		clients = append(clients, c)
	}
	before := heap()
	for _, c := range clients {
		r.send(c, one)
	}
	eventually(t, "all of them wait", func() bool {
		return len(g.seen(inspect.ToServer)) > 0 && r.server.Stats().Bytes[inspect.ToServer] == int64(n*(len(upgradeHead)+len(one)))
	})
	if each := (heap() - before) / n; each > 8<<10 {
		t.Errorf("a held session takes %d bytes more", each)
	}
}

// In the steady state a frame allocates nothing on its way.
func TestFramesAllocateNothing(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Tap, c.BothLegs = silent{}, false })
	client, server := r.open()
	f := []byte(wireFrames["masked"])
	got := make([]byte, len(f))
	pass := func(from, to net.Conn) {
		if _, err := from.Write(f); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, got); err != nil {
			t.Fatal(err)
		}
	}
	n := testing.AllocsPerRun(2000, func() {
		pass(client, server)
		pass(server, client)
	})
	if n >= 1 {
		t.Errorf("a frame there and one back allocate %v times", n)
	}
}
