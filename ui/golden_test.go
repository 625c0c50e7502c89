package ui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"
)

// The golden screens: what a person sees, and below it how it looks, a letter
// for each role of the palette. Write them anew with -update, and read them.
func TestScreens(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	for _, test := range []struct {
		name, keys string
		w, h       int
	}{
		{"start-80x24", "", 80, 24},
		{"start-200x50", "", 200, 50},
		{"json-80x24", "<Enter>jjj", 80, 24},
		{"json-200x50", "<Enter>jjj", 200, 50},
		{"fragments-80x24", "<Enter>jjjjjj", 80, 24},
		{"binary-80x24", "<Enter>jjjjjjjj", 80, 24},
		{"hostile-80x24", "<Enter>jjjjjjjjj<Enter>", 80, 24},
		{"frame-80x24", "<Enter>j<Enter>2", 80, 24},
		{"frame-200x50", "<Enter>jjj<Enter>2", 200, 50},
		{"bytes-80x24", "<Enter>jjj<Enter>3", 80, 24},
		{"bytes-200x50", "<Enter>jjj<Enter>3", 200, 50},
		{"close-80x24", "<Enter>jjjjjjjjjj", 80, 24},
		{"finding-80x24", "<Enter>jjjjjjjjjj5", 80, 24},
		{"timing-80x24", "<Enter>jjj<Enter>6<Enter>", 80, 24},
		{"timing-200x50", "<Enter>jjj<Enter>6", 200, 50},
		{"filter-80x24", "fop == text && len > 20<Enter>", 80, 24},
		{"filtering-80x24", "fop == tex", 80, 24},
		{"start-120x40", "", 120, 40},
		{"json-120x40", "<Enter>jjj", 120, 40},
		{"frame-120x40", "<Enter>jjj<Enter>2", 120, 40},
		{"timing-120x40", "<Enter>6", 120, 40},
		{"marked-80x24", "m<Enter>jjj;look at this<Enter>", 80, 24},
		{"messages-80x24", "<Enter>MG", 80, 24},
		{"note-80x24", "<Enter>jjj;look at", 80, 24},
		{"timing-20x5", "<Enter>6<Enter>", 20, 5},
		{"filter-20x5", "fop ==", 20, 5},
		{"end-80x24", "<Enter>G<Enter>", 80, 24},
		{"handshake-80x24", "<Enter>4<Enter><Enter>", 80, 24},
		{"handshake-200x50", "<Enter>4<Enter><Enter>", 200, 50},
		{"refused-80x24", "j<Enter>j", 80, 24},
		{"reset-80x24", "jj<Enter>jj", 80, 24},
		{"exchanges-80x24", "Hg<Enter>j", 80, 24},
		{"help-80x24", "?", 80, 24},
		{"help-200x50", "?", 200, 50},
		{"keys-200x50", "K", 200, 50},
		{"byname-80x24", ":t", 80, 24},
		{"palette-80x24", "<Ctrl-P>fr", 80, 24},
		{"search-80x24", "<Enter>/TICKS<Enter>", 80, 24},
		{"missed-80x24", "<Enter>/nowhere<Enter>", 80, 24},
		{"prompt-80x24", "/tick", 80, 24},
		{"tiny-20x5", "<Enter>jjj", 20, 5},
		{"small-40x12", "<Enter>jjj", 40, 12},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := drive(t, s, Options{Title: "play.pcapng"}, test.w, test.h).keys(test.keys)
			golden(t, test.name, d.text()+strings.Repeat("=", test.w)+"\n"+d.looks())
		})
	}
}

// The screens of what one reads: the ways to show a payload, what can be copied, and a
// tour.
func TestReadingScreens(t *testing.T) {
	s := shop(t).store(false)
	everything := everyday(t)
	everything.close()
	all := everything.store(false)
	pipe := func(context.Context, string, []byte, int) ([]byte, error) {
		return []byte("{\"said\": [1, 2]}"), nil
	}
	for _, test := range []struct {
		name, keys string
		w, h       int
	}{
		{"reading-json-80x24", "<Enter>j<Enter>jjjjjj", 80, 24},
		{"reading-folded-80x24", "<Enter>j<Enter>Ojjjjo", 80, 24},
		{"reading-text-80x24", "<Enter>j:view text<Enter>", 80, 24},
		{"reading-hex-80x24", "<Enter>j:view hex<Enter>", 80, 24},
		{"reading-table-80x24", "<Enter>jjj:view table<Enter>", 80, 24},
		{"reading-table-200x50", "<Enter>jjj:view table<Enter>", 200, 50},
		{"reading-png-80x24", "<Enter>jjjjjjjj", 80, 24},
		{"reading-gzip-80x24", "<Enter>jjjjjjjjj", 80, 24},
		{"reading-pipe-80x24", "<Enter>j<Enter>|jq .said<Enter>", 80, 24},
		{"reading-copy-80x24", "<Enter>jjy", 80, 24},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := drive(t, s, Options{Title: "shop.pcapng", Pipe: pipe}, test.w, test.h).keys(test.keys)
			if strings.Contains(test.keys, "|") {
				d.has("is done") // which settling does not wait for
			}
			golden(t, test.name, untimed(d.text())+strings.Repeat("=", test.w)+"\n"+d.looks())
		})
	}
	t.Run("reading-walk-80x24", func(t *testing.T) {
		d := drive(t, all, Options{Title: "play.pcapng"}, 80, 24).keys("<Enter>j<Enter>2<Enter><PgDn><PgDn>")
		golden(t, "reading-walk-80x24", d.text()+strings.Repeat("=", 80)+"\n"+d.looks())
	})
	for name, keys := range map[string]string{"tour-look-80x24": "", "tour-ask-80x24": "2", "tour-answer-200x50": "2 "} {
		t.Run(name, func(t *testing.T) {
			w, h := 80, 24
			if strings.HasSuffix(name, "50") {
				w, h = 200, 50
			}
			d := drive(t, all, Options{Title: "play.pcapng", Tour: testTour}, w, h).keys(keys)
			golden(t, name, d.text()+strings.Repeat("=", w)+"\n"+d.looks())
		})
	}
}

