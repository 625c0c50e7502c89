package ui

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A rowSet counts as a sorted list does.
func TestRowSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 50 {
		var s rowSet
		var want []int
		most := 1 + r.IntN(6000)
		for range 400 {
			row := r.IntN(most)
			at, ok := slices.BinarySearch(want, row)
			switch r.IntN(5) {
			case 0:
				if s.remove(row); ok {
					want = slices.Delete(want, at, at+1)
				}
			case 1:
				s.insert(row)
				s.count()
				if !ok {
					want = slices.Insert(want, at, row)
				}
			default:
				if s.add(row); !ok {
					want = slices.Insert(want, at, row)
				}
			}
		}
		if s.n != len(want) {
			t.Fatalf("%d rows, want %d", s.n, len(want))
		}
		for i, row := range want {
			if s.at(i) != row || s.before(row) != i || s.index(row) != i || !s.has(row) {
				t.Fatalf("row %d of %d: at %d, before %d, index %d", i, len(want), s.at(i), s.before(row), s.index(row))
			}
		}
		for range 100 {
			row := r.IntN(most + 200)
			at, ok := slices.BinarySearch(want, row)
			if s.has(row) != ok || s.before(row) != at || !ok && s.index(row) != at-1 {
				t.Fatalf("row %d: has %v, before %d, index %d; want %v, %d", row, s.has(row), s.before(row), s.index(row), ok, at)
			}
		}
	}
}

// Ten million rows take a bit each, and something for the counting.
func TestRowSetMemory(t *testing.T) {
	var s rowSet
	for i := 0; i < 10_000_000; i += 3 {
		s.add(i)
	}
	if bytes := 8*cap(s.words) + 8*cap(s.ranks); bytes > 2<<20 {
		t.Errorf("%d bytes", bytes)
	}
	if s.at(s.n-1) != 9_999_999 || s.before(5_000_000) != 1_666_667 {
		t.Errorf("the last is %d; in front of the middle are %d", s.at(s.n-1), s.before(5_000_000))
	}
}
