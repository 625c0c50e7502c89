package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// startForward starts wsproxy forward on a free port and waits until it is ready.
func startForward(t *testing.T, args ...string) *proxied {
	t.Helper()
	return startForwardEnv(t, nil, args...)
}

func startForwardEnv(t *testing.T, env []string, args ...string) *proxied {
	t.Helper()
	p := &proxied{process: start(t, append(home(t), env...), program, append([]string{"forward", "--listen", "127.0.0.1:0"}, args...)...)}
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

// secureSite is site with TLS, and the file with its certificate.
func secureSite(t *testing.T) (addr, cert string) {
	t.Helper()
	return secureServer(t, site(nil))
}

func secureServer(t *testing.T, h http.Handler) (addr, cert string) {
	t.Helper()
	cert, key := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(t, err)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), cert
}

// certificate makes one that signs itself for loopback, and answers the files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "server.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return cert, key
}

// https and wss are taken apart: the client trusts wsproxy's CA, wsproxy the server.
func TestForwardIntercepts(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	addr, cert := secureSite(t)
	dir := t.TempDir()
	recording := filepath.Join(dir, "wss.pcapng")
	p := startForwardEnv(t, []string{"SSL_CERT_FILE=" + cert, "WSPROXY_CA_DIR=" + dir}, "--plain", "--record", recording)
	ask := func(more ...string) ([]byte, error) {
		args := append([]string{"--silent", "--show-error", "--include", "--noproxy", "", "--max-time", "20"}, more...)
		return exec.CommandContext(t.Context(), "curl", append(args, "https://"+addr+"/")...).CombinedOutput()
	}
	direct, err := ask("--insecure")
	if err != nil {
		t.Fatalf("%v: %s", err, direct)
	}
	ca := filepath.Join(dir, "ca.pem")
	for _, way := range [][]string{{"--proxy", "http://" + p.addr, "--suppress-connect-headers"}, {"--proxy", "socks5h://" + p.addr}} {
		if got, err := ask(append(way, "--cacert", ca)...); err != nil || !bytes.Equal(got, direct) {
			t.Errorf("%v: %v\n%s\nwant\n%s", way, err, got, direct)
		}
	}
	if got, err := ask("--proxy", "http://"+p.addr); err == nil {
		t.Errorf("curl trusts anybody:\n%s", got)
	}
	p.stderr.wait(t, "the client does not take wsproxy's certificate for 127.0.0.1: unknown certificate authority; wsproxy ca", 1)

	pool := x509.NewCertPool()
	if b, err := os.ReadFile(ca); err != nil || !pool.AppendCertsFromPEM(b) {
		t.Fatal(err)
	}
	for _, scheme := range []string{"http", "socks5"} {
		d := websocket.Dialer{Proxy: http.ProxyURL(&url.URL{Scheme: scheme, Host: p.addr}), TLSClientConfig: &tls.Config{RootCAs: pool},
			NetDialContext: new(wstest.Dialer).DialContext, HandshakeTimeout: patience, EnableCompression: true}
		c, _, err := d.Dial("wss://"+addr+"/socket", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.WriteMessage(websocket.TextMessage, []byte("hello by "+scheme)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != "hello by "+scheme {
			t.Errorf("the echo is %q, %v", got, err)
		}
		_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"))
		if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 1000) {
			t.Errorf("the end is %v", err)
		}
		_ = c.Close()
	}
	p.stdout.wait(t, "  end ", 2)
	p.stop(t)
	var texts []string
	for _, l := range show(t, recording) {
		if l.Event == "open" && l.Path != "wss://"+addr+"/socket" {
			t.Errorf("a session is said to be for %s", l.Path)
		}
		if l.Op == "text" {
			texts = append(texts, l.Text)
		}
	}
	if got := strings.Join(texts, ", "); got != "hello by http, hello by http, hello by socks5, hello by socks5" {
		t.Errorf("the recording has %s", got)
	}
	key, err := os.ReadFile(filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(recording)
	secret := strings.Split(string(key), "\n")[1]
	if err != nil || bytes.Contains(b, []byte(secret)) || strings.Contains(p.stdout.String()+p.stderr.String(), secret) {
		t.Errorf("the CA's key shows, %v", err)
	}
}

// A proxy that others can reach wants to be told whom to let in.
func TestForwardBeyondLoopback(t *testing.T) {
	t.Parallel()
	p := start(t, home(t), program, "forward", "--listen", "0.0.0.0:0")
	if code := p.wait(t); code != 2 || !strings.Contains(p.stderr.String(), "hint: --allow") {
		t.Errorf("exit code %d:\n%s", code, p.stderr)
	}
	if leftOut(t, needs("curl")) {
		return
	}
	q := startForward(t, "--listen", "0.0.0.0:0", "--auth", "me:pw")
	s := serve(t, site(nil))
	if got := curl(t, s.Addr, []string{"--noproxy", "", "--proxy", "http://me:pw@" + q.addr, "/"}); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("with the password:\n%s", got)
	}
	if got := curl(t, s.Addr, []string{"--noproxy", "", "--proxy", "http://" + q.addr, "/"}); !strings.HasPrefix(got, "HTTP/1.1 407 ") {
		t.Errorf("without it:\n%s", got)
	}
}

// One wsproxy behind another: both see the same, from each way to reach the other.
func TestForwardChain(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	s := serve(t, site(nil))
	far := startForward(t, "--plain", "--auth", "me:pw")
	for _, scheme := range []string{"http", "socks5"} {
		near := startForward(t, "--plain", "--upstream-proxy", scheme+"://me:pw@"+far.addr)
		for _, way := range [][]string{{"--proxy", "http://" + near.addr}, {"--proxytunnel", "--proxy", "http://" + near.addr, "--suppress-connect-headers"}} {
			if got := curl(t, s.Addr, append(append([]string{"--noproxy", ""}, way...), "/chunked")); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "chunk chunk") {
				t.Errorf("%s %v: %.300q", scheme, way, got)
			}
		}
		near.stdout.wait(t, "  -   http   200  GET http://"+s.Addr+"/chunked", 2)
		if strings.Contains(near.stdout.String()+near.stderr.String(), "me:pw") {
			t.Errorf("the password shows:\n%s%s", near.stdout, near.stderr)
		}
		near = startProxy(t, "--plain", "--upstream-proxy", scheme+"://me:pw@"+far.addr, "ws://"+s.Addr)
		talkTo(t, near.addr, "/socket", "hello")
		near.stdout.wait(t, "s1  end ", 1)
	}
	far.stdout.wait(t, "  -   http   200  GET http://"+s.Addr+"/chunked", 4)
	far.stdout.wait(t, "  open   101  ws://"+s.Addr+"/socket", 2)
}

// What was recorded behind a forward proxy is replayed to a client that has none.
func TestForwardReplay(t *testing.T) {
	t.Parallel()
	recording := filepath.Join(t.TempDir(), "forward.pcapng")
	proxy := startForward(t, "--plain", "--record", recording)
	s := serve(t, site(nil))
	c, err := wstest.Open(t.Context(), proxy.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Upgrade(wstest.UpgradeRequest(s.Addr, "ws://"+s.Addr+"/socket", "")); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(wstest.Text("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.Expect(inspect.OpText, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(wstest.Close(1000, "bye")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rest(); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	proxy.stdout.wait(t, "  end ", 1)
	proxy.stop(t)
	replay := start(t, home(t), program, "replay", recording, "--listen", "127.0.0.1:0", "--once")
	said := replay.stderr.wait(t, "ready\n", 1)
	_, rest, _ := strings.Cut(said, "listening on http://")
	addr, _, _ := strings.Cut(rest, " ")
	talkTo(t, addr, "/socket", "hello")
	if code := replay.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, replay.stderr)
	}
}
