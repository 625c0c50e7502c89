package record

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// jwt is the example of RFC 7519 section 3.1, shortened.
const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func stars(n int) string { return strings.Repeat("*", n) }

// TestHeads: a head as it came, and as it is recorded.
func TestHeads(t *testing.T) {
	for _, tt := range []struct{ in, out, what string }{
		{"GET /x?a=1&token=s3cret&b=2 HTTP/1.1\r\n", "GET /x?a=1&token=******&b=2 HTTP/1.1\r\n", "?token"},
		{"GET /x?access_token=s3cret#t HTTP/1.1\r\n", "GET /x?access_token=******#t HTTP/1.1\r\n", "?accesstoken"},
		{"GET /x?to%6ben=s3\"c<>'ret HTTP/1.1\r\n", "GET /x?to%6ben=********** HTTP/1.1\r\n", "?token"},
		{"GET /x?api-key=s3 cret HTTP/1.1\r\n", "GET /x?api-key=******* HTTP/1.1\r\n", "?apikey"},
		{"GET /?X-Amz-Signature=abc&key=d;e&auth[pass]=f HTTP/1.1\r\n", "GET /?X-Amz-Signature=***&key=***&auth[pass]=* HTTP/1.1\r\n", "?xamzsignature ?key ?authpass"},
		{"GET /?to=%2Fa%3Ftoken%3Ds3cret%26b%3D1 HTTP/1.1\r\n", "GET /?to=%2Fa%3Ftoken%3D******%26b%3D1 HTTP/1.1\r\n", "?token"},
		{"GET /?to=%3Ftoken%3Ds3%2526cret HTTP/1.1\r\n", "GET /?to=%3Ftoken%3D*********** HTTP/1.1\r\n", "?token"},
		{"GET http://user:pw@h/x HTTP/1.1\r\n", "GET http://*******@h/x HTTP/1.1\r\n", "userinfo"},
		{"GET /t/" + jwt + "/x HTTP/1.1\r\n", "GET /t/" + stars(len(jwt)) + "/x HTTP/1.1\r\n", "token"},
		{"Authorization: Bearer s3cret\r\n", "Authorization: Bearer ******\r\n", "Authorization"},
		{"AUTHORIZATION:s3cret word\r\n", "AUTHORIZATION:***********\r\n", "Authorization"},
		{"authorization : Basic  dTpw\r\n", "authorization : Basic  ****\r\n", "Authorization"},
		{"Proxy-Authorization: Digest username=\"u\", response=\"r\"\r\n", "Proxy-Authorization: Digest **************************\r\n", "Proxy-Authorization"},
		{"Authorization: Bearer\r\n s3cret\r\n\tmore\r\nX: y\r\n", "Authorization: ******\r\n ******\r\n\t****\r\nX: y\r\n", "Authorization"},
		{"X-Api-Key: s3cret\r\nX-Auth-Token: s\r\n", "X-Api-Key: ******\r\nX-Auth-Token: *\r\n", "X-Api-Key X-Auth-Token"},
		{"Cookie: a=s3cret; b=\"x;y=z\"; lonely\r\n", "Cookie: a=******; b=*******; ******\r\n", "Cookie"},
		{"Set-Cookie: a=s3cret; Path=/p; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly; Odd=1\r\n",
			"Set-Cookie: a=******; Path=/p; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly; Odd=*\r\n", "Set-Cookie"},
		{"Set-Cookie: a=s; Path=/, c=s3cret\r\n", "Set-Cookie: a=*; Path=/**********\r\n", "Set-Cookie"},
		{"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.abc, graphql-transport-ws\r\n",
			"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.***, graphql-transport-ws\r\n", "Sec-Websocket-Protocol"},
		{"Sec-WebSocket-Protocol: access_token, s3cret, header-ab12=\r\n", "Sec-WebSocket-Protocol: access_token, ******, header-*****\r\n", "Sec-Websocket-Protocol"},
		{"Sec-WebSocket-Protocol: v10.stomp, 6f1c2e0a-9a3f-4b1e-8f3d-1c2b3a4d5e6f\r\n",
			"Sec-WebSocket-Protocol: v10.stomp, " + stars(36) + "\r\n", "Sec-Websocket-Protocol"},
		{"Referer: https://a/?sig=s3cret&b\r\n", "Referer: https://a/?sig=******&b\r\n", "?sig"},
		{"Location: https://a/cb?code=s3cret#id_token=" + jwt + "\r\n", "Location: https://a/cb?code=******#id_token=" + stars(len(jwt)) + "\r\n", "?code ?idtoken"},
		{"Link: <https://a/?password=s3cret>; rel=x\r\n", "Link: <https://a/?password=******>; rel=x\r\n", "?password"},
		{"X: y\rAuthorization: Bearer s3\rcret\r\n", "X: y\rAuthorization: Bearer **\r****\r\n", "Authorization"},
		{"\x00Authorization\xff: s3cret\r\n", "\x00Authorization\xff: ******\r\n", "Authorization"},
		{"Authorization s3cret\r\n", "Authorization ******\r\n", "Authorization"},
		{"X: sk-abcdefghijklmnop1234 ghp_ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n", "X: *********************** " + stars(30) + "\r\n", "token"},
	} {
		start := "GET / HTTP/1.1\r\n"
		if strings.HasPrefix(tt.in, "GET ") {
			start = ""
		}
		var s secrets
		b := []byte(start + tt.in + "\r\n")
		s.head(b, true)
		if want := start + tt.out + "\r\n"; string(b) != want || strings.Join(s.what, " ") != tt.what {
			t.Errorf("%q became\n%q, want\n%q; found %q, want %q", tt.in, b, want, s.what, tt.what)
		}
	}
}

