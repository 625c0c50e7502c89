package proxy

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// TestFull: past the limit a client is told so in a 503, those who are connected
// go on, and when one of them has gone the next is let in.
func TestFull(t *testing.T) {
	var mu sync.Mutex
	var said []string
	r := newRig(t, func(c *Config) {
		c.MaxConns = 2
		c.Logf = func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, fmt.Sprintf(format, args...))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, server := r.open()
	second, behind := r.open()
	for range 2 {
		third := r.dial()
		r.send(third, upgradeHead)
		answer, err := io.ReadAll(third)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 503 Service Unavailable\r\n") ||
			!strings.HasSuffix(string(answer), "wsproxy: 2 connections are open, which is as many as the limit of open files allows (ulimit -n).\n") {
			t.Errorf("%q, %v", answer, err)
		}
		_ = third.Close() // it has its answer
	}
	r.send(client, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
	r.expect(server, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
	_, _ = second.Close(), behind.Close() // they have seen enough
	for r.server.Stats().Open > 1 {
		if ctx.Err() != nil {
			t.Fatal("the second connection does not end")
		}
		runtime.Gosched()
	}
	fourth, upstream := r.open()
	r.send(upstream, "\x81\x00")
	r.expect(fourth, "\x81\x00")
	mu.Lock()
	defer mu.Unlock()
	if len(said) != 1 || !strings.Contains(said[0], "new ones are refused until one ends") {
		t.Errorf("said %q", said)
	}
	if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToClient]); strings.Count(got, "503") != 2 {
		t.Errorf("the tap heard %q", got)
	}
}
