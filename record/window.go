package record

import (
	"sort"

	"github.com/wsproxy/wsproxy/inspect"
)

// Bounds on the inflate windows that are kept: one after so many inflated bytes
// of a direction, and so many bytes of them in all. To begin a message costs as
// much as to inflate a few KiB, so that small ones count for more than they are.
const (
	windowEvery = 2 << 20
	messageCost = 4 << 10
	windowsHold = 64 << 20
)

type windowKey struct {
	session int
	dir     inspect.Dir
}

// window is what an inflater needs to go on behind frame n.
type window struct {
	n uint64
	w []byte
}

// windows are the places in compressed directions from which inflating can
// begin. When they become too many, every other one goes and new ones are kept
// half as often.
type windows struct {
	every, held int64
	since       map[windowKey]int64 // inflated since the last one
	at          map[windowKey][]window
}

func newWindows() windows {
	return windows{every: windowEvery, since: map[windowKey]int64{}, at: map[windowKey][]window{}}
}

// passed says that a message of size inflated bytes ended with frame n.
func (ws *windows) passed(k windowKey, n uint64, size int64, take func() []byte) {
	ws.since[k] += size + messageCost
	if ws.since[k] < ws.every {
		return
	}
	ws.since[k] = 0
	w := take()
	if w == nil {
		return // the direction has no window that goes on
	}
	ws.at[k] = append(ws.at[k], window{n, w})
	if ws.held += int64(len(w)); ws.held > windowsHold {
		ws.thin()
	}
}

func (ws *windows) thin() {
	ws.every *= 2
	ws.held = 0
	for k, all := range ws.at {
		kept := all[:0]
		for i, w := range all {
			if i%2 == 1 {
				kept = append(kept, w)
				ws.held += int64(len(w.w))
			}
		}
		clear(all[len(kept):])
		ws.at[k] = kept
	}
}

// before is the last place in front of frame n; ok is false if only the
// beginning is.
func (ws *windows) before(k windowKey, n uint64) (w window, ok bool) {
	all := ws.at[k]
	i := sort.Search(len(all), func(i int) bool { return all[i].n >= n })
	if i == 0 {
		return window{}, false
	}
	return all[i-1], true
}
