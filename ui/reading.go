package ui

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
)

// reading is how the Message tab shows what it shows. It is compared: what is behind
// its pointers never changes.
type reading struct {
	mode  mode
	folds *folds // of the JSON document; nil: none is folded
	limit int    // bytes that are laid out; 0: pageLimit
	piped *piped // what a command made of the payload; nil: the payload is shown
}

// most is how many bytes of a payload are laid out.
func (r *reading) most() int { return max(r.limit, pageLimit) }

// desk is where the user reads: what is chosen for the message that is open, and
// where the cursor is in it.
type desk struct {
	reading
	of     want // the subject that all but mode is for
	cursor int  // line of the page; meaningless unless the page has nodes
	seek   int  // token whose line the cursor goes to once the page is made; -1: none
	into   string
}

// reads adds to a want of the Message tab what its reader chose.
func (d *desk) reads(w *want) {
	if w.tab != 0 {
		return
	}
	w.mode = d.mode
	if d.of == w.subject() {
		w.reading = d.reading
	}
}

// open begins to read something else.
func (d *desk) open(subject want) {
	*d = desk{reading: reading{mode: d.mode}, of: subject, seek: -1, into: d.into}
	if tabs()[subject.tab].name == conversationTab && subject.entry == entryFrame {
		d.seek = int(subject.row.N()) // where it stands in the conversation
	}
}

// readingCommands are those of the Message tab. The bottom line has them where one
// reads.
func readingCommands() []command {
	all := []command{
		{"view", []string{"v"}, "view", "show the payload as JSON, text, hex, a table of messages, as its protocol has it, or as fits", inDetail, nil, (*view).nextView, (*view).viewAs},
		{"fold", []string{"o"}, "fold", "fold the list or object, or open it", inDetail, nil, (*view).fold, nil},
		{"fold-all", []string{"O"}, "", "fold everything, or open it", inDetail, nil, (*view).foldAll, nil},
		{"pipe", []string{"|"}, "pipe", "pass the payload through a shell command", inDetail, nil, (*view).askPipe, (*view).pipe},
		{"copy", []string{"y", "x"}, "copy", "copy the payload, the frame, or a command that says it again", inDetail, nil, (*view).askCopy, (*view).copyAs},
	}
	for _, c := range all {
		if !strings.HasPrefix(c.name, "fold") {
			c.where, c.label = inFrames, ""
			all = append(all, c)
		}
	}
	return all
}

// page is the page that is shown, if it was made; nil otherwise.
func (v *view) page() *made {
	m := v.reader.made()
	if m == nil || v.frames.session < 0 || m.want.subject() != v.subject {
		return nil
	}
	return m
}

// onMessage goes to the Message tab, and says that it was another one.
func (v *view) onMessage() (went bool) {
	went = v.tab != 0
	v.tab = 0
	return went
}

// nextView shows the payload in the next way that there is.
func (v *view) nextView() {
	if v.onMessage() {
		return
	}
	if v.desk.piped != nil {
		v.desk.piped = nil
		return
	}
	all := []mode{byContent, asText, asHex}
	if m := v.page(); m != nil && len(m.views) > 0 {
		all = m.views
	}
	v.showAs(all[(slices.Index(all, v.desk.mode)+1)%len(all)])
}

// viewAs shows the payload in the way of that name.
func (v *view) viewAs(name string) {
	for m := range modes {
		if strings.HasPrefix(strings.ToLower(m.String()), strings.ToLower(name)) {
			v.onMessage()
			v.showAs(m)
			return
		}
	}
	v.said = fmt.Sprintf("there is no view %q: json, text, hex, table, decoded, by content", name)
}

func (v *view) showAs(m mode) {
	v.desk.mode, v.desk.piped, v.desk.cursor, v.scroll = m, nil, 0, 0
	v.said = "the payload is shown as " + m.String()
	if m == byContent {
		v.said = "the payload is shown as fits it"
	}
}

// under is the node on which the cursor is, or that it is in and can be folded.
func (v *view) under() (n *node, ok bool) {
	m := v.page()
	if m == nil || len(m.nodes) == 0 || v.desk.cursor >= len(m.lines) {
		return nil, false
	}
	i := m.lines[v.desk.cursor].node - 1
	for i >= 0 && !m.nodes[i].open {
		i = m.nodes[i].parent
	}
	if i < 0 {
		return nil, false
	}
	return &m.nodes[i], true
}

