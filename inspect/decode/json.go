package decode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JSON is read where it stands: one pass finds the ends of values and says whether
// they are well-formed (RFC 8259); nothing is allocated for what nobody asks.

// jsonDepth is how deep JSON may nest before it is called broken.
const jsonDepth = 1024

// blank are the characters that JSON may have between tokens.
func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func skipBlank(b []byte, i int) int {
	for i < len(b) && blank(b[i]) {
		i++
	}
	return i
}

// nest remembers for each open bracket whether it is an object's.
type nest struct {
	depth int
	bits  [jsonDepth / 64]uint64
}

func (n *nest) push(object bool) bool {
	if n.depth == jsonDepth {
		return false
	}
	w, bit := n.depth/64, uint64(1)<<(n.depth%64)
	n.bits[w] &^= bit
	if object {
		n.bits[w] |= bit
	}
	n.depth++
	return true
}

func (n *nest) inObject() bool {
	d := n.depth - 1
	return n.bits[d/64]>>(d%64)&1 == 1
}

// jsonValue is the end of the value that begins at b[i]. Where there is none, why
// says so and end is where it broke.
func jsonValue(b []byte, i int) (end int, why string) {
	if i >= len(b) {
		return i, "a value is missing at the end"
	}
	if c := b[i]; c != '{' && c != '[' {
		return jsonScalar(b, i)
	}
	var open nest
	for {
		// A value begins at i.
		if i >= len(b) {
			return i, "it ends inside a value"
		}
		switch c := b[i]; c {
		case '{', '[':
			if !open.push(c == '{') {
				return i, "it is nested too deep"
			}
			i = skipBlank(b, i+1)
			if i < len(b) && b[i] == c+2 { // } is { plus 2, ] is [ plus 2
				break
			}
			if c == '{' {
				if i, why = jsonName(b, i); why != "" {
					return i, why
				}
			}
			continue
		default:
			if i, why = jsonScalar(b, i); why != "" {
				return i, why
			}
		}
		// A value has ended, or an empty one is about to.
		var done bool
		if i, done, why = jsonNext(b, i, &open); done || why != "" {
			return i, why
		}
	}
}

// jsonNext goes from a value's end to the next value's beginning; done says that
// the outermost bracket was closed.
func jsonNext(b []byte, i int, open *nest) (next int, done bool, why string) {
	for {
		i = skipBlank(b, i)
		if i >= len(b) {
			return i, false, "a bracket is never closed"
		}
		object := open.inObject()
		switch c := b[i]; {
		case c == ',' && object:
			i, why = jsonName(b, skipBlank(b, i+1))
			return i, false, why
		case c == ',':
			return skipBlank(b, i+1), false, ""
		case c == '}' && object, c == ']' && !object:
			i++
			if open.depth--; open.depth == 0 {
				return i, true, ""
			}
		default:
			return i, false, "a comma or a bracket was expected"
		}
	}
}

// jsonName goes past a member's name and its colon.
func jsonName(b []byte, i int) (value int, why string) {
	if i >= len(b) || b[i] != '"' {
		return i, "the name of a member was expected"
	}
	if i, why = jsonString(b, i); why != "" {
		return i, why
	}
	if i = skipBlank(b, i); i >= len(b) || b[i] != ':' {
		return i, "a colon was expected"
	}
	return skipBlank(b, i+1), ""
}

func jsonString(b []byte, i int) (end int, why string) {
	j := i + 1
	for most := min(len(b), j+24); j < most; j++ { // most strings are short
		if b[j] == '"' {
			return j + 1, ""
		}
		if b[j] == '\\' {
			break
		}
	}
	for {
		n := bytes.IndexByte(b[j:], '"')
		if n < 0 {
			return len(b), "a string is never closed"
		}
		j += n + 1
		back := j - 2
		for back > i && b[back] == '\\' {
			back--
		}
		if (j-2-back)%2 == 0 {
			return j, ""
		}
	}
}

