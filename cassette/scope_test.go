package cassette

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// conversation is a cassette file's lines behind its first two.
func conversation(t *testing.T, lines string) []Line {
	t.Helper()
	return parsed(t, "{\"cassette\":1,\"values\":{\"sid\":\"s1\",\"n\":7}}\n{\"open\":{\"path\":\"/\"}}\n"+lines).Lines[1:]
}

// Messages that come are compared one after the other; what a variable stood for
// first it must stand for again.
func TestScopeMatch(t *testing.T) {
	const uuid = "123e4567-e89b-12d3-a456-426614174000"
	for _, tt := range []struct {
		name, want string
		got        []string
		differ     string // of the last; empty: nothing is
	}{
		{"bound and equal", `{"from":"client","json":{"id":"${id}"}}` + "\n" + `{"from":"client","json":{"id":"${id}"}}`, []string{`{"id":"x"}`, `{"id":"x"}`}, ""},
		{"bound and other", `{"from":"client","json":{"id":"${id}"}}` + "\n" + `{"from":"client","json":{"id":"${id}"}}`, []string{`{"id":"x"}`, `{"id":"y"}`}, `$.id: expected "x" (${id}), got "y"`},
		{"a number by its decimal value", `{"from":"client","json":["${id}"]}` + "\n" + `{"from":"client","json":["${id}"]}`, []string{`[1.50]`, `[15e-1]`}, ""},
		{"a number and a text", `{"from":"client","json":["${id}"]}` + "\n" + `{"from":"client","text":"re ${id}!"}`, []string{`[17]`, `re 17!`}, ""},
		{"an object", `{"from":"client","json":["${o}"]}` + "\n" + `{"from":"client","json":["${o}"]}`, []string{`[{"a":1,"b":2}]`, `[{"b":2,"a":1.0}]`}, ""},
		{"inside a string", `{"from":"client","json":{"topic":"room/${r}/${u}"}}` + "\n" + `{"from":"client","json":"${r}+${u}"}`, []string{`{"topic":"room/1/bob"}`, `"1+bob"`}, ""},
		{"inside a string, other", `{"from":"client","json":{"topic":"room/${r}"}}` + "\n" + `{"from":"client","json":"<${r}>"}`, []string{`{"topic":"room/1"}`, `"<2>"`}, `$: expected "<1>", got "<2>"`},
		{"twice in one text", `{"from":"client","text":"${a}-${a}"}`, []string{"x-y"}, `byte 2: expected "x-x", got "x-y"`},
		{"a failed match binds nothing", `{"from":"client","json":["${a}",1],"optional":true}` + "\n" + `{"from":"client","json":["${a}",2]}`, []string{`["x",2]`, `["y",2]`}, ""},
		{"uuid", `{"from":"client","json":["${uuid}","${uuid}"]}`, []string{`["` + uuid + `","` + strings.ToUpper(uuid) + `"]`}, ""},
		{"no uuid", `{"from":"client","json":["${uuid}"]}`, []string{`["123"]`}, `$[0]: expected ${uuid}, got "123"`},
		{"now", `{"from":"client","json":["${now}","${now}","${now}","${now}"]}`, []string{`["2026-11-25T08:00:00.123Z","2026-11-25 08:00",1764057600,1764057600123.5]`}, ""},
		{"not now", `{"from":"client","json":["${now}"]}`, []string{`[12]`}, `$[0]: expected ${now}, got 12`},
		{"int", `{"from":"client","json":["${int}"]}`, []string{`[-3]`}, ""},
		{"no int", `{"from":"client","json":["${int}"]}`, []string{`["3"]`}, `$[0]: expected ${int}, got "3"`},
		{"no integer", `{"from":"client","json":["${int}"]}`, []string{`[3.5]`}, `$[0]: expected ${int}, got 3.5`},
		{"string", `{"from":"client","json":["${string}"]}`, []string{`["any\nthing"]`}, ""},
		{"kinds in a text", `{"from":"client","text":"${int}:${uuid}@${now}"}`, []string{"-5:" + uuid + "@1764057600"}, ""},
		{"a literal", `{"from":"client","json":{"a":"$${x} ${y}"}}`, []string{`{"a":"${x} 1"}`}, ""},
		{"a name of a member", `{"from":"client","json":"${k}"}` + "\n" + `{"from":"client","json":{"${k}":1}}`, []string{`"key"`, `{"key":1}`}, ""},
		{"subset", `{"from":"client","json":{"a":{"b":1}},"match":"subset"}`, []string{`{"a":{"b":1,"c":2},"d":3}`}, ""},
		{"no subset", `{"from":"client","json":{"a":{"b":1}},"match":"subset"}`, []string{`{"a":{"c":2}}`}, `$.a.b: expected 1, got nothing`},
		{"exact", `{"from":"client","json":{"a":1},"match":"exact"}`, []string{`{"a": 1}`}, `byte 5: expected "{"a":1}", got "{"a": 1}"`},
		{"behind a few characters", `{"from":"client","text":"42[\"say\",{\"id\":\"${id}\",\"n\":\"${n}\"}]"}` + "\n" + `{"from":"client","text":"43[\"${id}\"]"}`, []string{`42["say",{"n":7, "id":"x"}]`, `43["x"]`}, ""},
		{"behind others", `{"from":"client","text":"42[\"${id}\"]"}`, []string{`43["x"]`}, `byte 1: expected "42["${id}"]", got "43["x"]"`},
		{"behind a few characters, other", `{"from":"client","text":"42[\"say\",\"${id}\",1]"}`, []string{`42["say","x",2]`}, `$[2]: expected 1, got 2`},
		{"regex", `{"from":"client","text":"CONNECT (?P<user>[a-z]+)\n.*","match":"regex"}` + "\n" + `{"from":"client","text":"bye ${user}"}`, []string{"CONNECT bob\nx\ny", "bye bob"}, ""},
		{"no regex", `{"from":"client","text":"[a-z]+","match":"regex"}`, []string{"abc1"}, `expected a match of [a-z]+, got abc1`},
		{"bytes", `{"from":"client","hex":"82 05${id:2}0001 61"}` + "\n" + `{"from":"client","hex":"90 ${id:2}"}`, []string{"b:\x82\x05\x12\x34\x00\x01a", "b:\x90\x12\x34"}, ""},
		{"other bytes", `{"from":"client","hex":"${id:2}"}` + "\n" + `{"from":"client","hex":"90${id:2}"}`, []string{"b:\x12\x34", "b:\x90\x12\x35"}, "byte 2 of the payload: expected 34, got 35"},
		{"twice among bytes", `{"from":"client","hex":"${id:1}00${id:1}"}`, []string{"b:\x01\x00\x02"}, "byte 2 of the payload: expected 01, got 02"},
		{"any bytes", `{"from":"client","hex":"07${string:3}"}`, []string{"b:\x07abc"}, ""},
		{"too few bytes", `{"from":"client","hex":"07${id:3}00"}`, []string{"b:\x07a"}, "byte 1 of the payload: expected ${id:3}, got 61"},
		{"bytes behind", `{"from":"client","hex":"07${id:1}"}`, []string{"b:\x07ab"}, "byte 2 of the payload: expected the end, got 62"},
		{"a value of another length", `{"from":"client","hex":"${sid:1}"}` + "\n" + `{"from":"client","hex":"${sid:2}"}`, []string{"b:\x01", "b:\x01\x02"}, "byte 0 of the payload: expected ${sid:2}, got 01 02"},
		{"any", `{"from":"client","text":"","match":"any"}`, []string{"whatever"}, ""},
	} {
		s := NewScope(nil)
		want := conversation(t, tt.want)
		for i, got := range tt.got {
			differ := strings.Join(s.Match(want[i], said(got)), "; ")
			if expected := tt.differ; i == len(tt.got)-1 && differ != expected || i < len(tt.got)-1 && differ != "" && !want[i].Optional {
				t.Errorf("%s: %s: %q, want %q", tt.name, got, differ, expected)
			}
		}
	}
}

