//go:build !race

// With the race detector sync.Pool forgets at random.

package proxy

import (
	"io"
	"net"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// silent is a tap that nobody listens to.
type silent struct{}

func (silent) Open(inspect.ConnInfo) {}
func (silent) Chunk(inspect.Chunk)   {}
func (silent) Note(inspect.Note)     {}
func (silent) End(inspect.Ended)     {}

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
