package decode

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// The findings of decoders.
const (
	FindBroken = "decode-broken" // a message is not what its protocol asks for
	FindGap    = "decode-gap"    // what came before is missing, and was forgotten
	FindMany   = "decode-many"   // a message holds more items than are told
)

// maxWaiting bounds the requests of a session that wait for their answers.
const maxWaiting = 4096

// guesses is how many messages are looked at before a guess at the protocol stands.
const guesses = 8

// Session decodes one WebSocket session. It must not be used by two goroutines at once.
type Session struct {
	table   *Table
	id      inspect.SessionID
	hints   Hints
	first   [2]bool
	name    string // of the protocol; empty: nothing was said yet
	codes   map[uint16]string
	decoder Decoder
	bid     int
	forced  bool
	settled bool // an item of this protocol was read
	seen    int
	lost    [2]bool  // by Dir: what follows cannot be read
	holed   [2]bool  // by Dir: what came before the next item is missing
	end     [2]int64 // by Dir: where the next frame should begin
	out     Out
	ruled   map[string]bool // protocols that it is not

	n       uint64
	waiting map[asked]waits
	order   []turn // as they were asked; some are answered
}

// asked is a question: who asked, and under which key an answer comes.
type asked struct {
	dir inspect.Dir
	key string
}

// turn is when something was asked.
type turn struct {
	asked
	n uint64
}

type waits struct {
	kind  Kind
	n     uint64
	name  string
	topic string
	id    string
	time  time.Time
}

// Waiting is a request that no answer has come to.
type Waiting struct {
	N     uint64 // of the item
	Name  string
	ID    string
	Topic string
	Dir   inspect.Dir
	Time  time.Time
}

// Session begins to decode a session; opened may be nil where nothing is known of it.
func (t *Table) Session(opened *inspect.Opened) *Session {
	s := &Session{table: t, waiting: map[asked]waits{}, ruled: map[string]bool{}}
	s.hints.table = t
	if opened == nil {
		return s
	}
	h := opened.Handshake
	s.id = opened.Session
	s.hints.Offered, s.hints.Subprotocol = h.Offered, h.Subprotocol
	s.hints.Path, s.hints.Query, _ = strings.Cut(h.Path(), "?")
	return s
}

// Protocol is the name of the protocol that the session speaks, as far as is known;
// empty before anything was said.
func (s *Session) Protocol() string { return s.name }

// Force decodes what comes by this protocol, whatever it looks like.
func (s *Session) Force(name string) error {
	p, ok := s.table.Lookup(name)
	if !ok {
		return fmt.Errorf("there is no protocol %q", name)
	}
	s.take(&p, agreedBid+1)
	s.forced, s.lost = true, [2]bool{}
	return nil
}

func (s *Session) take(p *Protocol, bid int) {
	s.name, s.codes, s.decoder, s.bid, s.settled = p.Name, p.Codes, p.new(&s.hints), bid, false
}

// Clone is a copy that goes on by itself: what a checkpoint keeps.
func (s *Session) Clone() *Session {
	c := *s
	if s.decoder != nil {
		c.decoder = s.decoder.Clone()
	}
	c.waiting, c.ruled, c.order, c.out = maps.Clone(s.waiting), maps.Clone(s.ruled), slices.Clone(s.order), Out{}
	return &c
}

// Waiting are the requests without an answer, the oldest first.
func (s *Session) Waiting() []Waiting {
	all := make([]Waiting, 0, len(s.waiting))
	for a, w := range s.waiting {
		all = append(all, Waiting{w.n, w.name, w.id, w.topic, a.dir, w.time})
	}
	slices.SortFunc(all, func(a, b Waiting) int { return int(int64(a.N) - int64(b.N)) })
	return all
}