// TestOrdinaryHeads: what holds no credential is recorded as it is.
func TestOrdinaryHeads(t *testing.T) {
	for _, head := range []string{
		"GET /socket.io/?EIO=4&transport=websocket&t=Nf3 HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n" +
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: http://localhost:8080\r\n" +
			"Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\nSec-WebSocket-Key: eyJhbGNpT2lKSVV6STFOaQ==\r\n" +
			"Sec-WebSocket-Protocol: graphql-transport-ws, actioncable-v1-json, v5.channel.k8s.io, wamp.2.json.batched\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: https://example.com:8443/a/b?page=2&sort=key#top\r\nContent-Security-Policy: default-src 'self'; img-src *\r\nKeep-Alive: timeout=5\r\n\r\n",
		"CONNECT token:443 HTTP/1.1\r\nHost: token:443\r\n\r\n",
		"GET / HTTP/1.1\r\nAuthorization: ***** ********\r\nCookie: a=*\r\nProxy-Authorization:\r\n ***\r\n\r\n", // written over before
	} {
		var s secrets
		b := []byte(head)
		s.head(b, true)
		if string(b) != head || len(s.what) > 0 || s.bytes > 0 {
			t.Errorf("%q became\n%q: %q", head, b, s.what)
		}
	}
}

// feeder feeds a sink one connection.
type feeder struct {
	sink inspect.Sink
	off  [2][2]int64
}

func newFeeder(sink inspect.Sink) *feeder {
	sink.Open(conn(1))
	return &feeder{sink: sink}
}

func (f *feeder) add(l inspect.Leg, d inspect.Dir, s string) *feeder {
	f.sink.Chunk(inspect.Chunk{Conn: 1, Leg: l, Dir: d, Time: t0, Off: f.off[l][d], Data: []byte(s)})
	f.off[l][d] += int64(len(s))
	return f
}

func (f *feeder) up(s string) *feeder   { return f.add(inspect.ClientLeg, inspect.ToServer, s) }
func (f *feeder) down(s string) *feeder { return f.add(inspect.ClientLeg, inspect.ToClient, s) }

func (f *feeder) end(l inspect.Leg, d inspect.Dir, how inspect.End) *feeder {
	f.sink.End(inspect.Ended{Conn: 1, Leg: l, Dir: d, How: how, Time: t0, Off: f.off[l][d]})
	return f
}

