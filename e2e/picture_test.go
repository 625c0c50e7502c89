package e2e

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// album keeps the pictures in docs/pictures: it makes them with -update, and else looks
// whether they still show what the program does.
type album struct {
	t     *testing.T
	names *strings.Replacer // addresses, by those that users have
}

func (a album) take(name string, x *tmux) {
	a.t.Helper()
	path := filepath.Join("..", "docs", "pictures", name+".svg")
	now := svg(a.names.Replace(x.run("capture-pane", "-p", "-e")))
	if *update {
		must(a.t, os.MkdirAll(filepath.Dir(path), 0o777))
		must(a.t, os.WriteFile(path, []byte(now), 0o666))
		return
	}
	was, err := os.ReadFile(path)
	must(a.t, err)
	got, want := strings.Split(structure(now), "\n"), strings.Split(structure(string(was)), "\n")
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			a.t.Fatalf("%s is stale: docs/pictures/make makes it anew; line %d would be\n%q\nand is\n%q", path, i, got[min(i, len(got)-1)], want[min(i, len(want)-1)])
		}
	}
}

// Cells of a picture, in pixels.
const (
	cellWidth  = 8
	cellHeight = 17
)

// colors are the first sixteen of a terminal, as many have them.
var colors = [16]string{"#1c1c1c", "#d75f5f", "#87af5f", "#d7af5f", "#5f87d7", "#af87d7", "#5fafaf", "#c6c6c6",
	"#6c6c6c", "#ff8787", "#afd787", "#ffd787", "#87afff", "#d7afff", "#87d7d7", "#eeeeee"}

// color is one of 256.
func color(n int) string {
	switch {
	case n < 16:
		return colors[n]
	case n < 232:
		level := func(i int) int { return []int{0, 95, 135, 175, 215, 255}[i%6] }
		return fmt.Sprintf("#%02x%02x%02x", level((n-16)/36), level((n-16)/6), level(n-16))
	}
	return fmt.Sprintf("#%02[1]x%02[1]x%02[1]x", 8+10*(n-232))
}

// pen is how the next cell looks.
type pen struct {
	fg, bg             string
	bold, dim, reverse bool
}

// sgr takes what stands between ESC [ and m.
func (p *pen) sgr(params string) {
	all := strings.Split(params, ";")
	for i := 0; i < len(all); i++ {
		n, _ := strconv.Atoi(all[i]) // nothing is 0
		switch {
		case n == 0:
			*p = pen{}
		case n == 1:
			p.bold = true
		case n == 2:
			p.dim = true
		case n == 7:
			p.reverse = true
		case n == 39:
			p.fg = ""
		case n == 49:
			p.bg = ""
		case n >= 30 && n < 38:
			p.fg = color(n - 30)
		case n >= 40 && n < 48:
			p.bg = color(n - 40)
		case n >= 90 && n < 98:
			p.fg = color(n - 82)
		case (n == 38 || n == 48) && i+2 < len(all) && all[i+1] == "5":
			c, _ := strconv.Atoi(all[i+2]) // tmux wrote it
			if n == 38 {
				p.fg = color(c)
			} else {
				p.bg = color(c)
			}
			i += 2
		}
	}
}

var escape = regexp.MustCompile("^\x1b\\[([0-9;]*)m")

// svg draws a capture: a rectangle for each background, a text for each run of cells
// that look alike.
func svg(capture string) string {
	lines := strings.Split(strings.TrimRight(capture, "\n"), "\n")
	var b strings.Builder
	wide := 0
	var p pen
	for y, l := range lines {
		x := 0
		for l != "" {
			if m := escape.FindStringSubmatch(l); m != nil {
				p.sgr(m[1])
				l = l[len(m[0]):]
				continue
			}
			run := l
			if i := strings.IndexByte(l, '\x1b'); i >= 0 {
				run = l[:max(i, 1)]
			}
			l = l[len(run):]
			n := utf8.RuneCountInString(run)
			p.draw(&b, x, y, n, run)
			x += n
		}
		wide = max(wide, x)
	}
	w, h := (wide+2)*cellWidth, len(lines)*cellHeight+cellHeight
	return fmt.Sprintf("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"13\">\n"+
		"<rect width=\"100%%\" height=\"100%%\" rx=\"6\" fill=\"%s\"/>\n%s</svg>\n", w, h, w, h, colors[0], b.String())
}

func (p *pen) draw(b *strings.Builder, x, y, n int, run string) {
	fg, bg := p.fg, p.bg
	if fg == "" {
		fg = colors[7]
	}
	if p.reverse {
		if bg == "" {
			bg = colors[0]
		}
		fg, bg = bg, fg
	}
	left, top := (x+1)*cellWidth, y*cellHeight+cellHeight/2
	if bg != "" {
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n", left, top, n*cellWidth, cellHeight, bg)
	}
	weight := ""
	if p.bold {
		weight = " font-weight=\"bold\""
	}
	if p.dim {
		weight += " opacity=\"0.6\""
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" textLength=\"%d\" xml:space=\"preserve\" fill=\"%s\"%s>%s</text>\n", left, top+13, n*cellWidth, fg, weight, html.EscapeString(run))
}

var (
	textOf = regexp.MustCompile(`<text x="(\d+)" y="(\d+)"[^>]*>([^<]*)</text>`)
	number = regexp.MustCompile(`[+-]?[0-9][0-9.,]*( ?(µs|ms|s|kB|B)\b)?(/s)?`)
	blanks = regexp.MustCompile(` +`)
)

// cutOff is a line whose text ends in an ellipsis: where it does depends on how long the
// time behind it is.
var cutOff = regexp.MustCompile("^(.{28}).*?…")

// structure is what a picture says, without what is another each time: times, rates,
// mask keys and compressed bytes, and the room that they take.
func structure(svg string) string {
	var b strings.Builder
	last := ""
	for _, m := range textOf.FindAllStringSubmatch(svg, -1) {
		if m[2] != last {
			b.WriteString("\n")
			last = m[2]
		}
		b.WriteString(html.UnescapeString(m[3]))
	}
	var out strings.Builder
	for l := range strings.Lines(b.String()) {
		if strings.Contains(l, "Masking-key") || strings.Contains(l, "B/s") {
			continue
		}
		l = number.ReplaceAllString(l, "0")
		l = strings.TrimSpace(blanks.ReplaceAllString(l, " "))
		out.WriteString(cutOff.ReplaceAllString(l, "$1…") + "\n")
	}
	return out.String()
}
