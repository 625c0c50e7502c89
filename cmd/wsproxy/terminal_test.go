//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// terminal [exit code] [text keys]... -- args... runs wsproxy in a terminal of
// 80 by 24: each time a text has come it types the keys. All that wsproxy wrote
// goes to tty.txt.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	at := len(args)
	for i, a := range args {
		if a == "--" {
			at = i
			break
		}
	}
	if neg || at%2 == 0 || at == len(args) {
		ts.Fatalf("usage: terminal code [text keys]... -- args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	path, err := lookPath(ts.Getenv("PATH"))
	ts.Check(err)
	cmd := exec.Command(path, args[at+1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "PATH="+ts.Getenv("PATH"), "TERM="+ts.Getenv("TERM"))
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	ts.Check(err)
	kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	shown := typing(ts, tty, args[1:at])
	ts.Check(os.WriteFile(ts.MkAbs("tty.txt"), shown, 0o600))
	_ = cmd.Wait()
	_ = tty.Close()
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("wsproxy ended with %d, not %d:\n%q", got, want, shown)
	}
}

// typing reads to the end of what is written and types the keys as it goes.
func typing(ts *testscript.TestScript, tty *os.File, script []string) []byte {
	var shown []byte
	from := 0
	buf := make([]byte, 4096)
	for {
		n, err := tty.Read(buf)
		shown = append(shown, buf[:n]...)
		for len(script) > 0 {
			i := bytes.Index(shown[from:], []byte(script[0]))
			if i < 0 {
				break
			}
			from += i + len(script[0])
			_, err := io.WriteString(tty, strings.ReplaceAll(script[1], "^C", "\x03"))
			ts.Check(err)
			script = script[2:]
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) { // Linux answers EIO when the last writer has gone
			break
		}
		ts.Check(err)
	}
	if len(script) > 0 {
		ts.Fatalf("%q was never shown:\n%q", script[0], shown)
	}
	return shown
}
