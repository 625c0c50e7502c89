package h2_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/proxy/h2"
)

// tool is the path of a program that tests run beside Go; "" leaves the test out,
// which is not allowed where CI=true.
func tool(t *testing.T, name string) string {
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Logf("left out: %v", err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s %q: %v\n%s%s", name, args, err, out, errs.String())
	}
	return string(out)
}

// TestNodeClient has Node's http2 open twenty sessions on one connection to our
// server's role, which passes them on to an HTTP/1.1 echo server.
func TestNodeClient(t *testing.T) {
	node := tool(t, "node")
	if node == "" {
		return
	}
	back := echoH1(t)
	addr := serveH2(t, h2.Options{Logf: t.Logf}, func(s *h2.Stream) { relay(s, dial(t, back)) })
	var got struct {
		Setting  bool
		Sessions int
		Accept   int // answers with a Sec-WebSocket-Accept
		Post     string
		Hints    []int
	}
	out := run(t, node, "testdata/client.js", "http://"+addr)
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !got.Setting || got.Sessions != 20 || got.Accept != 0 || len(got.Hints) != 20 {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"POST /form?a=b HTTP/1.1\r\nHost: " + addr + "\r\n", "x-order: 1\r\nx-another: 2\r\n", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"} {
		if !strings.Contains(got.Post, want) {
			t.Errorf("the server got no %q:\n%s", want, got.Post)
		}
	}
}

// TestNodeServer opens sessions, and asks for an ordinary page, on Node's http2.
func TestNodeServer(t *testing.T) {
	node := tool(t, "node")
	if node == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/server.js")
	in, err := cmd.StdinPipe() // its end ends the server
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	var port int
	if _, err := fmt.Fscan(out, &port); err != nil {
		t.Fatal(err)
	}
	c := clientH2(t, fmt.Sprintf("127.0.0.1:%d", port), h2.Options{Scheme: "http", Logf: t.Logf})
	want := strings.Repeat("frames", 50_000)
	for range 5 {
		ws := upgradeH1(t, open(t, c))
		go func() {
			_, _ = io.WriteString(ws, want)
			ws.closeWrite()
		}()
		if got, err := io.ReadAll(ws); err != nil || string(got) != want {
			t.Errorf("%d bytes of %d have come back, %v", len(got), len(want), err)
		}
	}
	s := open(t, c)
	_, _ = io.WriteString(s, "PUT /page HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	got, err := io.ReadAll(s)
	if text := string(got); err != nil || !strings.HasPrefix(text, "HTTP/1.1 201 Created\r\n") || !strings.HasSuffix(text, "0\r\nx-sum: 3\r\n\r\n") || !strings.Contains(text, "\r\nPUT /page abc\r\n") {
		t.Errorf("%q, %v", text, err)
	}
	s = open(t, c)
	_, _ = io.WriteString(s, strings.Replace(upgrade, "/chat", "/refuse", 1))
	if got, err := io.ReadAll(s); !strings.HasPrefix(string(got), "HTTP/1.1 403 Forbidden\r\n") || !strings.Contains(string(got), "\r\nno\r\n") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	s = open(t, c)
	_, _ = io.WriteString(s, strings.Replace(upgrade, "/chat", "/reset", 1))
	if _, err := io.ReadAll(s); err == nil || err.Error() != "RST_STREAM ENHANCE_YOUR_CALM" {
		t.Errorf("%v", err)
	}
}

// TestCurl asks for ordinary pages through our server's role.
func TestCurl(t *testing.T) {
	curl := tool(t, "curl")
	if curl == "" {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		if r.URL.Path == "/empty" {
			w.WriteHeader(204)
			return
		}
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL, len(body))
		if r.URL.Path == "/chunked" {
			_ = http.NewResponseController(w).Flush()
			fmt.Fprint(w, " and more")
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	addr := serveH2(t, h2.Options{Logf: t.Logf}, func(s *h2.Stream) { relay(s, dial(t, l.Addr().String())) })
	big := t.TempDir() + "/big"
	if err := os.WriteFile(big, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, want string
	}{
		{"/a", "200 GET /a 0"},
		{"/a -I -o /dev/null", "200 "},
		{"/chunked", "200 GET /chunked 0 and more"},
		{"/empty", "204 "},
		{"/form -d x=1", "200 POST /form 3"},
		{"/big --data-binary @" + big, "200 POST /big 3145728"},
		{"/up -T - -H Expect:", "200 PUT /up 5"},
		{"/expect -d x=1 -H Expect:100-continue", "200 POST /expect 3"},
	} {
		f := strings.Fields(c.args)
		args := append([]string{"-sS", "--noproxy", "*", "--http2-prior-knowledge", "-m", "10", "-w", "\n%{http_version} %{http_code}", "http://" + addr + f[0]}, f[1:]...)
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		cmd := exec.CommandContext(ctx, curl, args...)
		cmd.Stdin = strings.NewReader("stdin")
		out, err := cmd.CombinedOutput()
		cancel()
		body, status, _ := strings.Cut(string(out), "\n")
		if got := strings.TrimPrefix(status, "2 ") + " " + body; err != nil || got != c.want {
			t.Errorf("curl %s: %q, %v, want %q", c.args, out, err, c.want)
		}
	}
}
