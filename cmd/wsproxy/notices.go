package main

import (
	"fmt"
	"io"
	"sync"
)

// maxNotices bounds the lines that are held back while a screen is open.
const maxNotices = 200

// notices are what a run says on the standard error while it goes on. Lines are
// held back while a screen owns the terminal. A nil *notices has nothing to say.
type notices struct {
	mu      sync.Mutex
	out     io.Writer
	holding bool
	held    []string
	dropped int
}

// logf says something, now or when the screen has closed.
func (n *notices) logf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line := fmt.Sprintf("wsproxy: "+format+"\n", args...)
	switch {
	case !n.holding:
		_, _ = io.WriteString(n.out, line) // nobody is left to be told
	case len(n.held) < maxNotices:
		n.held = append(n.held, line)
	default:
		n.dropped++
	}
}

func (n *notices) hold() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holding = true
}

func (n *notices) release() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holding = false
	for _, line := range n.held {
		_, _ = io.WriteString(n.out, line) // as above
	}
	if n.dropped > 0 {
		fmt.Fprintf(n.out, "wsproxy: and %d more lines\n", n.dropped)
	}
	n.held, n.dropped = nil, 0
}