// Message takes the session's next message and answers what it says. The items are
// valid until the next call.
func (s *Session) Message(m *inspect.Message) []Item {
	s.out.begin(m)
	switch {
	case m.Opcode == inspect.OpClose:
		s.closing(m)
	case m.Opcode.Control():
		return nil
	case m.Undecodable || m.Cut:
		s.missing(m)
	default:
		s.data(m)
	}
	for i := range s.out.items {
		s.finish(&s.out.items[i])
	}
	if n := s.out.more; n > 0 {
		last := &s.out.items[len(s.out.items)-1]
		last.finding(FindMany, inspect.Info, "the message holds at least %d items more, which are not shown", n)
		s.place(last)
	}
	return s.out.items
}

// Event takes the session's next event and answers what it says: of a message its
// items, of anything else nothing. Frames tell where some are missing.
func (s *Session) Event(e inspect.Event) []Item {
	switch e := e.(type) {
	case *inspect.Frame:
		s.frame(e)
	case *inspect.Message:
		return s.Message(e)
	}
	return nil
}

// frame notices a hole in front of a frame by where it begins.
func (s *Session) frame(f *inspect.Frame) {
	if end := s.end[f.Dir]; end > 0 && f.Off != end {
		s.Gap(f.Dir)
	}
	h := f.Header
	s.end[f.Dir] = f.Off + int64(len(h.Raw())) + int64(min(h.Length(), 1<<60))
}

// Gap says that messages of a direction are missing in front of the next one. Event
// notices that by itself.
func (s *Session) Gap(d inspect.Dir) {
	if s.decoder != nil {
		s.decoder.Gap(d)
	}
	s.lost[d], s.holed[d] = false, true
}

// closing tells a close code where the protocol gives it a meaning.
func (s *Session) closing(m *inspect.Message) {
	code, reason, ok := inspect.ParseClose(m.Data)
	if !ok || s.codes[uint16(code)] == "" {
		return
	}
	s.out.whole(Error, fmt.Sprintf("close %d %s", uint16(code), s.codes[uint16(code)])).says(textNode("", string(reason)))
}

// missing takes a message of which not everything is there.
func (s *Session) missing(m *inspect.Message) {
	s.Gap(m.Dir)
	s.holed[m.Dir] = false // it shows
	why := "the message is not whole"
	if m.Undecodable {
		why = "the message cannot be inflated"
	}
	s.out.whole(Event, "(not whole)").says(rawNode(m)).
		finding(FindGap, inspect.Info, "%s: what its protocol says in it is not known, and what depends on it was forgotten", why)
}

func (s *Session) data(m *inspect.Message) {
	s.detect(m)
	if s.lost[m.Dir] {
		s.out.whole(Event, "(raw)").says(rawNode(m))
		return
	}
	for {
		b := s.run(m)
		if b == nil {
			s.settled = s.settled || len(s.out.items) > 0
			return
		}
		if !s.settled && !s.forced && s.again() {
			s.out.begin(m)
			continue
		}
		s.lost[m.Dir] = b.Lost
		at := 0
		if len(s.out.items) > 0 { // what was read before it stands
			at = max(0, min(b.At, len(m.Data)))
		}
		it := s.out.item(Event, "(raw)", at, len(m.Data)-at)
		it.says(rawNode(&inspect.Message{Opcode: m.Opcode, Data: m.Data[at:], InvalidUTF8: m.InvalidUTF8}))
		it.finding(FindBroken, inspect.Warning, "this is no %s, at byte %d of the message: %s", s.name, b.At, b.Why)
		return
	}
}

// run lets the decoder read. One that panics is broken, and disturbs nothing else.
func (s *Session) run(m *inspect.Message) (b *Broken) {
	defer func() {
		if r := recover(); r != nil {
			b = &Broken{Why: fmt.Sprintf("panic in the decoder: %v", r), Lost: true}
		}
	}()
	return s.decoder.Message(m, &s.out)
}

