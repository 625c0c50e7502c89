package cassette

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/inspect"
)

// text is a client's text message as it is kept.
func text(s string) Line {
	l := Line{From: inspect.ToServer, Data: []byte(s)}
	l.Kind, l.Match = TextKind(l.Data)
	return l
}

func TestMatch(t *testing.T) {
	binary := func(s string) Line { return Line{Kind: Binary, Data: []byte(s)} }
	raw := func(s string) Line { return Line{Kind: Raw, Data: []byte(s)} }
	closing := func(code inspect.CloseCode, reason string) Line { return Line{Kind: Close, Code: code, Reason: reason} }
	key := func(k string, frame string) string { // the frame under another key
		b := []byte(frame)
		h, _ := inspect.ParseHeader(b)
		inspect.Mask(h.Key(), 0, b[h.Len():])
		copy(b[h.Len()-4:], k)
		inspect.Mask([4]byte([]byte(k)), 0, b[h.Len():])
		return string(b)
	}
	tests := []struct {
		name      string
		want, got Line
		diff      []string
	}{
		{"same json", text(`{"a":1}`), text(`{"a":1}`), nil},
		{"order and white space", text(`{"a":1,"b":[1,2]}`), text("{\n \"b\": [1, 2], \"a\": 1 }"), nil},
		{"several lines", text("{\n}"), text("{}"), nil},
		{"a number", text(`{"price":3}`), text(`{"price":4}`), []string{"$.price: expected 3, got 4"}},
		{"beyond float64", text(`{"id":9007199254740993}`), text(`{"id":9007199254740992}`), []string{"$.id: expected 9007199254740993, got 9007199254740992"}},
		{"written otherwise", text(`[1.50,100,-0,0e9,1e2]`), text(`[15e-1,1E+2,0,0,100.0]`), nil},
		{"huge exponents", text(`[1e999999999999,1e-999999999999999999999]`), text(`[1e999999999998,1e-999999999999999999998]`),
			[]string{"$[0]: expected 1e999999999999, got 1e999999999998", "$[1]: expected 1e-999999999999999999999, got 1e-999999999999999999998"}},
		{"type", text(`{"a":"1"}`), text(`{"a":1}`), []string{`$.a: expected "1", got 1`}},
		{"null is not false", text(`[null,true]`), text(`[false,true]`), []string{"$[0]: expected null, got false"}},
		{"missing and more", text(`{"a":1,"b":{"c":2}}`), text(`{"b":{},"x y":3}`),
			[]string{"$.a: expected 1, got nothing", "$.b.c: expected 2, got nothing", `$["x y"]: expected nothing, got 3`}},
		{"array too short", text(`[1,[2,3]]`), text(`[1,[2]]`), []string{"$[1][1]: expected 3, got nothing"}},
		{"array too long", text(`[1]`), text(`[1,{"a":2}]`), []string{`$[1]: expected nothing, got {"a":2}`}},
		{"array order", text(`[1,2]`), text(`[2,1]`), []string{"$[0]: expected 1, got 2", "$[1]: expected 2, got 1"}},
		{"escapes", text(`["\u0041\n\/\ud83d\ude00"]`), text(`["A\u000a/😀"]`), nil},
		{"lone surrogates", text(`["\ud800"]`), text(`["\ud801"]`), []string{`$[0]: expected "\ud800", got "\ud801"`}},
		{"repeated names", text(`{"a":1,"a":2}`), text(`{"a":1,"a":3}`), []string{"$.a: expected 2, got 3"}},
		{"repeated more", text(`{"a":1}`), text(`{"a":1,"a":1}`), []string{"$.a: expected nothing, got 1"}},
		{"many differences", text(`[1,2,3,4,5,6,7]`), text(`[0,0,0,0,0,0,0]`), []string{"$[0]: expected 1, got 0", "$[1]: expected 2, got 0",
			"$[2]: expected 3, got 0", "$[3]: expected 4, got 0", "$[4]: expected 5, got 0", "and 2 more differences"}},
		{"hostile name", text(`{"\u001b[31m":1}`), text(`{}`), []string{`$["␛[31m"]: expected 1, got nothing`}},
		{"hostile value", text("\"\u202e\""), text(`1`), []string{`$: expected "\u{202e}", got 1`}},
		{"text for json", text(`{"a":1}`), text(`{"a":1`), []string{"expected JSON, got text that is none"}},
		{"json for text", text(`hello`), text(`42`), []string{`byte 0: expected "hello", got "42"`}},
		{"text", text(`hello there, world`), text(`hello there, World`), []string{`byte 13: expected "…lo there, world", got "…lo there, World"`}},
		{"text cut", text(`hello`), text(`hell`), []string{`byte 4: expected "hello", got "hell"`}},
		{"text inside a character", text("ééééééé"), text("éééééèé"), []string{`byte 11: expected "ééééééé", got "éééééèé"`}},
		{"empty text", text(""), text("x"), []string{`byte 0: expected the end, got "x"`}},
		{"binary", binary("\x00\x01\x02"), binary("\x00\x01\x02"), nil},
		{"binary differs", binary("\x00\x01\x02"), binary("\x00\xff"), []string{"byte 1 of the payload: expected 01 02, got ff"}},
		{"binary ends", binary("\x00"), binary("\x00\x01"), []string{"byte 1 of the payload: expected the end, got 01"}},
		{"binary for text", text("a"), binary("a"), []string{"expected text a, got binary of 1 bytes: 61"}},
		{"close", closing(1000, "bye"), closing(1000, "bye"), nil},
		{"close code", closing(1000, ""), closing(1001, ""), []string{"expected close 1000, got close 1001"}},
		{"close reason", closing(1000, "bye"), closing(1000, "\x1bby"), []string{`expected close 1000 "bye", got close 1000 "␛by"`}},
		{"empty close", closing(inspect.NoStatus, ""), closing(1000, ""), []string{"expected close without a code, got close 1000"}},
		{"close for text", text("a"), closing(1000, ""), []string{"expected text a, got close 1000"}},
		{"raw under another key", raw(masked(0xb1, "abc")), raw(key("\x01\x02\x03\x04", masked(0xb1, "abc"))), nil},
		{"raw", raw(masked(0xb1, "abc")), raw(masked(0xb1, "abd")), []string{"byte 8 of the frame: expected 63, got 64"}},
		{"raw unmasked", raw("\x81\x01a"), raw(masked(0x81, "a")), []string{"byte 1 of the frame: expected 01 61, got 81 00 00 00 00 61"}},
		{"odd for text", text("a"), raw("\x83\x01a"), []string{"expected text a, got the odd frame 0x3 1 fin"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Match(tt.want, tt.got)
			if diff := cmp.Diff(tt.diff, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzJSON holds the reader against encoding/json: a value equals itself, and
// what it is to encoding/json; another is found different when that says so.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.50,-0e5,"x\u00e9\ud83d\ude00\"",null,true,{}],"":""}`, ` [ ] `, `"\ud800"`, `1e400`, "{\"a\" :\t1 ,\n\"a\":2}"} {
		f.Add([]byte(s), []byte(`{"a":1}`))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		v, ok := parseJSON(a)
		if ok != json.Valid(a) {
			t.Fatal("validity differs")
		}
		if !ok {
			return
		}
		w, _ := parseJSON(a)
		var same differences
		same.compare("$", v, w)
		if same.all() != nil {
			t.Fatalf("%q differs from itself: %v", a, same.all())
		}
		if other, ok := parseJSON(b); ok {
			var d differences
			d.compare("$", v, other)
			if d.all() == nil && !loose(a, b) {
				t.Fatalf("%q and %q are found equal", a, b)
			}
		}
	})
}

// loose compares as encoding/json reads, numbers as big.Rat unless their
// exponents are long; repeated names count once.
func loose(a, b []byte) bool {
	read := func(s []byte) any {
		d := json.NewDecoder(strings.NewReader(string(s)))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return nil
		}
		return v
	}
	return cmp.Equal(read(a), read(b), cmp.Comparer(func(x, y json.Number) bool {
		if len(x) > 20 || len(y) > 20 || strings.ContainsAny(string(x+y), "eE") {
			return true // too dear for big.Rat
		}
		p, okP := new(big.Rat).SetString(string(x))
		q, okQ := new(big.Rat).SetString(string(y))
		return okP && okQ && p.Cmp(q) == 0
	}))
}

func TestDescribe(t *testing.T) {
	for _, tt := range []struct {
		line Line
		want string
	}{
		{Line{Kind: End, How: inspect.Rst}, "the end of the connection (rst)"},
		{Line{Kind: Raw, Data: []byte{0x81}}, "half a frame"},
		{Line{Kind: Ping, Data: []byte("hb")}, "ping of 2 bytes: 68 62"},
		{Line{Kind: Binary, Data: make([]byte, 20)}, "binary of 20 bytes: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 …"},
		{Line{Kind: Text, Data: []byte("\x1b[2J")}, "text ␛[2J"},
		{Line{Kind: HTTP}, "http"},
	} {
		if got := Describe(tt.line); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
