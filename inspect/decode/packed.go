package decode

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/xml"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// unpackLimit bounds what a packed document may become, and packedMost how many of
// them are unpacked inside one another.
const (
	unpackLimit = 16 << 20
	packedMost  = 4
)

// unpack is what gzip, zlib or zstd packed; how is empty for anything else. What is
// larger than the limit is cut, which note says.
func unpack(b []byte) (data []byte, how, note string) {
	var r io.Reader
	var err error
	switch {
	case len(b) > 10 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8:
		how = "gzip"
		r, err = gzip.NewReader(bytes.NewReader(b))
	case len(b) > 5 && b[0]&15 == 8 && b[0]>>4 <= 7 && (int(b[0])<<8|int(b[1]))%31 == 0 && b[1]&0x20 == 0:
		how = "zlib"
		r, err = zlib.NewReader(bytes.NewReader(b))
	case len(b) > 4 && b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd:
		how = "zstd"
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(unpackLimit), zstd.WithDecoderMaxWindow(8<<20)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		return nil, "", ""
	}
	if err != nil {
		return nil, "", ""
	}
	data, err = io.ReadAll(io.LimitReader(r, unpackLimit+1))
	switch {
	case len(data) > unpackLimit:
		return data[:unpackLimit], how, "cut at 16 MiB"
	case err != nil && len(data) == 0:
		return nil, "", ""
	case errors.Is(err, io.ErrUnexpectedEOF):
		return data, how, "it ends early"
	case err != nil:
		return data, how, "it is damaged"
	}
	return data, how, ""
}

// packs says that bytes begin as something packed does.
func packs(b []byte) bool {
	return len(b) > 10 && (b[0] == 0x1f && b[1] == 0x8b || b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd ||
		b[0]&15 == 8 && b[0]>>4 <= 7 && (int(b[0])<<8|int(b[1]))%31 == 0)
}

// sniff makes the best of bytes of which nothing is known.
func sniff(b []byte, isTextFrame bool) Node { return sniffed(b, isTextFrame, 0) }

func sniffed(b []byte, isTextFrame bool, packed int) Node {
	switch {
	case len(b) == 0:
		return textNode("", "")
	case isJSON(b):
		return jsonNode(b[skipBlank(b, 0):])
	case isTextFrame || isText(b):
		n := Node{Type: Text, Text: string(b), raw: b}
		if isXML(b) {
			n.Note = "xml"
		}
		return n
	case packs(b) && packed < packedMost:
		if n, ok := unpacked(b, packed); ok {
			return n
		}
	case isMsgpack(b):
		n := msgpackNode(b)
		n.Note = "msgpack"
		return n
	case isCBOR(b):
		n := cborNode(b)
		if n.Note == "" {
			n.Note = "cbor"
		}
		return n
	case len(b) > 3 && isProtobuf(b, 0):
		n := protobufNode(b, nil)
		n.Note = "protobuf"
		return n
	}
	return bytesNode("", b)
}

// unpacked is a packed document as a Binary with what is in it as its only child.
func unpacked(b []byte, packed int) (Node, bool) {
	data, how, note := unpack(b)
	if how == "" {
		return Node{}, false
	}
	n := bytesNode("", b)
	n.Note = how
	if note != "" {
		n.Note += ", " + note
	}
	k := sniffed(data, false, packed+1)
	n.open = func(*Node) []Node { return []Node{k} }
	return n, true
}

// unpackInside looks into bytes inside a document.
func unpackInside(n *Node) {
	if !packs(n.data) {
		return
	}
	data := n.data
	n.open = func(n *Node) []Node {
		if k, ok := unpacked(data, 1); ok {
			return k.Children()
		}
		return nil
	}
}

// isXML says that a text is one XML element, well-formed as far as the first tags.
func isXML(b []byte) bool {
	b = bytes.TrimSpace(b)
	if len(b) < 4 || b[0] != '<' || b[len(b)-1] != '>' {
		return false
	}
	d := xml.NewDecoder(bytes.NewReader(b[:min(len(b), 4096)]))
	for {
		t, err := d.RawToken()
		if err != nil {
			return false
		}
		if _, ok := t.(xml.StartElement); ok {
			return true
		}
	}
}
