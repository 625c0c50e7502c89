package inspect

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestHTTP2Fields: fields keep their order and their duplicates in JSON.
func TestHTTP2Fields(t *testing.T) {
	in := HTTP2Note{Kind: NoteHTTP2, Stream: 3, Fields: HTTP2Fields{{":method", "CONNECT"}, {"b", "2"}, {"a", "1"}, {"b", "\x1b\"<"}}}
	b, err := json.Marshal(in)
	if want := `{"kind":"http2","stream":3,"fields":[{":method":"CONNECT"},{"b":"2"},{"a":"1"},{"b":"\u001b\"\u003c"}]}`; err != nil || string(b) != want {
		t.Errorf("%s, %v\nwant %s", b, err, want)
	}
	var out HTTP2Note
	if err := json.Unmarshal(b, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%+v, %v", out, err)
	}
	for _, bad := range []string{`[{}]`, `[{"a":"1","b":"2"}]`, `["a"]`, `{"a":"1"}`} {
		if json.Unmarshal([]byte(bad), &out.Fields) == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// TestHTTP2Endings: of a stream the autopsy says what was done in HTTP/2's words.
func TestHTTP2Endings(t *testing.T) {
	for _, tt := range []struct {
		e    Ended
		text string
		word string
	}{
		{Ended{Leg: ClientLeg, Dir: ToServer, How: Rst, Error: "RST_STREAM CANCEL"}, "client RST_STREAM CANCEL", "1006 client rst"},
		{Ended{Leg: ServerLeg, Dir: ToClient, How: Rst, Error: "GOAWAY NO_ERROR"}, "server GOAWAY NO_ERROR", "1006 server rst"},
		{Ended{Leg: ServerLeg, Dir: ToClient, How: Rst}, "server RST", "1006 server rst"},
	} {
		c := NewConn(ConnInfo{ID: 7, HTTP2: &HTTP2Stream{Conn: 1, Stream: 3}}, Limits{})
		var closed *Closed
		take := func(e Event) {
			if x, ok := e.(*Closed); ok {
				closed = x
			}
		}
		note := func(l Leg, kind string, v any) {
			for e := range c.Note(NewNote(7, l, ToServer, t0, kind, v)) {
				take(e)
			}
		}
		note(ClientLeg, NoteHTTP2, HTTP2Note{Stream: 3, Fields: HTTP2Fields{{":method", "CONNECT"}}})
		for e := range c.Feed(Chunk{Conn: 7, Time: t0, Data: []byte(reqHead)}) {
			take(e)
		}
		note(ServerLeg, NoteLeg, LegNote{Leg: ServerLeg})
		note(ServerLeg, NotePeer, PeerNote{HTTP2: true})
		note(ServerLeg, NoteHTTP2, HTTP2Note{Stream: 1, Fields: HTTP2Fields{{":status", "200"}}})
		for e := range c.Feed(Chunk{Conn: 7, Dir: ToClient, Time: t0, Data: []byte(respHead)}) {
			take(e)
		}
		if h := c.HTTP2(); h[ClientLeg].Stream != 3 || h[ServerLeg].Fields[0].Value != "200" {
			t.Errorf("%+v", h)
		}
		tt.e.Time = t0
		for _, e := range []Ended{tt.e, {Leg: otherLegOf(tt.e.Leg), Dir: tt.e.Dir, How: Rst, Time: t0}} {
			for ev := range c.Close(e) {
				take(ev)
			}
		}
		if want := "1006, no Close frame; then " + tt.text + "; 0 messages up, 0 down, 0 µs"; closed == nil || closed.Text != want || closed.Word != tt.word {
			t.Errorf("%+v, want %q", closed, want)
		}
	}
}

func otherLegOf(l Leg) Leg { return l ^ 1 }
