//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// In a terminal the screen opens; who leaves it ends the browser.
func TestBrowserScreen(t *testing.T) {
	t.Parallel()
	if leftOut(t, browserMissing()) {
		return
	}
	profiles := profilesFolder(t)
	told := make(chan string, 1)
	addr := serve(t, chatSite(told)).Addr
	s := onScreen(t, append(home(t), "TMPDIR="+profiles), "browser", "chromium", addr, "--", "--headless")
	s.shown.wait(t, "hello", 1)
	if got := <-told; got != "hello again 1000" {
		t.Errorf("the page heard %q", got)
	}
	if shown := s.shown.String(); !strings.Contains(shown, "Chromium opens http://"+addr) {
		t.Errorf("the screen does not say who connects:\n%q", shown)
	}
	code, after, ok := s.quit(t)
	if code != 0 || !ok || !strings.Contains(after, "1 session (0 refused), 6 frames, 0 findings") {
		t.Errorf("exit code %d:\n%q", code, after)
	}
	nothingLeft(t, profiles)
}

// On Linux a browser does not outlive a wsproxy that was killed.
func TestBrowserOrphaned(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || leftOut(t, browserMissing()) {
		return
	}
	profiles := profilesFolder(t)
	told := make(chan string, 1)
	p := start(t, append(home(t), "TMPDIR="+profiles), program, "browser", "--plain", "chromium", serve(t, chatSite(told)).Addr, "--", "--headless")
	p.stdout.wait(t, "  end ", 1)
	made, err := filepath.Glob(filepath.Join(profiles, "wsproxy-browser-*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("profiles: %v, %v", made, err)
	}
	running := func() (all []string) {
		found, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is good
		for _, path := range found {
			// Its children's, which end with it, begin otherwise.
			if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), "\x00--user-data-dir="+made[0]+"\x00") && !strings.Contains(string(b), "--type=") {
				all = append(all, path)
			}
		}
		return all
	}
	if len(running()) == 0 {
		t.Fatal("no browser runs")
	}
	must(t, p.cmd.Process.Signal(os.Kill))
	<-p.done
	for by := time.Now().Add(patience); len(running()) > 0; runtime.Gosched() {
		if time.Now().After(by) {
			t.Fatalf("%s goes on", running())
		}
	}
}
