package ui

import (
	"bytes"
	"encoding/json"
	"strings"
)

// token is a piece of JSON in the sender's own bytes: a number keeps all its
// digits, a string its escapes.
type token struct {
	text  string
	role  role
	open  byte // '{' or '[' if it opens, '}' or ']' if it closes
	end   int  // of one that opens: the index of the token that closes it
	flat  int  // of one that opens: columns of all of it on one line
	comma bool
	colon bool
}

// looksJSON says that a text is a JSON object or list, or, if it was cut, that
// it begins like one.
func looksJSON(b []byte, cut bool) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) < 2 || b[0] != '{' && b[0] != '[' {
		return false
	}
	return cut || json.Valid(b)
}

// tokens takes JSON apart. It does not judge: what is no JSON becomes a literal.
func tokens(b []byte) []token {
	var out []token
	for len(b) > 0 {
		c := b[0]
		n := 1
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			b = b[1:]
			continue
		case c == '{' || c == '[':
			out = append(out, token{text: string(c), open: c})
		case c == '}' || c == ']':
			out = append(out, token{text: string(c), open: c})
		case c == ',':
			out = append(out, token{text: ",", comma: true})
		case c == ':':
			out = append(out, token{text: ":", colon: true})
		case c == '"':
			n = stringEnd(b)
			out = append(out, token{text: string(b[:n]), role: quoted})
		default:
			for n < len(b) && strings.IndexByte(" \t\r\n{}[],:\"", b[n]) < 0 {
				n++
			}
			r := literal
			if c == '-' || c >= '0' && c <= '9' {
				r = number
			}
			out = append(out, token{text: string(b[:n]), role: r})
		}
		b = b[n:]
	}
	measure(out)
	return out
}

func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// measure finds for each bracket its other one and how long it is on one line,
// and which strings are names.
func measure(all []token) {
	sums := make([]int, len(all)+1) // columns in front of a token, with the spaces after commas and colons
	var stack []int
	for i := range all {
		t := &all[i]
		sums[i+1] = sums[i] + len(t.text)
		if t.comma || t.colon {
			sums[i+1]++
		}
		switch t.open {
		case '{', '[':
			t.end, t.flat = len(all), 1<<30 // never closed, as when it was cut
			stack = append(stack, i)
		case '}', ']':
			if n := len(stack); n > 0 {
				o := &all[stack[n-1]]
				o.end, o.flat = i, sums[i+1]-sums[stack[n-1]]
				stack = stack[:n-1]
			}
		}
		if t.colon && i > 0 && all[i-1].role == quoted {
			all[i-1].role = name
		}
	}
}

// deepest is how many levels are indented; a peer may nest without end.
const deepest = 24

// json adds a document, indented. What fits on a line stays on one.
func (p *page) json(b []byte) {
	all := tokens(b)
	depth := 0
	var cur []span
	columns := 0 // of cur
	add := func(s ...span) {
		cur = append(cur, s...)
		columns += spansWidth(s)
	}
	flush := func() {
		if len(cur) > 0 {
			indent := 2 * min(depth, deepest)
			spans := append([]span{{strings.Repeat(" ", indent), plain}}, cur...)
			p.lines = append(p.lines, line{spans: spans, indent: indent + 2})
		}
		cur, columns = nil, 0
	}
	flatUntil := -1
	for i := range all {
		t := &all[i]
		flat := i <= flatUntil
		switch {
		case t.open == '{' || t.open == '[':
			add(span{t.text, plain})
			room := p.width - 2*min(depth, deepest) - columns
			if !flat && t.end < len(all) && (t.end == i+1 || depth > 0 && t.flat <= room) {
				flatUntil = t.end
			} else if !flat {
				flush()
				depth++
			}
		case t.open != 0 && !flat:
			flush()
			depth = max(depth-1, 0)
			add(span{t.text, plain})
		case t.comma && !flat:
			add(span{",", plain})
			flush()
		case t.comma || t.colon:
			add(span{t.text + " ", plain})
		default:
			add(payload([]byte(t.text), t.role)...)
		}
	}
	flush()
}

func spansWidth(spans []span) int {
	n := 0
	for _, s := range spans {
		n += width(s.text)
	}
	return n
}
