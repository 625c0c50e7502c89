package decode

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
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

// packing is how bytes were packed, by how they begin; empty for anything else. A
// zlib stream has a checksum in its two first bytes (RFC 1950 section 2.2).
func packing(b []byte) string {
	switch {
	case len(b) <= 10:
		return ""
	case b[0] == 0x1f && b[1] == 0x8b && b[2] == 8:
		return "gzip"
	case b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd:
		return "zstd"
	case b[0]&15 == 8 && b[0]>>4 <= 7 && (int(b[0])<<8|int(b[1]))%31 == 0 && b[1]&0x20 == 0:
		return "zlib"
	}
	return ""
}

// unpack is what packed bytes hold; ok is false where they are none. What is larger
// than the limit is cut, which note says.
func unpack(b []byte, how string) (data []byte, note string, ok bool) {
	var r io.Reader
	var err error
	switch how {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(b))
	case "zlib":
		r, err = zlib.NewReader(bytes.NewReader(b))
	case "zstd":
		var z *zstd.Decoder
		z, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(unpackLimit), zstd.WithDecoderMaxWindow(8<<20))
		if err == nil {
			defer z.Close()
		}
		r = z
	}
	if err != nil || r == nil {
		return nil, "", false
	}
	data, err = io.ReadAll(io.LimitReader(r, unpackLimit+1))
	switch {
	case len(data) > unpackLimit:
		return data[:unpackLimit], "cut at 16 MiB", true
	case err != nil && len(data) == 0:
		return nil, "", false
	case errors.Is(err, io.ErrUnexpectedEOF):
		return data, "it ends early", true
	case err != nil:
		return data, "it is damaged", true
	}
	return data, "", true
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
		if isXML(b) {
			return xmlNode(b)
		}
		return Node{Type: Text, Text: string(b), raw: b}
	case packing(b) != "" && packed < packedMost:
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
	how := packing(b)
	data, note, ok := unpack(b, how)
	if !ok {
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
	if packing(n.data) == "" {
		return
	}
	n.open = func(n *Node) []Node {
		if k, ok := unpacked(n.data, 1); ok {
			return k.Children()
		}
		return nil
	}
}
