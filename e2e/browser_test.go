package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// browserEnv is the browser's program, for the script that drives it.
const browserEnv = "WSPROXY_E2E_BROWSER"

// chromium is the program's path; "" if it is not there.
func chromium() string {
	for _, name := range []string{"chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// browserMissing says what a test with Chromium lacks.
func browserMissing() string {
	if chromium() == "" {
		return "chromium"
	}
	if missing := needs("certutil"); missing != "" {
		return missing
	}
	if missing := nodeMissing(); missing != "" {
		return missing
	}
	if _, err := os.Stat(nodeModules + "/playwright-core"); err != nil {
		return "the npm package playwright-core"
	}
	return ""
}

// browserSite is a page and the sockets that it opens.
func browserSite() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>a page</title><link rel=icon href=data:,><p>a page</p>")
	})
	mux.HandleFunc("/talk", wstest.Echo)
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) })
	ends := func(path string, end func(*websocket.Conn)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			c, err := (&websocket.Upgrader{EnableCompression: true}).Upgrade(w, r, nil)
			if err != nil {
				return // the client was told
			}
			defer c.Close()
			if _, _, err := c.ReadMessage(); err == nil {
				end(c)
			}
		})
	}
	ends("/bye", func(c *websocket.Conn) {
		_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "going away now")) // the client tells
		_, _, _ = c.ReadMessage()
	})
	ends("/server-fin", func(*websocket.Conn) {})
	return mux
}

// browserHome is a user whose Chromium trusts an authority, by its NSS store.
func browserHome(t *testing.T, ca string) string {
	t.Helper()
	home := t.TempDir()
	db := filepath.Join(home, ".pki", "nssdb")
	must(t, os.MkdirAll(db, 0o700))
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-t", "C,,", "-n", "wsproxy", "-i", ca}} {
		if out, err := exec.Command("certutil", append(args, "-d", "sql:"+db)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %v: %v\n%s", args, err, out)
		}
	}
	return home
}

// browserScene is a socket of a page, and how wsproxy says it ended.
type browserScene struct {
	path   string // behind the server's address
	word   string
	closes string // the Close frames
	code   int    // what the page is told; a reload tells nobody
	reason string
}

// reloaded is a socket whose page goes: Chromium says 1001 and does not wait for the
// answer, which may come too late to be recorded.
const reloaded = "talk?reload"

// browserScenes are what pages do, in this order.
var browserScenes = []browserScene{
	{"talk", "1000", ">1000 done <1000 ", 1000, ""},
	{"talk?own", "4321", ">4321 mine ✓ <4321 ", 4321, ""},
	{"talk?several=1", "1005", ">1005  <1005 ", 1005, ""}, {"talk?several=2", "1005", ">1005  <1005 ", 1005, ""}, {"talk?several=3", "1005", ">1005  <1005 ", 1005, ""},
	{"talk?several=4", "1005", ">1005  <1005 ", 1005, ""}, {"talk?several=5", "1005", ">1005  <1005 ", 1005, ""},
	{"bye", "1001", "<1001 going away now >1001 going away now", 1001, "going away now"},
	{"server-fin", "1006 server fin", "", 1006, ""},
	{"refused", "403", "", 1006, ""},
	{reloaded, "1001", ">1001 ", 0, ""},
}

// browserReport is what the script says of a connection.
type browserReport struct {
	report
	Extensions string `json:"extensions"`
}

// browse has Chromium play the scenes on each page and answers what it saw of them.
func browse(t *testing.T, proxy, home string, scenes []browserScene, pages ...string) []browserReport {
	t.Helper()
	file := filepath.Join(t.TempDir(), "conversation.json")
	b, err := json.Marshal(conversation())
	must(t, err)
	must(t, os.WriteFile(file, b, 0o600))
	node := peers[3].env("")
	args := []string{"node/browser.js", file, strings.Join(pages, ",")}
	for _, s := range scenes {
		name, more, several := strings.Cut(s.path, "?")
		if several {
			name, _, _ = strings.Cut(more, "=")
		}
		if !slices.Contains(args, name) {
			args = append(args, name)
		}
	}
	driver := start(t, append(node, browserEnv+"="+chromium(), proxyEnv+"=http://"+proxy, "HOME="+home, "TMPDIR="+profilesFolder(t)),
		"node", args...)
	if code := driver.wait(t); code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, driver.stdout, driver.stderr)
	}
	var all []browserReport
	for l := range strings.Lines(driver.stdout.String()) {
		var r browserReport
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("%v in %q", err, l)
		}
		all = append(all, r)
	}
	return all
}

// A page in Chromium talks by ws and wss, through wsproxy as its proxy: what comes out
// is what went in, and both are what the recording has.
func TestBrowser(t *testing.T) {
	t.Parallel()
	if leftOut(t, browserMissing()) {
		return
	}
	dir := t.TempDir()
	secure, cert := secureServer(t, browserSite())
	p := &pair{t: t, way: "CONNECT", recording: filepath.Join(dir, "browser.pcapng")}
	p.after = newTee(t, serve(t, browserSite()).Addr)
	p.proxy = startForwardEnv(t, []string{"SSL_CERT_FILE=" + cert, "WSPROXY_CA_DIR=" + dir}, "--plain", "--record", p.recording)
	p.before = newTee(t, p.proxy.addr)
	plain := p.after.Addr
	got := browse(t, p.before.Addr, browserHome(t, filepath.Join(dir, "ca.pem")), browserScenes, "http://"+plain+"/page", "https://"+secure+"/page")
	if len(got) != 2*(1+len(browserScenes)) {
		t.Fatalf("the browser tells of %d connections: %+v", len(got), got)
	}
	p.proxy.stop(t) // which lets go of servers' connections that are kept
	p.sameUpgrades(len(browserScenes))
	sessions := bySession(t, p.recording)
	half := len(got) / 2
	browsed(t, "ws://"+plain+"/", browserScenes, got[:half], sessions)
	browsed(t, "wss://"+secure+"/", browserScenes, got[half:], sessions)
}

