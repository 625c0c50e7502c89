package ui

import (
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// entry tells the rows of the frame list apart.
type entry uint8

const (
	entryOpen  entry = iota // the handshake, or an exchange's request
	entryFrame              // a frame
	entryEnd                // how it ended, or an exchange's response
)

// tab is one way to look at what is selected: one line in the table below and a
// file with the function that makes its page.
type tab struct {
	name  string
	make  func(*maker) (whole bool)
	count func(*view) uint64 // shown beside the name; may be nil
	whole bool               // it is about the session, whatever row is selected
}

func tabs() []tab {
	return []tab{
		{"Message", (*maker).message, nil, false},
		{"Frame", (*maker).frame, nil, false},
		{"Bytes", (*maker).bytes, nil, false},
		{"Handshake", (*maker).handshake, nil, true},
		{"Findings", (*maker).findings, (*view).countFindings, false},
		{"Timing", (*maker).timing, nil, true},
		{conversationTab, (*maker).conversation, nil, false},
	}
}

// tabTexts are the tabs' names as a pane of a width has them, the one that is open in
// brackets. Where there is no room the names of the others are cut, the last one first.
func (v *view) tabTexts(w int) []string {
	const where, least = 14, 4 // columns for how far down one is, and of a name
	var all []string
	used := where
	for i, t := range tabs() {
		text := fmt.Sprintf(" %d %s", i+1, t.name)
		if t.count != nil && v.frames.session >= 0 {
			if n := t.count(v); n > 0 {
				text += fmt.Sprintf("(%d)", n)
			}
		}
		all = append(all, text+" ")
		used += width(text) + 1
	}
	for i := len(all) - 1; i >= 0 && used > w; i-- {
		if name := tabs()[i].name; i != v.tab && len(name) > least {
			all[i] = strings.Replace(all[i], name, name[:least], 1)
			used -= len(name) - least
		}
	}
	all[v.tab] = "[" + strings.TrimSpace(all[v.tab]) + "]"
	return all
}

// want is a page that is asked for.
type want struct {
	session int
	entry   entry
	row     record.Row // of an entryFrame
	tab     int
	width   int // columns; 0: no page
	search  string

	reading // of the Message tab

	talk *talk // may be nil

	// What may change the page while the rest stays.
	frames   int
	found    uint64
	closed   bool
	progress bool
	told     uint64 // how much a talk has told
}

// same says that a page made for w answers what o asks, which is settled by
// what cannot change if the page is whole.
func (w want) same(o want, whole bool) bool {
	if whole {
		w.frames, w.progress = o.frames, o.progress
	}
	return w == o
}

// subject is what the page is about, whatever its width: one that changes
// begins at the top.
func (w want) subject() want {
	return want{session: w.session, entry: w.entry, row: numbered(w.row), tab: w.tab}
}

// numbered is a row without what may change of it.
func numbered(r record.Row) record.Row {
	clear(r[28:])
	return r
}

// maker makes one page.
type maker struct {
	page
	source  source
	want    want
	session record.Session
}

func makePage(s source, w want) *made {
	m := &maker{source: s, want: w, session: s.Session(w.session)}
	m.width = w.width
	whole := tabs()[w.tab].make(m)
	out := &made{want: w, lines: m.wrapped(), nodes: m.nodes, views: m.views, more: m.more, whole: whole}
	if w.search != "" {
		out.hits = mark(out.lines, w.search)
	}
	return out
}

// before is the state of the row's direction before it (RFC 6455 section 5.4).
// It looks back a bounded number of frames.
func (m *maker) before() inspect.State {
	var s inspect.State
	r := m.want.row
	var buf [256]record.Row
	for end, looked := int(r.N())-1, 0; end > 0 && looked < 16; looked++ {
		from := max(end-len(buf), 0)
		n := m.source.Rows(m.want.session, from, buf[:end-from])
		for i := n - 1; i >= 0; i-- {
			b := buf[i]
			switch {
			case b.Dir() != r.Dir():
			case b.Opcode() == inspect.OpClose:
				s.Closed = true
			case b.Opcode().Control():
			case !s.InMessage && b.Fin():
				return s
			case b.Opcode() != inspect.OpContinuation:
				s.InMessage, s.Opcode = true, b.Opcode()
				h := m.session.Handshake
				s.Compressed = b.Rsv()[0] && h != nil && h.Deflate != nil
				return s
			default:
				s.InMessage = true
			}
		}
		end = from
	}
	return s
}
