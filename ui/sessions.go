package ui

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// sessions is the list of sessions: which of the store's are shown, and how many
// are open.
type sessions struct {
	list
	chosen    []int // with a filter, those that it lets through
	choosy    bool  // there is a filter
	seek      int   // the session to go to, or the last before it; noSeek: none
	was       int   // the cursor when it was last drawn
	last      bool  // it was on the last row
	behind    bool  // there are more in the store
	all       bool  // exchanges are shown too
	seen      int   // of the store's
	base      int   // the first of them that is not forgotten
	gone      int   // those in upgrades that are
	upgrades  []int // indices in the store of those that are no exchanges
	exchanges int
	open      map[int]bool
	ids       map[inspect.SessionID]int // where they are; nil: nobody asks
	ended     int
}

// newTime is how long new sessions are taken before the screen is drawn first.
const newTime = 20 * time.Millisecond

// update takes what is new in the store, and what a filter lets through.
func (s *sessions) update(src source, sieve *sieve) {
	if s.open == nil {
		s.open = map[int]bool{}
	}
	on := s.selected()
	begun, n := time.Now(), src.Sessions()
	for ; s.seen < n; s.seen++ {
		if s.seen%256 == 255 && time.Since(begun) > newTime {
			break
		}
		x := src.Session(s.seen)
		if s.ids != nil && x.ID != 0 {
			s.ids[x.ID] = s.seen
		}
		if x.Kind == record.Exchange {
			s.exchanges++
			continue
		}
		s.upgrades = append(s.upgrades, s.seen)
		if over(&x) {
			s.ended++
		} else {
			s.open[s.seen] = true
		}
	}
	s.behind = s.seen < n
	s.forget(src.FirstSession())
	for i := range s.open {
		if x := src.Session(i); over(&x) {
			delete(s.open, i)
			s.ended++
		}
	}
	s.choose(sieve, on)
}

// over says that nothing more can come of a session.
func over(x *record.Session) bool {
	return x.Forgotten || x.Closed != nil || x.Kind == record.Refused
}

// choose takes what a filter lets through; the cursor stays on what it was on.
func (s *sessions) choose(sieve *sieve, on int) {
	current := true
	s.choosy = sieve != nil
	if s.choosy {
		p := sieve.progress(s.all)
		from, _ := slices.BinarySearch(p.sessions, s.base)
		s.chosen, current = p.sessions[from:], p.current || p.err != nil
	}
	s.last = s.n > 0 && s.cursor == s.n-1
	s.n = s.rows()
	switch {
	case s.seek != noSeek && s.cursor != s.was:
		s.seek = noSeek // somebody went elsewhere meanwhile
	case s.seek != noSeek:
		s.to(s.index(s.seek))
		if current {
			s.seek = noSeek
		}
	case s.choosy && on >= 0 && s.selected() != on:
		s.to(s.index(on))
	}
	s.was = s.cursor
}

// index is the row of a session, or of the last one in front of it.
func (s *sessions) index(session int) int {
	return max(sort.Search(s.rows(), func(i int) bool { return s.at(i) > session })-1, 0)
}

// keep stays on the session that one is on while others come and go.
func (s *sessions) keep() {
	if on := s.selected(); on >= 0 {
		s.seek, s.was = on, s.cursor
	}
}

// goTo goes to a session.
func (s *sessions) goTo(session int) { s.seek, s.was = session, s.cursor }

// forget leaves out the sessions that a temporary recording has written over.
func (s *sessions) forget(base int) {
	if base <= s.base {
		return
	}
	n := 0
	for n < len(s.upgrades) && s.upgrades[n] < base {
		n++
	}
	s.upgrades = slices.Clone(s.upgrades[n:])
	s.gone += n
	if s.all {
		n = base - s.base
	}
	s.base = base
	if !s.choosy {
		s.cursor, s.top = max(s.cursor-n, 0), max(s.top-n, 0)
	}
}

func (s *sessions) rows() int {
	switch {
	case s.choosy:
		return len(s.chosen)
	case s.all:
		return s.seen - s.base
	}
	return len(s.upgrades)
}

// at is the store's index of a row.
func (s *sessions) at(row int) int {
	switch {
	case s.choosy:
		return s.chosen[row]
	case s.all:
		return s.base + row
	}
	return s.upgrades[row]
}

