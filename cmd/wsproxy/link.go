package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/ui"
)

// linkVersion is the version of what wsproxy and its screen say to each other.
const linkVersion = 2

// lineLimit is how long one line of it may be.
const lineLimit = 256 << 10

// message is one line between wsproxy and the process of its screen, a JSON object.
// Either leaves kinds and keys alone that it does not know; only a message with
// an ID, which asks for something, is always answered: by one of kind answer with
// the same ID.
type message struct {
	Kind string `json:"kind"`
	ID   uint64 `json:"id,omitempty"`

	Hello   *hello     `json:"hello,omitempty"`
	Status  *ui.Status `json:"status,omitempty"`
	Left    *leaving   `json:"left,omitempty"`
	Summary string     `json:"summary,omitempty"`
	Act     *ui.Act    `json:"act,omitempty"`
	Error   string     `json:"error,omitempty"` // of an answer
}

// What wsproxy says to its screen.
const (
	saysHello    = "hello"    // first: what is shown
	saysGrew     = "grew"     // the recording has
	saysStatus   = "status"   // it has changed
	saysLeave    = "leave"    // close the screen
	saysPause    = "pause"    // give the terminal back for a while
	saysResume   = "resume"   // the while is over
	saysFinished = "finished" // the recording is closed: read what is left, sum up, go
	saysAnswer   = "answer"
)

// What the screen says to wsproxy.
const (
	saysLeft    = "left"    // the terminal is given back, and why
	saysPaused  = "paused"  // the terminal is given back for a while
	saysReading = "reading" // it is still at it
	saysSummary = "summary" // of all that was recorded; the last line
	saysAct     = "act"     // do something to the traffic; the answer has the status behind it
)

// hello is what a screen needs to know before it opens.
type hello struct {
	Version   int       `json:"version"`
	Path      string    `json:"path"` // of the recording
	Title     string    `json:"title"`
	Open      string    `json:"open,omitempty"`
	NoColor   bool      `json:"no_color,omitempty"`
	Theme     string    `json:"theme,omitempty"`
	Exchanges bool      `json:"exchanges,omitempty"`
	Tour      bool      `json:"tour,omitempty"`      // through the demo
	Decode    string    `json:"decode,omitempty"`    // the protocol that sessions are taken for
	Protocols string    `json:"protocols,omitempty"` // the file with the user's own
	Save      bool      `json:"save,omitempty"`      // the recording is a temporary one, which can be saved
	Control   bool      `json:"control,omitempty"`   // it may have things done to the traffic
	Status    ui.Status `json:"status"`
}

// leaving is why the screen has closed.
type leaving struct {
	How   string `json:"how"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
	Code  int    `json:"code,omitempty"`
}

// How a screen closes.
const (
	leftQuit       = "quit"        // the user has seen enough, or it was told to
	leftInterrupt  = "interrupt"   // by Ctrl-C
	leftNoTerminal = "no terminal" // there is none that can be drawn on
	leftFailed     = "failed"      // the recording cannot be read
)

// link is one end of the line between wsproxy and its screen's process. say may
// be called by many goroutines, hear by one.
type link struct {
	in    *os.File
	lines *bufio.Scanner

	mu  sync.Mutex
	out *os.File
}

func newLink(in, out *os.File) *link {
	l := &link{in: in, lines: bufio.NewScanner(in), out: out}
	l.lines.Buffer(nil, lineLimit)
	return l
}

// say sends a message. It waits while the other side does not read, unless hurry
// was called.
func (l *link) say(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) >= lineLimit {
		return fmt.Errorf("a message %q of %d bytes is too long", m.Kind, len(b))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.out.Write(append(b, '\n'))
	return err
}

// hurry bounds how long messages may wait from now on, one that waits already
// included. After one that did not go out whole nothing can be said any more.
func (l *link) hurry(d time.Duration) error { return l.out.SetWriteDeadline(time.Now().Add(d)) }

// hear waits for the next message; io.EOF says that the other side is gone.
func (l *link) hear() (message, error) {
	var m message
	if !l.lines.Scan() {
		if err := l.lines.Err(); err != nil {
			return m, err
		}
		return m, io.EOF
	}
	err := json.Unmarshal(l.lines.Bytes(), &m)
	return m, err
}

// answer answers a message that asks for what is not known here. Others need no
// answer.
func (l *link) answer(m message) {
	if m.ID != 0 && m.Kind != saysAnswer {
		_ = l.say(message{Kind: saysAnswer, ID: m.ID, Error: fmt.Sprintf("%q is not known here", m.Kind)}) // who is gone needs none
	}
}

// close hangs up: the other side hears io.EOF.
func (l *link) close() error { return errors.Join(l.out.Close(), l.in.Close()) }
