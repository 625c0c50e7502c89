package inspect

import "fmt"

// Opcode is a frame's four-bit opcode (RFC 6455 section 5.2).
type Opcode uint8

// The opcodes that RFC 6455 section 11.8 registers. 3–7 and 0xB–0xF are reserved.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

// String is a short name in lower case, "0x3" for a reserved opcode.
func (o Opcode) String() string {
	switch o {
	case OpContinuation:
		return "cont"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return fmt.Sprintf("0x%x", uint8(o))
}

// MarshalText writes what String answers.
func (o Opcode) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Control says that the opcode's top bit is set (RFC 6455 section 5.5): the
// frame may stand between the fragments of a message.
func (o Opcode) Control() bool { return o&0x8 != 0 }

// Reserved says that no RFC gives the opcode a meaning.
func (o Opcode) Reserved() bool { return o > OpBinary && o < OpClose || o > OpPong }
