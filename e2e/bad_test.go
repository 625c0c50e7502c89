package e2e

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// raw opens a raw connection to wsproxy.
func (p *proxied) raw(t *testing.T) *wstest.Conn {
	t.Helper()
	c, err := wstest.Open(t.Context(), p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// session opens a raw WebSocket through wsproxy.
func (p *proxied) session(t *testing.T, path, extra string) *wstest.Conn {
	t.Helper()
	c := p.raw(t)
	if err := c.Upgrade(wstest.UpgradeRequest(p.addr, path, extra)); err != nil {
		t.Fatal(err)
	}
	return c
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// check is must for goroutines that are not the test's own.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// bystander is a session that nothing may disturb.
type bystander struct {
	t *testing.T
	c *wstest.Conn
	n int
}

func (p *proxied) bystander(t *testing.T) *bystander {
	t.Helper()
	return &bystander{t: t, c: p.session(t, "/bystander", "")}
}

func (b *bystander) undisturbed() {
	b.t.Helper()
	b.n++
	text := fmt.Sprint("undisturbed ", b.n)
	must(b.t, b.c.Send(wstest.Text(text)), b.c.Expect(inspect.OpText, text))
}

// What is no HTTP, or HTTP without an end, is answered in a sentence and costs
// nobody else anything.
func TestNoHTTP(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, "--plain", "ws://"+serve(t, http.HandlerFunc(wstest.Echo)).Addr)
	by := proxy.bystander(t)
	for name, c := range map[string]struct{ sent, status, says string }{
		"TLS":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400 ", "a port without it"},
		"another protocol":  {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "400 ", "Not an HTTP request"},
		"zeros":             {strings.Repeat("\x00", 1000) + "\n\n", "400 ", "Not an HTTP request"},
		"an endless head":   {"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + strings.Repeat("a", 65<<10), "431 ", "longer than 65536 bytes"},
		"endless lines":     {"GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-More: b\r\n", 6<<10), "431 ", "longer than 65536 bytes"},
		"an endless target": {"GET /" + strings.Repeat("c", 66<<10), "431 ", "longer than 65536 bytes"},
		"a foreign host":    {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421 ", "--allow-host evil.example"},
		"two lengths":       {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400 ", "ength"},
	} {
		c2 := proxy.raw(t)
		must(t, c2.Send([]byte(c.sent)))
		answer, err := c2.Rest()
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 "+c.status)) || !bytes.Contains(answer, []byte("\r\n\r\nwsproxy: ")) || !bytes.Contains(answer, []byte(c.says)) {
			t.Errorf("%s: %.300q, %v", name, answer, err)
		}
		_ = c2.Close()
		by.undisturbed()
	}
	proxy.stop(t)
	if got := proxy.stderr.String(); strings.ContainsAny(got, "\x00\x16\x1b") {
		t.Errorf("what the clients sent reached the terminal:\n%q", got)
	}
}

// A client that leaves before its upgrade is answered: the server sees it leave,
// and the session is listed as refused, with the reason.
func TestClientLeavesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}), make(chan error, 1)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			wstest.Echo(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		close(asked)
		n, err := c.Read(make([]byte, 1))
		gone <- fmt.Errorf("%d bytes, %w", n, err)
	}))
	proxy := startProxy(t, "--plain", "ws://"+s.Addr)
	by := proxy.bystander(t)
	c := proxy.raw(t)
	must(t, c.Send([]byte(wstest.UpgradeRequest(proxy.addr, "/slow", ""))))
	<-asked
	must(t, c.Close())
	if err := <-gone; !errors.Is(err, io.EOF) {
		t.Errorf("the server saw %v", err)
	}
	by.undisturbed()
	proxy.stdout.wait(t, "refused  /slow  no answer: client FIN", 1)
	proxy.stop(t)
}

