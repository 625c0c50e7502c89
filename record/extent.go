package record

import (
	"io"
	"os"
	"slices"
	"sort"
)

// extent says where consecutive bytes of a stream lie: n bytes from stream
// offset off on are at pos of the recording, or of the side file.
type extent struct {
	off, pos, n int64
	side        bool
}

// stream is where one direction of a leg lies on disk, in order of offset.
// Bytes that were not recorded belong to no extent.
type stream struct{ extents []extent }

func (s *stream) add(e extent) {
	if k := len(s.extents) - 1; k >= 0 {
		last := &s.extents[k]
		if last.side == e.side && last.off+last.n == e.off && last.pos+last.n == e.pos {
			last.n += e.n
			return
		}
	}
	s.extents = append(s.extents, e)
}

// from answers the extents from offset off on, not copied: they are only ever
// added to, and the last one may grow.
func (s *stream) from(off int64) []extent {
	i := sort.Search(len(s.extents), func(i int) bool { return s.extents[i].off+s.extents[i].n > off })
	return s.extents[i:]
}

// trim forgets what lies before pos in the recording.
func (s *stream) trim(pos int64) {
	n := 0
	for n < len(s.extents) && !s.extents[n].side && s.extents[n].pos+s.extents[n].n <= pos {
		n++
	}
	if n > 0 {
		s.extents = slices.Clone(s.extents[n:])
	}
}

// side keeps the bytes of foreign conversations in their right order: in their
// own file they lie out of order, and twice where a segment was sent again. It
// is a file without a name where the system has such.
type side struct {
	file *os.File
	size int64
	err  error // the first that writing met; the bytes behind it read as missing
}

// write appends to the side file and answers where.
func (s *side) write(b []byte) (pos int64, ok bool) {
	if s.file == nil && s.err == nil {
		if s.file, s.err = os.CreateTemp("", "wsproxy-*.side"); s.err == nil {
			_ = os.Remove(s.file.Name()) // where that fails, close does it
		}
	}
	if s.err != nil {
		return 0, false
	}
	pos = s.size
	if _, s.err = s.file.WriteAt(b, pos); s.err != nil {
		return 0, false
	}
	s.size += int64(len(b))
	return pos, true
}

func (s *side) close() {
	if s.file != nil {
		_ = s.file.Close() // nothing of it is kept
		_ = os.Remove(s.file.Name())
	}
}

// span reads stream bytes off and following into b, from the extents given. It
// answers how many it got before a hole or the end.
type span struct {
	main, side io.ReaderAt
	extents    []extent
}

func (r *span) readAt(b []byte, off int64) (n int, err error) {
	for _, e := range r.extents {
		if n == len(b) || e.off > off {
			break
		}
		skip := off - e.off
		if skip >= e.n {
			continue
		}
		part := b[n:min(int64(len(b)), int64(n)+e.n-skip)]
		from := r.main
		if e.side {
			from = r.side
		}
		k, err := from.ReadAt(part, e.pos+skip)
		n += k
		off += int64(k)
		if k < len(part) {
			return n, err
		}
	}
	return n, nil
}
