package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// A page in Chromium that came over HTTP/2 opens its sockets as streams of the same
// connection (RFC 8441), through wsproxy, and the server gets them as streams too.
func TestBrowserHTTP2(t *testing.T) {
	t.Parallel()
	if leftOut(t, browserMissing()) {
		return
	}
	dir := t.TempDir()
	cert, key := certificate(t)
	server := start(t, peers[3].env(""), "node", "node/h2page.js", cert, key)
	_, addr, _ := strings.Cut(strings.TrimSpace(server.stdout.wait(t, "\n", 1)), "listening ")
	recording := filepath.Join(dir, "browser.pcapng")
	p := startForwardEnv(t, []string{"SSL_CERT_FILE=" + cert, "WSPROXY_CA_DIR=" + dir}, "--plain", "--record", recording)
	scenes := []browserScene{
		{"talk", "1000", ">1000 done <1000 done", 1000, "done"},
		{"talk?own", "4321", ">4321 mine ✓ <4321 mine ✓", 4321, "mine ✓"},
		{"talk?several=1", "1005", ">1005  <1005 ", 1005, ""}, {"talk?several=2", "1005", ">1005  <1005 ", 1005, ""}, {"talk?several=3", "1005", ">1005  <1005 ", 1005, ""},
		{"talk?several=4", "1005", ">1005  <1005 ", 1005, ""}, {"talk?several=5", "1005", ">1005  <1005 ", 1005, ""},
		{"bye", "1001", "<1001 going away now >1001 going away now", 1001, "going away now"},
		{"refused", "403", "", 1006, ""},
		{"talk?reload", "1006 client rst", "", 0, ""}, // Chromium cancels the stream, and says nothing as it does in HTTP/1.1
	}
	got := browse(t, p.addr, browserHome(t, filepath.Join(dir, "ca.pem")), scenes, "https://"+addr+"/page")
	if len(got) != 1+len(scenes) {
		t.Fatalf("the browser tells of %d connections: %+v", len(got), got)
	}
	p.stop(t)
	browsed(t, "wss://"+addr+"/", scenes, got, bySession(t, recording))
	for _, s := range scenes {
		if !strings.Contains(server.stdout.String(), "socket /"+s.path+" 2\n") {
			t.Errorf("%s did not come as a stream:\n%s", s.path, server.stdout)
		}
	}
	server.stdout.wait(t, "closed /talk?reload 1006\n", 1) // as without wsproxy
}