// A client that is killed while the server talks sends a FIN, and then an RST for
// what comes after it. The session has ended for whoever watches, and for the
// server too.
func TestClientGoneWhileServerTalks(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	server := rawServer(t, func(c *wstest.Conn, _ string) {
		check(t, c.Send([]byte(wstest.UpgradeResponse(wstest.RequestKey, ""))))
		_, rest := c.Rest() // the client's FIN
		check(t, rest)
		for { // it talks on until it notices
			if err := c.Send(wstest.Frame(inspect.Fields{Fin: true, Opcode: inspect.OpText}, "tick")); err != nil {
				gone <- err
				return
			}
		}
	})
	recording := filepath.Join(t.TempDir(), "gone.pcapng")
	proxy := startProxy(t, "--plain", "--record", recording, "ws://"+server)
	c := proxy.session(t, "/ticks", "")
	must(t, c.CloseWrite())
	if _, tick, err := c.Next(); err != nil || tick != "tick" {
		t.Errorf("%q, %v", tick, err)
	}
	must(t, c.Close()) // with ticks unread: an RST
	if err := <-gone; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the server met %v", err)
	}
	proxy.stdout.wait(t, "s1  end    1006, no Close frame; then client FIN, client RST; 0 messages up", 1)
	proxy.stop(t)
	lines := show(t, recording)
	if end := lines[len(lines)-1]; end.Word != "1006 client fin" {
		t.Errorf("the recording ends with %+v", end)
	}
}

// A frame that claims 2^63-1 bytes is passed on as it comes, costs no memory, and
// is shown with what is missing of it.
func TestClaimedLength(t *testing.T) {
	t.Parallel()
	claim := "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00" + "a little"
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/claim" {
			wstest.Echo(w, r)
			return
		}
		c, err := wstest.Accept(r.Context(), w, r, "")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		got := make([]byte, len(claim))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != claim {
			t.Errorf("the server got %q, %v", got, err)
		}
		_ = c.Send([]byte("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffb"))
	}))
	recording := filepath.Join(t.TempDir(), "claim.pcapng")
	proxy := startProxy(t, "--plain", "--record", recording, "ws://"+s.Addr)
	by := proxy.bystander(t)
	c := proxy.session(t, "/claim", "")
	must(t, c.Send([]byte(claim)))
	if rest, err := c.Rest(); err != nil || string(rest) != "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffb" {
		t.Errorf("the client got %q, %v", rest, err)
	}
	_ = c.Close()
	by.undisturbed()
	proxy.stdout.wait(t, "s2  end ", 1)
	bounded(t, proxy, 100<<20)
	proxy.stop(t)
	cut := 0
	for _, l := range show(t, recording) {
		if l.Event == "frame" && l.Len == 1<<63-1 && l.flag("cut") {
			cut++
		}
	}
	if cut != 2 {
		t.Errorf("%d frames are shown as cut:\n%s", cut, proxy.stdout)
	}
}

// bounded checks that a process never took more memory than so many bytes.
func bounded(t *testing.T, p *proxied, most int64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Logf("how much memory wsproxy took is not looked at on %s", runtime.GOOS)
		return
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(t, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	must(t, err)
	t.Logf("wsproxy took at most %d MiB", kb>>10)
	if kb<<10 > most {
		t.Errorf("wsproxy took %d MiB, more than %d", kb>>10, most>>20)
	}
}

// bomb is a compressed message (RFC 7692 section 7.2.1) of so many MiB of zeros:
// the same compressed MiB again and again.
func bomb(t *testing.T, mib int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	must(t, err)
	var ends []int
	for range 3 {
		_, err := w.Write(make([]byte, 1<<20))
		must(t, err, w.Flush())
		ends = append(ends, b.Len())
	}
	first, again := b.String()[:ends[0]], b.String()[ends[1]:ends[2]] // the first one has no window behind it
	return strings.TrimSuffix(first+strings.Repeat(again, mib-1), "\x00\x00\xff\xff")
}

// A small message that inflates to hundreds of MiB is passed on, costs bounded
// memory, and hurts nothing that follows: not even in its own direction, whose
// window it has filled.
func TestDeflateBomb(t *testing.T) {
	t.Parallel()
	compressed := func(payload string, masked bool) []byte {
		return wstest.Frame(inspect.Fields{Fin: true, Rsv1: true, Opcode: inspect.OpText, Masked: masked}, payload)
	}
	mib := wstest.Count("MiB that a bomb inflates to")
	big := bomb(t, mib)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bomb" {
			wstest.Echo(w, r)
			return
		}
		c, err := wstest.Accept(r.Context(), w, r, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for {
			h, payload, err := c.Next()
			if err != nil || c.Send(wstest.Frame(inspect.Fields{Fin: true, Rsv1: h.Rsv1(), Opcode: h.Opcode()}, payload)) != nil || h.Opcode() == inspect.OpClose {
				return
			}
		}
	}))
	recording := filepath.Join(t.TempDir(), "bomb.pcapng")
	proxy := startProxy(t, "--plain", "--record", recording, "ws://"+s.Addr)
	by := proxy.bystander(t)
	c := proxy.session(t, "/bomb", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
	must(t, c.Send(compressed(big, true)))
	if _, got, err := c.Next(); err != nil || got != big {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	by.undisturbed()
	small := "\x4a\x4c\x4a\x4e\x49\x05\x00" // "abcde", in a block of its own
	must(t, c.Send(compressed(small, true)))
	if _, got, err := c.Next(); err != nil || got != small {
		t.Fatalf("%q came back, %v", got, err)
	}
	must(t, c.Send(wstest.Close(1000, "")), c.Expect(inspect.OpClose, wstest.CloseBody(1000, "")))
	_, err := c.Rest()
	must(t, err, c.Close())
	proxy.stdout.wait(t, "abcde", 2)
	proxy.stdout.wait(t, "s2  end ", 1)
	by.undisturbed()
	bounded(t, proxy, 250<<20)
	proxy.stop(t)
	n := 0
	for _, l := range show(t, recording) {
		if l.Op == "text" && l.Size == int64(mib)<<20 && l.Len == int64(len(big)) && l.Detail == "cut" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d messages are shown as %d MiB that were cut", n, mib)
	}
}

// get asks for a page through wsproxy and answers its status and body.
func (p *proxied) get(t *testing.T) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: new(wstest.Dialer).DialContext, DisableKeepAlives: true}, Timeout: patience}
	r, err := client.Get("http://" + p.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	must(t, err)
	return r.StatusCode, string(body)
}

