package ui

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"
)

// places in which the keys are tried: the keys that lead there from the start,
// to a row with something on both sides.
var tried = map[places]string{
	inSessions: "gjj",
	inFrames:   "gj<Enter>gjjjj",
	inDetail:   "gj<Enter>gjjjj<Enter>4jj",
	inHelp:     "?j",
}

// No key is dead: whatever the table says of a key in a place, it changes
// something there.
func TestNoDeadKeys(t *testing.T) {
	p := everyday(t)
	s := p.store(true)
	await(t, "the sessions to be read", func() bool { return s.Sessions() == 5 && s.Len(4) == 1 })
	for where, path := range tried {
		for _, b := range commands() {
			if b.where&where == 0 {
				continue
			}
			for _, k := range b.keys {
				t.Run(fmt.Sprintf("%s in place %d", k, where), func(t *testing.T) {
					d := drive(t, s, Options{Title: "play", Live: true, Save: saveNothing}, 80, 12)
					d.keys("H/t<Enter>").keys("gjmGm").keys(path)
					if where == inSessions && k == "Esc" {
						d.keys("<Esc>").has("q quits")
						return
					}
					before := d.text() + d.looks()
					script := k
					if len(k) > 1 {
						script = "<" + k + ">"
					}
					open := map[places]string{inSessions: "1", inFrames: "1", inDetail: "4"}
					if k == "Ctrl-L" || k == open[where] { // TestSync sees it; the tab that is open
						return
					}
					if d.keys(script); !d.over() && d.text()+d.looks() == before {
						t.Errorf("the key changes nothing:\n%s", before)
					}
				})
			}
		}
	}
}

// A key means one thing in a place, every key has a name that a terminal can
// send, every tab a key, and every row says what it does.
func TestCommandTable(t *testing.T) {
	seen, named := map[string]bool{}, map[string]bool{}
	for _, c := range commands() {
		if c.doc == "" || c.name == "" || c.where == 0 || c.do == nil || strings.ContainsAny(c.name, " :=") || strings.ToLower(c.name) != c.name {
			t.Errorf("%q: a row says too little: %+v", c.name, c)
		}
		for _, where := range []places{inSessions, inFrames, inDetail, inHelp} {
			if c.where&where == 0 {
				continue
			}
			at := fmt.Sprint(" in place ", where)
			if named[c.name+at] {
				t.Errorf("two commands are named %s%s", c.name, at)
			}
			named[c.name+at] = true
			for _, k := range c.keys {
				if len([]rune(k)) > 1 {
					keyNamed(t, k)
				}
				if seen[k+at] {
					t.Errorf("two rows for %s%s", k, at)
				}
				seen[k+at] = true
			}
		}
	}
	for i, tab := range tabs() {
		if !seen[fmt.Sprint(i+1, " in place ", inFrames)] {
			t.Errorf("no key for the tab %s", tab.name)
		}
	}
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	help := ""
	d.do(func() {
		for _, l := range d.view.keysPage(200).wrapped() {
			help += l.String() + "\n"
		}
	})
	for _, c := range commands() {
		if !strings.Contains(help, c.shown(true)) || !strings.Contains(help, ":"+c.name) || !strings.Contains(help, c.doc) {
			t.Errorf("the help does not tell of %s", c.name)
		}
	}
}

// The bottom line promises nothing that does not work where one is.
func TestBottomLine(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	for where, path := range tried {
		d := drive(t, s, Options{}, 200, 30).keys(path)
		lines := strings.Split(strings.TrimRight(d.text(), "\n"), "\n")
		last := lines[len(lines)-1]
		for _, c := range commands() {
			var works bool
			d.do(func() { works = c.works(d.view) })
			shown := c.shown(false)
			if c.label == tabsLabel {
				d.do(func() { shown = d.view.tabKeys() })
			}
			if c.label != "" && where != inSessions && strings.Contains(last, shown+" "+c.label) != works {
				t.Errorf("in place %d the line %q; %s works: %v", where, last, c.name, works)
			}
		}
		if strings.Contains(last, "F follow") || strings.Contains(last, "n next") {
			t.Errorf("a finished recording, and nothing searched for: %q", last)
		}
	}
}

