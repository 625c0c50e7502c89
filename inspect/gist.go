package inspect

import "bytes"

// gistKeys are the members by which JSON messages of most applications are told
// apart; what stands in the first five is worth more than their names.
var gistKeys = []string{"type", "event", "op", "method", "action", "id", "operationName", "error"}

const (
	verbs     = 5  // of gistKeys
	gistValue = 48 // bytes of a value that are shown
)

// gist is what a JSON object's telling members say, in the order of gistKeys:
// `subscribe id=7f3a`. It is empty if there is none, or if that is no JSON object.
// b may be cut anywhere.
func gist(b []byte) string {
	s := scan{b: bytes.TrimLeft(b, " \t\r\n")}
	if len(s.b) < 2 || s.b[0] != '{' {
		return ""
	}
	found := make([][]byte, len(gistKeys))
	s.object(found, 0)
	if s.broken {
		return ""
	}
	var out []byte
	for i, v := range found {
		if len(v) == 0 || string(v) == "null" || string(v) == `""` {
			continue
		}
		text, isString := bytes.CutPrefix(v, []byte(`"`))
		text = bytes.TrimSuffix(text, []byte(`"`))
		if len(out) > 0 {
			out = append(out, ' ')
		}
		switch {
		case gistKeys[i] == "error":
			out = append(out, "error"...)
			continue
		case i >= verbs || !isString:
			out = append(append(out, gistKeys[i]...), '=')
		}
		out = append(out, Visible(text, gistValue)...)
	}
	return string(out)
}

// scan reads JSON that may end anywhere. broken says that it is none.
type scan struct {
	b      []byte
	broken bool
}

func (s *scan) space() byte {
	for len(s.b) > 0 && (s.b[0] == ' ' || s.b[0] == '\t' || s.b[0] == '\r' || s.b[0] == '\n') {
		s.b = s.b[1:]
	}
	if len(s.b) == 0 {
		return 0
	}
	return s.b[0]
}

// object reads the members of an object and keeps the values of those in gistKeys.
// Of a nested "payload" only the operation's name counts.
func (s *scan) object(found [][]byte, depth int) {
	s.b = s.b[1:]
	for n := 0; ; n++ {
		c := s.space()
		switch {
		case c == 0:
			return
		case c == '}':
			s.b = s.b[1:]
			return
		case n > 0 && c != ',':
			s.broken = true
			return
		case n > 0:
			s.b = s.b[1:]
			c = s.space()
		}
		if c != '"' {
			s.broken = s.broken || c != 0
			return
		}
		key, whole := s.text()
		if c = s.space(); !whole || c == 0 {
			return
		}
		if c != ':' {
			s.broken = true
			return
		}
		s.b = s.b[1:]
		s.member(string(key[1:len(key)-1]), found, depth)
		if s.broken || len(s.b) == 0 {
			return
		}
	}
}

// member reads a value and keeps it if its key is wanted here.
func (s *scan) member(key string, found [][]byte, depth int) {
	c := s.space()
	if c == '{' && key == "payload" && depth == 0 {
		s.object(found, 1)
		return
	}
	v := s.value(c)
	for i, k := range gistKeys {
		if k == key && (depth == 0 || k == "operationName") && found[i] == nil {
			if c == '{' || c == '[' {
				v = v[:min(1, len(v))]
				if k != "error" {
					v = nil
				}
			}
			found[i] = v
		}
	}
}

// value reads one value, of a list or an object all of it.
func (s *scan) value(c byte) []byte {
	switch c {
	case 0:
		return nil
	case '"':
		v, _ := s.text()
		return v
	case '{', '[':
		return s.nested()
	}
	n := 0
	for n < len(s.b) && bytes.IndexByte([]byte(" \t\r\n,}]{[:\""), s.b[n]) < 0 {
		n++
	}
	v := s.b[:n]
	s.broken = n == 0
	s.b = s.b[n:]
	return v
}

// text reads a string with its quotes; whole is false if it was cut.
func (s *scan) text() (v []byte, whole bool) {
	for i := 1; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case '"':
			v, s.b = s.b[:i+1], s.b[i+1:]
			return v, true
		}
	}
	v, s.b = s.b, nil
	return v, false
}

// nested reads a list or an object without looking into it.
func (s *scan) nested() []byte {
	all := s.b
	for depth := 0; len(s.b) > 0; {
		switch s.b[0] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.b = s.b[1:]
		if depth == 0 {
			break
		}
	}
	return all[:len(all)-len(s.b)]
}
