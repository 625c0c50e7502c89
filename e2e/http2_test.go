package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// h2Report is what a client of HTTP/2 says of its sessions.
type h2Report struct {
	Connect   bool     `json:"connect"` // the server's SETTINGS allow extended CONNECT
	Talks     []string `json:"talks"`   // status, what came, the code of RST_STREAM
	Cancelled int      `json:"cancelled"`
	Reset     string   `json:"reset"`
}

// goH2 makes a process a peer that speaks HTTP/2 with golang.org/x/net/http2.
func goH2(role string, args []string) error {
	if role == "server" {
		return goH2Server(args[0], args[1])
	}
	return goH2Client(args[0], args[1])
}

// goH2Server is like node/h2server.js.
func goH2Server(cert, key string) error {
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(":protocol") != "websocket" {
			fmt.Fprintf(w, "%s %s\n", r.Method, r.URL)
			return
		}
		w.Header().Set("X-Server", "go")
		w.WriteHeader(200)
		rc := http.NewResponseController(w)
		if errors.Join(rc.EnableFullDuplex(), rc.Flush()) != nil {
			return
		}
		head := make([]byte, 6)
		for {
			if _, err := io.ReadFull(r.Body, head); err != nil {
				return
			}
			payload := make([]byte, head[1]&127)
			if _, err := io.ReadFull(r.Body, payload); err != nil {
				return
			}
			for i := range payload {
				payload[i] ^= head[2+i&3]
			}
			_, _ = w.Write(append([]byte{head[0], head[1] & 127}, payload...))
			if rc.Flush() != nil {
				return
			}
			if r.URL.Path == "/reset" {
				panic(http.ErrAbortHandler)
			}
		}
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	if err := srv.ServeTLS(l, cert, key); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// goH2Client has one session, and one that the server resets.
func goH2Client(url, ca string) error {
	b, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	_, addr, _ := strings.Cut(url, "://")
	ap, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil || !ap.IP.IsLoopback() {
		return fmt.Errorf("%s is not on loopback", addr)
	}
	below, err := tls.Dial("tcp", ap.String(), &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err != nil {
		return err
	}
	//lint:ignore SA1019 net/http's own client refuses the header :protocol
	tr, err := new(http2.Transport).NewClientConn(below)
	if err != nil {
		return err
	}
	defer tr.Close()
	talk := func(path string) (string, error) {
		in, out := io.Pipe()
		defer out.Close()
		r, err := http.NewRequest("CONNECT", url+path, in)
		if err != nil {
			return "", err
		}
		r.Header[":protocol"] = []string{"websocket"}
		r.Header["Sec-WebSocket-Version"] = []string{"13"}
		a, err := tr.RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer a.Body.Close()
		if _, err := out.Write([]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")); err != nil {
			return "", err
		}
		got := make([]byte, 7)
		if _, err := io.ReadFull(a.Body, got); err != nil {
			return "", err
		}
		if path != "/reset" {
			_, _ = out.Write([]byte("\x88\x82\x01\x02\x03\x04\x02\xea"))
			_ = out.Close()
		}
		rest, err := io.ReadAll(a.Body)
		code := http2.ErrCodeNo
		var cut http2.StreamError
		if errors.As(err, &cut) {
			code = cut.Code
		} else if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d %x %d", a.StatusCode, append(got, rest...), code), nil
	}
	r := h2Report{Connect: true, Cancelled: int(http2.ErrCodeCancel)}
	one, err := talk("/echo")
	r.Talks = []string{one}
	if err == nil {
		r.Reset, err = talk("/reset")
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// selfSigned writes a certificate for localhost, and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// h2Env switches extended CONNECT on in Go's HTTP/2.
var h2Env = []string{"GODEBUG=http2xconnect=1"}

// h2Server starts a server of HTTP/2 and answers its address.
func h2Server(t *testing.T, library string) string {
	t.Helper()
	cert, key := selfSigned(t)
	var p *process
	if library == "node" {
		p = start(t, nil, "node", "node/h2server.js", cert, key)
	} else {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		p = start(t, append(h2Env, peerEnv+"=h2-server"), self, cert, key)
	}
	said := p.stdout.wait(t, "\n", 1)
	return strings.TrimSpace(strings.TrimPrefix(said, "listening "))
}

func h2Client(t *testing.T, library, url, ca string) h2Report {
	t.Helper()
	var p *process
	if library == "node" {
		p = start(t, nil, "node", "node/h2client.js", url, ca, "20")
	} else {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		p = start(t, append(h2Env, peerEnv+"=h2-client"), self, url, ca)
	}
	if code := p.wait(t); code != 0 {
		t.Fatalf("%s: exit code %d: %s%s", library, code, p.stdout, p.stderr)
	}
	var r h2Report
	if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
		t.Fatalf("%v in %q", err, p.stdout)
	}
	return r
}

// TestHTTP2Pairs: WebSockets over HTTP/2 between clients and servers that nobody here
// wrote, with resets from both sides, and what is recorded of them.
func TestHTTP2Pairs(t *testing.T) {
	if leftOut(t, needs("node")) {
		return
	}
	for _, server := range []string{"node", "go", "h1"} {
		for _, client := range []string{"node", "go"} {
			t.Run(client+" to "+server, func(t *testing.T) {
				t.Parallel()
				target := "ws://" + serve(t, http.HandlerFunc(h1Echo)).Addr
				if server != "h1" {
					target = "wss://" + h2Server(t, server)
				}
				env := home(t)
				path := filepath.Join(t.TempDir(), "a.pcapng")
				p := &proxied{process: start(t, env, program, "--listen", "127.0.0.1:0", "--tls", "--insecure", "--plain", "--record", path, target)}
				p.listens(t)
				ca := strings.TrimSpace(output1(t, env, program, "ca", "path"))
				r := h2Client(t, client, "https://localhost"+p.addr[strings.LastIndex(p.addr, ":"):], ca)
				checkH2(t, r, server)
				sessions := len(r.Talks) + 1
				if client == "node" {
					sessions++
				}
				p.stdout.wait(t, " end    1", sessions)
				p.stop(t)
				checkH2Lines(t, show(t, path), sessions, p.stdout.String())
			})
		}
	}
}

// h1Echo is a WebSocket server over HTTP/1.1; /reset resets behind the first message.
func h1Echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/reset" {
		wstest.Echo(w, r)
		return
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", inspect.AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
	if _, err := io.ReadFull(c, make([]byte, 11)); err != nil {
		return
	}
	_, _ = io.WriteString(c, "\x81\x05Hello")
	_ = c.(*net.TCPConn).SetLinger(0)
}

func checkH2(t *testing.T, r h2Report, server string) {
	t.Helper()
	if !r.Connect || r.Cancelled != int(http2.ErrCodeCancel) {
		t.Errorf("%+v", r)
	}
	for _, talk := range r.Talks {
		if talk != "200 810548656c6c6f880203e8 0" {
			t.Errorf("a session: %s", talk)
		}
	}
	code := map[string]http2.ErrCode{"node": http2.ErrCodeEnhanceYourCalm, "go": http2.ErrCodeInternal, "h1": http2.ErrCodeCancel}[server]
	if want := fmt.Sprintf("200 810548656c6c6f %d", code); r.Reset != want && r.Reset != fmt.Sprintf("200  %d", code) {
		t.Errorf("reset: %s, not %s", r.Reset, want)
	}
}

func checkH2Lines(t *testing.T, lines []line, sessions int, plain string) {
	t.Helper()
	opened := map[string]bool{}
	up, down, reset := 0, 0, 0
	words := map[string]int{}
	for _, l := range lines {
		switch {
		case l.Event == "open":
			opened[l.HTTP2] = true
		case l.Event == "frame" && l.Op == "text" && l.Text == "Hello" && l.Dir == ">":
			up++
		case l.Event == "frame" && l.Op == "text" && l.Text == "Hello":
			down++
		case l.Event == "end":
			words[l.Word]++
			if strings.Contains(l.Detail, "; then server RST") {
				reset++
			}
		}
		if len(l.Findings) > 0 && l.Event == "frame" {
			t.Errorf("findings %v", l.Findings)
		}
	}
	if len(opened) != sessions || opened[""] || up != sessions || down != sessions {
		t.Errorf("opened %v; %d texts up, %d down, of %d sessions", opened, up, down, sessions)
	}
	if words["1000"] < 1 || reset != 1 {
		t.Errorf("endings %v\n%s", words, plain)
	}
}

// TestHTTP2Forced: with --http 2 a client of HTTP/1.1 gets to a server over HTTP/2.
func TestHTTP2Forced(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("node")) || leftOut(t, pythonMissing()) {
		return
	}
	env := home(t)
	p := &proxied{process: start(t, env, program, "--listen", "127.0.0.1:0", "--tls", "--insecure", "--json", "--http", "2", "wss://"+h2Server(t, "node"))}
	p.listens(t)
	ca := strings.TrimSpace(output1(t, env, program, "ca", "path"))
	client := start(t, []string{"SSL_CERT_FILE=" + ca}, python, "python/secure.py", "wss://localhost"+p.addr[strings.LastIndex(p.addr, ":"):]+"/echo", "through both")
	if code := client.wait(t); code != 0 || client.stdout.String() != "through both\n" {
		t.Errorf("exit code %d: %s%s", code, client.stdout, client.stderr)
	}
	said := p.stdout.wait(t, `"event":"end"`, 1)
	if !strings.Contains(said, `"word":"1000"`) || strings.Contains(said, `"http2"`) {
		t.Errorf("it says\n%s", said)
	}
	p.stop(t)
}

// TestHTTP2Curl: curl sees the same over HTTP/2 as without wsproxy, through a listener
// with TLS and through a forward proxy.
func TestHTTP2Curl(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	s := httptest.NewUnstartedServer(site(nil))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	env := home(t)
	reverse := &proxied{process: start(t, env, program, "--listen", "127.0.0.1:0", "--tls", "--insecure", "--plain", "--exchanges", s.URL)}
	reverse.listens(t)
	forward := &proxied{process: start(t, env, program, "forward", "--listen", "127.0.0.1:0", "--insecure", "--plain")}
	forward.listens(t)
	asked := 0
	for _, args := range [][]string{
		{"/"}, {"-I", "/"}, {"/chunked"}, {"/gzip"}, {"/empty"}, {"/not-there"},
		{"-d", strings.Repeat("body ", 20_000), "/post"},
		{"-d", "small", "-H", "Transfer-Encoding: chunked", "/post"},
		{"/", "/chunked", "/empty", "/"}, // on one connection
	} {
		ask := func(base string, flags ...string) string {
			full := append(slices.Clone(flags), "--http2", "-w", "%{http_version}\n")
			for _, a := range args {
				if strings.HasPrefix(a, "/") {
					a = base + a
				}
				full = append(full, a)
			}
			return curl(t, "", full)
		}
		for _, a := range args {
			if strings.HasPrefix(a, "/") {
				asked++
			}
		}
		direct := ask(s.URL, "-k")
		if !strings.Contains(direct, "HTTP/2 ") {
			t.Fatalf("curl %.80v: %.300q", args, direct)
		}
		if got := ask("https://localhost"+reverse.addr[strings.LastIndex(reverse.addr, ":"):], "-k"); got != direct {
			t.Errorf("curl %.80v: direct\n%.600q\nthrough a listener\n%.600q", args, direct, got)
		}
		if got := ask(s.URL, "-k", "--noproxy", "", "--proxy", "http://"+forward.addr, "--suppress-connect-headers"); got != direct {
			t.Errorf("curl %.80v: direct\n%.600q\nthrough a forward proxy\n%.600q", args, direct, got)
		}
	}
	for _, p := range []*proxied{reverse, forward} {
		p.stdout.wait(t, "  -   http   ", asked)
		p.stop(t)
		if n := bytes.Count([]byte(p.stdout.String()), []byte("  HTTP/2 ")); n != asked {
			t.Errorf("%d of %d exchanges are said to be HTTP/2:\n%s", n, asked, p.stdout)
		}
	}
}
