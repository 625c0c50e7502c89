package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// pace is how slowly the clients go on.
type pace struct {
	first time.Duration // behind each scene, the first time; 0: each is played once, at once
	later time.Duration // from then on
	beat  time.Duration // between heartbeats
}

// demoPatience bounds every answer that a client of the demo waits for.
const demoPatience = 10 * time.Second

func demoCmd() *cobra.Command {
	var f rootFlags
	var tour bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what wsproxy shows, with a server and clients of its own",
		Long: `Start an echo server, a few clients, and wsproxy between them: text, binary,
fragments, compression, ping and pong, a clean close, and what goes wrong: a
reset, a refused upgrade, breaches of the protocol. Nothing but this machine is
needed. With --plain, --json or a pipe the demo ends by itself.

With --tour eight scenes explain what is there to see: each has a sentence, a
key to press, the section of the RFC, and a question that is answered on the
next key.`,
		Example: `  wsproxy demo
  wsproxy demo --tour
  wsproxy demo --plain
  wsproxy demo --plain --record demo.pcapng`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, f, tour) },
	}
	f.registerRun(cmd)
	cmd.Flags().BoolVar(&tour, "tour", false, "lead through the scenes, one by one")
	return cmd
}

// demo is a server and the clients that talk to it through wsproxy.
type demo struct {
	addr string     // of the proxy
	open func() int // connections through the proxy that are not over
	pace pace
}

func runDemo(cmd *cobra.Command, f rootFlags, tour bool) (err error) {
	if tour && (f.output.json || f.output.quiet || f.output.filter != "" || f.noRecord) {
		return usagef("wsproxy demo --tour, or wsproxy demo --tour --plain", "the tour leads through everything on the screen, or with --plain in lines")
	}
	server, err := wstest.Serve(demoServer())
	if err != nil {
		return failf("", "the demo's server cannot listen: %v", cause(err))
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	f.private = true
	p, err := startProxy(cmd, f, &url.URL{Scheme: "ws", Host: server.Addr})
	if err != nil {
		return err
	}
	d := &demo{addr: reachable(p.listeners[0].Addr()), open: func() int { return p.server.Stats().Open }}
	if f.output.screen(p.out) {
		// Time to look at each scene; from then on one now and then.
		d.pace = pace{first: 1500 * time.Millisecond, later: 10 * time.Second, beat: 2 * time.Second}
	}
	if tour {
		p.tour = tourScenes()
		if d.pace.first > 0 { // once, and at once: the user sets the pace
			d.pace = pace{first: 50 * time.Millisecond, later: 24 * time.Hour, beat: 5 * time.Second}
		}
	}
	p.clients = d.play
	if !f.output.quiet {
		fmt.Fprintf(p.err, "demo: an echo server on ws://%s and %d clients\n", server.Addr, len(scenes))
	}
	return p.watchUntilEnd(cmd.Context())
}

// reachable is where a client on this machine finds a listener.
func reachable(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok && t.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", fmt.Sprint(t.Port))
	}
	return a.String()
}

// scene is one client's conversation. Its path names it.
type scene struct {
	path string
	play func(ctx context.Context, d *demo, path string) error
}

// scenes are played in this order.
var scenes = []scene{
	{"/text", playText},
	{"/binary", playBinary},
	{"/fragments", playFragments},
	{"/deflate", playDeflate},
	{"/ping", playPing},
	{"/reset", playReset},
	{"/refused", playRefused},
	{"/mistakes", playMistakes},
}

// play has the clients talk, once each; on a screen slowly and again and again,
// until ctx ends. It waits for all that it starts.
func (d *demo) play(ctx context.Context) error {
	if d.pace.first == 0 {
		return d.round(ctx, 0)
	}
	beating := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	go func() {
		err := d.beat(ctx)
		stop() // one that fails is told at once
		beating <- err
	}()
	err := d.round(ctx, d.pace.first)
	for err == nil && ctx.Err() == nil {
		err = d.round(ctx, d.pace.later)
	}
	stop()
	return errors.Join(err, <-beating)
}

// round plays each scene, with a pause behind each. The end of ctx is no error.
func (d *demo) round(ctx context.Context, pause time.Duration) error {
	for _, s := range scenes {
		if err := s.play(ctx, d, s.path); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return failf("", "the demo's client at %s: %v", s.path, err)
		}
		d.rest(ctx, pause)
	}
	return nil
}

