package decode

import (
	"bytes"
	"fmt"

	"github.com/wsproxy/wsproxy/inspect"
)

// rfbProtocol is RFB, which VNC speaks: noVNC and bridges carry its stream. The
// handshake and what the user does are told; what the server draws is only counted,
// since its lengths are known to those who decode pictures alone.
func rfbProtocol() Protocol {
	return Protocol{
		Name: "rfb", Title: "RFB 3.3 to 3.8: VNC, noVNC (no pictures)", Knows: "the server's first message RFB 003.", Pairs: "the steps of the handshake",
		Masks: "the answer to VNC's challenge", Spec: "RFC 6143",
		bid: func(h *Hints) int {
			if b := h.First[inspect.ToClient].Data; rfbVersion(b) > 0 || len(b) < 12 && len(b) >= 4 && bytes.HasPrefix([]byte("RFB 003."), b[:min(len(b), 8)]) {
				return spokenBid + 1
			}
			return 0
		},
		new: func(*Hints) Decoder { return &rfb{} },
	}
}

// rfbVersion is the minor version that a version message names, of 3.3, 3.7 and 3.8;
// 0 for what is none. Newer ones speak 3.8 with others, older and odd ones 3.3.
func rfbVersion(b []byte) int {
	if len(b) < 12 || !bytes.HasPrefix(b, []byte("RFB 00")) || b[7] != '.' || b[11] != '\n' || digits(b, 8) != 11 {
		return 0
	}
	minor := int(b[8]-'0')*100 + int(b[9]-'0')*10 + int(b[10]-'0')
	switch {
	case b[6] > '3' || minor > 7:
		return 8
	case minor == 7:
		return 7
	}
	return 3
}

// rfbStep is where a direction of the handshake is.
type rfbStep uint8

const (
	rfbHello rfbStep = iota
	rfbSecurity
	rfbChallenge
	rfbResult
	rfbInit
	rfbTalk
	rfbClosed // bytes that are not looked into
)

// rfb is the state of a connection.
type rfb struct {
	minor  int // that both speak, from the client's version
	chosen int // type of security
	step   [2]rfbStep
	ways   [2]stream
}

func (r *rfb) Clone() Decoder {
	c := *r
	c.ways = [2]stream{r.ways[0].clone(), r.ways[1].clone()}
	return &c
}

// Gap: where the next message begins is not known any more.
func (r *rfb) Gap(d inspect.Dir) {
	r.ways[d].reset()
	r.step[d] = rfbClosed
}

func (r *rfb) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode == inspect.OpText {
		return broken(0, "RFB is bytes")
	}
	size, tell := r.serverSize, r.server
	if m.Dir == inspect.ToServer {
		size, tell = r.clientSize, r.client
	}
	return r.ways[m.Dir].packets(m, out, size, tell)
}

// counted is the length of a message of fixed length with a text or list behind it;
// 0 if its length has not come.
func counted(b []byte, fixed, at, width, each int) int {
	if len(b) < at+width {
		return 0
	}
	return fixed + each*int(bigEndian(b[at:at+width]))
}

func (r *rfb) serverSize(b []byte, _ int) (n int, why string) {
	switch r.step[inspect.ToClient] {
	case rfbHello:
		if len(b) >= 12 && rfbVersion(b) == 0 {
			return 0, "a server of RFB begins with its version"
		}
		return 12, ""
	case rfbSecurity:
		switch {
		case r.minor == 0:
			return 0, "the server goes on before the client has said its version"
		case r.minor == 3 && len(b) >= 4 && bigEndian(b[:4]) == 0:
			return counted(b, 8, 4, 4, 1), ""
		case r.minor == 3:
			return 4, ""
		case b[0] == 0:
			return counted(b, 5, 1, 4, 1), ""
		}
		return 1 + int(b[0]), ""
	case rfbChallenge:
		return 16, ""
	case rfbResult:
		if r.minor == 8 && len(b) >= 4 && bigEndian(b[:4]) != 0 {
			return counted(b, 8, 4, 4, 1), ""
		}
		return 4, ""
	case rfbInit:
		return counted(b, 24, 20, 4, 1), ""
	}
	return len(b), ""
}

