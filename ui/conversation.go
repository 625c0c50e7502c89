package ui

import (
	"fmt"
	"math"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
)

// Bounds of the Conversation tab: of a longer one, what is around the selected frame.
const (
	toldItems   = 2000
	toldWaiting = 20
	toldReplies = 12 // of one request; the first and the last of more
)

// conversation makes the Conversation tab: what asked, with what answered below it, by
// topic.
func (m *maker) conversation() (whole bool) {
	k := m.want.talk
	if k == nil {
		m.say(dim, "Nobody speaks here.")
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	m.talkHead(k)
	m.unanswered(k)
	at := m.want.row.N()
	if m.want.entry == entryEnd {
		at = math.MaxUint32
	}
	items, from, to := k.around(at)
	if len(items) == 0 {
		return false
	}
	if n := int64(len(items)); n < int64(k.ledger.n) {
		m.say(dim, "items %s to %s of %s, around the selected frame", grouped(int64(from)), grouped(int64(to)), grouped(int64(k.ledger.n)))
	}
	m.topics(k, items)
	return false
}

// talkHead says in a line or two what was said.
func (m *maker) talkHead(k *talk) {
	name := k.protocol
	if name == "" {
		name = "nothing was said yet"
	}
	spans := []span{{visible(name), strong}}
	if k.as != "" {
		spans = append(spans, span{" (you say so: D)", dim})
	}
	for kind, n := range k.kinds {
		role := dim
		if decode.Kind(kind) == decode.Error {
			role = bad
		}
		if n > 0 {
			text := count(n, decode.Kind(kind).String())
			if decode.Kind(kind) == decode.Reply && n > 1 {
				text = fmt.Sprint(n, " replies")
			}
			spans = append(spans, span{" · ", dim}, span{text, role})
		}
	}
	m.lines = append(m.lines, line{spans: spans, indent: 2})
	if behind := k.source.Len(k.session) - k.heard; behind > 0 {
		m.say(odd, "%s of %s frames were listened to so far", grouped(int64(k.heard)), grouped(int64(k.heard+behind)))
	}
	if k.ledger.err != nil {
		m.say(bad, "What was said from here on is not kept: %s", visible(k.ledger.err.Error()))
	}
}

// unanswered lists the requests without an answer, with their age.
func (m *maker) unanswered(k *talk) {
	all := k.unanswered()
	if len(all) == 0 {
		return
	}
	m.title(fmt.Sprintf("Unanswered (%d)", len(all)))
	for i, w := range all {
		if i == toldWaiting {
			m.say(dim, "  and %d more", len(all)-i)
			break
		}
		s, _ := k.ledger.get(uint32(w.N))
		m.told(s.last, 2, span{arrow(w.Dir), dim}, span{inspect.Visible([]byte(w.Name), 120), plain}, span{idText(w.ID), dim}, span{"  for " + aged(k.age(w.Time)), odd})
	}
}

// around are the items around a frame.
func (k *talk) around(frame uint64) (items []said, from, to uint32) {
	at := k.ledger.from(uint32(frame))
	from = k.ledger.oldest()
	if at > from+toldItems/2 {
		from = at - toldItems/2
	}
	if end := k.ledger.n; end > toldItems && from > end-toldItems {
		from = max(end-toldItems+1, k.ledger.oldest())
	}
	for n := from; n <= k.ledger.n && n < from+toldItems; n++ {
		if s, ok := k.ledger.get(n); ok {
			items, to = append(items, s), n
		}
	}
	return items, from, to
}

// talked is what was said, with the answers to each item.
type talked struct {
	*talk
	replies map[uint32][]*said
}

// topics lists items by what they are about, each below what it answers.
func (m *maker) topics(k *talk, items []said) {
	x := talked{k, map[uint32][]*said{}}
	roots := map[string][]*said{}
	here := map[uint32]bool{}
	var order []string
	for i := range items {
		here[items[i].n] = true
	}
	beats := 0
	for i := range items {
		s := &items[i]
		switch {
		case s.kind == decode.Heartbeat:
			beats++
		case s.answers > 0 && here[s.answers]:
			x.replies[s.answers] = append(x.replies[s.answers], s)
		default:
			if _, ok := roots[s.topic]; !ok {
				order = append(order, s.topic)
			}
			roots[s.topic] = append(roots[s.topic], s)
		}
	}
	for _, topic := range order {
		name := topic
		if name == "" {
			name = "(no topic)"
		}
		if len(order) > 1 || topic != "" {
			m.title(name)
		} else {
			m.add()
		}
		for _, s := range roots[topic] {
			m.talked(s, &x, 2, "")
		}
	}
	if beats > 0 {
		m.add()
		m.say(dim, "and %s", count(beats, "heartbeat"))
	}
}

// indentMost is how far answers to answers are indented.
const indentMost = 20

// talked is an item and what answers it, below one with an id that need not be said again.
func (m *maker) talked(s *said, x *talked, indent int, under string) {
	r := plain
	if s.kind == decode.Error {
		r = bad
	}
	mark := span{}
	switch {
	case s.answersAt > 0:
		mark = span{"  +" + took(s.latency), dim}
	case x.waits(s):
		mark = span{"  unanswered " + aged(x.age(s.time)), odd}
	}
	id := idText(s.id)
	if s.id == under {
		id = ""
	}
	m.told(s.last, indent, span{arrow(s.dir), dim}, span{s.text[:s.name], r}, mark, span{id, dim}, span{s.text[s.name:], dim})
	all := x.replies[s.n]
	for i, a := range all {
		if len(all) > toldReplies && i == toldReplies/2 {
			m.say(dim, "%*s… %d more …", indent+8, "", len(all)-toldReplies)
		}
		if len(all) <= toldReplies || i < toldReplies/2 || i >= len(all)-toldReplies/2 {
			m.talked(a, x, min(indent+2, indentMost), s.id)
		}
	}
}

// told adds a line about a frame, which Enter goes to.
func (m *maker) told(frame uint32, indent int, spans ...span) {
	m.nodes = append(m.nodes, node{parent: -1, at: int(frame), frame: true})
	number := span{fmt.Sprintf("%*s#%-6d", indent, "", frame), dim}
	m.lines = append(m.lines, line{spans: append([]span{number}, spans...), node: int32(len(m.nodes)), short: true})
}

func arrow(d inspect.Dir) string {
	if d == inspect.ToServer {
		return "→ "
	}
	return "← "
}

func idText(id string) string {
	if id == "" {
		return ""
	}
	return "  " + inspect.Visible([]byte(id), idMost)
}

// goToTold goes to the frame that the line under the cursor is about; false if it is
// about none.
func (v *view) goToTold() bool {
	m := v.page()
	if m == nil || v.desk.cursor >= len(m.lines) {
		return false
	}
	i := m.lines[v.desk.cursor].node - 1
	if i < 0 || !m.nodes[i].frame {
		return false
	}
	v.goToFrame(v.frames.session, m.nodes[i].at-1)
	v.focus, v.alone = onFrames, false
	return true
}

// listens says of a want what its page needs of a talk, and how much of that there is.
func (v *view) listens(w *want) {
	if v.talk == nil {
		return
	}
	switch tabs()[w.tab].name {
	case conversationTab, "Findings":
		w.talk, w.told = v.talk, v.talk.version()
	case "Message":
		w.talk = v.talk
		if rows, _ := v.talk.near(); w.entry == entryFrame && rows < int(w.row.N()) {
			w.told = uint64(rows/heardSteps) + 1 // it is made again while it comes near
		}
	}
}

const conversationTab = "Conversation"