// rest is the pause behind a scene. Without one the next scene still waits until
// this one is over for the proxy too, so that their lines do not mix; somebody
// else's connection holds it up for a moment only.
func (d *demo) rest(ctx context.Context, pause time.Duration) {
	if pause > 0 {
		pauseFor(ctx, pause)
		return
	}
	for by := time.Now().Add(time.Second); d.open() > 0 && ctx.Err() == nil && time.Now().Before(by); {
		pauseFor(ctx, time.Millisecond)
	}
}

// pauseFor waits, but not longer than ctx lives.
func pauseFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// beat keeps a session open that beats like a heart until ctx ends.
func (d *demo) beat(ctx context.Context) error {
	c, err := d.dial(context.WithoutCancel(ctx), "/heartbeat", false)
	if err != nil {
		return err
	}
	defer c.close()
	for n := 1; ; n++ {
		if err := c.ping(fmt.Sprint("beat ", n)); err != nil {
			return err
		}
		if err := c.echoed(websocket.TextMessage, fmt.Sprintf(`{"type":"heartbeat","n":%d}`, n)); err != nil {
			return err
		}
		if pauseFor(ctx, d.pace.beat); ctx.Err() != nil {
			return c.farewell(websocket.CloseGoingAway, "the demo is over")
		}
	}
}

// caller is an ordinary client.
type caller struct {
	*websocket.Conn
	stop func() bool
}

// dial opens a WebSocket through the proxy; it ends with ctx at the latest.
func (d *demo) dial(ctx context.Context, path string, compress bool) (*caller, error) {
	dialer := websocket.Dialer{NetDialContext: new(wstest.Dialer).DialContext, EnableCompression: compress, HandshakeTimeout: demoPatience}
	c, _, err := dialer.DialContext(ctx, "ws://"+d.addr+path, nil)
	if err != nil {
		return nil, err
	}
	return &caller{c, context.AfterFunc(ctx, func() { _ = c.Close() })}, nil
}

func (c *caller) close() {
	c.stop()
	_ = c.Close() // closed twice at worst
}

// bound gives the next step its time.
func (c *caller) bound() error {
	by := time.Now().Add(demoPatience)
	return errors.Join(c.SetReadDeadline(by), c.SetWriteDeadline(by))
}

// echoed sends a message and waits until it comes back.
func (c *caller) echoed(kind int, text string) error {
	if err := errors.Join(c.bound(), c.WriteMessage(kind, []byte(text))); err != nil {
		return err
	}
	_, got, err := c.ReadMessage()
	if err == nil && string(got) != text {
		err = fmt.Errorf("%q came back as %q", text, got)
	}
	return err
}

// ping sends a ping. Its pong arrives before the echo of whatever is sent next.
func (c *caller) ping(text string) error {
	return c.WriteControl(websocket.PingMessage, []byte(text), time.Now().Add(demoPatience))
}

// farewell closes as RFC 6455 section 7.1.1 says: a Close frame each way, then
// the server ends the connection.
func (c *caller) farewell(code int, reason string) error {
	if err := errors.Join(c.bound(), c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))); err != nil {
		return err
	}
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, code) {
		return fmt.Errorf("a Close with %d is not answered: %w", code, err)
	}
	_, err := io.Copy(io.Discard, c.NetConn())
	return err
}

// converse opens a session, says each line, hears it back and closes cleanly.
func (d *demo) converse(ctx context.Context, path string, kind int, lines ...string) error {
	c, err := d.dial(ctx, path, path == "/deflate")
	if err != nil {
		return err
	}
	defer c.close()
	for _, l := range lines {
		if err := c.echoed(kind, l); err != nil {
			return err
		}
	}
	return c.farewell(websocket.CloseNormalClosure, "that was "+strings.TrimPrefix(path, "/"))
}

func playText(ctx context.Context, d *demo, path string) error {
	return d.converse(ctx, path, websocket.TextMessage, "hello, I am text", `{"type":"greeting","text":"I am JSON, which is text too: grüße ✓"}`)
}

func playBinary(ctx context.Context, d *demo, path string) error {
	return d.converse(ctx, path, websocket.BinaryMessage, "\x00\x01\x02\x03 I am binary \xfc\xfd\xfe\xff")
}

func playDeflate(ctx context.Context, d *demo, path string) error {
	return d.converse(ctx, path, websocket.TextMessage, "I am compressed: "+strings.Repeat("la ", 100)+"la")
}

func playPing(ctx context.Context, d *demo, path string) error {
	c, err := d.dial(ctx, path, false)
	if err != nil {
		return err
	}
	defer c.close()
	if err := errors.Join(c.ping("are you there?"), c.echoed(websocket.TextMessage, "a ping is answered by a pong with the same words")); err != nil {
		return err
	}
	return c.farewell(websocket.CloseNormalClosure, "that was ping")
}

