package e2e

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var update = flag.Bool("update", false, "make the pictures in docs/pictures anew")

// tmux is a terminal that a user sits at: a tmux server of the test's own.
type tmux struct {
	t      *testing.T
	socket string
}

// newTmux opens a terminal of that size in which a command runs.
func newTmux(t *testing.T, w, h int, env []string, command ...string) *tmux {
	t.Helper()
	x := &tmux{t, filepath.Join(t.TempDir(), "t")}
	x.run(slices.Concat([]string{"-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(w), "-y", fmt.Sprint(h), "env", "TERM=screen-256color", "COLORFGBG=", "NO_COLOR="}, env, command)...)
	t.Cleanup(func() { _ = x.command("kill-server").Run() }) // it is gone if all in it has ended
	return x
}

func (x *tmux) command(args ...string) *exec.Cmd {
	cmd := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TMUX") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "LANG=C.UTF-8", "LC_ALL=C.UTF-8")
	return cmd
}

func (x *tmux) run(args ...string) string {
	x.t.Helper()
	out, err := x.command(args...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// keys presses keys, by the names that tmux has for them.
func (x *tmux) keys(keys ...string) *tmux {
	x.t.Helper()
	x.run(append([]string{"send-keys"}, keys...)...)
	return x
}

// sees waits for texts to be on the screen and answers it.
func (x *tmux) sees(all ...string) string {
	x.t.Helper()
	for end := time.Now().Add(patience); ; {
		screen := x.run("capture-pane", "-p")
		missing := ""
		for _, s := range all {
			if !strings.Contains(screen, s) {
				missing = s
			}
		}
		if missing == "" {
			return screen
		}
		if time.Now().After(end) {
			x.t.Fatalf("waited in vain for %q on the screen:\n%s", missing, screen)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// shop is a server with a price list, as a user may have one.
func shop(t *testing.T) (addr string) {
	up := websocket.Upgrader{EnableCompression: true, Subprotocols: []string{"graphql-transport-ws"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/admin":
			http.Error(w, "not logged in", http.StatusForbidden)
			return
		case "/":
			fmt.Fprintln(w, "<h1>shop</h1>")
			return
		}
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			_, b, err := c.ReadMessage()
			switch {
			case err != nil:
				return
			case strings.Contains(string(b), "crash"):
				_ = c.NetConn().(*net.TCPConn).SetLinger(0) // the reset that follows is the point
				return
			case strings.Contains(string(b), "connection_init"):
				err = c.WriteMessage(websocket.TextMessage, []byte(`{"type":"connection_ack"}`))
			case strings.Contains(string(b), "subscribe"):
				for i := range 3 {
					err = c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"id":"7f3a","type":"next","payload":{"data":{"price":{"item":"lamp %d","eur":%d.5,"sold":null}}}}`, i, 20+i))
				}
			default:
				err = c.WriteMessage(websocket.TextMessage, b)
			}
			if err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// customer connects through wsproxy.
func customer(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{EnableCompression: true, Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: patience}
	c, resp, err := d.Dial(url, nil)
	if err != nil {
		t.Fatal(err, resp)
	}
	t.Cleanup(func() { c.Close() })
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	return c
}

func say(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	must(t, c.WriteMessage(websocket.TextMessage, []byte(text)))
}

func hear(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	_, b, err := c.ReadMessage()
	must(t, err)
	return string(b)
}

// The real program in a real terminal, with real traffic: what a user sees, does to the
// traffic, and sees from a second terminal. Its captures are the pictures of the README.
func TestTerminal(t *testing.T) {
	if leftOut(t, needs("tmux")) {
		return
	}
	addr, env := shop(t), home(t)
	x := newTmux(t, 124, 34, env, program, "--theme", "dark", "--listen", "127.0.0.1:0", "ws://"+addr)
	top := x.sees("No session yet", "following")
	at := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(top)
	pictures := album{t, strings.NewReplacer(at, "127.0.0.1:8080", addr, "127.0.0.1:3000")}

	resp, err := (&http.Client{Timeout: patience}).Get("http://" + at + "/")
	must(t, err)
	must(t, resp.Body.Close())
	c := customer(t, "ws://"+at+"/graphql")
	say(t, c, `{"type":"connection_init"}`)
	hear(t, c)
	say(t, c, `{"id":"7f3a","type":"subscribe","payload":{"query":"subscription { price { item eur sold } }"}}`)
	for range 3 {
		hear(t, c)
	}
	if _, _, err := websocket.DefaultDialer.Dial("ws://"+at+"/admin", nil); err == nil {
		t.Error("the admin was let in")
	}
	crashing := customer(t, "ws://"+at+"/chat")
	say(t, crashing, "hello")
	hear(t, crashing)
	say(t, crashing, "crash now")
	if _, _, err := crashing.ReadMessage(); err == nil {
		t.Error("it did not crash")
	}
	x.sees("/graphql", "/admin", "403", "/chat", "1006 server", "HTTP hidden", "1 open · 2 ended")

	x.keys("g", "Enter", "G").sees("enter look", "following", "▸● 1", "lamp 2", `"sold": null`)
	pictures.take("screen", x)
	x.keys("2", "Enter").sees("enter whole screen", "F follows", "[2 Frame]", "RSV1", "message is compressed", "whole message")
	pictures.take("frame", x)
	x.keys("q", "q", "j", "j", "Enter", "G", "1").sees("enter look", "▸✕ 3", "▸", "1006, no Close frame; then server RST", "last heard")
	pictures.take("ending", x)

	// A second terminal looks on, and cannot do anything to the traffic.
	y := newTmux(t, 80, 24, env, program, "attach", "--theme", "light", at)
	y.sees("/graphql", "1 open · 2 ended")
	y.keys("K").sees("Everywhere")
	y.keys("G")
	if screen := y.run("capture-pane", "-p"); strings.Contains(screen, ":hold") || strings.Contains(screen, ":kill") {
		t.Errorf("a screen that looks on offers to do something:\n%s", screen)
	}
	y.keys("q").sees("SESSIONS")

	// Hold, step, resume, kill.
	x.keys("q", "g", "b").sees("‖ 1 /graphql", "held")
	say(t, c, "one")
	x.sees("→ text", "step")
	y.sees("/graphql")
	x.keys("s").sees("← text")
	x.keys("a").sees("resumed", "● 1 /graphql")
	if got := hear(t, c); got != "one" {
		t.Errorf("heard %q", got)
	}
	x.keys("X", "1008 enough", "Enter").sees("1008", "0 open · 3 ended")
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("the client was told %v", err)
	}
	y.sees("0 open · 3 ended")

	// Whatever size the terminal takes, it goes on.
	for _, size := range [][2]string{{"20", "5"}, {"200", "50"}, {"1", "1"}, {"80", "24"}} {
		x.run("resize-window", "-x", size[0], "-y", size[1])
	}
	x.sees("SESSIONS", "/graphql", "summary")
	y.keys("Q")
	x.keys("Q")
	for end := time.Now().Add(patience); x.command("has-session").Run() == nil; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not end:\n%s", x.run("capture-pane", "-p"))
		}
	}
}
