package decode

import (
	"slices"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// streamLimit bounds the bytes of a packet that wait for its end.
const streamLimit = 16 << 20

// maxParts bounds how many messages an item names that it came in.
const maxParts = 1 << 10

// stream is one direction of a protocol whose packets do not care where WebSocket
// messages end. It keeps what of a packet has come.
type stream struct {
	buf   []byte
	parts []Part
	start time.Time
}

// reset forgets the beginning of a packet.
func (s *stream) reset() { *s = stream{} }

func (s *stream) clone() stream {
	return stream{slices.Clone(s.buf), slices.Clone(s.parts), s.start}
}

// packets cuts a message, with what is left of those before it, into packets. size
// answers how long the packet is that b begins with, 0 if that cannot be said yet,
// or why it is none; more than len(b) is a packet of which not all has come. The
// first seen bytes were looked at before. tell fills in the item of a whole one.
func (s *stream) packets(m *inspect.Message, out *Out, size func(b []byte, seen int) (n int, why string), tell func(b []byte, it *Item) *Broken) *Broken {
	b, before := m.Data, len(s.buf)
	if before > 0 {
		b = append(s.buf, m.Data...)
	}
	at := 0
	for at < len(b) {
		seen := 0
		if at == 0 {
			seen = before
		}
		n, why := size(b[at:], seen)
		switch {
		case why == "" && n > streamLimit:
			why = "a packet is longer than 16 MiB"
			fallthrough
		case why != "":
			s.reset()
			return &Broken{At: max(0, at-before), Why: why, Lost: true}
		}
		if n == 0 || n > len(b)-at {
			break
		}
		it := out.item(Event, "", max(0, at-before), at+n-max(at, before))
		if at < before {
			it.Parts = append(append(it.Parts[:0], s.parts...), out.part(0, at+n-before))
			it.Start = s.start
		}
		if out.more > 0 { // it is counted and not shown
			at += n
			continue
		}
		if bad := tell(b[at:at+n], it); bad != nil {
			out.drop()
			s.reset()
			return &Broken{At: max(0, at+bad.At-before), Why: bad.Why, Lost: bad.Lost}
		}
		at += n
	}
	if at == len(b) {
		s.reset()
	} else {
		s.keep(b, at, before, out)
	}
	return nil
}

// keep holds the beginning of a packet until its end comes.
func (s *stream) keep(b []byte, at, before int, out *Out) {
	if at >= before { // it begins in this message
		s.parts, s.start = nil, out.m.Time
	}
	from := max(0, at-before)
	if len(s.parts) < maxParts {
		s.parts = append(s.parts[:len(s.parts):len(s.parts)], out.part(from, len(out.m.Data)-from))
	}
	if at >= before {
		s.buf = slices.Clone(b[at:])
	} else {
		s.buf = b[at:]
	}
}

// reader takes values off bytes; behind its end it answers zeros and is short.
type reader struct {
	b     []byte
	at    int
	short bool
}

func (r *reader) left() int { return len(r.b) - r.at }

func (r *reader) take(n int) []byte {
	if n < 0 || n > r.left() {
		r.short = true
		r.at = len(r.b)
		return nil
	}
	p := r.b[r.at : r.at+n]
	r.at += n
	return p
}

func (r *reader) uint8() int  { return int(bigEndian(r.take(1))) }
func (r *reader) uint16() int { return int(bigEndian(r.take(2))) }
func (r *reader) uint32() int { return int(bigEndian(r.take(4))) }

// text16 is a text behind its length in 16 bits.
func (r *reader) text16() string { return string(r.take(r.uint16())) }

// varint is a number of groups of seven bits, the lowest first.
func (r *reader) varint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.uint8()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.short = true
	return 0
}

// all is the rest.
func (r *reader) all() []byte { return r.take(r.left()) }
