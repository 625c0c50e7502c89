package decode

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protobufProtocol is Protocol Buffers; without a schema fields have their numbers.
func protobufProtocol() Protocol {
	return Protocol{
		Name: "protobuf", Title: "Protocol Buffers, without a schema or with --proto", Knows: "a binary message that is fields from its first byte to its last",
		Pairs: "nothing", Spec: "protobuf.dev/programming-guides/encoding",
		bid: func(h *Hints) int {
			return formOnly(h, func(b []byte) bool { return len(b) > 3 && isProtobuf(b, 0) }) - 2
		},
		new: func(*Hints) Decoder { return form{"protobuf", protobufWhole} },
	}
}

// WithSchema is the table with messages of a schema, by which messages that are
// protobuf are read. Of several the one is chosen that fits a message best.
func (t *Table) WithSchema(messages ...protoreflect.MessageDescriptor) *Table {
	c := &Table{all: t.Protocols()}
	for i := range c.all {
		if c.all[i].Name == "protobuf" {
			c.all[i].new = func(*Hints) Decoder { return form{"protobuf", protobufAs(messages)} }
			c.all[i].bid = func(h *Hints) int { return formOnly(h, func(b []byte) bool { return isProtobuf(b, 0) }) * 2 }
		}
	}
	return c
}

func protobufWhole(b []byte, i int) (n Node, end int, why string) { return protobufAs(nil)(b, i) }

// protobufAs reads a message, or one behind its length as gRPC and delimited streams
// have it, by the descriptor that fits best.
func protobufAs(all []protoreflect.MessageDescriptor) func(b []byte, i int) (Node, int, string) {
	return func(b []byte, i int) (n Node, end int, why string) {
		body, note := b[i:], ""
		end = len(b)
		at, why := 0, "what follows a message behind its length is none"
		if i == 0 { // later on they are framed: looking at all that is left each time would take very long
			at, why = protobufCheck(body)
		}
		if why != "" {
			inner, form := unframed(body)
			if form == "" {
				return n, i + at, why
			}
			body, note = inner, form
			end = cap(b) - cap(inner) + len(inner) // behind it the next one begins
		}
		best := fitting(body, all)
		n = protobufNode(body, best)
		if best != nil {
			note = strings.TrimSpace(note + " " + string(best.Name()))
		}
		n.Note = note
		return n, end, ""
	}
}

// unframed is the first message of a stream in which each has its length in front: in
// five bytes as in gRPC, or in a varint.
func unframed(b []byte) (body []byte, form string) {
	if len(b) >= 5 && b[0] <= 1 {
		if n := bigEndian(b[1:5]); n <= uint64(len(b)-5) {
			body = b[5 : 5+n]
			if _, why := protobufCheck(body); why == "" {
				return body, "gRPC"
			}
		}
	}
	if n, size := protowire.ConsumeVarint(b); size > 0 && n > 0 && n <= uint64(len(b)-size) {
		body = b[size : size+int(n)]
		if _, why := protobufCheck(body); why == "" {
			return body, "delimited"
		}
	}
	return nil, ""
}

// fitting is the descriptor that knows most of a message's fields, by number and wire
// type; nil if none knows any.
func fitting(b []byte, all []protoreflect.MessageDescriptor) (best protoreflect.MessageDescriptor) {
	most := 0
	for _, desc := range all {
		score := 0
		for rest := b; len(rest) > 0; {
			num, typ, n := protowire.ConsumeTag(rest)
			m := protowire.ConsumeFieldValue(num, typ, rest[max(n, 0):])
			if n < 0 || m < 0 {
				break
			}
			if f := desc.Fields().ByNumber(num); f != nil && fits(f, typ) {
				score++
			} else {
				score--
			}
			rest = rest[n+m:]
		}
		if score > most || len(all) == 1 {
			best, most = desc, score
		}
	}
	return best
}

// fits says that a field may be written so. A list of numbers may be packed.
func fits(f protoreflect.FieldDescriptor, typ protowire.Type) bool {
	want := protowire.VarintType
	switch f.Kind() {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		want = protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		want = protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		want = protowire.BytesType
	}
	return typ == want || typ == protowire.BytesType && f.IsList()
}

// maxField is the highest field number that a guess believes.
const maxField = 20_000

// isProtobuf says that b is fields throughout. One level is looked at.
func isProtobuf(b []byte, level uint8) bool {
	if len(b) == 0 || level > deepest {
		return false
	}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num > maxField || typ == protowire.StartGroupType || typ == protowire.EndGroupType {
			return false
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return false
		}
		b = b[n+m:]
	}
	return true
}

// protobufCheck says where fields break off.
func protobufCheck(b []byte) (at int, why string) {
	for i := 0; i < len(b); {
		num, typ, n := protowire.ConsumeTag(b[i:])
		if n < 0 {
			return i, "a field's tag is not well-formed"
		}
		m := protowire.ConsumeFieldValue(num, typ, b[i+n:])
		if m < 0 {
			return i, fmt.Sprintf("the value of field %d is not well-formed", num)
		}
		i += n + m
	}
	return 0, ""
}