// nobody is a port that nobody listens on, nor will: a connection has it until the
// test ends, so that no program is given it meanwhile.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(c.Close(), l.Close())) })
	return c.LocalAddr().String()
}

// free is a port that was just let go of, to be listened on later.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// A server that cannot be reached gives a 502 whose body says why in a sentence,
// to a page and to an upgrade; wsproxy goes on.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	plain := serve(t, http.HandlerFunc(wstest.Echo)).Addr
	down := nobody(t)
	for name, c := range map[string]struct{ target, says string }{
		"down":       {"ws://" + down, "wsproxy: The server " + down + " cannot be reached: connection refused.\n"},
		"not TLS":    {"wss://" + plain, "wsproxy: The server " + plain + " does not speak TLS; a target of ws:// or http:// is without it.\n"},
		"a name":     {"ws://localhost:" + port(down), "wsproxy: The server localhost:" + port(down) + " cannot be reached: connection refused.\n"},
		"down, wss":  {"wss://" + down, "wsproxy: The server " + down + " cannot be reached: connection refused.\n"},
		"down, IPv6": {"ws://[::1]:1", "wsproxy: The server [::1]:1 cannot be reached: "},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := startProxy(t, "--plain", c.target)
			for range 2 { // it goes on
				if status, body := proxy.get(t); status != 502 || !strings.HasPrefix(body, c.says) || strings.Count(body, "\n") != 1 {
					t.Errorf("%d %q", status, body)
				}
			}
			conn := proxy.raw(t)
			must(t, conn.Send([]byte(wstest.UpgradeRequest(proxy.addr, "/chat", ""))))
			if answer, err := conn.Rest(); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 502 Bad Gateway\r\n")) {
				t.Errorf("%q, %v", answer, err)
			}
			must(t, conn.Close())
			proxy.stdout.wait(t, "s1  refused  /chat  502 Bad Gateway", 1)
			proxy.stop(t)
		})
	}
}

// A server that comes back is reached again by the next connection.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	addr := free(t)
	proxy := startProxy(t, "--plain", "ws://"+addr)
	if status, _ := proxy.get(t); status != 502 {
		t.Errorf("status %d without a server", status)
	}
	l, err := net.Listen("tcp", addr)
	must(t, err)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(wstest.Echo)}}
	s.Start()
	defer s.Close()
	talkTo(t, proxy.addr, "/", "here again")
	proxy.stop(t)
}

