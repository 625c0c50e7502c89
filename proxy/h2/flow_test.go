package h2_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/proxy/h2"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"

// session opens a WebSocket on a client's connection and reads the 101.
func session(t testing.TB, c *h2.Conn) *h2.Stream {
	t.Helper()
	s := open(t, c)
	if _, err := io.WriteString(s, upgrade); err != nil {
		t.Fatal(err)
	}
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if _, err := s.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// accept reads the request's head on the server's side and answers 101.
func accept(s *h2.Stream) {
	_, _ = s.Read(make([]byte, 16<<10))
	_, _ = io.WriteString(s, switching)
}

// TestStalledStream has one stream that nobody reads: its sender is stopped after
// its window, and the others on the connection move on.
func TestStalledStream(t *testing.T) {
	read := make(chan struct{})
	got := make(chan int, 8)
	addr := serveH2(t, h2.Options{}, func(s *h2.Stream) {
		accept(s)
		if s.ID() <= 15 {
			<-read
			n, _ := io.Copy(io.Discard, s)
			got <- int(n)
			return
		}
		_, _ = io.Copy(s, s)
		_ = s.CloseWrite()
	})
	c := clientH2(t, addr, h2.Options{})
	var stalled []*h2.Stream
	sent := 0
	for range 8 { // together twice the connection's window
		s := session(t, c)
		_ = s.SetWriteDeadline(time.Now().Add(patient))
		n := 0
		for n < 256<<10 {
			k, err := s.Write(make([]byte, 32<<10))
			if n += k; err != nil {
				t.Fatal(err)
			}
		}
		_ = s.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		k, err := s.Write([]byte("one too many"))
		if k != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a stream that nobody reads took %d more bytes, %v", k, err)
		}
		_ = s.SetWriteDeadline(time.Time{})
		sent += n
		stalled = append(stalled, s)
	}
	s := session(t, c)
	want := bytes.Repeat([]byte("a stream that moves "), 200_000)
	go func() {
		_, _ = s.Write(want)
		_ = s.CloseWrite()
	}()
	if back, err := io.ReadAll(s); err != nil || !bytes.Equal(back, want) {
		t.Fatalf("%d bytes of %d have come back, %v", len(back), len(want), err)
	}
	close(read)
	for _, s := range stalled {
		if _, err := s.Write([]byte("more")); err != nil {
			t.Fatal(err)
		}
		sent += 4
		_ = s.CloseWrite()
	}
	for range stalled {
		sent -= <-got
	}
	if sent != 0 {
		t.Errorf("%d bytes were lost", sent)
	}
}

// dataOf is the next DATA that is not empty.
func (p *peer) dataOf() *http2.DataFrame {
	p.Helper()
	return p.await("DATA", func(f http2.Frame) bool {
		d, ok := f.(*http2.DataFrame)
		return ok && len(d.Data()) > 0
	}).(*http2.DataFrame)
}

// TestWindowChanges changes INITIAL_WINDOW_SIZE under a writer (RFC 9113 section
// 6.9.2): what it may send follows, below zero too.
func TestWindowChanges(t *testing.T) {
	window := func(n uint32) http2.Setting { return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n} }
	conn, p := server(t, connectable, window(10))
	s := open(t, conn)
	_, _ = io.WriteString(s, upgrade)
	p.awaitHeaders(1)
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(s, "0123456789abcdefghijklmnopqrst")
		done <- err
	}()
	want := func(what string) {
		t.Helper()
		if got := string(p.dataOf().Data()); got != what {
			t.Fatalf("%q, want %q", got, what)
		}
	}
	want("0123456789")
	_ = p.WriteSettings(window(15))
	want("abcde")
	_ = p.WriteSettings(window(5)) // 10 below zero
	_ = p.WriteWindowUpdate(1, 13)
	want("fgh")
	_ = p.WriteWindowUpdate(1, 100)
	want("ijklmnopqrst")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTurns has two streams that wait for the connection's window: they go in
