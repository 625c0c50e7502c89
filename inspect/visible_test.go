package inspect

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	for _, tt := range []struct {
		in   string
		max  int
		want string
	}{
		{"plain text", 0, "plain text"},
		{"\x1b[31mred\x1b[0m", 0, "␛[31mred␛[0m"},
		{"a\tb\r\nc\x00\x7f", 0, "a␉b␍␊c␀␡"},
		{"\u009b31m", 0, `\u{9b}31m`}, // the one-character CSI
		{"\xff\xfe", 0, `\xff\xfe`},
		{"abc\u202Edef\u2066", 0, `abc\u{202e}def\u{2066}`},
		{"zero\u200bwidth", 0, `zero\u{200b}width`},
		{"漢字 é e\u0301", 0, "漢字 é e\u0301"},
		{"abcdef", 3, "abc…"},
		{"ab€", 4, "ab…"}, // never half a character
		{"ab€", 5, "ab€"},
		{"", 5, ""},
		{"line\u2028sep", 0, `line\u{2028}sep`},
	} {
		if got := Visible([]byte(tt.in), tt.max); got != tt.want {
			t.Errorf("Visible(%q, %d) = %q, want %q", tt.in, tt.max, got, tt.want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("\x1b]0;title\a\u202e", 10)
	f.Fuzz(func(t *testing.T, in string, max int) {
		if max < 0 {
			max = 0
		}
		got := Visible([]byte(in), max)
		if !utf8.ValidString(got) {
			t.Fatalf("%q is not UTF-8", got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }); i >= 0 {
			t.Fatalf("%q reaches the terminal at %d", got, i)
		}
	})
}
