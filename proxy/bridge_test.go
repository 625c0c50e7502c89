package proxy

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// newBridgeRig is a bridge to a stream whose server the test plays.
func newBridgeRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	return newRig(t, func(c *Config) {
		c.Target = &url.URL{Scheme: "tcp", Host: c.Target.Host}
		if change != nil {
			change(c)
		}
	})
}

const bridgeHead = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

const bridgeAnswer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

// offering is the handshake with a subprotocol.
func offering(protocol string) string {
	return strings.Replace(bridgeHead, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: "+protocol+"\r\n\r\n", 1)
}

// bridged is a WebSocket client and the stream's server behind the bridge.
func (r *rig) bridged() (client, server *net.TCPConn) {
	r.t.Helper()
	client = r.dial()
	r.send(client, bridgeHead)
	server = r.accept()
	r.expect(client, bridgeAnswer+"\r\n")
	return client, server
}

// masked is a client's frame: first byte and payload.
func masked(first byte, payload string) string {
	f := inspect.Fields{Fin: first&0x80 != 0, Rsv1: first&0x40 != 0, Opcode: inspect.Opcode(first & 15), Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: uint64(len(payload))}
	b := append(inspect.NewHeader(f).Append(nil), payload...)
	inspect.Mask(f.Key, 0, b[len(b)-len(payload):])
	return string(b)
}

// ended is a connection that has let go: both directions have ended in order.
func (r *rig) bridgeEnds(client, server *net.TCPConn) {
	r.t.Helper()
	if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
		r.t.Errorf("the client got %q, %v", rest, err)
	}
	_ = client.Close()
	if rest, err := io.ReadAll(server); len(rest) > 0 || err != nil && !errors.Is(err, net.ErrClosed) {
		r.t.Errorf("the server got %q, %v", rest, err)
	}
	_ = server.Close()
}

// TestBridgeCarriesBytes: what data frames carry reaches the server, whatever way
// they are cut, and what the server sends comes in binary messages.
func TestBridgeCarriesBytes(t *testing.T) {
	for _, size := range []int{1, 7, 4096, 1 << 20} {
		long := strings.Repeat("0123456789", min(3*size, 100_000))
		frames := masked(0x82, "one ") + masked(0x02, "two") + masked(0x89, "beat") + masked(0x00, "") + masked(0x80, " three ") +
			masked(0x82, "") + masked(0x82, long) + masked(0x8a, "unasked")
		want := "one two three " + long
		r := newBridgeRig(t, nil)
		client, server := r.bridged()
		_ = client.SetNoDelay(true)
		go func() { // ends with the client's socket
			for rest := frames; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if _, err := io.WriteString(client, rest[:min(size, len(rest))]); err != nil {
					return
				}
			}
		}()
		r.expect(server, want)
		r.expect(client, "\x8a\x04beat")
		r.send(server, "answer")
		r.expect(client, "\x82\x06answer")
		r.send(client, masked(0x88, "\x03\xe8bye"))
		r.expectEnd(server, false)
		r.send(server, "last words") // half-closed
		r.expect(client, "\x82\x0alast words")
		_ = server.Close()
		r.expect(client, "\x88\x02\x03\xe8")
		r.bridgeEnds(client, server)
		r.settle()
		if got := string(r.heard.bytes[inspect.ServerLeg][inspect.ToServer]); got != want {
			t.Errorf("cut at %d: the tap heard %d bytes up, want %d", size, len(got), len(want))
		}
		if got := string(r.heard.bytes[inspect.ServerLeg][inspect.ToClient]); got != "answerlast words" {
			t.Errorf("the tap heard %q down", got)
		}
		if got := string(r.heard.bytes[inspect.ClientLeg][inspect.ToClient]); got != bridgeAnswer+"\r\n\x8a\x04beat\x82\x06answer\x82\x0alast words\x88\x02\x03\xe8" {
			t.Errorf("the tap heard %q to the client", got)
		}
	}
}

// settle waits until no connection is open.
func (r *rig) settle() {
	r.t.Helper()
	for by := time.Now().Add(patience); r.server.Stats().Open > 0; {
		if time.Now().After(by) {
			r.t.Fatal("a connection stays open")
		}
		select {
		case <-r.t.Context().Done():
			return
		default:
		}
	}
	r.heard.mu.Lock() // behind the last that was told
	defer r.heard.mu.Unlock()
}