// turn, and no frame is longer than the peer takes.
func TestTurns(t *testing.T) {
	conn, p := server(t, connectable, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
	var both sync.WaitGroup
	defer both.Wait()
	write := func(id uint32) {
		s := open(t, conn)
		_, _ = io.WriteString(s, upgrade)
		p.awaitHeaders(id)
		both.Go(func() { _, _ = s.Write(make([]byte, 400<<10)) })
	}
	write(1)
	for left := 65535; left > 0; {
		n := len(p.dataOf().Data())
		if left -= n; n > 16<<10 { // whatever the peer would take
			t.Errorf("a frame of %d bytes", n)
		}
	}
	write(3) // a head waits for no window
	for by := time.Now().Add(patient); conn.Waiting() < 2; runtime.Gosched() {
		if time.Now().After(by) {
			t.Fatal("the two do not wait")
		}
	}
	var last uint32
	runs, alternated := 0, 0
	for i := range 40 {
		if i%2 == 0 { // enough for two turns
			_ = p.WriteWindowUpdate(0, 32<<10)
		}
		f := p.dataOf()
		if f.StreamID != last {
			alternated++
			runs = 0
		}
		if runs++; runs > 1 {
			t.Errorf("stream %d has two turns running", f.StreamID)
		}
		last = f.StreamID
	}
	if alternated != 40 {
		t.Errorf("of 40 turns %d went to the other stream", alternated)
	}
	_ = p.WriteWindowUpdate(0, 1<<20)
}

// TestDeadlines wakes reads and writes that wait.
func TestDeadlines(t *testing.T) {
	conn, p := server(t, connectable, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	s := open(t, conn)
	_, _ = io.WriteString(s, upgrade)
	p.awaitHeaders(1)
	if _, err := s.Write([]byte("x")); err != nil { // the whole window
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		set  func(time.Time) error
		wait func([]byte) (int, error)
	}{{"read", s.SetReadDeadline, s.Read}, {"write", s.SetWriteDeadline, s.Write}} {
		for _, in := range []time.Duration{-time.Hour, 20 * time.Millisecond} {
			_ = c.set(time.Time{})
			done := make(chan error, 1)
			go func() {
				_, err := c.wait(make([]byte, 2))
				done <- err
			}()
			_ = c.set(time.Now().Add(in))
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	_ = s.SetDeadline(time.Now().Add(patient))
	p.fields(1, false, ":status", "200")
	_ = p.WriteData(1, false, []byte("x"))
	if n, err := s.Read(make([]byte, 16)); n == 0 || err != nil {
		t.Errorf("behind a deadline that was taken back: %d, %v", n, err)
	}
	s.Close()
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("a closed stream is read")
	}
}

// TestEarlyData shows that what a client sends before the answer is the session's,
// and nobody's if the answer is no: it must never be read as another request.
func TestEarlyData(t *testing.T) {
	const smuggled = "GET /admin HTTP/1.1\r\nHost: example.test\r\n\r\n"
	for _, c := range []struct{ name, answer, want string }{
		{"accepted", switching, smuggled},
		{"refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan string, 1)
			p := client(t, serveH2(t, h2.Options{}, func(s *h2.Stream) {
				buf := make([]byte, 4096)
				n, _ := s.Read(buf)
				if bytes.Contains(buf[:n], []byte("admin")) {
					t.Error("early data came with the head")
				}
				_ = s.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if n, err := s.Read(buf); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("before the answer %d bytes were read, %v", n, err)
				}
				_ = s.SetReadDeadline(time.Now().Add(patient))
				_, _ = io.WriteString(s, c.answer)
				b, err := io.ReadAll(s)
				if err != nil {
					t.Error(err)
				}
				got <- string(b)
			}))
			p.fields(1, false, ws()...)
			_ = p.WriteData(1, true, []byte(smuggled))
			if b := <-got; b != c.want {
				t.Errorf("%q", b)
			}
		})
	}
}

// TestShutdown lets streams end and takes no more.
func TestShutdown(t *testing.T) {
	conns := make(chan *h2.Conn, 1)
	ran := make(chan error, 1)
	addr := listen(t, func(nc net.Conn) {
		var all sync.WaitGroup
		defer all.Wait()
		c := h2.NewServer(nc, h2.Options{}, func(s *h2.Stream) {
			all.Go(func() {
				accept(s)
				_, _ = io.Copy(s, s)
				_ = s.CloseWrite()
				s.Close()
			})
		})
		conns <- c
		ran <- c.Run()
	})
	cc := clientH2(t, addr, h2.Options{})
	s := session(t, cc)
	c := <-conns
	if c.Streams() != 1 {
		t.Errorf("%d streams", c.Streams())
	}
	c.Shutdown()
	_, _ = io.WriteString(s, "still here")
	_ = s.CloseWrite()
	if b, err := io.ReadAll(s); string(b) != "still here" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	s.Close()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
