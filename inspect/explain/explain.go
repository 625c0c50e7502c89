// Package explain holds the learning texts: a frame taken apart bit by bit, each
// field in a sentence with the section of the RFC that it comes from. The
// command explain, the Frame tab and show --explain all print from here.
package explain

import (
	"fmt"
	"math"

	"github.com/wsproxy/wsproxy/inspect"
)

// Line explains one field of a frame. All of it is safe to show in a terminal;
// only Text is longer than some words.
type Line struct {
	Field  string // "FIN", "opcode", "Masking-key", …
	Bits   string // as on the wire: binary up to seven bits, else hex; "" where nothing is on the wire
	Value  string // what they stand for, in a word
	Text   string // a sentence or two
	Clause string // "RFC 6455 5.2"
	Figure string // lines to be shown below as they are, at most 60 columns wide; mostly ""
}

// Options are what the bytes of a frame cannot say.
type Options struct {
	Before  inspect.State    // of its direction, before the frame
	Deflate *inspect.Deflate // what permessage-deflate was agreed with; nil: not, or not known
	Known   bool             // the handshake is known: a nil Deflate says that none was agreed
	Max     int              // most payload bytes shown in a line; 0: 16
}

func (o Options) max() int {
	if o.Max <= 0 {
		return 16
	}
	return o.Max
}

// Frame explains the fields of one frame in the order of the wire. payload is as
// it was on the wire, masked if the frame is; it may be shorter than the header
// claims, and is not changed. The zero Header has no lines.
func Frame(h inspect.Header, payload []byte, o Options) []Line {
	if h.Len() == 0 {
		return nil
	}
	if n := h.Length(); uint64(len(payload)) > n {
		payload = payload[:n]
	}
	f := frame{h: h, raw: h.Raw(), payload: payload, o: o}
	f.bits()
	f.length()
	f.masking()
	f.content()
	return f.lines
}

// frame is the explanation being put together.
type frame struct {
	h       inspect.Header
	raw     []byte
	payload []byte // as on the wire
	o       Options
	lines   []Line
}

func (f *frame) add(field, bits, value, text, clause string) {
	f.lines = append(f.lines, Line{Field: field, Bits: bits, Value: value, Text: text, Clause: clause})
}

// bits explains the first byte (RFC 6455 section 5.2).
func (f *frame) bits() {
	h := f.h
	op := h.Opcode()
	f.fin()
	f.rsv1()
	if !h.Rsv2() && !h.Rsv3() {
		f.add("RSV2, RSV3", "00", "", "Reserved, and 0 as they must be: no registered extension uses them.", "RFC 6455 5.2")
	} else {
		f.rsv("RSV2", h.Rsv2())
		f.rsv("RSV3", h.Rsv3())
	}
	f.add("opcode", fmt.Sprintf("%04b", uint8(op)), kind(op), f.opcode(op), opcodeClause(op))
}

func (f *frame) rsv(name string, on bool) {
	if on {
		f.add(name, "1", "set", "Reserved. It must be 0 unless an extension was agreed that gives it a meaning; no registered one does.", "RFC 6455 5.2")
	} else {
		f.add(name, "0", "", "Reserved, and 0 as it must be without an extension that uses it.", "RFC 6455 5.2")
	}
}

func (f *frame) fin() {
	op := f.h.Opcode()
	switch {
	case op.Control() && f.h.Fin():
		f.add("FIN", "1", "whole", "Set, as on every control frame, which must not be fragmented.", "RFC 6455 5.5")
	case op.Control():
		f.add("FIN", "0", "fragment", "Clear, which breaks the protocol: a control frame must not be fragmented.", "RFC 6455 5.5")
	case !f.h.Fin():
		f.add("FIN", "0", "more follows", "Not the last fragment: the message goes on in a continuation frame.", "RFC 6455 5.4")
	case op == inspect.OpContinuation:
		f.add("FIN", "1", "last", "The last fragment: the message is complete with this frame.", "RFC 6455 5.4")
	default:
		f.add("FIN", "1", "whole", "First and last fragment in one: the frame is the whole message.", "RFC 6455 5.4")
	}
}

func (f *frame) rsv1() {
	op := f.h.Opcode()
	agreed := f.o.Deflate != nil
	switch on := f.h.Rsv1(); {
	case !on && agreed && !op.Control() && op != inspect.OpContinuation:
		f.add("RSV1", "0", "plain", "permessage-deflate was agreed, and this message is not compressed, which its sender may decide for each.", "RFC 7692 6")
	case !on:
		f.add("RSV1", "0", "", "Reserved, and 0 as it must be without an extension that uses it. With permessage-deflate it says on a message's first frame that the message is compressed.", "RFC 6455 5.2")
	case op.Control():
		f.add("RSV1", "1", "set", "Must be 0 on a control frame: control frames are never compressed.", "RFC 7692 6.1")
	case op == inspect.OpContinuation:
		f.add("RSV1", "1", "set", "Must be 0 on a continuation: the first frame says for the whole message whether it is compressed.", "RFC 7692 6.1")
	case agreed:
		f.add("RSV1", "1", "compressed", "The message is compressed with permessage-deflate, which client and server agreed on in the handshake"+f.agreed()+".", "RFC 7692 6")
	case f.o.Known:
		f.add("RSV1", "1", "set", "Must be 0 here: client and server agreed on no extension that gives it a meaning.", "RFC 6455 5.2")
	default:
		f.add("RSV1", "1", "compressed?", "The message is compressed, if client and server agreed on permessage-deflate in the handshake; otherwise the bit must be 0.", "RFC 7692 6")
	}
}

