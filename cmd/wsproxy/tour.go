package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/ui"
)

// tourScenes is the tour: one scene for each of the demo's.
func tourScenes() []ui.Scene {
	return []ui.Scene{
		{Title: "a text message", Path: "/text", Frame: 1, Clause: "RFC 6455 5.2",
			Sentence: "A message is mostly one frame: a header of a few bytes, and the payload behind it.",
			Key:      "2", Shows: "the header bit by bit, as the RFC draws it.",
			Question: "Which bit says that this frame is the whole message?",
			Answer:   "FIN, the first bit of all: it is 1, so no other frame follows for this message."},
		{Title: "bytes and masks", Path: "/binary", Frame: 1, Clause: "RFC 6455 5.3",
			Sentence: "A binary message carries any bytes, and whatever a client sends is masked.",
			Key:      "3", Shows: "the bytes on the wire, beside what they are without the mask.",
			Question: "Why is the mask no secret, and still there?",
			Answer:   "Its key stands in front of the payload. It is there so that no page can choose the bytes that proxies on the way will see."},
		{Title: "fragments", Path: "/fragments", Frame: 4, Clause: "RFC 6455 5.4",
			Sentence: "One message comes in three frames here, and a ping comes between them.",
			Key:      "1", Shows: "the message, put together from its frames.",
			Question: "Why may a ping stand in the middle of a message?",
			Answer:   "Control frames belong to the connection, not to the message: they must not wait for the end of a long one."},
		{Title: "compression", Path: "/deflate", Frame: 0, Clause: "RFC 7692 5",
			Sentence: "Client and server may agree to compress messages: permessage-deflate.",
			Key:      "4", Shows: "the handshake, in which the client offered it and the server agreed.",
			Question: "Which bit says that a message is compressed?",
			Answer:   "RSV1, on the first frame of the message. Without the extension it has to be 0."},
		{Title: "ping and pong", Path: "/ping", Frame: 1, Clause: "RFC 6455 5.5.2",
			Sentence: "A ping asks whether the other side is there, and the pong answers with the same words.",
			Key:      "2", Shows: "why it is a control frame: the first bit of its opcode.",
			Question: "How much may a ping carry?",
			Answer:   "125 bytes, as all control frames: their length always fits into the header's seven bits."},
		{Title: "a crash", Path: "/reset", Frame: 1, Clause: "RFC 6455 7.1.5",
			Sentence: "This server crashes: the connection ends with a TCP reset, and without a Close frame.",
			Key:      "G", Shows: "how it ended, who ended it, and what was left unsaid.",
			Question: "Which close code is the application told?",
			Answer:   "1006, which never stands in a frame: it says that none came. So look here for what really happened."},
		{Title: "a refusal", Path: "/refused", Frame: 0, Clause: "RFC 6455 4.2.2",
			Sentence: "A server may refuse the upgrade: then there is no WebSocket, only an HTTP answer.",
			Key:      "4", Shows: "what was asked, and what the server answered.",
			Question: "What is a page in a browser told of this 403?",
			Answer:   "Nothing: an error without words, and a close event with 1006. Here you see the answer, body and all."},
		{Title: "mistakes", Path: "/mistakes", Frame: 1, Clause: "RFC 6455 5.1",
			Sentence: "This client does not mask, its server does, and a Close carries a code that must not be sent.",
			Key:      "5", Shows: "each breach, with its section and how to mend it.",
			Question: "What does a server have to do with a frame that is not masked?",
			Answer:   "Close the connection; 1002, protocol error, is the code for it."},
	}
}

// guide writes the tour between the lines of the sessions that it is about. A nil one
// writes nothing.
type guide struct {
	out    io.Writer
	scenes []ui.Scene
	open   map[inspect.SessionID]int // scenes whose sessions have begun
	told   int
}

func newGuide(out io.Writer, scenes []ui.Scene) *guide {
	if len(scenes) == 0 {
		return nil
	}
	return &guide{out: out, scenes: scenes, open: map[inspect.SessionID]int{}}
}

// before introduces a scene in front of its session's first line. flush writes what is
// printed but not written yet.
func (g *guide) before(e inspect.Event, flush func()) {
	if g == nil {
		return
	}
	var h *inspect.Handshake
	var id inspect.SessionID
	switch e := e.(type) {
	case *inspect.Opened:
		h, id = e.Handshake, e.Session
	case *inspect.Refused:
		h, id = e.Handshake, e.Session
	default:
		return
	}
	for i, s := range g.scenes {
		if h.Path() != s.Path {
			continue
		}
		flush()
		g.open[id] = i
		fmt.Fprintf(g.out, "\nTour %d of %d: %s  [%s]\n%s\n\n", i+1, len(g.scenes), s.Title, s.Clause, s.Sentence)
	}
}

// after asks and answers the scene's question behind its session's last line.
func (g *guide) after(e inspect.Event, flush func()) {
	if g == nil {
		return
	}
	var id inspect.SessionID
	switch e := e.(type) {
	case *inspect.Closed:
		id = e.Session
	case *inspect.Refused:
		id = e.Session
	default:
		return
	}
	i, ok := g.open[id]
	if !ok {
		return
	}
	delete(g.open, id)
	s := g.scenes[i]
	flush()
	fmt.Fprintf(g.out, "\nOn the screen, press %s: %s\nQuestion: %s\nAnswer: %s\n", s.Key, strings.TrimSuffix(s.Shows, ".")+".", s.Question, s.Answer)
	if g.told++; g.told == len(g.scenes) {
		fmt.Fprint(g.out, "\nThe tour is over. Before a server of your own:  wsproxy ws://localhost:3000\n")
	}
}
