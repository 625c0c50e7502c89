package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/internal/wstest"
)

// Each client that knows a way into a forward proxy talks to a server by it,
// through a tee, wsproxy and another tee: what comes out is what went in.
func TestForwardPairs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conversation.json")
	b, err := json.Marshal(conversation())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	server := peers[0].serve(t)
	for _, c := range peers {
		for _, way := range map[string][]string{
			"gorilla": {"CONNECT", "SOCKS5"},
			"coder":   {"absolute"},
			"python":  {"CONNECT"},
			"node":    {"CONNECT", "absolute"},
		}[c.name] {
			t.Run(c.name+" by "+way, func(t *testing.T) {
				t.Parallel()
				if leftOut(t, c.missing()) {
					return
				}
				newForwardPair(t, server, way).run(c, file)
			})
		}
	}
}

func newForwardPair(t *testing.T, server, way string) *pair {
	t.Helper()
	p := &pair{t: t, way: way, recording: filepath.Join(t.TempDir(), "pair.pcapng")}
	p.after = newTee(t, server)
	p.proxy = startForward(t, "--plain", "--record", p.recording)
	p.before = newTee(t, p.proxy.addr)
	return p
}

// through adds to a client's environment how it goes through the proxy.
func (p *pair) through(env func(string) []string) func(string) []string {
	scheme := "http"
	if p.way == "SOCKS5" {
		scheme = "socks5"
	}
	return func(role string) []string {
		return append(env(role), proxyEnv+"="+scheme+"://"+p.before.Addr, wayEnv+"="+p.way)
	}
}

// entered is what stands behind the opening of a tunnel.
func (p *pair) entered(b []byte, first string) []byte {
	if p.way == "" || p.way == "absolute" {
		return b
	}
	_, rest, _ := bytes.Cut(b, []byte(first))
	return append([]byte(first), rest...)
}

// proxyLines are the lines of a head that are for wsproxy.
var proxyLines = regexp.MustCompile(`(?i)\r\nproxy-[^\r\n]*`)

// wss goes by each way too, and each client trusts wsproxy by the variable that
// `wsproxy run` sets.
func TestForwardSecure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conversation.json")
	b, err := json.Marshal(conversation())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	addr, cert := secureServer(t, http.HandlerFunc(wstest.Echo))
	addr = strings.Replace(addr, "127.0.0.1", "localhost", 1) // https-proxy-agent knows no addresses
	for _, c := range peers {
		for _, way := range map[string][]string{
			"gorilla": {"CONNECT", "SOCKS5"},
			"coder":   {"CONNECT"},
			"python":  {"CONNECT"},
			"node":    {"CONNECT"},
		}[c.name] {
			t.Run(c.name+" by "+way, func(t *testing.T) {
				t.Parallel()
				if leftOut(t, c.missing()) {
					return
				}
				dir := t.TempDir()
				p := &pair{t: t, way: way, recording: filepath.Join(dir, "secure.pcapng")}
				p.proxy = startForwardEnv(t, []string{"SSL_CERT_FILE=" + cert, "WSPROXY_CA_DIR=" + dir}, "--plain", "--record", p.recording)
				p.before = newTee(t, p.proxy.addr)
				ca := filepath.Join(dir, "ca.pem")
				env := c.env
				c.env = p.through(func(role string) []string {
					return append(env(role), "SSL_CERT_FILE="+ca, "NODE_EXTRA_CA_CERTS="+ca)
				})
				client := c.start(t, "client", "wss://"+addr, file, "talk")
				if code := client.wait(t); code != 0 {
					t.Fatalf("exit code %d:\n%s%s%s", code, client.stdout, client.stderr, p.proxy.stderr)
				}
				reports := readReports(t, client.stdout.String())
				if len(reports) != 1 {
					t.Fatalf("the client told nothing:\n%s%s", client.stderr, p.proxy.stderr)
				}
				talked(t, reports[0])
				p.proxy.stdout.wait(t, "  end ", 1)
				p.proxy.stop(t)
				var lines []line
				for _, l := range show(t, p.recording) {
					if l.Event == "open" && l.Path != "wss://"+addr+"/talk" {
						t.Errorf("the session is said to be for %s", l.Path)
					}
					lines = append(lines, l)
				}
				talkedAbout(t, lines)
				sent, got := messages(lines)
				if len(sent) != len(reports[0].Sent) || len(got) != len(reports[0].Got) {
					t.Errorf("the recording has %d messages up, %d down", len(sent), len(got))
				}
			})
		}
	}
}
