package ui

// list is where one is in a list of any length: it knows nothing of what is in
// it. The cursor is always in sight.
type list struct {
	n      int // rows there are
	cursor int
	top    int // first row shown
	height int // rows shown
}

// resize takes what changed and puts the cursor back in sight.
func (l *list) resize(n, height int) {
	l.n, l.height = n, max(height, 0)
	l.to(l.cursor)
}

func (l *list) to(i int) {
	l.cursor = max(min(i, l.n-1), 0)
	l.top = min(l.top, l.cursor)
	if l.height > 0 {
		l.top = max(l.top, l.cursor-l.height+1)
	}
	l.top = max(min(l.top, l.n-l.height), 0)
}

func (l *list) move(rows int) { l.to(l.cursor + rows) }
func (l *list) end()          { l.to(l.n - 1) }

// page is how far a page goes: a row of the last one stays in sight.
func (l *list) page() int { return max(l.height-1, 1) }

// atEnd says that the cursor is on the last row.
func (l *list) atEnd() bool { return l.cursor >= l.n-1 }
