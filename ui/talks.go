package ui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// talks are what sessions that were looked at have said. One goroutine listens: to the
// session that is selected until it has heard all of it, then to the beginnings of others
// in sight, for their protocols' names.
type talks struct {
	source source
	table  *decode.Table
	live   bool
	wake   func() // asks for a drawing
	kick   chan struct{}

	mu     sync.Mutex
	as     map[int]string // what the user says that sessions speak
	all    string         // what the user says of all others; empty: it is guessed
	kept   []*talk        // the one that was asked for last is the last
	gone   []*talk        // to be closed
	peeked map[int]peek
	peeks  []int // sessions whose protocols are asked for
}

// peek is what the beginning of a session told.
type peek struct {
	protocol string
	rows     int  // that were looked at
	final    bool // more of them would tell no more
}

// Bounds of what is kept of talks.
const (
	talksKept  = 3
	peeksKept  = 4096
	peekRows   = 64
	heardTold  = 100 * time.Millisecond // how often the screen shows how far it is
	heardSteps = 2048                   // rows
)

func newTalks(src source, o *Options, wake func()) *talks {
	t := &talks{source: src, table: o.Protocols, live: o.Live, wake: wake, kick: make(chan struct{}, 1), as: map[int]string{}, peeked: map[int]peek{}}
	if t.table == nil {
		t.table, _ = decode.NewTable() // it fails for rules of a user only
	}
	if _, ok := t.table.Lookup(o.Decode); ok {
		t.all = o.Decode
	}
	return t
}

// listen has a session listened to, and is what it has said; nil if it says nothing.
func (t *talks) listen(x *record.Session) *talk {
	if x.Kind != record.WebSocket || x.Forgotten {
		return nil
	}
	k := t.of(x.Index)
	if !k.hears() {
		t.stir()
	}
	return k
}

// of is a session's talk.
func (t *talks) of(session int) *talk {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.kept, func(k *talk) bool { return k.session == session }); i >= 0 {
		k := t.kept[i]
		t.kept = append(slices.Delete(t.kept, i, i+1), k)
		return k
	}
	if len(t.kept) == talksKept {
		t.gone = append(t.gone, t.kept[0])
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	k := newTalk(t.source, t.table, session, t.speaks(session))
	t.kept = append(t.kept, k)
	return k
}

// speaks is what the user says that a session speaks.
func (t *talks) speaks(session int) string {
	if as, ok := t.as[session]; ok {
		return as
	}
	return t.all
}

// force takes a session for one that speaks a protocol; without a name it is guessed.
func (t *talks) force(session int, as string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.as[session] = as
	delete(t.peeked, session)
	if i := slices.IndexFunc(t.kept, func(k *talk) bool { return k.session == session }); i >= 0 {
		t.gone = append(t.gone, t.kept[i])
		t.kept = slices.Delete(t.kept, i, i+1)
	}
}

// name is the protocol that a session speaks, as far as is known; empty if that is only
// a form, or not known. What is asked for is looked at.
func (t *talks) name(x *record.Session) string {
	if x.Kind != record.WebSocket || x.Forgotten {
		return ""
	}
	name, ask := t.known(x.Index)
	if ask {
		t.stir()
	}
	if isForm(name) {
		return ""
	}
	return name
}

func (t *talks) known(session int) (name string, ask bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.kept, func(k *talk) bool { return k.session == session }); i >= 0 {
		return t.kept[i].speaks(), false
	}
	p := t.peeked[session]
	if p.final || p.rows >= t.source.Len(session) || slices.Contains(t.peeks, session) {
		return p.protocol, false
	}
	t.peeks = append(t.peeks, session)
	return p.protocol, true
}

// stir has the goroutine look what there is to do.
func (t *talks) stir() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// run listens whenever it is asked, until ctx ends. Its caller waits for it.
func (t *talks) run(ctx context.Context) {
	defer t.end()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.kick:
		}
		t.listenTo(ctx)
		t.peek(ctx)
		t.close()
	}
}

// listenTo listens to the session that was asked for last, until that is another one.
func (t *talks) listenTo(ctx context.Context) {
	told := time.Now()
	for ctx.Err() == nil {
		k := t.newest()
		if k == nil || k.hears() {
			return
		}
		version := t.source.Version()
		if !t.readable(k.session) {
			k.wait(version)
			return
		}
		all, err := k.advance(ctx, heardSteps)
		if all || err != nil || time.Since(told) >= heardTold {
			told = time.Now()
			t.wake()
		}
		if err != nil {
			return
		}
	}
}

// readable says that compressed messages of a session can be told from others: in a
// finished recording, once it was read for the second time.
func (t *talks) readable(session int) bool {
	x := t.source.Session(session)
	return t.live || x.Handshake == nil || x.Handshake.Deflate == nil || t.source.Progress().Done
}

func (t *talks) newest() *talk {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) == 0 {
		return nil
	}
	return t.kept[len(t.kept)-1]
}