func (h *heard) up() string { return string(h.streams[legDir{1, inspect.ClientLeg, inspect.ToServer}]) }
func (h *heard) down() string {
	return string(h.streams[legDir{1, inspect.ClientLeg, inspect.ToClient}])
}

const (
	secretUpgrade = "GET /?token=s3cret HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: id=s3cret\r\n\r\n"
	starUpgrade   = "GET /?token=****** HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: id=******\r\n\r\n"
	secretAnswer  = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: id=s3cret\r\n\r\n"
	starAnswer    = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: id=******\r\n\r\n"
	refusal       = "HTTP/1.1 401 x\r\nContent-Length: 17\r\n\r\nSet-Cookie: a=b\r\n"
	post          = "POST / HTTP/1.1\r\nAuthorization: s3cret\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	starPost      = "POST / HTTP/1.1\r\nAuthorization: ******\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	interim       = "HTTP/1.1 100 x\r\n\r\n"
	// Bytes of a session that look like a head with credentials.
	sessionBytes = "\x81\x40\r\n\r\nGET /?token=s3cret HTTP/1.1\r\nAuthorization: s3cret\r\n\r\n\x00\xff"
)

// TestCutAnywhereSameBytes: however the streams are cut, the same bytes are
// recorded, and what is told of a direction is in its order.
func TestCutAnywhereSameBytes(t *testing.T) {
	up := post + secretUpgrade + secretUpgrade + sessionBytes
	down := interim + "HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok" + refusal + secretAnswer + sessionBytes
	wantUp := starPost + starUpgrade + starUpgrade + sessionBytes
	wantDown := interim + "HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nok" + refusal + starAnswer + sessionBytes
	check := func(name string, feed func(*feeder)) {
		t.Helper()
		h := newHeard()
		f := newFeeder(Redact(h))
		feed(f)
		f.end(0, inspect.ToServer, inspect.Fin).end(0, inspect.ToClient, inspect.Fin)
		if h.up() != wantUp || h.down() != wantDown {
			t.Fatalf("%s:\n%q\n%q", name, h.up(), h.down())
		}
		for _, l := range h.lines {
			if strings.HasPrefix(l, "offset") {
				t.Fatalf("%s: %s", name, l)
			}
		}
	}
	for n := range len(up) {
		check(fmt.Sprint("up cut at ", n), func(f *feeder) { f.up(up[:n]).up(up[n:]).down(down) })
	}
	for n := range len(down) {
		check(fmt.Sprint("down cut at ", n), func(f *feeder) { f.up(up).down(down[:n]).down(down[n:]) })
	}
	check("byte by byte", func(f *feeder) {
		for i := range up {
			f.up(up[i : i+1])
		}
		for i := range down {
			f.down(down[i : i+1])
		}
	})
	// As the relay does it: what follows an upgrade is told after its answer.
	check("in turn", func(f *feeder) {
		f.up(post[:20]).up(post[20:70]).down(interim).up(post[70:] + secretUpgrade[:9]).down(down[len(interim) : len(interim)+40])
		f.up(secretUpgrade[9:]).down(down[len(interim)+40 : len(down)-len(secretAnswer)-len(sessionBytes)])
		f.up(secretUpgrade).down(secretAnswer + sessionBytes[:5]).up(sessionBytes).down(sessionBytes[5:])
	})
}

