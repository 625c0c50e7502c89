package ui

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
)

func TestDrawingsRest(t *testing.T) {
	var l lastDraw
	if !l.rested(time.Now()) {
		t.Error("the first drawing waits")
	}
	l.note(time.Now().Add(-2 * time.Millisecond))
	ended := time.Unix(0, l.ended.Load())
	if took := time.Duration(l.took.Load()); took < 2*time.Millisecond {
		t.Fatalf("it took %v", took)
	}
	if l.rested(ended.Add(restShare*2*time.Millisecond - 1)) {
		t.Error("no rest behind a drawing of 2 ms")
	}
	l.took.Store(int64(time.Second))
	if l.rested(ended.Add(restMost-1)) || !l.rested(ended.Add(restMost)) {
		t.Errorf("the rest is not %v at most", restMost)
	}
}

// The first line says, in red, that other machines can reach the proxy.
func TestExposed(t *testing.T) {
	p := everyday(t)
	o := Options{Title: "0.0.0.0:8080 → ws://localhost:3000", Live: true, Status: func() Status { return Status{Exposed: "open to others: 0.0.0.0:8080"} }}
	d := drive(t, p.store(true), o, 120, 30).has("open to others: 0.0.0.0:8080", "1 open · 3 ended")
	cells, w, _ := d.cells()
	first := ""
	for x := range w {
		first += string(cells[x].Runes)
	}
	before, _, found := strings.Cut(first, "open to others")
	if !found {
		t.Fatalf("the first line is %q", first)
	}
	if foreground, _, _ := cells[utf8.RuneCountInString(before)].Style.Decompose(); foreground != tcell.ColorRed && foreground != tcell.ColorMaroon {
		t.Errorf("it is %v", foreground)
	}
	d.resize(80, 24).has("open to others").hasNot("others: 0.0.0.0:8080")
}
