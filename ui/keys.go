package ui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gdamore/tcell/v2"
)

// places are where a command works.
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

// command is something that a user can have done: by a key, by its name behind
// ":", or by finding it with ctrl-p. The bottom line and the help are printed from the
// commands, and nothing else answers to keys.
type command struct {
	name  string   // as ":" and the keys file call it; one name may mean another thing in another place
	keys  []string // as keyName says; the keys file may change them
	label string   // in the bottom line; empty: only in the help
	doc   string
	where places
	when  func(*view) bool    // nil: always
	do    func(*view)         // without words behind its name, or by a key
	with  func(*view, string) // with words behind its name; nil: it takes none
}

// commands is the table of all of them, the most useful first: the bottom line
// shows as many as fit. A file that has commands of its own adds its table here.
func commands() []command {
	return slices.Concat(goingCommands(), tourCommands(), tabCommands(), readingCommands(), listCommands(), decodingCommands(), lookingCommands(), movingCommands(), leavingCommands())
}

// goingCommands lead in and out.
func goingCommands() []command {
	return []command{
		{"help", []string{"?", "F1"}, "help", "the keys that work here, and back", inAll, nil, (*view).toggleHelp, nil},
		{"enter", []string{"Enter", "l", "Right"}, "frames", "go to the session's frames", inSessions, nil, (*view).enter, nil},
		{"enter", []string{"Enter", "l", "Right"}, "look", "look at the frame in the tabs below", inFrames, nil, (*view).enter, nil},
		{"enter", []string{"Enter"}, "whole screen", "give the tab the whole screen, and back", inDetail, nil, (*view).enter, nil},
		{"back", []string{"q", "Esc"}, "back", "back: from the tabs to the frames, to the sessions, out", inAll, nil, (*view).back, nil},
	}
}

// tabCommands open a tab, by its number.
func tabCommands() []command {
	var all []command
	for i, t := range tabs() {
		all = append(all, command{"tab-" + strings.ToLower(t.name), []string{fmt.Sprint(i + 1)}, "", "the tab " + t.name, inPanes, nil,
			func(v *view) { v.showTab(i) }, nil})
	}
	all[0].label = tabsLabel
	return all
}

// tabsLabel stands for all tabs in the bottom line.
const tabsLabel = "tabs"

// listCommands choose what the lists show.
func listCommands() []command {
	return []command{
		{"filter", []string{"f"}, "filter", "show what a filter lets through: words, or an expression", inPanes, nil, (*view).askFilter, (*view).setFilter},
		{"clear-filter", nil, "", "show everything again; Esc does it too", inPanes, hasFilter, (*view).clearFilter, nil},
		{"follow", []string{"F"}, "follow", "stay on the newest frame, until you go elsewhere", inPanes, isLive, (*view).toggleFollow, nil},
		{"exchanges", []string{"H"}, "HTTP", "show or hide plain HTTP exchanges", inPanes, nil, (*view).toggleExchanges, nil},
		{"clear", []string{"z"}, "", "leave out the sessions that are over, which the recording keeps; once more shows them", inPanes, noFilter, (*view).clearSessions, nil},
		{"messages", []string{"M"}, "", "one row a message, or one a frame", inPanes, nil, (*view).toggleMessages, nil},
		{"heartbeats", []string{"P"}, "", "fold heartbeats into one row, or show each", inPanes, nil, (*view).toggleFolds, nil},
	}
}

// lookingCommands look for something, or keep it.
func lookingCommands() []command {
	return []command{
		{"search", []string{"/"}, "search", "search the messages", inPanes, nil, (*view).askSearch, (*view).searchFor},
		{"next", []string{"n"}, "next", "the next message that was searched for", inPanes, hasSearch, (*view).searchNext, nil},
		{"previous", []string{"N"}, "previous", "the one before", inPanes, hasSearch, (*view).searchPrevious, nil},
		{"mark", []string{"m"}, "", "mark the frame, or in the sessions the session; or take the mark away", inPanes, nil, (*view).toggleMark, nil},
		{"note", []string{";"}, "", "note something on the frame, or in the sessions on the session", inPanes, nil, (*view).askNote, (*view).note},
		{"next-mark", []string{"'"}, "", "the next mark", inPanes, hasMarks, (*view).nextMark, nil},
		{"previous-mark", []string{"\""}, "", "the mark before", inPanes, hasMarks, (*view).previousMark, nil},
		{"save", []string{"w"}, "save", "save what the recording holds as a file", inPanes, canSave, (*view).askSave, (*view).saveAs},
	}
}

// movingCommands go up and down, and from pane to pane.
func movingCommands() []command {
	return []command{
		{"next-pane", []string{"Tab"}, "pane", "the next pane", inPanes, nil, (*view).nextPane, nil},
		{"previous-pane", []string{"Backtab"}, "", "the pane before", inPanes, nil, (*view).previousPane, nil},
		{"down", []string{"j", "Down"}, "", "one down", inAll, nil, (*view).down, nil},
		{"up", []string{"k", "Up"}, "", "one up", inAll, nil, (*view).up, nil},
		{"page-down", []string{"PgDn", "Ctrl-F", " "}, "", "a page down", inAll, nil, (*view).pageDown, nil},
		{"page-up", []string{"PgUp", "Ctrl-B"}, "", "a page up", inAll, nil, (*view).pageUp, nil},
		{"first", []string{"g", "Home"}, "", "to the first", inAll, nil, (*view).first, nil},
		{"last", []string{"G", "End"}, "", "to the last; in live frames it follows from there", inAll, nil, (*view).last, nil},
		{"next-frame", []string{"]", "J"}, "", "the next frame, without leaving the tab", inDetail, nil, (*view).nextFrame, nil},
		{"previous-frame", []string{"["}, "", "the frame before", inDetail, nil, (*view).previousFrame, nil},
		{"leave", []string{"h", "Left"}, "", "to the pane before", inFrames | inDetail, nil, (*view).leave, nil},
	}
}

