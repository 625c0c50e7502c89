package ui

import (
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// TestHandshakeHTTP2: heads that came in HTTP/2 are shown as they were, from a recording,
// and which legs are streams.
func TestHandshakeHTTP2(t *testing.T) {
	p := newPlay(t)
	p.w.Open(inspect.ConnInfo{ID: 9, Mode: "reverse", Target: "wss://localhost:3000", Time: p.now, HTTP2: &inspect.HTTP2Stream{Conn: 0xabc, Stream: 7},
		Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: "127.0.0.1:40001 stream 7"}})
	note := func(l inspect.Leg, d inspect.Dir, kind string, v any) {
		p.w.Note(inspect.NewNote(9, l, d, p.now, kind, v))
	}
	note(inspect.ClientLeg, inspect.ToServer, inspect.NoteHTTP2, inspect.HTTP2Note{Kind: inspect.NoteHTTP2, Stream: 7,
		Fields: inspect.HTTP2Fields{{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: "websocket"}, {Name: "x-odd", Value: "\x1b[31m[red]"}}})
	c := &conn{p: p, id: 9}
	note(inspect.ServerLeg, inspect.ToServer, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg, Leg: inspect.ServerLeg,
		ConnInfo: inspect.ConnInfo{ID: 9}, Server: &inspect.Endpoints{Local: "127.0.0.1:50001 stream for 9", Remote: "127.0.0.1:3000"}})
	note(inspect.ServerLeg, inspect.ToServer, inspect.NotePeer, inspect.PeerNote{Kind: inspect.NotePeer, Addr: "127.0.0.1:3000", HTTP2: true, Shared: true})
	note(inspect.ServerLeg, inspect.ToClient, inspect.NoteHTTP2, inspect.HTTP2Note{Kind: inspect.NoteHTTP2, Stream: 3,
		Fields: inspect.HTTP2Fields{{Name: ":status", Value: "200"}, {Name: "server", Value: "s"}}})
	c.open("/", "", "")
	c.end(inspect.ToServer, inspect.Rst)
	p.close()
	text := tabText(t, p.store(false), 0, 0, "Handshake")
	wants(t, text, "Request in HTTP/2 by the client, on stream 7", ":method: CONNECT", ":protocol: websocket", "x-odd: ␛[31m[red]",
		"Answer in HTTP/2 by the server, on stream 3", ":status: 200", "wsproxy made the one above up", "wsproxy worked that out from the key",
		"127.0.0.1:40001 stream 7, to 127.0.0.1:8080", "stream 7 of connection 0000000000000abc", "a stream too, of a connection that was there")

	m := maker{}
	m.session.Peer = &inspect.PeerNote{Fallback: "its SETTINGS lack it"}
	m.width = 80
	m.http2Legs()
	wants(t, m.lines[0].String(), "not with the server: its SETTINGS lack it")
}
