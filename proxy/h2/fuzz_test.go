package h2_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy/h2"
)

// seed is what a script writes.
func seed(script func(fr *http2.Framer, block func(pairs ...string) []byte)) []byte {
	var out, buf bytes.Buffer
	fr := http2.NewFramer(&out, nil)
	fr.AllowIllegalWrites = true
	enc := hpack.NewEncoder(&buf)
	_ = fr.WriteSettings(connectable)
	script(fr, func(pairs ...string) []byte {
		buf.Reset()
		for i := 0; i < len(pairs); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return bytes.Clone(buf.Bytes())
	})
	return out.Bytes()
}

func seeds(f *testing.F, head []string) {
	headers := func(fr *http2.Framer, id uint32, end bool, b []byte) {
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b, EndHeaders: true, EndStream: end})
	}
	for _, server := range []bool{true, false} {
		f.Add(server, seed(func(fr *http2.Framer, block func(...string) []byte) {
			headers(fr, 1, false, block(head...))
			_ = fr.WriteData(1, false, []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"))
			_ = fr.WriteWindowUpdate(1, 70000)
			_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
			_ = fr.WriteDataPadded(1, true, []byte("x"), make([]byte, 9))
			headers(fr, 3, true, block(get("content-length", "0")...))
			_ = fr.WriteRSTStream(3, http2.ErrCodeCancel)
			_ = fr.WritePing(false, [8]byte{})
			_ = fr.WriteGoAway(1, http2.ErrCodeNo, []byte("bye"))
		}))
		f.Add(server, seed(func(fr *http2.Framer, block func(...string) []byte) {
			b := block(append(head, "x-long", "value")...)
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:5]})
			_ = fr.WriteContinuation(1, true, b[5:])
			_ = fr.WriteData(1, false, []byte("body"))
			headers(fr, 1, true, block("x-trailer", "1"))
		}))
		f.Add(server, seed(func(fr *http2.Framer, block func(...string) []byte) {
			headers(fr, 1, false, block(":status", "103", "link", "x"))
			headers(fr, 1, false, block(":status", "200", "content-length", "2"))
			_ = fr.WriteData(1, true, []byte("ok"))
			_ = fr.WriteRSTStream(1, http2.ErrCodeNo)
		}))
	}
}

// FuzzFrames has a peer send any bytes to either role. The connection ends with
// them, everybody on it learns so, what it holds stays bounded, and what a reader
// gets begins with one well-formed HTTP/1.1 head that no field has broken out of.
func FuzzFrames(f *testing.F) {
	seeds(f, ws())
	f.Fuzz(func(t *testing.T, server bool, frames []byte) {
		ours, theirs := net.Pipe()
		_ = theirs.SetDeadline(time.Now().Add(patient))
		var all sync.WaitGroup
		var c *h2.Conn
		use := func(s *h2.Stream, say string) {
			defer s.Close()
			all.Go(func() { _, _ = io.WriteString(s, say); _ = s.CloseWrite() })
			got, _ := io.ReadAll(s)
			if err := c.Bounded(); err != nil {
				t.Error(err)
			}
			checkHead(t, got, server)
		}
		if server {
			c = h2.NewServer(ours, h2.Options{Streams: 4}, func(s *h2.Stream) {
				all.Go(func() { use(s, switching+"bytes") })
			})
			frames = append([]byte(http2.ClientPreface), frames...)
		} else {
			c = h2.NewClient(ours, h2.Options{})
			for _, say := range []string{upgrade + "bytes", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nok"} {
				all.Go(func() {
					if s, err := c.Open(context.Background()); err == nil {
						use(s, say)
					}
				})
			}
		}
		all.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
		all.Go(func() {
			_, _ = theirs.Write(frames)
			theirs.Close()
		})
		_ = c.Run()
		all.Wait()
		if err := c.Bounded(); err != nil {
			t.Error(err)
		}
		if n := c.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// checkHead looks at the first head in what was read.
func checkHead(t *testing.T, got []byte, request bool) {
	at := bytes.Index(got, []byte("\r\n\r\n"))
	if at < 0 {
		if len(got) > 0 {
			t.Errorf("half a head: %q", got)
		}
		return
	}
	var h *inspect.Head
	var err error
	if request {
		h, err = inspect.ParseRequest(got[:at+4])
	} else {
		h, err = inspect.ParseResponse(got[:at+4])
	}
	if err != nil || h.Problem != "" {
		t.Fatalf("a broken head, %v: %q", err, got[:at+4])
	}
	if n := len(h.Values("Transfer-Encoding")) + len(h.Values("Content-Length")); n > 1 || len(h.Values("Host")) > 1 {
		t.Errorf("an ambiguous head: %q", got[:at+4])
	}
}

// pieces is a connection that passes bytes on in pieces whose sizes the fuzzer
// chooses.
type pieces struct {
	net.Conn
	sizes []byte
	at    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.sizes) > 0 {
		p.at++
		b = b[:min(len(b), 1+int(p.sizes[p.at%len(p.sizes)])*64)]
	}
	return p.Conn.Read(b)
}

// FuzzSession sends a session's bytes through both roles of ours, cut at will on
// the wire and by its writer, and has them echoed: what comes back is what was
// sent.
func FuzzSession(f *testing.F) {
	f.Add([]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), []byte{0, 3, 200}, uint16(1))
	f.Add([]byte("\x88\x02\x03\xe8GET / HTTP/1.1\r\n\r\n0\r\n\r\n"), []byte{1}, uint16(1000))
	f.Add([]byte{}, []byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, payload, sizes []byte, times uint16) {
		most := 1 << 20
		if len(sizes) > 0 { // not so much that small pieces take long
			most = min(most, 4096*(1+int(slices.Min(sizes))*64))
		}
		payload = bytes.Repeat(payload, min(int(times), most/max(1, len(payload))))
		a, b := net.Pipe()
		var all sync.WaitGroup
		client := h2.NewClient(&pieces{a, sizes, 0}, h2.Options{Logf: t.Errorf})
		server := h2.NewServer(&pieces{b, sizes, 1}, h2.Options{Logf: t.Errorf}, func(s *h2.Stream) {
			all.Go(func() {
				defer s.Close()
				accept(s)
				if _, err := io.Copy(s, s); err == nil {
					_ = s.CloseWrite()
				}
			})
		})
		all.Go(func() { _ = client.Run() })
		all.Go(func() { _ = server.Run() })
		s, err := client.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Now().Add(patient))
		all.Go(func() {
			_, _ = io.WriteString(s, upgrade)
			for rest, i := payload, 0; len(rest) > 0; i++ {
				n := len(rest)
				if len(sizes) > 0 {
					n = min(n, 1+int(sizes[i%len(sizes)])*100)
				}
				if _, err := s.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			_ = s.CloseWrite()
		})
		got, err := io.ReadAll(s)
		_, got, ok := bytes.Cut(got, []byte("\r\n\r\n"))
		if err != nil || !ok || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes of %d have come back, %v", len(got), len(payload), err)
		}
		s.Close()
		client.Close()
		all.Wait()
	})
}
