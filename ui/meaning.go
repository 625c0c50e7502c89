package ui

import (
	"context"
	"errors"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/record"
)

// meanings are what a filter is told of messages that it asks the meaning of. They
// belong to the sieve's goroutine.
type meanings struct {
	source source
	talks  *talks
	of     map[int]*meaning
}

// meaning is that of a session, as far as the sieve has come: the items of its newest
// messages, by the frame that they end with.
type meaning struct {
	listener
	facts map[uint64][]filter.Decoded
}

// Bounds of meanings in memory: sessions whose decoders wait for more, and messages whose
// items are remembered, for the sieve comes back to the newest.
const (
	meaningsMost = 512
	factsMost    = 4096
	factsKept    = 1024
)

// Meant is what the message says that a row belongs to; known is false as long as that
// is not whole.
func (s *sieve) Meant(ctx context.Context, r record.Row) (items []filter.Decoded, known bool, err error) {
	if r.Opcode().Control() && r.Opcode() != inspect.OpClose {
		return nil, true, nil
	}
	last := r.N()
	if !r.Ends() {
		m, err := s.source.Message(r, 0)
		if err != nil || !ends(m.Rows) {
			return nil, false, nil
		}
		last = m.Last
	}
	m := s.meanings.session(r.Session())
	for m.upto < int(last) {
		_, err := m.hear(ctx, int(last)-m.upto, m.take)
		switch {
		case errors.Is(err, errOvertaken):
			m.begin(s.source.First(r.Session()))
			clear(m.facts)
		case errors.Is(err, record.ErrNotYet):
			return nil, false, nil
		case err != nil:
			return nil, false, err
		case m.upto < int(last):
			return nil, false, nil
		}
	}
	return m.facts[last], true, nil
}

// take keeps the items of a message.
func (m *meaning) take(r record.Row, items []decode.Item) bool {
	if len(items) == 0 {
		return true
	}
	facts := make([]filter.Decoded, len(items))
	for i := range items {
		it := &items[i]
		facts[i] = filter.Decoded{Protocol: m.decoder.Protocol(), Name: it.Name, Kind: it.Kind.String(), ID: it.ID, Topic: it.Topic, Latency: it.Latency.Seconds()}
	}
	m.facts[r.N()] = facts
	if len(m.facts) > factsMost {
		for n := range m.facts {
			if n+factsKept < r.N() {
				delete(m.facts, n)
			}
		}
	}
	return true
}

// session is what a session says from its beginning on.
func (m *meanings) session(i int) *meaning {
	x := m.of[i]
	if x != nil {
		return x
	}
	if len(m.of) >= meaningsMost {
		for old := range m.of {
			if m.source.Session(old).Closed != nil || len(m.of) >= meaningsMost {
				delete(m.of, old)
			}
		}
	}
	m.talks.mu.Lock()
	as := m.talks.speaks(i)
	m.talks.mu.Unlock()
	x = &meaning{listener: *newListener(m.source, m.talks.table, i, as), facts: map[uint64][]filter.Decoded{}}
	m.of[i] = x
	return x
}
