package e2e

import (
	"slices"
	"strings"
	"testing"
)

// startForward starts wsproxy forward on a free port and waits until it is ready.
func startForward(t *testing.T, args ...string) *proxied {
	t.Helper()
	p := &proxied{process: start(t, home(t), program, append([]string{"forward", "--listen", "127.0.0.1:0"}, args...)...)}
	said := p.stderr.wait(t, "ready\n", 1)
	_, rest, _ := strings.Cut(said, "listening on http://")
	p.addr, _, _ = strings.Cut(rest, " ")
	return p
}

// curl sees the same by each way into a forward proxy as without it.
func TestForwardCurl(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	s := serve(t, site(nil))
	for name, way := range map[string][]string{
		"absolute-form": {"--proxy", "http://ADDR"},
		"CONNECT":       {"--proxytunnel", "--proxy", "http://ADDR", "--suppress-connect-headers"},
		"SOCKS5":        {"--proxy", "socks5://ADDR"},
		"SOCKS5 name":   {"--proxy", "socks5h://ADDR"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := startForward(t, "--plain")
			through := []string{"--noproxy", ""}
			for _, a := range way {
				through = append(through, strings.ReplaceAll(a, "ADDR", proxy.addr))
			}
			for _, args := range [][]string{
				{"/"}, {"-I", "/"}, {"/chunked"}, {"/gzip"}, {"/empty"}, {"/not-there"},
				{"-d", strings.Repeat("body ", 20000), "/post"},
				{"-d", "small", "-H", "Transfer-Encoding: chunked", "/post"},
				{"-d", strings.Repeat("e", 2000), "-H", "Expect: 100-continue", "/post"},
				{"/", "/chunked", "/empty", "/"}, // on one connection
			} {
				direct, got := curl(t, s.Addr, args), curl(t, s.Addr, append(append([]string{}, through...), args...))
				if name == "absolute-form" { // goproxy's heads say the same in another order
					direct, got = sorted(direct), sorted(got)
				}
				if direct != got {
					t.Errorf("curl %.80v: direct\n%.600q\nthrough wsproxy\n%.600q", args, direct, got)
				}
			}
			proxy.stop(t)
			if n := strings.Count(proxy.stdout.String(), "  -   http   "); n != 13 {
				t.Errorf("%d exchanges were shown:\n%s", n, proxy.stdout)
			}
		})
	}
}

// sorted sorts the lines of an answer, without the one that is for the next hop.
func sorted(s string) string {
	all := strings.Split(strings.ReplaceAll(s, "Connection: close\r\n", ""), "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}