// What is sent has the values in it.
func TestScopeFill(t *testing.T) {
	s := NewScope(map[string][]byte{"sid": []byte(`"s\"1"`), "n": []byte("7")})
	s.Now = func() time.Time { return time.Date(2026, 11, 25, 8, 0, 0, 5e6, time.UTC) }
	if d := s.Match(conversation(t, `{"from":"client","json":{"id":"${id}","o":"${o}"}}`)[0], text(`{"id":12.50,"o":{"x":[1]}}`)); d != nil {
		t.Fatal(d)
	}
	for line, want := range map[string]string{
		`{"from":"client","json":{"id":"${id}", "o" : "${o}","s":"<${id}>"}}`:    `{"id":12.50, "o" : {"x":[1]},"s":"<12.50>"}`,
		`{"from":"client","json":["${sid}","a${sid}","${n}"]}`:                   `["s\"1","as\"1",7]`,
		`{"from":"client","text":"${id} ${sid} $${id}"}`:                         `12.50 s"1 ${id}`,
		`{"from":"client","json":["${now}","${now.s}","${now.ms}","at ${now}"]}`: `["2026-11-25T08:00:00.005Z",1795593600,1795593600005,"at 2026-11-25T08:00:00.005Z"]`,
		`{"from":"client","text":"42[\"a\",\"${id}\",\"${sid}\"]"}`:              `42["a",12.50,"s\"1"]`,
		`{"from":"client","text":"no $${x}"}`:                                    `no ${x}`,
		`{"from":"client","json":{"$${x}":1}}`:                                   `{"${x}":1}`,
	} {
		l := conversation(t, line)[0]
		before := string(l.Data)
		if got := string(s.Fill(l).Data); got != want {
			t.Errorf("%s is sent as %s, want %s", line, got, want)
		}
		if string(l.Data) != before {
			t.Errorf("the line was changed to %s", l.Data)
		}
	}
	for name, shape := range map[string]string{"uuid": "uuid", "int": "int", "string": "string"} {
		l := conversation(t, `{"from":"client","json":"${`+name+`}"}`)[0]
		a, b := s.Fill(l).Data, s.Fill(l).Data
		if string(a) == string(b) {
			t.Errorf("${%s} is %s twice", name, a)
		}
		if d := s.Match(conversation(t, `{"from":"client","json":"${`+shape+`}"}`)[0], text(string(a))); d != nil {
			t.Errorf("what is made for ${%s} is none: %v", name, d)
		}
	}
	// A name that nobody has said is made up, once.
	a, b := s.FillText("${new}"), s.FillText("${new}")
	if a != b || len(a) < 8 {
		t.Errorf("%q, then %q", a, b)
	}
	if l := s.Fill(conversation(t, `{"from":"client","close":1000,"reason":"bye ${id}"}`)[0]); l.Reason != "bye 12.50" {
		t.Errorf("%q", l.Reason)
	}
}

