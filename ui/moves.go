package ui

import (
	"fmt"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"
)

// What the keys and the mouse do. Each is a row in the table of keys.

func (v *view) toggleHelp() { v.turnTo((*view).helpPage) }
func (v *view) toggleKeys() { v.turnTo((*view).keysPage) }

// turnTo shows a page over the panes, or the panes again.
func (v *view) turnTo(page func(*view, int) *page) {
	if v.help != nil {
		v.help = nil
		return
	}
	_, _, w, _ := v.GetRect()
	v.makeHelp = page
	v.help, v.helpAt = page(v, w), 0
}

// enter goes one pane deeper.
func (v *view) enter() {
	switch v.focus {
	case onSessions:
		if v.frames.session < 0 {
			v.said = "there is no session yet"
			return
		}
		v.focus = onFrames
	case onFrames:
		if !v.unfold() {
			v.look()
		}
	case onDetail:
		if !v.goToTold() {
			v.alone = !v.alone
		}
	}
}

// unfold opens the heartbeats under the cursor; false if there are none.
func (v *view) unfold() bool {
	f := &v.frames
	s, ok := f.order.(*shape)
	if !ok || f.entry(f.cursor) != entryFrame {
		return false
	}
	row := s.row(f.cursor - 1)
	if s.folded(row) == 0 {
		return false
	}
	s.unfold(v.source, row)
	v.follow = false
	v.said = "P shows all of them, and folds them again"
	return true
}

// look goes to the tabs. Who reads one does not want it to change.
func (v *view) look() {
	v.focus, v.follow = onDetail, false
}

// leave goes to the pane before.
func (v *view) leave() {
	v.alone = false
	if v.focus > onSessions {
		v.focus--
	}
}

// atTop says that there is nothing to go back to.
func (v *view) atTop() bool {
	return v.help == nil && v.search.cancel == nil && v.focus == onSessions
}

// back undoes the last step inwards; q leaves when there is none, Esc does not.
func (v *view) back() {
	switch {
	case v.help != nil:
		v.help = nil
	case v.search.cancel != nil:
		v.stopSearch()
		v.said = "the search was stopped"
	case v.stopPipe():
	case v.saving.cancel != nil && v.pressed == "Esc":
		v.stopSaving()
	case v.alone:
		v.alone = false
	case v.sieve != nil && v.pressed == "Esc":
		v.clearFilter()
	case v.focus != onSessions:
		v.leave()
	case v.pressed == "Esc":
		v.said = "q quits"
	default:
		v.quit()
	}
}

func (v *view) quit() {
	v.stopSearch()
	v.app.Stop()
}

func (v *view) interrupt() {
	v.err = ErrInterrupt
	v.quit()
}

func (v *view) nextPane() {
	v.alone = false
	if v.focus = (v.focus + 1) % panes; v.focus == onDetail {
		v.look()
	}
}

func (v *view) previousPane() {
	v.alone = false
	if v.focus = (v.focus + panes - 1) % panes; v.focus == onDetail {
		v.look()
	}
}

func (v *view) showTab(i int) {
	if i < len(tabs()) {
		v.tab = i
	}
}

func (v *view) nextFrame()     { v.frames.move(1) }
func (v *view) previousFrame() { v.frames.move(-1) }

func (v *view) toggleFollow() {
	v.follow = !v.follow
	if v.follow && v.focus == onDetail {
		v.leave()
	}
}

func (v *view) toggleExchanges() {
	v.sessions.toggle()
	if v.sessions.exchanges == 0 {
		v.said = "there is no plain HTTP exchange yet; they will be shown"
		if !v.sessions.all {
			v.said = "plain HTTP exchanges will be hidden"
		}
	}
}

// clearSessions leaves out the sessions that are over. Nothing of the recording is lost.
func (v *view) clearSessions() {
	switch n := v.sessions.clear(); {
	case n > 0:
		v.said = fmt.Sprintf("%s left out that had ended; z again shows all", count(n, "session"))
	default:
		v.said = "all sessions are shown"
	}
}

func (v *view) redraw() { v.screen.Sync() }