// agreed says with what parameters permessage-deflate was agreed on. Who masks is
// the client.
func (f *frame) agreed() string {
	dir := inspect.ToClient
	if f.h.Masked() {
		dir = inspect.ToServer
	}
	text := ""
	if n := f.o.Deflate.WindowBits(dir); n < 15 {
		text = fmt.Sprintf(", with a window of %d bytes in this direction", 1<<n)
	}
	if !f.o.Deflate.Takeover(dir) {
		return text + ". It stands for itself: no context is taken over from the messages before it"
	}
	return text + ". It may refer to what the messages before it in this direction said: the context is taken over"
}

func opcodeClause(op inspect.Opcode) string {
	switch op {
	case inspect.OpContinuation:
		return "RFC 6455 5.4"
	case inspect.OpText, inspect.OpBinary:
		return "RFC 6455 5.6"
	case inspect.OpClose:
		return "RFC 6455 5.5.1"
	case inspect.OpPing:
		return "RFC 6455 5.5.2"
	case inspect.OpPong:
		return "RFC 6455 5.5.3"
	}
	return "RFC 6455 5.2"
}

func (f *frame) opcode(op inspect.Opcode) string {
	switch op {
	case inspect.OpContinuation:
		if f.o.Before.InMessage && f.o.Before.Opcode != inspect.OpContinuation {
			return fmt.Sprintf("Goes on with the %s message that an earlier frame began.", f.o.Before.Opcode)
		}
		return "Goes on with the message that an earlier frame began."
	case inspect.OpText:
		return "Begins a text message: with all its fragments it must be UTF-8."
	case inspect.OpBinary:
		return "Begins a binary message: bytes whose meaning the application knows."
	case inspect.OpClose:
		return "Ends the session: its sender will send no more data, and the other side answers with a Close frame of its own."
	case inspect.OpPing:
		return "Asks whether the other side is there: it must answer with a Pong that has the same payload, as soon as it can."
	case inspect.OpPong:
		return "Answers a Ping with the same payload. One that nobody asked for is a one-way heartbeat, and needs no answer."
	}
	if op.Control() {
		return "Reserved for control frames to come. Without an extension that defines it, the receiver must fail the connection."
	}
	return "Reserved for data frames to come. Without an extension that defines it, the receiver must fail the connection."
}

// length explains the payload length in its form, and the extended one.
func (f *frame) length() {
	h := f.h
	first := fmt.Sprintf("%07b", f.raw[1]&0x7f)
	if h.Masked() {
		f.add("MASK", "1", "masked", "A masking key follows the length, and the payload is masked with it. All that a client sends is masked, nothing of a server's is.", "RFC 6455 5.1")
	} else {
		f.add("MASK", "0", "not masked", "The payload is sent as it is. That is how a server sends; a client must mask every frame.", "RFC 6455 5.1")
	}
	const clause = "RFC 6455 5.2"
	n := h.Length()
	switch h.Form() {
	case 7:
		f.add("Payload len", first, fmt.Sprint(n), "The payload has "+count(n)+". Up to 125 fit into these seven bits; 126 and 127 announce a longer field."+f.tooLong(n), clause)
		return
	case 16:
		f.add("Payload len", first, "126", "The length stands in the next 16 bits"+f.why("one from 126 to 65,535 does: seven bits do not hold it beside 126 and 127, which announce a longer field")+".", clause)
	case 64:
		f.add("Payload len", first, "127", "The length stands in the next 64 bits"+f.why("one above 65,535 does: no shorter form holds it")+".", clause)
	}
	text := "The payload has " + count(n) + ", the high byte first."
	if !h.Minimal() {
		text += " That breaks the protocol: the shortest form that fits must be used, which is "
		if n <= 125 {
			text += "the 7-bit one."
		} else {
			text += "the 16-bit one."
		}
	}
	if n > math.MaxInt64 {
		text += " That breaks the protocol: the top bit must be 0."
	}
	f.add("Extended len", octets(f.raw[2:2+h.Form()/8]), fmt.Sprint(n), text+f.tooLong(n), clause)
}

// why gives the reason for a form of the length, if it has one.
func (f *frame) why(reason string) string {
	if !f.h.Minimal() {
		return ""
	}
	return ", as " + reason
}

// tooLong says that a control frame has more than section 5.5 allows.
func (f *frame) tooLong(n uint64) string {
	if f.h.Opcode().Control() && n > 125 {
		return " That breaks the protocol: a control frame has at most 125 bytes (section 5.5)."
	}
	return ""
}

func (f *frame) masking() {
	if !f.h.Masked() {
		return
	}
	key := f.h.Key()
	text := "Each payload byte was XORed with a byte of this key, in turn. The key is to be fresh and random for every frame, so that no page can choose the bytes on the wire."
	if key == [4]byte{} {
		text = "All zeros, which leaves the payload as it is. The key is to be fresh and random for every frame, so that no page can choose the bytes on the wire."
	}
	f.add("Masking-key", octets(key[:]), "", text, "RFC 6455 5.3")
}

// kind is an opcode's name where there is room for it.
func kind(op inspect.Opcode) string {
	if op == inspect.OpContinuation {
		return "continuation"
	}
	return op.String()
}

// count says a number of bytes with its unit.
func count(n uint64) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprint(n, " bytes")
}

// octets is bytes two digits each, with a space between.
func octets(b []byte) string { return fmt.Sprintf("% x", b) }
