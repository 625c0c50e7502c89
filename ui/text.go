package ui

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"
	"github.com/wsproxy/wsproxy/inspect"
)

// span is text in one role. The text is safe: what a peer said was made visible
// before it got here.
type span struct {
	text string
	role role
}

// line is one line of a page. What does not fit goes on below, indented.
type line struct {
	spans  []span
	indent int
	node   int32 // of the page's nodes, from 1, that it shows; 0: none
	short  bool  // what does not fit is left out
}

// width is how many columns a text takes.
func width(s string) int {
	if isASCII(s) {
		return len(s)
	}
	n := 0
	for state := -1; s != ""; {
		var cluster string
		var w int
		cluster, s, w, state = uniseg.FirstGraphemeClusterInString(s, state)
		_, w = placed(cluster, w)
		n += w
	}
	return n
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// maxMarks is how many runes may stand on one another in a cell.
const maxMarks = 8

// placed makes a grapheme cluster fit for a cell: a mark that has nothing to
// stand on gets a dotted circle.
func placed(cluster string, w int) ([]rune, int) {
	runes := []rune(cluster)
	if len(runes) > maxMarks {
		runes = runes[:maxMarks]
	}
	if w <= 0 {
		return append([]rune{'◌'}, runes...), 1
	}
	return runes, min(w, 2)
}

// put draws text into the first row of a rect and answers how many columns it
// took. "…" marks what did not fit.
func put(screen tcell.Screen, r rect, s string, style tcell.Style) int {
	x, y, w := r.x, r.y, r.w
	if w <= 0 || s == "" {
		return 0
	}
	cut := len(s) > w && width(s) > w
	if cut {
		w--
	}
	used := 0
	for state := -1; s != ""; {
		var cluster string
		var n int
		cluster, s, n, state = uniseg.FirstGraphemeClusterInString(s, state)
		runes, n := placed(cluster, n)
		if used+n > w {
			break
		}
		for i := n - 1; i > 0; i-- {
			screen.SetContent(x+used+i, y, ' ', nil, style)
		}
		screen.SetContent(x+used, y, runes[0], runes[1:], style)
		used += n
	}
	if cut {
		screen.SetContent(x+used, y, '…', nil, style)
		used++
	}
	return used
}

// fill draws blanks.
func fill(screen tcell.Screen, x, y, w int, style tcell.Style) {
	for i := range w {
		screen.SetContent(x+i, y, ' ', nil, style)
	}
}

// put draws a line into at most w columns.
func (l *line) put(screen tcell.Screen, x, y, w int, p *palette) {
	for _, s := range l.spans {
		n := put(screen, rect{x, y, w, 1}, s.text, p[s.role])
		x, w = x+n, w-n
	}
}

// String is the line without its roles.
func (l *line) String() string {
	var b strings.Builder
	for _, s := range l.spans {
		b.WriteString(s.text)
	}
	return b.String()
}

// wrap cuts a line into lines of at most w columns: behind a space where there
// is one in the second half, else wherever the column is full.
func (l *line) wrap(w int, out []line) []line {
	if w < 1 {
		return out
	}
	if l.short {
		return append(out, *l)
	}
	rest := slices.Clone(l.spans) // split takes it apart
	indent := 0
	for {
		head, tail := split(rest, w-indent)
		if indent > 0 {
			head = append([]span{{strings.Repeat(" ", indent), plain}}, head...)
		}
		out = append(out, line{spans: head, node: l.node})
		if len(tail) == 0 {
			return out
		}
		rest = tail
		if indent = l.indent; indent > w/2 {
			indent = w / 2
		}
	}
}

// split takes off spans what fits into w columns, at least one character. The
// tail is in the same memory.
func split(spans []span, w int) (head, tail []span) {
	used := 0
	spaceSpan, spaceByte := -1, 0 // where the last space ends
	for i, s := range spans {
		fits, n := fitting(s.text, w-used)
		if at := strings.LastIndexByte(s.text[:fits], ' '); at >= 0 && used+at >= w/2 {
			spaceSpan, spaceByte = i, at+1
		}
		used += n
		if fits == len(s.text) {
			continue
		}
		at := fits
		if spaceSpan >= 0 {
			i, at = spaceSpan, spaceByte
		} else if i == 0 && at == 0 {
			_, size := utf8.DecodeRuneInString(s.text)
			at = size
		}
		return cut(spans, i, at)
	}
	return spans, nil
}

// cut cuts spans in two, in front of byte at of span i.
func cut(spans []span, i, at int) (head, tail []span) {
	s := spans[i]
	head = spans[:i:i]
	if at > 0 {
		head = append(head, span{s.text[:at], s.role})
	}
	if at == len(s.text) {
		return head, spans[i+1:]
	}
	spans[i].text = s.text[at:]
	return head, spans[i:]
}

// fitting is how many bytes of s fit into w columns, and the columns they take.
func fitting(s string, w int) (bytes, columns int) {
	if len(s) <= w && isASCII(s) {
		return len(s), len(s)
	}
	rest := s
	for state := -1; rest != ""; {
		var cluster string
		var n int
		cluster, rest, n, state = uniseg.FirstGraphemeClusterInString(rest, state)
		_, n = placed(cluster, n)
		if columns+n > w {
			break
		}
		columns += n
		bytes += len(cluster)
	}
	return bytes, columns
}

// visible makes what a peer said safe to show, all of it.
func visible(s string) string { return inspect.Visible([]byte(s), 0) }

// payload makes bytes safe to show and sets apart what had to be made visible.
func payload(b []byte, r role) []span {
	var out []span
	var text strings.Builder
	in := r
	flush := func(next role) {
		if text.Len() > 0 && next != in {
			out = append(out, span{text.String(), in})
			text.Reset()
		}
		in = next
	}
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] >= 0x20 && b[n] < 0x7f {
			n++
		}
		if n > 0 {
			flush(r)
			text.Write(b[:n])
			b = b[n:]
			continue
		}
		_, size := utf8.DecodeRune(b)
		s := inspect.Visible(b[:size], 0)
		if s == string(b[:size]) {
			flush(r)
		} else {
			flush(special)
		}
		text.WriteString(s)
		b = b[size:]
	}
	flush(roles)
	return out
}