func TestLeaving(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	for _, test := range []struct {
		keys string
		want error
	}{
		{"q", nil}, {"Q", nil}, {"<Enter><Enter><Enter>?qqqqq", nil}, {"<Enter><Enter>Q", nil}, {"?Q", nil},
		{"<Ctrl-C>", ErrInterrupt}, {"/abc<Ctrl-C>", ErrInterrupt}, {"?<Ctrl-C>", ErrInterrupt},
	} {
		d := drive(t, s, Options{}, 80, 24).keys(test.keys)
		if err := d.ends(); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s ends the screen with %v, want %v", test.keys, err, test.want)
		}
	}
	d := drive(t, s, Options{}, 80, 24).keys("<Enter><Esc><Esc><Esc><Esc>").has("q quits")
	if d.over() {
		t.Error("Esc ended the screen")
	}
}

func TestPanesAndTabs(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	focus := func() (f pane) {
		d.do(func() { f = d.view.focus })
		return f
	}
	var went []pane
	for range 4 {
		d.keys("<Tab>")
		went = append(went, focus())
	}
	for range 2 {
		d.keys("<Backtab>")
		went = append(went, focus())
	}
	if want := []pane{1, 2, 0, 1, 0, 2}; !slices.Equal(went, want) {
		t.Errorf("tab went to %v, want %v", went, want)
	}
	d.keys("3").has("[3 Bytes]").keys("5").has("[5 Findings").keys("1").has("[1 Message]")
	d.keys("q").has("SESSIONS").keys("l<Enter>").has("whole screen").hasNot("SESSIONS").keys("q").has("SESSIONS")
}

// One can go from frame to frame without leaving the tab.
func TestNextFrameInTab(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).keys("<Enter>j<Enter><Enter>").has(`"connection_init"`).hasNot("SESSIONS")
	d.keys("]").has(`"connection_ack"`).keys("J").has("12345678901234567890").keys("[[").has(`"connection_init"`)
}

func TestMouse(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	d.click(10, 3, tcell.Button1).has("Refused: 403") // the second session
	d.click(10, 2, tcell.Button1)
	var l layout
	row := func(p pane, i int) int {
		d.do(func() { l = d.view.layout })
		return l.pane[p].body().y + i
	}
	d.click(30, row(onFrames, 2), tcell.Button1).has(`"connection_ack"`)
	d.click(14, row(onDetail, -1), tcell.Button1).has("[2 Frame]", "+-+-+-+-+")
	d.click(14, row(onDetail, 2), tcell.WheelDown).hasNot(" 0                   1").has("4–")
	d.click(14, row(onDetail, 2), tcell.WheelUp).has(" 0                   1")
	d.click(14, row(onFrames, 1), tcell.WheelDown).has("|1|0|0|0|1 0 0 1|") // three frames on is the ping
	d.click(14, row(onDetail, 2), tcell.Button1).has("whole screen")
	d.keys("qq").click(3, 23, tcell.Button1).has("Keys that work here").click(3, 23, tcell.Button1).hasNot("Keys that work here")
	d.keys("?").has("Keys that work here").click(3, 3, tcell.Button1).hasNot("Keys that work here")
}

// What is pasted is no keys, but where a text is asked for it is that text.
func TestPaste(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	paste := func(s string) {
		d.do(func() {}) // the queue of the simulation is short
		for _, e := range []tcell.Event{tcell.NewEventPaste(true), nil, tcell.NewEventPaste(false)} {
			if e != nil {
				await(t, "room for a paste", func() bool { return d.sim.PostEvent(e) == nil })
				continue
			}
			for _, r := range s {
				d.sim.InjectKey(tcell.KeyRune, r, tcell.ModNone)
			}
		}
		d.settle()
	}
	if paste("Qq"); d.over() {
		t.Fatal("a paste quit")
	}
	d.keys("<Enter>/")
	paste("connection_ack")
	d.has("/connection_ack").keys("<Enter>").has(`"connection_ack"`)
}
