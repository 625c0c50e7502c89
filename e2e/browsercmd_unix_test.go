//go:build unix

package e2e

import (
	"strings"
	"testing"
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
