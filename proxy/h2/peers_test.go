package h2_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy/h2"
)

// TestMain runs the tests in a process of their own whose environment switches
// extended CONNECT on in golang.org/x/net/http2, which looks at it once, when it is
// loaded.
func TestMain(m *testing.M) {
	const want = "http2xconnect=1"
	if strings.Contains(os.Getenv("GODEBUG"), want) {
		goleak.VerifyTestMain(m)
		return
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), "GODEBUG="+strings.Trim(os.Getenv("GODEBUG")+","+want, ","))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		panic(err)
	}
}

const patient = 20 * time.Second

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		t.Fatalf("%s is not on loopback", addr)
	}
	c, err := net.DialTimeout("tcp", addr, patient)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patient))
	return c.(*net.TCPConn)
}

// listen accepts connections until the test ends, and waits for what serves them.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// lines collects what Logf is told.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf(format, args...))
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// serveH2 has the server's role on a port; each stream goes to handle.
func serveH2(t testing.TB, o h2.Options, handle func(*h2.Stream)) string {
	t.Helper()
	return listen(t, func(nc net.Conn) {
		var all sync.WaitGroup
		defer all.Wait()
		c := h2.NewServer(nc, o, func(s *h2.Stream) {
			all.Go(func() {
				defer s.Close()
				handle(s)
			})
		})
		_ = c.Run()
	})
}

// clientH2 has the client's role on a connection to addr, until the test ends.
func clientH2(t testing.TB, addr string, o h2.Options) *h2.Conn {
	t.Helper()
	nc := dial(t, addr)
	_ = nc.SetDeadline(time.Time{})
	c := h2.NewClient(nc, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run()
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c
}

func open(t testing.TB, c *h2.Conn) *h2.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	s, err := c.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(patient))
	t.Cleanup(func() { s.Close() })
	return s
}

type half interface {
	net.Conn
	CloseWrite() error
}

// relay is the least that passes two HTTP/1.1 connections on to each other.
func relay(a, b half) {
	var both sync.WaitGroup
	move := func(from, to half) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite()
		}
		if err != nil { // a reset passes on
			for _, c := range []half{from, to} {
				if r, ok := c.(interface{ Reset() error }); ok {
					_ = r.Reset()
				} else {
					_ = c.(*net.TCPConn).SetLinger(0)
					c.Close()
				}
			}
		}
	}
	both.Go(func() { move(a, b) })
	both.Go(func() { move(b, a) })
	both.Wait()
	a.Close()
	b.Close()
}

const upgrade = "GET /chat?x=1 HTTP/1.1\r\nHost: example.test\r\nX-Odd: Case\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n"

func readHead(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		l, err := r.ReadString('\n')
		if b.WriteString(l); err != nil {
			t.Fatalf("%v behind %q", err, b.String())
		}
		if l == "\r\n" {
			return b.String()
		}
	}
}

// echoH1 is an HTTP/1.1 server: an upgrade is answered with a 101 and then every
// byte comes back; CLOSE ends it. Anything else gets the request back as a body.
func echoH1(t testing.TB) string {
	return listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			l, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head += l
		}
		h, err := inspect.ParseRequest([]byte(head))
		if err != nil {
			return
		}
		if !h.IsUpgrade() {
			body, _ := inspect.RequestBody(h)
			for !body.Done() {
				var b [4096]byte
				n, err := r.Read(b[:1])
				if err != nil {
					return
				}
				head += string(b[:n])
				if _, _, done, err := body.Next(b[:n]); done || err != nil {
					break
				}
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(head), head)
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUPGRADE: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
			inspect.AcceptKey(h.Get("Sec-WebSocket-Key")))
		if _, err := io.Copy(c, r); err == nil {
			_ = c.(*net.TCPConn).CloseWrite()
		}
	})
}

// echoGo is Go's own server doing the same over HTTP/2.
func echoGo(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Protocols: &p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "CONNECT" || r.Header.Get(":protocol") != "websocket" {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("X-Method", r.Method)
			fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL, body)
			w.Header().Set("X-Sum", fmt.Sprint(len(body)))
			return
		}
		w.Header().Set("Sec-WebSocket-Protocol", r.Header.Get("Sec-WebSocket-Protocol"))
		w.WriteHeader(200)
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_ = rc.Flush()
		buf := make([]byte, 8192)
		for {
			n, err := r.Body.Read(buf)
			if _, werr := w.Write(buf[:n]); werr != nil || err != nil {
				return
			}
			_ = rc.Flush()
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return l.Addr().String()
}

