package decode

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// MessagePack is walked here rather than by a library: damaged input must cost no
// more than its length, and the places of values must be known.

// msgpackProtocol is MessagePack of no known protocol.
func msgpackProtocol() Protocol {
	return Protocol{
		Name: "msgpack", Title: "MessagePack", Knows: "a binary message that is one map or list from its first byte to its last",
		Pairs: "nothing", Spec: "github.com/msgpack/msgpack spec.md",
		bid: func(h *Hints) int { return formOnly(h, isMsgpack) },
		new: func(*Hints) Decoder { return form{"msgpack", msgpackWhole} },
	}
}

// formOnly bids for a form that binary messages have.
func formOnly(h *Hints, is func([]byte) bool) int {
	if h.Now.Text || !h.Now.Whole || !is(h.Now.Data) {
		return 0
	}
	return formBid / 2
}

// form decodes messages that are values of one form, one after another.
type form struct {
	name string
	read func(b []byte, i int) (n Node, end int, why string)
}

func (f form) Clone() Decoder  { return f }
func (f form) Gap(inspect.Dir) {}
func (f form) Message(m *inspect.Message, out *Out) *Broken {
	for i := 0; i < len(m.Data); {
		n, end, why := f.read(m.Data, i)
		if why != "" {
			return broken(end, "%s", why)
		}
		out.item(Event, f.name, i, end-i).says(n)
		if i = end; out.more > 0 { // hardly anything that is meant
			break
		}
	}
	if len(m.Data) == 0 {
		out.whole(Event, "(empty)")
	}
	return nil
}

func msgpackWhole(b []byte, i int) (n Node, end int, why string) {
	if end, why = msgpackEnd(b, i); why != "" {
		return n, end, why
	}
	return msgpackNode(b[i:end]), end, ""
}

// isMsgpack says that all of b is one map or list.
func isMsgpack(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if c := b[0]; !(c >= 0x80 && c <= 0x9f || c >= 0xdc && c <= 0xdf) {
		return false
	}
	end, why := msgpackEnd(b, 0)
	return why == "" && end == len(b)
}

// packedHead is what the first bytes of a value say of it.
type packedHead struct {
	kind  Type   // Nothing for an extension
	size  int    // of the head
	body  uint64 // bytes behind it
	count uint64 // values behind it: of a map two each
	num   uint64 // of a number, as it stands
	how   byte   // the first byte
}

