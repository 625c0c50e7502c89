package ui

// rect is a part of the screen, in cells.
type rect struct{ x, y, w, h int }

func (r rect) has(x, y int) bool { return x >= r.x && x < r.x+r.w && y >= r.y && y < r.y+r.h }

// body is a pane without its head.
func (r rect) body() rect {
	return rect{r.x, r.y + min(1, r.h), r.w, max(r.h-1, 0)}
}

// pane is one of the three panes that can have the focus.
type pane uint8

const (
	onSessions pane = iota
	onFrames
	onDetail
	panes
)

// layout says where everything is. A part without room is empty.
type layout struct {
	top, warnings, bottom rect
	pane                  [panes]rect
	divider               rect // one column between sessions and frames
}

// Sizes below which the screen is arranged more simply.
const (
	wide      = 120 // sessions stand beside the frames
	tall      = 40  // the panes keep their heights whatever has the focus
	lowest    = 10  // only the pane with the focus is shown
	narrowest = 30
)

// content is what the layout depends on beside the screen's size.
type content struct {
	focus    pane
	alone    bool // the focused pane has the screen for itself
	warnings bool
	sessions int // rows
}

// arrange lays the screen out: as three panes, the focused one the higher where
// rows are few, or as the focused pane alone.
func arrange(w, h int, c content) layout {
	var l layout
	w, h = max(w, 0), max(h, 0)
	focus := c.focus
	y, end := 0, h
	if h >= 3 {
		l.bottom = rect{0, h - 1, w, 1}
		end--
	}
	if h >= 5 {
		l.top = rect{0, 0, w, 1}
		y++
	}
	if h >= lowest && c.warnings {
		l.warnings = rect{0, y, w, 1}
		y++
	}
	body := rect{0, y, w, end - y}
	switch {
	case c.alone || h < lowest || w < narrowest:
		l.pane[focus] = body
	case w >= wide:
		l.beside(body, focus)
	default:
		l.above(body, c)
	}
	return l
}

// beside puts the sessions left of the frames, the detail below both.
func (l *layout) beside(b rect, focus pane) {
	lists := b.h * 45 / 100
	if b.h < tall && focus == onDetail {
		lists = b.h * 30 / 100
	}
	left := min(max(b.w*28/100, 28), 48)
	l.pane[onSessions] = rect{b.x, b.y, left, lists}
	l.divider = rect{b.x + left, b.y, 1, lists}
	l.pane[onFrames] = rect{b.x + left + 1, b.y, b.w - left - 1, lists}
	l.pane[onDetail] = rect{b.x, b.y + lists, b.w, b.h - lists}
}

// above puts the sessions above the frames, the detail below them.
func (l *layout) above(b rect, c content) {
	// Shares of the height, in percent.
	shares := [panes][panes]int{
		onSessions: {35, 35, 30},
		onFrames:   {18, 45, 37},
		onDetail:   {14, 24, 62},
	}
	if b.h >= tall {
		shares[onDetail] = [panes]int{18, 32, 50}
	}
	y := b.y
	for i, share := range shares[c.focus] {
		h := max(b.h*share/100, 2)
		switch pane(i) {
		case onSessions:
			h = min(h, max(c.sessions, 2)+1)
		case onDetail:
			h = b.y + b.h - y
		}
		l.pane[i] = rect{b.x, y, b.w, h}
		y += h
	}
}
