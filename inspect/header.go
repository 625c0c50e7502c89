package inspect

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// maxHeader is the longest frame header: two bytes, a 64-bit length, a key.
const maxHeader = 14

// Header is a frame's header (RFC 6455 section 5.2). It is its own raw bytes,
// 2 to 14 of them, so it always serialises to what was on the wire, legal or
// not. Headers compare with ==; the zero value is no header.
type Header struct {
	raw [maxHeader]byte
	n   uint8
}

// Fields are what a header is made of, for NewHeader.
type Fields struct {
	Fin, Rsv1, Rsv2, Rsv3 bool
	Opcode                Opcode
	Masked                bool
	Key                   [4]byte
	Length                uint64
	Form                  int // bits of the length: 7, 16 or 64; 0: the shortest that fits
}

// NewHeader builds a header, also one that breaks the RFC: a form longer than
// needed, a reserved opcode. A Form too short for Length is widened.
func NewHeader(f Fields) Header {
	var h Header
	h.raw[0] = byte(f.Opcode) & 0x0f
	for i, on := range []bool{f.Fin, f.Rsv1, f.Rsv2, f.Rsv3} {
		if on {
			h.raw[0] |= 0x80 >> i
		}
	}
	n := 2
	switch {
	case f.Form == 64 || f.Length > 0xffff:
		h.raw[1] = 127
		binary.BigEndian.PutUint64(h.raw[2:], f.Length)
		n = 10
	case f.Form == 16 || f.Length > 125:
		h.raw[1] = 126
		binary.BigEndian.PutUint16(h.raw[2:], uint16(f.Length))
		n = 4
	default:
		h.raw[1] = byte(f.Length)
	}
	if f.Masked {
		h.raw[1] |= 0x80
		n += copy(h.raw[n:], f.Key[:])
	}
	h.n = uint8(n)
	return h
}

// ParseHeader takes the header that b begins with. ok is false if b is shorter
// than the header it begins; there is no other way to fail.
func ParseHeader(b []byte) (h Header, ok bool) {
	if len(b) < 2 {
		return Header{}, false
	}
	n := headerLen(b[1])
	if len(b) < n {
		return Header{}, false
	}
	copy(h.raw[:], b[:n])
	h.n = uint8(n)
	return h, true
}

// headerLen is the header's length, which its second byte settles.
func headerLen(second byte) int {
	n := 2
	switch second & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&0x80 != 0 {
		n += 4
	}
	return n
}

// Fin says that this is the last fragment of a message.
func (h Header) Fin() bool { return h.raw[0]&0x80 != 0 }

// Rsv1 is the first reserved bit: "compressed", where permessage-deflate is
// agreed (RFC 7692 section 6).
func (h Header) Rsv1() bool { return h.raw[0]&0x40 != 0 }

// Rsv2 is the second reserved bit.
func (h Header) Rsv2() bool { return h.raw[0]&0x20 != 0 }

// Rsv3 is the third reserved bit.
func (h Header) Rsv3() bool { return h.raw[0]&0x10 != 0 }

// Opcode says what the payload is.
func (h Header) Opcode() Opcode { return Opcode(h.raw[0] & 0x0f) }

// Masked says that a masking key follows the length (RFC 6455 section 5.3).
func (h Header) Masked() bool { return h.raw[1]&0x80 != 0 }

// Key is the masking key; zero if there is none.
func (h Header) Key() (key [4]byte) {
	if h.Masked() {
		copy(key[:], h.raw[h.n-4:h.n])
	}
	return key
}

// Length is the payload length that the header claims, in bytes. The 64-bit form
// can claim more than the 2^63-1 that RFC 6455 allows.
func (h Header) Length() uint64 {
	switch h.Form() {
	case 16:
		return uint64(binary.BigEndian.Uint16(h.raw[2:]))
	case 64:
		return binary.BigEndian.Uint64(h.raw[2:])
	}
	return uint64(h.raw[1] & 0x7f)
}

// Form is how many bits the length is written in: 7, 16 or 64.
func (h Header) Form() int {
	switch h.raw[1] & 0x7f {
	case 126:
		return 16
	case 127:
		return 64
	}
	return 7
}

// Minimal says that the length is written in the shortest form that fits, as
// RFC 6455 section 5.2 demands.
func (h Header) Minimal() bool {
	switch h.Form() {
	case 16:
		return h.Length() > 125
	case 64:
		return h.Length() > 0xffff
	}
	return true
}

// Raw is the header as it stood on the wire, 2 to 14 bytes, in memory of its own.
func (h Header) Raw() []byte { return append([]byte(nil), h.raw[:h.n]...) }

// Append appends the header's bytes to b.
func (h Header) Append(b []byte) []byte { return append(b, h.raw[:h.n]...) }

// Len is the header's length in bytes, 2 to 14; 0 for no header.
func (h Header) Len() int { return int(h.n) }

// String is the header in one line: "text 5 fin mask=37fa213d".
func (h Header) String() string {
	if h.n == 0 {
		return "no header"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", h.Opcode(), h.Length())
	for _, f := range []struct {
		on   bool
		name string
	}{{h.Fin(), "fin"}, {h.Rsv1(), "rsv1"}, {h.Rsv2(), "rsv2"}, {h.Rsv3(), "rsv3"}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	if h.Masked() {
		key := h.Key()
		fmt.Fprintf(&b, " mask=%x", key[:])
	}
	if !h.Minimal() {
		fmt.Fprintf(&b, " len%d", h.Form())
	}
	return b.String()
}
