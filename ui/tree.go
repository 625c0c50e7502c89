package ui

import (
	"context"
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// Bounds of a tree on a page.
const (
	treeLines = 5000
	treeDeep  = 40
)

// againMost is how many frames are decoded again for one message to be shown. One that
// lies further behind a state that was kept is decoded alone.
const againMost = 50_000

// meant are the items of the message that is shown, to be kept; nil if nobody knows.
func (m *maker) meant() []decode.Item {
	k := m.want.talk
	if k == nil || k.speaks() == "" || k.isPlain() {
		return nil
	}
	msg, err := m.source.Message(m.want.row, 0)
	if err != nil || len(msg.Rows) == 0 {
		return nil
	}
	row := int(msg.Last) - 1
	l := k.before(row)
	if l == nil || row-l.upto > againMost {
		return m.meantAlone(k)
	}
	var items []decode.Item
	_, err = l.hear(context.Background(), row-l.upto+1, func(r record.Row, all []decode.Item) bool {
		if int(r.N())-1 == row {
			for i := range all {
				items = append(items, all[i].Keep())
			}
		}
		return true
	})
	if err != nil || len(items) == 0 || strings.HasPrefix(items[0].Name, "(") { // nothing was read
		return nil
	}
	return items
}

// meantAlone are the items of the message by itself.
func (m *maker) meantAlone(k *talk) []decode.Item {
	msg, err := m.source.Message(m.want.row, heardMost)
	if err != nil {
		return nil
	}
	l := newListener(m.source, k.table, k.session, k.speaks())
	var items []decode.Item
	for _, it := range l.decoder.Message(&msg.Message) {
		items = append(items, it.Keep())
	}
	return items
}

// decoded shows what a message means: its items, each as a tree.
func (m *maker) decoded(items []decode.Item) {
	left := treeLines
	for i := range items {
		it := &items[i]
		if i > 0 {
			m.add()
		}
		m.itemHead(it)
		m.tree(&it.Tree, "", 1, &left)
		if left < 0 {
			m.say(odd, "… there is more; it is not shown")
			return
		}
	}
}

// itemHead says what an item is.
func (m *maker) itemHead(it *decode.Item) {
	r := strong
	if it.Kind == decode.Error {
		r = bad
	}
	spans := []span{{visible(it.Name), r}, {"  " + it.Kind.String(), dim}}
	for _, f := range []struct{ what, text string }{{"id", it.ID}, {"topic", it.Topic}} {
		if f.text != "" {
			spans = append(spans, span{"  " + f.what + " ", dim}, span{visible(f.text), plain})
		}
	}
	if it.Answers > 0 {
		spans = append(spans, span{fmt.Sprintf("  answers %s after %s", inspect.Visible([]byte(it.Of), 80), took(it.Latency)), dim})
	}
	m.lines = append(m.lines, line{spans: spans, indent: 2})
	for i := range it.Findings {
		m.under(severityRole(it.Findings[i].Severity), "%s", visible(it.Findings[i].Detail))
	}
}

// tree adds a value, and its children below it.
func (m *maker) tree(n *decode.Node, label string, depth int, left *int) {
	if *left--; *left < 0 || n.Type == decode.Nothing {
		return
	}
	indent := strings.Repeat("  ", min(depth, treeDeep))
	spans := []span{{indent, plain}}
	if label != "" {
		spans = append(spans, span{inspect.Visible([]byte(label), 200), name}, span{": ", plain})
	}
	kids := []decode.Node(nil)
	if !n.Secret && depth < treeDeep {
		kids = n.Children()
	}
	short := n.String()
	if len(kids) == 0 || n.Type != decode.Binary && !strings.HasSuffix(short, "…") && len(indent)+len(label)+len(short) < min(m.width, 60) {
		m.lines = append(m.lines, line{spans: append(spans, span{short, typeRole(n)}), indent: len(indent) + 2})
		return
	}
	note := map[decode.Type]string{decode.List: fmt.Sprintf("[%d]", len(kids)), decode.Object: fmt.Sprintf("{%d}", len(kids)), decode.Text: "text", decode.Binary: "bytes"}[n.Type]
	if n.Note != "" {
		note += " (" + inspect.Visible([]byte(n.Note), 200) + ")"
	}
	if label != "" || n.Note != "" {
		m.add(append(spans, span{note, dim})...)
		depth++
	}
	for i := range kids {
		what := kids[i].Name
		if n.Type == decode.List {
			what = fmt.Sprint(i)
		}
		m.tree(&kids[i], what, depth, left)
	}
}

// typeRole is how a value looks.
func typeRole(n *decode.Node) role {
	switch {
	case n.Secret:
		return odd
	case n.Type == decode.Number:
		return number
	case n.Type == decode.Null || n.Type == decode.Bool:
		return literal
	case n.Type == decode.Text:
		return quoted
	}
	return plain
}
