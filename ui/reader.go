package ui

import (
	"bytes"
	"context"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/record"
)

// source is what the screen asks of a recording: a *record.Store.
type source interface {
	Version() uint64
	Progress() record.Progress
	Sessions() int
	FirstSession() int
	Session(i int) record.Session
	Len(session int) int
	First(session int) int
	Rows(session, from int, dst []record.Row) int
	Frame(r record.Row, most int) (record.Frame, error)
	Message(r record.Row, most int) (record.Message, error)
	Summary(r record.Row) string
	Findings(session int) []inspect.Finding
	Scratch() (*os.File, error)
	Sieve(f *filter.Filter, to record.Sifted) *record.Sieve
	Find(ctx context.Context, from record.Row, backwards bool, f record.Filter) (record.Row, bool, error)
}

// reader reads payloads for the screen on a goroutine of its own, so that a
// message of a gigabyte makes its own tab wait and not the keys.
type reader struct {
	source source
	wake   func() // asks for a drawing
	kick   chan struct{}

	mu   sync.Mutex
	next *job // the newest, if it was not begun
	sums map[record.Row]summary
	page *made
	told told
}

// told is what a talk says of the rows in sight.
type told struct {
	talk    *talk
	version uint64
	rows    []record.Row
	remarks map[uint64]remark
}

// summary is a row's line, and the number of the frame that it answers; 0: none.
type summary struct {
	text    string
	answers uint64
}

// job is what one drawing needs to know.
type job struct {
	want want
	rows []record.Row // whose summaries are missing
	told *told        // what a talk is asked for; nil: nothing
	done chan struct{}
	late atomic.Bool // the drawing did not wait for it
}

// made is a page that was made, ready to be drawn.
type made struct {
	want  want
	lines []line
	nodes []node
	views []mode
	more  bool
	whole bool // it stays as it is while want does
	hits  []int
}

// sumsLimit is how many summaries are remembered.
const sumsLimit = 4096

// patience is how long a drawing waits for what it needs before it draws
// without: short enough for a key not to feel it.
const patience = 15 * time.Millisecond

func newReader(s source, wake func()) *reader {
	return &reader{source: s, wake: wake, kick: make(chan struct{}, 1), sums: map[record.Row]summary{}}
}

// run reads until ctx ends. Its caller waits for it.
func (r *reader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		}
		r.mu.Lock()
		j := r.next
		r.next = nil
		r.mu.Unlock()
		if j == nil {
			continue
		}
		r.work(ctx, j)
		close(j.done)
		if j.late.Load() {
			r.wake()
		}
	}
}

func (r *reader) work(ctx context.Context, j *job) {
	for _, row := range j.rows {
		if ctx.Err() != nil {
			return
		}
		s := summary{r.source.Summary(row), r.answered(row)}
		r.mu.Lock()
		if len(r.sums) >= sumsLimit {
			clear(r.sums)
		}
		r.sums[row] = s
		r.mu.Unlock()
	}
	if t := j.told; t != nil {
		if t.version = t.talk.version(); t.talk != nil {
			t.remarks = t.talk.remarks(t.rows)
		}
		r.mu.Lock()
		r.told = *t
		r.mu.Unlock()
	}
	if j.want.width <= 0 {
		return
	}
	m := makePage(r.source, j.want)
	r.mu.Lock()
	r.page = m
	r.mu.Unlock()
}

// askedWithin is among how many frames the one that another answers is looked for.
const askedWithin = 256

// answered is the frame that a pong or a Close frame answers: the newest ping of the
// other side with the same payload (RFC 6455 section 5.5.3), or its Close frame.
func (r *reader) answered(row record.Row) uint64 {
	asks := inspect.OpPing
	switch row.Opcode() {
	case inspect.OpPong:
	case inspect.OpClose:
		asks = inspect.OpClose
	default:
		return 0
	}
	at := int(row.N()) - 1
	from := max(at-askedWithin, r.source.First(row.Session()))
	before := make([]record.Row, max(at-from, 0))
	before = before[:r.source.Rows(row.Session(), from, before)]
	for _, x := range slices.Backward(before) {
		if x.Opcode() != asks || x.Dir() == row.Dir() {
			continue
		}
		if asks == inspect.OpClose || x.Length() == row.Length() && r.alike(x, row) {
			return x.N()
		}
	}
	return 0
}

// alike says that two control frames carry the same.
func (r *reader) alike(a, b record.Row) bool {
	m, err := r.source.Message(a, maxControl)
	if err != nil {
		return false
	}
	data := bytes.Clone(m.Data)
	n, err := r.source.Message(b, maxControl)
	return err == nil && bytes.Equal(data, n.Data)
}

// maxControl is how long a control frame's payload may be (RFC 6455 section 5.5).
const maxControl = 125

// ask has a page made and rows summed up, with what a talk says of them, and waits a
// moment for it.
func (r *reader) ask(w want, rows []record.Row, k *talk) {
	r.mu.Lock()
	missing := rows[:0:0]
	for _, row := range rows {
		if _, ok := r.sums[row]; !ok || !row.Fin() {
			missing = append(missing, row) // a message that goes on may have gone on
		}
	}
	if r.page != nil && r.page.want.same(w, r.page.whole) {
		w.width = 0
	}
	var ask *told
	if !r.told.current(k, rows) {
		ask = &told{talk: k, rows: rows}
	}
	if len(missing) == 0 && w.width <= 0 && ask == nil {
		r.mu.Unlock()
		return
	}
	j := &job{want: w, rows: missing, told: ask, done: make(chan struct{})}
	r.next = j
	r.mu.Unlock()
	select {
	case r.kick <- struct{}{}:
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-j.done:
		return
	case <-timer.C:
	}
	j.late.Store(true)
	select {
	case <-j.done: // just now, and it may not have seen that it was late
		r.wake()
	default:
	}
}

// summary is the row's line if it is known.
func (r *reader) summary(row record.Row) (summary, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sums[row]
	return s, ok
}

// lines are the newest page that was made.
func (r *reader) made() *made {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.page
}

// current says that a talk has nothing else to say of these rows.
func (t *told) current(k *talk, rows []record.Row) bool {
	return t.talk == k && t.version == k.version() && (k == nil || slices.Equal(t.rows, rows))
}

// remark is what a talk says of a row, if anything.
func (r *reader) remark(k *talk, row record.Row) (remark, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k == nil || r.told.talk != k {
		return remark{}, false
	}
	m, ok := r.told.remarks[row.N()]
	return m, ok
}
