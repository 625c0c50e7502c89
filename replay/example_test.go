package replay_test

import (
	"context"
	"fmt"
	"net"

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
