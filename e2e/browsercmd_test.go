package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/internal/wstest"
)

// chattingPage talks by itself, and says at the end what it heard.
const chattingPage = `<!doctype html><title>chat</title><link rel=icon href=data:,><p>a page
<script>
const ws = new WebSocket(location.origin.replace('http', 'ws') + '/socket');
const heard = [];
ws.onopen = () => ws.send('hello');
ws.onmessage = (m) => { heard.push(m.data); heard.length < 2 ? ws.send('again') : ws.close(1000, 'bye'); };
ws.onclose = (e) => fetch('/told', { method: 'POST', body: heard.join(' ') + ' ' + e.code });
</script>`

// chatSite serves chattingPage; what it tells goes to told.
func chatSite(told chan<- string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, chattingPage)
	})
	mux.HandleFunc("/socket", wstest.Echo)
	mux.HandleFunc("/told", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what is missing shows
		told <- string(b)
	})
	return mux
}

// profilesFolder is a folder for browsers' profiles, with a path that is short as
// those of such folders are.
func profilesFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "b")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the test has looked what is in it
	return dir
}

// nothingLeft checks that a browser has left nothing.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("the browser has left %v, %v", left, err)
	}
}

// Each browser opens the page with a profile of its own, which is gone afterwards,
// trusts wsproxy without being asked, and keeps quiet beside.
func TestBrowserCommand(t *testing.T) {
	for name, missing := range map[string]string{"chromium": browserMissing(), "firefox": needs("firefox", "certutil")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if leftOut(t, missing) {
				return
			}
			told := make(chan string, 1)
			addr, cert := secureServer(t, chatSite(told))
			dir, profiles := t.TempDir(), profilesFolder(t)
			recording := filepath.Join(dir, "browser.pcapng")
			p := start(t, append(home(t), "SSL_CERT_FILE="+cert, "WSPROXY_CA_DIR="+dir, "TMPDIR="+profiles),
				program, "browser", "--plain", "--record", recording, name, "https://"+addr+"/", "--", "--headless")
			select {
			case got := <-told:
				if got != "hello again 1000" {
					t.Errorf("the page heard %q", got)
				}
			case <-p.done:
				t.Fatalf("it ended with %d:\n%s%s", p.cmd.ProcessState.ExitCode(), p.stdout, p.stderr)
			case <-time.After(patience):
				t.Fatalf("the page tells nothing:\n%s%s", p.stdout, p.stderr)
			}
			p.stdout.wait(t, "  end ", 1)
			if made, err := filepath.Glob(filepath.Join(profiles, "wsproxy-browser-*")); err != nil || len(made) != 1 {
				t.Errorf("profiles: %v, %v", made, err)
			}
			must(t, p.cmd.Process.Signal(os.Interrupt))
			if code := p.wait(t); code != 130 {
				t.Errorf("exit code %d:\n%s", code, p.stderr)
			}
			nothingLeft(t, profiles)
			if os.Geteuid() == 0 && name == "chromium" && !strings.Contains(p.stderr.String(), "warning: Chromium runs without its sandbox") {
				t.Errorf("nobody says that there is no sandbox:\n%s", p.stderr)
			}
			for _, l := range show(t, recording, "--exchanges") {
				if l.Event == "http" && !strings.Contains(l.Path, addr) {
					t.Errorf("it asked for %s %s on its own account", l.Method, l.Path)
				}
			}
		})
	}
}

// A browser that ends by itself ends wsproxy, with its code.
func TestBrowserEnds(t *testing.T) {
	t.Parallel()
	if leftOut(t, browserMissing()) {
		return
	}
	addr := serve(t, site(nil)).Addr
	profiles := profilesFolder(t)
	env := append(home(t), "TMPDIR="+profiles)
	if out := output1(t, env, program, "browser", "-q", "chromium", addr, "--", "--headless", "--dump-dom"); !strings.Contains(out, "<p>a page</p>") {
		t.Errorf("the page is %q", out)
	}
	p := start(t, append(env, "DISPLAY=:99999", "WAYLAND_DISPLAY="), program, "browser", "chromium", addr)
	if code := p.wait(t); code == 0 || code > 125 || !strings.Contains(p.stderr.String(), "Chromium says: ") {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
	nothingLeft(t, profiles)
}
