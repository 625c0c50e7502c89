//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// terminal [exit code] [text keys]... -- args... runs wsproxy in a terminal of
// 80 by 24: each time a text has come it types the keys, or does one of the deeds.
// All that wsproxy wrote goes to tty.txt. At the end nothing of it may be left.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	path, err := lookPath(ts.Getenv("PATH"))
	ts.Check(err)
	inTerminal(ts, neg, args, path)
}

// shell is terminal with a shell in it, which is given -c 'script', or -i.
func shell(ts *testscript.TestScript, neg bool, args []string) {
	path, err := exec.LookPath("sh")
	ts.Check(err)
	inTerminal(ts, neg, args, path)
}

func inTerminal(ts *testscript.TestScript, neg bool, args []string, path string) {
	at := slices.Index(args, "--")
	if neg || at < 0 || at%2 == 0 {
		ts.Fatalf("usage: terminal code [text keys]... -- args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[at+1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "PATH="+ts.Getenv("PATH"), "TERM="+ts.Getenv("TERM"), "PS1=prompt> ", "ENV=")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	ts.Check(err)
	kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	shown := typing(ts, tty, cmd.Process.Pid, args[1:at])
	ts.Check(os.WriteFile(ts.MkAbs("tty.txt"), shown, 0o600))
	_ = cmd.Wait()
	_ = tty.Close()
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("it ended with %d, not %d:\n%q", got, want, shown[max(0, len(shown)-4000):])
	}
	for by := time.Now().Add(60 * time.Second); ; runtime.Gosched() {
		left := family(ts, cmd.Process.Pid)
		if len(left) == 0 {
			break
		}
		if time.Now().After(by) {
			ts.Fatalf("it has ended, and there is still %v", left)
		}
	}
}

// deeds are what typing does instead of typing.
var deeds = map[string]func(ts *testscript.TestScript, tty *os.File, pid int){
	"KILL SCREEN": func(ts *testscript.TestScript, _ *os.File, pid int) {
		signalTo(ts, pid, "screen", syscall.SIGKILL)
	},
	"QUIT SCREEN": func(ts *testscript.TestScript, _ *os.File, pid int) {
		signalTo(ts, pid, "screen", syscall.SIGQUIT)
	},
	"KILL WSPROXY": func(ts *testscript.TestScript, _ *os.File, pid int) {
		signalTo(ts, pid, "demo", syscall.SIGKILL)
	},
	"STOP WSPROXY": func(ts *testscript.TestScript, _ *os.File, pid int) {
		signalTo(ts, pid, "demo", syscall.SIGTSTP)
	},
	"TERM WSPROXY": func(ts *testscript.TestScript, _ *os.File, pid int) {
		signalTo(ts, pid, "demo", syscall.SIGTERM)
	},
	"HANG UP":    func(ts *testscript.TestScript, tty *os.File, _ int) { ts.Check(tty.Close()) },
	"TERM GROUP": func(ts *testscript.TestScript, _ *os.File, pid int) { ts.Check(syscall.Kill(-pid, syscall.SIGTERM)) },
	"GROW": func(ts *testscript.TestScript, tty *os.File, _ int) {
		ts.Check(pty.Setsize(tty, &pty.Winsize{Rows: 50, Cols: 200}))
	},
}

// signalTo signals the wsproxy of that subcommand.
func signalTo(ts *testscript.TestScript, session int, subcommand string, sig syscall.Signal) {
	for pid, args := range family(ts, session) {
		if len(args) > 1 && filepath.Base(args[0]) == "wsproxy" && args[1] == subcommand {
			ts.Check(syscall.Kill(pid, sig))
			return
		}
	}
	ts.Fatalf("there is no wsproxy %s among %v", subcommand, family(ts, session))
}

// family are the arguments of the processes of a session, zombies too. It is what
// a command and all that it starts belong to, also when their parent is gone.
func family(ts *testscript.TestScript, session int) map[int][]string {
	out, err := exec.Command("ps", "-A", "-o", "pid=,sess=,args=").Output()
	ts.Check(err)
	all := map[int][]string{}
	for l := range strings.Lines(string(out)) {
		f := strings.Fields(l)
		if len(f) < 3 || f[1] != strconv.Itoa(session) {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		ts.Check(err)
		all[pid] = f[2:]
	}
	return all
}

// typing reads to the end of what is written and types the keys as it goes.
func typing(ts *testscript.TestScript, tty *os.File, pid int, script []string) []byte {
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
			if do := deeds[script[1]]; do != nil {
				do(ts, tty, pid)
			} else {
				_, err := io.WriteString(tty, strings.NewReplacer("^C", "\x03", "^M", "\r").Replace(script[1]))
				ts.Check(err)
			}
			script = script[2:]
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) || errors.Is(err, os.ErrClosed) { // Linux answers EIO when the last writer has gone
			break
		}
		ts.Check(err)
	}
	if len(script) > 0 {
		ts.Fatalf("%q was never shown:\n%q", script[0], shown[max(0, len(shown)-4000):])
	}
	return shown
}