func jsonScalar(b []byte, i int) (end int, why string) {
	switch c := b[i]; {
	case c == '"':
		return jsonString(b, i)
	case c == '-' || c >= '0' && c <= '9':
		return jsonNumber(b, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
			return i + len(word), ""
		}
	}
	return i, "a value was expected"
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

func jsonNumber(b []byte, i int) (end int, why string) {
	from := i
	if b[i] == '-' {
		i++
	}
	end = digits(b, i)
	if end == i || end-i > 1 && b[i] == '0' {
		return from, "a number is not well-formed"
	}
	if i = end; i < len(b) && b[i] == '.' {
		if end = digits(b, i+1); end == i+1 {
			return from, "a number is not well-formed"
		}
		i = end
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if end = digits(b, i); end == i {
			return from, "a number is not well-formed"
		}
	}
	return end, ""
}

// isJSON says that all of b is one JSON object or list.
func isJSON(b []byte) bool {
	i := skipBlank(b, 0)
	if i >= len(b) || b[i] != '{' && b[i] != '[' {
		return false
	}
	end, why := jsonValue(b, i)
	return why == "" && skipBlank(b, end) == len(b)
}

// jsonEach calls f with the members of the object, or the values of the list, that
// begins at b[i]; the name is quoted as it stands and empty in a list. It stops
// where f says so, and at what is broken.
func jsonEach(b []byte, i int, f func(name, value []byte) bool) (end int, why string) {
	object := b[i] == '{'
	closing := b[i] + 2
	i = skipBlank(b, i+1)
	if i < len(b) && b[i] == closing {
		return i + 1, ""
	}
	for {
		var name []byte
		if object {
			start := i
			if i, why = jsonName(b, i); why != "" {
				return i, why
			}
			name = trimName(b[start:i])
		}
		if end, why = jsonValue(b, i); why != "" {
			return end, why
		}
		if !f(name, b[i:end]) {
			return end, ""
		}
		if i = skipBlank(b, end); i >= len(b) {
			return i, "a bracket is never closed"
		}
		switch b[i] {
		case closing:
			return i + 1, ""
		case ',':
			i = skipBlank(b, i+1)
		default:
			return i, "a comma or a bracket was expected"
		}
	}
}

// trimName is a member's name without the colon and the blanks behind it.
func trimName(b []byte) []byte {
	for b[len(b)-1] != '"' {
		b = b[:len(b)-1]
	}
	return b
}

// jsonList are the values of a list; nil where b is none.
func jsonList(b []byte) [][]byte {
	i := skipBlank(b, 0)
	if i >= len(b) || b[i] != '[' {
		return nil
	}
	all := make([][]byte, 0, 6)
	if _, why := jsonEach(b, i, func(_, v []byte) bool {
		all = append(all, v)
		return len(all) < 1<<16
	}); why != "" {
		return nil
	}
	return all
}

// jsonGet is the value at a path of names of members, or of indices in lists; nil
// where there is none.
func jsonGet(b []byte, path ...string) []byte {
	for _, name := range path {
		i := skipBlank(b, 0)
		if i >= len(b) || b[i] != '{' && b[i] != '[' {
			return nil
		}
		index := -1
		if b[i] == '[' {
			n, err := strconv.Atoi(name)
			if err != nil {
				return nil
			}
			index = n
		}
		var found []byte
		k := 0
		_, _ = jsonEach(b, i, func(n, v []byte) bool {
			if n == nil && k == index || n != nil && isName(n, name) {
				found = v
			}
			k++
			return found == nil
		})
		if b = found; b == nil {
			return nil
		}
	}
	return b
}

// isName says that a quoted name is this one. Names with escapes in them are rare,
// and unquoted then.
func isName(quoted []byte, name string) bool {
	if len(quoted) == len(name)+2 {
		return string(quoted[1:len(quoted)-1]) == name
	}
	return bytes.IndexByte(quoted, '\\') >= 0 && unquote(quoted) == name
}

// jsonText is a scalar as text: a string as it is meant, a number as it is written.
// Anything else is nothing.
func jsonText(v []byte) string {
	switch {
	case len(v) == 0 || v[0] == '{' || v[0] == '[' || v[0] == 'n':
		return ""
	case v[0] == '"':
		return unquote(v)
	}
	return string(v)
}

// unquote is what a JSON string means.
func unquote(q []byte) string {
	if len(q) < 2 {
		return ""
	}
	inner := q[1 : len(q)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	if json.Unmarshal(q, &s) == nil {
		return s
	}
	return string(inner) // an escape that is none: as it stands
}

// jsonNode is the tree of a JSON value, which is read when it is opened.
func jsonNode(v []byte) Node {
	n := Node{raw: v}
	if len(v) == 0 {
		return n
	}
	switch c := v[0]; c {
	case '{':
		n.Type, n.open = Object, openJSON
	case '[':
		n.Type, n.open = List, openJSON
	case '"':
		n.Type, n.Text = Text, unquote(v)
		inside(&n)
	case 't', 'f':
		n.Type, n.Text = Bool, string(v)
	case 'n':
		n.Type = Null
	default:
		n.Type, n.Text = Number, string(v)
	}
	return n
}

func openJSON(n *Node) []Node {
	kids := make([]Node, 0, 8)
	end, why := jsonEach(n.raw, 0, func(name, v []byte) (more bool) {
		if kids, more = full(kids); more {
			return false
		}
		k := jsonNode(v)
		if len(name) > 0 {
			k.Name = unquote(name)
		}
		kids = append(kids, k)
		return true
	})
	if why != "" {
		kids = append(kids, restNode(n.raw[min(end, len(n.raw)):], why))
	}
	return kids
}

// inside looks for a document in a text: JSON in a JSON string.
func inside(n *Node) {
	if len(n.Text) < 2 || n.level >= deepest {
		return
	}
	if c := n.Text[0]; c != '{' && c != '[' || !isJSON([]byte(n.Text)) {
		noteBase64(n)
		return
	}
	n.Note = "json"
	n.open = func(n *Node) []Node {
		k := jsonNode([]byte(strings.TrimSpace(n.Text)))
		return []Node{k}
	}
}

// noteBase64 recognises base64 by its looks: long, of its alphabet, padded, with
// letters of both cases and digits, and of something that is no text itself.
func noteBase64(n *Node) {
	s := n.Text
	if len(s) < 24 || len(s)%4 != 0 {
		return
	}
	var upper, lower, digit bool
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z':
			upper = true
		case c >= 'a' && c <= 'z':
			lower = true
		case c >= '0' && c <= '9':
			digit = true
		case c == '+' || c == '/':
		case c == '=' && i >= len(s)-2:
		default:
			return
		}
	}
	if upper && lower && digit {
		n.Note, n.open = "base64", openBase64
	}
}