// protobufNode is the tree of a message; desc may be nil.
func protobufNode(b []byte, desc protoreflect.MessageDescriptor) Node {
	n := Node{Type: Object, raw: b}
	n.open = func(n *Node) []Node { return openProtobuf(n, desc) }
	return n
}

func openProtobuf(n *Node, desc protoreflect.MessageDescriptor) []Node {
	var kids []Node
	for b := n.raw; len(b) > 0; {
		var enough bool
		if kids, enough = full(kids); enough {
			return kids
		}
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return append(kids, restNode(b, "a field's tag is not well-formed"))
		}
		m := protowire.ConsumeFieldValue(num, typ, b[size:])
		if m < 0 {
			return append(kids, restNode(b, "a field's value is not well-formed"))
		}
		value := b[size : size+m]
		var field protoreflect.FieldDescriptor
		if desc != nil {
			field = desc.Fields().ByNumber(num)
		}
		var k Node
		if field != nil {
			k = protobufField(value, typ, field)
			k.Name = string(field.Name())
		} else {
			k = protobufGuess(value, typ, n.level)
			k.Name = strconv.Itoa(int(num))
		}
		if k.raw == nil {
			k.raw = value
		}
		kids = append(kids, k)
		b = b[size+m:]
	}
	return kids
}

// protobufGuess makes the best of a value whose type nobody told.
func protobufGuess(b []byte, typ protowire.Type, level uint8) Node {
	switch typ {
	case protowire.VarintType:
		v, _ := protowire.ConsumeVarint(b)
		return unsignedNode("", v)
	case protowire.Fixed32Type:
		v, _ := protowire.ConsumeFixed32(b)
		n := unsignedNode("", uint64(v))
		n.Note = "fixed32, as float " + floatText(float64(math.Float32frombits(v)), 32)
		return n
	case protowire.Fixed64Type:
		v, _ := protowire.ConsumeFixed64(b)
		n := unsignedNode("", v)
		n.Note = "fixed64, as double " + floatText(math.Float64frombits(v), 64)
		return n
	case protowire.BytesType:
		v, _ := protowire.ConsumeBytes(b)
		switch {
		case len(v) > 0 && isText(v):
			n := textNode("", string(v))
			inside(&n)
			return n
		case isProtobuf(v, level):
			return protobufNode(v, nil)
		}
		return bytesNode("", v)
	}
	return restNode(b, "a group")
}

// protobufField is the value of a field that the schema knows.
func protobufField(b []byte, typ protowire.Type, f protoreflect.FieldDescriptor) Node {
	if typ == protowire.BytesType {
		v, _ := protowire.ConsumeBytes(b)
		switch f.Kind() {
		case protoreflect.StringKind:
			n := textNode("", string(v))
			inside(&n)
			return n
		case protoreflect.BytesKind:
			n := bytesNode("", v)
			unpackInside(&n)
			return n
		case protoreflect.MessageKind:
			return protobufNode(v, f.Message())
		}
		return packedField(v, f)
	}
	var v uint64
	switch typ {
	case protowire.VarintType:
		v, _ = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		w, _ := protowire.ConsumeFixed32(b)
		v = uint64(w)
	case protowire.Fixed64Type:
		v, _ = protowire.ConsumeFixed64(b)
	default:
		return restNode(b, "a group")
	}
	return protobufNumber(v, f)
}

// packedField is a list of numbers in one field.
func packedField(b []byte, f protoreflect.FieldDescriptor) Node {
	all := listNode()
	for enough := false; len(b) > 0; {
		if all.kids, enough = full(all.kids); enough {
			return all
		}
		var v uint64
		n := -1
		switch f.Kind() {
		case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
			var w uint32
			w, n = protowire.ConsumeFixed32(b)
			v = uint64(w)
		case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
			v, n = protowire.ConsumeFixed64(b)
		default:
			v, n = protowire.ConsumeVarint(b)
		}
		if n < 0 {
			all.kids = append(all.kids, restNode(b, "a packed field is not well-formed"))
			break
		}
		all.kids = append(all.kids, protobufNumber(v, f))
		b = b[n:]
	}
	return all
}

func protobufNumber(v uint64, f protoreflect.FieldDescriptor) Node {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return boolNode("", v != 0)
	case protoreflect.EnumKind:
		n := numberNode("", int64(int32(v)))
		if e := f.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(v))); e != nil {
			n.Note = string(e.Name())
		}
		return n
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return numberNode("", int64(int32(v)))
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return numberNode("", int64(v))
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return numberNode("", protowire.DecodeZigZag(v))
	case protoreflect.FloatKind:
		return Node{Type: Number, Text: floatText(float64(math.Float32frombits(uint32(v))), 32)}
	case protoreflect.DoubleKind:
		return Node{Type: Number, Text: floatText(math.Float64frombits(v), 64)}
	}
	return unsignedNode("", v)
}
