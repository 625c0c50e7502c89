package ui

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
)

// nasty is what a peer would like a terminal to obey.
const nasty = "\x1b]0;owned\a\x1b[2J\x9b31m\u009b1m\u202eevil\u2066\u200b\u200f\ufeff\u2028[red]\x7f\x00\xff\xc3(\U000e0001e\u0301\u0301"

// inLine is as much of that as an HTTP head can carry on a line.
var inLine = strings.NewReplacer("\x00", "").Replace(nasty)

// raw is the first thing in a screen that a terminal might obey.
func raw(cells []tcell.SimCell) string {
	for _, c := range cells {
		for _, r := range c.Runes {
			if unicode.IsControl(r) || r != 0x200d && unicode.Is(unicode.Cf, r) || unicode.In(r, unicode.Zl, unicode.Zp) {
				return fmt.Sprintf("%q in %q", r, string(c.Runes))
			}
		}
	}
	return ""
}

// However hostile what the peers say, nothing of it reaches the terminal raw: in
// no list, no tab, on no row.
func TestHostile(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/"+strings.ReplaceAll(inLine, " ", ""), "Sec-WebSocket-Protocol: "+inLine+"\r\nX-"+inLine+": "+inLine+"\r\nOrigin: "+inLine+"\r\n"+inLine+"\r\n",
		"Sec-WebSocket-Protocol: "+inLine+"\r\nSec-WebSocket-Extensions: "+inLine+"\r\n")
	c.up(nasty)
	c.up(`{"` + nasty + `":"` + nasty + `","b":[` + nasty + `]}`)
	c.up(`{"a` + "\u202e\x1b" + `":"` + "\u202e\u200b" + `"}`)
	c.frame(inspect.ToClient, inspect.OpBinary, nasty)
	c.frame(inspect.ToClient, inspect.OpPing, nasty[:40])
	c.frame(inspect.ToClient, inspect.OpClose, "\x03\xe8"+nasty[:60])
	c.end(inspect.ToServer, inspect.Fin)
	r := p.connect()
	r.say(inspect.ToServer, "GET /x"+strings.ReplaceAll(inLine, " ", "")+" HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	r.say(inspect.ToClient, "HTTP/1.1 403 "+inLine+"\r\nContent-Type: "+inLine+fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(nasty))+nasty)
	r.end(inspect.ToServer, inspect.Fin)
	h := p.connect()
	h.say(inspect.ToServer, inLine+" / HTTP/1.1\r\n\r\n")
	h.end(inspect.ToServer, inspect.Fin)
	p.close()
	warned := func() Status { return Status{Recording: nasty, Warnings: []string{nasty}} }
	d := drive(t, p.store(false), Options{Title: nasty, Open: nasty, Live: true, Status: warned}, 120, 40)
	d.keys("Hg")
	seen := 0
	for range 3 {
		d.keys("<Enter>g")
		for range 9 {
			for i := range tabs() {
				d.keys(fmt.Sprint(i + 1))
				cells, _, _ := d.cells()
				if what := raw(cells); what != "" {
					t.Fatalf("%s on the screen:\n%q", what, d.text())
				}
				for _, c := range cells {
					if len(c.Runes) > 0 && c.Runes[0] == '␛' {
						seen++
					}
				}
			}
			d.keys("j")
		}
		d.keys("qj")
	}
	if seen < 200 {
		t.Errorf("escapes are shown only %d times: were the peers heard?", seen)
	}
	d.keys("/" + "\u202ex<Enter>")
	cells, _, _ := d.cells()
	if what := raw(cells); what != "" {
		t.Errorf("%s on the screen, from a search", what)
	}
}

// Whatever size the terminal takes while whatever keys are pressed, the screen
// goes on: it stays inside, and comes back in order.
func TestStorm(t *testing.T) {
	p := everyday(t)
	s := p.store(true)
	var all []string
	for _, b := range commands() {
		for _, k := range b.keys {
			if len([]rune(k)) > 1 {
				k = "<" + k + ">"
			}
			if !strings.Contains("q Q <Esc> <Ctrl-C>", k) {
				all = append(all, k)
			}
		}
	}
	all = append(all, "/", "a", "<Enter>", "<Esc>", "/t<Enter>")
	r := rand.New(rand.NewPCG(1, 2))
	d := drive(t, s, Options{Title: "storm", Live: true}, 80, 24)
	c := p.connect().open("/storm", "", "")
	for i := range 200 {
		switch r.IntN(6) {
		case 0:
			d.resize(1+r.IntN(250), 1+r.IntN(70))
		case 1:
			c.down(strings.Repeat("日本語 ", r.IntN(80)))
		case 2:
			_, w, h := d.cells()
			d.click(r.IntN(w), r.IntN(h), []tcell.ButtonMask{tcell.Button1, tcell.WheelUp, tcell.WheelDown}[r.IntN(3)])
		default:
			d.keys(all[r.IntN(len(all))])
		}
		if d.over() {
			t.Fatalf("step %d ended the screen", i)
		}
	}
	d.keys("<Esc><Esc><Esc>").resize(1, 1).resize(80, 24).keys("<Esc><Esc><Esc><Esc>").has("SESSIONS", "summary", "[")
}
