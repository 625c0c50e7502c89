package cassette

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// bytesPiece is a part of a binary message with variables: bytes, or a variable for so
// many of them.
type bytesPiece struct {
	data []byte
	name string // empty: data
	n    int
}

// bytesVariable is how a variable stands among bytes: ${name:length}.
var bytesVariable = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_.-]*):([1-9][0-9]{0,3})\}`)

// bytesPieces takes hexadecimal with variables apart; spaces between digits count for
// nothing. at is the offset of what is neither; -1: there is none.
func bytesPieces(s string) (all []bytesPiece, at int) {
	var digits strings.Builder
	flush := func() bool {
		b, err := hex.DecodeString(digits.String())
		if len(b) > 0 {
			all = append(all, bytesPiece{data: b, n: len(b)})
		}
		digits.Reset()
		return err == nil
	}
	for i := 0; i < len(s); {
		switch {
		case s[i] == ' ':
			i++
		case s[i] == '$':
			m := bytesVariable.FindStringSubmatch(s[i:])
			if m == nil || !flush() {
				return nil, i
			}
			if _, kind := kindOf(m[1]); kind && m[1] != "string" {
				return nil, i
			}
			n, _ := strconv.Atoi(m[2]) // digits, and few
			all = append(all, bytesPiece{name: m[1], n: n})
			i += len(m[0])
		default:
			digits.WriteByte(s[i])
			i++
		}
	}
	if !flush() {
		return nil, len(s)
	}
	return all, -1
}

// bytes matches a binary message with variables, whose values are hexadecimal.
func (s *Scope) bytes(template string, got []byte) []string {
	all, _ := bytesPieces(template)
	var expected []byte
	for _, p := range all {
		if p.name == "" {
			expected = append(expected, p.data...)
			continue
		}
		at := min(len(expected), len(got))
		part := got[at:min(at+p.n, len(got))]
		if len(part) < p.n || s.take(p.name, textValue(hex.EncodeToString(part))) != "" {
			v, _ := s.value(p.name)
			if part = v.bytes(p.n); part == nil {
				return []string{fmt.Sprintf("byte %d of the payload: expected ${%s:%d}, got %s", at, p.name, p.n, hexAt(got, at))}
			}
		}
		expected = append(expected, part...)
	}
	return matchBytes("the payload", expected, got)
}

// fillBytes is a binary message with values in place of its variables.
func (s *Scope) fillBytes(template string) (out []byte) {
	all, _ := bytesPieces(template)
	for _, p := range all {
		if p.name == "" {
			out = append(out, p.data...)
		} else {
			out = append(out, s.bytesOf(p)...)
		}
	}
	return out
}

// bytesOf is what a variable stands for among bytes: its value, or any bytes if it
// has none of that length.
func (s *Scope) bytesOf(p bytesPiece) []byte {
	if _, kind := kindOf(p.name); !kind {
		v := s.say(p.name, false)
		if b := v.bytes(p.n); b != nil {
			return b
		}
	}
	b := make([]byte, p.n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// bytes is a value as n bytes; nil: it is none of that length.
func (v *value) bytes(n int) []byte {
	if len(v.raw) == 0 {
		return nil
	}
	if b, err := hex.DecodeString(v.plain()); err == nil && len(b) == n {
		return b
	}
	return nil
}
