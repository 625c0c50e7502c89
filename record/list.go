package record

import "math/bits"

// list are records of one size, a power of two of at most a unit, in runs of
// pages: the first run is a unit long, each that follows twice as long as the one
// before, up to longestRun. So short lists are small, and a long one needs
// four bytes of memory for 256 KiB of records.
type list struct {
	size  int     // of a record
	n     int64   // records that there ever were
	first int64   // those before it are gone
	runs  []place // from run gone on
	gone  int
}

// longestRun is the class of the longest runs.
const longestRun = 9

// runOf is the run in which byte off of a list lies, and where in it.
func runOf(off int64) (run int, in int64) {
	const doubling = unitSize * (1<<(longestRun+1) - 1)
	if off >= doubling {
		off -= doubling
		return longestRun + 1 + int(off/(unitSize<<longestRun)), off % (unitSize << longestRun)
	}
	run = bits.Len64(uint64(off/unitSize)+1) - 1
	return run, off - unitSize*(1<<run-1)
}

func runClass(run int) int { return min(run, longestRun) }

// from are the records from i on that lie in one page, at least that one; i
// must not be gone. They are valid until the next use of the pages.
func (l *list) from(p *pages, i int64, write bool) []byte {
	run, in := runOf(i * int64(l.size))
	b := p.piece(l.runs[run-l.gone], in, write)
	b = b[:min(int64(len(b)), unitSize<<runClass(run)-in, (l.n-i)*int64(l.size))]
	return b
}

// has says that record i is there.
func (l *list) has(i int64) bool { return i >= l.first && i < l.n }

// at is record i alone.
func (l *list) at(p *pages, i int64) []byte { return l.from(p, i, false)[:l.size] }

// add appends a record.
func (l *list) add(p *pages, rec []byte) {
	if run, _ := runOf(l.n * int64(l.size)); run-l.gone >= len(l.runs) {
		l.runs = append(l.runs, p.take(runClass(run)))
	}
	l.n++
	copy(l.from(p, l.n-1, true), rec)
}

// trim lets go of the records before i, the pages as whole runs.
func (l *list) trim(p *pages, i int64) {
	if i <= l.first {
		return
	}
	l.first = min(i, l.n)
	run, _ := runOf(l.first * int64(l.size))
	k := min(run-l.gone, len(l.runs))
	for j, at := range l.runs[:k] {
		p.give(at, runClass(l.gone+j))
	}
	l.gone += k
	l.runs = append(l.runs[:0:0], l.runs[k:]...)
}

// drop gives everything back.
func (l *list) drop(p *pages) {
	for j, at := range l.runs {
		p.give(at, runClass(l.gone+j))
	}
	l.first, l.gone, l.runs = l.n, l.gone+len(l.runs), nil
}

// search is the first record from which on f is true, as sort.Search finds it.
func (l *list) search(p *pages, f func(rec []byte) bool) int64 {
	lo, hi := l.first, l.n
	for lo < hi {
		mid := lo + (hi-lo)/2
		if f(l.at(p, mid)) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}