// openBase64 is what is in base64, if it is more than bytes.
func openBase64(n *Node) []Node {
	b, err := base64.StdEncoding.DecodeString(n.Text)
	if err != nil {
		return nil
	}
	if k := sniffed(b, false, 1); k.Type != Binary || k.open != nil {
		return []Node{k}
	}
	return nil
}

// jsonDocuments calls f for the JSON values from b[i] on that follow one another, apart
// by white space or by U+001E (RFC 7464), and by nothing else.
func jsonDocuments(b []byte, i int, f func(off, end int)) *Broken {
	gap := func(c byte) bool { return blank(c) || c == 0x1e }
	for {
		for i < len(b) && gap(b[i]) {
			i++
		}
		if i == len(b) {
			return nil
		}
		end, why := jsonValue(b, i)
		if why != "" {
			return broken(end, "%s", why)
		}
		if end < len(b) && !gap(b[end]) && b[end] != '{' {
			return broken(end, "something follows a value at once")
		}
		f(i, end)
		i = end
	}
}

// jsonOrText is a text as the JSON that it is, be it a word or a number.
func jsonOrText(s string) Node {
	if end, why := jsonValue([]byte(s), 0); why == "" && end == len(s) {
		return jsonNode([]byte(s))
	}
	return textNode("", s)
}

// isText says that bytes read as text: UTF-8 with few control characters.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || r < 0x20 && !blank(byte(r)) && r != 0x1b && r != 0x1e || r == 0x7f {
			return false
		}
		b = b[n:]
	}
	return true
}
