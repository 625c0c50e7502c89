package explain

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// BuildLimit is the most bytes that Build makes.
const BuildLimit = 4 << 20

// BuildError says what Build does not understand, and where.
type BuildError struct {
	At   int // byte of the text, from 0
	Text string
}

func (e *BuildError) Error() string { return fmt.Sprintf("column %d: %s", e.At+1, e.Text) }

// Build makes frames of words, legal or not, and is what Words undoes:
//
//	text "Hello" mask=37fa213d
//	text "Hel" + "lo"; close 1000 "bye"
//	binary 0x00ff fin=0 rsv1 len=16bit
//
// A frame is its opcode's name or number, then in any order: texts in quotes and
// bytes as 0x…, which make the payload, each as often as *N says; fin=0, rsv1,
// rsv2, rsv3; mask=KEY (mask alone: the RFC's own example); len=16bit or 64bit;
// claims=N, a length that is not the payload's; of a Close its code, as a number.
// Behind + the next fragment of the same message follows, masked alike, behind ; the
// next frame. The error is a *BuildError.
func Build(text string) ([]byte, error) {
	b := &builder{text: text}
	if err := b.frames(); err != nil {
		return nil, err
	}
	return b.out, nil
}

// builder makes frames, one after another.
type builder struct {
	text string
	at   int // of the word that is read
	next int // behind it
	out  []byte
	spec spec
}

// spec is a frame as far as its words were read.
type spec struct {
	inspect.Fields
	begun   bool
	opcode  bool // it was named
	fin     bool // it was said
	claims  bool
	code    bool
	payload []byte
}

func newSpec() spec { return spec{Fields: inspect.Fields{Fin: true}} }

func (b *builder) fail(format string, args ...any) error {
	return &BuildError{b.at, fmt.Sprintf(format, args...)}
}

func (b *builder) frames() error {
	b.spec = newSpec()
	for {
		for b.next < len(b.text) && strings.IndexByte(" \t\r\n", b.text[b.next]) >= 0 {
			b.next++
		}
		b.at = b.next
		if b.at == len(b.text) {
			return b.finish()
		}
		var err error
		switch c := b.text[b.at]; c {
		case ';':
			b.next++
			err = b.finish()
			b.spec = newSpec()
		case '+':
			b.next++
			err = b.fragment()
		case '"', '\'':
			err = b.quoted()
		default:
			err = b.word()
		}
		if err != nil {
			return err
		}
	}
}

// fragment ends a fragment and begins the next one of the same message.
func (b *builder) fragment() error {
	if !b.spec.begun {
		return b.fail("there is no fragment in front of +")
	}
	if b.spec.Opcode.Control() {
		return b.fail("a control frame has no fragments; ; begins the next frame, and fin=0 breaks the rule")
	}
	if !b.spec.fin {
		b.spec.Fin = false
	}
	masked, key := b.spec.Masked, b.spec.Key
	if err := b.finish(); err != nil {
		return err
	}
	b.spec = newSpec()
	b.spec.begun, b.spec.opcode, b.spec.Masked, b.spec.Key = true, true, masked, key
	return nil
}

// finish puts the frame behind the others.
func (b *builder) finish() error {
	s := &b.spec
	if !s.begun {
		return nil
	}
	if !s.opcode {
		return b.fail("the frame has no opcode: text, binary, cont, close, ping, pong or op=N")
	}
	if n := uint64(len(s.payload)); !s.claims {
		s.Length = n
	} else if s.Length < n {
		return b.fail("the frame claims %s and has %s: what is left would be the next frame", count(s.Length), count(n))
	}
	if len(b.out)+len(s.payload) > BuildLimit {
		return b.fail("the frames have more than %s", count(BuildLimit))
	}
	b.out = inspect.NewHeader(s.Fields).Append(b.out)
	n := len(b.out)
	b.out = append(b.out, s.payload...)
	if s.Masked {
		inspect.Mask(s.Key, 0, b.out[n:])
	}
	return nil
}

