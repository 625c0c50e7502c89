package ui

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// The Timing tab counts what the frames of the session say.
func TestTiming(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/t", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	for i, wait := range []int{4, 1, 9} {
		c.frame(inspect.ToClient, inspect.OpPing, fmt.Sprint("beat", i))
		p.tick(time.Duration(wait-1) * time.Millisecond) // the frame itself is one more
		c.frame(inspect.ToServer, inspect.OpPong, fmt.Sprint("beat", i))
	}
	c.frame(inspect.ToClient, inspect.OpPing, "lost")
	c.frame(inspect.ToServer, inspect.OpPong, "never asked")
	p.tick(2 * time.Second)
	for range 3 {
		c.zipped(inspect.ToClient, `{"the same":"again and again and again and again"}`)
	}
	c.frame(inspect.ToServer, inspect.OpBinary, string(make([]byte, 300)))
	c.end(inspect.ToServer, inspect.Fin)
	p.close()
	text := tabText(t, p.store(false), 0, 0, "Timing")
	wants(t, text, "3 pings answered, 1 not: 1 ms at least, 4 ms in the middle, 9 ms at most", "1 pong answered no ping", "silence 2.0 s at most",
		"→ ██ 8.94 %", "% headers: ", " for 326 B of payload in 5 frames", "3 messages, 150 B sent as 37 B: 75.3 % saved", "to 2 kB")
	if h := tabText(t, p.store(false), 0, 3, "Timing"); h != text {
		t.Errorf("another row has another page:\n%s", h)
	}
	e := everyday(t)
	e.close()
	s := e.store(false)
	wants(t, tabText(t, s, 0, 0, "Timing"), "only in WebSocket sessions")
	q := newPlay(t)
	q.connect().open("/none", "", "").end(inspect.ToServer, inspect.Fin)
	q.close()
	wants(t, tabText(t, q.store(false), 0, 0, "Timing"), "No frame has passed yet")
}

func TestSpark(t *testing.T) {
	if got := spark([]float64{0, 1, 50, 100}); got != " ▁▄█" {
		t.Errorf("%q", got)
	}
	if got := spark(make([]float64, 3)); got != "   " {
		t.Errorf("%q", got)
	}
	var all []int
	for _, n := range []uint64{0, 125, 126, 2000, 2001, 32000, 512000, 8192000, 1 << 40} {
		all = append(all, sizeClass(n))
	}
	if want := []int{0, 0, 1, 1, 2, 2, 3, 4, 5}; !slices.Equal(all, want) {
		t.Errorf("classes %v, want %v", all, want)
	}
}
