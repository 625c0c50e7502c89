package ui

import (
	mathbits "math/bits"
	"sort"
)

// rowSet is a set of a session's rows, a bit a row, that can be counted through
// at once.
type rowSet struct {
	words []uint64
	ranks []int // how many are in front of each block
	n     int
}

// blockWords are the words of a block.
const blockWords = 16

// add adds a row. In order it costs nothing; in front of others, more.
func (s *rowSet) add(row int) {
	w, bit := row/64, uint64(1)<<(row%64)
	for len(s.words) <= w {
		if len(s.words)%blockWords == 0 {
			s.ranks = append(s.ranks, s.n)
		}
		s.words = append(s.words, 0)
	}
	if s.words[w]&bit != 0 {
		return
	}
	s.words[w] |= bit
	s.shift(w, 1)
}

// remove takes a row out.
func (s *rowSet) remove(row int) {
	w, bit := row/64, uint64(1)<<(row%64)
	if w < len(s.words) && s.words[w]&bit != 0 {
		s.words[w] &^= bit
		s.shift(w, -1)
	}
}

func (s *rowSet) shift(word, by int) {
	s.n += by
	for b := word/blockWords + 1; b < len(s.ranks); b++ {
		s.ranks[b] += by
	}
}

func (s *rowSet) has(row int) bool {
	w := row / 64
	return w < len(s.words) && s.words[w]&(1<<(row%64)) != 0
}

// before is how many rows of the set are in front of a row.
func (s *rowSet) before(row int) int {
	w := row / 64
	if w >= len(s.words) {
		return s.n
	}
	b := w / blockWords
	n := s.ranks[b]
	for i := b * blockWords; i < w; i++ {
		n += mathbits.OnesCount64(s.words[i])
	}
	return n + mathbits.OnesCount64(s.words[w]&(1<<(row%64)-1))
}

// at is the i-th row of the set, from 0; i must be below n.
func (s *rowSet) at(i int) int {
	b := sort.Search(len(s.ranks), func(b int) bool { return s.ranks[b] > i }) - 1
	i -= s.ranks[b]
	for w := b * blockWords; ; w++ {
		k := mathbits.OnesCount64(s.words[w])
		if i >= k {
			i -= k
			continue
		}
		rest := s.words[w]
		for range i {
			rest &= rest - 1
		}
		return w*64 + mathbits.TrailingZeros64(rest)
	}
}

// index is the place in the set of a row, or of the last one in front of it; -1
// without one.
func (s *rowSet) index(row int) int {
	n := s.before(row)
	if s.has(row) {
		n++
	}
	return n - 1
}

// insert adds a row among others; the set is right again behind count.
func (s *rowSet) insert(row int) {
	if row/64 < len(s.words) {
		s.words[row/64] |= 1 << (row % 64)
		return
	}
	s.add(row)
}

// count counts all again.
func (s *rowSet) count() {
	s.n = 0
	for w, bitsOf := range s.words {
		if w%blockWords == 0 {
			s.ranks[w/blockWords] = s.n
		}
		s.n += mathbits.OnesCount64(bitsOf)
	}
}
