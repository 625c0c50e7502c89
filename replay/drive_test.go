package replay

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/inspect"
)

// drive plays a cassette's clients against a server on this machine.
func drive(t *testing.T, c *tape, addr string, change func(*DriveOptions)) []Result {
	t.Helper()
	o := DriveOptions{Dial: loopback, Wait: patience}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	results, err := Drive(ctx, &c.Cassette, &url.URL{Scheme: "ws", Host: addr}, o)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func wantHeld(t *testing.T, all []Result, n int) {
	t.Helper()
	if len(all) != n {
		t.Errorf("%d results, want %d", len(all), n)
	}
	for _, r := range all {
		if !r.Held() {
			t.Errorf("%s\n%s", r, r.Report())
		}
	}
}

// everything is a cassette of two sessions at once, a refusal, and one of each
// kind of line.
const everything = `{"cassette":1,"values":{"sid":"S1"}}
{"open":{"path":"/chat","subprotocols":["x","chat"]},"accept":{"status":101,"subprotocol":"chat","extensions":"permessage-deflate"}}
{"from":"server","json":{"sid":"${sid}"},"compressed":true}
{"from":"client","json":{"sid":"${sid}","id":"${id}"},"compressed":true}
{"from":"server","json":{"id":"${id}"},"frames":[3,4],"compressed":true}
{"from":"client","ping":"p"}
{"from":"client","text":"fragments","frames":[1,0,8]}
{"from":"server","binary":"AAEC"}
{"session":2,"open":{"path":"/other"},"accept":{"status":101}}
{"session":2,"from":"client","text":"beside"}
{"session":2,"from":"server","text":"BESIDE"}
{"session":1,"from":"client","raw":"f180000000"}
{"session":1,"from":"client","close":1000,"reason":"bye"}
{"session":1,"from":"server","close":1000,"reason":"bye"}
{"session":1,"from":"server","end":"fin"}
{"session":1,"from":"client","end":"fin"}
{"session":2,"from":"client","end":"rst"}
{"open":{"path":"/no"},"accept":{"status":403,"body":"no"}}
`

// A cassette's client and its server get along with each other.
func TestDriveReplay(t *testing.T) {
	everything := strings.Replace(everything, `{"session":1,"from":"client","raw":"f180000000"}`, `{"session":1,"from":"client","raw":"b18000000000"}`, 1)
	r := serve(t, file(t, everything), nil)
	wantHeld(t, drive(t, file(t, everything), r.addr, nil), 3)
	for range 3 {
		r.held()
	}
}

// A server that is another one is caught, with the line.
func TestDriveMisses(t *testing.T) {
	const asked = begin + `{"from":"client","text":"a"}
{"from":"server","json":{"n":1}}
{"from":"client","text":"b"}
{"from":"server","text":"B"}
{"from":"client","close":1000}
{"from":"server","close":1000}
`
	for _, tt := range []struct{ name, server, want string }{
		{"another answer", strings.Replace(asked, `{"n":1}`, `{"n":2}`, 1), "server message 1 (line 4): not what was recorded: $.n: expected 1, got 2"},
		{"one too few", begin + `{"from":"client","text":"a"}` + "\n" + `{"from":"server","close":1011}` + "\n" + `{"from":"server","end":"fin"}`, "server message 1 (line 4): not what was recorded: expected json {\"n\":1}, got close 1011"},
		{"it leaves", begin + `{"from":"client","text":"a"}` + "\n" + `{"from":"server","end":"fin"}`, "server message 1 (line 4): the server left; 3 messages were still expected"},
		{"it resets", begin + `{"from":"client","text":"a"}` + "\n" + `{"from":"server","end":"rst"}`, "server message 1 (line 4): the server reset the connection; 3 messages"},
		{"it is silent", begin + `{"from":"client","text":"a"}`, "server message 1 (line 4): the server said nothing for 300ms; 3 messages"},
		{"another subprotocol", strings.Replace(asked, `{"path":"/chat"}}`, `{"path":"/chat"},"accept":{"status":101,"subprotocol":"x"}}`, 1), `the server chose the subprotocol "x", and "" when it was recorded`},
		{"refused", `{"open":{"path":"/chat"},"accept":{"status":403}}`, "the upgrade is answered with 403, and was with 101"},
		{"a wrong accept", strings.Replace(asked, `{"path":"/chat"}}`, `{"path":"/chat"},"accept":{"status":101,"headers":{"Upgrade":"websocket","Connection":"Upgrade","Sec-WebSocket-Accept":"x"}}}`, 1), `the answer's Sec-WebSocket-Accept is "x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := serve(t, file(t, tt.server), nil)
			all := drive(t, file(t, asked), r.addr, func(o *DriveOptions) {
				if o.Wait = patience; tt.name == "it is silent" {
					o.Wait = 300 * time.Millisecond
				}
			})
			if len(all) != 1 || all[0].Held() || !strings.Contains(all[0].Report(), tt.want) {
				t.Errorf("%v\n%s", all, all[0].Report())
			}
		})
	}
}

func TestDriveCannotConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	if _, err := Drive(t.Context(), &file(t, begin).Cassette, &url.URL{Scheme: "ws", Host: addr}, DriveOptions{Dial: loopback}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Drive(ctx, &file(t, begin).Cassette, &url.URL{Scheme: "ws", Host: addr}, DriveOptions{Dial: loopback}); err == nil {
		t.Error("no error for a context that is over")
	}
}

// A context that ends in the middle of a session ends it.
func TestDriveStops(t *testing.T) {
	r := serve(t, file(t, begin), nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := Drive(ctx, &file(t, begin+`{"from":"server","text":"never"}`).Cassette, &url.URL{Scheme: "ws", Host: r.addr}, DriveOptions{Dial: loopback, Wait: time.Hour})
	if err == nil {
		t.Error("no error")
	}
}

// A server of another library, over TLS, with a path in front and a header that
// is another one now.
func TestDriveGorilla(t *testing.T) {
	upgrader := gorilla.Upgrader{EnableCompression: true}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/chat" || r.Header.Get("Authorization") != "Bearer new" || len(r.Header["Authorization"]) != 1 || r.Header.Get("X") != "1" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, []byte(strings.ToUpper(string(data)))) != nil {
				return
			}
		}
	}))
	defer server.Close()
	u, err := url.Parse(server.URL + "/base/")
	if err != nil {
		t.Fatal(err)
	}
	c := file(t, `{"open":{"path":"/chat","headers":{"authorization":"Bearer ****","X":"1"}},"accept":{"status":101,"extensions":"permessage-deflate; server_no_context_takeover; client_no_context_takeover"}}
{"from":"client","text":"aaaaaaaaaaaaaaaaaaaaaaaaaa","compressed":true}
{"from":"server","text":"AAAAAAAAAAAAAAAAAAAAAAAAAA","compressed":true}
{"from":"client","text":"again","compressed":true}
{"from":"server","text":"AGAIN"}
{"from":"client","close":1000,"reason":"bye"}
{"from":"server","close":1000}
{"from":"server","end":"fin"}
{"from":"client","end":"fin"}
`)
	config := server.Client().Transport.(*http.Transport).TLSClientConfig
	all, err := Drive(t.Context(), &c.Cassette, u, DriveOptions{Dial: loopback, TLS: config, Header: []inspect.HeaderField{{Name: "Authorization", Value: "Bearer new"}}})
	if err != nil {
		t.Fatal(err)
	}
	wantHeld(t, all, 1)
}

func TestSpans(t *testing.T) {
	begins, ends := spans(&file(t, everything).Cassette)
	if begins[1] != 0 || ends[1] != 14 || begins[2] != 7 || ends[2] != 15 || begins[3] != 16 {
		t.Errorf("%v %v", begins, ends)
	}
}