// number is what a row is called: it stays when those before it are forgotten,
// or left out.
func (s *sessions) number(row int) int {
	at := s.at(row)
	if s.all {
		return at + 1
	}
	i, _ := slices.BinarySearch(s.upgrades, at)
	return s.gone + i + 1
}

// selected is the store's index of the row under the cursor; -1 if there is none.
func (s *sessions) selected() int {
	if s.cursor >= s.rows() {
		return -1
	}
	return s.at(s.cursor)
}

// toggle shows or hides exchanges; the cursor stays on what it was on, or goes
// to the session before it.
func (s *sessions) toggle() {
	s.keep()
	s.all = !s.all
}

// sessionMark is what a session's row begins with: how it stands.
func sessionMark(s *record.Session) span {
	switch {
	case s.Kind == record.Exchange:
		return span{"·", dim}
	case s.Kind == record.Refused:
		return span{"✕", bad}
	case s.Closed == nil:
		return span{"●", good}
	case s.Closed.Word == "unfinished":
		return span{"○", odd}
	case s.Closed.SawClose[inspect.ToServer] || s.Closed.SawClose[inspect.ToClient]:
		return span{"○", plain}
	}
	return span{"✕", bad}
}

// sessionWord is how a session ended, in a word or three.
func sessionWord(s *record.Session) span {
	switch {
	case s.Kind == record.Exchange && s.Conn.Opaque && s.Exchange.Error == "":
		return span{"tunnel", plain}
	case s.Kind == record.Exchange && s.Conn.Opaque:
		return span{"failed", bad}
	case s.Kind == record.Exchange && s.Exchange.Response == nil:
		return span{"no answer", bad}
	case s.Kind == record.Exchange:
		return span{fmt.Sprint(s.Exchange.Response.Status), plain}
	case s.Kind == record.Refused && s.Handshake != nil && s.Handshake.Response != nil:
		return span{fmt.Sprint(s.Handshake.Response.Status), bad}
	case s.Kind == record.Refused:
		return span{"no answer", bad}
	case s.Closed == nil:
		return span{"", plain}
	}
	return span{visible(s.Closed.Word), sessionMark(s).role}
}

// sessionPath is what was asked for.
func sessionPath(s *record.Session) string {
	switch {
	case s.Handshake != nil:
		return visible(s.Conn.SessionURL(s.Handshake.Path()))
	case s.Exchange != nil && s.Exchange.Request != nil:
		return visible(s.Exchange.Request.Method + " " + s.Conn.URL(s.Exchange.Request.Target))
	case s.Exchange != nil:
		if s.Exchange.Error != "" {
			return visible(s.Exchange.Error)
		}
		return "not HTTP"
	}
	return ""
}

// drawSession draws one session into a row of its pane.
func (v *view) drawSession(screen tcell.Screen, r rect, s *record.Session, n int, style func(role) tcell.Style) {
	mark := sessionMark(s)
	if s.Closed == nil && v.gate.of(s.ID) != nil {
		mark = span{"‖", odd}
	}
	digits := len(fmt.Sprint(v.sessions.gone + len(v.sessions.upgrades)))
	if v.sessions.all {
		digits = len(fmt.Sprint(v.sessions.seen))
	}
	x := r.x + 1
	x += put(screen, rect{x, r.y, 2, 1}, mark.text+" ", style(mark.role))
	x += put(screen, rect{x, r.y, r.x + r.w - x, 1}, fmt.Sprintf("%*d ", digits, n), style(dim))
	if s.Forgotten {
		put(screen, rect{x, r.y, r.x + r.w - x, 1}, "(written over)", style(dim))
		return
	}
	var tail []span
	room := r.x + r.w - x
	if m, ok := v.marks.at[spot{s.Index, atOpen}]; ok {
		tail = append(tail, span{"◆ ", odd})
		if m.Text != "" {
			tail[0].text = "◆ " + clipped(visible(m.Text), max(room/4, 5)) + " "
		}
	}
	if s.Findings > 0 {
		tail = append(tail, span{"! ", severityRole(s.Worst)})
	}
	if s.Handshake != nil && s.Handshake.Subprotocol != "" && room >= 32 {
		tail = append(tail, span{clipped(visible(s.Handshake.Subprotocol), max(room/3, 8)) + " ", dim})
	}
	if w := sessionWord(s); w.text != "" {
		most := max(room/2, room-width(sessionPath(s))-spansWidth(tail)-8, 5)
		tail = append(tail, span{clipped(w.text, most) + " ", w.role})
	}
	if s.Kind == record.WebSocket {
		tail = append(tail, span{fmt.Sprintf("%5d", s.Messages[0]+s.Messages[1]), plain})
	} else {
		tail = append(tail, span{"    -", dim})
	}
	if spansWidth(tail) > room-6 {
		tail = tail[:max(len(tail)-1, 0)]
	}
	n = spansWidth(tail)
	put(screen, rect{x, r.y, room - n - 1, 1}, sessionPath(s), style(plain))
	x = r.x + r.w - n
	for _, t := range tail {
		x += put(screen, rect{x, r.y, r.x + r.w - x, 1}, t.text, style(t.role))
	}
}

