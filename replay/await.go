package replay

import (
	"fmt"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// awaiting is what the other side is expected to say, and how much of it has come.
type awaiting struct {
	side      inspect.Dir // whose messages these are
	scope     *cassette.Scope
	want      []*cassette.Line
	reactions []*cassette.Reaction
	anew      []string // the variables that stand in reactions alone

	done  []bool
	pos   int // the first that may still come
	front int // the first that must still come
	came  int // that have
}

func (a *awaiting) add(l *cassette.Line) {
	a.want, a.done = append(a.want, l), append(a.done, false)
}

// start makes ready for the first message, once all have been added, or again.
func (a *awaiting) start() {
	clear(a.done)
	a.pos, a.front = 0, 0
	a.advance()
}

// advance moves front over what has come or need not.
func (a *awaiting) advance() {
	for a.front < len(a.want) && (a.done[a.front] || a.want[a.front].Optional) {
		a.front++
	}
}

// over says that nothing more must come.
func (a *awaiting) over() bool { return a.front == len(a.want) }

// required counts what must come in all, and of it what has not.
func (a *awaiting) required() (all, missing int) {
	for i := range a.want {
		if a.want[i].Optional {
			continue
		}
		if all++; !a.done[i] {
			missing++
		}
	}
	return all, missing
}

// candidates are the messages that may come next: an optional one and what is
// behind it, and all that are left of those in any order.
func (a *awaiting) candidates() (all []int) {
	for i := a.pos; i < len(a.want); {
		group, blocked := a.want[i].Group, false
		for first := i; i < len(a.want) && (i == first || group > 0 && a.want[i].Group == group); i++ {
			if !a.done[i] {
				all = append(all, i)
				blocked = blocked || !a.want[i].Optional
			}
		}
		if blocked {
			break
		}
	}
	return all
}

// reach takes message i as come.
func (a *awaiting) reach(i int) {
	a.done[i] = true
	a.came++
	from := a.pos
	a.pos = i
	if g := a.want[i].Group; g > 0 {
		for a.pos > 0 && a.want[a.pos-1].Group == g {
			a.pos--
		}
	}
	for a.pos < len(a.want) && a.done[a.pos] {
		a.pos++
	}
	for j := from; j < a.pos; j++ {
		a.done[j] = a.done[j] || a.want[j].Optional // it can come no more
	}
	a.advance()
}

// take takes a message: one that is expected, or one that has a reaction, which
// is answered. A message that is neither has a Mismatch, and near is the message
// that it was compared with; -1: there is none.
func (a *awaiting) take(l cassette.Line) (r *cassette.Reaction, miss *Mismatch, near int) {
	if i := a.pos; i < len(a.want) && !a.done[i] && a.want[i].Group == 0 && !a.want[i].Optional && len(a.reactions) == 0 {
		if diff := a.scope.Match(*a.want[i], l); diff != nil { // the common case, without a list
			return nil, a.missed(l, i, diff), i
		}
		a.reach(i)
		return nil, nil, i
	}
	nearest, least := -1, []string(nil)
	for _, i := range a.candidates() {
		diff := a.scope.Match(*a.want[i], l)
		if diff == nil {
			a.reach(i)
			return nil, nil, i
		}
		if nearest < 0 || a.nearer(i, nearest, l, len(diff) < len(least)) {
			nearest, least = i, diff
		}
	}
	a.scope.Forget(a.anew)
	for _, r := range a.reactions {
		if a.scope.Match(r.When, l) == nil {
			return r, nil, -1
		}
	}
	return nil, a.missed(l, nearest, least), nearest
}

// nearer says that message i resembles l more than message j does: by its kind,
// then by having fewer differences.
func (a *awaiting) nearer(i, j int, l cassette.Line, fewer bool) bool {
	kind, other := a.want[i].Kind == l.Kind, a.want[j].Kind == l.Kind
	return kind && !other || kind == other && fewer
}

// missed tells of a message that is not message i, or that nobody expects.
func (a *awaiting) missed(l cassette.Line, i int, diff []string) *Mismatch {
	m := &Mismatch{Side: a.side, Message: a.came + 1, Got: cassette.Describe(l)}
	if i < 0 {
		m.Problem = "nothing more was recorded"
		return m
	}
	want := a.want[i]
	m.Message, m.Line, m.Problem, m.Diff, m.Want = i+1, want.At, "not what was recorded", diff, cassette.Describe(*want)
	for j := i + 1; j < len(a.want); j++ {
		if !a.done[j] && cassette.Match(*a.want[j], l) == nil {
			m.Problem = fmt.Sprintf("too early: it was recorded as message %d", j+1)
			break
		}
	}
	return m
}

// pass takes a message as the one that it was compared with.
func (a *awaiting) pass(l cassette.Line, near int) {
	if near >= 0 && (a.want[near].Kind == cassette.Close) == (l.Kind == cassette.Close) {
		a.reach(near)
		a.came--
	}
}
