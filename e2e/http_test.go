package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// serve starts a server that ends with the test.
func serve(t *testing.T, h http.Handler) *wstest.Server {
	t.Helper()
	s, err := wstest.Serve(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// site is a server as people write them: pages, answers of every framing, events
// and a socket on one port. Its answers are the same each time.
func site(next <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, h http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil // else two answers would differ
			h(w, r)
		})
	}
	handle("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		fmt.Fprintln(w, "<p>a page</p>")
	})
	handle("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		for i := range 5 {
			fmt.Fprintln(w, strings.Repeat("chunk ", i*1000))
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Sum", "15")
	})
	handle("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, strings.Repeat("zip ", 10000))
		_ = z.Close()
	})
	handle("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	handle("/post", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	handle("/until-close", func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nX-Odd:  spaces \r\nx-odd: twice\r\n\r\nuntil the end")
			_ = c.Close()
		}
	})
	handle("/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not there", http.StatusNotFound) })
	handle("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 1; ; i++ {
			fmt.Fprintf(w, "data: event %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("/socket", wstest.Echo)
	return mux
}

// curl sees the same through wsproxy as without it: heads, bodies, framing.
func TestCurl(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	s := serve(t, site(nil))
	proxy := startProxy(t, "--plain", "--exchanges", "ws://"+s.Addr)
	for _, args := range [][]string{
		{"/"}, {"-I", "/"}, {"/chunked"}, {"--raw", "/chunked"}, {"/gzip"}, {"--raw", "/gzip"}, {"/empty"}, {"/until-close"}, {"/not-there"},
		{"-d", strings.Repeat("body ", 20000), "/post"},
		{"-d", "small", "-H", "Transfer-Encoding: chunked", "/post"},
		{"-d", strings.Repeat("e", 2000), "-H", "Expect: 100-continue", "/post"},
		{"/", "/chunked", "/empty", "/"},                 // on one connection
		{"-H", "Connection: close", "/", "/until-close"}, // on two
	} {
		direct, through := curl(t, s.Addr, args), curl(t, proxy.addr, args)
		if direct != through {
			t.Errorf("curl %.80v: direct\n%.400q\nthrough wsproxy\n%.400q", args, direct, through)
		}
		if !strings.HasPrefix(direct, "HTTP/1.") {
			t.Errorf("curl %.80v: %.400q", args, direct)
		}
	}
	proxy.stop(t)
	if n := strings.Count(proxy.stdout.String(), "  -   http   "); n != 18 {
		t.Errorf("%d exchanges were shown:\n%s", n, proxy.stdout)
	}
}

// curl asks addr for the paths among args.
func curl(t *testing.T, addr string, args []string) string {
	t.Helper()
	full := []string{"--silent", "--include", "--noproxy", "*", "--max-time", "20"}
	for _, a := range args {
		if strings.HasPrefix(a, "/") {
			a = "http://" + addr + a
		}
		full = append(full, a)
	}
	out, err := exec.CommandContext(t.Context(), "curl", full...).Output()
	if err != nil {
		t.Fatalf("curl %.80v: %v", args, err)
	}
	return string(out)
}

// Server-sent events arrive one by one, not when the answer is whole.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	if leftOut(t, needs("curl")) {
		return
	}
	next := make(chan struct{})
	proxy := startProxy(t, "--plain", "ws://"+serve(t, site(next)).Addr)
	client := start(t, nil, "curl", "--silent", "--no-buffer", "--noproxy", "*", "--max-time", "20", "http://"+proxy.addr+"/events")
	for i := range 10 {
		client.stdout.wait(t, fmt.Sprintf("data: event %d\n\n", i+1), 1) // the next one is sent only then
		next <- struct{}{}
	}
}

