package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wsproxy": limited})
}

// TestScripts runs testdata/script. In them $ECHO is a gorilla server that
// echoes, with its default Origin check on, and answers GET / with a page.
func TestScripts(t *testing.T) {
	upgrader := websocket.Upgrader{EnableCompression: true}
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			fmt.Fprintln(w, "a page")
			return
		}
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, data) != nil {
				return
			}
		}
	}))
	t.Cleanup(echo.Close)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("ECHO", strings.TrimPrefix(echo.URL, "http://"))
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"talk": talk, "terminal": terminal, "shell": shell,
			"replayclient": replayClient, "silent": silent, "cut": cutFile, "gatekeeper": gatekeeper},
	})
}

// talk [flags of wsproxy] starts wsproxy in front of $ECHO, has a client say
// hello, and ends both. What wsproxy printed goes to out.txt and err.txt.
func talk(ts *testscript.TestScript, neg bool, args []string) {
	path, err := lookPath(ts.Getenv("PATH")) // where testscript put it
	ts.Check(err)
	cmd := exec.Command(path, append(args, "--listen", "127.0.0.1:0", "ws://"+ts.Getenv("ECHO"))...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "PATH="+ts.Getenv("PATH"),
		"WSPROXY_TEST_FILE_LIMIT="+ts.Getenv("FILE_LIMIT"))
	out, err := os.Create(ts.MkAbs("out.txt"))
	ts.Check(err)
	defer out.Close()
	cmd.Stdout = out
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	address, said := listening(stderr)
	if address != "" {
		converse(ts, address)
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
	rest, err := io.ReadAll(stderr)
	ts.Check(err)
	err = cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("err.txt"), append([]byte(said), rest...), 0o600))
	if failed := cmd.ProcessState.ExitCode() != exitInterrupt; failed != neg {
		ts.Fatalf("wsproxy: %v\n%s%s", err, said, rest)
	}
}

func lookPath(path string) (string, error) {
	for dir := range strings.SplitSeq(path, string(os.PathListSeparator)) {
		p := dir + string(os.PathSeparator) + "wsproxy"
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", os.ErrNotExist
}

// listening reads up to the line "ready" and answers the listener's address.
func listening(r io.Reader) (address, said string) {
	var b [1]byte
	for !strings.HasSuffix(said, "ready\n") {
		if _, err := r.Read(b[:]); err != nil {
			return "", said
		}
		said += string(b[:])
	}
	_, address, _ = strings.Cut(said, "http://")
	address, _, _ = strings.Cut(address, " ")
	return address, said
}

func converse(ts *testscript.TestScript, address string) {
	page, err := http.Get("http://" + address + "/")
	ts.Check(err)
	body, err := io.ReadAll(page.Body)
	ts.Check(err)
	ts.Check(page.Body.Close())
	if string(body) != "a page\n" {
		ts.Fatalf("the page is %q", body)
	}
	origin := http.Header{"Origin": {"http://" + address}, "Authorization": {"Bearer s3cret"}, "Cookie": {"id=s3cret"}}
	d := websocket.Dialer{EnableCompression: true, HandshakeTimeout: 10 * time.Second}
	c, _, err := d.Dial("ws://"+address+"/echo", origin)
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetReadDeadline(time.Now().Add(10 * time.Second)))
	for _, m := range []string{`{"hello":"world"}`, "\x1b[31mred"} {
		ts.Check(c.WriteMessage(websocket.TextMessage, []byte(m)))
		_, got, err := c.ReadMessage()
		ts.Check(err)
		if string(got) != m {
			ts.Fatalf("the echo of %q is %q", m, got)
		}
	}
	ts.Check(c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye")))
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 1000) {
		ts.Fatalf("the end is %v", err)
	}
}
