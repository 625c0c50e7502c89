package ui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gdamore/tcell/v2"
)

// role says what a piece of text is; the palette says how that looks.
type role uint8

const (
	plain    role = iota
	dim           // beside the point
	strong        // a title, the thing itself
	upward        // sent by the client
	downward      // sent by the server
	good          // open, right, agreed
	odd           // a warning, a cut
	bad           // an error, a breach
	special       // what was made visible in hostile text
	name          // a JSON key, a header's name
	quoted        // a JSON string
	number        // a JSON number
	literal       // true, false, null
	bits          // first byte of a frame: FIN, RSV, opcode
	size          // second byte of a frame and the longer length
	key           // the masking key
	found         // what was searched for
	bar           // the head of a pane that has no focus
	barFocus      // of the one that has
	chosen        // the selected row in a pane that has no focus
	roles
)

// Theme is how the roles look.
type Theme uint8

// The themes. TerminalTheme keeps to the terminal's own first eight colours, which
// it makes legible whatever its background; Dark and Light are for that background
// and 256 colours; Colorless has attributes alone.
const (
	TerminalTheme Theme = iota
	Dark
	Light
	Colorless
)

// themeNames are the themes' names, in their order.
var themeNames = []string{"terminal", "dark", "light", "none"}

// Themes are the names of all themes.
func Themes() []string { return slices.Clone(themeNames) }

// ParseTheme is the theme of that name; ok is false if there is none.
func ParseTheme(name string) (t Theme, ok bool) {
	i := slices.Index(themeNames, name)
	return Theme(max(i, 0)), i >= 0
}

func (t Theme) String() string { return themeNames[min(int(t), len(themeNames)-1)] }

// on is the theme on a terminal with so many colours.
func (t Theme) on(colors int) Theme {
	switch {
	case colors < 8:
		return Colorless
	case colors < 256 && t != Colorless:
		return TerminalTheme
	}
	return t
}

// palette has a style for each role: all meaning stands in the text or in an
// attribute too.
type palette [roles]tcell.Style

// shades are the colours of a theme, by number.
type shades struct {
	dim, upward, downward, good, odd, bad, name, quoted, number, literal int
	bar, onBar, focus, onFocus                                           int
}

func newPalette(t Theme) *palette {
	var c shades
	switch t {
	case Colorless:
		return attributes(func(int) tcell.Style { return tcell.StyleDefault })
	case Dark:
		c = shades{246, 80, 176, 114, 221, 203, 81, 150, 176, 215, 236, 252, 24, 231}
	case Light:
		c = shades{243, 24, 90, 28, 94, 160, 24, 28, 90, 94, 253, 237, 25, 231}
	default:
		return attributes(func(n int) tcell.Style { return tcell.StyleDefault.Foreground(tcell.PaletteColor(n)) })
	}
	base := tcell.StyleDefault
	fg := func(n int) tcell.Style { return base.Foreground(tcell.PaletteColor(n)) }
	p := attributes(func(n int) tcell.Style {
		return fg([...]int{red: c.bad, green: c.good, yellow: c.odd, magenta: c.downward, cyan: c.upward}[n])
	})
	p[dim], p[name], p[quoted], p[number], p[literal] = fg(c.dim), fg(c.name), fg(c.quoted), fg(c.number), fg(c.literal)
	p[bar] = fg(c.onBar).Background(tcell.PaletteColor(c.bar))
	p[barFocus] = fg(c.onFocus).Background(tcell.PaletteColor(c.focus)).Bold(true)
	return p
}

// The terminal's own colours that are used.
const (
	red     = 1
	green   = 2
	yellow  = 3
	magenta = 5
	cyan    = 6
)

// attributes is a palette of few colours.
func attributes(fg func(n int) tcell.Style) *palette {
	base := tcell.StyleDefault
	return &palette{
		plain:    base,
		dim:      base.Dim(true),
		strong:   base.Bold(true),
		upward:   fg(cyan),
		downward: fg(magenta),
		good:     fg(green),
		odd:      fg(yellow).Bold(fg(yellow) == base),
		bad:      fg(red).Bold(true),
		special:  fg(yellow).Underline(true),
		name:     fg(cyan),
		quoted:   fg(green),
		number:   fg(magenta),
		literal:  fg(yellow),
		bits:     fg(yellow).Bold(true),
		size:     fg(cyan).Bold(true),
		key:      fg(magenta).Bold(true),
		found:    base.Reverse(true),
		bar:      base.Underline(true),
		barFocus: base.Reverse(true).Bold(true),
		chosen:   base.Bold(true),
	}
}

// nextTheme goes from theme to theme.
func (v *view) nextTheme() {
	v.options.Theme = (v.options.Theme + 1) % Theme(len(themeNames))
	v.retheme()
}

// takeTheme takes the theme of that name.
func (v *view) takeTheme(name string) {
	t, ok := ParseTheme(name)
	if !ok {
		v.said = fmt.Sprintf("there is no theme %q, but %s", name, strings.Join(themeNames, ", "))
		return
	}
	v.options.Theme = t
	v.retheme()
}

func (v *view) retheme() {
	t := v.options.Theme.on(v.screen.Colors())
	v.palette = newPalette(t)
	v.said = "theme: " + t.String()
}