// untimed is a screen without how long a command took.
func untimed(s string) string {
	return regexp.MustCompile(` in [0-9.]+ [mµ]?s `).ReplaceAllString(s, " in no time ")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the screen is\n%s\nand should be\n%s", got, want)
	}
}

// letters are the roles' in a golden screen.
var letters = [roles]byte{plain: '.', dim: '-', strong: 'B', upward: '>', downward: '<', good: 'g', odd: 'y', bad: '!', special: 'S', name: 'n', quoted: 'q',
	number: '9', literal: 't', bits: '1', size: '2', key: '3', found: 'F', bar: '_', barFocus: '#', chosen: 'C'}

// looks are the styles of the screen, line by line: the letter of the first role
// that looks so, R for the selected row.
func (d *driver) looks() string {
	d.t.Helper()
	cells, w, h := d.cells()
	styles := map[tcell.Style]byte{}
	for r := roles; r > 0; r-- {
		styles[d.view.palette[r-1]] = letters[r-1]
		styles[d.view.palette[r-1].Bold(true).Dim(false)] = 'C'
	}
	for r := roles; r > 0; r-- { // a role as it is goes before one made bold
		styles[d.view.palette[r-1]] = letters[r-1]
	}
	styles[d.view.palette[plain].Reverse(true)] = 'R'
	var b strings.Builder
	for y := range h {
		var l strings.Builder
		for x := range w {
			c, ok := styles[cells[y*w+x].Style]
			if !ok {
				c = '?'
			}
			l.WriteByte(c)
		}
		b.WriteString(strings.TrimRight(l.String(), ".") + "\n")
	}
	return b.String()
}

// A theme is its colours and nothing else: the text is that of any other. Which
// colours, the golden screens say.
func TestThemes(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	want := drive(t, s, Options{Title: "play.pcapng"}, 80, 24).keys("<Enter>jjj").text()
	for _, name := range Themes() {
		theme, ok := ParseTheme(name)
		if !ok || theme.String() != name {
			t.Errorf("theme %s is %v", name, theme)
		}
		d := drive(t, s, Options{Title: "play.pcapng", Theme: theme}, 80, 24).keys("<Enter>jjj")
		if got := d.text(); got != want {
			t.Errorf("as %s the screen is\n%s", name, got)
		}
		golden(t, "theme-"+name, d.colors())
		e := drive(t, s, Options{Title: "play.pcapng"}, 80, 24).keys("<Enter>jjj:theme " + name + "<Enter>").has("theme: " + name)
		if e.keys("k<Up>jj"); e.colors() != d.colors() {
			t.Errorf("changed to %s the screen looks otherwise", name)
		}
	}
	drive(t, s, Options{}, 80, 24).keys(":theme mauve<Enter>").has(`there is no theme "mauve", but terminal`).keys(":theme<Enter>").has("theme: dark")
	if Dark.on(16) != TerminalTheme || Light.on(2) != Colorless || Colorless.on(256) != Colorless {
		t.Error("a theme has more colours than the terminal")
	}
}

// colors are the screen's styles by their numbers: where each begins in a line.
func (d *driver) colors() string {
	d.t.Helper()
	cells, w, h := d.cells()
	var b strings.Builder
	for y := range h {
		var last tcell.Style
		for x := range w {
			if s := cells[y*w+x].Style; x == 0 || s != last {
				fg, bg, a := s.Decompose()
				fmt.Fprintf(&b, " %d:%d/%d/%d", x, fg&0xffff, bg&0xffff, a)
				last = s
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Every role has a letter, and the screen without colours says the same.
func TestNoColor(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	d := drive(t, s, Options{Title: "play.pcapng", NoColor: true}, 80, 24).keys("<Enter>jjj")
	want := drive(t, s, Options{Title: "play.pcapng"}, 80, 24).keys("<Enter>jjj").text()
	if got := d.text(); got != want {
		t.Errorf("without colours the screen is\n%s\nwith them\n%s", got, want)
	}
	cells, _, _ := d.keys("jf").cells()
	for _, c := range cells {
		if fg, bg, _ := c.Style.Decompose(); fg != tcell.ColorDefault || bg != tcell.ColorDefault {
			t.Fatalf("%q has a colour", string(c.Runes))
		}
	}
	for r, l := range letters {
		if l == 0 {
			t.Errorf("role %d has no letter", r)
		}
	}
}
