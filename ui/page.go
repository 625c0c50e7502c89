package ui

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// page is what a tab shows, line by line, before it is cut to the pane's width.
type page struct {
	width int // of the pane that it is made for, in columns
	lines []line
	nodes []node // of a JSON document
	views []mode // the ways in which the payload can be shown
	more  bool   // there is more of it than was laid out
}

// pageLimit is how many bytes of a payload a page lays out, and pageMost how many
// if its reader goes on.
const (
	pageLimit = 256 << 10
	pageMost  = 1 << 20
)

func (p *page) add(spans ...span) { p.lines = append(p.lines, line{spans: spans}) }

// say adds a sentence; what does not fit goes on below it.
func (p *page) say(r role, format string, args ...any) {
	p.lines = append(p.lines, line{spans: []span{{fmt.Sprintf(format, args...), r}}})
}

// under adds a sentence indented below another.
func (p *page) under(r role, format string, args ...any) {
	p.lines = append(p.lines, line{spans: []span{{"    ", plain}, {fmt.Sprintf(format, args...), r}}, indent: 4})
}

// field adds a name and its value.
func (p *page) field(what, format string, args ...any) {
	const column = 14
	p.lines = append(p.lines, line{spans: []span{{fmt.Sprintf("%-*s", column, what), name}, {fmt.Sprintf(format, args...), plain}}, indent: column})
}

func (p *page) title(s string) {
	if len(p.lines) > 0 {
		p.add()
	}
	p.add(span{s, strong})
}

// text adds a payload that is text, line by line.
func (p *page) text(b []byte) {
	for l := range strings.Lines(string(b)) {
		body, more := strings.CutSuffix(l, "\n")
		spans := payload([]byte(body), plain)
		if more {
			spans = append(spans, span{"␊", dim})
		}
		p.add(spans...)
	}
}

// dump adds bytes as offset, hex and ASCII.
func (p *page) dump(b []byte) {
	n := perLine(p.width, func(n int) int { return 8 + 3*n + 1 + n })
	for at := 0; at < len(b); at += n {
		part := b[at:min(at+n, len(b))]
		p.add(span{fmt.Sprintf("%06x  ", at), dim},
			span{fmt.Sprintf("%-*s", 3*n+1, spaced(part)), plain}, span{ascii(part), quoted})
	}
}

// perLine is how many bytes stand in a line: the most of 32, 16, 8 and 4 whose
// columns fit.
func perLine(width int, columns func(n int) int) int {
	for n := 32; n > 4; n /= 2 {
		if columns(n) <= width {
			return n
		}
	}
	return 4
}

// spaced is bytes in hex with a space between them.
func spaced(b []byte) string {
	h := hex.EncodeToString(b)
	var s strings.Builder
	for i := 0; i < len(h); i += 2 {
		if i > 0 {
			s.WriteByte(' ')
		}
		s.WriteString(h[i : i+2])
	}
	return s.String()
}

// ascii is bytes as characters, a dot for each that is none.
func ascii(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		out[i] = c
	}
	return string(out)
}

// wrapped is the page cut to its width.
func (p *page) wrapped() []line {
	out := make([]line, 0, len(p.lines))
	for i := range p.lines {
		out = p.lines[i].wrap(p.width, out)
	}
	return out
}
