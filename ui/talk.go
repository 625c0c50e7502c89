package ui

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// talk is what the messages of one session mean, as far as a goroutine has decoded
// them. The loop and the reader look.
type talk struct {
	changes atomic.Uint64
	beating atomic.Bool // there are beats
	work    sync.Mutex  // who listens holds it
	listener

	mu       sync.Mutex
	ledger   ledger
	protocol string
	heard    int  // rows
	stuck    bool // the next one can only be read later
	stuckAt  uint64
	beats    rowSet
	waiting  map[uint64]decode.Waiting
	kinds    [5]int
	findings []inspect.Finding
	found    int // findings, also those that are not kept
	states   []state
	every    int // messages between two of them
	since    int // messages behind the last one
}

// state is a decoder as it was in front of a row.
type state struct {
	row     int
	decoder *decode.Session
}

// Bounds of a talk in memory. A decoder's state is a few kilobytes, seldom more than a
// megabyte; where a session is long they lie further apart.
const (
	statesMost   = 16
	statesApart  = 512
	findingsMost = 1000
)

func newTalk(src source, t *decode.Table, session int, as string) *talk {
	k := &talk{listener: *newListener(src, t, session, as), every: statesApart}
	k.ledger.make, k.ledger.most = src.Scratch, ledgerMost
	k.keep()
	return k
}

// advance listens to what is new, at most that many rows of it; all says that there is
// no more by now. One goroutine calls it at a time.
func (k *talk) advance(ctx context.Context, most int) (all bool, err error) {
	k.work.Lock()
	defer k.work.Unlock()
	version := k.source.Version()
	all, err = k.hear(ctx, most, func(r record.Row, items []decode.Item) bool {
		if k.since++; len(items) > 0 || k.since >= k.every {
			k.take(r, items)
		}
		return true
	})
	if errors.Is(err, errOvertaken) {
		k.reset()
		return false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.heard, k.protocol = k.upto, k.decoder.Protocol()
	k.stuck, k.stuckAt = errors.Is(err, record.ErrNotYet), version
	k.waiting = map[uint64]decode.Waiting{}
	for _, w := range k.decoder.Waiting() {
		k.waiting[w.N] = w
	}
	k.changes.Add(1)
	return all, err
}

// reset begins anew with what is left of a temporary recording.
func (k *talk) reset() {
	k.begin(k.source.First(k.session))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ledger.close()
	k.beats, k.waiting, k.kinds, k.findings, k.found, k.states = rowSet{}, nil, [5]int{}, nil, 0, nil
	k.heard = k.upto
	k.keep()
	k.changes.Add(1)
}

// take keeps what a row's message says.
func (k *talk) take(r record.Row, items []decode.Item) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.protocol, k.heard = k.decoder.Protocol(), k.upto
	if k.since >= k.every {
		k.keep()
	}
	beats := len(items) > 0
	for i := range items {
		it := &items[i]
		beats = beats && it.Kind == decode.Heartbeat
		k.kinds[min(int(it.Kind), len(k.kinds)-1)]++
		k.item(it)
	}
	if beats && r.Fin() && r.Opcode() != inspect.OpContinuation {
		k.beats.add(int(r.N()) - 1)
		k.beating.Store(true)
	}
}

// item keeps one.
func (k *talk) item(it *decode.Item) {
	s := said{kind: it.Kind, dir: it.Dir, time: it.Time, answers: uint32(it.Answers), latency: it.Latency,
		id: inspect.Visible([]byte(it.ID), idMost), topic: inspect.Visible([]byte(it.Topic), topicMost), text: it.Summary(slotSize - slotText),
		name: len(inspect.Visible([]byte(it.Name), slotSize-slotText))}
	if n := len(it.Parts); n > 0 {
		s.first, s.last = uint32(it.Parts[n-1].First), uint32(it.Parts[n-1].Last)
	}
	for _, f := range it.Findings {
		s.found = max(s.found, uint8(f.Severity)+1)
		if k.found++; len(k.findings) < findingsMost {
			k.findings = append(k.findings, f)
		}
	}
	if s.answers > 0 {
		if asked, ok := k.ledger.get(s.answers); ok {
			s.answersAt = asked.first
			k.ledger.reply(&s)
		}
	}
	k.ledger.add(&s)
}

// keep keeps the decoder's state behind this row. Where there are too many, every other
// one goes.
func (k *talk) keep() {
	k.since = 0
	if len(k.states) == statesMost {
		k.every *= 2
		for i := range statesMost / 2 {
			k.states[i] = k.states[2*i]
		}
		clear(k.states[statesMost/2:])
		k.states = k.states[:statesMost/2]
	}
	k.states = append(k.states, state{k.upto, k.decoder.Clone()})
}

// close gives back what it has on the disk. Nobody may use it any more but to look.
func (k *talk) close() {
	k.work.Lock()
	defer k.work.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ledger.close()
	k.states = nil
}

// version changes whenever there is more to see.
func (k *talk) version() uint64 {
	if k == nil {
		return 0
	}
	return k.changes.Load()
}

// hears says whether all that there is was listened to, or no more can be until the
// source has another version.
func (k *talk) hears() (all bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stuck && k.stuckAt == k.source.Version() || k.heard >= k.source.Len(k.session)
}

// wait says that what comes next can only be read later.
func (k *talk) wait(version uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stuck, k.stuckAt = true, version
}

// nearRows is how far a talk may be behind for a list to wait for it.
const nearRows = 50_000

// near says how many rows were listened to, if that is nearly all of them.
func (k *talk) near() (rows int, near bool) {
	if k == nil {
		return 0, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.heard, !k.stuck && k.source.Len(k.session)-k.heard < nearRows
}

// beaten says that the protocol has heartbeats that were heard.
func (k *talk) beaten() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.beats.n > 0
}