// TestBridgeSubprotocols: of websockify's two the first that is offered is taken.
func TestBridgeSubprotocols(t *testing.T) {
	for offer, want := range map[string]string{"binary": "binary", "base64": "base64", "chat, binary, base64": "binary", "base64, binary": "base64", "chat": ""} {
		r := newBridgeRig(t, nil)
		client := r.dial()
		r.send(client, offering(offer))
		server := r.accept()
		extra := ""
		if want != "" {
			extra = "Sec-WebSocket-Protocol: " + want + "\r\n"
		}
		r.expect(client, bridgeAnswer+extra+"\r\n")
		if want == "base64" {
			text := base64.StdEncoding.EncodeToString([]byte("\x00\x01\xffbytes"))
			r.send(client, masked(0x01, text[:3])+masked(0x80, text[3:]))
			r.expect(server, "\x00\x01\xffbytes")
			r.send(server, "\xfe\x00")
			r.expect(client, "\x81\x04/gA=")
		} else {
			r.send(client, masked(0x82, "\x00\x01\xff"))
			r.expect(server, "\x00\x01\xff")
		}
		_, _ = client.Close(), server.Close() // they have seen enough
		r.settle()
	}
}

// TestBridgeBreaches: a client that breaks the protocol is told with which code, and
// the server sees a reset.
func TestBridgeBreaches(t *testing.T) {
	for name, c := range map[string]struct {
		send string
		code string
		why  string
	}{
		"unmasked":            {"\x82\x01a", "\x03\xea", "a client's frames are masked"},
		"reserved bit":        {masked(0xc2, "a"), "\x03\xea", "a reserved bit is set and no extension was agreed"},
		"reserved opcode":     {masked(0x83, "a"), "\x03\xea", "opcode 3 is reserved"},
		"long ping":           {masked(0x89, strings.Repeat("p", 126)), "\x03\xea", "a control frame is whole and has 125 bytes at most"},
		"fragmented ping":     {masked(0x09, "p"), "\x03\xea", "a control frame is whole and has 125 bytes at most"},
		"stray continuation":  {masked(0x80, "a"), "\x03\xea", "a message begins with its opcode and goes on with continuations"},
		"message in message":  {masked(0x02, "a") + masked(0x82, "b"), "\x03\xea", "a message begins with its opcode and goes on with continuations"},
		"text":                {masked(0x81, "a"), "\x03\xeb", "a bridge takes binary messages, not text"},
		"behind good message": {masked(0x82, "fine") + masked(0x81, "a"), "\x03\xeb", "a bridge takes binary messages, not text"},
	} {
		t.Run(name, func(t *testing.T) {
			said := make(chan string, 1)
			r := newBridgeRig(t, func(c *Config) {
				c.Logf = func(format string, args ...any) { said <- args[1].(string) }
			})
			client, server := r.bridged()
			r.send(client, c.send)
			r.expect(client, string([]byte{0x88, byte(2 + len(c.why))})+c.code+c.why)
			r.send(client, masked(0x88, c.code))
			_ = client.CloseWrite() // a socket that is closed already tells with the read
			if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
				t.Errorf("the client got %q, %v", rest, err)
			}
			_, err := io.ReadAll(server)
			if !isReset(err) {
				t.Errorf("the server got %v", err)
			}
			if got := <-said; got != c.why {
				t.Errorf("said %q", got)
			}
			r.settle()
		})
	}
}

func TestBridgeNotBase64(t *testing.T) {
	for _, send := range []string{masked(0x81, "####"), masked(0x81, "QUI"), masked(0x01, "QU") + masked(0x80, "")} {
		r := newBridgeRig(t, nil)
		client := r.dial()
		r.send(client, offering("base64"))
		server := r.accept()
		r.expect(client, bridgeAnswer+"Sec-WebSocket-Protocol: base64\r\n\r\n")
		r.send(client, send)
		r.expect(client, "\x88\x19\x03\xefa message is not base64")
		if _, err := io.ReadAll(server); !isReset(err) {
			t.Errorf("the server got %v", err)
		}
		_ = client.Close()
		r.settle()
	}
}

