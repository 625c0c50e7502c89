package replay

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// tapped is a connection that tells a sink what passes, as a proxy would that
// stood in front of the one who reads from it, or behind.
type tapped struct {
	wire
	sink inspect.Sink
	id   inspect.ConnID
	in   inspect.Dir // the direction of what is read

	mu    sync.Mutex // the sink's calls, and what is below
	off   [2]int64
	ended [2]bool
}

// tap begins to tell of a connection. in is the direction of what is read: a
// server reads what flows to it.
func tap(w wire, sink inspect.Sink, in inspect.Dir) wire {
	if sink == nil {
		return w
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	t := &tapped{wire: w, sink: sink, id: inspect.ConnID(binary.LittleEndian.Uint64(id[:])), in: in}
	e := inspect.Endpoints{Local: w.LocalAddr().String(), Remote: w.RemoteAddr().String()}
	if in == inspect.ToClient {
		e.Local, e.Remote = e.Remote, e.Local
	}
	sink.Open(inspect.ConnInfo{ID: t.id, Mode: "replay", Time: time.Now(), Client: e})
	return t
}

func (t *tapped) chunk(d inspect.Dir, data []byte) {
	if len(data) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sink.Chunk(inspect.Chunk{Conn: t.id, Dir: d, Time: time.Now(), Off: t.off[d], Data: data})
	t.off[d] += int64(len(data))
}

func (t *tapped) end(d inspect.Dir, how inspect.End) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended[d] {
		return
	}
	t.ended[d] = true
	if how == inspect.Rst {
		t.ended = [2]bool{true, true}
	}
	t.sink.End(inspect.Ended{Conn: t.id, Dir: d, How: how, Time: time.Now(), Off: t.off[d]})
}

// Read tells what came.
func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.wire.Read(b)
	t.chunk(t.in, b[:n])
	switch {
	case errors.Is(err, io.EOF):
		t.end(t.in, inspect.Fin)
	case wasReset(err):
		t.end(t.in, inspect.Rst)
	}
	return n, err
}

// Write tells what goes.
func (t *tapped) Write(b []byte) (int, error) {
	t.chunk(t.in.Other(), b)
	return t.wire.Write(b)
}

// CloseWrite tells the end of what goes.
func (t *tapped) CloseWrite() error {
	t.end(t.in.Other(), inspect.Fin)
	return t.wire.CloseWrite()
}

// Close tells the end of both.
func (t *tapped) Close() error {
	t.end(t.in.Other(), inspect.Self)
	t.end(t.in, inspect.Self)
	return t.wire.Close()
}

// reset tells a reset.
func (t *tapped) reset() {
	t.end(t.in.Other(), inspect.Rst)
	reset(t.wire)
}
