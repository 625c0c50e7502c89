package ui

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/record"
)

// sieve is a filter that is set, and what it has let through so far. A goroutine
// sifts; the loop looks.
type sieve struct {
	filter   *filter.Filter
	source   source
	messages bool // fragments are left out
	wake     func()
	kick     chan struct{}
	stop     context.CancelFunc

	told time.Time // when the screen was last asked to show how far it is; of the goroutine

	mu      sync.Mutex
	sets    map[int]*rowSet
	whole   map[int]bool // sessions whose frames are wanted, all of them
	list    []int        // sessions with something in them, in order, without exchanges
	every   []int        // the same with exchanges
	frames  int64        // that were let through
	looked  int64
	of      int64
	caught  uint64 // the source's version that was sifted to its end
	changes int
	err     error
}

// sieveTold is how often the screen shows how far it is.
const sieveTold = 100 * time.Millisecond

func newSieve(src source, f *filter.Filter, messages bool, wake func()) *sieve {
	return &sieve{filter: f, source: src, messages: messages, wake: wake, kick: make(chan struct{}, 1), sets: map[int]*rowSet{}, whole: map[int]bool{}}
}

// run sifts whenever it is kicked, until ctx ends. Its caller waits for it.
func (s *sieve) run(ctx context.Context) {
	through := s.source.Sieve(s.filter, s)
	early := !s.source.Progress().Done
	for {
		version, done := s.source.Version(), s.source.Progress().Done
		if early && done { // what the messages hold, and what is wrong with them, is known by now
			early = false
			if s.filter.AsksLate() {
				s.clear()
				through = s.source.Sieve(s.filter, s)
			}
		}
		begun := time.Now()
		err := through.Advance(ctx)
		took := time.Since(begun)
		s.mu.Lock()
		s.caught, s.err = version, err // what cannot be read is tried again when there is more
		s.mu.Unlock()
		s.wake()
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
		if !sleep(ctx, min(sieveRest*took, sieveTold)) {
			return
		}
	}
}

// sieveRest is how many times as long as it has sifted it rests: to look through
// thousands of open sessions for what is new takes its time.
const sieveRest = 10

// sleep waits; false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// look asks for what is new to be sifted.
func (s *sieve) look() {
	s.mu.Lock()
	current := s.caught == s.source.Version()
	s.mu.Unlock()
	if !current {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
}

// Frame takes a row that the filter wants.
func (s *sieve) Frame(r record.Row) error {
	if _, found := r.Worst(); s.messages && r.Opcode() == inspect.OpContinuation && !found {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sets[r.Session()]
	if set == nil {
		set = &rowSet{}
		s.sets[r.Session()] = set
		s.list, s.every = with(s.list, r.Session()), with(s.every, r.Session())
	}
	before := set.n
	set.add(int(r.N()) - 1)
	s.frames += int64(set.n - before)
	return nil
}

// Session takes a session whose frames the filter wants, or does not.
func (s *sieve) Session(i int, wanted bool) {
	exchange := wanted && s.source.Session(i).Kind == record.Exchange
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole[i] == wanted {
		return
	}
	s.changes++
	if !wanted {
		delete(s.whole, i)
		s.list, s.every = without(s.list, i), without(s.every, i)
		return
	}
	s.whole[i] = true
	s.every = with(s.every, i)
	if !exchange {
		s.list = with(s.list, i)
	}
}

// Forget takes back what it was told of a session.
func (s *sieve) Forget(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.sets[i]; set != nil {
		s.frames -= int64(set.n)
	}
	delete(s.sets, i)
	delete(s.whole, i)
	s.list, s.every = without(s.list, i), without(s.every, i)
	s.changes++
}

// Progress takes how far it is.
func (s *sieve) Progress(looked, of int64) {
	if now := time.Now(); now.Sub(s.told) >= sieveTold {
		s.told = now
		defer s.wake()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked, s.of = looked, of
}

// clear begins anew.
func (s *sieve) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets, s.whole, s.list, s.every, s.frames = map[int]*rowSet{}, map[int]bool{}, nil, nil, 0
	s.changes++
}

// with is a sorted list with a number in it. What others hold of the list stays.
func with(list []int, i int) []int {
	if len(list) == 0 || list[len(list)-1] < i {
		return append(list, i)
	}
	at, ok := slices.BinarySearch(list, i)
	if ok {
		return list
	}
	return slices.Insert(slices.Clone(list), at, i)
}

func without(list []int, i int) []int {
	at, ok := slices.BinarySearch(list, i)
	if !ok {
		return list
	}
	return slices.Delete(slices.Clone(list), at, at+1)
}

// sifted is how far a sieve is.
type sifted struct {
	sessions   []int
	frames     int64
	looked, of int64
	current    bool // it has seen everything
	err        error
}

func (s *sieve) progress(exchanges bool) sifted {
	version := s.source.Version()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := sifted{s.list, s.frames, s.looked, s.of, s.caught == version, s.err}
	if exchanges {
		p.sessions = s.every
	}
	return p
}

// order is that of a session; nil if all of it is wanted.
func (s *sieve) order(session, first int) order {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole[session] {
		return nil
	}
	return &wantedRows{s, session, first}
}

// wantedRows are the rows of a session that a sieve lets through.
type wantedRows struct {
	sieve          *sieve
	session, first int
}

func (w *wantedRows) of(f func(*rowSet) int) int {
	w.sieve.mu.Lock()
	defer w.sieve.mu.Unlock()
	if set := w.sieve.sets[w.session]; set != nil {
		return f(set)
	}
	return 0
}

func (w *wantedRows) rows() int {
	return w.of(func(s *rowSet) int { return s.n - s.before(w.first) })
}

func (w *wantedRows) row(i int) int {
	return w.of(func(s *rowSet) int {
		if i += s.before(w.first); i < 0 || i >= s.n {
			return w.first // it was taken back just now
		}
		return s.at(i)
	})
}

func (w *wantedRows) index(row int) int {
	return w.of(func(s *rowSet) int { return s.index(row) - s.before(w.first) })
}

func (w *wantedRows) folded(int) int { return 0 }

func (w *wantedRows) settled(int) bool { return w.sieve.progress(false).current }

func (w *wantedRows) version() int {
	w.sieve.mu.Lock()
	defer w.sieve.mu.Unlock()
	return w.sieve.changes
}

// wants says that a row is let through.
func (s *sieve) wants(r record.Row) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.sets[r.Session()]
	return s.whole[r.Session()] || set != nil && set.has(int(r.N())-1)
}