// TestBridgeEndings: each side's ending becomes what the other's protocol has for it.
func TestBridgeEndings(t *testing.T) {
	t.Run("server FIN", func(t *testing.T) {
		r := newBridgeRig(t, nil)
		client, server := r.bridged()
		if err := server.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.expect(client, "\x88\x02\x03\xe8")
		r.send(client, masked(0x82, "still talking"))
		r.expect(server, "still talking")
		r.send(client, masked(0x88, "\x03\xe8"))
		r.bridgeEnds(client, server)
		r.settle()
		r.told(inspect.ServerLeg, inspect.ToClient, inspect.Fin)
		r.told(inspect.ServerLeg, inspect.ToServer, inspect.Fin)
		r.told(inspect.ClientLeg, inspect.ToServer, inspect.Fin)
		r.told(inspect.ClientLeg, inspect.ToClient, inspect.Fin)
	})
	t.Run("server RST", func(t *testing.T) {
		r := newBridgeRig(t, nil)
		client, server := r.bridged()
		Reset(server)
		r.expect(client, "\x88\x1e\x03\xf3the TCP connection was reset")
		r.send(client, masked(0x88, "\x03\xf3"))
		if rest, err := io.ReadAll(client); len(rest) > 0 || err != nil {
			t.Errorf("the client got %q, %v", rest, err)
		}
		_ = client.Close()
		r.settle()
		r.told(inspect.ServerLeg, inspect.ToClient, inspect.Rst)
	})
	t.Run("client RST", func(t *testing.T) {
		r := newBridgeRig(t, nil)
		client, server := r.bridged()
		Reset(client)
		r.expectEnd(server, true)
		r.settle()
		r.told(inspect.ClientLeg, inspect.ToServer, inspect.Rst)
	})
	t.Run("client FIN", func(t *testing.T) {
		r := newBridgeRig(t, nil)
		client, server := r.bridged()
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r.expectEnd(server, false)
		r.send(server, "late")
		r.expect(client, "\x82\x04late")
		_ = server.Close()
		r.bridgeEnds(client, server)
		r.settle()
		r.told(inspect.ClientLeg, inspect.ToServer, inspect.Fin)
	})
	t.Run("wsproxy", func(t *testing.T) {
		r := newBridgeRig(t, nil)
		client, server := r.bridged()
		done := make(chan error, 1)
		go func() { done <- r.server.Shutdown(t.Context()) }()
		r.expect(client, "\x88\x1a\x03\xe9wsproxy is shutting down")
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = server.Close()
	})
}

// told says that an ending was told to the tap.
func (r *rig) told(l inspect.Leg, d inspect.Dir, how inspect.End) {
	r.t.Helper()
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	for _, e := range r.heard.ends {
		if e.Leg == l && e.Dir == d && e.How == how {
			return
		}
	}
	r.t.Errorf("nobody told %v %v %v: %v", l, d, how, r.heard.ends)
}

// TestBridgeUnwelcome: what is no WebSocket client, or a page of another site, is
// refused in a sentence.
func TestBridgeUnwelcome(t *testing.T) {
	for name, c := range map[string]struct{ head, status, says string }{
		"no upgrade":     {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "426 Upgrade Required", "takes WebSocket clients only"},
		"no request":     {"HELP\r\n\r\n", "400 Bad Request", ""},
		"old version":    {strings.Replace(bridgeHead, "Version: 13", "Version: 8", 1), "400 Bad Request", "the version of WebSocket is 13"},
		"bad key":        {strings.Replace(bridgeHead, "dGhlIHNhbXBsZSBub25jZQ==", "eA==", 1), "400 Bad Request", "16 bytes in base64"},
		"POST":           {strings.Replace(bridgeHead, "GET", "POST", 1), "405 Method Not Allowed", "is a GET"},
		"foreign host":   {strings.Replace(bridgeHead, "localhost", "evil.example", 1), "421 Misdirected Request", "--allow-host evil.example"},
		"foreign origin": {strings.Replace(bridgeHead, "\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n", 1), "403 Forbidden", "--allow-host evil.example"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newBridgeRig(t, nil)
			client := r.dial()
			r.send(client, c.head)
			answer, err := io.ReadAll(client)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+c.status+"\r\n") || !strings.Contains(strings.ToLower(string(answer)), strings.ToLower(c.says)) {
				t.Errorf("%q, %v", answer, err)
			}
			_ = client.Close()
			r.settle()
		})
	}
	for _, origin := range []string{"http://localhost:6080", "http://127.0.0.1", "null", "https://app.example"} {
		r := newBridgeRig(t, func(c *Config) { c.AllowHost = Hosts{"app.example"} })
		client := r.dial()
		r.send(client, strings.Replace(bridgeHead, "\r\n\r\n", "\r\nOrigin: "+origin+"\r\n\r\n", 1))
		r.expect(client, bridgeAnswer)
		_ = client.Close()
		_ = r.accept().Close()
		r.settle()
	}
	t.Run("no server", func(t *testing.T) {
		r := newBridgeRig(t, nil)
		_ = r.upstream.Close()
		client := r.dial()
		r.send(client, bridgeHead)
		answer, err := io.ReadAll(client)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 502 Bad Gateway\r\n") {
			t.Errorf("%q, %v", answer, err)
		}
	})
}

// outward is a stream's client, and the WebSocket server that the bridge called.
func (r *rig) outward() (client, server *net.TCPConn) {
	r.t.Helper()
	client = r.dial()
	server = r.accept()
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b...) {
		if _, err := io.ReadFull(server, b); err != nil {
			r.t.Fatal(err)
		}
	}
	h, err := inspect.ParseRequest(head)
	if err != nil || !h.IsUpgrade() || h.Target != "/deep/path" || h.Get("X-Token") != "t" || h.Get("Host") != r.upstream.Addr().String() {
		r.t.Fatalf("%q, %v", head, err)
	}
	r.send(server, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+inspect.AcceptKey(h.Get("Sec-WebSocket-Key"))+"\r\n\r\n\x82\x05hello")
	return client, server
}

