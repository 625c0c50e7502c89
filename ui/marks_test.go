package ui

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/wsproxy/wsproxy/record"
)

// kept keeps marks as the command does.
type kept struct {
	mu  sync.Mutex
	all []record.Mark
}

func (k *kept) keep(all []record.Mark) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = slices.Clone(all)
	return nil
}

func (k *kept) now() []record.Mark {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}

func TestMarks(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	k := &kept{}
	d := drive(t, s, Options{KeepMarks: k.keep}, 100, 40)
	d.keys("<Enter>jjj;what [red] is this<Enter>").has("◆", "what [red]").keys("jjjm").has("◆")
	d.keys("qjj;look here<Enter>").has("◆ look here", "/chat").keys("gm").has("◆ ! graphql").keys("m")
	await(t, "three marks", func() bool { return len(k.now()) == 3 })

	// From mark to mark, through all sessions.
	at := func(session, row int) {
		t.Helper()
		var f frames
		d.do(func() { f = d.view.frames })
		if f.session != session || f.cursor != row {
			t.Errorf("at row %d of session %d, not %d of %d", f.cursor, f.session, row, session)
		}
	}
	d.keys("'")
	at(3, 0)
	d.keys("'").has("no other mark").keys("\"")
	at(1, 6)
	d.keys("\"")
	at(1, 3)
	d.keys("'")
	at(1, 6)

	// They are there again the next time, on what they were made on.
	e := drive(t, s, Options{Marks: k.now(), KeepMarks: k.keep}, 100, 40).has("◆ look here").keys("<Enter>").has("what [red]")
	e.keys("jjjm").hasNot("what [red]")
	await(t, "two marks", func() bool { return len(k.now()) == 2 })

	// Those of other recordings stay, and a number that has become another's is mended.
	moved := k.now()
	moved[0].Frame += 2
	moved = append(moved, record.Mark{Session: 99, Text: "elsewhere"})
	m := drive(t, s, Options{Marks: moved, KeepMarks: k.keep}, 100, 40).keys("gm")
	await(t, "four marks", func() bool { return len(k.now()) == 4 })
	m.keys("'")
	var row int
	m.do(func() { row = m.view.frames.cursor })
	if row != 6 {
		t.Errorf("the mark that moved is at row %d", row)
	}
}

// Where marks cannot be kept that is said, and what cannot be marked is not.
func TestMarksFail(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{KeepMarks: func([]record.Mark) error { return errors.New("the disk is full") }}, 100, 24)
	d.keys("<Enter>m").has("the marks are not kept: the disk is full")
	d.keys("qHgm").has("there is no session to mark").keys(";").has("there is no session to mark")
	empty := newPlay(t)
	drive(t, empty.store(true), Options{Live: true}, 80, 24).keys("m;").has("there is no session to mark")
}