// Paths are matched too, and what they say is kept.
func TestScopePath(t *testing.T) {
	s := NewScope(nil)
	for _, tt := range []struct {
		template, got string
		want          bool
	}{
		{"/a", "/a", true}, {"/a", "/b", false}, {"/ws?sid=${sid}&t=${string}", "/ws?sid=q1&t=", true}, {"/x/${sid}", "/x/q2", false},
		{"/x/${sid}", "/x/q1", true}, {"/$${x}", "/${x}", true},
	} {
		if got := s.Path(tt.template, tt.got); got != tt.want {
			t.Errorf("%s of %s: %v", tt.got, tt.template, got)
		}
	}
	if diff := cmp.Diff(map[string][]byte{"sid": []byte(`"q1"`)}, s.Values()); diff != "" {
		t.Error(diff)
	}
}

// FuzzFill: what is sent for a line matches that line, whatever its variables stand
// for, and they then stand for what was sent.
func FuzzFill(f *testing.F) {
	for i := range 40 {
		f.Add(uint64(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := random{rand.New(rand.NewPCG(seed, 9))}
		values := map[string][]byte{"a": []byte(r.json()), "b": quoteJSON([]byte(r.text())), "n": []byte("12.50")}
		part := func() string {
			return []string{"${a}", "${b}", "${n}", "${c}", "${uuid}", "${now}", "${now.ms}", "${int}", "x", "$${a}", "é"}[r.IntN(11)]
		}
		l := Line{Kind: JSON, Template: true}
		switch r.IntN(3) {
		case 0:
			l.Data = []byte(`{"k":"` + part() + `","l":["` + part() + `", "<` + part() + `|` + part() + `>"],"m":` + r.json() + `}`)
			l.Data = []byte(strings.ReplaceAll(string(l.Data), "\\u0024", "$"))
		case 1:
			l.Kind, l.Data = Text, []byte(`42["`+part()+`",{"x":"`+part()+`"}]`)
		default:
			l.Kind, l.Data = Text, []byte("<"+part()+"> <"+part()+">")
		}
		if _, at := pieces(string(l.Data)); at >= 0 || strings.Contains(string(l.Data), "${x}") || strings.Contains(string(l.Data), "${k}") {
			return // r.json() had its own; two side by side can be told apart in more than one way
		}
		said := NewScope(values)
		sent := said.Fill(l)
		heard := NewScope(nil)
		if d := heard.Match(l, sent); d != nil {
			t.Fatalf("%s is sent as %s: %v", l.Data, sent.Data, d)
		}
		if again := heard.Match(l, said.Fill(l)); again != nil {
			t.Fatalf("%s is sent as %s again: %v", l.Data, sent.Data, again)
		}
	})
}

// said is a text, or a binary message if it begins with "b:".
func said(s string) Line {
	if data, ok := strings.CutPrefix(s, "b:"); ok {
		return Line{Kind: Binary, Data: []byte(data)}
	}
	return text(s)
}

// What is sent for bytes with variables is what they stand for, and any bytes where
// that is left open.
func TestFillBytes(t *testing.T) {
	s := NewScope(map[string][]byte{"id": []byte(`"beef"`), "odd": []byte(`"x"`)})
	all := conversation(t, `{"from":"client","hex":"01 ${id:2} ${id:2}02"}`+"\n"+`{"from":"client","hex":"${odd:3}${string:2}"}`)
	if got := s.Fill(all[0]); string(got.Data) != "\x01\xbe\xef\xbe\xef\x02" || got.Template {
		t.Errorf("%x", got.Data)
	}
	if got := s.Fill(all[1]); len(got.Data) != 5 {
		t.Errorf("%x", got.Data)
	}
	if d := NewScope(nil).Match(all[0], s.Fill(all[0])); d != nil {
		t.Error(d)
	}
}
