package ui

import (
	"fmt"
	"strings"
	"testing"
)

// panesShown are the keys that lead to each pane, tab and prompt.
var panesShown = map[string]string{
	"sessions": "", "refused": "j<Enter>j", "http": "Hg<Enter>j", "frames": "<Enter>jjj", "messages": "<Enter>MG", "end": "<Enter>G<Enter>",
	"message": "<Enter>jjj<Enter>", "hex": "<Enter>jjjjjjjj<Enter>", "table": "<Enter>jjj:view table<Enter>", "frame": "<Enter>jjj<Enter>2", "bytes": "<Enter>jjj<Enter>3",
	"handshake": "<Enter>4<Enter>", "findings": "<Enter>jjjjjjjjjj5<Enter>", "timing": "<Enter>6<Enter>",
	"filtered": "fop == text<Enter>", "filtering": "fop == txt", "searched": "<Enter>/tick<Enter>", "marked": "<Enter>jjj;here<Enter>",
	"help": "?", "keys": "K", "command": ":t", "palette": "<Ctrl-P>fr", "copy": "<Enter>jjy",
}

// Every pane, in every size and theme: a theme changes colours and nothing else. What
// the panes say the golden screens show, and TestThemes the colours; here each cell looks
// as some role does in the theme.
func TestPanesSizesThemes(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	for name, keys := range panesShown {
		sizes := [][2]int{{80, 24}, {120, 40}, {200, 50}}
		if racing {
			sizes = sizes[:1]
		}
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), func(t *testing.T) {
				var text string
				for _, theme := range Themes() {
					th, _ := ParseTheme(theme)
					d := drive(t, s, Options{Title: "play.pcapng", Theme: th, NoColor: th == Colorless}, size[0], size[1]).keys(keys)
					cells, _, _ := d.cells()
					if raw(cells) != "" {
						t.Errorf("%s: %s on the screen", theme, raw(cells))
					}
					got := d.text()
					if text == "" {
						text = got
					}
					if got != text {
						t.Errorf("in theme %s it says\n%s\nand not\n%s", theme, got, text)
					}
					if strings.TrimSpace(got) == "" {
						t.Error("there is nothing on it")
					}
					if strings.Contains(d.looks(), "?") {
						t.Errorf("%s: cells whose style is no role's:\n%s", theme, d.looks())
					}
					d.stop()
				}
			})
		}
	}
}
