package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// token is a piece of JSON in the sender's own bytes: a number keeps all its
// digits, a string its escapes.
type token struct {
	text  string
	role  role
	open  byte // '{' or '[' if it opens, '}' or ']' if it closes
	index int  // of one that opens: its own
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
	return cut || json.Valid(b) || nested(b) > 10_000
}

// nested is how deep the brackets go. encoding/json calls nothing JSON that is more than
// 10,000 deep.
func nested(b []byte) int {
	deepest, depth := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
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
			t.index, t.end, t.flat = i, len(all), 1<<30 // never closed, as when it was cut
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

// node is a value of a document that begins a line, or is laid out on several.
type node struct {
	parent int32  // the list or object that it is in, as an index; -1: none
	index  int32  // in a list
	key    string // in an object, as the sender wrote it; empty in a list
	at     int    // of its first token, which is its name for the folds
	open   bool   // it is a list or an object that can be folded
	frame  bool   // it is no value but a line about frame number at
}

// folds are the lists and objects that are shown on one line. They are not changed
// once a page may be made of them. A nil one folds nothing.
type folds struct {
	all     bool // but the outermost
	flipped map[int]bool
}

// folded says that what begins at a token is.
func (f *folds) folded(at, depth int) bool {
	return f != nil && (f.all && depth > 0) != f.flipped[at]
}

// flip answers folds in which one more is folded, or one less.
func (f *folds) flip(at int) *folds {
	out := &folds{flipped: map[int]bool{}}
	if f != nil {
		out.all = f.all
		maps.Copy(out.flipped, f.flipped)
	}
	out.flipped[at] = !out.flipped[at]
	return out
}

// documentLayout puts a document into lines.
type documentLayout struct {
	p       *page
	all     []token
	folds   *folds
	cur     []span
	columns int   // of cur
	node    int32 // that cur begins with, from 1; 0: none
	inside  []level
	key     string // that was read, of the value that follows
}

// level is a list or an object that is laid out on several lines.
type level struct {
	node int32
	next int32 // index of the next value
}

// json adds a document, indented. What fits on a line stays on one, and what is
// folded does too.
func (p *page) json(b []byte, f *folds) {
	l := &documentLayout{p: p, all: tokens(b), folds: f}
	flatUntil := -1
	for i := 0; i < len(l.all); i++ {
		t := &l.all[i]
		flat := i <= flatUntil
		switch {
		case t.open == '{' || t.open == '[':
			at := int32(-1)
			if !flat {
				at = l.value(i)
			}
			l.add(span{t.text, plain})
			depth := len(l.inside)
			room := p.width - 2*min(depth, deepest) - l.columns
			switch {
			case flat:
			case t.end < len(l.all) && (t.end == i+1 || depth > 0 && t.flat <= room):
				flatUntil = t.end
			case l.folds.folded(i, depth):
				p.nodes[at].open = true
				l.fold(t)
				i = t.end
			default:
				p.nodes[at].open = true
				l.flush()
				l.inside = append(l.inside, level{node: at})
			}
		case t.open != 0 && !flat:
			l.close(t)
		case t.comma && !flat:
			l.add(span{",", plain})
			l.flush()
			l.next()
		case t.comma || t.colon:
			l.add(span{t.text + " ", plain})
		default:
			if !flat && t.role == name {
				l.key = t.text
			} else if !flat {
				l.value(i)
			}
			l.add(payload([]byte(t.text), t.role)...)
		}
	}
	l.flush()
}

func (l *documentLayout) add(s ...span) {
	l.cur = append(l.cur, s...)
	l.columns += spansWidth(s)
}

func (l *documentLayout) flush() {
	if len(l.cur) > 0 {
		indent := 2 * min(len(l.inside), deepest)
		spans := append([]span{{strings.Repeat(" ", indent), plain}}, l.cur...)
		l.p.lines = append(l.p.lines, line{spans: spans, indent: indent + 2, node: l.node})
	}
	l.cur, l.columns, l.node = nil, 0, 0
}

// value is a value that is not on a line with others: it becomes a node.
func (l *documentLayout) value(at int) int32 {
	n := node{parent: -1, at: at, key: l.key}
	if d := len(l.inside); d > 0 {
		n.parent, n.index = l.inside[d-1].node, l.inside[d-1].next
	}
	l.key = ""
	l.p.nodes = append(l.p.nodes, n)
	if l.node == 0 {
		l.node = int32(len(l.p.nodes))
	}
	return int32(len(l.p.nodes) - 1)
}

func (l *documentLayout) next() {
	if d := len(l.inside); d > 0 {
		l.inside[d-1].next++
	}
}

// close ends a list or an object on a line of its own, which is its node's.
func (l *documentLayout) close(t *token) {
	l.flush()
	l.key = ""
	if d := len(l.inside); d > 0 {
		l.node = l.inside[d-1].node + 1
		l.inside = l.inside[:d-1]
	}
	l.add(span{t.text, plain})
}

// fold shows how much is in what is folded.
func (l *documentLayout) fold(t *token) {
	closing := "}"
	if t.open == '[' {
		closing = "]"
	}
	if t.end >= len(l.all) {
		closing = ""
	}
	l.add(span{"…" + closing, dim}, span{" " + count(l.members(t), "value") + " ", dim})
}

// members is how many values are in a list or an object, not counting what is in those.
func (l *documentLayout) members(t *token) int {
	at := t.index + 1
	end := min(t.end, len(l.all))
	if at >= end {
		return 0
	}
	n := 1
	for ; at < end; at++ {
		switch x := &l.all[at]; {
		case x.open == '{' || x.open == '[':
			at = x.end
		case x.comma:
			n++
		}
	}
	return n
}

// pathDepth is how many levels of a path are shown.
const pathDepth = 32

// path is where a node stands in its document: ".payload.ticks[3].price". It is
// safe to show. Of one that is very deep the beginning is left out.
func path(nodes []node, n int32) string {
	var parts []string
	for i := n; i >= 0 && nodes[i].parent >= 0; i = nodes[i].parent {
		if len(parts) == pathDepth {
			parts = append(parts, "…")
			break
		}
		x := &nodes[i]
		bare, quoted := strings.CutPrefix(strings.TrimSuffix(x.key, `"`), `"`)
		switch {
		case x.key == "":
			parts = append(parts, fmt.Sprintf("[%d]", x.index))
		case quoted && identifier(bare):
			parts = append(parts, "."+bare)
		default:
			parts = append(parts, "["+inspect.Visible([]byte(x.key), 40)+"]")
		}
	}
	slices.Reverse(parts)
	if len(parts) == 0 || parts[0][0] == '[' {
		return "." + strings.Join(parts, "")
	}
	return strings.Join(parts, "")
}

// identifier says that a name needs no quotes in a path.
func identifier(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z' || s[i] == '_' || s[i] == '$' || i > 0 && s[i] >= '0' && s[i] <= '9') {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

func spansWidth(spans []span) int {
	n := 0
	for _, s := range spans {
		n += width(s.text)
	}
	return n
}
