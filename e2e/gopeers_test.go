package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"os"
	"slices"
	"strings"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// peerEnv makes the test's own binary a peer, "gorilla-client" for one, so that
// the Go peers are processes like the others and can be killed like them.
const peerEnv = "WSPROXY_E2E_PEER"

// proxyEnv is the URL of the proxy that a client goes through, and wayEnv how:
// "absolute" or "CONNECT", where a library knows both.
const (
	proxyEnv = "WSPROXY_E2E_PROXY"
	wayEnv   = "WSPROXY_E2E_WAY"
)

// goPeer is the process of a Go peer.
func goPeer(name string, args []string) int {
	library, role, _ := strings.Cut(name, "-")
	var err error
	if library == "h2" {
		err = goH2(role, args)
	} else if role == "server" {
		err = goServer(library)
	} else {
		err = goClient(library, args[0], args[1], args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		return 1
	}
	return 0
}

// message is one of the conversation: several parts are fragments, where the
// library can send some.
type message struct {
	Op    string   `json:"op"`
	Parts [][]byte `json:"parts"`
}

// told is what a client says of a message.
type told struct {
	Op   string `json:"op"`
	Size int    `json:"size"`
	Sum  string `json:"sha256"`
}

func tell(op string, data []byte) told {
	sum := sha256.Sum256(data)
	return told{op, len(data), hex.EncodeToString(sum[:])}
}

// report is what a client says of a connection.
type report struct {
	Scene  string `json:"scene"`
	Sent   []told `json:"sent"`
	Got    []told `json:"got"`
	Pongs  int    `json:"pongs"`
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

// client is what a Go client must be able to do.
type client interface {
	send(m message) error
	read() (op string, data []byte, err error)
	ping() (pong func() error, err error)       // pong is asked behind the next read
	close(code int, reason string) error        // and the answer
	closed(err error) (code int, reason string) // what read's error says
	conn() *net.TCPConn
}

func goClient(library, url, file string, scenes []string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var conversation []message
	if err := json.Unmarshal(b, &conversation); err != nil {
		return err
	}
	for _, scene := range scenes {
		dial := dialGorilla
		if library == "coder" {
			dial = dialCoder
		}
		c, err := dial(url+"/"+scene, http.Header{"Origin": {strings.Replace(url, "ws://", "http://", 1)}})
		if err != nil {
			return err
		}
		r := report{Scene: scene}
		if err := r.play(c, conversation); err != nil {
			return fmt.Errorf("%s: %w", scene, err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) play(c client, conversation []message) error {
	text := func(s string) message { return message{"text", [][]byte{[]byte(s)}} }
	switch r.Scene {
	case "talk":
		for _, m := range conversation[1:] {
			if err := r.echo(c, m); err != nil {
				return err
			}
		}
		pong, err := c.ping()
		if err != nil {
			return err
		}
		if err := r.echo(c, conversation[0]); err != nil { // a library sees pongs while it reads
			return err
		}
		if err := pong(); err != nil {
			return err
		}
		r.Pongs++
		r.Code, r.Reason = 1000, "done"
		err = c.close(r.Code, r.Reason)
		_ = c.conn().Close() // the server's FIN has come
		return err
	case "bye", "server-fin", "server-rst":
		r.Sent = append(r.Sent, tell("text", []byte("please")))
		if err := c.send(text("please")); err != nil {
			return err
		}
		op, data, err := c.read()
		if err == nil {
			return fmt.Errorf("%s %q came", op, data)
		}
		r.Code, r.Reason = c.closed(err)
		_, _ = io.Copy(io.Discard, c.conn()) // until the server is gone
		return ignoreClosed(c.conn().Close())
	}
	if err := r.echo(c, text("still here")); err != nil {
		return err
	}
	switch r.Scene {
	case "kill":
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
		select {}
	case "rst":
		_ = c.conn().SetLinger(0)
	}
	r.Code = 1006
	return c.conn().Close()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (r *report) echo(c client, m message) error {
	if err := c.send(m); err != nil {
		return err
	}
	r.Sent = append(r.Sent, tell(m.Op, slices.Concat(m.Parts...)))
	op, data, err := c.read()
	r.Got = append(r.Got, tell(op, data))
	return err
}

type gorillaClient struct{ c *websocket.Conn }

// peerProxy is the proxy that a peer is told to go through, if any.
func peerProxy(*http.Request) (*neturl.URL, error) {
	if u := os.Getenv(proxyEnv); u != "" {
		return neturl.Parse(u)
	}
	return nil, nil
}

func dialGorilla(url string, header http.Header) (client, error) {
	d := websocket.Dialer{NetDialContext: new(wstest.Dialer).DialContext, EnableCompression: true, HandshakeTimeout: patience, WriteBufferSize: 1024, Proxy: peerProxy}
	c, _, err := d.Dial(url, header)
	if err != nil {
		return nil, err
	}
	return gorillaClient{c}, c.SetReadDeadline(time.Now().Add(patience))
}

var gorillaOps = map[int]string{websocket.TextMessage: "text", websocket.BinaryMessage: "binary"}

func (g gorillaClient) send(m message) error {
	op := websocket.TextMessage
	if m.Op == "binary" {
		op = websocket.BinaryMessage
	}
	w, err := g.c.NextWriter(op)
	if err != nil {
		return err
	}
	for _, p := range m.Parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return w.Close()
}

func (g gorillaClient) read() (string, []byte, error) {
	op, data, err := g.c.ReadMessage()
	return gorillaOps[op], data, err
}

func (g gorillaClient) ping() (func() error, error) {
	ponged := false
	g.c.SetPongHandler(func(s string) error { ponged = s == "there?"; return nil })
	pong := func() error {
		if !ponged {
			return errors.New("no pong")
		}
		return nil
	}
	return pong, g.c.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(patience))
}

func (g gorillaClient) close(code int, reason string) error {
	if err := g.c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason)); err != nil {
		return err
	}
	_, _, err := g.c.ReadMessage()
	if !websocket.IsCloseError(err, code) {
		return err
	}
	_, err = io.Copy(io.Discard, g.c.NetConn())
	return err
}

func (g gorillaClient) closed(err error) (int, string) {
	var e *websocket.CloseError
	if errors.As(err, &e) {
		return e.Code, e.Text
	}
	return 1006, ""
}

func (g gorillaClient) conn() *net.TCPConn {
	if c, ok := g.c.NetConn().(*tls.Conn); ok {
		return c.NetConn().(*net.TCPConn)
	}
	return g.c.NetConn().(*net.TCPConn)
}

type coderClient struct {
	c   *coder.Conn
	tcp *noticed
}

// noticed is a connection that tells when something was written.
type noticed struct {
	*net.TCPConn
	wrote chan struct{}
}

func (n *noticed) Write(b []byte) (int, error) {
	c, err := n.TCPConn.Write(b)
	select {
	case n.wrote <- struct{}{}:
	default:
	}
	return c, err
}

func dialCoder(url string, header http.Header) (client, error) {
	var tcp *noticed
	transport := &http.Transport{Proxy: peerProxy, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(wstest.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tcp = &noticed{c.(*net.TCPConn), make(chan struct{}, 1)}
		return tcp, nil
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := coder.Dial(ctx, url, &coder.DialOptions{HTTPClient: &http.Client{Transport: transport}, HTTPHeader: header,
		CompressionMode: coder.CompressionContextTakeover, CompressionThreshold: 1})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	return coderClient{c, tcp}, nil
}

func coderOp(op string) coder.MessageType {
	if op == "binary" {
		return coder.MessageBinary
	}
	return coder.MessageText
}

func (k coderClient) send(m message) error {
	w, err := k.c.Writer(context.Background(), coderOp(m.Op))
	if err != nil {
		return err
	}
	for _, p := range m.Parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return w.Close()
}

func (k coderClient) read() (string, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	op, data, err := k.c.Read(ctx)
	if op == coder.MessageBinary {
		return "binary", data, err
	}
	return "text", data, err
}

func (k coderClient) ping() (func() error, error) {
	ponged := make(chan error, 1)
	select {
	case <-k.tcp.wrote: // of what came before
	default:
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ponged <- k.c.Ping(ctx)
	}()
	<-k.tcp.wrote // so that the pong comes before the next echo
	return func() error { return <-ponged }, nil
}

func (k coderClient) close(code int, reason string) error {
	return k.c.Close(coder.StatusCode(code), reason)
}

func (k coderClient) closed(err error) (int, string) {
	var e coder.CloseError
	if errors.As(err, &e) {
		return int(e.Code), e.Reason
	}
	return 1006, ""
}

func (k coderClient) conn() *net.TCPConn { return k.tcp.TCPConn }

// goServer echoes until its standard input ends.
func goServer(library string) error {
	serve := serveGorilla
	if library == "coder" {
		serve = serveCoder
	}
	s, err := wstest.Serve(http.HandlerFunc(serve))
	if err != nil {
		return err
	}
	fmt.Println("listening", s.Addr)
	_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	return s.Close()
}

// drop ends a connection without a Close frame where the path asks for it.
func drop(path string, c *net.TCPConn) bool {
	switch path {
	case "/server-rst":
		_ = c.SetLinger(0)
	case "/server-fin":
	default:
		return false
	}
	_ = c.Close()
	return true
}

func serveGorilla(w http.ResponseWriter, r *http.Request) {
	u := websocket.Upgrader{EnableCompression: true}
	c, err := u.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		op, data, err := c.ReadMessage()
		if err != nil || drop(r.URL.Path, c.NetConn().(*net.TCPConn)) {
			return
		}
		if r.URL.Path == "/bye" {
			_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "going away now"))
			continue // until the client has answered
		}
		if c.WriteMessage(op, data) != nil {
			return
		}
	}
}

// hijacked remembers the connection that coder takes over.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := h.ResponseWriter.(http.Hijacker).Hijack()
	h.conn = c
	return c, rw, err
}

func serveCoder(w http.ResponseWriter, r *http.Request) {
	h := &hijacked{ResponseWriter: w}
	c, err := coder.Accept(h, r, &coder.AcceptOptions{CompressionMode: coder.CompressionContextTakeover, CompressionThreshold: 1})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		op, data, err := c.Read(r.Context())
		if err != nil || drop(r.URL.Path, h.conn.(*net.TCPConn)) {
			return
		}
		if r.URL.Path == "/bye" {
			_ = c.Close(1001, "going away now")
			return
		}
		if c.Write(r.Context(), op, data) != nil {
			return
		}
	}
}
