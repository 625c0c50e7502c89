package rule

import (
	"bytes"
	"compress/flate"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/proxy"
)

// relay stands for a proxy.Server with some sessions: it asks as the relay does.
type relay struct {
	t       *testing.T
	holds   *Holds
	all     []proxy.Session
	filters map[inspect.SessionID]proxy.Filter
	news    atomic.Int64
}

func newRelay(t *testing.T) *relay {
	r := &relay{t: t, filters: map[inspect.SessionID]proxy.Filter{}}
	r.holds = NewHolds(func() { r.news.Add(1) })
	r.holds.Bind(func() {
		for _, s := range r.all {
			r.ask(s)
		}
	})
	return r
}

func (r *relay) ask(s proxy.Session) {
	if f := r.holds.Session(s); f != nil {
		r.filters[s.ID] = f
	} else {
		delete(r.filters, s.ID)
	}
}

// open opens a session for a path, with extensions that were agreed to.
func (r *relay) open(path, extensions string) inspect.SessionID {
	r.t.Helper()
	request, err := inspect.ParseRequest([]byte("GET " + path + " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
	if err != nil {
		r.t.Fatal(err)
	}
	head := "HTTP/1.1 101 Switching Protocols\r\n"
	if extensions != "" {
		head += "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	answer, err := inspect.ParseResponse([]byte(head + "\r\n"))
	if err != nil {
		r.t.Fatal(err)
	}
	s := proxy.Session{ID: inspect.SessionID(len(r.all) + 1), Handshake: inspect.NewHandshake(request, nil, answer), Opening: true}
	r.ask(s)
	s.Opening = false
	r.all = append(r.all, s)
	return s.ID
}

// frame asks about a frame of a session and says whether it passes.
func (r *relay) frame(id inspect.SessionID, d inspect.Dir, f inspect.Fields, payload string) (passes bool) {
	r.t.Helper()
	filter := r.filters[id]
	if filter == nil {
		return true
	}
	f.Length = uint64(len(payload))
	p := []byte(payload)
	if f.Masked {
		inspect.Mask(f.Key, 0, p)
	}
	h := inspect.NewHeader(f)
	if !filter.Whole(d, h) {
		p = p[:min(len(p), 1)] // what the relay happens to have
	}
	return filter.Frame(inspect.Frame{Session: id, Header: h, Dir: d}, p).Hold == nil
}

var text = inspect.Fields{Fin: true, Opcode: inspect.OpText, Masked: true, Key: [4]byte{1, 2, 3, 4}}

func (r *relay) choose(source string) {
	r.t.Helper()
	f, err := filter.Compile(source)
	if err != nil {
		r.t.Fatal(err)
	}
	r.holds.Choose(f)
}

func TestHeldByHand(t *testing.T) {
	r := newRelay(t)
	a, b := r.open("/a", ""), r.open("/b", "")
	if err := r.holds.Hold(a); err != nil {
		t.Fatal(err)
	}
	if r.frame(a, 0, text, "x") || r.frame(a, 1, text, "y") || !r.frame(b, 0, text, "z") {
		t.Fatal("a is held, and b is not")
	}
	st := r.holds.State()
	if len(st.Held) != 1 || st.Held[0].ID != a || !st.Held[0].Hand || len(st.Held[0].Waiting) != 2 || st.Held[0].Waiting[0].Op != inspect.OpText || st.Held[0].Waiting[0].Text != "x" {
		t.Fatalf("%+v", st)
	}
	for range 2 { // one, then the other
		if err := r.holds.Step(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.holds.Step(a); !errors.Is(err, ErrNotHeld) {
		t.Error("a third step:", err)
	}
	if !r.frame(a, 0, text, "x") || !r.frame(a, 1, text, "y") || r.frame(a, 0, text, "next") {
		t.Error("each goes once it may, and the next is held")
	}
	if err := r.holds.Resume(a); err != nil || r.filters[a] != nil {
		t.Error("resumed:", err)
	}
	if err := r.holds.Resume(a); !errors.Is(err, ErrNotHeld) {
		t.Error("resumed twice:", err)
	}
	if err := r.holds.Hold(99); !errors.Is(err, proxy.ErrNoSession) {
		t.Error("held what is not:", err)
	}
	if n := len(r.holds.sessions) + len(r.holds.hand); n != 0 {
		t.Errorf("%d sessions are still known", n)
	}
	if r.news.Load() == 0 {
		t.Error("nobody was told")
	}
}

func TestResumeAllAndTheEnd(t *testing.T) {
	r := newRelay(t)
	a, b := r.open("/a", ""), r.open("/b", "")
	for _, id := range []inspect.SessionID{a, b} {
		if err := r.holds.Hold(id); err != nil {
			t.Fatal(err)
		}
		r.frame(id, 0, text, "x")
	}
	r.holds.Ended(b)
	if st := r.holds.State(); len(st.Held) != 1 || st.Held[0].ID != a {
		t.Errorf("%+v", st)
	}
	r.holds.ResumeAll()
	if st := r.holds.State(); len(st.Held) != 0 || !r.frame(a, 0, text, "x") {
		t.Errorf("%+v", st)
	}
}

// A filter holds what it chooses; a step from there holds what comes behind.
func TestHeldByFilter(t *testing.T) {
	r := newRelay(t)
	a, b := r.open("/a", ""), r.open("/b", "")
	r.choose(`op == text && session.path == "/a" && dir == up`)
	if r.frame(a, 0, text, "x") || !r.frame(a, 1, text, "x") || !r.frame(b, 0, text, "x") || !r.frame(a, 1, inspect.Fields{Fin: true, Opcode: inspect.OpPing}, "") {
		t.Error("texts of the client of /a are held, and nothing else")
	}
	if err := r.holds.Step(a); err != nil {
		t.Fatal(err)
	}
	if !r.frame(a, 0, text, "x") || r.frame(a, 1, text, "y") {
		t.Error("behind a step everything is held")
	}
	if err := r.holds.Resume(a); err != nil {
		t.Fatal(err)
	}
	if !r.frame(a, 1, text, "y") || r.frame(a, 0, text, "x") {
		t.Error("resumed, the filter still holds")
	}
	r.holds.Choose(nil)
	if r.filters[a] != nil || r.filters[b] != nil || len(r.holds.State().Held) != 0 {
		t.Errorf("without a filter: %+v", r.holds.State())
	}
}

// Of a message in fragments its last frame is held, and pings between them are their own.
func TestMessages(t *testing.T) {
	r := newRelay(t)
	r.choose(`json.type == "go" && op == text`)
	a := r.open("/", "")
	part := inspect.Fields{Opcode: inspect.OpText, Masked: true, Key: [4]byte{9}}
	last := inspect.Fields{Fin: true, Opcode: inspect.OpContinuation, Masked: true, Key: [4]byte{8}}
	if !r.frame(a, 0, part, `{"type":`) || !r.frame(a, 0, inspect.Fields{Fin: true, Opcode: inspect.OpPing}, "{") || r.frame(a, 0, last, `"go"}`) {
		t.Error("the last fragment is held")
	}
	if !r.frame(a, 1, text, `{"type":"no"}`) || r.frame(a, 1, text, `{"type":"go"}`) {
		t.Error("one message is held, and another is not")
	}
	r.holds.ResumeAll()
	r.frame(a, 0, last, "")
	r.frame(a, 1, text, "")
	r.choose("bye")
	if r.frame(a, 1, inspect.Fields{Fin: true, Opcode: inspect.OpClose}, "\x03\xe8good BYE") {
		t.Error("a search looks into Close frames too")
	}
	if st := r.holds.State(); len(st.Held) != 1 || st.Held[0].Waiting[0].Text != "1000 good BYE" || st.Filter != "bye" || st.Blind != 0 {
		t.Errorf("%+v", st)
	}
}

// Compressed messages are looked into, with context takeover too, if the filter was there
// when the session began; else it is said that they are not.
func TestCompressedMessages(t *testing.T) {
	var buf bytes.Buffer
	w, err := flate.NewWriter(&buf, 9)
	if err != nil {
		t.Fatal(err)
	}
	compress := func(s string) string {
		buf.Reset()
		_, _ = w.Write([]byte(s))
		_ = w.Flush()
		return string(buf.Bytes()[:buf.Len()-4])
	}
	z := inspect.Fields{Fin: true, Rsv1: true, Opcode: inspect.OpText, Masked: true, Key: [4]byte{7, 7, 7, 1}}
	messages := []string{compress("hello there, hello"), compress("hello there, price"), compress("hello there, hello")}
	for _, early := range []bool{true, false} {
		r := newRelay(t)
		if early {
			r.choose("price")
		}
		a := r.open("/", "permessage-deflate")
		if !early {
			r.choose("price")
		}
		if blind := r.holds.State().Blind; blind != map[bool]int{true: 0, false: 1}[early] {
			t.Errorf("early %v: %d sessions cannot be looked into", early, blind)
		}
		if !r.frame(a, 0, z, messages[0]) || r.frame(a, 0, z, messages[1]) == early {
			t.Errorf("early %v: the second one is the one", early)
		}
		if early && r.holds.State().Held[0].Waiting[0].Text != "(compressed)" {
			t.Errorf("%+v", r.holds.State())
		}
	}
}
