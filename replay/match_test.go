package replay

import (
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// file is the cassette of a file that must be right, behind its first line.
func file(t *testing.T, lines string) *tape {
	t.Helper()
	if !strings.HasPrefix(lines, `{"cassette"`) {
		lines = "{\"cassette\":1}\n" + lines
	}
	c, err := cassette.Parse(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	return &tape{*c}
}

const begin = `{"open":{"path":"/chat"}}` + "\n"

// say sends texts.
func (p *peer) say(texts ...string) *peer {
	p.t.Helper()
	for _, s := range texts {
		p.send(masked(0x81, s))
	}
	return p
}

// hears wants texts.
func (p *peer) hears(texts ...string) *peer {
	p.t.Helper()
	for _, s := range texts {
		p.want("\x81" + string(rune(len(s))) + s)
	}
	return p
}

func (r *rig) chat() *peer {
	r.t.Helper()
	p := r.dial()
	p.join("/chat")
	return p
}

func TestVariables(t *testing.T) {
	r := serve(t, file(t, `{"cassette":1,"values":{"sid":"S"}}
{"open":{"path":"/chat?u=${user}"}}
{"from":"server","json":{"hello":"${user}","sid":"${sid}"}}
{"from":"client","json":{"id":"${id}","sid":"${sid}"}}
{"from":"server","text":"${id} $${id}"}
{"from":"client","close":1000}
{"from":"server","close":1000}
`), nil)
	p := r.dial()
	p.join("/chat?u=ann")
	p.hears(`{"hello":"ann","sid":"S"}`).say(`{"id":17,"sid":"S"}`).hears("17 ${id}")
	p.send(masked(0x88, "\x03\xe8"))
	p.want("\x88\x02\x03\xe8")
	_ = p.Close()
	r.held()
	p = r.dial()
	p.join("/chat?u=bob")
	p.hears(`{"hello":"bob","sid":"S"}`).say(`{"id":"x","sid":"T"}`).wantMismatch()
	_ = p.Close()
	if m := r.result().Mismatch; m == nil || m.Line != 4 || m.Diff[0] != `$.sid: expected "S" (${sid}), got "T"` {
		t.Errorf("%+v", m)
	}
	// Values may be given, and the clock.
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r = serve(t, file(t, `{"cassette":1,"values":{"sid":"S"}}`+"\n"+begin+`{"from":"server","json":["${sid}","${now}"]}`), func(o *Options) {
		o.Values, o.Now = map[string][]byte{"sid": []byte("5")}, func() time.Time { return now }
	})
	p = r.chat()
	p.hears(`[5,"2030-01-02T03:04:05.000Z"]`)
}

func TestAnyOrder(t *testing.T) {
	lines := begin + `{"any-order":true}
{"from":"client","text":"a"}
{"from":"client","text":"b"}
{"from":"client","text":"c","optional":true}
{"end-any-order":true}
{"from":"server","text":"both"}
{"from":"client","text":"d"}
{"from":"server","text":"all"}
`
	for _, tt := range []struct {
		first  string
		second string
		miss   string
	}{
		{"a b", "d", ""}, {"b a", "d", ""}, {"c b a", "d", ""}, {"b a", "c d", ""},
		{"a a", "", `expected "b", got "a"`}, {"a d", "", "too early: it was recorded as message 4"}, {"a b", "e", `expected "c", got "e"`},
	} {
		r := serve(t, file(t, lines), nil)
		p := r.chat()
		p.say(strings.Fields(tt.first)...)
		if tt.miss == "" || tt.second != "" {
			p.hears("both").say(strings.Fields(tt.second)...)
		}
		if tt.miss == "" {
			p.hears("all")
			_ = p.CloseWrite()
			p.wantFin()
			r.held()
			continue
		}
		p.wantMismatch()
		_ = p.Close()
		if res := r.result(); !strings.Contains(res.Report(), tt.miss) {
			t.Errorf("%s, %s: %s", tt.first, tt.second, res.Report())
		}
	}
}

func TestOptional(t *testing.T) {
	lines := begin + `{"from":"client","text":"x","optional":true}
{"from":"client","text":"y","optional":true}
{"from":"server","text":"now"}
{"from":"client","text":"a"}
{"from":"server","text":"then"}
`
	for _, said := range []string{"a", "x a", "y a", "x y a"} {
		r := serve(t, file(t, lines), nil)
		p := r.chat()
		p.hears("now").say(strings.Fields(said)...).hears("then")
		p.send(masked(0x88, ""))
		p.want("\x88\x00")
		_ = p.Close()
		r.held()
	}
	r := serve(t, file(t, lines), nil)
	p := r.chat()
	p.hears("now").say("y", "x").wantMismatch()
	_ = p.Close()
	if m := r.result().Mismatch; m == nil || m.Want != "text a" {
		t.Errorf("%+v", m)
	}
}

// A reaction answers as often as it is asked, and holds nothing up.
func TestReactions(t *testing.T) {
	lines := begin + `{"when":{"json":{"op":"ping","n":"${int}"}},"send":[{"json":{"op":"pong"}},{"text":"."}]}
{"from":"client","text":"a"}
{"from":"server","text":"b"}
`
	r := serve(t, file(t, lines), nil)
	p := r.chat()
	for i := range 3 {
		p.say(`{"n":`+string(rune('1'+i))+`,"op":"ping"}`).hears(`{"op":"pong"}`, ".")
	}
	p.say("a").hears("b").say(`{"op":"ping","n":9}`).hears(`{"op":"pong"}`, ".")
	_ = p.CloseWrite()
	p.wantFin()
	r.held()
	r = serve(t, file(t, lines), nil)
	p = r.chat()
	p.say("a").hears("b")
	_ = p.CloseWrite()
	p.wantFin()
	r.held()
}

// A variable of a reaction stands for something else each time; one that is said
// elsewhere too does not.
func TestReactionsWithVariables(t *testing.T) {
	r := serve(t, file(t, begin+`{"from":"client","text":"I am ${me}"}
{"when":{"json":{"ping":"${n}","from":"${me}"}},"send":[{"json":{"pong":"${n}"}}]}
{"from":"server","text":"hello ${me}"}
{"from":"client","text":"bye"}
`), nil)
	p := r.chat()
	p.say("I am 7").hears("hello 7")
	for _, n := range []string{"1", `"two"`, "3"} {
		p.say(`{"ping":` + n + `,"from":"7"}`).hears(`{"pong":` + n + `}`)
	}
	p.say(`{"ping":4,"from":"8"}`).wantMismatch()
	_ = p.Close()
	r.result()
}

func TestOnMiss(t *testing.T) {
	lines := begin + `{"from":"client","text":"a"}
{"from":"server","text":"A"}
{"from":"client","text":"b"}
{"from":"server","text":"B"}
`
	r := serve(t, file(t, lines), func(o *Options) { o.OnMiss = ContinueOnMiss })
	p := r.chat()
	p.say("x").hears("A").say("b").hears("B").say("more")
	_ = p.CloseWrite()
	p.wantFin()
	res := r.result()
	if res.Mismatch == nil || res.Mismatch.Got != "text x" || len(res.More) != 1 || res.More[0].Got != "text more" || res.Matched != 1 {
		t.Errorf("%s\n%s", res, res.Report())
	}
	r = serve(t, file(t, lines), func(o *Options) { o.OnMiss = ResetOnMiss })
	p = r.chat()
	p.say("x")
	if _, err := p.r.ReadByte(); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("the end is %v", err)
	}
	if r.result().Mismatch == nil {
		t.Error("no mismatch")
	}
	r = serve(t, file(t, lines), func(o *Options) { o.OnMiss = CloseOnMiss })
	p = r.chat()
	p.say("x").wantMismatch()
	_ = p.Close()
	r.result()
}

// Pauses are as recorded, or shorter; pings are answered meanwhile.
func TestSpeed(t *testing.T) {
	lines := begin + `{"from":"server","after":"300ms","text":"a"}
{"from":"client","text":"x"}
{"from":"server","after":"300ms","text":"b"}
`
	for speed, least := range map[float64]time.Duration{0: 0, 1: 600 * time.Millisecond, 10: 60 * time.Millisecond} {
		r := serve(t, file(t, lines), func(o *Options) { o.Speed = speed })
		start := time.Now()
		p := r.chat()
		if speed == 1 {
			p.send(masked(0x89, "p"))
			p.want("\x8a\x01p")
		}
		p.hears("a").say("x").hears("b")
		if took := time.Since(start); took < least || speed != 1 && took > 500*time.Millisecond {
			t.Errorf("at speed %v it took %v", speed, took)
		}
		_ = p.CloseWrite()
		r.held()
	}
	// A session that is ended in a pause ends at once.
	r := serve(t, file(t, begin+`{"from":"server","after":"1h","text":"a"}`), func(o *Options) { o.Speed = 1 })
	r.chat()
	start := time.Now()
	_ = r.server.Close()
	if took := time.Since(start); took > patience/2 {
		t.Errorf("ending took %v", took)
	}
}

func TestLoop(t *testing.T) {
	r := serve(t, file(t, begin+`{"from":"client","text":"go"}
{"from":"server","text":"1"}
{"from":"server","text":"2"}
{"from":"server","close":1000}
{"from":"server","end":"fin"}
`), func(o *Options) { o.Loop = true })
	p := r.chat()
	for range 3 {
		p.say("go").hears("1", "2")
	}
	p.send(masked(0x88, "\x03\xe8"))
	p.want("\x88\x02\x03\xe8")
	_ = p.Close()
	r.held()
}

// A cassette that says nothing of the connection's end: it ends behind the Close
// frames, by the server.
func TestEndBehindClose(t *testing.T) {
	for _, lines := range []string{`{"from":"client","close":1000}` + "\n" + `{"from":"server","close":1000}`, `{"from":"server","close":1000}` + "\n" + `{"from":"client","close":1000}`} {
		r := serve(t, file(t, begin+lines), nil)
		p := r.chat()
		p.send(masked(0x88, "\x03\xe8"))
		p.want("\x88\x02\x03\xe8")
		p.wantFin()
		_ = p.Close()
		r.held()
	}
}

func TestExpectedPong(t *testing.T) {
	r := serve(t, file(t, begin+`{"from":"client","pong":"beat","match":"exact"}
{"from":"server","text":"a"}
`), nil)
	p := r.chat()
	p.send(masked(0x8a, "other") + masked(0x8a, "beat"))
	p.hears("a")
	_ = p.CloseWrite()
	r.held()
}

func TestMisfitsOfAVariableAreTold(t *testing.T) {
	m := &Mismatch{Side: inspect.ToServer, Message: 3, Line: 7, Problem: "not what was recorded", Diff: []string{strings.Repeat("é", 100)}}
	if s := m.reason(); len(s) > reasonLimit || !strings.HasSuffix(s, "é…") {
		t.Errorf("%q", s)
	}
	if s := m.String(); !strings.HasPrefix(s, "client message 3 (line 7): ") {
		t.Errorf("%q", s)
	}
}
