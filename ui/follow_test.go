package ui

import (
	"fmt"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// cursor is where the screen is in the frames.
func (d *driver) cursor() (cursor, n int, follow bool) {
	d.t.Helper()
	d.do(func() { cursor, n, follow = d.view.frames.cursor, d.view.frames.n, d.view.follow })
	return
}

// grow has a connection say more, and waits until the screen knows.
func grow(d *driver, c *conn, from, to int) {
	d.t.Helper()
	for i := from; i <= to; i++ {
		c.down(fmt.Sprintf(`{"tick":%d}`, i))
	}
	await(d.t, "the new frames", func() bool {
		_, n, _ := d.cursor()
		return n == 1+to
	})
	d.settle()
}

// The screen stays on the newest frame until one goes up; then nothing moves
// under the reader's eyes until G or F.
func TestFollow(t *testing.T) {
	p := newPlay(t)
	d := drive(t, p.store(true), Options{Title: "t", Live: true}, 80, 24)
	d.has("No session yet", "following")
	c := p.connect().open("/ticks", "", "")
	d.has("/ticks")
	grow(d, c, 1, 50)
	d.has(`{"tick":50}`, `"tick": 50`).hasNot(`{"tick":30}`)
	grow(d, c, 51, 60)
	d.has(`"tick": 60`)

	d.keys("<Enter>kkkk").has("F follows", `"tick": 56`)
	before := d.text()
	grow(d, c, 61, 100)
	if after := d.text(); withoutCounts(after) != withoutCounts(before) {
		t.Errorf("the screen moved while it was read, from\n%s\nto\n%s", before, after)
	}
	d.keys("G").has("following", `"tick": 100`)
	grow(d, c, 101, 110)
	d.has(`"tick": 110`)

	// Reading a tab stops it too.
	d.keys("<Enter>").has("F follows")
	grow(d, c, 111, 120)
	d.has(`"tick": 110`).hasNot(`"tick": 120`)
	d.keys("F").has("following", `"tick": 120`)
	d.keys("F")
	grow(d, c, 121, 130)
	d.has(`"tick": 120`).hasNot(`"tick": 130`)
	if _, _, follow := d.cursor(); follow {
		t.Error("F did not stop following")
	}
}

// withoutCounts leaves out the line with the session's number of messages.
func withoutCounts(s string) string {
	out := ""
	for i, l := range splitLines(s) {
		if i > 2 {
			out += l + "\n"
		}
	}
	return out
}

// When the session that is followed has ended, the screen goes on to the next
// one that opens; but not while one reads.
func TestFollowNextSession(t *testing.T) {
	p := newPlay(t)
	d := drive(t, p.store(true), Options{Live: true}, 80, 24)
	a := p.connect().open("/one", "", "")
	a.down("first")
	d.has("first")
	b := p.connect().open("/two", "", "")
	b.down("second")
	d.has("/two", "2 open").hasNot("second") // the first is still open
	a.end(inspect.ToServer, inspect.Fin)
	d.has("END", "1 ended")
	c := p.connect().open("/three", "", "")
	c.down("third")
	d.has("/three").hasNot("third") // there was a later one all the time: the user's choice
	d.keys("G").has("third")
	c.end(inspect.ToServer, inspect.Fin)
	d.has("2 ended")
	p.connect().open("/four", "", "").down("fourth")
	d.has("fourth")

	r := p.connect() // a refused one is over at once
	r.say(inspect.ToServer, "GET /no HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	r.say(inspect.ToClient, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
	d.has("SESSIONS 5", "fourth").keys("G").has("GET /no")
	last := p.connect().open("/last", "", "")
	last.down("and on")
	d.has("and on")

	d.keys("<Enter>k").has("F follows")
	last.end(inspect.ToServer, inspect.Fin)
	p.connect().open("/five", "", "").down("fifth")
	d.has("SESSIONS 7", "3 open").hasNot("fifth")
}

// Where one was in a session is where one comes back to.
func TestPlaces(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).keys("<Enter>jjjjjjjjj").has("Grüße, 日本語")
	d.keys("qj").hasNot("Grüße").has("GET /admin").keys("kl").has("Grüße, 日本語")
	if c, _, _ := d.cursor(); c != 9 {
		t.Errorf("back at row %d, not 9", c)
	}
}

func TestExchanges(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).has("(1 HTTP hidden: H)").hasNot("app.js")
	d.keys("jH").has("GET /app.js", "and 1 HTTP", "Refused: 403") // still on the refused one
	d.keys("g").has("GET /app.js").keys("<Enter>j").has("200 OK", "console.log()"[:12])
	d.keys("qH").hasNot("app.js").has("connection_init")
	drive(t, p.store(false), Options{Exchanges: true}, 80, 24).has("GET /app.js").keys("H").hasNot("app.js")
}

// A recording without a session says so, and what is hidden.
func TestNothing(t *testing.T) {
	p := newPlay(t)
	h := p.connect()
	h.say(inspect.ToServer, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
	h.say(inspect.ToClient, "HTTP/1.1 204 No Content\r\n\r\n")
	h.end(inspect.ToServer, inspect.Fin)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).has("No WebSocket session in this recording. 1 HTTP exchange hidden: press H.")
	d.keys("<Enter>").has("there is no session yet").keys("<Tab>jkgG<PgDn><PgUp>12345/x<Enter>").has("nothing to search")
	d.keys("<Tab><Enter>jkgGJ[q").keys("H").has("GET /a")
}