func (v *view) fold() {
	n, ok := v.under()
	if !ok {
		v.said = "there is nothing to fold here"
		return
	}
	v.desk.folds, v.desk.seek = v.desk.folds.flip(n.at), n.at
}

func (v *view) foldAll() {
	m := v.page()
	if m == nil || len(m.nodes) == 0 {
		v.said = "there is nothing to fold here"
		return
	}
	v.desk.cursor, v.scroll = 0, 0
	if f := v.desk.folds; f != nil && f.all {
		v.desk.folds = nil
		return
	}
	v.desk.folds = &folds{all: true}
}

// scrollDetail goes some lines down in the tab, or up: with the cursor, if it has one.
func (v *view) scrollDetail(lines int) {
	m := v.page()
	if m == nil || len(m.nodes) == 0 {
		v.scroll = max(v.scroll+lines, 0) // drawing knows the end
		return
	}
	v.desk.cursor = max(min(v.desk.cursor+lines, len(m.lines)-1), 0)
	v.inSight()
}

// inSight scrolls so far that the cursor is seen.
func (v *view) inSight() {
	h := max(v.layout.pane[onDetail].body().h, 1)
	v.scroll = min(v.scroll, v.desk.cursor)
	v.scroll = max(v.scroll, v.desk.cursor-h+1)
}

// endOfDetail goes to the end of the tab. Where more of a payload is there than was
// laid out, it is laid out.
func (v *view) endOfDetail() {
	m := v.page()
	if m != nil && m.more && m.want.limit == v.desk.limit && v.scroll+v.layout.pane[onDetail].body().h >= v.lines {
		v.desk.limit = min(2*v.desk.most(), pageMost)
		return
	}
	v.scroll = v.lines
	if m != nil && len(m.nodes) > 0 {
		v.desk.cursor = len(m.lines) - 1
	}
}

// placeCursor puts the cursor where it belongs in a page that was just made.
func (v *view) placeCursor(m *made) {
	if v.desk.seek >= 0 && m.want.reading == v.desk.reading {
		for i := range m.lines {
			if n := m.lines[i].node; n > 0 && m.nodes[n-1].at == v.desk.seek {
				v.desk.cursor = i
				v.inSight()
				break
			}
		}
		v.desk.seek = -1
	}
	v.desk.cursor = max(min(v.desk.cursor, len(m.lines)-1), 0)
}

// drawPage draws the lines of a page, and the cursor if it has one.
func (v *view) drawPage(screen tcell.Screen, body rect, m *made) {
	for i := 0; i < body.h && v.scroll+i < v.lines; i++ {
		at := v.scroll + i
		l := &m.lines[at]
		if v.focus == onDetail && len(m.nodes) > 0 && at == v.desk.cursor {
			style := v.palette[plain].Reverse(true)
			fill(screen, body.x, body.y+i, body.w, style)
			put(screen, rect{body.x, body.y + i, body.w, 1}, l.String(), style)
			continue
		}
		l.put(screen, body.x, body.y+i, body.w, v.palette)
	}
}

// whereabouts is where the cursor is in a document, for the bottom line: at most w
// columns of it, those at the end.
func (v *view) whereabouts(w int) string {
	m := v.page()
	if m == nil || v.focus != onDetail || v.help != nil || v.desk.cursor >= len(m.lines) || m.lines[v.desk.cursor].node == 0 || m.nodes[m.lines[v.desk.cursor].node-1].frame {
		return ""
	}
	at := path(m.nodes, m.lines[v.desk.cursor].node-1)
	cut := false
	for len(at) > 1 && width(at) >= w {
		_, n := utf8.DecodeRuneInString(at)
		at, cut = at[n:], true
	}
	if cut {
		at = "…" + at
	}
	return at
}

// clickDetail puts the cursor on the line that was clicked.
func (v *view) clickDetail(y int) {
	row := y - v.layout.pane[onDetail].body().y
	if m := v.page(); m != nil && len(m.nodes) > 0 && row >= 0 && v.scroll+row < len(m.lines) {
		v.desk.cursor = v.scroll + row
	}
}
