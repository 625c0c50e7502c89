package cassette

import (
	"github.com/wsproxy/wsproxy/inspect"
)

// Hearing writes down what one side of a live session says, in the same
// lines as a recording's. It must not be used by two goroutines at once.
type Hearing struct {
	m     *maker
	side  inspect.Dir
	off   int64
	lines []Line
}

// hearingConn is the ID of a Hearing's only connection.
const hearingConn inspect.ConnID = 1

// Hear begins a session whose client is heard: request and answer are the bytes
// of the upgrade and of its 101, with which the frames are read.
func Hear(request, answer []byte, limits inspect.Limits) *Hearing {
	return hear(inspect.ToServer, request, answer, limits)
}

// HearServer is Hear of the server.
func HearServer(request, answer []byte, limits inspect.Limits) *Hearing {
	return hear(inspect.ToClient, request, answer, limits)
}

func hear(side inspect.Dir, request, answer []byte, limits inspect.Limits) *Hearing {
	h := &Hearing{m: newMaker(limits), side: side}
	h.m.hears = side
	h.m.hear = func(l Line) { h.lines = append(h.lines, l) }
	h.m.Open(inspect.ConnInfo{ID: hearingConn})
	h.m.Chunk(inspect.Chunk{Conn: hearingConn, Dir: inspect.ToServer, Data: request})
	h.m.Chunk(inspect.Chunk{Conn: hearingConn, Dir: inspect.ToClient, Data: answer})
	if h.off = int64(len(request)); side == inspect.ToClient {
		h.off = int64(len(answer))
	}
	h.lines = nil // the upgrade is no news
	return h
}

// Feed takes the side's next bytes and answers the lines that they complete.
// The error is a *SessionError: a message is too long or cannot be inflated.
func (h *Hearing) Feed(data []byte) ([]Line, error) {
	h.m.Chunk(inspect.Chunk{Conn: hearingConn, Dir: h.side, Off: h.off, Data: data})
	h.off += int64(len(data))
	lines := h.lines
	h.lines = nil
	return lines, h.m.err
}
