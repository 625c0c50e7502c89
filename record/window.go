package record

import (
	"encoding/binary"

	"github.com/wsproxy/wsproxy/inspect"
)

// Inflate windows are kept: one after so many inflated bytes of a direction. To
// begin a message costs as much as to inflate a few KiB, so that small ones
// count for more than they are.
const (
	windowEvery = 2 << 20
	messageCost = 4 << 10
)

// windows are the places in a compressed direction from which inflating can
// begin. In the index one has 16 bytes, and what it points to:
//
//	0 frame number  4 place of the window  8 its length
type windows struct {
	list
	since int64 // inflated since the last one
}

const windowSize = 16

func newWindows() windows { return windows{list: list{size: windowSize}} }

// window is what an inflater needs to go on behind frame n.
type window struct {
	n  uint64
	at place
	of int // bytes
}

func getWindow(b []byte) window {
	le := binary.LittleEndian
	return window{uint64(le.Uint32(b)), place(le.Uint32(b[4:])), int(le.Uint32(b[8:]))}
}

// passed says that a message of size inflated bytes ended with frame n.
func (ws *windows) passed(p *pages, n uint64, size int64, take func() []byte) {
	if ws.since += size + messageCost; ws.since < windowEvery {
		return
	}
	ws.since = 0
	w := take()
	if w == nil {
		return // the direction has no window that goes on
	}
	var b [windowSize]byte
	le := binary.LittleEndian
	le.PutUint32(b[:], uint32(n))
	le.PutUint32(b[4:], uint32(p.store(w)))
	le.PutUint32(b[8:], uint32(len(w)))
	ws.add(p, b[:])
}

// before is the last place in front of frame n; ok is false if only the
// beginning is.
func (ws *windows) before(p *pages, n uint64) (w window, ok bool) {
	i := ws.search(p, func(b []byte) bool { return getWindow(b).n >= n })
	if i == ws.first {
		return window{}, false
	}
	return getWindow(ws.at(p, i-1)), true
}

// trim lets go of the places in front of frame n but the last.
func (ws *windows) trim(p *pages, n uint64) {
	i := ws.search(p, func(b []byte) bool { return getWindow(b).n >= n }) - 1
	for k := ws.first; k < i; k++ {
		w := getWindow(ws.at(p, k))
		p.drop(w.at, w.of)
	}
	ws.list.trim(p, i)
}

func (ws *windows) drop(p *pages) {
	for k := ws.first; k < ws.n; k++ {
		w := getWindow(ws.at(p, k))
		p.drop(w.at, w.of)
	}
	ws.list.drop(p)
}

// windowKey is a direction of a session.
type windowKey struct {
	session int
	dir     inspect.Dir
}
