package ui

import (
	"slices"
	"unicode"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"
)

// question is what the bottom line asks for.
type question struct {
	kind        string                                  // what was answered to questions of this kind comes back with the arrow up; empty: nothing
	label, text string                                  // the text is there to begin with
	options     func(text string) []option              // what could be meant, best first; may be nil
	problem     func(text string) (what string, at int) // what is wrong with it, and at which byte; may be nil
	pick        bool                                    // Enter takes an option, rather than the text
	done        func(text string)                       // called with what Enter was pressed on
}

// option is one way to go on.
type option struct {
	text      string // the answer that it makes
	keys, doc string
}

// prompt is a question while it is asked: the field in the bottom line, and the
// options above it.
type prompt struct {
	question
	field  *tview.InputField
	shown  []option // those of the text
	list   list     // of shown
	moved  bool     // an option was chosen by the arrow keys
	wrong  string   // what is wrong with the text
	where  int
	closed func()
	past   []string // answers, the newest last
	back   int      // how far one has gone back in them
}

// pastMost is how many answers of a kind are remembered.
const pastMost = 50

// optionRows is how many options are shown at once.
const optionRows = 8

// askFor opens a prompt in the bottom line with a text to begin with; done is
// called with what Enter was pressed on.
func (v *view) askFor(label, text string, done func(text string)) {
	v.ask(question{label: label, text: text, done: done})
}

// ask opens a prompt.
func (v *view) ask(q question) {
	f := tview.NewInputField().SetLabel(q.label).SetFieldStyle(v.palette[plain]).SetLabelStyle(v.palette[strong])
	f.SetBackgroundColor(tcell.ColorDefault)
	f.Focus(func(tview.Primitive) {})
	p := &prompt{question: q, field: f, past: v.answers[q.kind]}
	f.SetChangedFunc(func(string) { p.look() })
	p.closed = func() {
		v.prompt = nil
		v.screen.HideCursor()
	}
	if q.kind != "" {
		p.done = func(text string) {
			v.remember(q.kind, text)
			q.done(text)
		}
	}
	f.SetText(q.text)
	p.look()
	v.prompt = p
}

// remember keeps an answer.
func (v *view) remember(kind, text string) {
	if text == "" {
		return
	}
	past := slices.DeleteFunc(slices.Clone(v.answers[kind]), func(s string) bool { return s == text })
	if v.answers == nil {
		v.answers = map[string][]string{}
	}
	v.answers[kind] = append(past[max(len(past)-pastMost+1, 0):], text)
}

// recall goes back in the answers, or forth again.
func (p *prompt) recall(by int) {
	at := max(min(p.back+by, len(p.past)), 0)
	switch {
	case at == p.back:
	case at == 0:
		p.field.SetText("")
	default:
		p.field.SetText(p.past[len(p.past)-at])
	}
	p.back = at
}

// look finds out what could be meant, and what is wrong.
func (p *prompt) look() {
	text := p.field.GetText()
	p.moved = false
	p.wrong = ""
	if p.problem != nil {
		p.wrong, p.where = p.problem(text)
	}
	p.shown = nil
	if p.options != nil {
		p.shown = p.options(text)
	}
	p.list = list{}
	p.list.resize(len(p.shown), optionRows)
}

// key takes a key.
func (p *prompt) key(e *tcell.EventKey) {
	switch k := e.Key(); {
	case k == tcell.KeyEsc:
		p.closed()
	case k == tcell.KeyEnter:
		p.enter()
	case k == tcell.KeyUp && !p.moved && len(p.past) > 0:
		p.recall(1)
	case k == tcell.KeyDown && p.back > 0:
		p.recall(-1)
	case len(p.shown) == 0:
		p.field.InputHandler()(e, func(tview.Primitive) {})
	case k == tcell.KeyDown || k == tcell.KeyCtrlN:
		if p.moved || p.pick {
			p.list.move(1)
		}
		p.moved = true
	case k == tcell.KeyUp || k == tcell.KeyCtrlP:
		p.list.move(-1)
		p.moved = true
	case k == tcell.KeyTab:
		p.field.SetText(p.shown[p.list.cursor].text)
	default:
		p.field.InputHandler()(e, func(tview.Primitive) {})
	}
}

// enter answers the question: with the option that was chosen, or the text. Text that
// is wrong stays, for its writer to mend.
func (p *prompt) enter() {
	text := p.field.GetText()
	if len(p.shown) > 0 && (p.moved || p.pick) {
		if text = p.shown[p.list.cursor].text; !p.pick {
			p.field.SetText(text) // one goes on writing
			return
		}
	}
	if p.wrong != "" && text != "" {
		if len(p.shown) == 1 {
			p.field.SetText(p.shown[0].text) // nothing else can be meant
		}
		return
	}
	p.closed()
	p.done(text)
}

// draw draws the field into the bottom line, and what belongs to it above.
func (p *prompt) draw(screen tcell.Screen, r rect, s *palette) {
	p.field.SetRect(r.x, r.y, r.w, 1)
	p.field.Draw(screen)
	for x := r.x; x < r.x+r.w; x++ { // the field has a background of its own
		main, marks, style, _ := screen.GetContent(x, r.y)
		_, _, a := style.Decompose()
		marks = slices.DeleteFunc(marks, func(r rune) bool { return unicode.In(r, unicode.Bidi_Control) })
		screen.SetContent(x, r.y, main, marks, s[plain].Attributes(a))
	}
	y := r.y - 1
	if p.wrong != "" && y > 0 {
		fill(screen, r.x, y, r.w, s[plain])
		text := p.field.GetText()
		x := min(width(p.label)+width(text[:min(p.where, len(text))]), max(r.w-2, 0))
		l := "▾ " + visible(p.wrong)
		if n := width(l); x+n > r.w {
			x = max(r.w-n, 0)
		}
		put(screen, rect{r.x + x, y, r.w - x, 1}, l, s[bad])
		y--
	}
	rows := min(len(p.shown), optionRows, max(y, 0))
	p.list.resize(len(p.shown), rows)
	names, keys := 0, 0
	for _, o := range p.shown {
		names, keys = max(names, width(o.text)), max(keys, width(o.keys))
	}
	names = min(names, r.w/2)
	for i := range rows {
		at := p.list.top + i
		line := rect{r.x, y - rows + 1 + i, r.w, 1}
		o := &p.shown[at]
		style := func(r role) tcell.Style { return s[r] }
		if at == p.list.cursor && (p.moved || p.pick) {
			style = func(role) tcell.Style { return s[plain].Reverse(true) }
		}
		fill(screen, line.x, line.y, line.w, style(plain))
		put(screen, rect{line.x + 2, line.y, names, 1}, visible(o.text), style(strong))
		put(screen, rect{line.x + 4 + names, line.y, keys, 1}, o.keys, style(name))
		put(screen, rect{line.x + 6 + names + keys, line.y, line.w - 7 - names - keys, 1}, o.doc, style(dim))
	}
}

// has says where a place is among the options that are drawn above a line.
func (p *prompt) at(r rect, y int) (option int, ok bool) {
	last := r.y - 1
	if p.wrong != "" {
		last--
	}
	rows := min(len(p.shown), p.list.height)
	i := y - (last - rows + 1)
	return p.list.top + i, i >= 0 && i < rows
}
