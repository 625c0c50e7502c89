package inspect

import (
	"iter"
	"sync"
)

// Inspector is a Sink that keeps a Conn for every connection and hands on their
// events. Set its fields before the first call.
type Inspector struct {
	Limits Limits
	Judges []Judge
	// Emit takes each event, one at a time: it is called under a lock, and
	// the event is valid only until it returns.
	Emit func(*Conn, Event)
	// After, if set, is called when everything that one chunk, note or end
	// led to has been emitted.
	After func(*Conn)
	// Each, if set, is called with every chunk before it is inspected.
	Each func(*Conn, Chunk)

	mu    sync.Mutex
	conns map[ConnID]*Conn
}

// Open begins a connection.
func (i *Inspector) Open(info ConnInfo) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.conns == nil {
		i.conns = map[ConnID]*Conn{}
	}
	i.conns[info.ID] = NewConn(info, i.Limits, i.Judges...)
}

// Chunk inspects a chunk. One of a connection that was never opened, or that is
// over, is passed over.
func (i *Inspector) Chunk(ch Chunk) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.conns[ch.Conn]
	if c == nil {
		return
	}
	if i.Each != nil {
		i.Each(c, ch)
	}
	i.run(c, c.Feed(ch))
}

// Note takes a note to its connection. A note of the recording itself belongs
// to none and is passed over.
func (i *Inspector) Note(n Note) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.conns[n.Conn]; c != nil {
		i.run(c, c.Note(n))
	}
}

// End ends one direction of a leg; the Conn is let go when all have ended.
func (i *Inspector) End(e Ended) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c := i.conns[e.Conn]
	if c == nil {
		return
	}
	i.run(c, c.Close(e))
	if c.Over() {
		delete(i.conns, e.Conn)
	}
}

func (i *Inspector) run(c *Conn, events iter.Seq[Event]) {
	for e := range events {
		i.Emit(c, e)
	}
	if i.After != nil {
		i.After(c)
	}
}
