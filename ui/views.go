package ui

import (
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// mode is a way to show a payload.
type mode uint8

const (
	byContent mode = iota // whichever of the others fits
	asJSON
	asText
	asHex
	asTable
	asDecoded
	modes
)

func (m mode) String() string {
	return [modes]string{"by content", "JSON", "text", "hex", "table", "decoded"}[m]
}

// payload shows what a message carries, as was asked for, or as fits it.
func (m *maker) payload(msg *record.Message) {
	b := m.unpacked(msg)
	isJSON := looksJSON(b, msg.Cut || len(b) < len(msg.Data))
	m.views = []mode{byContent, asText, asHex}
	if isJSON {
		m.views = []mode{byContent, asJSON, asText, asHex, asTable}
	}
	items := m.meant()
	if items != nil {
		m.views = append(m.views, asDecoded)
	}
	how := m.want.mode
	switch {
	case how == asDecoded && items == nil, how == byContent, how == asTable && !isJSON:
		if how = fittingMode(msg.Opcode, b, isJSON); items != nil && how != asJSON {
			how = asDecoded
		}
	}
	switch how {
	case asJSON:
		m.json(b, m.want.folds)
	case asText:
		m.text(b)
	case asTable:
		m.table(msg)
	case asDecoded:
		m.decoded(items)
	default:
		m.dump(b)
	}
}

// fittingMode is how a payload is shown if nobody chose: text frames as text whatever
// is in them, others only if they are all text.
func fittingMode(op inspect.Opcode, b []byte, isJSON bool) mode {
	switch {
	case isJSON && (op == inspect.OpText || utf8.Valid(b)):
		return asJSON
	case op == inspect.OpText:
		return asText
	case op.Control() && printable(b), op == inspect.OpBinary && lines(b):
		return asText
	}
	return asHex
}

// lines says that bytes are text in lines, without a control character.
func lines(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// encodings are the kinds that can be undone here, as Content-Encoding calls them.
var encodings = map[string]string{"gzip data": "gzip", "zlib data": "deflate", "Zstandard data": "zstd"}

// unpacked says what kind of data a binary message holds, if that can be told, and
// answers what to show of it: what is packed in it, if it is packed and nobody asked
// for the bytes.
func (m *maker) unpacked(msg *record.Message) []byte {
	if msg.Opcode != inspect.OpBinary {
		return msg.Data
	}
	kind := inspect.Kind(msg.Data)
	if kind == "" {
		return msg.Data
	}
	m.add(span{kind, strong})
	if m.want.mode == asHex {
		return msg.Data
	}
	b, whole, ok := decoded(msg.Data, encodings[kind])
	if !ok {
		return msg.Data
	}
	what := "unpacked to " + bytesOf(int64(len(b)))
	if !whole {
		what += ", as far as it goes"
	}
	m.say(dim, "%s (hex shows the bytes)", what)
	return b
}