// bigEndian is a number of up to eight bytes.
func bigEndian(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// msgpackHead reads the head of the value at b[i].
func msgpackHead(b []byte, i int) (h packedHead, why string) {
	c := b[i]
	h = packedHead{size: 1, how: c}
	switch {
	case c <= 0x7f, c >= 0xe0:
		h.kind, h.num = Number, uint64(int64(int8(c)))
		return h, ""
	case c <= 0x8f:
		h.kind, h.count = Object, 2*uint64(c&15)
		return h, ""
	case c <= 0x9f:
		h.kind, h.count = List, uint64(c&15)
		return h, ""
	case c <= 0xbf:
		h.kind, h.body = Text, uint64(c&31)
		return h, ""
	}
	wide := [...]int{0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4}[c-0xc0]
	if len(b)-i < 1+wide {
		return h, "it ends inside a value's head"
	}
	h.size += wide
	n := bigEndian(b[i+1 : i+1+wide])
	switch c {
	case 0xc0:
		h.kind = Null
	case 0xc1:
		return h, "the byte c1 begins no value"
	case 0xc2, 0xc3:
		h.kind = Bool
	case 0xc4, 0xc5, 0xc6:
		h.kind, h.body = Binary, n
	case 0xc7, 0xc8, 0xc9: // an extension: its type is one more byte
		h.body = n + 1
	case 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3:
		h.kind, h.num = Number, n
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		h.body = 1 + 1<<(c-0xd4)
	case 0xd9, 0xda, 0xdb:
		h.kind, h.body = Text, n
	case 0xdc, 0xdd:
		h.kind, h.count = List, n
	case 0xde, 0xdf:
		h.kind, h.count = Object, 2*n
	}
	return h, ""
}

// msgpackEnd is the end of the value at b[i]; why says where there is none. It walks
// without a stack, so nothing can nest too deep for it.
func msgpackEnd(b []byte, i int) (end int, why string) {
	for need := uint64(1); need > 0; need-- {
		if i >= len(b) {
			return len(b), "it ends before all its values have come"
		}
		h, why := msgpackHead(b, i)
		if why != "" {
			return i, why
		}
		left := uint64(len(b) - i - h.size)
		if h.body > left {
			return i, fmt.Sprintf("a value of %d bytes, and %d are left", h.body, left)
		}
		if h.count > left {
			return i, fmt.Sprintf("%d values are promised, and %d bytes are left", h.count, left)
		}
		need += h.count
		i += h.size + int(h.body)
	}
	return i, ""
}

// msgpackNode is the tree of one value that is whole.
func msgpackNode(b []byte) Node {
	n := Node{raw: b}
	h, why := msgpackHead(b, 0)
	if why != "" {
		return restNode(b, why)
	}
	body := b[h.size:]
	switch n.Type = h.kind; h.kind {
	case Nothing:
		msgpackExtension(&n, body)
	case Bool:
		n.Text = strconv.FormatBool(h.how == 0xc3)
	case Number:
		n.Text = msgpackNumber(h)
	case Text:
		n.Text = string(body)
		inside(&n)
	case Binary:
		n.data = body
		unpackInside(&n)
	case List, Object:
		n.open = openMsgpack
	}
	return n
}

func msgpackNumber(h packedHead) string {
	switch h.how {
	case 0xca:
		return floatText(float64(math.Float32frombits(uint32(h.num))), 32)
	case 0xcb:
		return floatText(math.Float64frombits(h.num), 64)
	case 0xcc, 0xcd, 0xce, 0xcf:
		return strconv.FormatUint(h.num, 10)
	case 0xd0:
		return strconv.Itoa(int(int8(h.num)))
	case 0xd1:
		return strconv.Itoa(int(int16(h.num)))
	case 0xd2:
		return strconv.Itoa(int(int32(h.num)))
	}
	return strconv.FormatInt(int64(h.num), 10)
}

// floatText is a float that reads as one.
func floatText(f float64, bits int) string {
	s := strconv.FormatFloat(f, 'g', -1, bits)
	for _, c := range s {
		if c != '-' && (c < '0' || c > '9') {
			return s
		}
	}
	return s + ".0"
}

func msgpackExtension(n *Node, body []byte) {
	kind, data := int8(body[0]), body[1:]
	n.Type, n.data, n.Note = Binary, data, fmt.Sprint("extension ", kind)
	if kind != -1 {
		return
	}
	var sec int64
	var nano uint64
	switch len(data) {
	case 4:
		sec = int64(binary.BigEndian.Uint32(data))
	case 8:
		v := binary.BigEndian.Uint64(data)
		sec, nano = int64(v&(1<<34-1)), v>>34
	case 12:
		nano, sec = uint64(binary.BigEndian.Uint32(data)), int64(binary.BigEndian.Uint64(data[4:]))
	default:
		return
	}
	if nano < 1e9 && sec > -1<<40 && sec < 1<<40 {
		n.Type, n.Note, n.data = Text, "timestamp", nil
		n.Text = time.Unix(sec, int64(nano)).UTC().Format(time.RFC3339Nano)
	}
}

func openMsgpack(n *Node) []Node {
	h, why := msgpackHead(n.raw, 0)
	if why != "" {
		return []Node{restNode(n.raw, why)}
	}
	return openPacked(n.raw, h, msgpackEnd, msgpackNode)
}

// openPacked are the values behind a head, those of a map with their names.
func openPacked(b []byte, h packedHead, end func([]byte, int) (int, string), node func([]byte) Node) []Node {
	kids := make([]Node, 0, min(h.count, 64))
	name, named := "", false
	for i, left := h.size, h.count; left > 0; left-- {
		var enough bool
		if kids, enough = full(kids); enough {
			return kids
		}
		e, why := end(b, i)
		if why != "" {
			return append(kids, restNode(b[i:], why))
		}
		k := node(b[i:e])
		i = e
		if h.kind == Object && !named {
			name, named = keyText(&k), true
			continue
		}
		k.Name, named = name, false
		kids = append(kids, k)
		name = ""
	}
	return kids
}

// keyText is a map's key as a name.
func keyText(k *Node) string {
	switch k.Type {
	case Text, Number, Bool:
		return k.Text
	}
	return string(k.appendText(nil, 64))
}