// A page in a browser asks for its files and opens a socket, all on one port and
// with an Origin that is wsproxy's.
func TestPageAndSocket(t *testing.T) {
	t.Parallel()
	recording := filepath.Join(t.TempDir(), "page.pcapng")
	proxy := startProxy(t, "--plain", "--record", recording, "ws://"+serve(t, site(nil)).Addr)
	client := &http.Client{Transport: &http.Transport{DialContext: new(wstest.Dialer).DialContext, DisableKeepAlives: true}, Timeout: patience}
	r, err := client.Get("http://" + proxy.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil || string(body) != "<p>a page</p>\n" || len(r.Cookies()) != 2 {
		t.Errorf("the page is %q, %v", body, err)
	}
	talkTo(t, proxy.addr, "/socket", "hello from a page")
	proxy.stdout.wait(t, "s1  end ", 1)
	// Somebody else's page is refused by gorilla, as it would be without wsproxy.
	d := websocket.Dialer{NetDialContext: new(wstest.Dialer).DialContext, HandshakeTimeout: patience}
	if _, r, err := d.Dial("ws://"+proxy.addr+"/socket", http.Header{"Origin": {"http://evil.example"}}); err == nil || r == nil || r.StatusCode != 403 {
		t.Errorf("a foreign origin: %v", err)
	}
	proxy.stop(t)
	var events []string
	for _, l := range show(t, recording, "--exchanges") {
		events = append(events, strings.TrimSpace(l.Event+" "+l.Op))
	}
	if got := strings.Join(events, ", "); got != "http, open, frame text, frame text, frame close, frame close, end, refused" {
		t.Errorf("the recording has %s", got)
	}
}

// talkTo sends a message, hears it back and closes, as a page of wsproxy's own
// origin would.
func talkTo(t *testing.T, addr, path, text string) {
	t.Helper()
	c, err := dialGorilla("ws://"+addr+path, http.Header{"Origin": {"http://" + addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn().Close()
	if err := c.send(message{"text", [][]byte{[]byte(text)}}); err != nil {
		t.Error(err)
	}
	if _, got, err := c.read(); err != nil || string(got) != text {
		t.Errorf("the echo of %q is %q, %v", text, got, err)
	}
	if err := c.close(1000, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
}

// An upgrade behind ten ordinary requests on one connection is as good as a first.
func TestUpgradeAfterTenRequests(t *testing.T) {
	t.Parallel()
	recording := filepath.Join(t.TempDir(), "ten.pcapng")
	proxy := startProxy(t, "--plain", "--record", recording, "ws://"+serve(t, site(nil)).Addr)
	c, err := wstest.Open(t.Context(), proxy.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 10 {
		ask := fmt.Sprintf("POST /post?%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab%02d", i, i)
		if err := c.Send([]byte(ask)); err != nil {
			t.Fatal(err)
		}
		if head, err := c.Head(); err != nil || !strings.HasPrefix(string(head), "HTTP/1.1 200 ") {
			t.Fatalf("answer %d: %q, %v", i, head, err)
		}
		body := make([]byte, 4)
		if _, err := io.ReadFull(c, body); err != nil || string(body) != fmt.Sprintf("ab%02d", i) {
			t.Fatalf("body %d: %q, %v", i, body, err)
		}
	}
	if err := c.Upgrade(wstest.UpgradeRequest("localhost", "/socket", "")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return c.Send(wstest.Text("the eleventh"), wstest.Ping("p"), wstest.Close(1000, "done")) },
		func() error { return c.Expect(inspect.OpText, "the eleventh") },
		func() error { return c.Expect(inspect.OpPong, "p") },
		func() error { return c.Expect(inspect.OpClose, wstest.CloseBody(1000, "")) },
		func() error { _, err := c.Rest(); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	proxy.stdout.wait(t, "s1  end ", 1)
	proxy.stop(t)
	lines := show(t, recording, "--exchanges")
	for i, l := range lines[:min(10, len(lines))] {
		if l.Event != "http" || l.Method != "POST" || l.Path != fmt.Sprintf("/post?%d", i) || l.Status != 200 || l.Up != 4 || l.Down != 4 {
			t.Errorf("exchange %d: %+v", i, l)
		}
	}
	if len(lines) != 18 || lines[10].Event != "open" || lines[11].Text != "the eleventh" || lines[17].Word != "1000" {
		t.Errorf("the recording has %d lines, the last %+v", len(lines), lines[len(lines)-1])
	}
}
