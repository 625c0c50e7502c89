// Package wstest is plumbing for scripted WebSocket peers, legal and illegal
// ones: frames from their fields, raw connections, an echo server, and a tee
// that logs what passes. The demo and the tests are made of it.
//
// Everything in it stays on loopback; a [Dialer] refuses any other address.
package wstest

import (
	"encoding/binary"

	"github.com/wsproxy/wsproxy/inspect"
)

// key is the masking key of frames that are masked without one being named: that
// of the examples in RFC 6455 section 5.7. A client must draw its keys at random
// (section 5.3); scripts want the same bytes each time.
const key = "\x37\xfa\x21\x3d"

// Frame builds a frame: the payload, masked if f says so, behind the header of
// f with the payload's length in it. Nothing keeps it from breaking the RFC.
func Frame(f inspect.Fields, payload string) []byte {
	f.Length = uint64(len(payload))
	if f.Masked && f.Key == [4]byte{} {
		f.Key = [4]byte([]byte(key))
	}
	b := inspect.NewHeader(f).Append(nil)
	at := len(b)
	b = append(b, payload...)
	if f.Masked {
		inspect.Mask(f.Key, 0, b[at:])
	}
	return b
}

// Text is a whole text message in one frame, masked as a client's.
func Text(s string) []byte {
	return Frame(inspect.Fields{Fin: true, Opcode: inspect.OpText, Masked: true}, s)
}

// Ping is a ping, masked as a client's.
func Ping(s string) []byte {
	return Frame(inspect.Fields{Fin: true, Opcode: inspect.OpPing, Masked: true}, s)
}

// Close is a Close frame, masked as a client's; any code goes.
func Close(code inspect.CloseCode, reason string) []byte {
	return Frame(inspect.Fields{Fin: true, Opcode: inspect.OpClose, Masked: true}, CloseBody(code, reason))
}

// CloseBody is what a Close frame carries (RFC 6455 section 5.5.1).
func CloseBody(code inspect.CloseCode, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}
