package ui

import (
	"slices"
	"sync"

	"github.com/gdamore/tcell/v2"
)

// diffScreen passes on to a screen only the cells that changed since the last
// Show. tview clears the screen for each drawing, which makes tcell write all of
// it to the terminal again; with this between them a still screen costs nothing.
// All but PostEvent belongs to tview's loop.
type diffScreen struct {
	tcell.Screen
	once    sync.Once
	w, h    int
	now     []cell // as drawn
	before  []cell // as shown
	stale   bool   // what is shown is not known
	cursor  bool   // the cursor was touched
	shows   bool   // the cursor is shown
	cursorX int
	cursorY int
}

type cell struct {
	main  rune
	marks []rune
	style tcell.Style
}

func (c *cell) equal(o *cell) bool {
	return c.main == o.main && c.style == o.style && slices.Equal(c.marks, o.marks)
}

// Init does nothing: Run has done it already, and looked at the error.
func (s *diffScreen) Init() error { return nil }

// Fini gives the terminal back, once.
func (s *diffScreen) Fini() { s.once.Do(s.Screen.Fini) }

// Resume takes the terminal again, on which others have written meanwhile.
func (s *diffScreen) Resume() error {
	s.stale = true
	return s.Screen.Resume()
}

func (s *diffScreen) fit() {
	w, h := s.Screen.Size()
	if w == s.w && h == s.h {
		return
	}
	s.w, s.h, s.stale = w, h, true
	s.now, s.before = make([]cell, w*h), make([]cell, w*h)
	s.blank()
}

func (s *diffScreen) blank() {
	for i := range s.now {
		s.now[i] = cell{main: ' '}
	}
}

func (s *diffScreen) Clear() {
	s.fit()
	s.blank()
}

func (s *diffScreen) SetContent(x, y int, main rune, marks []rune, style tcell.Style) {
	if x < 0 || y < 0 || x >= s.w || y >= s.h {
		return
	}
	s.now[y*s.w+x] = cell{main, slices.Clone(marks), style}
}

func (s *diffScreen) GetContent(x, y int) (main rune, marks []rune, style tcell.Style, width int) {
	if x < 0 || y < 0 || x >= s.w || y >= s.h {
		return ' ', nil, tcell.StyleDefault, 1
	}
	c := &s.now[y*s.w+x]
	return c.main, c.marks, c.style, 1
}

func (s *diffScreen) Fill(r rune, style tcell.Style) {
	s.fit()
	for i := range s.now {
		s.now[i] = cell{main: r, style: style}
	}
}

func (s *diffScreen) SetCell(x, y int, style tcell.Style, ch ...rune) {
	if len(ch) == 0 {
		ch = []rune{' '}
	}
	s.SetContent(x, y, ch[0], ch[1:], style)
}

func (s *diffScreen) ShowCursor(x, y int) {
	s.cursor = s.cursor || !s.shows || x != s.cursorX || y != s.cursorY
	s.shows, s.cursorX, s.cursorY = true, x, y
	s.Screen.ShowCursor(x, y)
}

func (s *diffScreen) HideCursor() {
	s.cursor = s.cursor || s.shows
	s.shows = false
	s.Screen.HideCursor()
}

// Show passes on what changed; nothing at all if nothing did.
func (s *diffScreen) Show() {
	w, h := s.Screen.Size()
	if w != s.w || h != s.h {
		return // a resize comes next, and draws for the new size
	}
	if s.pass() || s.cursor {
		s.Screen.Show()
	}
	s.cursor = false
}

func (s *diffScreen) pass() (changed bool) {
	for i := range s.now {
		c := &s.now[i]
		if !s.stale && c.equal(&s.before[i]) {
			continue
		}
		changed = true
		s.before[i] = *c
		s.Screen.SetContent(i%s.w, i/s.w, c.main, c.marks, c.style)
	}
	s.stale = false
	return changed
}

// Sync draws all of it again, whatever the terminal shows.
func (s *diffScreen) Sync() {
	s.fit()
	s.pass()
	s.Screen.Sync()
}
