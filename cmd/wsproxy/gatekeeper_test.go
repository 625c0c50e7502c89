//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"github.com/gorilla/websocket"
	"github.com/rogpeppe/go-internal/testscript"
)

// watched is a program in a terminal whose output can be waited for.
type watched struct {
	ts  *testscript.TestScript
	tty *os.File

	mu    sync.Mutex
	shown strings.Builder
}

// read reads to the end.
func (w *watched) read() {
	b := make([]byte, 4096)
	for {
		n, err := w.tty.Read(b)
		w.mu.Lock()
		w.shown.Write(b[:n])
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits until all texts are on the screen, and answers that.
func (w *watched) await(texts ...string) (now string) {
	for by := time.Now().Add(60 * time.Second); ; <-time.After(5 * time.Millisecond) {
		w.mu.Lock()
		now = w.picture(w.shown.String())
		w.mu.Unlock()
		missing := slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return strings.Contains(now, t) })
		if len(missing) == 0 {
			return now
		}
		if time.Now().After(by) {
			w.ts.Fatalf("%q was never shown:\n%s", missing, now)
		}
	}
}

// sequences are what a terminal is told beside text: where to go, and how that looks.
var sequences = regexp.MustCompile(`\x1b\[(\d+);(\d+)H|\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x1b]*\x1b\\|\x1b[()].|\x1b[=>78]|[\x00-\x1f]`)

// picture is the screen that an output makes, for texts of narrow letters.
func (w *watched) picture(out string) string {
	lines := make([][]rune, 60)
	for i := range lines {
		lines[i] = []rune(strings.Repeat(" ", 200))
	}
	x, y := 0, 0
	put := func(text string) {
		for _, r := range text {
			if x < len(lines[y]) {
				lines[y][x] = r
			}
			x++
		}
	}
	from := 0
	for _, m := range sequences.FindAllStringSubmatchIndex(out, -1) {
		put(out[from:m[0]])
		if from = m[1]; m[2] >= 0 {
			row, _ := strconv.Atoi(out[m[2]:m[3]])
			col, _ := strconv.Atoi(out[m[4]:m[5]])
			y, x = min(max(row-1, 0), len(lines)-1), max(col-1, 0)
		}
	}
	put(out[from:])
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return b.String()
}

func (w *watched) press(keys string) {
	_, err := io.WriteString(w.tty, keys)
	w.ts.Check(err)
}

// guest is a client of the echo server.
type guest struct {
	ts *testscript.TestScript
	*websocket.Conn
	heard chan string
	err   error // before heard is closed
}

func call(ts *testscript.TestScript, address string) *guest {
	d := websocket.Dialer{EnableCompression: true, HandshakeTimeout: 10 * time.Second}
	c, _, err := d.Dial("ws://"+address+"/echo", nil)
	ts.Check(err)
	x := &guest{ts: ts, Conn: c, heard: make(chan string, 100)}
	ts.Defer(func() { _ = c.Close() })
	go func() {
		defer close(x.heard)
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				x.err = err
				return
			}
			x.heard <- string(data)
		}
	}()
	return x
}

func (c *guest) say(text string) { c.ts.Check(c.WriteMessage(websocket.TextMessage, []byte(text))) }

func (c *guest) hears(text string) {
	select {
	case got := <-c.heard:
		if got != text {
			c.ts.Fatalf("the client heard %q, not %q: %v", got, text, c.err)
		}
	case <-time.After(60 * time.Second):
		c.ts.Fatalf("the client never heard %q", text)
	}
}

func (c *guest) hearsNothing() {
	select {
	case got := <-c.heard:
		c.ts.Fatalf("the client heard %q", got)
	default:
	}
}

// gatekeeper is a user at the screen of a wsproxy in front of $ECHO that has two clients:
// one session is held, stepped through, resumed and killed, the other goes on.
func gatekeeper(ts *testscript.TestScript, _ bool, args []string) {
	path, err := lookPath(ts.Getenv("PATH"))
	ts.Check(err)
	cmd := exec.Command(path, append(args, "--listen", "127.0.0.1:0", "ws://"+ts.Getenv("ECHO"))...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "TERM=xterm-256color")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 160})
	ts.Check(err)
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	w := &watched{ts: ts, tty: tty}
	var reading sync.WaitGroup
	reading.Go(w.read)
	at := strings.Fields(w.await("No session yet", "127.0.0.1:"))[1] // wsproxy 127.0.0.1:… → …
	a := call(ts, at)
	a.say("zero")
	a.hears("zero")
	b := call(ts, at)
	b.say("other")
	b.hears("other")
	w.await("zero")

	w.press("b")
	w.await("nothing waits")
	a.say("one")
	w.await("held: session 1", "→ text")
	b.say("goes on")
	b.hears("goes on")
	a.hearsNothing()
	w.press("s") // the question
	w.await("← text")
	a.hearsNothing()
	w.press("s") // and its answer
	a.hears("one")
	a.say("two")
	w.await("→ text")
	w.press("a")
	a.hears("two")
	w.await("● 1 ")

	w.press("B")
	w.await("hold frames that match")
	w.press("op == ping && session.path == \"/echo\"\r")
	w.await("frames that match wait")
	a.say("three")
	a.hears("three")
	ts.Check(a.WriteControl(websocket.PingMessage, []byte("are you"), time.Now().Add(time.Second)))
	w.await("→ ping 7 are you")
	w.press("A")
	w.await("all sessions go on")
	w.press("X")
	w.await("policy violation")
	w.press("1008 not today\r")
	<-a.heard
	var end *websocket.CloseError
	if !errors.As(a.err, &end) || end.Code != 1008 || end.Text != "not today" {
		ts.Fatalf("the client's end is %v", a.err)
	}
	w.await("1008")
	b.say("still here")
	b.hears("still here")
	w.press("Q")
	reading.Wait()
	_ = cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("tty.txt"), []byte(w.shown.String()), 0o600))
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("it ended with %d", code)
	}
}
