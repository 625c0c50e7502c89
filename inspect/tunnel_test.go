package inspect

import (
	"testing"
	"time"
)

// exchangesOf are the exchanges that an opaque connection is told as.
func exchangesOf(t *testing.T, c *Conn, notes []Note, ends []Ended) (all []Exchange) {
	t.Helper()
	take := func(e Event) {
		x, ok := e.(*Exchange)
		if !ok {
			t.Fatalf("told of %T", e)
		}
		all = append(all, *x)
	}
	for e := range c.Feed(Chunk{Data: []byte("GET / HTTP/1.1\r\n\r\n")}) { // which is nobody's business
		take(e)
	}
	for _, n := range notes {
		for e := range c.Note(n) {
			take(e)
		}
	}
	for _, end := range ends {
		for e := range c.Close(end) {
			take(e)
		}
	}
	return all
}

// A tunnel is told as the request that opened it, with what went through.
func TestTunnel(t *testing.T) {
	info := ConnInfo{ID: 1, Mode: "forward", Via: "CONNECT bank.example:443", Opaque: true}
	all := exchangesOf(t, NewConn(info, Limits{}), []Note{NewNote(1, ServerLeg, ToServer, time.Time{}, NoteLeg, LegNote{Kind: NoteLeg})}, []Ended{
		{Leg: ServerLeg, Dir: ToServer, How: Fin, Off: 700}, {Leg: ServerLeg, Dir: ToClient, How: Fin, Off: 9000},
		{Leg: ClientLeg, Dir: ToServer, How: Rst, Off: 700},
	})
	if len(all) != 1 {
		t.Fatalf("%d exchanges", len(all))
	}
	x := all[0]
	if x.Request.Method != "CONNECT" || x.Request.Target != "bank.example:443" || x.Up.Size != 700 || x.Down.Size != 9000 || x.Error != "" {
		t.Errorf("%+v", x)
	}
}

// What failed before it carried anything is told once, at once.
func TestFailed(t *testing.T) {
	info := ConnInfo{ID: 1, Mode: "forward", Via: "SOCKS5 localhost:443", Opaque: true}
	at := time.Unix(1000, 0)
	all := exchangesOf(t, NewConn(info, Limits{}), []Note{NewNote(1, ClientLeg, ToServer, at, NoteFailed, FailedNote{Kind: NoteFailed, Why: "no trust"})}, []Ended{
		{Leg: ClientLeg, Dir: ToServer, How: TLSAlert}, {Leg: ClientLeg, Dir: ToClient, How: Self},
	})
	if len(all) != 1 || all[0].Error != "no trust" || all[0].Request.Method != "SOCKS5" || !all[0].Time.Equal(at) {
		t.Errorf("%+v", all)
	}
}

func TestURL(t *testing.T) {
	for _, c := range []struct{ mode, target, asked, url, session string }{
		{"reverse", "ws://a", "/x", "/x", "/x"},
		{"forward", "https://a:8443", "/x?y", "https://a:8443/x?y", "wss://a:8443/x?y"},
		{"forward", "http://a", "/", "http://a/", "ws://a/"},
		{"forward", "ws://a", "ws://a/x", "ws://a/x", "ws://a/x"},
		{"forward", "http://a", "http://a/x", "http://a/x", "ws://a/x"},
		{"forward", "", "a:443", "a:443", "a:443"},
	} {
		i := ConnInfo{Mode: c.mode, Target: c.target}
		if got := i.URL(c.asked); got != c.url {
			t.Errorf("%+v: %s", c, got)
		}
		if got := i.SessionURL(c.asked); got != c.session {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestPath(t *testing.T) {
	for target, want := range map[string]string{
		"/x?u=http://b/": "/x?u=http://b/", "ws://a/x?y": "/x?y", "http://a:1": "/", "http://a?q": "/?q", "*": "*",
	} {
		if got := (&Handshake{Request: &Head{Target: target}}).Path(); got != want {
			t.Errorf("the path of %s is %s", target, got)
		}
	}
}
