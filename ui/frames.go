package ui

import (
	"fmt"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// frames is the list of a session's frames, between the row of the handshake and
// the row of the end.
type frames struct {
	list
	session int // in the store; -1: none
	places  map[int]place
	order   order // which frames have a row
	shape   *shape
	frames  int // that have a row
	total   int // of the session, those that are gone included
	gone    int // a temporary recording has written over them
	closed  bool

	// Where one was when it was last drawn: the row of the list, and the frame.
	was     place
	changes int // of the order

	seek    int // the frame to go to as soon as it has a row; noSeek: none
	seekTop int // how many rows of the list are above it

	rows  []record.Row // those in sight, from the list's row first+1 on
	first int

	marks      map[uint64]inspect.Finding // the worst finding of a frame, by its number
	marksOf    int
	marksFound uint64
}

// place is where one was in a session's list: the row of the store, or one of
// those below; and how many rows of the list were above it.
type place struct{ at, cursor, above int }

// Rows of the list that are no frames, and no row at all.
const (
	atOpen = -1
	atEnd  = 1 << 48
	noSeek = -2
)

// open goes to another session, to where one was in it before.
func (f *frames) open(session int) {
	f.close()
	p, ok := f.places[session]
	f.session, f.order, f.shape = session, nil, nil
	f.cursor, f.top, f.seek = 0, 0, noSeek
	f.was = place{atOpen, 0, 0}
	if ok {
		f.seek, f.seekTop = p.at, p.above
	}
}

// close leaves the session, and remembers where one was.
func (f *frames) close() {
	if f.places == nil {
		f.places = map[int]place{}
	}
	if f.session >= 0 {
		f.places[f.session] = f.here()
	}
	f.session, f.n, f.seek = -1, 0, noSeek
}

// here is where one is.
func (f *frames) here() place {
	p := place{atOpen, f.cursor, f.cursor - f.top}
	switch {
	case f.seek != noSeek:
		p.at, p.above = f.seek, f.seekTop
	case f.order == nil || f.cursor == 0:
	case f.cursor > f.frames:
		p.at = atEnd
	default:
		p.at = f.order.row(f.cursor - 1)
	}
	return p
}

// keep stays on the frame that one is on while other rows come and go.
func (f *frames) keep() {
	if p := f.here(); f.session >= 0 {
		f.seek, f.seekTop = p.at, p.above
	}
}

// goTo goes to a frame, by its row in the store.
func (f *frames) goTo(row int) { f.seek, f.seekTop = row, f.height/2 }

// update takes what is new in the session.
func (f *frames) update(src source, s *record.Session, o order) {
	gone := f.gone
	f.gone, f.total = src.First(f.session), src.Len(f.session)
	if f.seek != noSeek && f.cursor != f.was.cursor {
		f.seek = noSeek // somebody went elsewhere meanwhile
	}
	changes := o.version()
	if f.order != nil && f.seek == noSeek && (changes != f.changes || gone != f.gone) {
		f.seek, f.seekTop = f.was.at, f.was.above
	}
	f.changes = changes
	f.order = o
	f.frames = max(o.rows(), 0)
	f.closed = s.Closed != nil || s.Kind != record.WebSocket
	f.n = 1 + f.frames
	if f.closed {
		f.n++
	}
	f.settle()
	if f.marks == nil || f.marksOf != f.session || f.marksFound != s.Findings {
		f.marks, f.marksOf, f.marksFound = map[uint64]inspect.Finding{}, f.session, s.Findings
		if s.Findings > 0 {
			for _, x := range src.Findings(f.session) {
				if old, ok := f.marks[x.Frame]; !ok || x.Severity > old.Severity {
					f.marks[x.Frame] = x
				}
			}
		}
	}
}

// settle goes to the frame that is sought, or as near as there is a row by now.
func (f *frames) settle() {
	at := f.seek
	switch {
	case at == noSeek:
		return
	case at == atOpen:
		f.cursor = 0
	case at == atEnd:
		f.cursor = f.n - 1
	default:
		f.cursor = min(1+max(f.order.index(max(at, f.gone)), 0), f.n-1)
	}
	f.top = max(f.cursor-f.seekTop, 0)
	if at == atOpen || f.order.settled(min(at, f.total-1)) {
		f.seek = noSeek
	}
}

// load copies the rows in sight, and the one before them.
func (f *frames) load(src source) {
	f.first = max(f.top-2, 0)
	f.rows = f.rows[:0]
	var some [256]record.Row
	for i := f.first; i < min(f.top+f.height+1, f.frames); {
		from := f.order.row(i)
		n := 1
		for n < len(some) && i+n < min(f.top+f.height+1, f.frames) && f.order.row(i+n) == from+n {
			n++
		}
		k := src.Rows(f.session, from, some[:n])
		f.rows = append(f.rows, some[:k]...)
		if k < n {
			break // written over meanwhile
		}
		i += n
	}
	f.was = f.here()
	f.was.cursor = f.cursor
}

// entry says what a row of the list is.
func (f *frames) entry(i int) entry {
	switch {
	case i == 0:
		return entryOpen
	case i <= f.frames:
		return entryFrame
	}
	return entryEnd
}

// row is the frame of a row in sight.
func (f *frames) row(i int) (r record.Row, ok bool) {
	at := i - 1 - f.first
	if f.entry(i) != entryFrame || at < 0 || at >= len(f.rows) {
		return r, false
	}
	return f.rows[at], true
}

// frame is the frame of a row, in sight or not.
func (f *frames) frame(src source, i int) (r record.Row, ok bool) {
	if r, ok := f.row(i); ok || f.entry(i) != entryFrame {
		return r, ok
	}
	var one [1]record.Row
	n := src.Rows(f.session, f.order.row(i-1), one[:])
	return one[0], n == 1
}

// frameRow is what a row of the list shows.
type frameRow struct {
	entry   entry
	row     record.Row
	session *record.Session
	time    time.Time
	before  time.Time // of the row above; zero if there is none
	summary span
	mark    *inspect.Finding
	note    *record.Mark
	answers uint64 // the frame that this one answers; 0: none
	search  string // what was searched for
	folded  int    // heartbeats that this row stands for; 0: it is one frame
	pair    span   // what the message answers, or what answers it
}

func (v *view) drawFrames(screen tcell.Screen, r rect) {
	if r.h <= 0 || r.w <= 0 {
		return
	}
	f := &v.frames
	cols := fit(columns(), r.w)
	right := v.listed()
	if v.follow {
		right += " following "
	} else if v.options.Live {
		right += " F follows "
	}
	v.drawBar(screen, r, onFrames, framesBar(cols), right)
	body := r.body()
	if f.session < 0 {
		v.drawNothing(screen, body)
		return
	}
	s := v.source.Session(f.session)
	for i := 0; i < body.h && f.top+i < f.n; i++ {
		row := f.top + i
		line := rect{body.x, body.y + i, body.w, 1}
		style := v.rowStyle(screen, line, row == f.cursor, v.focus == onFrames)
		x := v.frameRow(row, &s)
		drawCells(screen, line, cols, &x, style)
	}
}

// listed says how many of the session's frames the list has.
func (v *view) listed() string {
	f := &v.frames
	switch {
	case f.session < 0 || f.total == 0:
		return ""
	case v.sieve != nil:
		return fmt.Sprintf(" %s of %s ", grouped(int64(f.frames)), grouped(int64(f.total-f.gone)))
	case v.listing.messages:
		return " messages "
	}
	return ""
}

// frameRow puts together what a row shows.
func (v *view) frameRow(i int, s *record.Session) frameRow {
	f := &v.frames
	x := frameRow{entry: f.entry(i), session: s, search: v.search.text}
	switch x.entry {
	case entryOpen:
		x.time = s.Opened
		if m, ok := v.marks.at[spot{f.session, atOpen}]; ok {
			x.note = &m
		}
		x.summary = span{openSummary(s), plain}
		if f.gone > 0 {
			x.summary.text = fmt.Sprintf("(frames 1 to %d were written over) ", f.gone) + x.summary.text
		}
		if m, ok := f.marks[0]; ok {
			x.mark = &m
		}
	case entryEnd:
		x.summary = endSummary(s)
		x.time = s.Last
		if s.Closed != nil {
			x.time = s.Closed.Time
		}
	default:
		r, ok := f.row(i)
		if !ok {
			return x
		}
		x.row, x.time = r, r.Time()
		if m, ok := v.marks.at[spot{f.session, int(r.N()) - 1}]; ok {
			x.note = &m
		}
		if m, ok := f.marks[r.N()]; ok {
			x.mark = &m
		}
		if x.folded = f.order.folded(int(r.N()) - 1); x.folded > 0 {
			what := "ping/pong"
			if v.talk.beat(int(r.N()) - 1) {
				what = "heartbeats"
			}
			x.summary = span{fmt.Sprintf("▸ %s ×%d folded", what, x.folded), dim}
			break
		}
		sum, ok := v.reader.summary(r)
		text := sum.text
		if !ok {
			text = "…"
		}
		x.answers = sum.answers
		if ours(s, r.Opcode(), r.Dir()) {
			text = "(by wsproxy) " + text
		}
		x.summary = span{text, plain}
		v.remark(&x)
	}
	if before, ok := f.row(i - 1); ok {
		x.before = before.Time()
	} else if i == 1 {
		x.before = s.Opened
	}
	return x
}

func drawCells(screen tcell.Screen, r rect, cols []column, x *frameRow, style func(role) tcell.Style) {
	at := r.x
	end := r.x + r.w
	for _, c := range cols {
		at++
		cell := c.cell(x)
		n := 0
		if c.right {
			n = max(c.width-width(cell.text), 0)
		}
		put(screen, rect{at + n, r.y, min(c.width-n, end-at-n), 1}, cell.text, style(cell.role))
		at += c.width
	}
	at += 2
	if x.note != nil && x.note.Text != "" {
		at += put(screen, rect{at, r.y, end - at, 1}, visible(x.note.Text), style(odd)) + 2
	}
	if n := width(x.pair.text); n > 0 && n+8 < end-at {
		put(screen, rect{end - n, r.y, n, 1}, x.pair.text, style(x.pair.role))
		end -= n + 1
	}
	if m := x.mark; m != nil {
		text := "! " + m.ID + " " + m.Clause
		n := min(width(text), max(end-at-10, 0))
		if used := x.say(screen, rect{at, r.y, end - at - n - 2, 1}, style); used > 0 {
			at += used + 2
		}
		put(screen, rect{at, r.y, end - at, 1}, text, style(severityRole(m.Severity)))
		return
	}
	at += x.say(screen, rect{at, r.y, end - at, 1}, style)
	if x.answers > 0 {
		put(screen, rect{at + 2, r.y, end - at - 2, 1}, fmt.Sprintf("⤶ #%d", x.answers), style(dim))
	}
}

// say draws the summary, with what was searched for in it set apart, and answers
// how many columns it took.
func (x *frameRow) say(screen tcell.Screen, r rect, style func(role) tcell.Style) int {
	l := []line{{spans: []span{x.summary}}}
	if x.search != "" && x.entry == entryFrame {
		mark(l, x.search)
	}
	used := 0
	for _, s := range l[0].spans {
		used += put(screen, rect{r.x + used, r.y, r.w - used, 1}, s.text, style(s.role))
	}
	return used
}

// openSummary says how a session began.
func openSummary(s *record.Session) string {
	if s.Kind == record.Exchange {
		return sessionPath(s)
	}
	h := s.Handshake
	if s.Kind == record.Refused {
		return visible(h.Request.Method + " " + h.Path())
	}
	deflate := ""
	if h.Deflate != nil {
		deflate = h.Deflate.String()
	}
	ended := ""
	if s.Closed != nil {
		ended = "ended " + s.Closed.Word
	}
	return "101 " + oneLine(visible(h.Subprotocol), deflate, visible(ended))
}

// endSummary says how a session ended.
func endSummary(s *record.Session) span {
	switch {
	case s.Kind == record.Refused:
		return span{visible(s.Refused.Reason), bad}
	case s.Kind == record.Exchange:
		e := s.Exchange
		if e.Response == nil {
			return span{visible(e.Error), bad}
		}
		return span{oneLine(visible(fmt.Sprint(e.Response.Status, " ", e.Response.Phrase)), visible(e.Response.Get("Content-Type")), bytesOf(e.Down.Size), visible(e.Error)), plain}
	case s.Closed != nil:
		return span{visible(s.Closed.Text), sessionMark(s).role}
	}
	return span{}
}

// drawNothing says what to do as long as there is nothing to see.
func (v *view) drawNothing(screen tcell.Screen, r rect) {
	lines := []string{v.waiting()}
	if v.options.Live {
		if v.options.Open != "" {
			lines = append(lines, v.options.Open)
		} else {
			lines = append(lines, "Point a WebSocket client at the address above.")
		}
	}
	for i, l := range lines {
		if i < r.h {
			put(screen, rect{r.x + 2, r.y + i, r.w - 2, 1}, l, v.palette[dim])
		}
	}
}
