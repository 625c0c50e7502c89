package replay

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// fakeT is a test that may fail.
type fakeT struct {
	dir     string
	mu      sync.Mutex
	said    []string
	failed  bool
	cleanup []func()
}

func (f *fakeT) Helper()             {}
func (f *fakeT) Name() string        { return "TestFake" }
func (f *fakeT) Cleanup(do func())   { f.cleanup = append(f.cleanup, do) }
func (f *fakeT) Failed() bool        { return f.failed }
func (f *fakeT) ArtifactDir() string { return f.dir }
func (f *fakeT) Logf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *fakeT) Errorf(format string, args ...any) {
	f.failed = true
	f.Logf(format, args...)
}
func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(f)
}

// end is the test's end.
func (f *fakeT) end() string {
	for i := len(f.cleanup) - 1; i >= 0; i-- {
		f.cleanup[i]()
	}
	return strings.Join(f.said, "\n")
}

// within runs what may call Fatalf.
func (f *fakeT) within(do func()) {
	defer func() {
		if x := recover(); x != nil && x != any(f) {
			panic(x)
		}
	}()
	do()
}

func cassetteFile(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chat.ndjson")
	if err := os.WriteFile(path, []byte("{\"cassette\":1}\n"+lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const chatLines = begin + `{"from":"client","json":{"say":"hello","id":"${id}"}}
{"from":"server","json":{"said":"hello","id":"${id}"}}
{"from":"client","close":1000,"reason":"bye"}
{"from":"server","close":1000,"reason":"bye"}
`

// chatWith says one thing to a server of the cassette, or of the recording.
func chatWith(t *testing.T, url, say string) {
	t.Helper()
	d := gorilla.Dialer{NetDialContext: loopback}
	c, _, err := d.Dial(url+"/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if err := c.WriteMessage(gorilla.TextMessage, []byte(say)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); err != nil {
		return
	}
	_ = c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, "bye"))
	_, _, _ = c.ReadMessage()
}

func TestServerHolds(t *testing.T) {
	s := Server(t, cassetteFile(t, chatLines))
	chatWith(t, s.URL, `{"id":5,"say":"hello"}`)
}

func TestServerFails(t *testing.T) {
	path := cassetteFile(t, chatLines)
	for name, tt := range map[string]struct {
		do   func(*Fixture)
		want []string
	}{
		"another message": {func(s *Fixture) { chatWith(t, s.URL, `{"say":"hullo","id":1}`) },
			[]string{"not as recorded", `client message 1 (line 3): not what was recorded: $.say: expected "hello", got "hullo"`, "wsproxy diff " + path}},
		"nobody came": {func(*Fixture) {}, []string{"session 1 (/chat): nobody asked for it"}},
		"too little": {func(s *Fixture) {
			d := gorilla.Dialer{NetDialContext: loopback}
			c, _, err := d.Dial(s.URL+"/chat", nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
		}, []string{"the test ended, and 2 of 2 client messages had not come"}},
		"another path": {func(s *Fixture) {
			d := gorilla.Dialer{NetDialContext: loopback}
			if _, _, err := d.Dial(s.URL+"/other", nil); err == nil {
				t.Error("no error")
			}
		}, []string{"no session of /other was recorded, only of /chat"}},
	} {
		f := &fakeT{dir: t.TempDir()}
		tt.do(Server(f, path))
		said := f.end()
		for _, want := range tt.want {
			if !strings.Contains(said, want) || !f.failed {
				t.Errorf("%s: %q is not in\n%s", name, want, said)
			}
		}
		if name == "another message" {
			for _, file := range []string{"actual.pcapng", "actual.ndjson", "difference.txt"} {
				if b, err := os.ReadFile(filepath.Join(f.dir, file)); err != nil || len(b) == 0 {
					t.Errorf("%s: %v", file, err)
				}
			}
			if b, _ := os.ReadFile(filepath.Join(f.dir, "difference.txt")); !strings.Contains(string(b), "hullo") {
				t.Errorf("%s", b)
			}
		}
	}
	f := &fakeT{dir: t.TempDir()}
	f.within(func() { Server(f, "none.ndjson") })
	if said := f.end(); !strings.Contains(said, "none.ndjson") || !strings.Contains(said, "to record it: replay.WithUpstream") {
		t.Error(said)
	}
	f = &fakeT{dir: t.TempDir()}
	f.within(func() { Server(f, cassetteFile(t, `{"from":"client"}`)) })
	if said := f.end(); !strings.Contains(said, "2:1: ") {
		t.Error(said)
	}
	f = &fakeT{dir: t.TempDir()}
	Server(f, path, AllowUnused())
	if said := f.end(); f.failed {
		t.Error(said)
	}
}

// echoServer answers as the cassette has it.
func echoServer(t *testing.T) *httptest.Server {
	upgrader := gorilla.Upgrader{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, data, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, []byte(strings.Replace(string(data), "say", "said", 1))) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// Recorded once, replayed afterwards, recorded again when asked.
func TestRecordAndModes(t *testing.T) {
	real := echoServer(t)
	upstream := "ws" + strings.TrimPrefix(real.URL, "http")
	path := filepath.Join(t.TempDir(), "new", "chat.ndjson")
	f := &fakeT{dir: t.TempDir()}
	s := Record(f, upstream, path)
	chatWith(t, s.URL, `{"say":"hello","id":"q7k2m9x1z"}`)
	if said := f.end(); f.failed || !strings.Contains(said, "became ${id}") {
		t.Fatal(said)
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), `"id":"${id}"`) {
		t.Fatalf("%s %v", b, err)
	}
	f = &fakeT{dir: t.TempDir()}
	s = Server(f, path, WithUpstream(upstream), WithMode(RecordOnce))
	chatWith(t, s.URL, `{"say":"hello","id":"another"}`)
	if said := f.end(); f.failed {
		t.Error(said)
	}
	f = &fakeT{dir: t.TempDir()}
	s = Server(f, path, WithUpstream(upstream), WithMode(RecordAll), KeepValues())
	chatWith(t, s.URL, `{"say":"anew","id":"q7k2m9x1z"}`)
	if said := f.end(); f.failed {
		t.Error(said)
	}
	if b, _ := os.ReadFile(path); !strings.Contains(string(b), `"json":{"say":"anew","id":"q7k2m9x1z"}`) {
		t.Errorf("%s", b)
	}
	// A test that has failed leaves it as it is.
	f = &fakeT{dir: t.TempDir()}
	s = Record(f, upstream, path)
	chatWith(t, s.URL, `{"say":"never"}`)
	f.Errorf("failed")
	f.end()
	if b, _ := os.ReadFile(path); strings.Contains(string(b), "never") {
		t.Errorf("%s", b)
	}
	// What is new is added.
	other := cassetteFile(t, `{"open":{"path":"/other"}}`+"\n")
	f = &fakeT{dir: t.TempDir()}
	s = Server(f, other, WithUpstream(upstream), WithMode(RecordNew), AllowUnused())
	chatWith(t, s.URL, `{"say":"more"}`)
	if said := f.end(); f.failed {
		t.Error(said)
	}
	if b, _ := os.ReadFile(other); !strings.Contains(string(b), `{"say":"more"}`) || !strings.Contains(string(b), `"path":"/other"`) {
		t.Errorf("%s", b)
	}
	f = &fakeT{dir: t.TempDir()}
	Record(f, upstream, filepath.Join(t.TempDir(), "x.ndjson"))
	if said := f.end(); !strings.Contains(said, "no session was recorded") {
		t.Error(said)
	}
}

func TestClientOfATest(t *testing.T) {
	real := echoServer(t)
	upstream := "ws" + strings.TrimPrefix(real.URL, "http")
	path := cassetteFile(t, strings.Replace(chatLines, `{"from":"server","close":1000,"reason":"bye"}`, `{"from":"server","close":1000}`, 1))
	if all := Client(t, path, upstream, WithDial(loopback)); len(all) != 1 || !all[0].Held() {
		t.Errorf("%v", all)
	}
	f := &fakeT{dir: t.TempDir()}
	bad := cassetteFile(t, strings.Replace(chatLines, `"said":"hello"`, `"said":"bye"`, 1))
	Client(f, bad, upstream, WithDial(loopback))
	if said := f.end(); !f.failed || !strings.Contains(said, `server message 1 (line 4): not what was recorded: $.said: expected "bye", got "hello"`) || !strings.Contains(said, "wsproxy diff") {
		t.Error(said)
	}
}

func TestSubset(t *testing.T) {
	s := Server(t, cassetteFile(t, chatLines), WithSubset())
	chatWith(t, s.URL, `{"id":5,"say":"hello","more":[1]}`)
}

// In a bubble pauses take no time at all.
func TestSynctest(t *testing.T) {
	path := cassetteFile(t, begin+`{"from":"client","text":"tick?"}
{"from":"server","after":"1h","text":"tick"}
{"from":"server","after":"1h","json":["${now}"]}
{"from":"client","close":1000}
`)
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		s := Server(t, path, WithMemory(m), WithSpeed(1))
		transport := &http.Transport{DialContext: m.DialContext}
		defer transport.CloseIdleConnections()
		c, _, err := coder.Dial(t.Context(), s.URL+"/chat", &coder.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if err := c.Write(t.Context(), coder.MessageText, []byte("tick?")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, want := range []string{"tick", began.Add(2 * time.Hour).UTC().Format(`["2006-01-02T15:04:05.000Z"]`)} {
			if _, got, err := c.Read(t.Context()); err != nil || string(got) != want {
				t.Fatalf("%s %v, want %s", got, err, want)
			}
		}
		if took := time.Since(began); took != 2*time.Hour {
			t.Errorf("it took %v", took)
		}
		_ = c.Close(coder.StatusNormalClosure, "")
	})
	if took := time.Since(start); took > patience {
		t.Errorf("it took %v outside", took)
	}
}

func TestMemoryEnds(t *testing.T) {
	m := NewMemory()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.DialContext(ctx, "", ""); err == nil {
		t.Error("dialled, with nobody there")
	}
	_ = m.Close()
	_ = m.Close()
	if _, err := m.Accept(); err == nil {
		t.Error("accepted")
	}
	if _, err := m.DialContext(t.Context(), "", ""); err == nil {
		t.Error("dialled behind the end")
	}
}

// restless is a server whose ids, tokens and times are others each time; price is
// what it answers.
func restless(t *testing.T, price string) *httptest.Server {
	upgrader := gorilla.Upgrader{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		if c.WriteJSON(map[string]any{"session": rand.Text(), "at": time.Now().UnixMilli()}) != nil {
			return
		}
		for n := 0; ; n++ {
			var ask struct{ ID, Session string }
			if err := c.ReadJSON(&ask); err != nil {
				return
			}
			if c.WriteJSON(map[string]any{"id": ask.ID, "price": json.RawMessage(price), "seen": time.Now(), "trace": rand.Text()}) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// asks is its client, which believes nothing that it has not been told.
func asks(t *testing.T, url string) {
	t.Helper()
	d := gorilla.Dialer{NetDialContext: loopback}
	c, _, err := d.Dial(url+"/prices", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	var hello struct{ Session string }
	if err := c.ReadJSON(&hello); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		id := rand.Text()
		if err := c.WriteJSON(map[string]any{"id": id, "session": hello.Session, "sent": time.Now().UnixMilli(), "nonce": rand.Text()}); err != nil {
			t.Fatal(err)
		}
		var answer struct{ ID string }
		if err := c.ReadJSON(&answer); err != nil || answer.ID != id {
			t.Fatalf("the answer to %s is %+v (%v)", id, answer, err)
		}
	}
	_ = c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, ""))
	_, _, _ = c.ReadMessage()
}

// A conversation whose ids and times change every time is recorded once, and
// replayed many times; a server that has changed is found out, with the line.
func TestChangingIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.ndjson")
	f := &fakeT{dir: t.TempDir()}
	asks(t, Record(f, "ws"+strings.TrimPrefix(restless(t, "1742.50").URL, "http"), path).URL)
	if said := f.end(); f.failed {
		t.Fatal(said)
	}
	s := Server(t, path)
	for range wstest.Count("replays of changing ids") {
		asks(t, s.URL)
	}
	f = &fakeT{dir: t.TempDir()}
	Client(f, path, restless(t, "1742.50").URL, WithDial(loopback), WithExact())
	if said := f.end(); !strings.Contains(said, "$.at: ") {
		t.Errorf("what the server says of its own accord was not compared: %s", said)
	}
	Client(t, path, restless(t, "1742.500").URL, WithDial(loopback))
	f = &fakeT{dir: t.TempDir()}
	Client(f, path, restless(t, "1742.51").URL, WithDial(loopback))
	if said := f.end(); !strings.Contains(said, "server message 2 (line 5): not what was recorded: $.price: expected 1742.50, got 1742.51") {
		t.Error(said)
	}
}

// What was not recorded comes from the real server: a page, and another session.
func TestFallback(t *testing.T) {
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			fmt.Fprint(w, "a page for ", r.Method)
			return
		}
		upgrader := gorilla.Upgrader{}
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.WriteMessage(gorilla.TextMessage, []byte("real"))
		_, _, _ = c.ReadMessage()
	}))
	defer real.Close()
	r := serve(t, file(t, begin+`{"from":"server","text":"recorded"}`).http("GET", "/known", "", cassetteAnswer("known")), func(o *Options) {
		o.Fallback = strings.TrimPrefix(real.URL, "http://")
	})
	transport := &http.Transport{DialContext: loopback}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range 2 {
		for path, want := range map[string]string{"/known": "known", "/page": "a page for GET"} {
			resp, err := client.Get("http://" + r.addr + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(b) != want || err != nil {
				t.Errorf("%s: %q %v", path, b, err)
			}
		}
	}
	d := gorilla.Dialer{NetDialContext: loopback}
	for path, want := range map[string]string{"/chat": "recorded", "/elsewhere": "real"} {
		c, _, err := d.Dial("ws://"+r.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, got, err := c.ReadMessage(); string(got) != want {
			t.Errorf("%s: %q %v", path, got, err)
		}
		_ = c.Close()
	}
	real.Close()
	resp, err := client.Get("http://" + r.addr + "/page")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("without the server the answer is %d", resp.StatusCode)
	}
}

func cassetteAnswer(body string) cassette.Answer {
	return cassette.Answer{Status: 200, Body: []byte(body)}
}