// word takes a word that is no text.
func (b *builder) word() error {
	end := b.at
	for end < len(b.text) && strings.IndexByte(" \t\r\n;+\"'*", b.text[end]) < 0 {
		end++
	}
	if end == b.at {
		return b.fail("%q stands for nothing here", b.text[b.at:b.at+1])
	}
	b.next = end
	what, value, valued := strings.Cut(b.text[b.at:end], "=")
	first := !b.spec.begun
	b.spec.begun = true
	if op, ok := opcodes[what]; ok && !valued {
		return b.setOpcode(op)
	}
	if do, ok := words[what]; ok {
		return do(b, value, valued)
	}
	if valued {
		return b.fail("there is no field %q", what)
	}
	return b.bare(what, first)
}

// bare takes what is neither an opcode's name nor a field: bytes, a close code, a
// number of an opcode.
func (b *builder) bare(what string, first bool) error {
	digits, isHex := strings.CutPrefix(what, "0x")
	_, err := strconv.ParseUint(what, 10, 64)
	switch {
	case isHex && first && len(digits) == 1:
		return b.number(what)
	case isHex:
		return b.hex(digits)
	case err == nil && b.spec.Opcode == inspect.OpClose:
		return words["code"](b, what, true)
	case err == nil && first:
		return b.fail("a number alone is no opcode: op=%s", what)
	}
	return b.fail("%q is no opcode and no field; a text stands in quotes", what)
}

// opcodes are the names of opcodes, those that people use too.
var opcodes = map[string]inspect.Opcode{
	"cont": inspect.OpContinuation, "continuation": inspect.OpContinuation, "text": inspect.OpText, "binary": inspect.OpBinary, "bin": inspect.OpBinary,
	"close": inspect.OpClose, "ping": inspect.OpPing, "pong": inspect.OpPong,
}

// words are the fields that a frame is built of.
var words = map[string]func(b *builder, value string, valued bool) error{
	"op":     func(b *builder, value string, _ bool) error { return b.number(value) },
	"opcode": func(b *builder, value string, _ bool) error { return b.number(value) },
	"fin": func(b *builder, value string, valued bool) error {
		b.spec.fin = true
		return b.bit(&b.spec.Fin, value, valued)
	},
	"rsv1":     func(b *builder, value string, valued bool) error { return b.bit(&b.spec.Rsv1, value, valued) },
	"rsv2":     func(b *builder, value string, valued bool) error { return b.bit(&b.spec.Rsv2, value, valued) },
	"rsv3":     func(b *builder, value string, valued bool) error { return b.bit(&b.spec.Rsv3, value, valued) },
	"mask":     (*builder).mask,
	"unmasked": func(b *builder, _ string, _ bool) error { b.spec.Masked = false; return nil },
	"len": func(b *builder, value string, _ bool) error {
		form, ok := map[string]int{"7bit": 7, "16bit": 16, "64bit": 64, "7": 7, "16": 16, "64": 64}[value]
		if !ok {
			return b.fail("the length is written in 7bit, 16bit or 64bit")
		}
		b.spec.Form = form
		return nil
	},
	"claims": func(b *builder, value string, _ bool) (err error) {
		b.spec.claims = true
		if b.spec.Length, err = strconv.ParseUint(value, 10, 64); err != nil {
			return b.fail("%q is no number of bytes", value)
		}
		return nil
	},
	"reason":  (*builder).before,
	"payload": (*builder).before,
	"hex":     func(b *builder, value string, _ bool) error { return b.hex(value) },
	"code": func(b *builder, value string, _ bool) error {
		code, err := strconv.ParseUint(value, 10, 16)
		switch {
		case err != nil:
			return b.fail("a close code is a number from 0 to 65535")
		case b.spec.code || len(b.spec.payload) > 0:
			return b.fail("the code is the beginning of the payload, which is there already")
		}
		b.spec.code = true
		b.spec.payload = binary.BigEndian.AppendUint16(nil, uint16(code))
		return nil
	},
}

// before takes a name that may stand in front of a text.
func (b *builder) before(value string, valued bool) error {
	if !valued || value != "" || b.next == len(b.text) || b.text[b.next] != '"' && b.text[b.next] != '\'' {
		return b.fail("a text in quotes follows")
	}
	return nil
}