// bySession are the lines of a recording, by the URL of their session. There must be no
// findings in it.
func bySession(t *testing.T, path string) map[string][]line {
	t.Helper()
	sessions := map[string][]line{}
	names := map[int]string{}
	for _, l := range show(t, path) {
		if l.Event == "open" || l.Event == "refused" {
			names[l.Session] = l.Path
		}
		if name := names[l.Session]; name != "" {
			sessions[name] = append(sessions[name], l)
		}
		for _, f := range l.Findings {
			t.Errorf("finding %s at %+v", f.ID, l)
		}
	}
	return sessions
}

// browsed compares what a page has seen with what was recorded.
func browsed(t *testing.T, base string, scenes []browserScene, got []browserReport, sessions map[string][]line) {
	t.Helper()
	if p := got[0]; p.Code != 200 || p.Reason != "a page" {
		t.Errorf("%s: the page is %d %q", base, p.Code, p.Reason)
	}
	for i, s := range scenes {
		r := got[1+i]
		if r.Scene != s.path || r.Code != s.code || r.Reason != s.reason {
			t.Errorf("%s%s: the page saw %s, %d %q", base, s.path, r.Scene, r.Code, r.Reason)
		}
		lines := sessions[base+s.path]
		if len(lines) == 0 {
			t.Errorf("%s%s is not in the recording", base, s.path)
			continue
		}
		if s.path == "refused" {
			if l := lines[0]; l.Status != 403 {
				t.Errorf("%s%s is recorded as %+v", base, s.path, l)
			}
			continue
		}
		end := lines[len(lines)-1]
		if s.path == "server-fin" && strings.HasPrefix(base, "wss") {
			end.Word = strings.Replace(end.Word, "client", "server", 1) // behind its close_notify the client's FIN may come before its own
		}
		if end.Event != "end" || end.Word != s.word {
			t.Errorf("%s%s ends with %s %q: %s", base, s.path, end.Event, end.Word, end.Detail)
		}
		var closes []string
		for _, l := range lines {
			if l.Op == "close" {
				closes = append(closes, fmt.Sprint(l.Dir, l.Code, " ", l.Text))
			}
		}
		if c := strings.Join(closes, " "); c != s.closes && !(s.path == reloaded && strings.HasPrefix(c, s.closes)) {
			t.Errorf("%s%s was closed by %q", base, s.path, c)
		}
		if !strings.HasPrefix(r.Extensions, "permessage-deflate") || lines[0].Extensions != r.Extensions {
			t.Errorf("%s%s: the page agreed on %q, the recording has %q", base, s.path, r.Extensions, lines[0].Extensions)
		}
		sent, heard := messages(lines)
		if !slices.Equal(sent, summed(r.Sent)) || !slices.Equal(heard, summed(r.Got)) {
			t.Errorf("%s%s: the recording has %v up, %v down; the page said %v and %v", base, s.path, sent, heard, r.Sent, r.Got)
		}
	}
	var want []told
	for _, m := range conversation() {
		want = append(want, tell(m.Op, slices.Concat(m.Parts...)))
	}
	if r := got[1]; !slices.Equal(r.Sent, want) || !slices.Equal(r.Got, want) {
		t.Errorf("%s: the conversation was %+v and %+v", base, r.Sent, r.Got)
	}
}

// sameUpgrades compares what is before wsproxy with what is behind it, for each
// connection behind it that asked for an upgrade: a browser opens others too, in an
// order of its own.
func (p *pair) sameUpgrades(want int) {
	t := p.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type passed struct {
		up, down []byte
		ends     wstest.Endings
	}
	all := func(tee *wstest.Tee, strip bool) (found []passed) {
		for n := range tee.Len() {
			c, err := tee.Wait(ctx, n)
			if err != nil {
				t.Fatalf("connection %d goes on: %v", n, err)
			}
			x := passed{c.Bytes(inspect.ToServer), c.Bytes(inspect.ToClient), c.Ends()}
			if strip {
				if _, x.up, _ = bytes.Cut(x.up, []byte("\r\n\r\n")); !bytes.HasPrefix(x.up, []byte("GET ")) {
					continue // TLS, or a tunnel that nobody used, or no tunnel
				}
				_, x.down, _ = bytes.Cut(x.down, []byte("\r\n\r\n"))
			}
			if head, _, _ := bytes.Cut(x.up, []byte("\r\n\r\n")); bytes.Contains(head, []byte("Upgrade: websocket")) {
				found = append(found, x)
			}
		}
		return found
	}
	before, behind := all(p.before, true), all(p.after, false)
	if len(behind) < want {
		t.Errorf("%d upgrades behind wsproxy", len(behind))
	}
	for _, b := range behind {
		i := slices.IndexFunc(before, func(a passed) bool { return bytes.Equal(a.up, b.up) })
		if i < 0 {
			t.Errorf("nobody sent %.300q", b.up)
			continue
		}
		name, _, _ := strings.Cut(string(b.up), " HTTP")
		if name == "GET /"+reloaded && bytes.HasPrefix(b.down, before[i].down) {
			continue // it has left before the server's last word
		}
		differ(t, name+", to the client", before[i].down, b.down)
		if before[i].ends != b.ends {
			t.Errorf("%s: ends before wsproxy %v, behind it %v", name, before[i].ends, b.ends)
		}
	}
}