// TestOrderOfWhatIsHeld: bytes held for an answer are told in front of it, each
// piece with its own time, behind the note that names what was replaced.
func TestOrderOfWhatIsHeld(t *testing.T) {
	var told []string
	h := &spy{tell: func(s string) { told = append(told, s) }}
	f := newFeeder(Redact(h))
	f.up(secretUpgrade).up("\x81\x00")
	f.up("\x81\x80").down(secretAnswer[:30])
	if want := []string{"open", "redacted ?token Cookie", "up " + starUpgrade}; !slices.Equal(told, want) {
		t.Errorf("before the answer: %q", told)
	}
	f.down(secretAnswer[30:] + "\x81\x01a")
	want := []string{"up \x81\x00", "up \x81\x80", "redacted Set-Cookie", "down " + starAnswer[:30], "down " + starAnswer[30:], "down \x81\x01a"}
	if got := told[3:]; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// spy tells calls in words.
type spy struct{ tell func(string) }

func (s *spy) Open(inspect.ConnInfo) { s.tell("open") }
func (s *spy) Chunk(c inspect.Chunk) {
	s.tell(map[inspect.Dir]string{inspect.ToServer: "up ", inspect.ToClient: "down "}[c.Dir] + string(c.Data))
}
func (s *spy) Note(n inspect.Note) {
	what := strings.NewReplacer(`{"kind":"redacted","what":[`, "", `"`, "", ",", " ", "]", " bytes").Replace(string(n.JSON))
	what, _, _ = strings.Cut(what, " bytes")
	s.tell(n.Kind + " " + what)
}
func (s *spy) End(e inspect.Ended) { s.tell("end " + e.Dir.String()) }

// TestEndsFlush: what is held when a direction ends is recorded, and a head that
// is cut off inside a value shows nothing of it.
func TestEndsFlush(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"GET /?token=s3", "GET **********"},
		{"GET / HTTP/1.1\r\nAuthorization: Bea", "GET / HTTP/1.1\r\nAuthorization: ***"},
		{"GET / HTTP/1.1\r\nX-Odd: eyJh", "GET / HTTP/1.1\r\nX-Odd: ****"},
		{"GET / HTTP/1.1\r\nCookie: a=b\r\nAuthori", "GET / HTTP/1.1\r\nCookie: a=*\r\nAuthori"},
		{secretUpgrade + "GET /?token=s3cret HTTP/1.1\r\nCookie: a=s3cret", starUpgrade + "GET /?token=****** HTTP/1.1\r\nCookie: ********"},
	} {
		for _, how := range []inspect.End{inspect.Fin, inspect.Rst} {
			h := newHeard()
			d := inspect.ToServer
			if how == inspect.Rst {
				d = inspect.ToClient // a reset ends the leg's other direction too
			}
			newFeeder(Redact(h)).up(tt.in).end(0, d, how)
			if h.up() != tt.want || len(h.ends) != 1 {
				t.Errorf("%v: %q became %q, want %q", how, tt.in, h.up(), tt.want)
			}
		}
	}
}

