package inspect

import "encoding/binary"

// Mask masks or unmasks b in place (RFC 6455 section 5.3). pos is the offset of
// b[0] in the frame's payload, so that a payload can be masked in pieces.
func Mask(key [4]byte, pos int64, b []byte) {
	if key == ([4]byte{}) {
		return
	}
	var k [8]byte
	for i := range k {
		k[i] = key[(pos+int64(i))&3]
	}
	word := binary.LittleEndian.Uint64(k[:])
	for len(b) >= 32 {
		v := b[:32:32]
		binary.LittleEndian.PutUint64(v[0:], binary.LittleEndian.Uint64(v[0:])^word)
		binary.LittleEndian.PutUint64(v[8:], binary.LittleEndian.Uint64(v[8:])^word)
		binary.LittleEndian.PutUint64(v[16:], binary.LittleEndian.Uint64(v[16:])^word)
		binary.LittleEndian.PutUint64(v[24:], binary.LittleEndian.Uint64(v[24:])^word)
		b = b[32:]
	}
	for i := range b {
		b[i] ^= k[i&7]
	}
}