// webSocket is a client's raw session: what is written are frames.
type webSocket struct {
	io.Reader
	io.Writer
	closeWrite func()
}

// upgradeH1 opens one over HTTP/1.1 on any connection that speaks it.
func upgradeH1(t testing.TB, c half) *webSocket {
	t.Helper()
	if _, err := io.WriteString(c, upgrade); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	head := readHead(t, r)
	if strings.HasPrefix(head, "HTTP/1.1 103 ") {
		head = readHead(t, r)
	}
	for _, want := range []string{"HTTP/1.1 101 ", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "rotocol: chat\r\n"} {
		if !strings.Contains(head, want) && !strings.Contains(strings.ToLower(head), strings.ToLower(want)) {
			t.Fatalf("the answer lacks %q:\n%s", want, head)
		}
	}
	return &webSocket{r, c, func() { _ = c.CloseWrite() }}
}

// upgradeXNet opens one with golang.org/x/net's client.
func upgradeXNet(t testing.TB, addr string) *webSocket {
	t.Helper()
	//lint:ignore SA1019 net/http's own client refuses the header :protocol
	cc, err := new(http2.Transport).NewClientConn(dial(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	pr, pw := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "CONNECT", "http://example.test/chat?x=1", pr)
	if err != nil {
		t.Fatal(err)
	}
	req.Header[":protocol"] = []string{"websocket"}
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Protocol", "chat")
	resp, err := cc.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Fatalf("%v %v", resp.Status, resp.Header)
	}
	for _, name := range []string{"Connection", "Upgrade", "Sec-Websocket-Accept"} {
		if v := resp.Header.Get(name); v != "" {
			t.Errorf("%s: %s has come through to HTTP/2", name, v)
		}
	}
	return &webSocket{resp.Body, pw, func() { pw.Close() }}
}

// TestFourWays relays sessions between each kind of client and server: the frames
// that come back are those that were sent, and the end comes through.
func TestFourWays(t *testing.T) {
	// Legal and illegal frames: masked and not, reserved bits, odd lengths.
	frames := bytes.Join([][]byte{
		[]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), []byte("\x81\x05Hello"), []byte("\xff\x7e\x00\x01x"), []byte("\x89\x00"),
		append([]byte("\x82\x7f\x00\x00\x00\x00\x00\x0f\x00\x00"), bytes.Repeat([]byte("0123456789abcdef"), 0xf0000/16)...), []byte("\x88\x02\x03\xe8"), []byte("\x0d behind"),
	}, nil)
	for _, front := range []string{"h1", "h2"} {
		for _, back := range []string{"h1", "h2"} {
			t.Run(front+" to "+back, func(t *testing.T) {
				var connect func() (half, error)
				if back == "h1" {
					addr := echoH1(t)
					connect = func() (half, error) { return dial(t, addr), nil }
				} else {
					c := clientH2(t, echoGo(t), h2.Options{Scheme: "http"})
					connect = func() (half, error) { return c.Open(context.Background()) }
				}
				serve := func(c half) {
					to, err := connect()
					if err != nil {
						t.Error(err)
						return
					}
					relay(c, to)
				}
				var ws *webSocket
				if front == "h1" {
					ws = upgradeH1(t, dial(t, listen(t, func(c net.Conn) { serve(c.(half)) })))
				} else {
					ws = upgradeXNet(t, serveH2(t, h2.Options{Logf: t.Logf}, func(s *h2.Stream) { serve(s) }))
				}
				go func() {
					for rest := frames; len(rest) > 0; {
						n := min(len(rest), 1+len(rest)%4999)
						if _, err := ws.Write(rest[:n]); err != nil {
							t.Error(err)
							return
						}
						rest = rest[n:]
					}
					ws.closeWrite()
				}()
				got, err := io.ReadAll(ws)
				if err != nil {
					t.Error(err)
				}
				if !bytes.Equal(got, frames) {
					t.Errorf("%d bytes have come back of %d", len(got), len(frames))
				}
			})
		}
	}
}
