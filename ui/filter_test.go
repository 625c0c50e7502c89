package ui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
)

// What a filter lets through is shown, counted, and gone again with Esc.
func TestFilter(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 40)
	d.keys("fop == close<Enter>").has("filter: op == close", "2 of 14", "SESSIONS 1 of 4", "close-code-reserved", " 2 of 11").hasNot("/chat", "connection_init", "PING")
	d.keys("<Enter>j").has("CLOSE").keys("j").has("1000").keys("<Esc>").has("the filter is off", "/chat", "PING")
	if c, _, _ := d.cursor(); c != 11 {
		t.Errorf("the cursor went to row %d", c)
	}
	// The cursor stays with what it is on, if that is let through.
	d.keys("f\"connection_ack\"<Enter>").has("1 of 14").keys("<Esc>")
	d.keys("fsession.word matches \"rst\"<Enter>").has("SESSIONS 1 of 4", "/chat", "1 session").hasNot("/hmr")
	d.keys("<Esc>").keys("fsession.status == 403<Enter>").has("/admin", "Refused: 403").keys("f<Ctrl-U><Enter>").has("/hmr")
	d.keys("fsession.n == 3<Enter>").has("SESSIONS 1 of 4", "3 /chat").keys("<Esc>") // as the list calls it
	d.keys("fnothing has this text<Enter>").has("Nothing passes the filter", "0 of 14").keys("jkgGn<Enter>:clear-filter<Enter>").has("/hmr")
}

// A filter is completed, and what is wrong with it is said where it is wrong.
func TestFilterPrompt(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 100, 24)
	d.keys("f").has("opcode: text, binary", "payload bytes on the wire").keys("<Esc>") // what there is
	d.keys("fsess").has("session.path", "that the client asked for").keys("<Tab>").has("filter: session.n").keys("<Ctrl-U>")
	d.keys("op == p").has("ping", "pong").keys("<Down><Enter>").has("filter: op == ping").keys("<Ctrl-U>")
	d.keys("op == txt").has("▾ there is no field txt").keys("<Enter>").has("filter: op == txt")
	lines := splitLines(d.text())
	for i, l := range lines {
		if n := strings.Index(l, "▾"); n >= 0 && n != strings.Index(lines[i+1], "txt") {
			t.Errorf("the error points elsewhere:\n%s\n%s", l, lines[i+1])
		}
	}
	d.keys("<Esc>").hasNot("filter:").keys(":filter op ==<Enter>").has("the filter: something is missing at the end")
	d.keys("fdec").has("decode.name").keys("<Esc>")
}

// A filter goes on working while the recording grows.
func TestFilterLive(t *testing.T) {
	p := newPlay(t)
	d := drive(t, p.store(true), Options{Live: true}, 80, 24).keys("fneedle<Enter>").has("Nothing passes")
	a := p.connect().open("/a", "", "")
	a.down("hay")
	a.down("a Needle 1")
	d.has("a Needle 1", "SESSIONS 1 of 1").hasNot("hay")
	b := p.connect().open("/b", "", "")
	b.down("hay")
	a.frame(inspect.ToClient, inspect.OpText, "nee", func(f *inspect.Fields) { f.Fin = false })
	d.has(" 1 of 3 ")
	a.frame(inspect.ToClient, inspect.OpContinuation, "dle in two")
	d.has(" 3 of 4 ", "CONT").hasNot("/b")
	d.keys("M").has(" 2 of 4 ").hasNot("CONT")
	b.down("needle")
	d.has("SESSIONS 2 of 2", "/b")
	for i := range 100 {
		a.down(fmt.Sprint("needle ", i))
		a.down("hay")
	}
	d.keys("<Enter>G").has("needle 99", " 102 of 204 ")
}

// Sessions come and go with a filter on how they stand.
func TestFilterSessionsLive(t *testing.T) {
	p := newPlay(t)
	d := drive(t, p.store(true), Options{Live: true}, 80, 24).keys("fsession.open<Enter>")
	a := p.connect().open("/a", "", "")
	a.down("hay")
	p.connect().open("/b", "", "").down("hay")
	d.has("/a", "/b", "SESSIONS 2 of 2")
	a.end(inspect.ToServer, inspect.Rst)
	d.has("SESSIONS 1 of 2").hasNot("/a ")
	d.keys("f<Ctrl-U>session.word == \"1006 client rst\" && op == text<Enter>").has("/a", "SESSIONS 1 of 2")
}