// playFragments is raw: a library decides by itself where a fragment ends.
func playFragments(ctx context.Context, d *demo, path string) error {
	c, err := wstest.Dial(ctx, d.addr, path)
	if err != nil {
		return err
	}
	defer c.Close()
	part := func(op inspect.Opcode, fin bool, text string) []byte {
		return wstest.Frame(inspect.Fields{Opcode: op, Fin: fin, Masked: true}, text)
	}
	if err := c.Send(
		part(inspect.OpText, false, "I am one message "), part(inspect.OpContinuation, false, "in three fragments, "),
		wstest.Ping("may I?"), part(inspect.OpContinuation, true, "with a ping between them")); err != nil {
		return err
	}
	if err := errors.Join(c.Expect(inspect.OpPong, "may I?"), c.Expect(inspect.OpText, "I am one message in three fragments, with a ping between them")); err != nil {
		return err
	}
	return rawFarewell(c, inspect.CloseCode(1000), "that was fragments")
}

// rawFarewell sends a Close, expects the same, and reads to the end.
func rawFarewell(c *wstest.Conn, code inspect.CloseCode, reason string) error {
	if err := c.Send(wstest.Close(code, reason)); err != nil {
		return err
	}
	if h, _, err := c.Next(); err != nil {
		return err
	} else if h.Opcode() != inspect.OpClose {
		return fmt.Errorf("a Close is answered by %s", h)
	}
	_, err := c.Rest()
	return err
}

func playReset(ctx context.Context, d *demo, path string) error {
	c, err := d.dial(ctx, path, false)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.echoed(websocket.TextMessage, "hello, I hope this lasts"); err != nil {
		return err
	}
	if err := errors.Join(c.bound(), c.WriteMessage(websocket.TextMessage, []byte("now crash: a reset and no Close frame"))); err != nil {
		return err
	}
	var timeout net.Error
	if _, got, err := c.ReadMessage(); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("a reset is wanted, %q came: %w", got, err)
	}
	return nil
}

func playRefused(ctx context.Context, d *demo, path string) error {
	c, err := wstest.Open(ctx, d.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Send([]byte(wstest.UpgradeRequest(d.addr, path, "Cookie: token=wrong\r\n"))); err != nil {
		return err
	}
	answer, err := c.Rest()
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 403 ") {
		err = fmt.Errorf("a 403 is wanted, %q came", answer)
	}
	return err
}

func playMistakes(ctx context.Context, d *demo, path string) error {
	c, err := wstest.Dial(ctx, d.addr, path)
	if err != nil {
		return err
	}
	defer c.Close()
	unmasked := wstest.Frame(inspect.Fields{Opcode: inspect.OpText, Fin: true}, "a client must mask its frames, and I am not masked")
	if err := errors.Join(c.Send(unmasked), c.Expect(inspect.OpText, "a server must not mask, and I am masked")); err != nil {
		return err
	}
	return rawFarewell(c, inspect.NoStatus, "1005 must never be sent")
}

// demoServer echoes on every path but those of what goes wrong.
func demoServer() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", wstest.Echo)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			wstest.Echo(w, r)
			return
		}
		_, _ = io.WriteString(w, "This is the demo's echo server. Connect a WebSocket client here to see it on the screen.\n") // a reader may leave
	})
	mux.HandleFunc("/reset", serveReset)
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "your token is wrong, so there is no WebSocket for you", http.StatusForbidden)
	})
	mux.HandleFunc("/mistakes", serveMistakes)
	return mux
}

// serveReset echoes one message and crashes at the next.
func serveReset(w http.ResponseWriter, r *http.Request) {
	c, err := wstest.Accept(r.Context(), w, r, "")
	if err != nil {
		return // the client sees it
	}
	defer c.Close()
	_, text, err := c.Next()
	if err != nil || c.Send(wstest.Frame(inspect.Fields{Opcode: inspect.OpText, Fin: true}, text)) != nil {
		return
	}
	if _, _, err := c.Next(); err == nil {
		_ = c.Reset() // the client sees whether it worked
	}
}

// serveMistakes answers with a masked frame and sends any Close back.
func serveMistakes(w http.ResponseWriter, r *http.Request) {
	c, err := wstest.Accept(r.Context(), w, r, "")
	if err != nil {
		return // the client sees it
	}
	defer c.Close()
	if _, _, err := c.Next(); err != nil || c.Send(wstest.Text("a server must not mask, and I am masked")) != nil {
		return
	}
	if h, body, err := c.Next(); err == nil && h.Opcode() == inspect.OpClose {
		_ = c.Send(wstest.Frame(inspect.Fields{Opcode: inspect.OpClose, Fin: true}, body)) // as above
	}
}
