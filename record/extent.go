package record

import (
	"encoding/binary"
	"io"
	"os"
)

// extent says where consecutive bytes of a stream lie: n bytes from stream
// offset off on are at pos of the recording, or of the side file.
type extent struct {
	off, pos, n int64
	side        bool
}

// In the index an extent has 16 bytes:
//
//	0 stream offset (48 bit)  6 position (47 bit; the highest: side file)  12 length (32 bit)
const (
	extentSize = 16
	extentSide = 1 << 47
	maxExtent  = 1<<32 - 1
)

func (e extent) put(b []byte) {
	put48(b, uint64(e.off))
	pos := uint64(e.pos)
	if e.side {
		pos |= extentSide
	}
	put48(b[6:], pos)
	binary.LittleEndian.PutUint32(b[12:], uint32(e.n))
}

func getExtent(b []byte) extent {
	pos := get48(b[6:])
	return extent{off: int64(get48(b)), pos: int64(pos &^ extentSide), n: int64(binary.LittleEndian.Uint32(b[12:])), side: pos&extentSide != 0}
}

// stream is where one direction of a leg lies on disk, in order of offset.
// Bytes that were not recorded belong to no extent.
type stream struct {
	list
	last extent
}

func newStream() *stream { return &stream{list: list{size: extentSize}} }

func (s *stream) add(p *pages, e extent) {
	last := &s.last
	if s.n > s.first && last.side == e.side && last.off+last.n == e.off && last.pos+last.n == e.pos && last.n+e.n <= maxExtent {
		last.n += e.n
		last.put(s.from(p, s.n-1, true))
		return
	}
	for e.n > 0 {
		*last = e
		last.n = min(e.n, maxExtent)
		var b [extentSize]byte
		last.put(b[:])
		s.list.add(p, b[:])
		e.off, e.pos, e.n = e.off+last.n, e.pos+last.n, e.n-last.n
	}
}

// reach answers the extents in which the stream's bytes off to end lie.
func (s *stream) reach(p *pages, off, end int64) []extent {
	var all []extent
	i := s.search(p, func(b []byte) bool {
		e := getExtent(b)
		return e.off+e.n > off
	})
	for ; i < s.n; i++ {
		e := getExtent(s.at(p, i))
		if e.off >= end {
			break
		}
		all = append(all, e)
	}
	return all
}

// trim forgets what lies before pos in the recording, and answers the offset
// from which on the stream is there.
func (s *stream) trim(p *pages, pos int64) int64 {
	i := s.search(p, func(b []byte) bool {
		e := getExtent(b)
		return e.side || e.pos+e.n > pos
	})
	s.list.trim(p, i)
	if i == s.n {
		return s.last.off + s.last.n
	}
	return getExtent(s.at(p, i)).off
}

// side keeps the bytes of foreign conversations in their right order: in their
// own file they lie out of order, and twice where a segment was sent again. It
// is a file without a name where the system has such.
type side struct {
	dirs scratch
	file *os.File
	size int64
	err  error // the first that writing met; the bytes behind it read as missing
}

// write appends to the side file and answers where.
func (s *side) write(b []byte) (pos int64, ok bool) {
	if s.file == nil && s.err == nil {
		s.file, s.err = nameless(s.dirs, "wsproxy-*.side")
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

func (s *side) close() { discard(s.file) }

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