// An untrusted certificate is refused with a sentence; --insecure goes on and
// says so.
func TestCertificate(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(wstest.Echo))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of the handshake that fails
	s.StartTLS()
	t.Cleanup(s.Close)
	target := strings.Replace(s.URL, "https://", "wss://", 1)
	proxy := startProxy(t, "--plain", target)
	status, body := proxy.get(t)
	if status != 502 || !regexp.MustCompile(`^wsproxy: The certificate of 127\.0\.0\.1:\d+ is not trusted: .*\(--insecure goes on without checking\)\.\n$`).MatchString(body) {
		t.Errorf("%d %q", status, body)
	}
	if said := proxy.stderr.String(); strings.Contains(said, "not verified") {
		t.Errorf("wsproxy says\n%s", said)
	}
	proxy.stop(t)

	proxy = startProxy(t, "--plain", "--insecure", target)
	if said := proxy.stderr.String(); !strings.Contains(said, "wsproxy: warning: the target's certificate is not verified (--insecure)\n") {
		t.Errorf("wsproxy says\n%s", said)
	}
	talkTo(t, proxy.addr, "/", "inside TLS")
	proxy.stdout.wait(t, "inside TLS", 2)
	proxy.stop(t)
}

// rawServer accepts connections and gives each, with the head of its first
// request, to serve.
func rawServer(t *testing.T, serve func(c *wstest.Conn, head string)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				c := wstest.NewConn(t.Context(), nc.(*net.TCPConn))
				defer c.Close()
				if head, err := c.Head(); err == nil {
					serve(c, string(head))
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return l.Addr().String()
}

// Escape sequences, wherever a peer can put them, never reach the terminal raw.
func TestEscapeSequences(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\r\n"
	server := rawServer(t, func(c *wstest.Conn, head string) {
		switch {
		case strings.HasPrefix(head, "GET /refused"):
			check(t, c.Send([]byte("HTTP/1.1 403 No\x1b[31m\r\nX: \x1b[2J\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")))
			return
		case strings.HasPrefix(head, "POST "):
			check(t, c.Send([]byte("HTTP/1.1 200 \x1b[31m\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")))
			return
		}
		check(t, c.Send([]byte(wstest.UpgradeResponse("\x1b", "Sec-WebSocket-Protocol: \x1b[31m\r\nSec-WebSocket-Extensions: x-\x1b[2J; \x07=\"\x1b\"\r\n"))))
		for {
			h, payload, err := c.Next()
			if err != nil || c.Send(wstest.Frame(inspect.Fields{Fin: true, Opcode: h.Opcode()}, payload)) != nil || h.Opcode() == inspect.OpClose {
				return
			}
		}
	})
	recording := filepath.Join(t.TempDir(), "evil.pcapng")
	proxy := startProxy(t, "--plain", "--exchanges", "--record", recording, "ws://"+server)
	c := proxy.session(t, "/\x1b[31mred", "X-Evil: \x1b[2J\r\nSec-WebSocket-Protocol: \x1b[31m\r\n")
	binary := wstest.Frame(inspect.Fields{Fin: true, Opcode: inspect.OpBinary, Masked: true}, evil)
	must(t, c.Send(wstest.Text(evil), binary, wstest.Ping(evil), wstest.Close(1000, evil)))
	_, err := c.Rest()
	must(t, err, c.Close())
	for _, request := range []string{wstest.UpgradeRequest(proxy.addr, "/refused\x1b[31m", ""), "POST /\x1b[31m\u202e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"} {
		r := proxy.raw(t)
		must(t, r.Send([]byte(request)))
		_, err = r.Rest()
		must(t, err, r.Close())
	}
	for _, line := range []string{"s1  open ", "s1  end ", "refused  /refused", "http   200  POST /"} {
		proxy.stdout.wait(t, line, 1)
	}
	proxy.stop(t)
	js, err := exec.CommandContext(t.Context(), program, "show", "--json", "--exchanges", recording).CombinedOutput()
	must(t, err)
	printed := proxy.stdout.String() + proxy.stderr.String() + string(js)
	for i, r := range printed {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e {
			t.Errorf("%q reached the terminal: %q", r, printed[max(0, i-40):min(len(printed), i+10)])
		}
	}
	if !strings.Contains(printed, "␛]0;owned␇␛[2J") {
		t.Errorf("the text is not to be seen:\n%s", printed)
	}
}
