package wstest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// patience bounds what a raw peer waits for.
const patience = 20 * time.Second

// payloadLimit is the longest payload that Next reads, in bytes.
const payloadLimit = 16 << 20

// RequestKey is the Sec-WebSocket-Key of the example in RFC 6455 section 1.3.
const RequestKey = "dGhlIHNhbXBsZSBub25jZQ=="

// UpgradeRequest is the head that asks host for a WebSocket at path. extra are
// further header lines, each with its CRLF.
func UpgradeRequest(host, path, extra string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + RequestKey + "\r\n" + extra + "\r\n"
}

// UpgradeResponse is the head that agrees to key.
func UpgradeResponse(key, extra string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + inspect.AcceptKey(key) + "\r\n" + extra + "\r\n"
}

// Conn is a raw peer: it writes what it is told to and reads frame by frame,
// legal or not. Nothing is answered by itself.
type Conn struct {
	*net.TCPConn
	r    *bufio.Reader
	stop func() bool
}

// Open makes a raw client's connection to addr, on loopback. Everything on it
// ends with ctx, and after a bounded time without it.
func Open(ctx context.Context, addr string) (*Conn, error) {
	c, err := dialTCP(ctx, addr)
	if err != nil {
		return nil, err
	}
	return NewConn(ctx, c), nil
}

// NewConn makes a raw peer of a connection that was accepted. It ends with ctx
// at the latest.
func NewConn(ctx context.Context, c *net.TCPConn) *Conn { return newConn(ctx, c, bufio.NewReader(c)) }

// Dial opens a WebSocket at path of addr. An answer other than 101 is an error
// that holds its status line.
func Dial(ctx context.Context, addr, path string) (*Conn, error) {
	c, err := Open(ctx, addr)
	if err != nil {
		return nil, err
	}
	if err := c.Upgrade(UpgradeRequest(addr, path, "")); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func newConn(ctx context.Context, tcp *net.TCPConn, r *bufio.Reader) *Conn {
	_ = tcp.SetDeadline(time.Now().Add(patience)) // a closed socket tells with the next read
	return &Conn{TCPConn: tcp, r: r, stop: context.AfterFunc(ctx, func() { _ = tcp.Close() })}
}

// Accept takes over a request's connection and agrees to the upgrade, with extra
// header lines. It ends with ctx at the latest; the caller closes it.
func Accept(ctx context.Context, w http.ResponseWriter, r *http.Request, extra string) (*Conn, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(errors.New("a raw peer needs TCP"), nc.Close())
	}
	c := newConn(ctx, tcp, rw.Reader)
	if err := c.Send([]byte(UpgradeResponse(r.Header.Get("Sec-WebSocket-Key"), extra))); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Upgrade sends an upgrade request as it stands and reads a 101.
func (c *Conn) Upgrade(request string) error {
	if err := c.Send([]byte(request)); err != nil {
		return err
	}
	head, err := c.Head()
	if err != nil {
		return err
	}
	if line, _, _ := bytes.Cut(head, []byte("\r\n")); !bytes.HasPrefix(line, []byte("HTTP/1.1 101 ")) {
		return fmt.Errorf("the answer is %s", line)
	}
	return nil
}

// Head reads up to and with an empty line.
func (c *Conn) Head() ([]byte, error) {
	var head []byte
	for {
		line, err := c.r.ReadSlice('\n')
		if head = append(head, line...); err != nil {
			return head, fmt.Errorf("a head: %w", err)
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return head, nil
		}
	}
}

// Send writes bytes, frames mostly, at once.
func (c *Conn) Send(all ...[]byte) error {
	_, err := c.Write(bytes.Join(all, nil))
	return err
}

// Next reads one frame and answers its payload unmasked.
func (c *Conn) Next() (inspect.Header, string, error) {
	var raw []byte
	for {
		if h, ok := inspect.ParseHeader(raw); ok {
			if h.Length() > payloadLimit {
				return h, "", fmt.Errorf("a frame claims %d bytes", h.Length())
			}
			b := make([]byte, h.Length())
			_, err := io.ReadFull(c.r, b)
			inspect.Mask(h.Key(), 0, b)
			return h, string(b), err
		}
		b, err := c.r.ReadByte()
		if err != nil {
			return inspect.Header{}, "", err
		}
		raw = append(raw, b)
	}
}

// Expect reads one frame and compares it.
func (c *Conn) Expect(op inspect.Opcode, payload string) error {
	h, got, err := c.Next()
	if err != nil {
		return fmt.Errorf("%s %q is wanted: %w", op, payload, err)
	}
	if h.Opcode() != op || got != payload {
		return fmt.Errorf("%s %q is wanted, %s %q came", op, payload, h.Opcode(), got)
	}
	return nil
}

// Read reads bytes as they come, behind what Head and Next have taken.
func (c *Conn) Read(b []byte) (int, error) { return c.r.Read(b) }

// Rest reads to the end. A FIN is no error, a reset is.
func (c *Conn) Rest() ([]byte, error) { return io.ReadAll(c.r) }

// Reset ends the connection with an RST, once the peer has what was sent.
func (c *Conn) Reset() error {
	c.stop()
	drain(c.TCPConn)
	return errors.Join(c.SetLinger(0), c.TCPConn.Close())
}

// Close closes the socket, at any time and more than once.
func (c *Conn) Close() error {
	c.stop()
	if err := c.TCPConn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