// Heartbeats take one row, which can be opened.
func TestFolds(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "", "")
	c.down("before")
	for i := range 10 {
		c.frame(inspect.ToClient, inspect.OpPing, fmt.Sprint(i))
		c.frame(inspect.ToServer, inspect.OpPong, fmt.Sprint(i))
	}
	c.down("after")
	c.frame(inspect.ToClient, inspect.OpPing, "x")
	c.frame(inspect.ToServer, inspect.OpPong, "x")
	d := drive(t, p.store(true), Options{Live: true}, 80, 40).has("ping/pong ×20 folded", "before", "after", "PING         1  ●   x", "PONG         1  ●   x")
	d.keys("<Enter>gjj").keys("<Enter>").has("   10 ", "PONG").hasNot("folded")
	if r, n, _ := d.cursor(); r != 2 || n != 25 {
		t.Errorf("opened, and at row %d of %d", r, n)
	}
	d.keys("G").has("x").keys("P").has("one by one").keys("P").has("×20 folded")
	if r, n, _ := d.cursor(); r != 5 || n != 6 {
		t.Errorf("folded again, and at row %d of %d", r, n)
	}
	// It goes on while the run does: the row counts, nothing else moves.
	for range 3 {
		c.frame(inspect.ToClient, inspect.OpPing, "y")
	}
	d.has("×20 folded", "×5 folded")
	c.frame(inspect.ToClient, inspect.OpPing, "y")
	d.has("×6 folded")
	if r, n, _ := d.cursor(); r != 4 || n != 5 {
		t.Errorf("grown, and at row %d of %d", r, n)
	}
}

// One row a message leaves the fragments behind the first out.
func TestMessages(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).keys("<Enter>jjjjjj").has("CONT").keys("M").has("messages", "one row a message").hasNot("CONT")
	if r, n, _ := d.cursor(); r != 5 || n != 12 {
		t.Errorf("at row %d of %d", r, n)
	}
	d.keys("kM").has("CONT")
	if r, n, _ := d.cursor(); r != 4 || n != 13 {
		t.Errorf("at row %d of %d", r, n)
	}
}

// What was answered comes back with the arrow up.
func TestAnswersComeBack(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	d.keys("/ack<Enter>/tick<Enter>/<Up>").has("/tick").keys("<Up>").has("/ack").keys("<Up>").has("/ack").keys("<Down>").has("/tick").keys("<Down>").hasNot("/tick", "/ack").keys("<Esc>")
	d.keys("fop == ping<Enter>f<Ctrl-U><Up>").has("filter: op == ping").keys("<Esc>:<Up><Esc>")
	// What can mean one thing alone is that.
	d.keys("f<Ctrl-U>op == clo<Enter>").has("filter: op == close").keys("<Enter>").has("2 of 14")
}

// What was searched for is set apart in the list.
func TestHitsInList(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).keys("<Enter>/connection<Enter>")
	marked := 0
	d.do(func() {
		for i, c := range d.view.screen.before {
			if c.style == d.view.palette[found] && strings.ContainsRune("connection", c.main) && i < 12*80 {
				marked++
			}
		}
	})
	if marked < len("connection") { // another row has it too
		t.Errorf("%d cells are set apart:\n%s", marked, d.looks())
	}
}

// A recording that cannot be read ends the filter, which says so once and for all.
func TestFilterFails(t *testing.T) {
	p := newPlay(t)
	p.connect().open("/", "", "").down("needle")
	p.close()
	s := p.store(false)
	d := drive(t, s, Options{}, 120, 24)
	if err := s.Close(); err != nil { // messages cannot be read any more
		t.Fatal(err)
	}
	d.keys("f\"needle\"<Enter>").has("it ended: ")
	var drawn int
	d.do(func() { d.view.app.SetAfterDrawFunc(func(tcell.Screen) { drawn++ }) })
	for range 20 {
		d.do(func() {})
	}
	d.do(func() {
		if drawn > 60 {
			t.Errorf("drawn %d times for nothing", drawn)
		}
	})
	d.keys("<Esc>").has("the filter is off")
}
