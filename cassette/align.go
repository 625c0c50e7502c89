package cassette

// alignLimit bounds the table of an exact alignment; longer ones look ahead only
// so far.
const (
	alignLimit = 4 << 20
	lookAhead  = 64
)

// pair is a line of one side by its place in two lists; -1: the list lacks it.
type pair struct{ a, b int }

// align puts two lists beside each other so that as many as can be are equal.
func align(n, m int, equal func(i, j int) bool) []pair {
	var head, tail []pair
	from := 0
	for from < n && from < m && equal(from, from) {
		head = append(head, pair{from, from})
		from++
	}
	end := 0
	for end < n-from && end < m-from && equal(n-1-end, m-1-end) {
		end++
	}
	for i := end; i > 0; i-- {
		tail = append(tail, pair{n - i, m - i})
	}
	middle := func(i, j int) bool { return equal(from+i, from+j) }
	var between []pair
	if rows, columns := n-from-end, m-from-end; rows*columns <= alignLimit {
		between = longest(rows, columns, middle)
	} else {
		between = greedy(rows, columns, middle)
	}
	for _, p := range between {
		if p.a >= 0 {
			p.a += from
		}
		if p.b >= 0 {
			p.b += from
		}
		head = append(head, p)
	}
	return append(head, tail...)
}

// longest aligns by a longest common subsequence.
func longest(n, m int, equal func(i, j int) bool) (all []pair) {
	table := make([]int32, (n+1)*(m+1)) // of what is common behind i and j
	same := make([]bool, n*m)
	at := func(i, j int) int { return i*(m+1) + j }
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			best := max(table[at(i+1, j)], table[at(i, j+1)])
			if equal(i, j) {
				same[i*m+j] = true
				best = max(best, table[at(i+1, j+1)]+1)
			}
			table[at(i, j)] = best
		}
	}
	i, j := 0, 0
	for i < n && j < m {
		switch {
		case same[i*m+j] && table[at(i, j)] == table[at(i+1, j+1)]+1:
			all = append(all, pair{i, j})
			i, j = i+1, j+1
		case table[at(i+1, j)] >= table[at(i, j+1)]:
			all = append(all, pair{i, -1})
			i++
		default:
			all = append(all, pair{-1, j})
			j++
		}
	}
	return rest(all, i, n, j, m)
}

func rest(all []pair, i, n, j, m int) []pair {
	for ; i < n; i++ {
		all = append(all, pair{i, -1})
	}
	for ; j < m; j++ {
		all = append(all, pair{-1, j})
	}
	return all
}

// greedy aligns with what is nearest.
func greedy(n, m int, equal func(i, j int) bool) (all []pair) {
	i, j := 0, 0
	for i < n && j < m {
		p, ok := nearest(i, n, j, m, equal)
		if !ok {
			all = append(all, pair{i, -1}, pair{-1, j})
			i, j = i+1, j+1
			continue
		}
		for ; i < p.a; i++ {
			all = append(all, pair{i, -1})
		}
		for ; j < p.b; j++ {
			all = append(all, pair{-1, j})
		}
		all = append(all, p)
		i, j = i+1, j+1
	}
	return rest(all, i, n, j, m)
}

func nearest(i, n, j, m int, equal func(i, j int) bool) (pair, bool) {
	for far := range lookAhead {
		for k := range far + 1 {
			if x, y := i+k, j+far-k; x < n && y < m && equal(x, y) {
				return pair{x, y}, true
			}
		}
	}
	return pair{}, false
}

// stays marks what of a list is in ascending order, as much as can be.
func stays(list []int) []bool {
	length := make([]int, len(list))
	before := make([]int, len(list))
	var ends []int // index of the least last element, by length
	for i, x := range list {
		low, high := 0, len(ends)
		for low < high {
			if mid := (low + high) / 2; list[ends[mid]] < x {
				low = mid + 1
			} else {
				high = mid
			}
		}
		before[i] = -1
		if low > 0 {
			before[i] = ends[low-1]
		}
		length[i] = low + 1
		if low == len(ends) {
			ends = append(ends, i)
		} else {
			ends[low] = i
		}
	}
	marks := make([]bool, len(list))
	if len(ends) > 0 {
		for i := ends[len(ends)-1]; i >= 0; i = before[i] {
			marks[i] = true
		}
	}
	return marks
}
