package ui

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wsproxy/wsproxy/record"
)

// search is what was searched for last, and the search that runs.
type search struct {
	text   string
	filter record.Filter
	number int // of the newest search
	cancel context.CancelFunc
	words  string // what is said while it runs
}

// searchBytes is how much of a message the ends of a session are searched in.
const searchBytes = 16 << 20

// askSearch opens the prompt in the bottom line.
func (v *view) askSearch() {
	v.ask(question{kind: "search", label: "/", done: v.searchFor})
}

// searchFor searches for a text, or goes on with the one before.
func (v *view) searchFor(text string) {
	if text != "" {
		v.search.text, v.search.filter = text, record.Text(text)
	}
	if v.search.text != "" {
		v.searchNext()
	}
}

func (v *view) searchNext()     { v.find(false) }
func (v *view) searchPrevious() { v.find(true) }

// find searches from the selected row on, through the session and those behind it
// in the list, on a goroutine that Run waits for.
func (v *view) find(backwards bool) {
	f := &v.frames
	if f.session < 0 {
		v.said = "there is nothing to search yet"
		return
	}
	v.stopSearch()
	ctx, cancel := context.WithCancel(v.ctx)
	s := &v.search
	s.number++
	s.cancel = cancel
	s.words = fmt.Sprintf("searching for %q … (Esc stops)", s.text)
	v.follow = false
	q := query{source: v.source, filter: s.filter, backwards: backwards, session: f.session, at: f.here().at, sessions: v.sessions.upgrades}
	if v.sieve != nil {
		q.filter = passing{s.filter, v.sieve}
	}
	number := s.number
	q.told = func(sessions int) {
		v.post(func() {
			if v.search.number == number {
				v.search.words = fmt.Sprintf("searching for %q, in %s so far … (Esc stops)", v.search.text, count(sessions, "session"))
			}
		})
	}
	v.start(func(context.Context) {
		row, ok, err := q.run(ctx)
		v.post(func() {
			if v.search.number == number && v.search.cancel != nil {
				v.stopSearch()
				v.found(&q, row, ok, err)
			}
		})
	})
}

func (v *view) stopSearch() {
	if v.search.cancel != nil {
		v.search.cancel()
		v.search.cancel = nil
	}
}

// found takes what a search found.
func (v *view) found(q *query, row record.Row, ok bool, err error) {
	switch {
	case err != nil:
		v.said = "the search ended: " + err.Error()
	case !ok && q.backwards:
		v.said = fmt.Sprintf("no message before this one has %q", v.search.text)
	case !ok:
		v.said = fmt.Sprintf("no message after this one has %q", v.search.text)
	default:
		v.goToFrame(row.Session(), int(row.N())-1)
		v.tab, v.jump = 0, true
	}
}

// goToFrame goes to a frame of any session, by its row in the store.
func (v *view) goToFrame(session, row int) {
	f := &v.frames
	if session != v.sessions.selected() {
		v.sessions.goTo(session)
	}
	if session != f.session {
		f.open(session)
	}
	f.goTo(row)
	v.follow = false
}

// passing is a search among what a sieve lets through.
type passing struct {
	record.Filter
	sieve *sieve
}

func (p passing) Row(r record.Row) record.Answer {
	if !p.sieve.wants(r) {
		return record.No
	}
	return p.Filter.Row(r)
}

// query is one search: from a row of a session, counted as the store does, or
// from atOpen or atEnd, on to the other sessions.
type query struct {
	source    source
	filter    record.Filter
	backwards bool
	session   int
	at        int
	sessions  []int
	told      func(sessions int)
}

// searchTold is how often the progress is told.
const searchTold = 200 * time.Millisecond

func (q *query) run(ctx context.Context) (record.Row, bool, error) {
	begun, ok := slices.BinarySearch(q.sessions, q.session)
	if !ok && !q.backwards {
		begun--
	}
	session, at := q.session, q.at
	last := time.Now()
	for i := begun; ; {
		r, ok, err := q.in(ctx, session, at)
		if ok || err != nil {
			return r, ok, err
		}
		if i, at = i+1, atOpen; q.backwards {
			i, at = i-2, atEnd
		}
		if i < 0 || i >= len(q.sessions) {
			return r, false, nil
		}
		if session = q.sessions[i]; time.Since(last) >= searchTold {
			last = time.Now()
			q.told(max(i-begun, begun-i))
		}
	}
}

// in searches a session.
func (q *query) in(ctx context.Context, session, at int) (r record.Row, ok bool, err error) {
	first, end := q.source.First(session), q.source.Len(session)
	from, include := at, false
	switch {
	case first >= end:
		return r, false, ctx.Err()
	case at == atOpen || at < first:
		from, include = first, !q.backwards
	case at >= end:
		from, include = end-1, q.backwards
	}
	if !include && (at == atOpen || at >= end) {
		return r, false, ctx.Err()
	}
	var row [1]record.Row
	if q.source.Rows(session, from, row[:]) == 0 {
		return r, false, ctx.Err()
	}
	if include { // Find leaves out the row it starts from
		if ok, err := q.wants(row[0]); ok || err != nil {
			return row[0], ok, err
		}
	}
	return q.source.Find(ctx, row[0], q.backwards, q.filter)
}

func (q *query) wants(r record.Row) (bool, error) {
	switch q.filter.Row(r) {
	case record.Yes:
		return true, nil
	case record.No:
		return false, nil
	}
	m, err := q.source.Message(r, searchBytes)
	if err != nil {
		return false, err
	}
	return q.filter.Message(&m), nil
}
