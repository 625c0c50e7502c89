package cassette

import (
	"fmt"
	"regexp"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Bounds on what is taken for a heartbeat.
const (
	beats     = 3                      // so often it came at least
	slowBeat  = 500 * time.Millisecond // and not faster than this
	beatReply = 3                      // most messages that answer it
	answerFar = 1000                   // so many lines behind it, at most
)

// pingShape is a message that says by itself that it is a heartbeat, so that once is
// enough: {"type":"ping"}.
var pingShape = regexp.MustCompile(`^\s*\{\s*"(?:type|op|event|action|method|cmd)"\s*:\s*"(?i:ping|heartbeat)"\s*\}\s*$`)

// React makes reactions of the heartbeats of clients: a message that came again
// and again, at about the same pace, each time with the same answer right behind
// it. Replayed at another pace such a message would come at another place. The same
// is done with what Engine.IO leaves to chance.
func (c *Cassette) React() []Change { return append(c.engineIO(), c.heartbeats()...) }

func (c *Cassette) heartbeats() []Change {
	type key struct {
		session int
		content string
	}
	found := map[key]*beat{}
	var order []key
	var now time.Duration
	for i := range c.Lines {
		l := &c.Lines[i]
		now += l.After
		if l.From != inspect.ToServer || !isText(l.Kind) && l.Kind != Binary || len(l.Data) > 1<<10 {
			continue
		}
		k := key{l.Session, c.content(i)}
		b := found[k]
		if b == nil {
			b = &beat{session: l.Session}
			found[k] = b
			order = append(order, k)
		}
		b.at = append(b.at, now)
		b.lines = append(b.lines, []int{i})
	}
	var all []*beat
	for _, k := range order {
		if b := found[k]; c.beats(b) {
			all = append(all, b)
		}
	}
	return c.reactTo(all)
}

// beat is a message that came several times.
type beat struct {
	session int
	lines   [][]int // each time: its line and those of its answer
	at      []time.Duration
}

func (c *Cassette) reactTo(all []*beat) (changes []Change) {
	gone := map[int]bool{}
	made := map[int][]Line{}
	for _, b := range all {
		first := b.lines[0]
		r := &Reaction{When: c.bare(first[0])}
		for _, j := range first[1:] {
			r.Send = append(r.Send, c.bare(j))
		}
		made[b.session] = append(made[b.session], Line{Session: b.session, Kind: When, Reaction: r})
		for _, lines := range b.lines {
			for _, j := range lines {
				gone[j] = true
			}
		}
		changes = append(changes, Change{Line: first[0] + 2, Was: fmt.Sprintf("%d heartbeats %s", len(b.lines), Describe(c.Lines[first[0]])),
			Why: "the client says it again and again; it became a reaction, which answers any number of times"})
	}
	if len(made) > 0 {
		c.put(made, gone)
	}
	return changes
}

// bare is a line without what it was to the lines around it.
func (c *Cassette) bare(i int) Line {
	l := c.Lines[i]
	l.Session, l.After, l.Within, l.At = 0, 0, 0, 0
	return l
}

// content is what makes two lines the same.
func (c *Cassette) content(i int) string { return LineText(c.bare(i)) }

// answer are the lines of the server that stand behind a client's, up to the
// client's next.
func (c *Cassette) answer(i int) (all []int) {
	session := c.Lines[i].Session
	for j := i + 1; j < min(len(c.Lines), i+answerFar) && len(all) <= beatReply; j++ {
		switch l := &c.Lines[j]; {
		case l.Session != session:
		case l.From != inspect.ToClient:
			return all
		case isText(l.Kind) || l.Kind == Binary:
			all = append(all, j)
		default:
			return all
		}
	}
	return all
}

// beats says that a message is a heartbeat, and cuts its answers to what is the
// same each time.
func (c *Cassette) beats(b *beat) bool {
	ping := pingShape.Match(c.Lines[b.lines[0][0]].Data)
	if len(b.lines) < beats && !ping || !ping && !b.paced() {
		return false
	}
	for i := range b.lines {
		b.lines[i] = append(b.lines[i], c.answer(b.lines[i][0])...)
	}
	same := len(b.lines[0])
	for _, all := range b.lines[1:] {
		n := 1
		for n < min(same, len(all)) && c.content(all[n]) == c.content(b.lines[0][n]) {
			n++
		}
		same = n
	}
	for i := range b.lines {
		b.lines[i] = b.lines[i][:same]
	}
	return same > 1 && same <= 1+beatReply
}

// paced says that a message came at about the same pace.
func (b *beat) paced() bool {
	least, most := b.at[1]-b.at[0], b.at[1]-b.at[0]
	for i := 2; i < len(b.at); i++ {
		least, most = min(least, b.at[i]-b.at[i-1]), max(most, b.at[i]-b.at[i-1])
	}
	return least >= slowBeat && most <= 3*least
}

// put takes lines out and puts reactions behind the session's beginning. What
// time the lines took is the next one's.
func (c *Cassette) put(made map[int][]Line, gone map[int]bool) {
	var lines []Line
	var pause time.Duration
	for i, l := range c.Lines {
		if gone[i] {
			pause += l.After
			continue
		}
		l.After, pause = l.After+pause, 0
		lines = append(lines, l)
		if l.Kind == Open {
			lines = append(lines, made[l.Session]...)
		}
	}
	c.Lines = lines
}
