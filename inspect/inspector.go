package inspect

import "sync"

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
	conns map[ConnID]*inspected
}

// inspected is a connection with what takes its events, made once.
type inspected struct {
	*Conn
	emit func(Event) bool
}

// Open begins a connection.
func (i *Inspector) Open(info ConnInfo) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.conns == nil {
		i.conns = map[ConnID]*inspected{}
	}
	c := NewConn(info, i.Limits, i.Judges...)
	i.conns[info.ID] = &inspected{c, func(e Event) bool {
		i.Emit(c, e)
		return true
	}}
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
		i.Each(c.Conn, ch)
	}
	c.yield = c.emit
	c.feed(&ch)
	i.done(c)
}

// Note takes a note to its connection. A note of the recording itself belongs
// to none and is passed over.
func (i *Inspector) Note(n Note) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.conns[n.Conn]; c != nil {
		c.yield = c.emit
		c.takeNote(n)
		i.done(c)
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
	c.yield = c.emit
	c.end(e)
	i.done(c)
	if c.Over() {
		delete(i.conns, e.Conn)
	}
}

// done says that everything that a call led to has been emitted.
func (i *Inspector) done(c *inspected) {
	c.yield = nil
	if i.After != nil {
		i.After(c.Conn)
	}
}
