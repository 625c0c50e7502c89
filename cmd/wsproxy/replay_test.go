package main

import (
	"flag"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/replay"
)

// With --quiet a mismatch is still told, and nothing else is.
func TestReplayQuiet(t *testing.T) {
	var told strings.Builder
	r := &replaying{flags: replayFlags{quiet: true}, err: &told}
	r.say("listening")
	r.ended(replay.Result{Session: 1, Path: "/a", Status: 101})
	r.ended(replay.Result{Session: 2, Path: "/b", Mismatch: &replay.Mismatch{Message: 3, Problem: "nothing more was recorded", Got: "text x"}})
	if got, want := told.String(), "wsproxy: error: session 2 (/b): client message 3: nothing more was recorded\n  came      text x\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// replayClient [flags] FILE [flags of wsproxy replay] starts wsproxy replay,
// says what talk said, or something else, and waits for its end. What wsproxy
// printed goes to err.txt.
func replayClient(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("replayclient", flag.ContinueOnError)
	first := flags.String("first", "", "what to say first, and nothing more if that is a mismatch")
	path := flags.String("path", "/echo", "what to ask for, in vain")
	times := flags.Int("times", 1, "how many clients come, one after the other")
	interrupt := flags.Bool("interrupt", false, "press Ctrl-C at the end")
	exit := flags.Int("exit", -1, "the exit code")
	ts.Check(flags.Parse(args))
	if *exit < 0 {
		*exit = exitOK
		if *interrupt {
			*exit = exitInterrupt
		}
	}
	program, err := lookPath(ts.Getenv("PATH"))
	ts.Check(err)
	file := flags.Arg(0)
	cmd := exec.Command(program, append([]string{"replay", file, "--listen", "127.0.0.1:0"}, flags.Args()[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	// A script that hangs is of no use.
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	address, said := listening(stderr)
	for range *times {
		if address == "" {
			break
		}
		switch {
		case *path != "/echo" || *first != "":
			contrary(ts, address+*path, *first)
		default:
			converse(ts, address)
		}
	}
	if address != "" && *interrupt {
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
	rest, err := io.ReadAll(stderr)
	ts.Check(err)
	_ = cmd.Wait() // its exit code is looked at
	ts.Check(os.WriteFile(ts.MkAbs("err.txt"), append([]byte(said), rest...), 0o600))
	if got := cmd.ProcessState.ExitCode(); got != *exit || address == "" || neg {
		ts.Fatalf("wsproxy replay: exit code %d, want %d\n%s%s", got, *exit, said, rest)
	}
}

// contrary says first, then what talk said, until it is told that this is not
// what was recorded.
func contrary(ts *testscript.TestScript, address, first string) {
	d := websocket.Dialer{EnableCompression: true, HandshakeTimeout: 10 * time.Second}
	c, answer, err := d.Dial("ws://"+address, nil)
	if answer != nil && answer.StatusCode == 404 {
		return
	}
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetReadDeadline(time.Now().Add(10 * time.Second)))
	for _, m := range []string{first, "\x1b[31mred"} {
		ts.Check(c.WriteMessage(websocket.TextMessage, []byte(m)))
		if _, _, err := c.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, websocket.CloseInternalServerErr) {
				ts.Fatalf("the end is %v", err)
			}
			return
		}
	}
	ts.Check(c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye")))
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 1000) {
		ts.Fatalf("the end is %v", err)
	}
}

// silent FILE writes a recording in which nobody opened a WebSocket.
func silent(ts *testscript.TestScript, _ bool, args []string) {
	w, err := record.Create(record.Options{Path: ts.MkAbs(args[0])})
	ts.Check(err)
	now := time.Now()
	w.Open(inspect.ConnInfo{ID: 1, Mode: "reverse", Time: now, Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: "127.0.0.1:40000"}})
	w.Chunk(inspect.Chunk{Conn: 1, Time: now, Data: []byte("GET / HTTP/1.1\r\n\r\n")})
	w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: now, Data: []byte("HTTP/1.1 204 No Content\r\n\r\n")})
	ts.Check(w.Close())
}

// cutFile FROM TO N copies a file without its last N bytes.
func cutFile(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data[:len(data)-n], 0o600))
}
