package replay_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/replay"
)

// A recording comes from replay.Load; here the cassette is written by hand. The
// client does not do what was recorded.
func Example() {
	c := &cassette.Cassette{Lines: []cassette.Line{
		{Session: 1, Kind: cassette.Open, Upgrade: &cassette.Upgrade{Path: "/prices", Accept: cassette.Answer{Status: 101}}},
		{Session: 1, Kind: cassette.JSON, From: inspect.ToServer, Data: []byte(`{"subscribe":"gold"}`)},
		{Session: 1, Kind: cassette.JSON, From: inspect.ToClient, Data: []byte(`{"gold":1742.50}`)},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	s := replay.New(c, replay.Options{Once: true})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()

	conn, _, err := websocket.DefaultDialer.Dial("ws://"+l.Addr().String()+"/prices", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"subscribe":"silver"}`))
	_, _, err = conn.ReadMessage()
	fmt.Println(err)
	_ = conn.Close()

	<-s.Done()
	if err := s.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	<-served
	for _, r := range s.Results() {
		fmt.Println(r.Report())
	}
	// Output:
	// websocket: close 1011 (internal server error): replay: message 1: not what was recorded: $.subscribe: expected "gold", got "silver"
	// session 1 (/prices): client message 1: not what was recorded: $.subscribe: expected "gold", got "silver"
	//   expected  json {"subscribe":"gold"}
	//   came      json {"subscribe":"silver"}
}

// The clients of a cassette are played against a server of net/http/httptest that
// answers otherwise.
func ExampleDrive() {
	upgrader := websocket.Upgrader{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		_, _, _ = c.ReadMessage()
		_ = c.WriteMessage(websocket.TextMessage, []byte(`{"gold":1750,"id":7}`))
		_, _, _ = c.ReadMessage()
	}))
	defer server.Close()
	c, err := cassette.Parse(strings.NewReader(`{"cassette":1,"values":{"id":7}}
{"open":{"path":"/prices"}}
{"from":"client","json":{"id":"${id}","subscribe":"gold"}}
{"from":"server","json":{"id":"${id}","gold":1742.50}}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	target, err := url.Parse(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := replay.Drive(context.Background(), c, target, replay.DriveOptions{})
	for _, r := range results {
		fmt.Println(r.Report())
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// session 1 (/prices): server message 1 (line 4): not what was recorded: $.gold: expected 1742.50, got 1750
	//   expected  json {"id":"${id}","gold":1742.50}
	//   came      json {"gold":1750,"id":7}
}

// In a test, t is the *testing.T; the code under test connects to s.URL, here with
// coder/websocket.
func ExampleServer() {
	t := &exampleT{}
	s := replay.Server(t, "testdata/prices.ndjson")
	c, _, err := coder.Dial(context.Background(), s.URL+"/prices", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_ = c.Write(ctx, coder.MessageText, []byte(`{"id":"any","subscribe":"gold"}`))
	_, price, _ := c.Read(ctx)
	fmt.Println(string(price))
	_ = c.Close(coder.StatusNormalClosure, "")
	t.end()
	// Output:
	// {"id":"any","gold":1742.50}
	// the test holds: true
}

// exampleT stands for the test.
type exampleT struct {
	testing.TB
	cleanup []func()
	failed  bool
}

func (t *exampleT) Helper()                         {}
func (t *exampleT) Cleanup(do func())               { t.cleanup = append(t.cleanup, do) }
func (t *exampleT) Failed() bool                    { return t.failed }
func (t *exampleT) Logf(format string, args ...any) {}
func (t *exampleT) Errorf(format string, args ...any) {
	t.failed = true
	fmt.Printf(format+"\n", args...)
}
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleT) end() {
	for _, do := range t.cleanup {
		do()
	}
	fmt.Println("the test holds:", !t.failed)
}
