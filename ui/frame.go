package ui

import (
	"strings"

	"github.com/wsproxy/wsproxy/inspect/explain"
)

// besideFigure is the column in which the sentences begin that stand beside a figure.
const besideFigure = 68

// frame makes the Frame tab: the figure of RFC 6455 section 5.2 with this
// frame's bits, and each field in a sentence.
func (m *maker) frame() (whole bool) {
	if m.want.entry != entryFrame {
		m.noFrame()
		return false
	}
	f, err := m.source.Frame(m.want.row, pageLimit)
	if err != nil {
		return m.failed(err)
	}
	o := explain.Options{Before: m.before(), Max: 24}
	if h := m.session.Handshake; h != nil && h.Response != nil {
		o.Known, o.Deflate = true, h.Deflate
	}
	lines := explain.Frame(f.Header, f.Payload, o)
	if r := m.want.row; r.Compressed() && !r.Undecodable() {
		lines = append(lines, explain.Line{Field: "Message", Text: "With what came before it in this direction the message can be inflated: tab 1 shows it.", Clause: "RFC 7692 7.2.2"})
	}
	figure := explain.Diagram(f.Header)
	if m.width < 66 { // a figure that is broken says nothing
		figure = nil
	}
	if side := m.width - besideFigure; side >= 48 {
		m.besides(figure, lines, side)
		return true
	}
	for _, l := range figure {
		m.add(span{l, figureRole(l)})
	}
	for _, l := range lines {
		m.explained(l)
	}
	return true
}

// figureRole sets the rows of bits apart from the frame around them.
func figureRole(l string) role {
	if strings.HasPrefix(l, " ") || strings.HasPrefix(l, "+") {
		return dim
	}
	return plain
}

// explained adds a field: its bits and value, and below what they mean.
func (m *maker) explained(l explain.Line) {
	spans := []span{{pad(l.Field, 16), name}, {l.Bits, bits}}
	if l.Bits != "" && l.Value != "" {
		spans = append(spans, span{"  ", plain})
	}
	m.lines = append(m.lines, line{spans: append(spans, span{l.Value, strong}), indent: 16})
	m.lines = append(m.lines, line{spans: []span{{"    ", plain}, {l.Text + " ", plain}, {"[" + strings.ReplaceAll(l.Clause, " ", "\u00a0") + "]", dim}}, indent: 4})
	if l.Figure != "" && m.width >= 64 { // a figure that is broken says nothing
		m.add()
		m.figure(l.Figure)
		m.add()
	}
}

func (m *maker) figure(text string) {
	for part := range strings.Lines(text) {
		m.walked(strings.TrimSuffix(part, "\n"))
	}
}

// walked adds a row of the figure that walks through the masking, in the colours of
// the Bytes tab.
func (m *maker) walked(row string) {
	r := plain
	switch what, _, _ := strings.Cut(row, " "); what {
	case "byte":
		r = dim
	case "xor":
		r = key
	case "=", "as":
		r = quoted
	}
	m.add(span{"    ", plain}, span{row, r})
}

// besides puts the figures left of the sentences where there is room for both.
func (m *maker) besides(figure []string, lines []explain.Line, side int) {
	left := maker{page: page{width: besideFigure}}
	for _, l := range figure {
		left.add(span{l, figureRole(l)})
	}
	right := maker{page: page{width: side}}
	for _, l := range lines {
		if l.Figure != "" {
			left.add()
			left.add(span{l.Field + ", byte by byte", name})
			left.figure(l.Figure)
			l.Figure = ""
		}
		right.explained(l)
	}
	text := right.wrapped()
	for i := range max(len(left.lines), len(text)) {
		spans := []span{{strings.Repeat(" ", besideFigure), plain}}
		if i < len(left.lines) {
			l := &left.lines[i]
			spans = append(l.spans, span{strings.Repeat(" ", max(besideFigure-width(l.String()), 0)), plain})
		}
		if i < len(text) {
			spans = append(spans, text[i].spans...)
		}
		m.add(spans...)
	}
}

func pad(s string, n int) string {
	if w := width(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}

func (m *maker) noFrame() {
	if m.want.entry == entryOpen {
		m.say(dim, "This row is the HTTP handshake, which has no frames yet. Tab 4 explains it; the rows below it are frames.")
	} else {
		m.say(dim, "This row is the end of the connection, which is no frame. Tab 1 tells how it ended; the rows above it are frames.")
	}
}
