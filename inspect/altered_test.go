package inspect_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

const (
	alteredRequest = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	alteredAnswer  = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// killed is how a session ends for inspection, with a note before frames of the server and
// of the client, and with that ending both ways on both legs.
func killed(t *testing.T, note, down, up string, how inspect.End) (x *inspect.Closed, acts []inspect.AlteredNote) {
	t.Helper()
	i := &inspect.Inspector{Emit: func(_ *inspect.Conn, e inspect.Event) {
		switch e := e.(type) {
		case *inspect.Closed:
			x = e
		case *inspect.Altered:
			acts = append(acts, e.Act)
		}
	}}
	i.Open(inspect.ConnInfo{ID: 1})
	i.Note(inspect.Note{Conn: 1, Leg: inspect.ServerLeg, Kind: inspect.NoteLeg})
	i.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToServer, Data: []byte(alteredRequest)})
	i.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Data: []byte(alteredAnswer)})
	i.Note(inspect.Note{Conn: 1, Kind: inspect.NoteAltered, JSON: []byte(note)})
	i.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Data: []byte(down)})
	i.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToServer, Data: []byte(up)})
	for _, l := range []inspect.Leg{inspect.ServerLeg, inspect.ClientLeg} {
		i.End(inspect.Ended{Conn: 1, Leg: l, Dir: inspect.Dir(l ^ 1), How: how}) // what wsproxy writes there
		i.End(inspect.Ended{Conn: 1, Leg: l, Dir: inspect.Dir(l), How: how})
	}
	if x == nil {
		t.Fatal("it never ended")
	}
	return x, acts
}

func TestAutopsyOfAKill(t *testing.T) {
	const down, up = "\x88\x02\x03\xe9", "\x88\x82\x00\x00\x00\x00\x03\xe9"
	for _, test := range []struct {
		note, down, up string
		how            inspect.End
		word, text     string
	}{
		{`{"kind":"altered","dir":"to-client","action":"close","by":"hand","code":1001}`, down, up, inspect.Self, "1001", "1001 by wsproxy, answered by client; then wsproxy ended it"},
		{`{"kind":"altered","dir":"to-client","action":"close","by":"hand","code":1001}`, down, "", inspect.Self, "1001", "1001 by wsproxy, not answered by client; then wsproxy ended it"},
		{`{"kind":"altered","dir":"to-server","action":"close","by":"hand","code":1001}`, "", up, inspect.Self, "1001", "1001 by client, not answered by server; then wsproxy ended it"},
		{`{"kind":"altered","dir":"to-client","action":"rst","by":"hand"}`, "", "", inspect.Rst, "1006 wsproxy rst", "1006, no Close frame; then wsproxy RST"},
		{`{"kind":"altered","dir":"to-client","action":"hold","by":"hand","held_ns":1}`, down, up, inspect.Fin, "1001", "1001 by server, answered by client; then"},
		{`not JSON`, down, up, inspect.Fin, "1001", "1001 by server, answered by client; then"},
		{`{"dir":"sideways","action":"close"}`, down, up, inspect.Fin, "1001", "1001 by server, answered by client; then"},
	} {
		x, acts := killed(t, test.note, test.down, test.up, test.how)
		if x.Word != test.word || !strings.HasPrefix(x.Text, test.text) || len(acts) != 1 {
			t.Errorf("%s: %q, %q, %d acts", test.note, x.Word, x.Text, len(acts))
		}
		if ours := strings.Contains(test.text, "by wsproxy"); x.Ours != [2]bool{inspect.ToClient: ours} {
			t.Errorf("%s: ours is %v", test.note, x.Ours)
		}
	}
}

func TestAlteredInWords(t *testing.T) {
	for want, a := range map[string]inspect.AlteredNote{
		"to-client: held for 1.5 s by filter":                                                      {Dir: inspect.ToClient, Action: inspect.ActHold, By: "filter", Held: 1500 * time.Millisecond},
		"to-server: wsproxy sends Close 1008 and ends it, by hand; 3 bytes before it never passed": {Action: inspect.ActClose, By: "hand", Code: 1008, Lost: 3},
		"to-server: wsproxy ends it with a FIN, by hand":                                           {Action: inspect.ActFin, By: "hand"},
		"to-server: wsproxy ends it with an RST, by ␛[2J":                                          {Action: inspect.ActRst, By: "\x1b[2J"},
		"␛]0;x": {Action: "\x1b]0;x"},
	} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		b, err := json.Marshal(a)
		var again inspect.AlteredNote
		if err != nil || json.Unmarshal(b, &again) != nil || again != a {
			t.Errorf("%s is read as %+v", b, again)
		}
	}
}
