package ui

import (
	"strings"
	"testing"
)

// sketch draws a layout: T top, W warnings, S sessions, F frames, D detail, B
// bottom, | between, and ? where two parts overlap.
func sketch(w, h int, l layout) string {
	cells := make([]byte, w*h)
	for i := range cells {
		cells[i] = ' '
	}
	for name, r := range map[byte]rect{'T': l.top, 'W': l.warnings, 'S': l.pane[onSessions], 'F': l.pane[onFrames], 'D': l.pane[onDetail], 'B': l.bottom, '|': l.divider} {
		for y := r.y; y < r.y+r.h; y++ {
			for x := r.x; x < r.x+r.w; x++ {
				if x < 0 || y < 0 || x >= w || y >= h || cells[y*w+x] != ' ' {
					return "?"
				}
				cells[y*w+x] = name
			}
		}
	}
	var b strings.Builder
	for y := range h {
		b.Write(cells[y*w : (y+1)*w])
		b.WriteByte('\n')
	}
	return b.String()
}

// rows shortens a sketch to what each row begins and ends with.
func short(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		b.WriteByte(l[0])
		if i := strings.IndexByte(l, '|'); i >= 0 {
			b.WriteString(strings.Repeat(string(l[0]), i/10) + "|" + strings.Repeat(string(l[i+1]), (len(l)-i)/10))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestArrange(t *testing.T) {
	for _, test := range []struct {
		name string
		w, h int
		c    content
		want string
	}{
		{"40x12, in the frames", 40, 12, content{focus: onFrames, sessions: 3}, `
TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT
SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS
SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD
DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD
DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD
DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD
BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB`},
		{"40x8: the frames alone", 40, 8, content{focus: onFrames, warnings: true}, `
TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF
BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB`},
		{"20x5", 20, 5, content{focus: onDetail}, `
TTTTTTTTTTTTTTTTTTTT
DDDDDDDDDDDDDDDDDDDD
DDDDDDDDDDDDDDDDDDDD
DDDDDDDDDDDDDDDDDDDD
BBBBBBBBBBBBBBBBBBBB`},
		{"6x3", 6, 3, content{focus: onSessions}, `
SSSSSS
SSSSSS
BBBBBB`},
		{"3x1", 3, 1, content{focus: onSessions}, `
SSS`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := sketch(test.w, test.h, arrange(test.w, test.h, test.c))
			if want := strings.TrimPrefix(test.want, "\n") + "\n"; got != want {
				t.Errorf("laid out as\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// What the two usual sizes look like, a row a line: its first letter, and in
// tens of columns what stands beside it.
func TestArrangeUsual(t *testing.T) {
	for _, test := range []struct {
		name string
		w, h int
		c    content
		want string
	}{
		{"80x24, few sessions", 80, 24, content{focus: onSessions, sessions: 2}, "T SSS FFFFFFF DDDDDDDDDDDD B"},
		{"80x24, many sessions", 80, 24, content{focus: onSessions, sessions: 99}, "T SSSSSSS FFFFFFF DDDDDDDD B"},
		{"80x24, in the frames", 80, 24, content{focus: onFrames, sessions: 99}, "T SSS FFFFFFFFF DDDDDDDDDD B"},
		{"80x24, in a tab", 80, 24, content{focus: onDetail, sessions: 99}, "T SSS FFFFF DDDDDDDDDDDDDD B"},
		{"80x24, a tab alone", 80, 24, content{focus: onDetail, alone: true}, "T DDDDDDDDDDDDDDDDDDDDDD B"},
		{"80x24, warnings", 80, 24, content{focus: onFrames, warnings: true, sessions: 9}, "T W SSS FFFFFFFFF DDDDDDDDD B"},
		{"120x24, in a tab", 120, 24, content{focus: onDetail, sessions: 9}, "T " + strings.Repeat("SSSS|FFFFFFFF ", 6) + "DDDDDDDDDDDDDDDD B"},
		{"120x40", 120, 40, content{focus: onFrames, sessions: 9}, "T " + strings.Repeat("SSSS|FFFFFFFF ", 17) + strings.Repeat("D", 21) + " B"},
		{"120x40, in a tab", 120, 40, content{focus: onDetail, sessions: 9}, "T " + strings.Repeat("SSSS|FFFFFFFF ", 11) + strings.Repeat("D", 27) + " B"},
		{"200x50", 200, 50, content{focus: onDetail, sessions: 9}, "T " + strings.Repeat("SSSSS|FFFFFFFFFFFFFFF ", 21) + strings.Repeat("D", 27) + " B"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := short(sketch(test.w, test.h, arrange(test.w, test.h, test.c)))
			if got = strings.ReplaceAll(got, "\n", " "); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(test.want, " ", "") {
				t.Errorf("laid out as\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// Whatever the size, no part overlaps another or leaves the screen, nothing is
// left empty, and the pane with the focus can be seen.
func TestArrangeAnySize(t *testing.T) {
	step := 3
	if racing {
		step = 13
	}
	for w := 0; w <= 130; w += step {
		for h := 0; h <= 60; h++ {
			for i := range 12 {
				c := content{focus: pane(i % 3), alone: i/3%2 == 1, warnings: i/6 == 1, sessions: w % 7}
				l := arrange(w, h, c)
				if s := sketch(w, h, l); strings.ContainsAny(s, "? ") {
					t.Fatalf("%dx%d with %+v:\n%s", w, h, c, s)
				}
				if p := l.pane[c.focus]; w > 0 && h > 0 && (p.w == 0 || p.h == 0) {
					t.Fatalf("%dx%d with %+v: the focus cannot be seen", w, h, c)
				}
			}
		}
	}
}