func (v *view) down()     { v.step(1) }
func (v *view) up()       { v.step(-1) }
func (v *view) pageDown() { v.step(v.pageRows()) }
func (v *view) pageUp()   { v.step(-v.pageRows()) }

func (v *view) pageRows() int {
	switch {
	case v.help != nil:
		_, _, _, h := v.GetRect()
		return max(h-3, 1)
	case v.focus == onSessions:
		return v.sessions.page()
	case v.focus == onFrames:
		return v.frames.page()
	}
	return max(v.layout.pane[onDetail].body().h-1, 1)
}

// step goes some rows down, or up, in what has the focus.
func (v *view) step(rows int) {
	switch {
	case v.help != nil:
		v.helpAt = max(v.helpAt+rows, 0) // drawing knows the end
	default:
		v.goIn(v.focus, rows)
	}
}

func (v *view) goIn(p pane, rows int) {
	switch p {
	case onSessions:
		v.sessions.move(rows)
	case onFrames:
		v.frames.move(rows)
		v.follow = v.follow && v.frames.atEnd()
	case onDetail:
		v.scrollDetail(rows)
		v.follow = false
	}
}

func (v *view) first() {
	switch {
	case v.help != nil:
		v.helpAt = 0
	case v.focus == onSessions:
		v.sessions.to(0)
	case v.focus == onFrames:
		v.frames.to(0)
		v.follow = false
	default:
		v.scroll, v.desk.cursor = 0, 0
	}
}

func (v *view) last() {
	switch {
	case v.help != nil:
		v.helpAt = 1 << 30 // drawing knows the end
	case v.focus == onSessions:
		v.sessions.end()
	case v.focus == onFrames:
		v.frames.end()
		v.follow = v.options.Live
	default:
		v.endOfDetail()
	}
}

// wheelRows is how far the mouse's wheel goes.
const wheelRows = 3

// MouseHandler selects what is clicked, and scrolls what the wheel turns over.
func (v *view) MouseHandler() func(tview.MouseAction, *tcell.EventMouse, func(tview.Primitive)) (bool, tview.Primitive) {
	return func(action tview.MouseAction, e *tcell.EventMouse, _ func(tview.Primitive)) (bool, tview.Primitive) {
		x, y := e.Position()
		switch action {
		case tview.MouseLeftDown:
			return v.click(x, y), nil
		case tview.MouseScrollUp:
			return v.wheel(x, y, -wheelRows), nil
		case tview.MouseScrollDown:
			return v.wheel(x, y, wheelRows), nil
		}
		return false, nil
	}
}

func (v *view) click(x, y int) bool {
	if v.prompt != nil {
		return v.clickOption(y)
	}
	if v.layout.bottom.has(x, y) && v.clickKey(x) {
		return true
	}
	if v.help != nil {
		v.help = nil
		return true
	}
	for i, r := range v.tabRects {
		if v.layout.pane[onDetail].h > 0 && r.has(x, y) {
			v.tab = i
			return true
		}
	}
	for p, r := range v.layout.pane {
		if !r.has(x, y) {
			continue
		}
		if pane(p) == onDetail {
			v.look()
			v.clickDetail(y)
			return true
		}
		v.focus = pane(p)
		l := &v.sessions.list
		if v.focus == onFrames {
			l = &v.frames.list
		}
		if row := y - r.body().y; row >= 0 && l.top+row < l.n {
			l.to(l.top + row)
			if v.focus == onFrames {
				v.follow = v.follow && l.atEnd()
			}
		}
		return true
	}
	return false
}

// clickOption takes an option of the question that is asked.
func (v *view) clickOption(y int) bool {
	i, ok := v.prompt.at(v.layout.bottom, y)
	if ok {
		v.prompt.list.to(i)
		v.prompt.moved = true
		v.prompt.enter()
	}
	return ok
}

func (v *view) wheel(x, y, rows int) bool {
	if v.prompt != nil {
		v.prompt.list.move(rows / wheelRows)
		return true
	}
	if v.help != nil {
		v.helpAt = max(v.helpAt+rows, 0)
		return true
	}
	for p, r := range v.layout.pane {
		if r.has(x, y) {
			v.goIn(pane(p), rows)
			return true
		}
	}
	return false
}