func (b *builder) setOpcode(op inspect.Opcode) error {
	if b.spec.opcode {
		return b.fail("a second opcode; ; begins the next frame")
	}
	b.spec.begun, b.spec.opcode, b.spec.Opcode = true, true, op
	return nil
}

func (b *builder) number(value string) error {
	n, err := strconv.ParseUint(value, 0, 4)
	if err != nil {
		return b.fail("%q is no opcode: 0 to 15", value)
	}
	return b.setOpcode(inspect.Opcode(n))
}

func (b *builder) bit(to *bool, value string, valued bool) error {
	switch {
	case !valued, value == "1":
		*to = true
	case value == "0":
		*to = false
	default:
		return b.fail("a bit is 0 or 1")
	}
	return nil
}

// mask takes the masking key; without one that of RFC 6455 section 5.7 serves.
func (b *builder) mask(value string, valued bool) error {
	b.spec.Masked = true
	if !valued {
		b.spec.Key = [4]byte{0x37, 0xfa, 0x21, 0x3d}
		return nil
	}
	key, err := hex.DecodeString(value)
	if err != nil || len(key) != 4 {
		return b.fail("a masking key has eight hexadecimal digits: mask=37fa213d")
	}
	b.spec.Key = [4]byte(key)
	return nil
}

func (b *builder) hex(digits string) error {
	p, err := hex.DecodeString(digits)
	if err != nil {
		return b.fail("the bytes are no hexadecimal: two digits each")
	}
	return b.append(p)
}

// append adds to the payload, as often as a *N behind it says.
func (b *builder) append(p []byte) error {
	b.spec.begun = true
	times := 1
	if b.next < len(b.text) && b.text[b.next] == '*' {
		end := b.next + 1
		for end < len(b.text) && b.text[end] >= '0' && b.text[end] <= '9' {
			end++
		}
		n, err := strconv.ParseUint(b.text[b.next+1:end], 10, 32)
		if err != nil {
			b.at = b.next
			return b.fail("behind * stands how often")
		}
		times, b.next = int(n), end
	}
	if len(p) > 0 && times > (BuildLimit-len(b.spec.payload))/len(p) {
		return b.fail("the payload has more than %s", count(BuildLimit))
	}
	for range times {
		b.spec.payload = append(b.spec.payload, p...)
	}
	return nil
}

// quoted takes a text in quotes, of either kind.
func (b *builder) quoted() error {
	quote := b.text[b.at]
	var p []byte
	for i := b.at + 1; i < len(b.text); {
		switch c := b.text[i]; c {
		case quote:
			b.next = i + 1
			return b.append(p)
		case '\\':
			n, err := escaped(&p, b.text[i:])
			if err != "" {
				b.at = i
				return b.fail("%s", err)
			}
			i += n
		default:
			p = append(p, c)
			i++
		}
	}
	return b.fail("the text has no closing %c", quote)
}

// escaped takes an escape as Go and JavaScript know them.
func escaped(p *[]byte, s string) (n int, wrong string) {
	if len(s) < 2 {
		return 0, "a backslash at the end"
	}
	if i := strings.IndexByte(`nrt0"'\/`, s[1]); i >= 0 {
		*p = append(*p, "\n\r\t\x00\"'\\/"[i])
		return 2, ""
	}
	switch s[1] {
	case 'x':
		if len(s) >= 4 {
			if v, err := strconv.ParseUint(s[2:4], 16, 8); err == nil {
				*p = append(*p, byte(v))
				return 4, ""
			}
		}
		return 0, `\x has two hexadecimal digits behind it`
	case 'u':
		digits, n := "", 6
		if digits = s[2:]; strings.HasPrefix(digits, "{") {
			end := strings.IndexByte(digits, '}')
			digits, n = digits[1:max(end, 1)], end+3
		} else {
			digits = digits[:min(4, len(digits))]
			if len(digits) < 4 {
				digits = ""
			}
		}
		v, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || v > utf8.MaxRune || v >= 0xd800 && v < 0xe000 {
			return 0, `\u has four hexadecimal digits behind it, or some in { }, which are no half of a pair`
		}
		*p = utf8.AppendRune(*p, rune(v))
		return n, ""
	}
	return 0, `there is no such escape: \n \r \t \0 \" \\ \xNN \uNNNN \u{N}`
}
