package ui

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func pageOf(width int, f func(*page)) string {
	p := &page{width: width}
	f(p)
	var b strings.Builder
	for _, l := range p.wrapped() {
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

func TestJSON(t *testing.T) {
	for _, test := range []struct {
		name, in string
		width    int
		want     string
	}{
		{"what fits stays on a line", `{"a":1,"b":[1,2,3],"c":{"d":null}}`, 40, `
{
  "a": 1,
  "b": [1, 2, 3],
  "c": {"d": null}
}`},
		{"what does not goes below", `{"a":[1000000,2000000,3000000],"b":{}}`, 20, `
{
  "a": [
    1000000,
    2000000,
    3000000
  ],
  "b": {}
}`},
		{"every digit and escape is the sender's", `[1.50,12345678901234567890,-0e+1,"\u00fc\/ü",1E400]`, 40, `
[
  1.50,
  12345678901234567890,
  -0e+1,
  "\u00fc\/ü",
  1E400
]`},
		{"empty", `{}`, 40, `
{}`},
		{"cut in a string", `{"a":{"b":[1,"xy`, 40, `
{
  "a": {
    "b": [
      1,
      "xy`},
		{"brackets in strings", `{"a":"}],","b":"\"{"}`, 40, `
{
  "a": "}],",
  "b": "\"{"
}`},
		{"a long string goes on, indented", `{"key":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}`, 20, `
{
  "key": "aaaaaaaaaa
    aaaaaaaaaaaaaaaa
    aaaa"
}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := pageOf(test.width, func(p *page) { p.json([]byte(test.in), nil) })
			if want := strings.TrimPrefix(test.want, "\n") + "\n"; got != want {
				t.Errorf("%s is laid out as\n%s\nwant\n%s", test.in, got, want)
			}
		})
	}
}

func TestLooksJSON(t *testing.T) {
	for in, want := range map[string]bool{`{"a":1}`: true, ` [1]`: true, `{"a":}`: false, `[`: false, `12`: false, `"a"`: false, ``: false, `{}x`: false} {
		if got := looksJSON([]byte(in), false); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
	if !looksJSON([]byte(`{"a":[1,`), true) || looksJSON([]byte(`abc`), true) {
		t.Error("what was cut is told by how it begins")
	}
}

// Whatever a peer sends to make laying out long, it takes no longer than its
// bytes are many.
func TestLayoutIsLinear(t *testing.T) {
	const n = pageLimit / 2
	for name, unit := range map[string]string{"brackets": "[", "numbers": "1 ", "empty lists": "1[]", "short lists": "[1]1 ", "colons": ":", "quotes": `"`, "controls": "\x01", "and letters": "a\x01",
		"marks": "\u0301", "bad bytes": "\xff", "wide": "日", "new lines": "\n", "spaces": " ", "backslashes": `"\`, "flags": "🇩", "joiners": "\u200d"} {
		b := []byte("[" + strings.Repeat(unit, n/len(unit)))
		start := time.Now()
		for _, f := range []func(*page){func(p *page) { p.json(b, nil) }, func(p *page) { p.text(b) }} {
			p := &page{width: 80}
			f(p)
			if lines := p.wrapped(); len(lines) == 0 {
				t.Errorf("%s: no lines", name)
			}
		}
		if d := time.Since(start); d > 10*time.Second { // a tenth of a second without -race
			t.Errorf("%s: %v", name, d)
		} else {
			t.Logf("%s: %v", name, d)
		}
	}
}

// Nesting without end, as a peer may send, costs nothing but lines.
func TestJSONDeep(t *testing.T) {
	const n = 100_000
	got := pageOf(60, func(p *page) { p.json([]byte(strings.Repeat("[", n)), nil) })
	if lines := strings.Count(got, "\n"); lines != n {
		t.Errorf("%d lines", lines)
	}
}

// Whatever JSON comes, no byte of it is lost but white space between tokens, and
// its meaning stays; no line is wider than the page.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,{"b":null}],"c":"x\"y"}`, `[[[]],{}]`, `[1,`, `{"a":"\ud83d`, "[\"\x00\xff\u202e\"]", `{"日本":"👩‍👩‍👧"}`, `}{][,:"`} {
		f.Add([]byte(s), uint8(40))
	}
	f.Fuzz(func(t *testing.T, b []byte, w uint8) {
		if len(b) > 1<<12 {
			return
		}
		p := &page{width: max(int(w), 4)}
		p.json(b, nil)
		var all strings.Builder
		for i := range p.lines {
			all.WriteString(p.lines[i].String())
		}
		for _, l := range p.wrapped() {
			if n := width(l.String()); n > p.width {
				t.Fatalf("%q has %d columns of %d", l.String(), n, p.width)
			}
		}
		if !json.Valid(b) {
			return
		}
		var want, got bytes.Buffer
		if err := json.Compact(&want, b); err != nil {
			t.Fatal(err)
		}
		text := all.String()
		if bytes.IndexFunc(b, func(r rune) bool { return r > 0x7e || r == 0xfffd }) >= 0 {
			return // made visible
		}
		if err := json.Compact(&got, []byte(text)); err != nil || got.String() != want.String() {
			t.Fatalf("%s became %s: %v", want.String(), text, err)
		}
	})
}
