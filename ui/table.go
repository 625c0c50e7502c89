package ui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// Bounds of a table of messages: how many are read on each side of the one that is
// selected, among how many frames, and how much of each; how deep and how many of its
// values become columns, and how wide those are.
const (
	tableReads   = 100
	tableFrames  = 1000
	tableBytes   = 8 << 10
	tableDepth   = 3
	tableColumns = 40
	tableCell    = 24
)

// record of a table: one message and its values by their paths.
type tableRow struct {
	row    record.Row
	kind   string // what it says of itself: the messages of a table say the same
	paths  []string
	values map[string]span
}

// table shows the messages that are like this one, one a line, with their values in
// columns. What is the same in all of them stands above.
func (m *maker) table(msg *record.Message) {
	this := rowOf(m.want.row, msg.Data)
	all := append(append(m.like(&this, -1), this), m.like(&this, 1)...)
	slices.SortFunc(all, func(a, b tableRow) int { return int(a.row.N()) - int(b.row.N()) })
	var paths []string
	seen := map[string]bool{}
	for _, r := range append([]tableRow{this}, all...) {
		for _, p := range r.paths {
			if !seen[p] && len(paths) < tableColumns {
				seen[p] = true
				paths = append(paths, p)
			}
		}
	}
	m.say(dim, "%s by the %s like this one, #%d to #%d", count(len(all), "message"), msg.Dir.Sender(), all[0].row.N(), all[len(all)-1].row.N())
	m.add()
	columns := m.apart(paths, all)
	m.tableHead(columns)
	for i := range all {
		m.tableLine(columns, &all[i], all[i].row == this.row)
	}
}

// tableColumn is one value's column.
type tableColumn struct {
	path  string
	width int
}

// apart says what all messages have in common, and answers the columns of what they
// have not.
func (m *maker) apart(paths []string, all []tableRow) []tableColumn {
	var columns []tableColumn
	var same []span
	for _, p := range paths {
		first, differ, wide := all[0].values[p], false, width(p)
		for i := range all {
			x := all[i].values[p]
			differ = differ || x.text != first.text
			wide = max(wide, width(x.text))
		}
		if differ {
			columns = append(columns, tableColumn{p, min(wide, tableCell)})
		} else if len(all) > 1 {
			same = append(same, span{p, name}, span{" ", plain}, first, span{"  ", plain})
		} else {
			columns = append(columns, tableColumn{p, min(wide, tableCell)})
		}
	}
	if len(same) > 0 {
		m.lines = append(m.lines, line{spans: append([]span{{"the same in all: ", dim}}, same...), indent: 4})
		m.add()
	}
	return columns
}

func (m *maker) tableHead(columns []tableColumn) {
	spans := []span{{fmt.Sprintf("%8s  %8s", "#", "time"), dim}}
	for _, c := range columns {
		spans = append(spans, span{"  " + pad(clip(c.path, c.width), c.width), strong})
	}
	m.lines = append(m.lines, line{spans: spans, short: true})
}

func (m *maker) tableLine(columns []tableColumn, r *tableRow, this bool) {
	mark := "  "
	if this {
		mark = "▸ "
	}
	spans := []span{{mark, strong}, {fmt.Sprintf("%6d  %8s", r.row.N(), since(r.row.Time().Sub(m.session.Opened))), dim}}
	for _, c := range columns {
		x := r.values[c.path]
		spans = append(spans, span{"  ", plain}, span{pad(clip(x.text, c.width), c.width), x.role})
	}
	m.lines = append(m.lines, line{spans: spans, short: true})
}

// clip cuts a text to some columns.
func clip(s string, w int) string {
	if width(s) <= w {
		return s
	}
	n, _ := fitting(s, max(w-1, 0))
	return s[:n] + "…"
}

// like reads the messages before the selected one, or after it, that are of its
// direction and kind.
func (m *maker) like(this *tableRow, step int) (found []tableRow) {
	var one [1]record.Row
	for at, looked, read := int(this.row.N())-1+step, 0, 0; at >= 0 && looked < tableFrames && read < tableReads; at, looked = at+step, looked+1 {
		if m.source.Rows(m.want.session, at, one[:]) == 0 {
			break
		}
		r := one[0]
		if r.Dir() != this.row.Dir() || r.Opcode().Control() || r.Opcode() == inspect.OpContinuation || r.Undecodable() {
			continue
		}
		read++
		msg, err := m.source.Message(r, tableBytes)
		if err != nil || !looksJSON(msg.Data, msg.Cut) {
			continue
		}
		if x := rowOf(r, msg.Data); x.kind == this.kind {
			found = append(found, x)
		}
	}
	return found
}

// rowOf takes a message's values apart.
func rowOf(r record.Row, b []byte) tableRow {
	x := tableRow{row: r, values: map[string]span{}}
	all := tokens(b[:min(len(b), tableBytes)])
	x.object(all, 0, "", 0)
	for _, k := range []string{".type", ".event", ".op", ".method", ".action"} {
		if v := x.values[k]; v.text != "" {
			x.kind = k + v.text
			return x
		}
	}
	for _, p := range x.paths {
		if !strings.Contains(p[1:], ".") {
			x.kind += p // else what members it has
		}
	}
	return x
}

// object reads the value that begins at a token and answers where the next one is.
func (x *tableRow) object(all []token, at int, where string, depth int) int {
	if at >= len(all) {
		return at
	}
	t := &all[at]
	switch {
	case t.open == '{' && depth < tableDepth:
		for i := at + 1; i < min(t.end, len(all)); {
			k := &all[i]
			if k.role != name || i+2 >= len(all) {
				i++
				continue
			}
			key := visible(strings.Trim(k.text, `"`))
			i = x.object(all, i+2, where+"."+key, depth+1)
		}
		return t.end + 1
	case t.open == '{' || t.open == '[':
		x.set(where, span{map[byte]string{'{': "{…}", '[': "[…]"}[t.open], dim})
		return t.end + 1
	case t.open == 0 && !t.comma && !t.colon:
		x.set(where, span{visible(strings.Trim(t.text[:min(len(t.text), 4*tableCell)], `"`)), t.role})
	}
	return at + 1
}

func (x *tableRow) set(path string, v span) {
	if path == "" {
		path = "."
	}
	if _, ok := x.values[path]; !ok && len(x.paths) < tableColumns {
		x.paths = append(x.paths, path)
		x.values[path] = v
	}
}
