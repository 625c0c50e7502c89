package decode

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// cborDepth is how deep lists and maps may nest before CBOR is called broken.
const cborDepth = 256

// cborProtocol is CBOR (RFC 8949) of no known protocol.
func cborProtocol() Protocol {
	return Protocol{
		Name: "cbor", Title: "CBOR", Knows: "a binary message that is one map, list or tagged value from its first byte to its last",
		Pairs: "nothing", Spec: "RFC 8949",
		bid: func(h *Hints) int { return formOnly(h, isCBOR) - 1 },
		new: func(*Hints) Decoder { return form{"cbor", cborWhole} },
	}
}

func cborWhole(b []byte, i int) (n Node, end int, why string) {
	if end, why = cborEnd(b, i); why != "" {
		return n, end, why
	}
	return cborNode(b[i:end]), end, ""
}

// isCBOR says that all of b is one list, map or tagged value.
func isCBOR(b []byte) bool {
	if len(b) < 2 || b[0] < 0x80 || b[0] >= 0xe0 {
		return false
	}
	end, why := cborEnd(b, 0)
	return why == "" && end == len(b)
}

// The major types of CBOR (RFC 8949 section 3.1).
const (
	cborUnsigned = iota
	cborNegative
	cborBytes
	cborText
	cborList
	cborMap
	cborTag
	cborSimple
)

// cborHead reads a head: its major type, its argument and its size. indefinite is
// true for one whose end a break says.
func cborHead(b []byte, i int) (major int, arg uint64, size int, indefinite bool, why string) {
	if i >= len(b) {
		return 0, 0, 0, false, "it ends before all its values have come"
	}
	major = int(b[i] >> 5)
	switch low := b[i] & 31; {
	case low < 24:
		return major, uint64(low), 1, false, ""
	case low < 28:
		size = 1 << (low - 24)
		if len(b)-i < 1+size {
			return 0, 0, 0, false, "it ends inside a value's head"
		}
		return major, bigEndian(b[i+1 : i+1+size]), 1 + size, false, ""
	case low == 31 && major >= cborBytes && major <= cborMap, low == 31 && major == cborSimple:
		return major, 0, 1, true, ""
	}
	return 0, 0, 0, false, fmt.Sprintf("the byte %02x begins no value", b[i])
}

// cborEnd is the end of the value at b[i].
func cborEnd(b []byte, i int) (end int, why string) {
	const open = math.MaxUint64 // until a break
	var left [cborDepth]uint64
	left[0] = 1
	for depth := 0; depth >= 0; {
		if left[depth] == 0 {
			depth--
			continue
		}
		major, arg, size, indefinite, why := cborHead(b, i)
		if why != "" {
			return i, why
		}
		if major == cborSimple && indefinite { // a break
			if left[depth] != open {
				return i, "a break where nothing is to end"
			}
			i++
			depth--
			continue
		}
		if left[depth] != open {
			left[depth]--
		}
		rest := uint64(len(b) - i - size)
		i += size
		var inner uint64
		switch {
		case indefinite:
			inner = open
		case major == cborBytes || major == cborText:
			if arg > rest {
				return i - size, fmt.Sprintf("a value of %d bytes, and %d are left", arg, rest)
			}
			i += int(arg)
			continue
		case major == cborList:
			inner = min(arg, math.MaxUint64/4)
		case major == cborMap:
			inner = 2 * min(arg, math.MaxUint64/4)
		case major == cborTag:
			inner = 1
		default:
			continue
		}
		if inner != open && inner > rest {
			return i - size, fmt.Sprintf("%d values are promised, and %d bytes are left", inner, rest)
		}
		if depth++; depth == cborDepth {
			return i - size, "it is nested too deep"
		}
		left[depth] = inner
	}
	return i, ""
}

