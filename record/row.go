package record

import (
	"encoding/binary"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Row is the index entry of one frame: what a list shows of it and where its
// bytes are, in 32 bytes. Only the Store that answered it can say more.
//
//	0 session  4 number  8 time (Unix ns)  16 stream offset (48 bit)
//	22 payload length (48 bit)  28 first header byte  29 to 31 flags
type Row [32]byte

// Bits of the flag bytes.
const (
	rowMasked     = 1 << iota // byte 29
	rowToClient               // else to the server
	rowEnds                   // the message ends here
	rowCompressed             // of a compressed message
	rowLonger                 // its length is not in the shortest form
	rowMissing                // payload bytes are missing
	rowOpaque                 // of a message that cannot be inflated
	rowInvalid                // of a message that is no UTF-8
)

// Bits of byte 31.
const rowStray = 1 // it goes on with a message whose beginning is missing

const max48 = 1<<48 - 1

func newRow(session int, f *inspect.Frame) Row {
	var r Row
	le := binary.LittleEndian
	le.PutUint32(r[0:], uint32(session))
	le.PutUint32(r[4:], uint32(f.N))
	le.PutUint64(r[8:], uint64(f.First.UnixNano()))
	put48(r[16:], uint64(f.Off))
	put48(r[22:], f.Header.Length())
	var head [14]byte
	f.Header.Append(head[:0])
	r[28] = head[0]
	r.set(rowMasked, f.Header.Masked())
	r.set(rowToClient, f.Dir == inspect.ToClient)
	r.set(rowEnds, f.Ends)
	r.set(rowLonger, !f.Header.Minimal())
	r.set(rowMissing, f.Missing > 0)
	return r
}

func put48(b []byte, v uint64) {
	v = min(v, max48)
	binary.LittleEndian.PutUint32(b, uint32(v))
	binary.LittleEndian.PutUint16(b[4:], uint16(v>>32))
}

func get48(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}

func (r *Row) set(flag byte, on bool) {
	if on {
		r[29] |= flag
	}
}

// stray says that the message's beginning is missing: what stands before is another.
func (r Row) stray() bool { return r[31]&rowStray != 0 }

func (r Row) has(flag byte) bool { return r[29]&flag != 0 }

// Session is the index of the frame's session in the Store.
func (r Row) Session() int { return int(binary.LittleEndian.Uint32(r[0:])) }

// N is the frame's number in its session, both directions together, from 1.
func (r Row) N() uint64 { return uint64(binary.LittleEndian.Uint32(r[4:])) }

// Time is when the header's first byte came.
func (r Row) Time() time.Time { return time.Unix(0, int64(binary.LittleEndian.Uint64(r[8:]))) }

// Off is the offset of the header's first byte in its direction's stream.
func (r Row) Off() int64 { return int64(get48(r[16:])) }

// Length is the payload length that the header claims, in bytes; 2^48-1 stands
// for that and everything beyond.
func (r Row) Length() uint64 { return get48(r[22:]) }

// Dir is the direction in which the frame was sent.
func (r Row) Dir() inspect.Dir {
	if r.has(rowToClient) {
		return inspect.ToClient
	}
	return inspect.ToServer
}

// Opcode says what the payload is.
func (r Row) Opcode() inspect.Opcode { return inspect.Opcode(r[28] & 0x0f) }

// Fin says that this is the last fragment of a message.
func (r Row) Fin() bool { return r[28]&0x80 != 0 }

// Rsv are the three reserved bits, RSV1 first.
func (r Row) Rsv() [3]bool { return [3]bool{r[28]&0x40 != 0, r[28]&0x20 != 0, r[28]&0x10 != 0} }

// Masked says that the header carries a masking key.
func (r Row) Masked() bool { return r.has(rowMasked) }

// Ends says that a message ends with this frame.
func (r Row) Ends() bool { return r.has(rowEnds) }

// Minimal says that the length is written in the shortest form that fits.
func (r Row) Minimal() bool { return !r.has(rowLonger) }

// Compressed says that the frame is part of a compressed message (RFC 7692
// section 6). It is known once the message has ended.
func (r Row) Compressed() bool { return r.has(rowCompressed) }

// Missing says that payload bytes never came, or were not captured.
func (r Row) Missing() bool { return r.has(rowMissing) }

// Undecodable says that the frame's message is compressed and cannot be inflated.
func (r Row) Undecodable() bool { return r.has(rowOpaque) }

// InvalidUTF8 says that the frame's message is text, or a close reason, that is
// not UTF-8.
func (r Row) InvalidUTF8() bool { return r.has(rowInvalid) }

// Worst is the severity of the frame's worst finding; ok is false without any.
func (r Row) Worst() (s inspect.Severity, ok bool) {
	return inspect.Severity(r[30]&0x0f) - 1, r[30]&0x0f != 0
}

func (r *Row) blame(s inspect.Severity) {
	r[30] = r[30]&0xf0 | max(r[30]&0x0f, byte(s)+1)
}
