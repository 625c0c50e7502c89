package filter

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// isSearch says that a filter is text to look for: it has no operator of the
// language outside quotes, and is not the name of a field that may say yes or no.
func isSearch(source string) bool {
	rest := strings.TrimSpace(source)
	for _, f := range inspect.AllFields() {
		if f.Type == "bool" && f.Name == rest {
			return false
		}
	}
	if path, ok := strings.CutPrefix(rest, "json."); ok && !strings.ContainsAny(path, " \"") {
		return false
	}
	if !phrased(rest) {
		return strings.Count(rest, `"`) > 0 && !hasOperator(rest)
	}
	return !hasOperator(rest)
}

// hasOperator looks for an operator outside quotes.
func hasOperator(s string) bool {
	for len(s) > 0 {
		switch c := s[0]; {
		case c == '"' || c == '\'' || c == '`':
			end := closing(s)
			if end < 0 {
				return false
			}
			s = s[end:]
		case operator(s):
			return true
		case isWord(c):
			n := 0
			for n < len(s) && isWord(s[n]) {
				n++
			}
			switch s[:n] {
			case "matches", "contains", "startsWith", "endsWith", "in", "and", "or", "not":
				return true
			}
			s = s[n:]
		default:
			s = s[1:]
		}
	}
	return false
}

// operator says that s begins with one, rather than with what stands in any text.
func operator(s string) bool {
	next := byte(' ')
	if len(s) > 1 {
		next = s[1]
	}
	switch s[0] {
	case '<', '>', '(', ')', '[', ']':
		return true
	case '=':
		return next == '='
	case '!':
		return next == '=' || isWord(next) || next == '('
	case '&', '|':
		return next == s[0]
	case '?':
		return next == '.' || next == '?'
	}
	return false
}

// closing is where the quoted text that s begins with ends; -1: it does not.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return -1
}

// phrased says that each quote stands at the edge of a word.
func phrased(s string) bool {
	for len(s) > 0 {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return true
		}
		n := strings.IndexByte(s, ' ')
		if n < 0 {
			n = len(s)
		}
		if s[0] == '"' {
			if n = closing(s); n < 0 || n < len(s) && s[n] != ' ' {
				return false
			}
		} else if strings.ContainsRune(s[:n], '"') {
			return false
		}
		s = s[n:]
	}
	return true
}

// needles are the words and quoted phrases of a search; text whose quotes are part of
// it is one.
func needles(source string) []needle {
	rest := strings.TrimSpace(source)
	if !phrased(rest) {
		return []needle{newNeedle(rest)}
	}
	var all []needle
	for rest != "" {
		n := strings.IndexByte(rest, ' ')
		if n < 0 {
			n = len(rest)
		}
		word := rest[:n]
		if rest[0] == '"' {
			n = closing(rest)
			word = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(rest[1 : n-1])
		}
		if word != "" {
			all = append(all, newNeedle(word))
		}
		rest = strings.TrimLeft(rest[n:], " ")
	}
	if all == nil {
		all = []needle{newNeedle(rest)}
	}
	return all
}

// needle is text that is looked for in any letter case.
type needle struct {
	text  []byte // in lower case
	ascii bool
	at    int     // of the byte in text that is rarest
	rare  [2]byte // that byte in both cases
}

func newNeedle(s string) needle {
	n := needle{text: []byte(strings.ToLower(s)), ascii: true}
	best := 1 << 30
	for i, b := range n.text {
		if b >= utf8.RuneSelf {
			n.ascii = false
		}
		if c := common(b); c < best {
			best, n.at = c, i
			n.rare = [2]byte{b, byte(unicode.ToUpper(rune(b)))}
		}
	}
	return n
}

// common is how often a byte is to be expected in JSON and English text.
func common(b byte) int {
	if i := strings.IndexByte("zqxjkvbpygfwmucldrhsnioate0123456789_-.{}[]:,\" ", b); i >= 0 {
		return i + 1
	}
	return 0
}

// in says that the text is somewhere in p.
func (n *needle) in(p []byte) bool {
	if len(n.text) == 0 {
		return true
	}
	if !n.ascii {
		return bytes.Contains(bytes.ToLower(p), n.text)
	}
	lower, upper := n.at, n.at // where the rare byte is looked for next, in either case
	if n.rare[0] == n.rare[1] {
		upper = len(p)
	}
	next := func(from int, b byte) int {
		if from >= len(p) {
			return len(p)
		}
		if i := bytes.IndexByte(p[from:], b); i >= 0 {
			return from + i
		}
		return len(p)
	}
	lower, upper = next(lower, n.rare[0]), next(upper, n.rare[1])
	for {
		i := min(lower, upper)
		if i-n.at+len(n.text) > len(p) {
			return false
		}
		if fold(p[i-n.at:i-n.at+len(n.text)], n.text) {
			return true
		}
		if i == lower {
			lower = next(i+1, n.rare[0])
		} else {
			upper = next(i+1, n.rare[1])
		}
	}
}

// fold compares ASCII text with one in lower case.
func fold(p, lower []byte) bool {
	for i, b := range lower {
		c := p[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != b {
			return false
		}
	}
	return true
}