// clipped is at most n columns of a text.
func clipped(s string, n int) string {
	if width(s) <= n {
		return s
	}
	bytes, _ := fitting(s, max(n-1, 0))
	return s[:bytes] + "…"
}

func (v *view) drawSessions(screen tcell.Screen, r rect) {
	if r.h <= 0 || r.w <= 0 {
		return
	}
	s := &v.sessions
	head := fmt.Sprintf(" SESSIONS %d", len(s.upgrades))
	if s.choosy {
		head = fmt.Sprintf(" SESSIONS %s of %d", grouped(int64(s.rows())), len(s.upgrades))
	}
	switch {
	case s.exchanges > 0 && s.all:
		head += fmt.Sprintf("  and %d HTTP", s.exchanges)
	case s.exchanges > 0:
		head += fmt.Sprintf("  (%d HTTP hidden: H)", s.exchanges)
	}
	right := "messages "
	if r.w < width(head)+len(right)+2 {
		right = ""
	}
	v.drawBar(screen, r, onSessions, head, right)
	body := r.body()
	s.resize(s.rows(), body.h)
	for i := 0; i < body.h && s.top+i < s.n; i++ {
		row := s.top + i
		x := v.source.Session(s.at(row))
		line := rect{body.x, body.y + i, body.w, 1}
		style := v.rowStyle(screen, line, row == s.cursor, v.focus == onSessions)
		v.drawSession(screen, line, &x, s.number(row), style)
	}
	if s.n == 0 && body.h > 0 {
		put(screen, rect{body.x + 1, body.y, body.w - 1, 1}, v.waiting(), v.palette[dim])
	}
}

// waiting says why there is nothing to see yet.
func (v *view) waiting() string {
	hidden := ""
	if v.sieve != nil {
		if !v.sieve.progress(v.sessions.all).current {
			return "Filtering …"
		}
		return "Nothing passes the filter. Esc clears it."
	}
	if n := v.sessions.exchanges; n > 0 {
		hidden = fmt.Sprintf(" %s hidden: press H.", count(n, "HTTP exchange"))
	}
	switch p := v.source.Progress(); {
	case !p.Done && v.options.Live:
		return "No session yet." + hidden
	case !p.Done:
		return "Reading …"
	}
	return "No WebSocket session in this recording." + hidden
}

// drawBar draws the head of a pane.
func (v *view) drawBar(screen tcell.Screen, r rect, p pane, left, right string) {
	style := v.barStyle(p)
	fill(screen, r.x, r.y, r.w, style)
	put(screen, rect{r.x, r.y, r.w, 1}, left, style)
	if n := width(right); n > 0 && n < r.w {
		put(screen, rect{r.x + r.w - n, r.y, n, 1}, right, style)
	}
}

func (v *view) barStyle(p pane) tcell.Style {
	if v.focus == p {
		return v.palette[barFocus]
	}
	return v.palette[bar]
}

// rowStyle prepares a row of a list and answers how its text looks: the selected
// row of the pane with the focus is reversed, of another one marked.
func (v *view) rowStyle(screen tcell.Screen, r rect, selected, focused bool) func(role) tcell.Style {
	switch {
	case selected && focused:
		style := v.palette[plain].Reverse(true)
		fill(screen, r.x, r.y, r.w, style)
		return func(role) tcell.Style { return style }
	case selected:
		put(screen, rect{r.x, r.y, 1, 1}, "▸", v.palette[chosen])
		return func(r role) tcell.Style { return v.palette[r].Bold(true).Dim(false) }
	}
	return func(r role) tcell.Style { return v.palette[r] }
}

// oneLine joins what does not fit a list into a line.
func oneLine(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, " · ")
}
