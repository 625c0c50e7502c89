package record

import "github.com/wsproxy/wsproxy/inspect"

// A temporary recording that the disk cannot keep up with takes less and less:
// whole chunks; with the queue past a mark, of a long frame its header and the
// front of its payload; with the queue full, nothing, up to a frame boundary. It
// never makes the traffic wait, and what it takes can be read.
const (
	snapFrom    = queueLimit / 2
	snapPayload = 1 << 10
	headsWithin = 64 << 10 // of a direction's beginning, for which the queue has more room
)

// thinned is a direction of a temporary recording of which bytes are left out.
type thinned struct {
	lost bool            // all of them, up to the next frame boundary
	scan inspect.Scanner // of frames that are shortened; not when lost
	long bool            // the frame being scanned is
	kept int             // payload bytes that were kept of it
}

// squeeze queues what of a chunk a temporary recording takes.
func (w *Writer) squeeze(o op, data []byte) {
	pressed := w.queue.pressed(len(data))
	if !pressed && len(w.thin) == 0 {
		w.add(o, data) // nearly always
		return
	}
	key := legDir{o.conn, o.leg, o.dir}
	t, front := w.thin[key], int(o.boundary)-1
	switch {
	case o.stream:
		w.sample(key, o, data)
	case t != nil && !t.lost:
		w.shorten(key, t, o, data)
	case t == nil && front < 0 && !o.whole && o.off+int64(len(data)) <= headsWithin && w.queue.size()+len(data) <= 2*queueLimit:
		w.add(o, data) // without its heads a session would never be one
	case front < 0 && (t != nil || w.queue.full(len(data))), front >= 0 && w.queue.full(front):
		w.lose(key, data)
	case t == nil && (front < 0 || !pressed):
		w.add(o, data)
	case t == nil:
		if front > 0 {
			before := o
			before.boundary, before.whole = 0, true
			w.add(before, data[:front])
		}
		w.shorten(key, w.begin(key), o.since(front), data[front:])
	default:
		w.status.Dropped += int64(front)
		w.shorten(key, w.begin(key), o.since(front), data[front:])
	}
}

// sample queues the front of a chunk in which no frames are, under pressure; with the
// queue full nothing. It needs no boundary to go on.
func (w *Writer) sample(key legDir, o op, data []byte) {
	keep := len(data)
	if w.queue.pressed(keep) {
		keep = min(keep, snapPayload)
	}
	if w.queue.full(keep) {
		w.lose(key, data)
		return
	}
	delete(w.thin, key)
	o.gap = uint32(len(data) - keep)
	w.status.Snapped += int64(o.gap)
	w.add(o, data[:keep])
}

// since is the op of a chunk's bytes from n on, where a frame begins.
func (o op) since(n int) op {
	o.off += int64(n)
	o.boundary = 1
	return o
}

// begin shortens the frames of a direction from here on, where one begins.
func (w *Writer) begin(key legDir) *thinned {
	t := &thinned{}
	w.thin[key] = t
	return t
}

// lose leaves bytes out, and those behind them up to a frame boundary.
func (w *Writer) lose(key legDir, data []byte) {
	w.thin[key] = &thinned{lost: true}
	w.status.Dropped += int64(len(data))
}

// shorten queues a chunk without what of its frames is too long, as long as
// there is pressure; then all of it from the next frame on.
func (w *Writer) shorten(key legDir, t *thinned, o op, data []byte) {
	for len(data) > 0 {
		front := t.scan.AtBoundary()
		if front && !w.queue.pressed(len(data)) {
			delete(w.thin, key)
			w.add(o.since(0), data)
			return
		}
		keep, gap := t.next(data)
		if w.queue.full(keep) {
			w.lose(key, data)
			return
		}
		p := o
		p.whole, p.gap, p.boundary = t.scan.AtBoundary(), uint32(gap), 0
		if front {
			p.boundary = 1
		}
		w.add(p, data[:keep])
		w.status.Snapped += int64(gap)
		o.off += int64(keep + gap)
		data = data[keep+gap:]
	}
}

// next says how many bytes of the front of data are kept, and how many behind
// them are left out. Frames that are short are kept together; a long one stands
// alone, since Wireshark reads one frame of a packet that is not whole.
func (t *thinned) next(data []byte) (keep, gap int) {
	for rest := data; len(rest) > 0; {
		before := *t
		if t.scan.AtBoundary() {
			t.long = false
		}
		h, begun, payload, next := t.scan.Next(rest)
		if begun {
			t.long, t.kept = h.Length() > snapPayload, 0
		}
		if begun && t.long && keep > 0 {
			*t = before
			return keep, 0
		}
		keep += len(rest) - len(next)
		if t.long {
			room := min(len(payload), snapPayload-t.kept)
			t.kept += room
			if gap = len(payload) - room; gap > 0 || t.scan.Left() == 0 {
				return keep - gap, gap
			}
		}
		rest = next
	}
	return keep, 0
}

// lost says that a direction ends with bytes left out.
func (w *Writer) lost(e *inspect.Ended) bool {
	t := w.thin[legDir{e.Conn, e.Leg, e.Dir}]
	return t != nil && t.lost
}
