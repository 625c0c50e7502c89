package h2

import (
	"io"
	"time"
)

// patience bounds how much of a peer's traffic may serve nothing: PINGs, SETTINGS,
// resets (CVE-2023-44487), empty DATA, frames for streams that are gone. It grows
// back with time and with payload that moves, so that a peer that measures a busy
// connection with PINGs, or updates windows, is not taken for one that floods.
type patience struct {
	left int
	at   time.Time
}

const (
	patienceMost      = 1000
	patiencePerSecond = 200
)

// spend says whether there was enough of it.
func (p *patience) spend(now time.Time, n int) bool {
	if back := now.Sub(p.at).Seconds() * patiencePerSecond; back >= 1 {
		p.left, p.at = int(min(float64(p.left)+back, patienceMost)), now
	}
	p.left -= n
	return p.left >= 0
}

func (p *patience) earn(n int) { p.left = min(p.left+n, patienceMost) }

// meter bounds the bytes of a frame, and of the CONTINUATIONs that belong to it:
// http2.Framer bounds their fields, but not how many empty ones there are.
type meter struct {
	r    io.Reader
	left int
}

// errTooLong ends a connection whose peer never ends a head.
var errTooLong = errTooLongHead{}

type errTooLongHead struct{}

func (errTooLongHead) Error() string { return "a head that does not end" }

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errTooLong
	}
	n, err := m.r.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}
