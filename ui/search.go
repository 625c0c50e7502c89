package ui

import (
	"context"
	"fmt"

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
	v.askFor("/", "", v.searchFor)
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

// find searches from the selected row on, on a goroutine that Run waits for.
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
	q := query{source: v.source, filter: s.filter, session: f.session, backwards: backwards, at: f.cursor, frames: f.frames, gone: f.gone}
	number := s.number
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
		i := max(int(row.N())-v.frames.gone, 1)
		v.frames.n = max(v.frames.n, i+1)
		v.frames.to(i)
		v.tab, v.jump = 0, true
	}
}

// query is one search. Rows of the list are counted as in frames: 0 is the
// handshake, 1 the first frame.
type query struct {
	source    source
	filter    record.Filter
	session   int
	backwards bool
	at        int
	frames    int
	gone      int // before the first frame
}

func (q *query) run(ctx context.Context) (r record.Row, ok bool, err error) {
	from, include := q.at, false
	switch {
	case q.frames == 0:
		return r, false, nil
	case q.at < 1:
		from, include = 1, !q.backwards
	case q.at > q.frames:
		from, include = q.frames, q.backwards
	}
	var row [1]record.Row
	if q.source.Rows(q.session, q.gone+from-1, row[:]) == 0 {
		return r, false, nil
	}
	if include { // Find leaves out the row it starts from
		if ok, err := q.wants(row[0]); ok || err != nil {
			return row[0], ok, err
		}
	} else if q.at < 1 || q.at > q.frames {
		return r, false, nil
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