// beat says that a row is a heartbeat of the protocol, or a part of nothing else.
func (k *talk) beat(row int) bool {
	if k == nil || !k.beating.Load() { // it is asked about each of millions of rows
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.beats.has(row)
}

// speaks is the protocol's name; empty: none is known.
func (k *talk) speaks() string {
	if k == nil {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.protocol
}

// isForm says that a name is of a form, such as JSON, and of no protocol.
func isForm(protocol string) bool {
	switch protocol {
	case "", "json", "msgpack", "cbor", "protobuf", "text", "raw":
		return true
	}
	return false
}

// remark is what a frame's row says of its message.
type remark struct {
	text  string
	role  role
	mark  span      // what it answers, what answers it
	waits time.Time // since when it waits for an answer; zero: it does not
	found *inspect.Finding
}

// age is how long something has waited: as long as its session is open, or was.
func (k *talk) age(since time.Time) time.Duration {
	x := k.source.Session(k.session)
	switch {
	case x.Closed != nil:
		return x.Closed.Time.Sub(since)
	case k.source.Progress().Done:
		return x.Last.Sub(since)
	}
	return time.Since(since)
}

// remarks are those of rows, by the frame's number; rows of which there is nothing to
// say are not among them.
func (k *talk) remarks(rows []record.Row) map[uint64]remark {
	all := map[uint64]remark{}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range rows {
		if r.Opcode().Control() && r.Opcode() != inspect.OpClose || r.Opcode() == inspect.OpContinuation {
			continue
		}
		if here := k.of(r); len(here) > 0 {
			all[r.N()] = k.remark(here)
		}
	}
	return all
}

// fragmentsSeen is how many items further the end of a message in fragments is looked for.
const fragmentsSeen = 256

// of are the items of the message that begins with a row.
func (k *talk) of(r record.Row) []said {
	var all []said
	n := uint32(r.N())
	for i, at := 0, k.ledger.from(n); at <= k.ledger.n && i < fragmentsSeen; i, at = i+1, at+1 {
		s, ok := k.ledger.get(at)
		switch {
		case !ok, r.Fin() && s.last != n:
			return all
		case s.first == n && s.dir == r.Dir():
			all = append(all, s)
		case len(all) > 0:
			return all
		}
	}
	return all
}

// remark puts together what a message's items say.
func (k *talk) remark(here []said) remark {
	m := remark{text: here[0].text}
	if k.plain() || strings.HasPrefix(m.text, "(") { // "(raw)", "(not whole)": nothing was read
		m.text = ""
	}
	for i := range here {
		s := &here[i]
		if i > 0 && i < 3 && m.text != "" {
			m.text += " · " + s.text
		}
		if s.kind == decode.Error {
			m.role = bad
		}
		if s.found > 0 && m.found == nil {
			m.found = k.finding(s)
		}
		if k.waits(s) {
			m.waits = s.time
		}
		if mark := k.mark(s); mark.text != "" && (m.mark.text == "" || mark.role != dim && m.mark.role == dim) {
			m.mark = mark
		}
	}
	if n := len(here); n > 1 && m.text != "" {
		m.text = fmt.Sprintf("(%d) %s", n, m.text)
	}
	return m
}

// plain says that a row's own summary says as much as the decoder.
func (k *talk) plain() bool {
	return k.protocol == "json" || k.protocol == "text" || k.protocol == "raw"
}

// isPlain is plain for who does not hold the talk.
func (k *talk) isPlain() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.plain()
}

func (k *talk) finding(s *said) *inspect.Finding {
	i := slices.IndexFunc(k.findings, func(f inspect.Finding) bool { return f.Frame == uint64(s.last) })
	if i < 0 {
		return nil
	}
	f := k.findings[i]
	return &f
}

// mark says what an item answers, or what answers it.
func (k *talk) mark(s *said) span {
	switch {
	case s.answersAt > 0:
		return span{fmt.Sprintf("⤶ #%d +%s", s.answersAt, took(s.latency)), dim}
	case s.answered > 0 && s.fails:
		return span{fmt.Sprintf("⤷ #%d +%s", s.answered, took(s.after)), bad}
	case s.answered > 0:
		return span{fmt.Sprintf("⤷ #%d +%s", s.answered, took(s.after)), dim}
	}
	return span{}
}

// waits says that an item is a request without an answer. In a form, which has no
// requests but what looks like one, nobody can tell.
func (k *talk) waits(s *said) bool {
	_, waits := k.waiting[uint64(s.n)]
	return waits && s.kind == decode.Request && s.answered == 0 && !isForm(k.protocol)
}

// aged is an age, which nobody reads to the millisecond.
func aged(d time.Duration) string {
	switch {
	case d < time.Second:
		return took(max(d, 0))
	case d < 10*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 10*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 100*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// unanswered are the requests that nothing has answered, the oldest first.
func (k *talk) unanswered() []decode.Waiting {
	var all []decode.Waiting
	for _, n := range slices.Sorted(maps.Keys(k.waiting)) {
		if s, ok := k.ledger.get(uint32(n)); ok && k.waits(&s) {
			all = append(all, k.waiting[n])
		}
	}
	return all
}

// before is a decoder as it was before a row was said, and the row from which on it has
// to listen; nil if there is none.
func (k *talk) before(row int) *listener {
	k.mu.Lock()
	defer k.mu.Unlock()
	i, _ := slices.BinarySearchFunc(k.states, row+1, func(s state, row int) int { return s.row - row })
	if i == 0 {
		return nil
	}
	s := k.states[i-1]
	return &listener{source: k.source, table: k.table, session: k.session, as: k.as, decoder: s.decoder.Clone(), upto: s.row}
}
