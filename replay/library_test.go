package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	gorilla "github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/record"
)

// loopback dials nothing but this machine.
func loopback(ctx context.Context, network, addr string) (net.Conn, error) {
	if a, err := netip.ParseAddrPort(addr); err != nil || !a.Addr().IsLoopback() {
		return nil, fmt.Errorf("%s is not this machine", addr)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// recorded has talk use a server through the proxy, and answers what was recorded.
func recorded(t *testing.T, h http.HandlerFunc, talk func(addr string)) *cassette.Cassette {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return recordedFrom(t, target, talk)
}

func recordedFrom(t *testing.T, target *url.URL, talk func(addr string)) *cassette.Cassette {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w, err := record.Create(record.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{Target: target, Tap: w, Grace: patience})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	talk(l.Addr().String())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(p.Shutdown(ctx), <-served, w.Close()); err != nil {
		t.Fatal(err)
	}
	c, err := Load(ctx, path, inspect.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// coderClient says the messages and wants each echoed, then closes.
func coderClient(t *testing.T, mode coder.CompressionMode, messages []string) func(addr string) {
	return func(addr string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		transport := &http.Transport{DialContext: loopback}
		defer transport.CloseIdleConnections()
		c, _, err := coder.Dial(ctx, "ws://"+addr+"/echo", &coder.DialOptions{CompressionMode: mode, CompressionThreshold: 1, HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for _, m := range messages {
			if err := c.Write(ctx, coder.MessageText, []byte(m)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.Read(ctx); err != nil || string(got) != m {
				t.Fatalf("%.40q is answered %.40q (%v)", m, got, err)
			}
		}
		if err := c.Close(coder.StatusNormalClosure, "bye"); err != nil {
			t.Fatal(err)
		}
	}
}

func gorillaClient(t *testing.T, compress bool, messages []string) func(addr string) {
	return func(addr string) {
		d := gorilla.Dialer{EnableCompression: compress, NetDialContext: loopback, HandshakeTimeout: patience}
		c, _, err := d.Dial("ws://"+addr+"/echo", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for _, m := range messages {
			if err := c.WriteMessage(gorilla.TextMessage, []byte(m)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.ReadMessage(); err != nil || string(got) != m {
				t.Fatalf("%.40q is answered %.40q (%v)", m, got, err)
			}
		}
		if err := c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, "bye")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadMessage(); !gorilla.IsCloseError(err, 1000) {
			t.Fatalf("the end is %v", err)
		}
	}
}

// coderEcho is a server that keeps its window from message to message.
func coderEcho(w http.ResponseWriter, r *http.Request) {
	c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: coder.CompressionContextTakeover, CompressionThreshold: 1})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

// What was recorded between two libraries is served to the same client, and to
// others that agree on less.
func TestLibraries(t *testing.T) {
	var messages []string
	for i := range 20 {
		messages = append(messages, fmt.Sprintf(`{"id":%d,"price":12345678901234567.%d,"text":"the same words again"}`, i, i))
	}
	messages = append(messages, "", "plain text", strings.Repeat("0123456789abcdef", 20000))
	c := recorded(t, coderEcho, coderClient(t, coder.CompressionContextTakeover, messages))
	if s := c.Sessions()[0]; s.Upgrade.Extensions != "permessage-deflate" || len(s.Lines) != 2*len(messages)+4 {
		t.Fatalf("%+v", s.Upgrade)
	}
	for name, client := range map[string]func(string){
		"coder with context takeover":    coderClient(t, coder.CompressionContextTakeover, messages),
		"coder without context takeover": coderClient(t, coder.CompressionNoContextTakeover, messages),
		"coder without compression":      coderClient(t, coder.CompressionDisabled, messages),
		"gorilla with compression":       gorillaClient(t, true, messages),
		"gorilla without compression":    gorillaClient(t, false, messages),
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, &tape{*c}, nil)
			client(r.addr)
			if res := r.held(); res.Matched != len(messages)+1 || res.Sent != len(messages)+2 {
				t.Errorf("%s", res)
			}
		})
	}
}

// A feed in which the server speaks first, in fragments with pings in between,
// and ends without a Close.
func TestGorillaFeed(t *testing.T) {
	upgrader := gorilla.Upgrader{WriteBufferSize: 16, Subprotocols: []string{"feed"}}
	feed := func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, http.Header{"X-Feed": {"yes"}})
		if err != nil {
			return
		}
		defer c.Close()
		for i := range 5 {
			m, err := c.NextWriter(gorilla.TextMessage)
			if err != nil {
				return
			}
			fmt.Fprintf(m, `{"tick":%d,"padding":"longer than the buffer"}`, i)
			if c.WriteControl(gorilla.PingMessage, []byte("hb"), time.Now().Add(patience)) != nil || m.Close() != nil {
				return
			}
		}
		_, _, _ = c.ReadMessage() // "enough"
	}
	watch := func(addr string) {
		d := gorilla.Dialer{NetDialContext: loopback, Subprotocols: []string{"x", "feed"}}
		c, answer, err := d.Dial("ws://"+addr+"/feed", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if answer.Header.Get("X-Feed") != "yes" || c.Subprotocol() != "feed" {
			t.Errorf("%v", answer.Header)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for i := range 5 {
			if _, got, err := c.ReadMessage(); err != nil || !strings.HasPrefix(string(got), fmt.Sprintf(`{"tick":%d,`, i)) {
				t.Fatalf("%q %v", got, err)
			}
		}
		if err := c.WriteMessage(gorilla.TextMessage, []byte("enough")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadMessage(); !gorilla.IsUnexpectedCloseError(err) && err == nil {
			t.Fatal("the feed goes on")
		}
	}
	c := recorded(t, feed, watch)
	inside := 0
	for _, l := range c.Lines {
		if l.Kind == cassette.Ping && l.Within > 0 {
			inside++
		}
	}
	if inside != 5 {
		t.Errorf("%d pings stand between fragments, want 5", inside)
	}
	r := serve(t, &tape{*c}, nil)
	watch(r.addr)
	r.held()
}

// A replay that is recorded itself says what the recording said.
func TestAgain(t *testing.T) {
	messages := []string{`{"a":1}`, "text", "", `[1,2,3]`}
	talk := coderClient(t, coder.CompressionContextTakeover, messages)
	first := recorded(t, coderEcho, talk)
	r := serve(t, &tape{*first}, nil)
	target := &url.URL{Scheme: "ws", Host: r.addr}
	second := recordedFrom(t, target, talk)
	r.held()
	strip := func(c *cassette.Cassette) []cassette.Line {
		var all []cassette.Line
		for _, l := range c.Lines {
			if l.Kind == cassette.End {
				continue // which side ends first is a race
			}
			if l.After = 0; l.Kind == cassette.Open {
				l.Upgrade.Headers = nil // a new key, another Host
			}
			all = append(all, l)
		}
		return all
	}
	if diff := cmp.Diff(strip(first), strip(second)); diff != "" {
		t.Error(diff)
	}
}
