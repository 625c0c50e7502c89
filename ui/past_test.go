package ui

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// answered is an exchange through a reverse proxy in front of ws://localhost:3000.
func answered(host, head, body string) *inspect.Exchange {
	request, err := inspect.ParseRequest([]byte("GET /app?token=1 HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))
	if err != nil {
		panic(err)
	}
	response, err := inspect.ParseResponse([]byte("HTTP/1.1 " + head + "\r\n\r\n"))
	if err != nil {
		panic(err)
	}
	return &inspect.Exchange{Conn: inspect.ConnInfo{Mode: "reverse", Target: "ws://localhost:3000"}, Request: request, Response: response,
		Down: inspect.Payload{Data: []byte(body), Size: int64(len(body))}}
}

// What leads a client past wsproxy is told with the command that catches it; what comes
// back to it, goes elsewhere on purpose, or is put together at run time, is not.
func TestPast(t *testing.T) {
	const here, html = "127.0.0.1:8080", "200 OK\r\nContent-Type: text/html"
	for _, test := range []struct {
		host, head, body string
		want             []string
	}{
		{here, "302 Found\r\nLocation: http://localhost:3000/login?secret=1", "",
			[]string{"past wsproxy: /app redirects to http://localhost:3000/login; to catch that too: wsproxy browser http://localhost:3000/login"}},
		{here, "301 Moved\r\nLocation: //localhost:3000/", "", []string{"past wsproxy: /app redirects to //localhost:3000/; to catch that too: wsproxy browser http://localhost:3000/"}},
		{here, "302 Found\r\nLocation: /login", "", nil},
		{here, "302 Found\r\nLocation: http://localhost:8080/login", "", nil}, // another name of ours
		{"localhost", "302 Found\r\nLocation: http://localhost:80/", "", nil},
		{here, "302 Found\r\nLocation: https://accounts.other.org/", "", nil},
		{here, "200 OK\r\nLocation: http://localhost:3000/", "", nil}, // no redirect
		{here, html, `<script>new WebSocket("ws://localhost:3001/live?x=1"); connect('wss://api.other.org/feed')</script>`,
			[]string{"past wsproxy: /app has the address ws://localhost:3001/live; to catch that too: wsproxy browser http://localhost:3000/",
				"past wsproxy: /app has the address wss://api.other.org/feed; to catch that too: wsproxy browser http://localhost:3000/"}},
		{here, html, "a = `ws://${location.host}/x`; b = 'ws://' + host; c = 'ws://localhost:8080/x'; d = 'ws://host:port/'; e = 'ws://example.com'; f = 'ws://[::1]:8080/'", nil},
		{here, "200 OK\r\nContent-Type: application/json", `{"url":"ws://localhost:3001/"}`, nil},
		{here, "200 OK\r\nContent-Type: text/javascript", "connect(\"ws://localhost:3001/\x1b[2J\")", nil},
	} {
		if got := Past(answered(test.host, test.head, test.body)); !slices.Equal(got, test.want) {
			t.Errorf("%s %q: %q", test.head, test.body, got)
		}
	}
	var zip bytes.Buffer
	w := gzip.NewWriter(&zip)
	fmt.Fprint(w, `let u = "ws://localhost:3001/"`)
	w.Close()
	e := answered(here, "200 OK\r\nContent-Type: text/javascript\r\nContent-Encoding: gzip", zip.String())
	if got := Past(e); len(got) != 1 {
		t.Errorf("of a script that is compressed: %q", got)
	}
	if e.Conn.Mode = "forward"; Past(e) != nil {
		t.Error("nothing leads past a forward proxy")
	}
}

// The screen says it as soon as it has come, whether exchanges are shown or not.
func TestPastOnScreen(t *testing.T) {
	p := newPlay(t)
	d := drive(t, p.store(true), Options{Live: true}, 160, 24)
	p.connect().open("/ws", "", "").down("hello")
	h := p.connect()
	h.say(inspect.ToServer, "GET /old HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")
	h.say(inspect.ToClient, "HTTP/1.1 302 Found\r\nLocation: http://localhost:3000/new\r\nContent-Length: 0\r\n\r\n")
	d.has("! past wsproxy: /old redirects to http://localhost:3000/new; to catch that too: wsproxy browser http://localhost:3000/new", "hello")
	d.keys("H").keys("G<Enter>G").has("302 Found")
	for i := range 10 {
		h.say(inspect.ToServer, "GET /"+fmt.Sprint(i)+" HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")
		h.say(inspect.ToClient, fmt.Sprintf("HTTP/1.1 302 Found\r\nLocation: http://localhost:3000/%d\r\nContent-Length: 0\r\n\r\n", i))
	}
	d.has("wsproxy browser http://localhost:3000/new (and 2 more)")
}
