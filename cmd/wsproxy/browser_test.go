package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/proxy/ca"
)

// Where each system keeps browsers, and which is taken.
func TestFindBrowser(t *testing.T) {
	env := map[string]string{"HOME": "/home/me", "ProgramFiles": `C:\Program Files`, "ProgramFiles(x86)": `C:\Program Files (x86)\`, "LocalAppData": `C:\Users\me\AppData\Local`}
	for _, tt := range []struct {
		system, name string
		there        []string // the programs
		kind, path   string
	}{
		{"linux", "", []string{"firefox", "google-chrome"}, "chromium", "google-chrome"},
		{"linux", "", []string{"firefox-esr"}, "firefox", "firefox-esr"},
		{"linux", "firefox", []string{"chromium", "firefox", "firefox-esr"}, "firefox", "firefox"},
		{"linux", "chromium", []string{"google-chrome", "chromium"}, "chromium", "chromium"},
		{"linux", "chromium", []string{"firefox"}, "", "no Chromium is found"},
		{"linux", "", nil, "", "no browser is found"},
		{"darwin", "", []string{"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"}, "chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"},
		{"darwin", "firefox", []string{"/home/me/Applications/Firefox.app/Contents/MacOS/firefox"}, "firefox", "/home/me/Applications/Firefox.app/Contents/MacOS/firefox"},
		{"windows", "", []string{`C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`}, "chromium", `C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`},
		{"windows", "chromium", []string{`C:\Users\me\AppData\Local\Google\Chrome\Application\chrome.exe`}, "chromium", `C:\Users\me\AppData\Local\Google\Chrome\Application\chrome.exe`},
		{"windows", "firefox", []string{`C:\Program Files\Mozilla Firefox\firefox.exe`}, "firefox", `C:\Program Files\Mozilla Firefox\firefox.exe`},
	} {
		m := &machine{tt.system, func(name string) string { return env[name] }, func(p string) (string, error) {
			if slices.Contains(tt.there, p) {
				return p, nil
			}
			return "", os.ErrNotExist
		}}
		kind, path, err := m.find(tt.name)
		switch {
		case tt.kind == "":
			var e *exitError
			if !errors.As(err, &e) || e.code != exitNotFound || e.Error() != tt.path || !strings.Contains(e.hint, "--program FILE") {
				t.Errorf("%s %q: %v", tt.system, tt.name, err)
			}
		case err != nil || kind.name != tt.kind || path != tt.path:
			t.Errorf("%s %q: %v, %s, %v", tt.system, tt.name, kind, path, err)
		}
	}
}

func TestWantedBrowser(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		dash int
		kind string
		page string // or the error
		rest []string
	}{
		{nil, -1, "chromium", "about:blank", nil},
		{[]string{"localhost:3000/chat"}, -1, "chromium", "http://localhost:3000/chat", nil},
		{[]string{"firefox"}, -1, "firefox", "about:blank", nil},
		{[]string{"firefox", "https://example.com/"}, -1, "firefox", "https://example.com/", nil},
		{[]string{"chromium", "example.com", "--headless", "--mute"}, 2, "chromium", "http://example.com", []string{"--headless", "--mute"}},
		{[]string{"--headless"}, 0, "chromium", "about:blank", []string{"--headless"}},
		{[]string{"127.0.0.1:8080"}, -1, "chromium", "http://127.0.0.1:8080", nil},
		{[]string{"file:///tmp/a.html"}, -1, "chromium", "file:///tmp/a.html", nil},
		{[]string{"ws://localhost:3000/chat"}, -1, "", "a browser shows pages, and ws://localhost:3000/chat is none", nil},
		{[]string{"a", "b"}, -1, "", "one URL is needed, not 2: a b", nil},
		{[]string{"firefox", "a", "b"}, -1, "", "one URL is needed, not 2: a b", nil},
		{[]string{"http://a b/"}, -1, "", `"http://a b/" is no URL`, nil},
		{[]string{""}, -1, "", `"" is no URL`, nil},
	} {
		w, err := wantedBrowser(tt.args, tt.dash, program)
		if tt.kind == "" {
			var e *exitError
			if !errors.As(err, &e) || e.code != exitUsage || e.Error() != tt.page {
				t.Errorf("%q: %v", tt.args, err)
			}
			continue
		}
		if err != nil || w.kind.name != tt.kind || w.page != tt.page || !slices.Equal(w.args, tt.rest) || w.path != program {
			t.Errorf("%q: %+v, %v", tt.args, w, err)
		}
	}
	if k := kindOf("", "/opt/Firefox-nightly/firefox-bin"); k.name != "firefox" {
		t.Errorf("firefox-bin is taken for %s", k.name)
	}
}

// A snap has a folder for temporary files of its own, where it would not find a profile.
func TestProfilesDir(t *testing.T) {
	if runtime.GOOS != "linux" {
		return
	}
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	for name, text := range map[string]string{"snapped": "#!/bin/sh\nexec /snap/bin/chromium \"$@\"\n", "plain": "#!/bin/sh\nexec /usr/lib/chromium/chromium\n", "elf": "\x7fELF /snap/bin/"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: dir}[name == "snapped"]
		if got := profilesDir(path); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := profilesDir("/snap/bin/firefox"); got != dir {
		t.Errorf("a snap's own: %q", got)
	}
}

// Every browser is told of the proxy, for loopback too, and that names are the proxy's
// to resolve.
func TestBrowserArguments(t *testing.T) {
	authority, err := ca.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a := &address{authority: authority, host: "::1", port: "8081", profile: t.TempDir(), page: "http://localhost/"}
	args, _, err := chromium(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--user-data-dir=" + a.profile, "--proxy-server=http://[::1]:8081", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ::1",
		"--ignore-certificate-errors-spki-list=" + spki(authority.Certificate())} {
		if !slices.Contains(args, want) {
			t.Errorf("Chromium is not told %s: %q", want, args)
		}
	}
	if !slices.ContainsFunc(args, func(s string) bool { return strings.HasPrefix(s, "--proxy-bypass-list=<-loopback>") }) {
		t.Errorf("Chromium keeps loopback from the proxy: %q", args)
	}
	t.Setenv("PATH", "") // no certutil
	if _, _, err = firefox(a); err == nil || !strings.Contains(err.Error(), "certutil, which is not found") {
		t.Errorf("without certutil: %v", err)
	}
	settings, err := os.ReadFile(filepath.Join(a.profile, "user.js"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"network.proxy.ssl", "::1"`, `"network.proxy.http_port", 8081`, `"network.proxy.allow_hijacking_localhost", true`} {
		if !strings.Contains(string(settings), want) {
			t.Errorf("Firefox is not told %s", want)
		}
	}
	for l := range strings.Lines(string(settings)) {
		if !strings.HasPrefix(l, "user_pref(\"") || !strings.HasSuffix(l, ");\n") {
			t.Errorf("%q is no setting", l)
		}
	}
}

// A child that does not end when it is told to is ended.
func TestChildLimit(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	said, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	defer out.Close()
	c := &child{cmd: exec.Command("sh", "-c", `trap "" TERM; echo deaf; exec sleep 60`), limit: 50 * time.Millisecond, hint: func() {}}
	c.cmd.Stdout = out
	ctx, quit := context.WithCancel(t.Context())
	defer quit()
	ran := make(chan error, 1)
	go func() { ran <- c.run(ctx) }()
	if err := said.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := io.ReadFull(said, line); err != nil || string(line) != "deaf\n" {
		t.Fatalf("it says %q, %v", line, err)
	}
	quit()
	select {
	case err := <-ran:
		if err != nil || !c.told || c.code != exitSignalled+9 {
			t.Errorf("%v, told %v, code %d", err, c.told, c.code)
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
}
