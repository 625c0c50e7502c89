package explain

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// inflateLimit is the longest payload that is inflated to be shown. DEFLATE
// grows at most a thousandfold, so this costs milliseconds, whatever it holds.
const inflateLimit = 16 << 10

// closeShown is the most of a Close payload that is read: all of a legal one.
const closeShown = 125

// content explains the payload, masked and unmasked, and what is in it.
func (f *frame) content() {
	if f.h.Length() > 0 {
		f.wire()
	}
	if !f.whole() {
		missing := f.h.Length() - uint64(len(f.payload))
		f.add("Missing", "", count(missing), fmt.Sprintf("The header announces %s of payload; %s here, so %s missing.",
			count(f.h.Length()), are(uint64(len(f.payload))), are(missing)), "")
	}
	switch op := f.h.Opcode(); {
	case op == inspect.OpClose:
		f.closing()
	case f.h.Length() == 0:
		f.empty(op)
	case f.compressed():
		f.inflated()
	case f.isText():
		f.text()
	}
}

func (f *frame) whole() bool { return uint64(len(f.payload)) == f.h.Length() }

// plain is the first n payload bytes without the mask, in memory of their own.
func (f *frame) plain(n int) []byte {
	b := bytes.Clone(f.payload[:min(n, len(f.payload))])
	if f.h.Masked() {
		inspect.Mask(f.h.Key(), 0, b)
	}
	return b
}

// wire shows the payload as it was sent, and without its mask.
func (f *frame) wire() {
	if len(f.payload) == 0 {
		return
	}
	const clause = "RFC 6455 5.2"
	most := f.o.max()
	sent, plain := f.payload[:min(most, len(f.payload))], f.plain(most)
	if !f.h.Masked() {
		f.add("Payload", f.shown(sent), f.legible(), f.rest(f.what()+", as it is on the wire."), clause)
		return
	}
	f.add("Payload masked", f.shown(sent), "", f.rest(f.what()+" as it was sent, XORed with the key."), "RFC 6455 5.3")
	key := f.h.Key()
	text := fmt.Sprintf("The same without the mask: the first byte is %#02x xor %#02x = %#02x, and so on; every fourth byte begins the key anew.", sent[0], key[0], plain[0])
	f.add("Payload plain", f.shown(plain), f.legible(), text, "RFC 6455 5.3")
	f.lines[len(f.lines)-1].Figure = walk(key, sent, plain)
}

// walkBytes is how many bytes of a payload are unmasked one by one.
const walkBytes = 16

// walk unmasks a payload byte by byte, and the first one bit by bit.
func walk(key [4]byte, sent, plain []byte) string {
	n := min(len(sent), walkBytes)
	var at, keys, text []byte
	for i, c := range plain[:n] {
		at = fmt.Appendf(at, " %2d", i)
		keys = fmt.Appendf(keys, " %02x", key[i%4])
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		text = fmt.Appendf(text, "  %c", c)
	}
	return fmt.Sprintf("byte      %s\nsent       %s\nxor key   %s\n= plain    %s\nas text   %s\n\nbyte 0  %08b  %02x\nxor     %08b  %02x\n=       %08b  %02x",
		at, octets(sent[:n]), keys, octets(plain[:n]), text, sent[0], sent[0], key[0], key[0], plain[0], plain[0])
}

// what names the content of the payload.
func (f *frame) what() string {
	switch f.h.Opcode() {
	case inspect.OpClose:
		return "The body with the close code"
	case inspect.OpPing:
		return "What the Pong must repeat"
	case inspect.OpPong:
		return "What the Ping asked with"
	}
	if f.compressed() {
		return "The compressed data"
	}
	return "The application's data"
}

func (f *frame) shown(b []byte) string {
	if len(b) < len(f.payload) {
		return octets(b) + " …"
	}
	return octets(b)
}

func (f *frame) rest(text string) string {
	if n := len(f.payload); n > f.o.max() {
		text += fmt.Sprintf(" %d of %s are shown.", f.o.max(), count(uint64(n)))
	}
	return text
}

// legible is the payload as text, where it is meant to be read.
func (f *frame) legible() string {
	if f.compressed() || f.h.Opcode() == inspect.OpClose {
		return ""
	}
	most := f.o.max()
	return `"` + inspect.Visible(f.plain(most+utf8.UTFMax), most) + `"`
}

// compressed says that the payload is part of a message that RSV1 marked.
func (f *frame) compressed() bool {
	switch op := f.h.Opcode(); {
	case op.Control():
		return false
	case op == inspect.OpContinuation:
		return f.o.Before.Compressed
	}
	return f.h.Rsv1() && (f.o.Deflate != nil || !f.o.Known)
}

func (f *frame) isText() bool {
	op := f.h.Opcode()
	return op == inspect.OpText || op == inspect.OpContinuation && f.o.Before.InMessage && f.o.Before.Opcode == inspect.OpText
}

func (f *frame) empty(op inspect.Opcode) {
	switch op {
	case inspect.OpPing:
		f.add("Payload", "", "empty", "A Ping needs no payload. Then every Pong without one answers it.", "RFC 6455 5.5.2")
	case inspect.OpPong:
		f.add("Payload", "", "empty", "It answers a Ping that had no payload either.", "RFC 6455 5.5.3")
	default:
		f.add("Payload", "", "empty", "A message, or a fragment of one, may be empty.", "RFC 6455 5.2")
	}
}

