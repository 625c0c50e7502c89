package ui

import (
	"slices"
	"strings"

	"github.com/gdamore/tcell/v2"
)

// places are where a key works.
type places uint8

const (
	inSessions places = 1 << onSessions
	inFrames   places = 1 << onFrames
	inDetail   places = 1 << onDetail
	inHelp     places = 1 << panes

	inLists = inSessions | inFrames
	inPanes = inLists | inDetail
	inAll   = inPanes | inHelp
)

// binding is what a key does. The bottom line and the help are printed from the
// bindings, and nothing else answers to keys.
type binding struct {
	keys  []string // as keyName says
	shown string   // the keys as people write them
	label string   // in the bottom line; empty: only in the help
	doc   string
	where places
	when  func(*view) bool // nil: always
	do    func(*view)
}

// bindings is the table of keys, the most useful first: the bottom line shows as
// many as fit.
func bindings() []binding {
	return []binding{
		{[]string{"?", "F1"}, "?", "help", "this help, and back", inAll, nil, (*view).toggleHelp},
		{[]string{"Enter"}, "enter", "frames", "go to the session's frames", inSessions, nil, (*view).enter},
		{[]string{"Enter"}, "enter", "look", "look at the frame in the tabs below", inFrames, nil, (*view).enter},
		{[]string{"Enter"}, "enter", "whole screen", "give the tab the whole screen, and back", inDetail, nil, (*view).enter},
		{[]string{"q", "Esc"}, "q", "back", "back: from the tabs to the frames, to the sessions, out", inAll, nil, (*view).back},
		{[]string{"1", "2", "3", "4", "5"}, "1-5", "tabs", "the tab of that number", inPanes, nil, nil},
		{[]string{"F"}, "F", "follow", "stay on the newest frame, until you go elsewhere", inPanes, isLive, (*view).toggleFollow},
		{[]string{"/"}, "/", "search", "search the session's messages", inPanes, nil, (*view).askSearch},
		{[]string{"n"}, "n", "next", "the next message that was searched for", inPanes, hasSearch, (*view).searchNext},
		{[]string{"N"}, "N", "previous", "the one before", inPanes, hasSearch, (*view).searchPrevious},
		{[]string{"w"}, "w", "save", "save what the recording holds as a file", inPanes, canSave, (*view).askSave},
		{[]string{"H"}, "H", "HTTP", "show or hide plain HTTP exchanges", inPanes, nil, (*view).toggleExchanges},
		{[]string{"Tab"}, "tab", "pane", "the next pane", inPanes, nil, (*view).nextPane},
		{[]string{"Backtab"}, "shift-tab", "", "the pane before", inPanes, nil, (*view).previousPane},
		{[]string{"j", "Down"}, "j ↓", "", "one down", inAll, nil, (*view).down},
		{[]string{"k", "Up"}, "k ↑", "", "one up", inAll, nil, (*view).up},
		{[]string{"PgDn", "Ctrl-F", " "}, "PgDn space", "", "a page down", inAll, nil, (*view).pageDown},
		{[]string{"PgUp", "Ctrl-B"}, "PgUp", "", "a page up", inAll, nil, (*view).pageUp},
		{[]string{"g", "Home"}, "g Home", "", "to the first", inAll, nil, (*view).first},
		{[]string{"G", "End"}, "G End", "", "to the last; in live frames it follows from there", inAll, nil, (*view).last},
		{[]string{"J"}, "J", "", "the next frame, without leaving the tab", inDetail, nil, (*view).nextFrame},
		{[]string{"K"}, "K", "", "the frame before", inDetail, nil, (*view).previousFrame},
		{[]string{"l", "Right"}, "l →", "", "as enter", inLists, nil, (*view).enter},
		{[]string{"h", "Left"}, "h ←", "", "to the pane before", inFrames | inDetail, nil, (*view).leave},
		{[]string{"Ctrl-L"}, "ctrl-l", "", "draw the screen again", inAll, nil, (*view).redraw},
		{[]string{"Q"}, "Q", "quit", "leave wsproxy", inAll, nil, (*view).quit},
		{[]string{"Ctrl-C"}, "ctrl-c", "", "leave at once, as an interrupted command", inAll, nil, (*view).interrupt},
	}
}

func isLive(v *view) bool    { return v.options.Live }
func hasSearch(v *view) bool { return v.search.text != "" }

// keyName is a key's name in the table.
func keyName(e *tcell.EventKey) string {
	if e.Modifiers()&(tcell.ModAlt|tcell.ModMeta) != 0 {
		return ""
	}
	if e.Key() == tcell.KeyRune {
		return string(e.Rune())
	}
	return tcell.KeyNames[e.Key()]
}

// place is where the keys go now.
func (v *view) place() places {
	if v.help != nil {
		return inHelp
	}
	return 1 << v.focus
}

// works says that a key does something here and now.
func (b *binding) works(v *view) bool {
	return b.where&v.place() != 0 && (b.when == nil || b.when(v))
}

// press does what a key does here; false if that is nothing.
func (v *view) press(key string) bool {
	for _, b := range bindings() {
		if !slices.Contains(b.keys, key) || !b.works(v) {
			continue
		}
		v.said = ""
		if b.do == nil { // the one row that stands for several keys
			v.showTab(int(key[0] - '1'))
		} else {
			b.do(v)
		}
		return true
	}
	return false
}

// keysHere is the bottom line: the keys that work here, as many as fit.
func (v *view) keysHere(w int) []span {
	var out []span
	used := 0
	for _, b := range bindings() {
		if b.label == "" || !b.works(v) {
			continue
		}
		label := b.label
		if b.shown == "q" && v.atTop() {
			label = "quit"
		}
		n := 2 + len(b.shown) + 1 + len(label)
		if used+n > w {
			continue
		}
		used += n
		out = append(out, span{"  ", plain}, span{b.shown, strong}, span{" " + label, dim})
	}
	return out
}

// helpPage is the table of keys, where each works and what it does.
func helpPage(w int) *page {
	p := &page{width: w}
	for _, group := range []struct {
		title string
		is    func(places) bool
	}{
		{"Everywhere", func(p places) bool { return p&inPanes == inPanes }},
		{"In the sessions", func(p places) bool { return p&inPanes != inPanes && p&inSessions != 0 }},
		{"In the frames", func(p places) bool { return p&inPanes != inPanes && p&inFrames != 0 }},
		{"In the tabs", func(p places) bool { return p&inPanes != inPanes && p&inDetail != 0 }},
	} {
		p.title(group.title)
		for _, b := range bindings() {
			if group.is(b.where) {
				p.lines = append(p.lines, line{spans: []span{{"  " + pad(b.shown, 12), name}, {b.doc, plain}}, indent: 14})
			}
		}
	}
	p.title("The mouse")
	p.lines = append(p.lines, line{spans: []span{{"  " + pad("click", 12), name}, {"select a session, a frame or a tab", plain}}, indent: 14},
		line{spans: []span{{"  " + pad("wheel", 12), name}, {"go up and down", plain}}, indent: 14})
	p.title("What the marks mean")
	for _, m := range [][2]string{
		{"● ○ ✕", "a session that is open; ended with a Close frame; refused or ended without one"},
		{"→ ←", "sent by the client; sent by the server"},
		{"!", "something breaks the protocol: tab 5 says what"},
		{"␛ \\xff", strings.TrimSpace("in payloads: a control character, a byte that is no UTF-8; nothing a peer sends reaches your terminal as it is")},
	} {
		p.lines = append(p.lines, line{spans: []span{{"  " + pad(m[0], 12), name}, {m[1], plain}}, indent: 14})
	}
	return p
}
