package cassette

import (
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Hearing writes down what the client of a live session says, in the same
// lines as a recording's. It must not be used by two goroutines at once.
type Hearing struct {
	m     *maker
	off   int64
	lines []Line
}

// hearingConn is the ID of a Hearing's only connection.
const hearingConn inspect.ConnID = 1

// Hear begins a session: request and answer are the bytes of the upgrade and
// of its 101, with which the client's frames are read.
func Hear(request, answer []byte, limits inspect.Limits) *Hearing {
	h := &Hearing{m: newMaker(limits)}
	h.m.hear = func(l Line) { h.lines = append(h.lines, l) }
	h.m.Open(inspect.ConnInfo{ID: hearingConn})
	h.chunk(request)
	h.m.Chunk(inspect.Chunk{Conn: hearingConn, Dir: inspect.ToClient, Time: time.Time{}, Data: answer})
	return h
}

func (h *Hearing) chunk(data []byte) {
	h.m.Chunk(inspect.Chunk{Conn: hearingConn, Dir: inspect.ToServer, Off: h.off, Data: data})
	h.off += int64(len(data))
}

// Feed takes the client's next bytes and answers the lines that they complete.
// The error is a *SessionError: a message is too long or cannot be inflated.
func (h *Hearing) Feed(data []byte) ([]Line, error) {
	h.chunk(data)
	lines := h.lines
	h.lines = nil
	return lines, h.m.err
}