// inflated shows what a compressed message says, where the frame is all of it.
func (f *frame) inflated() {
	const clause = "RFC 7692 7.2.2"
	switch {
	case !f.h.Fin() || f.h.Opcode() == inspect.OpContinuation:
		f.add("Inflated", "", "", "Only the fragments of a compressed message together can be inflated.", clause)
		return
	case !f.whole():
		return
	case len(f.payload) > inflateLimit:
		f.add("Inflated", "", "", "Too long to be inflated here.", clause)
		return
	}
	const most = 64
	data, size, err := inspect.NewInflater(false, 15, most+1).Message(f.plain(len(f.payload)))
	if err != nil {
		f.add("Inflated", "", "", "Cannot be inflated by itself: it refers to the messages before it, is damaged, or is not permessage-deflate.", clause)
		return
	}
	value := `"` + inspect.Visible(data, most) + `"`
	f.add("Inflated", "", value, fmt.Sprintf("With 00 00 ff ff put back behind it, the payload inflates to %s.", count(uint64(size))), clause)
}

// text says whether the payload is UTF-8, as far as one frame can tell.
func (f *frame) text() {
	var u inspect.UTF8
	var scratch [4096]byte
	for pos := 0; pos < len(f.payload); pos += len(scratch) {
		n := copy(scratch[:], f.payload[pos:])
		if f.h.Masked() {
			inspect.Mask(f.h.Key(), int64(pos), scratch[:n])
		}
		u.Feed(scratch[:n])
	}
	const clause = "RFC 6455 8.1"
	begins := f.h.Opcode() == inspect.OpText
	if begins && f.h.Fin() && f.whole() {
		u.End()
	}
	switch bad := u.Bad(); {
	case bad > 0 && begins:
		f.add("UTF-8", "", "no", fmt.Sprintf("Byte %d of the payload is not UTF-8, which text must be: the receiver must fail the connection.", bad), clause)
	case bad > 0:
		f.add("UTF-8", "", "?", fmt.Sprintf("Byte %d of the payload is not UTF-8 by itself. A fragment may begin inside a character; only the whole message can be judged.", bad), clause)
	case f.whole() && f.h.Fin() && begins:
		f.add("UTF-8", "", "yes", "The payload is UTF-8, which text must be.", clause)
	case f.whole():
		f.add("UTF-8", "", "yes", "The fragment is UTF-8 as far as it goes; it may end inside a character. Text must be UTF-8 as a whole.", clause)
	}
}

// closing explains a Close frame's body (RFC 6455 section 5.5.1).
func (f *frame) closing() {
	const clause = "RFC 6455 5.5.1"
	body := f.plain(closeShown)
	switch {
	case f.h.Length() == 0:
		f.add("Close code", "", "none", "No body, so no code: to its own user the receiver reports 1005, which is never sent.", "RFC 6455 7.1.5")
		return
	case f.h.Length() == 1:
		f.add("Close code", octets(body), "none", "A body of one byte breaks the protocol: if there is a body, it begins with a code of two bytes.", clause)
		return
	case len(body) < 2:
		return
	}
	code, reason, _ := inspect.ParseClose(body)
	text := fmt.Sprintf("The code %d: %s.", code, code.Meaning())
	codeClause := "RFC 6455 7.4.1"
	switch code.Class() {
	case inspect.CloseInvalid, inspect.CloseUnassigned:
		text += " It must not be sent."
		codeClause = "RFC 6455 7.4.2"
	case inspect.CloseLibrary, inspect.ClosePrivate:
		codeClause = "RFC 6455 7.4.2"
	}
	f.add("Close code", octets(body[:2]), code.String(), text, codeClause)
	f.sender(code)
	f.reason(reason)
}

// sender says who may send a close code. Who masks is the client.
func (f *frame) sender(code inspect.CloseCode) {
	who := code.Sender()
	text := strings.ToUpper(who[:1]) + who[1:] + "."
	if code.Sendable() && !code.FromPage() {
		text += " A page in a browser cannot: its close() takes 1000 and 3000 to 4999 only."
	}
	value := "either side"
	switch {
	case !code.Sendable():
		value = "nobody"
	case code == 1010:
		value = "a client"
	case code.Class() == inspect.CloseRegistered && code >= 1011:
		value = "a server"
	}
	f.add("Who sends it", "", value, text, "RFC 6455 7.4")
}

func (f *frame) reason(reason []byte) {
	const clause = "RFC 6455 5.5.1"
	if f.h.Length() == 2 {
		f.add("Close reason", "", "none", "A reason may follow the code, as text for a log; there is none.", clause)
		return
	}
	if len(reason) == 0 {
		return
	}
	text := "Why, as text for a log; it need not be fit for people to read."
	var u inspect.UTF8
	u.Feed(reason)
	if f.whole() && len(f.payload) <= closeShown {
		u.End()
	}
	if bad := u.Bad(); bad > 0 {
		text = fmt.Sprintf("Why, as text; but byte %d of it is not UTF-8, which it must be (section 8.1).", bad)
	}
	f.add("Close reason", f.cutHex(reason), `"`+inspect.Visible(reason, 0)+`"`, text, clause)
}

func (f *frame) cutHex(b []byte) string {
	if most := f.o.max(); len(b) > most {
		return octets(b[:most]) + " …"
	}
	return octets(b)
}

// are is "1 byte is" or "5 bytes are".
func are(n uint64) string {
	if n == 1 {
		return "1 byte is"
	}
	return count(n) + " are"
}
