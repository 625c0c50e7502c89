//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A payload goes through the shell, with all that a pipeline can do, and comes back
// with what was complained about.
func TestPipeThrough(t *testing.T) {
	for _, tt := range []struct{ command, in, out, err string }{
		{"cat", "a\x00b\xff", "a\x00b\xff", ""},
		{"tr a-z A-Z | rev", "abc\n", "CBA\n", ""},
		{"echo out; echo err >&2; exit 3", "", "out\nerr\n", "it ended with exit code 3"},
		{"head -c 2", strings.Repeat("xy", 1<<20), "xy", ""}, // it does not read all
		{"echo $NO_COLOR $TERM", "", "1 dumb\n", ""},
		{"echo x 2>/dev/null >/dev/tty || echo no terminal", "", "no terminal\n", ""},
	} {
		out, err := pipeThrough(t.Context(), tt.command, []byte(tt.in), 1<<20)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if !strings.HasSuffix(string(out), tt.out) || said != tt.err {
			t.Errorf("%s: %q, %q; want %q, %q", tt.command, out, said, tt.out, tt.err)
		}
	}
}

// Output without end is cut, and a command that does not end is ended, with what it
// started.
func TestPipeThroughIsBounded(t *testing.T) {
	out, err := pipeThrough(t.Context(), "yes", nil, 1000)
	if len(out) != 1001 || err != nil {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	dir := t.TempDir()
	fifo := filepath.Join(dir, "started")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := pipeThrough(ctx, "sh -c 'echo $$ > "+fifo+".tmp; mv "+fifo+".tmp "+fifo+"; exec tail -f /dev/null' & wait", nil, 1000)
		ended <- err
	}()
	for by := time.Now().Add(60 * time.Second); ; {
		if _, err := os.Stat(fifo); err == nil {
			break
		}
		if time.Now().After(by) {
			t.Fatal("it does not start")
		}
		<-time.After(2 * time.Millisecond)
	}
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it ended well")
		}
	case <-time.After(60 * time.Second):
		t.Fatal("it goes on")
	}
}

// The clipboard's own program gets the text, the first that is there and works.
func TestClipboard(t *testing.T) {
	dir := t.TempDir()
	got := filepath.Join(dir, "got")
	program := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, name := range []string{"WAYLAND_DISPLAY", "DISPLAY", "WSL_DISTRO_NAME", "TERMUX_VERSION"} {
		t.Setenv(name, "")
	}
	program("wl-copy", "exit 1")
	program("xclip", `echo "$@" > `+got+`; cat >> `+got)
	program("clip.exe", "cat > "+got)
	clip := func(want, text string) {
		t.Helper()
		by, err := toClipboard(t.Context(), []byte("grüße\n"))
		if by != want {
			t.Errorf("copied by %q, %v; want %q", by, err, want)
		}
		if b, _ := os.ReadFile(got); string(b) != text {
			t.Errorf("%s got %q, want %q", want, b, text)
		}
	}
	clip("", "")
	t.Setenv("WAYLAND_DISPLAY", "wayland-0")
	if by, err := toClipboard(t.Context(), nil); by != "" || err == nil {
		t.Errorf("copied by %q, %v", by, err)
	}
	t.Setenv("DISPLAY", ":0")
	clip("xclip", "-selection clipboard\ngrüße\n")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("DISPLAY", "")
	t.Setenv("WSL_DISTRO_NAME", "x")
	clip("clip.exe", "\xff\xfeg\x00r\x00\xfc\x00\xdf\x00e\x00\n\x00")
}
