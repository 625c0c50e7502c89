package filter

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

var opened = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// sample is a frame and its message, changed as a test likes.
func sample(data string, change func(*Frame, *inspect.Message)) (*Frame, *inspect.Message) {
	s := &Session{N: 3, Path: "/graphql?x=1", Protocol: "graphql-transport-ws", Mode: "reverse", Target: "ws://localhost:3000", Client: "127.0.0.1:5000", Status: 101, Open: true, Opened: opened}
	f := &Frame{Session: s, N: 7, Time: opened.Add(1500 * time.Millisecond), Dir: inspect.ToServer, Op: inspect.OpText, Length: uint64(len(data)), Fin: true, Masked: true, Minimal: true}
	m := &inspect.Message{Opcode: inspect.OpText, Size: int64(len(data)), Data: []byte(data)}
	if change != nil {
		change(f, m)
	}
	return f, m
}

// decide is what a filter says of a frame, in both steps.
func decide(t *testing.T, source string, f *Frame, m *inspect.Message) bool {
	t.Helper()
	c, err := Compile(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	x := c.Matcher()
	switch x.Frame(f) {
	case No:
		return false
	case Yes:
		return true
	}
	if c.Header() {
		t.Errorf("%s: a filter of the header asks for the message", source)
	}
	return x.Message(m)
}

func TestExpressions(t *testing.T) {
	const message = `{"type":"subscribe","id":"7f3a","n":42,"ok":true,"none":null,"list":[{"id":1},{"id":2}],"Deep":{"er":{"est":"x"}}}`
	f, m := sample(message, nil)
	for source, want := range map[string]bool{
		`op == "text"`:                          true,
		`op == text`:                            true,
		`text == op`:                            true,
		`op != close`:                           true,
		`op == close`:                           false,
		`op in [text, binary]`:                  true,
		`op in [ping, pong]`:                    false,
		`dir == up`:                             true,
		`dir == ">"`:                            true,
		`dir == down`:                           false,
		`len > 100 && len < 200`:                true,
		`frame == 7`:                            true,
		`time > 1.4 and time < 1.6`:             true,
		`fin`:                                   true,
		`!masked`:                               false,
		`not rsv1`:                              true,
		`finding == ""`:                         true,
		`size == len`:                           true,
		`session.n == 3`:                        true,
		`session.path matches "^/graphql"`:      true,
		`session.path startsWith "/chat"`:       false,
		`session.open && session.status == 101`: true,
		`op == "text" && size > 100 && json.type == "subscribe" && session.path matches "^/graphql"`: true,
		`json.type == "unsubscribe"`:                                false,
		`json.type contains "script" || json.type contains "scrib"`: true,
		`json.n > 41`:                          true,
		`json.n == 42`:                         true,
		`json.n >= 42.5`:                       false,
		`json.ok`:                              true,
		`json.ok == true`:                      true,
		`json.none == nil`:                     true,
		`json.missing == nil`:                  true,
		`json.missing.deeper == nil`:           true,
		`json?.missing?.deeper == nil`:         true,
		`json.missing > 3`:                     false,
		`!(json.missing > 3)`:                  true,
		`json.missing contains "x"`:            false,
		`json.missing > 3 || json.n > 3`:       true,
		`json.type > 3`:                        false,
		`json.type > "sub"`:                    true,
		`3 < json.n`:                           true,
		`json.list[1].id == 2`:                 true,
		`json.list[-1].id == 2`:                true,
		`json.list[7].id == nil`:               true,
		`json.Deep.er.est == "x"`:              true,
		`json["Deep"]["er"].est == "x"`:        true,
		`"none" in json`:                       true,
		`"gone" in json`:                       false,
		`text contains "subscribe"`:            true,
		`text contains "SUBSCRIBE"`:            false,
		`lower(text) contains "7f3a"`:          true,
		`code == 0 && reason == ""`:            true,
		`any(json.list, #.id == 2)`:            true,
		`json.n + 1 == 43`:                     true,
		`json.missing + 1 == 43`:               false,
		`compressed || invalid || undecodable`: false,
	} {
		if got := decide(t, source, f, m); got != want {
			t.Errorf("%s: %v", source, got)
		}
	}
}

func TestCloseFrames(t *testing.T) {
	f, m := sample("\x03\xf1why \xc3\xa4", func(f *Frame, m *inspect.Message) { f.Op, m.Opcode = inspect.OpClose, inspect.OpClose })
	for source, want := range map[string]bool{
		`op == close && code == 1009`: true,
		`code in [1000, 1001]`:        false,
		`reason contains "why"`:       true,
		`json == nil`:                 true,
	} {
		if got := decide(t, source, f, m); got != want {
			t.Errorf("%s: %v", source, got)
		}
	}
}

// TestWhatIsNotJSON: no payload makes a filter fail.
func TestWhatIsNotJSON(t *testing.T) {
	for _, data := range []string{"", "null", "[1,2]", `"text"`, "3", "{", "\xff\xfe", strings.Repeat("[", 20_000), `{"type":{"type":"subscribe"}}`} {
		f, m := sample(data, nil)
		for _, source := range []string{`json.type == "subscribe"`, `json.type.type.type == "x"`, `json.type matches "^s"`, `json[0].x == 3`} {
			if decide(t, source, f, m) {
				t.Errorf("%.20q: %s", data, source)
			}
		}
		if decide(t, `json.type.type == "subscribe"`, f, m) != (data == `{"type":{"type":"subscribe"}}`) {
			t.Errorf("%.20q", data)
		}
	}
	f, m := sample(`{"type":"subscribe"}`, func(_ *Frame, m *inspect.Message) { m.Cut = true })
	if decide(t, `json.type == "subscribe"`, f, m) {
		t.Error("what came of a message that is cut was taken for all of it")
	}
}

func TestSearches(t *testing.T) {
	const message = `{"item":"Grüße","price": null,"note":"Not In Stock & more (2)"}`
	f, m := sample(message, nil)
	for source, want := range map[string]bool{
		`price`:            true,
		`PRICE null`:       true,
		`price nil`:        false,
		`"in stock"`:       true,
		`"stock in"`:       false,
		`stock "not in"`:   true,
		`"price": null`:    true,
		`"price":null`:     false,
		`grüsse`:           false,
		`GRÜßE`:            true,
		`"(2)"`:            true,
		`"& more"`:         true,
		`stock & more`:     true,
		`stock! really?`:   false,
		`price=null`:       false,
		`"say \"x\""`:      false,
		`{"item":"gr`:      true,
		`text`:             false,
		`"}`:               true,
		`item price: null`: false,
	} {
		if got := decide(t, source, f, m); got != want {
			t.Errorf("%s: %v", source, got)
		}
	}
	c, err := Compile(`stock "Not In"`)
	if err != nil || !slices.Equal(c.Words(), []string{"stock", "not in"}) || c.Header() {
		t.Errorf("%q, %v", c.Words(), err)
	}
}

// TestWhereTheMessageIsNeeded: what the header decides needs no message.
func TestWhereTheMessageIsNeeded(t *testing.T) {
	f, _ := sample("{}", nil)
	for source, want := range map[string]Answer{
		`op == text`:                               Yes,
		`op == close`:                              No,
		`op == close && json.type == "x"`:          No,
		`json.type == "x" && op == close`:          No,
		`op == text && json.type == "x"`:           Maybe,
		`op == close || json.type == "x"`:          Maybe,
		`len > 5 && size > 3 && text contains "x"`: No,
		`session.path contains "chat" && json.a`:   No,
		`anything`:                                 Maybe,
		`op in [text] && dir == up`:                Yes,
	} {
		c, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Matcher().Frame(f); got != want {
			t.Errorf("%s: %v, want %v", source, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for source, want := range map[string]struct {
		at   int
		says string
	}{
		"":                         {0, "says what to look for"},
		`opp == "text"`:            {0, "there is no field opp"},
		`op == "text" && sise > 3`: {16, "there is no field sise"},
		`op == `:                   {6, "something is missing"},
		`len > "x"`:                {4, "invalid operation"},
		`len + 1 == `:              {11, "something is missing"},
		`len + 1 > 2 && (`:         {16, "something is missing"},
		`size && fin`:              {5, "invalid operation"},
		`session.paht == "/"`:      {8, "has no field paht"},
		`len(text) > 3`:            {0, ""},
		`ä > 3 && größe == 1`:      {11, ""},
		`json.type`:                {0, ""},
		`text matches "("`:         {5, "error parsing regexp"},
		"\xff":                     {0, "UTF-8"},
		strings.Repeat("x", 5000):  {4096, "at most"},
	} {
		c, err := Compile(source)
		var e *Error
		if source == "json.type" { // yes or no is only known of what comes
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.As(err, &e) {
			t.Errorf("%.30q: %v, %v", source, c, err)
			continue
		}
		if e.At != want.at && want.says != "" || !strings.Contains(e.Error(), want.says) {
			t.Errorf("%.30q: at %d: %v", source, e.At, e)
		}
	}
}

func TestComplete(t *testing.T) {
	for source, want := range map[string][]string{
		"si":               {"size"},
		"op == ":           {"continuation", "text", "binary", "close", "ping", "pong"},
		"op == p":          {"ping", "pong"},
		"fin&&op==p":       {"ping", "pong"},
		"dir != d":         {"down"},
		"fin && session.p": {"session.path", "session.protocol"},
		"size":             nil,
	} {
		if got := Complete(source, len(source)); !slices.Equal(got, want) {
			t.Errorf("%q: %q", source, got)
		}
	}
}

// TestDecoded: what a decoder says is asked of the frame; where nobody decoded it is
// empty, and the filter tells that it asks.
func TestDecoded(t *testing.T) {
	for source, want := range map[string]Answer{
		`decode.kind == "reply" && latency > 0.5`:  Yes,
		`decode.name startsWith "PUBLISH "`:        Yes,
		`decode.protocol == "mqtt" && latency > 9`: No,
		`decode.topic == "a/b" && json.n == 1`:     Maybe,
	} {
		c, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := sample(`{"n":1}`, nil)
		x := c.Matcher()
		if !c.Decoded() || x.Frame(f) != No {
			t.Errorf("%s: without a decoder: %v, %v", source, c.Decoded(), x.Frame(f))
		}
		f.Decoded = &Decoded{Protocol: "mqtt", Name: "PUBLISH a/b", Kind: "reply", ID: "7", Topic: "a/b", Latency: 0.75}
		if got := x.Frame(f); got != want {
			t.Errorf("%s: %v, not %v", source, got, want)
		}
	}
	if c, err := Compile("len > 3"); err != nil || c.Decoded() {
		t.Error("it asks no decoder", err)
	}
}

// TestFieldTable: each name of the table compiles, and is of its type.
func TestFieldTable(t *testing.T) {
	probe := map[string]string{"int": "%s == 1", "float": "%s == 1.5", "string": `%s == "x"`, "bool": "%s == true", "json": "%s == nil"}
	for _, f := range inspect.AllFields() {
		c, err := Compile(strings.Replace(probe[f.Type], "%s", f.Name, 1))
		if err != nil || f.Doc == "" {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if ofMessage[f.Name] == c.Header() {
			t.Errorf("%s: the message is needed or not: %v", f.Name, c.Header())
		}
	}
	for name := range ofMessage {
		if !slices.ContainsFunc(inspect.AllFields(), func(f inspect.Field) bool { return f.Name == name }) {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// TestPassing: what only a recording answers is refused for frames that pass, where it
// is written.
func TestPassing(t *testing.T) {
	for source, want := range map[string]struct {
		at   int
		says string
	}{
		"op == text && len > 3 && session.path == \"/a\"": {},
		"frame price":                          {}, // words to look for
		"json.frame == 1 || text == 'finding'": {},
		"frame == 3":                           {0, "frame is known of a recording only"},
		"text == 'é' && finding != ''":         {16, "finding is known"},
		"op == text and session.n == 1":        {15, "session.n is known"},
		"session['word'] == '' || missing":     {0, "session.word is known"},
		"op ==":                                {5, "something is missing"},
		"latency > 1 or fin":                   {0, "latency is known"},
		"fin && decode.name == 'x'":            {7, "decode.name is known"},
	} {
		f, err := CompilePassing(source)
		var e *Error
		switch {
		case want.says == "" && (err != nil || f == nil):
			t.Errorf("%s: %v", source, err)
		case want.says != "" && (!errors.As(err, &e) || e.At != want.at || !strings.Contains(e.Message, want.says)):
			t.Errorf("%s: %v", source, err)
		}
		if _, err := Compile(source); err != nil && source != "op ==" {
			t.Errorf("%s: in a recording: %v", source, err)
		}
	}
	for name := range ofRecording {
		if !slices.ContainsFunc(inspect.AllFields(), func(f inspect.Field) bool { return f.Name == name }) {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// TestManyAtOnce: matchers of one filter do not meet.
func TestManyAtOnce(t *testing.T) {
	c, err := Compile(`json.n == 1 && len > 3`)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	for _, data := range []string{`{"n":1}`, `{"n":2}`} {
		go func() {
			f, m := sample(data, nil)
			x := c.Matcher()
			ok := true
			for range 200 {
				ok = ok && x.Frame(f) == Maybe && x.Message(m) == (data == `{"n":1}`)
			}
			done <- ok
		}()
	}
	one, other := <-done, <-done
	if !one || !other {
		t.Error("a matcher saw another's frame")
	}
}

// FuzzCompile: no text makes compiling fail in another way than with an Error, and
// what compiles decides about anything.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{`op == text && json.a[0].b > 3`, `"price": null`, `len in 1..3`, `a b "c d"`, `json?.x ?? 3 == 3`, `map(json, #) == 1`, "let x = json; x.y == 1"} {
		f.Add(s, `{"a":[{"b":4}]}`)
	}
	f.Fuzz(func(t *testing.T, source, data string) {
		c, err := Compile(source)
		var e *Error
		if err != nil {
			if !errors.As(err, &e) || e.At < 0 || e.At > len(source) {
				t.Fatalf("%v", err)
			}
			return
		}
		frame, m := sample(data, nil)
		x := c.Matcher()
		first := x.Frame(frame)
		if first == Maybe {
			if a, b := x.Message(m), x.Message(m); a != b {
				t.Error("it is not of one mind")
			}
		}
	})
}

func BenchmarkHeader(b *testing.B) {
	c, err := Compile(`op == text && len > 100 && dir == up`)
	if err != nil {
		b.Fatal(err)
	}
	f, _ := sample(strings.Repeat("x", 200), nil)
	x := c.Matcher()
	b.ReportAllocs()
	for b.Loop() {
		if x.Frame(f) != Yes {
			b.Fatal("no")
		}
	}
}

func BenchmarkText(b *testing.B) {
	data := strings.Repeat(`{"id":12345,"price":17.3,"side":"buy","name":"item-77ab"},`, 1000)
	for _, source := range []string{`"price": null`, "zebra", "stop", `text contains "nothing of it"`, `json.price == 3`} {
		b.Run(source, func(b *testing.B) {
			c, err := Compile(source)
			if err != nil {
				b.Fatal(err)
			}
			f, m := sample(data, nil)
			x := c.Matcher()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if x.Frame(f) != Maybe || x.Message(m) {
					b.Fatal("found")
				}
			}
		})
	}
}