// peek looks at the beginnings of sessions.
func (t *talks) peek(ctx context.Context) {
	t.mu.Lock()
	ask := t.peeks
	t.peeks = nil
	t.mu.Unlock()
	for _, session := range ask {
		if ctx.Err() != nil {
			return
		}
		if !t.readable(session) {
			continue
		}
		t.mu.Lock()
		as := t.speaks(session)
		t.mu.Unlock()
		l := newListener(t.source, t.table, session, as)
		l.begin(t.source.First(session))
		rows := t.source.Len(session)
		_, err := l.hear(ctx, peekRows, nil)
		p := peek{l.decoder.Protocol(), rows, l.upto >= peekRows || err != nil}
		t.mu.Lock()
		if len(t.peeked) >= peeksKept {
			clear(t.peeked)
		}
		t.peeked[session] = p
		t.mu.Unlock()
	}
	if len(ask) > 0 {
		t.wake()
	}
}

// close closes the talks that nobody asks for any more.
func (t *talks) close() {
	t.mu.Lock()
	gone := t.gone
	t.gone = nil
	t.mu.Unlock()
	for _, k := range gone {
		k.close()
	}
}

func (t *talks) end() {
	t.mu.Lock()
	t.gone = append(t.gone, t.kept...)
	t.kept = nil
	t.mu.Unlock()
	t.close()
}

// shape is the one of a session that leaves out what the list does.
func (v *view) shape(session int) *shape {
	s := v.frames.shape
	switch {
	case s == nil || s.session != session || s.listing != v.listing || s.talk != v.talk:
		anew := s != nil && s.session == session
		s = newShape(session, v.listing, v.talk)
		if anew && v.frames.shape.listing == v.listing {
			v.frames.keep()
		}
	case !v.listing.folds || s.heard.Load() || v.talk == nil || !v.talk.hears():
		return s
	case v.talk.beaten() && s.seen() > 0: // among rows that it took for something else
		v.frames.keep()
		s = newShape(session, v.listing, v.talk)
		s.heard.Store(true)
	default:
		s.heard.Store(true)
		return s
	}
	v.frames.shape = s
	return s
}

// decodingCommands are those of what messages mean.
func decodingCommands() []command {
	return []command{
		{"decode", []string{"D"}, "", "say which protocol the session speaks, where the guess is wrong; or guess again", inPanes, nil, (*view).askDecode, (*view).decodeAs},
	}
}

// guessAgain is what the user says who takes back what a session speaks.
const guessAgain = "guess"

// askDecode asks for a protocol.
func (v *view) askDecode() {
	if v.talk == nil {
		v.said = "there is no session whose messages could be decoded"
		return
	}
	v.ask(question{label: "decode as: ", pick: true, options: v.protocols, done: v.decodeAs})
}

// protocols are those whose names or titles have a text in them.
func (v *view) protocols(text string) []option {
	all := []option{{text: guessAgain, doc: "what the messages look like"}}
	if k := v.talk; k != nil && k.as == "" && k.speaks() != "" {
		all[0].doc += ": now " + k.speaks()
	}
	for _, p := range v.talks.table.Protocols() {
		all = append(all, option{text: p.Name, doc: p.Title})
	}
	text = strings.ToLower(text)
	rank := func(o option) int {
		switch name := strings.ToLower(o.text); {
		case strings.HasPrefix(name, text):
			return 0
		case strings.Contains(name, text):
			return 1
		case o.text != guessAgain && strings.Contains(strings.ToLower(o.doc), text):
			return 2
		}
		return 3
	}
	slices.SortStableFunc(all, func(a, b option) int { return rank(a) - rank(b) })
	return slices.DeleteFunc(all, func(o option) bool { return rank(o) == 3 })
}

// decodeAs takes the session for one that speaks a protocol.
func (v *view) decodeAs(name string) {
	f := &v.frames
	if v.talk == nil || f.session < 0 {
		v.said = "there is no session whose messages could be decoded"
		return
	}
	as := name
	if name == guessAgain {
		as = ""
	} else if _, ok := v.talks.table.Lookup(name); !ok {
		v.said = fmt.Sprintf("there is no protocol %q", name)
		return
	}
	v.talks.force(f.session, as)
	v.frames.keep()
	v.said = "the session is taken for " + name + "; D takes that back"
	if as == "" {
		v.said = "what the session speaks is guessed"
	}
	if v.sieve != nil && v.sieve.filter.Decoded() {
		v.sift(v.sieve.filter)
	}
}

// speaks is what a session's row says that it speaks: the protocol, if that is known,
// or the subprotocol that was agreed on.
func (v *view) speaks(s *record.Session) string {
	if name := v.talks.name(s); name != "" {
		return name
	}
	if s.Handshake == nil {
		return ""
	}
	return s.Handshake.Subprotocol
}

// remark adds what the message of a row means.
func (v *view) remark(x *frameRow) {
	m, ok := v.reader.remark(v.talk, x.row)
	if !ok {
		return
	}
	if m.text != "" && !ours(x.session, x.row.Opcode(), x.row.Dir()) {
		x.summary.text = m.text
	}
	if x.summary.role = m.role; x.mark == nil {
		x.mark = m.found
	}
	if x.pair = m.mark; x.pair.text == "" && !m.waits.IsZero() {
		x.pair = span{"unanswered " + aged(v.talk.age(m.waits)), odd}
		if !over(x.session) {
			v.aging.Store(true)
		}
	}
}
