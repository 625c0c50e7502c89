package ui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
)

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "äöü": 3, "日本": 4, "a\u0301": 1, "👩‍👩‍👧": 2, "🇩🇪": 2, "→": 1, "\u0301": 1, "␛": 1, "e\u0301\u0302\u0303": 1,
	} {
		if got := width(s); got != want {
			t.Errorf("%q has %d columns, want %d", s, got, want)
		}
	}
}

// drawn is what put leaves in a row of ten cells.
func drawn(t *testing.T, at, w int, s string) (string, int) {
	t.Helper()
	sim := tcell.NewSimulationScreen("UTF-8")
	if err := sim.Init(); err != nil {
		t.Fatal(err)
	}
	defer sim.Fini()
	sim.SetSize(10, 1)
	for x := range 10 {
		sim.SetContent(x, 0, '.', nil, tcell.StyleDefault)
	}
	n := put(sim, rect{at, 0, w, 1}, s, tcell.StyleDefault)
	sim.Show()
	cells, cw, ch := sim.GetContents()
	return strings.TrimSuffix(textOf(cells, cw, ch), "\n"), n
}

func TestPut(t *testing.T) {
	for _, test := range []struct {
		at, w int
		s     string
		want  string
		n     int
	}{
		{0, 10, "abc", "abc.......", 3},
		{2, 3, "abc", "..abc.....", 3},
		{2, 3, "abcd", "..ab….....", 3},
		{0, 1, "ab", "….........", 1},
		{0, 0, "ab", "..........", 0},
		{0, 5, "日本語", "日本….....", 5},
		{0, 4, "日本語", "日….......", 3},
		{0, 10, "a\u0301b", "a\u0301b........", 2},
		{0, 10, "\u0301b", "◌\u0301b........", 2},
		{8, 10, "abcd", "........ab", 4},
		{0, 10, "👩‍👩‍👧x", "👩‍👩‍👧x.......", 3},
	} {
		if got, n := drawn(t, test.at, test.w, test.s); got != test.want || n != test.n {
			t.Errorf("%q in %d columns from %d: %q, %d columns; want %q, %d", test.s, test.w, test.at, got, n, test.want, test.n)
		}
	}
	if got, _ := drawn(t, 0, 10, "a"+strings.Repeat("\u0301", 1000)); len(got) > 40 {
		t.Errorf("a thousand marks on one letter: %d bytes in a cell", len(got))
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		spans  []span
		indent int
		w      int
		want   string
	}{
		{[]span{{"hello", plain}}, 0, 10, "hello"},
		{[]span{{"", plain}}, 0, 10, ""},
		{[]span{{"hello world, again", plain}}, 0, 10, "hello |world, |again"},
		{[]span{{"hello ", plain}, {"world", strong}}, 0, 8, "hello |world"},
		{[]span{{"abcdefghijkl", plain}}, 0, 5, "abcde|fghij|kl"},
		{[]span{{"abcdefghijkl", plain}}, 2, 5, "abcde|  fgh|  ijk|  l"},
		{[]span{{"a bcdefghijkl", plain}}, 0, 10, "a bcdefghi|jkl"}, // the space is too far left
		{[]span{{"日本語", plain}}, 0, 3, "日|本|語"},
		{[]span{{"日本語", plain}}, 0, 1, "日|本|語"}, // no room for it, but it goes on
		{[]span{{"abc", plain}}, 9, 2, "ab| c"},
	} {
		l := line{spans: test.spans, indent: test.indent}
		var got []string
		for _, l := range l.wrap(test.w, nil) {
			got = append(got, l.String())
		}
		if strings.Join(got, "|") != test.want {
			t.Errorf("%v in %d columns: %q, want %q", test.spans, test.w, strings.Join(got, "|"), test.want)
		}
	}
}

// Whatever the text, cutting it into lines loses nothing and goes on.
func FuzzWrap(f *testing.F) {
	f.Add("hello world", "日本語 👩‍👩‍👧 a\u0301\u0301", uint8(5))
	f.Add("", "\u0301\u0301", uint8(1))
	f.Fuzz(func(t *testing.T, a, b string, w uint8) {
		if len(a)+len(b) > 2000 {
			return
		}
		l := line{spans: append(payload([]byte(a), plain), payload([]byte(b), strong)...)}
		all := ""
		for _, part := range l.wrap(int(w%50)+1, nil) {
			s := part.String()
			if width(s) > int(w%50)+1 && len([]rune(s)) > 1 && width(s) > 2 {
				t.Fatalf("%q does not fit into %d", s, w%50+1)
			}
			all += s
		}
		if all != l.String() {
			t.Fatalf("%q became %q", l.String(), all)
		}
	})
}

func TestMark(t *testing.T) {
	lines := []line{{spans: []span{{"one Two", plain}, {"two", strong}}}, {spans: []span{{"three", plain}}}, {spans: []span{{"TWO", name}}}}
	if hits := mark(lines, "tWo"); fmt.Sprint(hits) != "[0 2]" {
		t.Errorf("found in lines %v", hits)
	}
	if got := fmt.Sprint(lines[0].spans); got != fmt.Sprint([]span{{"one ", plain}, {"Two", found}, {"two", found}}) {
		t.Errorf("marked as %v", got)
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 9949: "9.9 kB", 9950: "10 kB", 310_000: "310 kB", 999_499: "999 kB", 999_500: "1.0 MB", 1_200_000: "1.2 MB", 5e15: "5.0 PB", 1 << 62: "4612 PB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-1: "0.000", 0: "0.000", 1234 * time.Millisecond: "1.234", 999 * time.Second: "999.000", 3723 * time.Second: "1:02:03"} {
		if got := since(d); got != want {
			t.Errorf("%v in: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-1: "+0", 350 * time.Microsecond: "+350µs", 1234 * time.Microsecond: "+1.2ms", 250 * time.Millisecond: "+250ms", 1204 * time.Millisecond: "+1.20s", time.Hour: "+60m"} {
		if got := between(d); got != want || width(got) > 8 {
			t.Errorf("%v between: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{420 * time.Microsecond: "420 µs", 12345 * time.Microsecond: "12.3 ms", 3 * time.Second: "3.0 s", 90 * time.Second: "1m30s"} {
		if got := took(d); got != want {
			t.Errorf("%v took %q, want %q", d, got, want)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	at := t0
	if got := m.add(at, [2]int64{5000, 5000}); got != "⇡ 0 B/s ⇣ 0 B/s" {
		t.Errorf("at first %q", got)
	}
	for i := range 20 {
		at = at.Add(250 * time.Millisecond)
		got := m.add(at, [2]int64{5000 + int64(i+1)*1000, 5000})
		if got != "⇡ 4.0 kB/s ⇣ 0 B/s" {
			t.Errorf("after %d samples %q", i, got)
		}
	}
	for range 9 {
		at = at.Add(250 * time.Millisecond)
		m.add(at, [2]int64{25000, 5000})
	}
	if got := m.add(at.Add(time.Second), [2]int64{25000, 5000}); got != "⇡ 0 B/s ⇣ 0 B/s" {
		t.Errorf("in the end %q", got)
	}
	if len(m.samples) > 12 {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}
