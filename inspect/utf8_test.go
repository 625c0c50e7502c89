package inspect

import (
	"testing"
	"unicode/utf8"
)

func badAt(s string) int64 {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n <= 1 {
				return int64(i) + 1
			}
		}
	}
	return 0
}

func TestUTF8(t *testing.T) {
	for _, s := range []string{
		"", "abc", "κόσμε", "€", "\U0001F600", "\xed\x9f\xbf", "\xef\xbf\xbd", // a real U+FFFD is valid
		"\xce", "κόσμε\xed\xa0\x80edited", "\xc0\xaf", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "a\x80", "\xff", "ab\xe2\x82x", "\xe2\x28\xa1",
	} {
		want := badAt(s)
		for cut := 0; cut <= len(s); cut++ {
			for second := cut; second <= len(s); second++ {
				var u UTF8
				u.Feed([]byte(s[:cut]))
				u.Feed([]byte(s[cut:second]))
				u.Feed([]byte(s[second:]))
				if ok := u.End(); ok != utf8.ValidString(s) || u.Bad() != want {
					t.Errorf("%q cut at %d and %d: ok=%v bad=%d, want %v %d", s, cut, second, ok, u.Bad(), utf8.ValidString(s), want)
				}
			}
		}
	}
}

func TestUTF8FailsAtOnce(t *testing.T) {
	var u UTF8
	if u.Feed([]byte("ok\xff")) || u.Bad() != 3 || u.Feed([]byte("more")) {
		t.Errorf("bad byte not told at once: %d", u.Bad())
	}
	u.Reset()
	if !u.Feed([]byte("fine")) || !u.End() {
		t.Error("a reset checker is not as new")
	}
}

func FuzzUTF8(f *testing.F) {
	f.Add([]byte("κόσμε\xed\xa0\x80"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		if cut < 0 || cut > len(b) {
			cut = len(b) / 2
		}
		var u UTF8
		u.Feed(b[:cut])
		u.Feed(b[cut:])
		if ok := u.End(); ok != utf8.Valid(b) || u.Bad() != badAt(string(b)) {
			t.Fatalf("%q cut at %d: %v %d, want %v %d", b, cut, ok, u.Bad(), utf8.Valid(b), badAt(string(b)))
		}
	})
}