// TestUnframeable: nothing of what cannot be framed is recorded but its lines.
func TestUnframeable(t *testing.T) {
	long := "GET / HTTP/1.1\r\nX: " + strings.Repeat("y", 70<<10)
	for name, tt := range map[string]struct{ in, want string }{
		"no HTTP":    {"Authorization: s3cret\r\n\r\ntoken=s3cret\r\n", "Authorization: ******\r\n\r\n************\r\n"},
		"HTTP/2":     {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n**\r\n\r\n"},
		"a long one": {long + "\r\nCookie: a=b", stars(14) + "\r\n" + stars(len(long)-16) + "\r\n***********"},
		"bad length": {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\ns3cret", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n******"},
		"bad chunk":  {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nCookie: a=b", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n***********"},
	} {
		h := newHeard()
		newFeeder(Redact(h)).up(tt.in).end(0, 0, inspect.Fin)
		if h.up() != tt.want {
			t.Errorf("%s: %.200q, want %.200q", name, h.up(), tt.want)
		}
	}
	h := newHeard()
	newFeeder(Redact(h)).up(secretUpgrade).up("GET / HTTP/1.1\r\nCookie: a=b\r\n\r\n").down("what is this\r\n\r\nSet-Cookie: a=b\r\n")
	if h.down() != "what is this\r\n\r\n***************\r\n" || h.up() != starUpgrade+"GET / HTTP/1.1\r\nCookie: a=*\r\n\r\n" {
		t.Errorf("a server without HTTP: %q, %q", h.up(), h.down())
	}
	h = newHeard()
	f := newFeeder(Redact(h)).up("GET / HTTP/1.1\r\n")
	f.off[0][0] += 10 // bytes that were never told
	f.up("Cookie: a=b\r\n\r\n")
	if want := "GET / HTTP/1.1\r\n"; !strings.HasPrefix(h.up(), want) || strings.Contains(h.up(), "a=b") {
		t.Errorf("behind a hole: %q", h.up())
	}
	h = newHeard()
	newFeeder(Redact(h)).up(secretUpgrade).up(strings.Repeat("held ", 300_000)).end(0, 0, inspect.Fin)
	if n := strings.Count(h.up(), "held"); n > 0 || len(h.up()) != len(secretUpgrade)+1_500_000 {
		t.Errorf("more than can be held: %d bytes, %d as they were", len(h.up()), n)
	}
}

// TestServerLegHeads: of the server leg only the upgrades' heads are told.
func TestServerLegHeads(t *testing.T) {
	const up, down = inspect.ToServer, inspect.ToClient
	h := newHeard()
	f := newFeeder(Redact(h))
	leg := inspect.ServerLeg
	f.sink.Note(serverLeg(1))
	f.off[leg] = [2]int64{100, 200} // exchanges before
	f.add(leg, up, secretUpgrade).add(leg, down, "HTTP/1.1 401 x\r\nContent-Length: 5\r\nSet-Cookie: a=s3cret\r\n\r\n")
	f.off[leg][down] += 5 // its body is not told
	f.add(leg, up, secretUpgrade[:30]).add(leg, up, secretUpgrade[30:]).add(leg, down, secretAnswer)
	f.off[leg][up] += 1000 // frames
	f.add(leg, up, "\x81\x00token=s3cret").end(leg, up, inspect.Fin).end(leg, down, inspect.Fin)
	gotUp, gotDown := string(h.streams[legDir{1, leg, up}]), string(h.streams[legDir{1, leg, down}])
	if gotUp != starUpgrade+starUpgrade+"\x81\x00token=s3cret" || gotDown != "HTTP/1.1 401 x\r\nContent-Length: 5\r\nSet-Cookie: a=******\r\n\r\n"+starAnswer {
		t.Errorf("%q\n%q", gotUp, gotDown)
	}
}

// TestEarlyAnswer: a 101 before the upgrade request's body has ended.
func TestEarlyAnswer(t *testing.T) {
	h := newHeard()
	body := strings.Replace(secretUpgrade, "Host: a", "Content-Length: 3", 1)
	newFeeder(Redact(h)).up(body + "a").down(secretAnswer).up("bc" + sessionBytes)
	if want := strings.Replace(starUpgrade, "Host: a", "Content-Length: 3", 1) + "abc" + sessionBytes; h.up() != want {
		t.Errorf("%q", h.up())
	}
}

func TestNotesAndTarget(t *testing.T) {
	var notes []string
	sink := &noteSink{heard: newHeard(), notes: &notes}
	r := Redact(sink)
	info := conn(1)
	info.Target = "wss://user:s3cret@host/?token=s3cret"
	r.Open(info)
	if sink.target != "wss://***********@host/?token=******" {
		t.Error(sink.target)
	}
	for in, want := range map[string]string{
		`{"kind":"session","session":"0000000000000001","mode":"reverse","url":"ws://a/?a=1\u0026token=s3cret"}`:                                                                                                   `{"kind":"session","session":"0000000000000001","mode":"reverse","url":"ws://a/?a=1\u0026token=******"}`,
		`{"kind":"x","head":"GET / HTTP/1.1\r\nCookie: a=s3cret\r\n\r\n","n":1.50}`:                                                                                                                                `{"kind":"x","head":"GET / HTTP/1.1\r\nCookie: a=******\r\n\r\n","n":1.50}`,
		`{"kind":"x","headers":{"Authorization":"Basic s3cret"},"line":"Authorization: s3cret"}`:                                                                                                                   `{"kind":"x","headers":{"Authorization":"Basic ******"},"line":"Authorization: ******"}`,
		`{"kind":"http2","stream":3,"fields":[{":path":"/?a=1\u0026token=s3cret"},{"authorization":"Bearer s3cret"},{"x":"y"},{"cookie":"a=s3cret; b=s3cret"},{"sec-websocket-protocol":"access_token, s3cret"}]}`: `{"kind":"http2","stream":3,"fields":[{":path":"/?a=1\u0026token=******"},{"authorization":"Bearer ******"},{"x":"y"},{"cookie":"a=******; b=******"},{"sec-websocket-protocol":"access_token, ******"}]}`,
		`{"kind":"peer","addr":"127.0.0.1:1","error":"dial \"ws://a?key=s3cret\": refused"}`:                                                                                                                       `{"kind":"peer","addr":"127.0.0.1:1","error":"dial \"ws://a?key=******\": refused"}`,
	} {
		notes = nil
		r.Note(inspect.Note{Conn: 1, JSON: []byte(in)})
		if len(notes) != 1 || notes[0] != want {
			t.Errorf("%s became\n%s, want\n%s", in, notes, want)
		}
	}
	r.End(inspect.Ended{Conn: 1, Error: "reset by ws://h?token=s3cret"})
	if e := sink.ends[legDir{1, 0, 0}]; e.Error != "reset by ws://h?token=******" {
		t.Error(e.Error)
	}
}

type noteSink struct {
	*heard
	target string
	notes  *[]string
}

func (s *noteSink) Open(i inspect.ConnInfo) { s.target = i.Target }
func (s *noteSink) Note(n inspect.Note)     { *s.notes = append(*s.notes, string(n.JSON)) }

// TestDetect: everything passes as it is, at once, and one call says what there is.
func TestDetect(t *testing.T) {
	h := newHeard()
	var calls [][]string
	f := newFeeder(Detect(h, func(what []string) { calls = append(calls, what) }))
	f.up("GET / HTTP/1.1\r\n\r\n").down("HTTP/1.1 204 x\r\n\r\n").up(secretUpgrade[:40])
	if len(calls) > 0 || h.up() != "GET / HTTP/1.1\r\n\r\n"+secretUpgrade[:40] {
		t.Errorf("%v, %q", calls, h.up())
	}
	f.up(secretUpgrade[40:]).up("held").down(secretAnswer).up(sessionBytes).down(sessionBytes)
	if len(calls) != 1 || !slices.Equal(calls[0], []string{"?token", "Cookie"}) {
		t.Errorf("%q", calls)
	}
	if h.up() != "GET / HTTP/1.1\r\n\r\n"+secretUpgrade+"held"+sessionBytes || h.down() != "HTTP/1.1 204 x\r\n\r\n"+secretAnswer+sessionBytes {
		t.Errorf("%q\n%q", h.up(), h.down())
	}
	for _, l := range h.lines {
		if strings.HasPrefix(l, "note") || strings.HasPrefix(l, "offset") {
			t.Error(l)
		}
	}
}

// TestRedactedRecording: two directions at once into a real file.
func TestRedactedRecording(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	r := Redact(w)
	f := newFeeder(r)
	f.up(secretUpgrade).down(secretAnswer)
	var wg sync.WaitGroup
	for d := range inspect.Dir(2) {
		wg.Go(func() {
			off := f.off[0][d]
			for range 200 {
				r.Chunk(inspect.Chunk{Conn: 1, Dir: d, Time: t0, Off: off, Data: []byte(sessionBytes)})
				off += int64(len(sessionBytes))
			}
			r.End(inspect.Ended{Conn: 1, Dir: d, How: inspect.Fin, Time: t0, Off: off})
		})
	}
	wg.Wait()
	closed(t, w)
	h := follow(t, path)
	if h.up() != starUpgrade+strings.Repeat(sessionBytes, 200) || h.down() != starAnswer+strings.Repeat(sessionBytes, 200) {
		t.Error("it came back changed")
	}
	if n := strings.Count(strings.Join(h.lines, "\n"), "note redacted"); n != 2 {
		t.Errorf("%d notes", n)
	}
	if left := len(r.(*redactor).conns); left != 0 {
		t.Errorf("%d connections are kept", left)
	}
}

// FuzzRedact: whatever stands between them, no credential is recorded, nothing
// changes its length, a head is read as before, and a session's bytes pass.
func FuzzRedact(f *testing.F) {
	f.Add([]byte("X: y\r\n z"), []byte{3, 20, 100}, uint8(0))
	f.Add([]byte("Cookie: a=\""), []byte{1, 1, 1}, uint8(1))
	f.Add([]byte("?a=b%26;x=%"), []byte{200, 200}, uint8(2))
	f.Add([]byte("\r\n\rA:\r"), []byte{}, uint8(3))
	f.Fuzz(func(t *testing.T, junk, cuts []byte, place uint8) {
		if bytes.Contains(junk, []byte("s3cret")) {
			return
		}
		part := [4]string{}
		part[place%4] = string(junk)
		if place%4 == 0 && bytes.ContainsAny(junk, " \r\n\t") {
			return // another start line
		}
		up := "GET /" + part[0] + "?token=s3cret&x=1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + part[1] + "\r\nAuthorization: Bearer s3cret\r\nX-T: " + part[2] + " " +
			jwt + "s3cret\r\nCookie: a=s3cret; " + part[3] + "; b=s3cret\r\n\r\n"
		var scan inspect.HeadScanner
		raw, _, _ := scan.Next([]byte(up))
		head, err := inspect.ParseRequest(raw)
		if len(raw) != len(up) || err != nil || !head.IsUpgrade() {
			return // the junk makes it another head
		}
		if body, err := inspect.RequestBody(head); err != nil || !body.Done() {
			return // what follows is a body
		}
		if place%4 == 3 && bytes.ContainsAny(junk, "\r\n") {
			return // what follows the cookie's line is another field
		}
		h := newHeard()
		feed := newFeeder(Redact(h))
		for rest := up + sessionBytes; len(rest) > 0; {
			n := len(rest)
			if len(cuts) > 0 {
				n, cuts = min(n, int(cuts[0])+1), cuts[1:]
			}
			feed.up(rest[:n])
			rest = rest[n:]
		}
		feed.down(secretAnswer + sessionBytes)
		got, ok := strings.CutSuffix(h.up(), sessionBytes)
		if !ok || len(got) != len(up) {
			t.Fatalf("%q became %q", up, h.up())
		}
		if strings.Contains(got, "s3cret") || strings.Contains(got, jwt) {
			t.Fatalf("%q became %q", up, got)
		}
		after, err := inspect.ParseRequest([]byte(got))
		if err != nil || !after.IsUpgrade() || len(after.Fields) != len(head.Fields) {
			t.Fatalf("%q became %q: %v", up, got, err)
		}
		if h.down() != starAnswer+sessionBytes {
			t.Fatalf("%q", h.down())
		}
	})
}

// FuzzRedactAnything: whatever a connection says, lengths stay, and redacting
// what is redacted changes nothing.
func FuzzRedactAnything(f *testing.F) {
	f.Add([]byte(post+secretUpgrade+sessionBytes), []byte(refusal+secretAnswer+sessionBytes), uint16(20))
	f.Add([]byte("GET / HTTP/1.0\n\nGET /?token=%3Dx"), []byte("HTTP/1.1 200\n\n"), uint16(3))
	f.Fuzz(func(t *testing.T, up, down []byte, cut uint16) {
		once := func(up, down string) (string, string) {
			h := newHeard()
			n := min(int(cut), len(up))
			newFeeder(Redact(h)).up(up[:n]).up(up[n:]).down(down).end(0, 0, inspect.Fin).end(0, 1, inspect.Fin)
			return h.up(), h.down()
		}
		u, d := once(string(up), string(down))
		if len(u) != len(up) || len(d) != len(down) {
			t.Fatalf("%q %q became %q %q", up, down, u, d)
		}
		for i := range up {
			if up[i] != u[i] && u[i] != filler {
				t.Fatalf("%q became %q", up, u)
			}
		}
		if u2, d2 := once(u, d); u2 != u || d2 != d {
			t.Fatalf("%q %q became %q %q", u, d, u2, d2)
		}
	})
}