func TestSearch(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "", "")
	for i := range 300 {
		text := fmt.Sprintf("message %d", i)
		if i%100 == 50 {
			text += " with a Needle in it"
		}
		c.down(text)
	}
	c.end(inspect.ToServer, inspect.Fin)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	at := func(want int) {
		t.Helper()
		if got, _, _ := d.cursor(); got != want {
			t.Errorf("the search is at row %d, want %d:\n%s", got, want, d.text())
		}
	}
	d.keys("/needle<Enter>")
	at(51)
	d.has("message 50 with a Needle")
	d.keys("n")
	at(151)
	d.keys("n")
	at(251)
	d.keys("n").has(`no message after this one has "needle"`)
	at(251)
	d.keys("N")
	at(151)
	d.keys("N").keys("N").has(`no message before this one has "needle"`)
	at(51)
	d.keys("<Enter>G/message 299<Enter>") // from the session's end there is nothing below
	d.has("no message after")
	d.keys("N")
	at(300)
	d.keys("g/message 0<Enter>") // the first message, from the row above it
	at(1)
	d.keys("/<Enter>").has("no message after") // as before
	d.keys("/abc<Esc>")
	at(1)
	d.keys("n").has(`"message 0"`)
}

// The first place in a long message is scrolled into sight.
func TestSearchScrolls(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "", "")
	long := ""
	for i := range 200 {
		long += fmt.Sprintf("line %d\n", i)
	}
	c.down(long + "needle")
	c.end(inspect.ToServer, inspect.Fin)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).keys("/needle<Enter>").has("needle").has("line 198").hasNot("line 10␊")
	var hits int
	d.do(func() {
		for _, c := range d.view.screen.before {
			if c.style == d.view.palette[found] && c.main != ' ' {
				hits++
			}
		}
	})
	if hits < len("needle") {
		t.Errorf("%d cells are marked as found", hits)
	}
}

// z leaves out the sessions that are over, and shows them again when there is none.
func TestClear(t *testing.T) {
	p := newPlay(t)
	d := drive(t, p.store(true), Options{Live: true}, 80, 24)
	h := p.connect()
	h.say(inspect.ToServer, "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
	h.say(inspect.ToClient, "HTTP/1.1 204 No Content\r\n\r\n")
	a, b, c := p.connect().open("/a", "", ""), p.connect().open("/b", "", ""), p.connect().open("/c", "", "")
	for _, x := range []*conn{a, b, c} {
		x.down("needle")
	}
	a.end(inspect.ToServer, inspect.Fin)
	c.end(inspect.ToServer, inspect.Fin)
	d.has("2 ended", "3 /c").keys("z").has("2 sessions left out", "SESSIONS 1 of 3", "2 /b").hasNot("/a", "/c")
	e := p.connect().open("/e", "", "")
	d.has("SESSIONS 2 of 4", "2 /b", "4 /e") // numbers stay
	b.end(inspect.ToServer, inspect.Fin)
	d.has("3 ended", "2 /b").keys("z").has("1 session left out", "SESSIONS 1 of 4", "4 /e").hasNot("/b")
	d.keys("H").has("5 /e").hasNot("GET /page").keys("H")
	d.keys("fneedle<Enter>").has("SESSIONS 3 of 4", "/a", "/c").keys("<Esc>").has("SESSIONS 1 of 4")
	d.keys("z").has("all sessions are shown", "SESSIONS 4", "/a", "/b", "/c", "/e").keys("z").has("SESSIONS 1 of 4")
	d.keys("/needle<Enter>N").has("/a", "SESSIONS 4", "needle") // what is found is shown
	e.end(inspect.ToServer, inspect.Fin)
	d.has("4 ended").keys("z").has("SESSIONS 0 of 4").keys("jkG<Enter>")
	p.connect().open("/f", "", "").down("fresh")
	d.has("SESSIONS 1 of 5", "5 /f", "fresh")
}

// A pong, and a Close that answers one, name what they answer.
func TestAnswers(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "", "")
	c.frame(inspect.ToClient, inspect.OpPing, "one")
	c.frame(inspect.ToClient, inspect.OpPing, "two")
	c.frame(inspect.ToServer, inspect.OpPing, "two")
	c.frame(inspect.ToServer, inspect.OpPong, "two") // 4
	c.frame(inspect.ToServer, inspect.OpPong, "one")
	c.frame(inspect.ToServer, inspect.OpPong, "six") // answers nothing
	c.frame(inspect.ToClient, inspect.OpClose, "\x03\xe8")
	c.frame(inspect.ToServer, inspect.OpClose, "\x03\xe9")
	c.end(inspect.ToServer, inspect.Fin)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 40).keys("P<Enter>")
	d.has("two  ⤶ #2", "one  ⤶ #1", "1001  ⤶ #7").hasNot("six  ⤶", "⤶ #3")
}
