package ui

import "github.com/gdamore/tcell/v2"

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

// palette has a style for each role. It keeps to the terminal's own first eight
// colours, which every theme makes legible, and to attributes: all meaning
// stands in the text or in an attribute too.
type palette [roles]tcell.Style

func newPalette(color bool) *palette {
	base := tcell.StyleDefault
	fg := func(n int) tcell.Style {
		if !color {
			return base
		}
		return base.Foreground(tcell.PaletteColor(n))
	}
	const red, green, yellow, magenta, cyan = 1, 2, 3, 5, 6
	return &palette{
		plain:    base,
		dim:      base.Dim(true),
		strong:   base.Bold(true),
		upward:   fg(cyan),
		downward: fg(magenta),
		good:     fg(green),
		odd:      fg(yellow).Bold(!color),
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
