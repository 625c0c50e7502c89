package ui

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
)

// script is what a fuzzer's bytes are read as: choices, each of so many.
type script []byte

func (s *script) of(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := int((*s)[0])
	*s = (*s)[1:]
	return b % n
}

// strange are payloads that are hard to show.
var strange = []string{
	"", "plain", "\x1b[2J\x1b]0;title\a", "\u202eabc\u2066\u200b\u200d", "日本語 👩‍👩‍👧 e\u0301\u0301\u0301", "\xff\xfe\x00\x80", "[red]tag[-]",
	`{"type":"a","id":1,"price":null}`, `{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, strings.Repeat("long ", 400), "\x00\r\n\t\x7f\u0085",
}

// random plays a few conversations.
func random(p *play, s *script) {
	var conns []*conn
	for range 4 + s.of(60) {
		if len(conns) == 0 || s.of(9) == 0 {
			c := p.connect().open([]string{"/", "/a?b=c", "/\x1b[31m", "/日本"}[s.of(4)], "Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
			conns = append(conns, c)
			continue
		}
		c, d, text := conns[s.of(len(conns))], inspect.Dir(s.of(2)), strange[s.of(len(strange))]
		switch s.of(8) {
		case 0:
			c.frame(d, inspect.OpPing, text[:min(len(text), 125)])
		case 1:
			c.frame(d, inspect.OpPong, text[:min(len(text), 125)])
		case 2:
			c.frame(d, inspect.Opcode(s.of(16)), text, func(f *inspect.Fields) { f.Fin = s.of(2) == 0 })
		case 3:
			c.zipped(d, text)
		case 4:
			c.frame(d, inspect.OpClose, "\x03\xe8"+text[:min(len(text), 100)])
		case 5:
			for range 6 {
				c.frame(d, inspect.OpPing, "beat")
			}
		case 6:
			c.say(d, text)
		default:
			c.frame(d, inspect.OpText, text)
		}
		if s.of(30) == 0 {
			c.end(d, []inspect.End{inspect.Fin, inspect.Rst}[s.of(2)])
			conns = nil
		}
	}
}

// typed are keys and texts that a user may come to type.
func typed() []string {
	var all []string
	for _, c := range commands() {
		for _, k := range c.keys {
			if len([]rune(k)) > 1 {
				k = "<" + k + ">"
			}
			if !strings.Contains("q Q <Esc> <Ctrl-C>", k) { // Esc comes below, and never quits
				all = append(all, k)
			}
		}
	}
	return append(all, "<Esc>", "<Esc>", "<Enter>", "<Enter>", "fop == ping || fin<Enter>", "fsession.open<Enter>", "fprice<Enter>", "f<Ctrl-U><Enter>", "/long<Enter>", "n", "N", "M", "P",
		":theme light<Enter>", ":note \u202e<Enter>", "<Ctrl-P>", "<Tab>", "<Down>", "a", "=", "(")
}

// press plays keys on a recording that may grow meanwhile, and looks after each
// that the screen is whole.
func press(t *testing.T, s script) {
	p := newPlay(t)
	random(p, &s)
	live := s.of(2) == 0
	if !live {
		p.close()
	}
	d := drive(t, p.store(live), Options{Title: "fuzz", Live: live}, 1+s.of(120), 1+s.of(40))
	keys := typed()
	for range 40 {
		if len(s) == 0 {
			break
		}
		switch n := s.of(256); {
		case n < 10:
			d.resize(1+s.of(200), 1+s.of(60))
		case n < 20 && live:
			random(p, &s)
		case n < 30:
			_, w, h := d.cells()
			d.click(s.of(max(w, 1)), s.of(max(h, 1)), []tcell.ButtonMask{tcell.Button1, tcell.WheelUp, tcell.WheelDown}[s.of(3)])
		default:
			d.keys(keys[s.of(len(keys))])
		}
		if d.over() {
			return // by a command that was clicked, or found
		}
		if cells, _, _ := d.cells(); raw(cells) != "" {
			t.Fatalf("%s on the screen", raw(cells))
		}
	}
	d.keys("<Esc><Esc><Esc><Esc><Esc><Esc>").resize(80, 24).has("SESSIONS")
}

// Random keys over random recordings: the screen goes on, and stays whole.
func TestRandomKeys(t *testing.T) {
	seeds := uint64(12)
	if racing {
		seeds = 4
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 7))
		b := make([]byte, 700)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		press(t, b)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("the screen goes on, whatever is pressed"))
	f.Fuzz(func(t *testing.T, b []byte) { press(t, b[:min(len(b), 2000)]) })
}