// again rules the protocol out that did not read its first message and takes the next
// best one.
func (s *Session) again() bool {
	s.ruled[s.name] = true
	p, bid := s.table.best(&s.hints, 0, s.ruled)
	if p == nil {
		return false
	}
	s.take(p, bid)
	return true
}

// detect looks whether another protocol knows better what is spoken. After a few
// messages it stays as it is.
func (s *Session) detect(m *inspect.Message) {
	if s.forced || s.seen >= guesses || s.bid >= agreedBid {
		return
	}
	s.seen++
	data := m.Data[:min(len(m.Data), firstLimit)]
	w := Words{Data: data, Text: m.Opcode == inspect.OpText, Whole: len(data) == len(m.Data)}
	s.hints.Now, s.hints.Dir = w, m.Dir
	if !s.first[m.Dir] {
		w.Data = bytes.Clone(w.Data)
		s.first[m.Dir], s.hints.First[m.Dir] = true, w
	}
	if p, bid := s.table.best(&s.hints, s.bid, s.ruled); p != nil && p.Name != s.name {
		s.take(p, bid)
	}
	s.hints.Now = Words{}
	if s.seen == guesses {
		s.hints.First = [2]Words{}
	}
}

// finish numbers an item, finds what it answers and places its findings.
func (s *Session) finish(it *Item) {
	s.n++
	it.N = s.n
	if it.either {
		if _, ok := s.waiting[asked{it.Dir.Other(), it.asks}]; ok {
			it.answers, it.asks = it.asks, ""
			if it.Kind == Request {
				it.Kind = Reply
			}
		}
	}
	if it.answers != "" {
		s.answered(it)
	}
	if s.holed[it.Dir] {
		s.holed[it.Dir] = false
		it.finding(FindGap, inspect.Info, "messages before this one are missing, and what depends on them was forgotten")
	}
	if it.Name == "" {
		it.Name = it.Kind.String()
	}
	if it.asks != "" {
		s.asked(it)
	}
	s.place(it)
}

// place says of an item's findings where they are.
func (s *Session) place(it *Item) {
	for i := range it.Findings {
		f := &it.Findings[i]
		f.Session, f.Dir, f.Time, f.Clause = s.id, it.Dir, it.Time, s.name
		if len(it.Parts) > 0 {
			f.Frame = it.Parts[len(it.Parts)-1].Last
		}
	}
}

func (s *Session) answered(it *Item) {
	key := asked{it.Dir.Other(), it.answers}
	w, ok := s.waiting[key]
	if !ok {
		return
	}
	it.Answers, it.Of, it.Latency = w.n, w.name, it.Time.Sub(w.time)
	if w.kind == Heartbeat && it.Kind == Reply {
		it.Kind = Heartbeat
	}
	if it.Topic == "" {
		it.Topic = w.topic
	}
	if !it.more && (it.moreFor == "" || !strings.HasPrefix(w.name, it.moreFor)) {
		delete(s.waiting, key)
	}
}

func (s *Session) asked(it *Item) {
	key := asked{it.Dir, it.asks}
	if len(key.key) > 256 { // an id that nobody wrote
		return
	}
	if _, again := s.waiting[key]; !again && len(s.waiting) >= maxWaiting {
		s.forget()
	}
	s.waiting[key] = waits{it.Kind, it.N, brief(it.Name), brief(it.Topic), brief(it.ID), it.Time}
	s.order = append(s.order, turn{key, it.N})
	if len(s.order) > 2*maxWaiting {
		s.order = slices.DeleteFunc(s.order, func(t turn) bool { return s.waiting[t.asked].n != t.n })
	}
}

// brief is the beginning of what would be remembered whole otherwise, thousands of times.
func brief(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:most]), "") + "…"
}

// forget lets the oldest request go that still waits.
func (s *Session) forget() {
	for i, t := range s.order {
		if s.waiting[t.asked].n == t.n {
			delete(s.waiting, t.asked)
			s.order = s.order[i+1:]
			return
		}
	}
	s.order = nil
}
