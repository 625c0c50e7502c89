package ui

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// order says which of a session's rows the list has, from its first: row numbers
// are the Store's, from 0.
type order interface {
	rows() int              // that there are by now
	row(i int) (row int)    // of the i-th
	index(row int) int      // of that row, or of the last one in front of it; -1 without one
	folded(row int) int     // how many rows that one stands for; 0: itself
	settled(row int) bool   // what comes of it up to that row is known
	version() (changes int) // changes when rows that were there are not any more, or the other way round
}

// allRows are the rows as they are.
type allRows struct{ first, end int }

func (a allRows) rows() int         { return a.end - a.first }
func (a allRows) row(i int) int     { return a.first + i }
func (a allRows) index(row int) int { return min(row, a.end-1) - a.first }
func (a allRows) folded(int) int    { return 0 }
func (a allRows) settled(int) bool  { return true }
func (a allRows) version() int      { return 0 }

// listing is what a list leaves out.
type listing struct {
	messages bool // fragments but the first
	folds    bool // heartbeats
}

// shape is an order that leaves out rows, kept by a goroutine that looks at them.
type shape struct {
	session int
	listing listing
	talk    *talk       // which knows heartbeats of the protocol; may be nil
	heard   atomic.Bool // it was listened to: rows that it has not heard yet are not looked at

	work sync.Mutex // who looks at rows holds it

	mu      sync.Mutex
	set     rowSet
	upto    int          // rows were looked at
	first   int          // rows in front of it were written over
	run     int          // how many heartbeats the last rows are, in sequence
	runAt   [2]int       // the first two of them
	folds   map[int]int  // by the first row of a run: how many it stands for
	opened  map[int]bool // runs that are not folded
	changes int
}

// foldLeast is how many heartbeats in sequence take one row.
const foldLeast = 4

func newShape(session int, l listing, k *talk) *shape {
	return &shape{session: session, listing: l, talk: k, folds: map[int]int{}, opened: map[int]bool{}}
}

// follow looks at rows that it has not seen, at most so many, and says whether it
// has seen all of them. While another goroutine is at it, it has not.
func (s *shape) follow(src source, most int) (all bool) {
	if !s.work.TryLock() {
		return false
	}
	defer s.work.Unlock()
	end := math.MaxInt
	if heard, near := s.talk.near(); near && s.heard.Load() {
		end = heard
	}
	var rows [512]record.Row
	for from := s.seen(); ; {
		n := src.Rows(s.session, from, rows[:max(min(len(rows), end-from), 0)])
		if n == 0 {
			if first := src.First(s.session); first > from {
				from = first // it was written over
				continue
			}
			return true
		}
		s.take(from, rows[:n])
		from += n
		if most -= n; most <= 0 {
			return from >= min(src.Len(s.session), end)
		}
	}
}

// take takes rows, that come behind those before.
func (s *shape) take(from int, rows []record.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range rows {
		s.one(from+i, r)
	}
	s.upto = from + len(rows)
}

func (s *shape) one(i int, r record.Row) {
	op := r.Opcode()
	_, found := r.Worst()
	if s.listing.messages && op == inspect.OpContinuation && !found {
		return
	}
	if !s.listing.folds || found || !s.beats(i, op) {
		s.run = 0
		s.set.add(i)
		return
	}
	if s.run++; s.run <= len(s.runAt) {
		s.runAt[s.run-1] = i
	}
	first := s.runAt[0]
	switch {
	case s.opened[first] || s.run < foldLeast:
		s.set.add(i)
	case s.run == foldLeast:
		s.fold(first, i)
	default:
		s.folds[first]++
	}
}

// beats says that a row is a heartbeat, of WebSocket or of the protocol.
func (s *shape) beats(i int, op inspect.Opcode) bool {
	return op == inspect.OpPing || op == inspect.OpPong || s.talk.beat(i)
}

// fold makes one row of those that have turned out to be a run.
func (s *shape) fold(first, last int) {
	for i := s.set.index(last); i >= 0; i-- {
		row := s.set.at(i)
		if row <= first {
			break
		}
		s.set.remove(row)
	}
	s.folds[first] = foldLeast
	s.changes++
}

// unfold shows the rows of a run.
func (s *shape) unfold(src source, first int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left, ok := s.folds[first]
	if !ok {
		return
	}
	delete(s.folds, first)
	s.opened[first] = true
	s.changes++
	var rows [512]record.Row
	for from := first; left > 0 && from < s.upto; {
		n := src.Rows(s.session, from, rows[:])
		if n == 0 {
			break
		}
		for _, r := range rows[:n] {
			if left > 0 && s.beats(int(r.N())-1, r.Opcode()) {
				s.set.insert(int(r.N()) - 1)
				left--
			}
		}
		from += n
	}
	s.set.count()
}

// forget says that the rows in front of one were written over.
func (s *shape) forget(first int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first > s.first {
		s.first = first
		for row := range s.folds {
			if row+s.folds[row] < first {
				delete(s.folds, row)
			}
		}
	}
}

func (s *shape) rows() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.n - s.set.before(s.first)
}

func (s *shape) row(i int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i += s.set.before(s.first); i < 0 || i >= s.set.n {
		return max(s.upto-1, 0) // rows were folded just now
	}
	return s.set.at(i)
}

func (s *shape) index(row int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.index(row) - s.set.before(s.first)
}

func (s *shape) folded(row int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.folds[row]
}

func (s *shape) settled(row int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return row < s.upto
}

func (s *shape) version() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

func (s *shape) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upto
}