// rfbSecurities are the types of security that people meet.
var rfbSecurities = map[int]string{0: "invalid", 1: "none", 2: "VNC authentication", 5: "RA2", 6: "RA2ne", 16: "Tight", 18: "TLS", 19: "VeNCrypt", 30: "Apple Diffie-Hellman"}

func rfbSecurityNode(kind int) Node {
	n := numberNode("", int64(kind))
	n.Note = rfbSecurities[kind]
	return n
}

func (r *rfb) server(b []byte, it *Item) *Broken {
	step := &r.step[inspect.ToClient]
	in := &reader{b: b}
	switch *step {
	case rfbHello:
		it.Name, it.Kind, it.asks = "version "+string(b[4:11]), Request, "version"
		*step = rfbSecurity
	case rfbSecurity:
		r.offered(in, it)
	case rfbChallenge:
		it.Name, it.Kind, it.asks = "challenge", Request, "challenge"
		it.says(bytesNode("", b))
		*step = rfbResult
	case rfbResult:
		it.Name, it.Kind, it.answers = "security ok", Reply, "security"
		*step = rfbInit
		if in.uint32() != 0 {
			it.Name, it.Kind, *step = "security failed", Error, rfbClosed
			if in.uint32(); in.left() > 0 {
				it.says(textNode("", string(in.all())))
			}
		}
	case rfbInit:
		it.Name, it.Kind, it.answers = "init", Reply, "init"
		width, height := in.uint16(), in.uint16()
		format := bytesNode("format", in.take(16))
		in.uint32()
		it.says(objectNode(numberNode("width", int64(width)), numberNode("height", int64(height)), format, textNode("name", string(in.all()))))
		*step = rfbTalk
	default:
		it.Name = "server's bytes"
		it.says(bytesNode("", b))
	}
	return nil
}

// offered reads which security there is; in 3.3 the server decides.
func (r *rfb) offered(in *reader, it *Item) {
	step := &r.step[inspect.ToClient]
	it.Name = "security"
	if r.minor == 3 {
		r.chosen = in.uint32()
		r.secured(step)
		if r.step[inspect.ToServer] = rfbInit; r.chosen == 2 {
			r.step[inspect.ToServer] = rfbChallenge
		}
		it.says(rfbSecurityNode(r.chosen))
	} else {
		all := listNode()
		for range in.uint8() {
			all.add(rfbSecurityNode(in.uint8()))
		}
		it.Kind, it.asks = Request, "choice"
		it.says(all)
		*step = rfbChallenge // or what the client's choice makes of it
		r.step[inspect.ToServer] = rfbSecurity
		if len(all.kids) > 0 {
			return
		}
		it.asks = ""
	}
	if r.chosen == 0 {
		in.uint32()
		it.Name, it.Kind, *step = "refused", Error, rfbClosed
		it.says(textNode("", string(in.all())))
	}
}

// secured says what the server says next, once the type of security is known.
func (r *rfb) secured(step *rfbStep) {
	switch {
	case r.chosen == 1 && r.minor < 8:
		*step = rfbInit
	case r.chosen == 1:
		*step = rfbResult
	case r.chosen == 2:
		*step = rfbChallenge
	default: // one of its own, which nobody else can follow
		*step = rfbClosed
	}
}

func (r *rfb) clientSize(b []byte, _ int) (n int, why string) {
	switch r.step[inspect.ToServer] {
	case rfbHello:
		if len(b) >= 12 && rfbVersion(b) == 0 {
			return 0, "a client of RFB begins with its version"
		}
		return 12, ""
	case rfbSecurity, rfbInit:
		return 1, ""
	case rfbChallenge:
		return 16, ""
	case rfbTalk:
		return rfbClientSize(b)
	}
	return len(b), ""
}