// leavingCommands are about commands, and the screen itself.
func leavingCommands() []command {
	return []command{
		{"command", []string{":"}, "command", "do what has this name", inPanes, nil, (*view).askCommand, nil},
		{"palette", []string{"Ctrl-P"}, "find a command", "find a command by some letters of it", inPanes, nil, (*view).askPalette, nil},
		{"keys", []string{"K"}, "", "all keys, wherever they work", inAll, nil, (*view).toggleKeys, nil},
		{"theme", nil, "", "the next theme, or one by its name: terminal, dark, light, none", inPanes, nil, (*view).nextTheme, (*view).takeTheme},
		{"redraw", []string{"Ctrl-L"}, "", "draw the screen again", inAll, nil, (*view).redraw, nil},
		{"quit", []string{"Q"}, "quit", "leave wsproxy", inAll, nil, (*view).quit, nil},
		{interruptCommand, []string{"Ctrl-C"}, "", "leave at once, as an interrupted command", inAll, nil, (*view).interrupt, nil},
	}
}

// interruptCommand keeps its key whatever a keys file says.
const interruptCommand = "interrupt"

func noFilter(v *view) bool  { return v.sieve == nil }
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

// writtenKeys are keys as people write them, where that is not their name in
// lower case.
var writtenKeys = map[string]string{" ": "space", "Backtab": "shift-tab", "Down": "↓", "Up": "↑", "Right": "→", "Left": "←", "PgDn": "PgDn", "PgUp": "PgUp", "Home": "Home", "End": "End"}

// written is a key as people write it.
func written(key string) string {
	switch w, ok := writtenKeys[key]; {
	case ok:
		return w
	case len([]rune(key)) == 1:
		return key
	case strings.HasPrefix(key, "F") && len(key) < 4:
		return key
	}
	return strings.ToLower(key)
}

// shown are the command's keys as people write them, the first alone if only
// that is wanted.
func (c *command) shown(all bool) string {
	if len(c.keys) == 0 {
		return ""
	}
	if !all {
		return written(c.keys[0])
	}
	var keys []string
	for _, k := range c.keys {
		keys = append(keys, written(k))
	}
	return strings.Join(keys, " ")
}

// place is where the keys go now.
func (v *view) place() places {
	if v.help != nil {
		return inHelp
	}
	return 1 << v.focus
}

// works says that a command does something here and now.
func (c *command) works(v *view) bool {
	return c.where&v.place() != 0 && (c.when == nil || c.when(v))
}

// press does what a key does here; false if that is nothing.
func (v *view) press(key string) bool {
	for i := range v.commands {
		if c := &v.commands[i]; slices.Contains(c.keys, key) && c.works(v) {
			v.said = ""
			c.do(v)
			return true
		}
	}
	return false
}

// named is the command of that name that works here; nil if there is none.
func (v *view) named(name string) *command {
	for i := range v.commands {
		if c := &v.commands[i]; c.name == name && c.works(v) {
			return c
		}
	}
	return nil
}

// keyRect is where a command stands in the bottom line.
type keyRect struct {
	x, w int
	do   *command
}

// clickKey does what is clicked in the bottom line.
func (v *view) clickKey(x int) bool {
	for _, r := range v.keyRects {
		if x >= r.x && x < r.x+r.w && r.do.works(v) {
			v.said, v.pressed = "", ""
			r.do.do(v)
			return true
		}
	}
	return false
}

// tabKeys are the keys of the first tab and the last: "1-5".
func (v *view) tabKeys() string {
	var first, last string
	for _, c := range v.commands {
		if k := c.shown(false); k != "" && strings.HasPrefix(c.name, "tab-") {
			if first == "" {
				first = k
			}
			last = k
		}
	}
	if first == last {
		return first
	}
	return first + "-" + last
}

// keysHere is the bottom line: the keys that work here, as many as fit. Where they
// are drawn, in columns from x on, they can be clicked.
func (v *view) keysHere(x, w int) []span {
	var out []span
	used := 0
	v.keyRects = v.keyRects[:0]
	for i := range v.commands {
		c := &v.commands[i]
		if c.label == "" || !c.works(v) || len(c.keys) == 0 {
			continue
		}
		shown, label := c.shown(false), c.label
		switch {
		case c.name == "back" && v.atTop():
			label = "quit"
		case label == tabsLabel:
			shown = v.tabKeys()
		}
		n := 2 + width(shown) + 1 + width(label)
		if used+n > w {
			continue
		}
		v.keyRects = append(v.keyRects, keyRect{x + used + 2, n - 2, c})
		used += n
		out = append(out, span{"  ", plain}, span{shown, strong}, span{" " + label, dim})
	}
	return out
}