func newOutwardRig(t *testing.T) *rig {
	t.Helper()
	return newRig(t, func(c *Config) {
		c.FromTCP, c.Target.Path = true, "/deep/path"
		c.Header = []inspect.HeaderField{{Name: "X-Token", Value: "t"}}
	})
}

// frame reads one masked frame and answers its first byte and its payload.
func (r *rig) frame(c net.Conn) (byte, string) {
	r.t.Helper()
	var scan inspect.Scanner
	var payload []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(c, b); err != nil {
			r.t.Fatal(err)
		}
		h, _, part, _ := scan.Next(b)
		payload = append(payload, part...)
		if h.Length() == uint64(len(payload)) && h != (inspect.Header{}) {
			if !h.Masked() {
				r.t.Error("a client's frame is not masked")
			}
			inspect.Mask(h.Key(), 0, payload)
			return h.Raw()[0], string(payload)
		}
	}
}

// TestBridgeFromTCP: a client that knows nothing of WebSocket talks to a server
// that knows nothing else.
func TestBridgeFromTCP(t *testing.T) {
	r := newOutwardRig(t)
	client, server := r.outward()
	r.expect(client, "hello") // behind the answer, in one segment
	r.send(client, "ping?")
	if first, got := r.frame(server); first != 0x82 || got != "ping?" {
		t.Errorf("%x %q", first, got)
	}
	r.send(server, "\x89\x01b\x81\x03abc\x02\x01d\x80\x01e")
	r.expect(client, "abcde")
	if first, got := r.frame(server); first != 0x8a || got != "b" {
		t.Errorf("%x %q", first, got)
	}
	if err := client.CloseWrite(); err != nil { // half-close
		t.Fatal(err)
	}
	if first, got := r.frame(server); first != 0x88 || got != "\x03\xe8" {
		t.Errorf("%x %q", first, got)
	}
	r.send(server, "\x82\x04late\x88\x02\x03\xe8")
	r.expect(client, "late")
	r.expectEnd(client, false)
	_ = server.Close() // a server closes first
	r.settle()
	r.told(inspect.ServerLeg, inspect.ToServer, inspect.Fin)
	r.told(inspect.ClientLeg, inspect.ToClient, inspect.Fin)
}

func TestBridgeFromTCPEndings(t *testing.T) {
	t.Run("server Close", func(t *testing.T) {
		r := newOutwardRig(t)
		client, server := r.outward()
		r.expect(client, "hello")
		r.send(server, "\x88\x04\x03\xe9by")
		r.expectEnd(client, false)
		_ = client.Close()
		if first, got := r.frame(server); first != 0x88 || got != "\x03\xe9" {
			t.Errorf("%x %q", first, got)
		}
		_ = server.Close()
		r.settle()
	})
	t.Run("server RST", func(t *testing.T) {
		r := newOutwardRig(t)
		client, server := r.outward()
		r.expect(client, "hello")
		Reset(server)
		r.expectEnd(client, true)
		r.settle()
	})
	t.Run("client RST", func(t *testing.T) {
		r := newOutwardRig(t)
		client, server := r.outward()
		r.expect(client, "hello")
		Reset(client)
		if first, got := r.frame(server); first != 0x88 || got != "\x03\xf3the TCP connection was reset" {
			t.Errorf("%x %q", first, got)
		}
		r.send(server, "\x88\x02\x03\xf3")
		_ = server.Close()
		r.settle()
	})
	t.Run("masked frames of a server", func(t *testing.T) {
		r := newOutwardRig(t)
		client, server := r.outward()
		r.expect(client, "hello")
		r.send(server, masked(0x82, "a"))
		if first, got := r.frame(server); first != 0x88 || got != "\x03\xeaa server's frames are not masked" {
			t.Errorf("%x %q", first, got)
		}
		r.expectEnd(client, true)
		_ = server.Close()
		r.settle()
	})
	for name, answer := range map[string]string{
		"refused":      "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"wrong key":    switchHead,
		"no HTTP":      "SSH-2.0-OpenSSH\r\n\r\n",
		"goes at once": "",
	} {
		t.Run(name, func(t *testing.T) {
			r := newOutwardRig(t)
			client := r.dial()
			server := r.accept()
			r.send(server, answer)
			_ = server.CloseWrite() // there is no more
			r.expectEnd(client, true)
			_ = server.Close()
			r.settle()
		})
	}
}