// rfbClientSize is the length of a message of a client (RFC 6143 section 7.5, and those
// extensions that noVNC and TigerVNC use).
func rfbClientSize(b []byte) (n int, why string) {
	switch b[0] {
	case 0:
		return 20, ""
	case 2:
		return counted(b, 4, 2, 2, 4), ""
	case 3, 150:
		return 10, ""
	case 4:
		return 8, ""
	case 5:
		return 6, ""
	case 6:
		if len(b) >= 8 && b[4]&0x80 != 0 { // the extended clipboard has its length negative
			return 8 + int(-int32(uint32(bigEndian(b[4:8]))))&0x7fffffff, ""
		}
		return counted(b, 8, 4, 4, 1), ""
	case 248:
		return counted(b, 9, 8, 1, 1), ""
	case 251:
		return counted(b, 8, 6, 1, 16), ""
	case 255:
		if len(b) > 1 && b[1] == 0 {
			return 12, ""
		}
	}
	return 0, fmt.Sprintf("%d is no message of a client that is known", b[0])
}

func (r *rfb) client(b []byte, it *Item) *Broken {
	step := &r.step[inspect.ToServer]
	in := &reader{b: b}
	switch *step {
	case rfbHello:
		it.Name, it.Kind, it.answers = "version "+string(b[4:11]), Reply, "version"
		r.minor = rfbVersion(b)
		*step = rfbSecurity
	case rfbSecurity:
		r.chosen = in.uint8()
		it.Name, it.Kind, it.answers = "choose security", Reply, "choice"
		if r.chosen == 2 || r.minor == 8 {
			it.asks = "security"
		}
		it.says(rfbSecurityNode(r.chosen))
		r.secured(&r.step[inspect.ToClient])
		switch *step = rfbInit; r.chosen {
		case 1:
		case 2:
			*step = rfbChallenge
		default:
			*step = rfbClosed
		}
	case rfbChallenge:
		it.Name, it.Kind, it.answers = "response", Reply, "challenge"
		it.says(secretNode(bytesNode("", b)))
		*step = rfbInit
	case rfbInit:
		it.Name, it.Kind, it.asks = "init", Request, "init"
		it.says(objectNode(boolNode("shared", b[0] != 0)))
		*step = rfbTalk
	case rfbTalk:
		rfbClient(in, it)
	default:
		it.Name = "client's bytes"
		it.says(bytesNode("", b))
	}
	return nil
}

// rfbClient tells what a client asks for or its user does.
func rfbClient(in *reader, it *Item) {
	number := func(name string, n int) Node { return numberNode(name, int64(n)) }
	switch kind := in.uint8(); kind {
	case 0:
		in.take(3)
		it.Name = "SetPixelFormat"
		it.says(objectNode(number("bitsPerPixel", in.uint8()), number("depth", in.uint8()), boolNode("bigEndian", in.uint8() != 0), boolNode("trueColour", in.uint8() != 0)))
	case 2:
		in.take(3)
		all := listNode()
		for in.left() > 0 && len(all.kids) < maxKids {
			all.add(number("", int(int32(uint32(in.uint32())))))
		}
		it.Name = "SetEncodings"
		it.says(all)
	case 3, 150:
		it.Name = "FramebufferUpdateRequest"
		if kind == 150 {
			it.Name = "EnableContinuousUpdates"
		}
		on := boolNode(map[int]string{3: "incremental", 150: "on"}[kind], in.uint8() != 0)
		it.says(objectNode(on, number("x", in.uint16()), number("y", in.uint16()), number("width", in.uint16()), number("height", in.uint16())))
	case 4:
		down := in.uint8() != 0
		in.take(2)
		it.Name = "KeyEvent"
		it.says(objectNode(boolNode("down", down), textNode("key", fmt.Sprintf("%#x", in.uint32()))))
	case 5:
		it.Name = "PointerEvent"
		it.says(objectNode(number("buttons", in.uint8()), number("x", in.uint16()), number("y", in.uint16())))
	case 6:
		in.take(7)
		it.Name = "ClientCutText"
		it.says(sniff(in.all(), false))
	default:
		it.Name = map[int]string{248: "Fence", 251: "SetDesktopSize", 255: "QEMU key"}[kind]
		it.says(bytesNode("", in.all()))
	}
}
