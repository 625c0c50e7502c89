package record

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// TestHTTP2Streams: a thousand streams of HTTP/2 connections that are open at once are as
// many conversations in the recording, and what they were in HTTP/2 is read back.
func TestHTTP2Streams(t *testing.T) {
	const streams = 1000
	const head = "GET /%d HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	const answer = "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	now := time.Now()
	for i := range streams {
		id, n := inspect.ConnID(i+1), uint32(2*i+1)
		w.Open(inspect.ConnInfo{ID: id, Mode: "reverse", Target: "wss://a", Time: now, HTTP2: &inspect.HTTP2Stream{Conn: 0xabc, Stream: n},
			Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: fmt.Sprintf("127.0.0.1:%d stream %d", 40000+i*i%977, n)}})
		w.Note(inspect.NewNote(id, inspect.ClientLeg, inspect.ToServer, now, inspect.NoteHTTP2, inspect.HTTP2Note{Kind: inspect.NoteHTTP2, Stream: n,
			Fields: inspect.HTTP2Fields{{Name: ":path", Value: fmt.Sprintf("/%d", i)}}}))
		w.Chunk(inspect.Chunk{Conn: id, Time: now, Data: fmt.Appendf(nil, head, i)})
		w.Note(inspect.NewNote(id, inspect.ServerLeg, inspect.ToServer, now, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg, Leg: inspect.ServerLeg,
			ConnInfo: inspect.ConnInfo{ID: id}, Server: &inspect.Endpoints{Local: fmt.Sprintf("127.0.0.1:50000 stream for %v", id), Remote: "127.0.0.1:443"}}))
		w.Note(inspect.NewNote(id, inspect.ServerLeg, inspect.ToServer, now, inspect.NotePeer, inspect.PeerNote{Kind: inspect.NotePeer, HTTP2: true, Shared: i > 0}))
		w.Chunk(inspect.Chunk{Conn: id, Leg: inspect.ServerLeg, Time: now, Data: fmt.Appendf(nil, head, i)})
		w.Chunk(inspect.Chunk{Conn: id, Dir: inspect.ToClient, Time: now, Data: []byte(answer)})
	}
	for i := range streams { // every one goes on behind all others' beginning
		w.Chunk(inspect.Chunk{Conn: inspect.ConnID(i + 1), Dir: inspect.ToClient, Time: now, Off: int64(len(answer)), Data: fmt.Appendf(nil, "\x81\x04%04d", i)})
	}
	closed(t, w)
	s := openStore(t, path, nil)
	<-s.Done()
	if n := s.Sessions(); n != streams {
		t.Fatalf("%d sessions", n)
	}
	for i := range streams {
		x := s.Session(i)
		n := uint32(2*i + 1)
		switch h := x.HTTP2[inspect.ClientLeg]; {
		case x.Conn.HTTP2 == nil || *x.Conn.HTTP2 != inspect.HTTP2Stream{Conn: 0xabc, Stream: n}:
			t.Fatalf("session %d: %+v", i, x.Conn)
		case h == nil || h.Stream != n || h.Fields[0].Value != fmt.Sprintf("/%d", i) || x.Handshake == nil || x.Handshake.Path() != h.Fields[0].Value:
			t.Fatalf("session %d: %+v", i, h)
		case x.Peer == nil || !x.Peer.HTTP2 || x.Peer.Shared != (i > 0):
			t.Fatalf("session %d: %+v", i, x.Peer)
		}
		r, _ := s.rowAt(i, 1)
		m, err := s.Message(r, 100)
		if want := fmt.Sprintf("%04d", i); err != nil || string(m.Data) != want {
			t.Fatalf("session %d: %q, %v", i, m.Data, err)
		}
	}
}