// cborNode is the tree of one value that is whole.
func cborNode(b []byte) Node {
	n := Node{raw: b}
	major, arg, size, indefinite, why := cborHead(b, 0)
	if why != "" {
		return restNode(b, why)
	}
	switch major {
	case cborUnsigned:
		n.Type, n.Text = Number, strconv.FormatUint(arg, 10)
	case cborNegative:
		v := new(big.Int).SetUint64(arg)
		n.Type, n.Text = Number, v.Not(v).String()
	case cborBytes, cborText:
		data := b[size:]
		if indefinite {
			data = cborPieces(b[size:])
		}
		if major == cborText {
			n.Type, n.Text = Text, string(data)
			inside(&n)
			break
		}
		n.Type, n.data = Binary, data
		unpackInside(&n)
	case cborList:
		n.Type, n.open = List, openCBOR
	case cborMap:
		n.Type, n.open = Object, openCBOR
	case cborTag:
		n = cborTagged(b, arg, size)
	default:
		cborSimpleValue(&n, b, arg)
	}
	return n
}

// cborPieces joins the pieces of a string of indefinite length.
func cborPieces(b []byte) []byte {
	var all []byte
	for i := 0; i < len(b) && b[i] != 0xff; {
		_, arg, size, indefinite, why := cborHead(b, i)
		if why != "" || indefinite || arg > uint64(len(b)-i-size) {
			break
		}
		i += size
		all = append(all, b[i:i+int(arg)]...)
		i += int(arg)
	}
	return all
}

// cborTagged is the value behind a tag, with the tag as its note.
func cborTagged(b []byte, tag uint64, size int) Node {
	n := cborNode(b[size:])
	note := fmt.Sprint("tag ", tag)
	if n.Type == Binary && (tag == 2 || tag == 3) && len(n.data) <= 1024 { // a big number
		v := new(big.Int).SetBytes(n.data)
		if tag == 3 {
			v.Not(v)
		}
		n = Node{Type: Number, Text: v.String()}
	}
	if n.Note != "" {
		note += ", " + n.Note
	}
	if len(note) > 64 {
		note = note[:64] + "…"
	}
	n.Note, n.raw = note, b
	if n.open != nil && (n.Type == List || n.Type == Object) {
		n.open = func(n *Node) []Node {
			k := cborNode(n.raw[size:])
			return k.Children()
		}
	}
	return n
}

func cborSimpleValue(n *Node, b []byte, arg uint64) {
	switch {
	case b[0] == 0xf9:
		n.Type, n.Text = Number, floatText(halfFloat(uint16(arg)), 32)
	case b[0] == 0xfa:
		n.Type, n.Text = Number, floatText(float64(math.Float32frombits(uint32(arg))), 32)
	case b[0] == 0xfb:
		n.Type, n.Text = Number, floatText(math.Float64frombits(arg), 64)
	case arg == 20, arg == 21:
		n.Type, n.Text = Bool, strconv.FormatBool(arg == 21)
	case arg == 22:
		n.Type = Null
	case arg == 23:
		n.Type, n.Note = Null, "undefined"
	default:
		n.Type, n.Text, n.Note = Number, strconv.FormatUint(arg, 10), "simple"
	}
}

// halfFloat is a float of 16 bits (RFC 8949 appendix D).
func halfFloat(h uint16) float64 {
	exp, mant := int(h>>10&31), float64(h&1023)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(mant, -24)
	case 31:
		v = math.Inf(1)
		if mant != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(mant+1024, exp-25)
	}
	if h>>15 == 1 {
		return -v
	}
	return v
}

func openCBOR(n *Node) []Node {
	major, arg, size, indefinite, why := cborHead(n.raw, 0)
	if why != "" {
		return []Node{restNode(n.raw, why)}
	}
	h := packedHead{kind: List, size: size, count: arg}
	if indefinite {
		h.count = 0
		for i := size; i < len(n.raw) && n.raw[i] != 0xff; h.count++ {
			if i, why = cborEnd(n.raw, i); why != "" {
				break
			}
		}
	} else if major == cborMap {
		h.count = 2 * min(arg, math.MaxUint64/4)
	}
	if major == cborMap {
		h.kind = Object
	}
	return openPacked(n.raw, h, cborEnd, cborNode)
}
