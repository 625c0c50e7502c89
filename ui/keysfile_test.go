package ui

import (
	"bytes"
	"errors"
	"testing"
)

// A keys file gives commands other keys, and the bottom line and the help say so.
func TestKeysFile(t *testing.T) {
	k, err := ReadKeys([]byte("# mine\nfollow = 'f'\nfilter = [\"ctrl-f\", \"F3\"] # more\nquit = []\n\"tab-bytes\" = \"b\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{Keys: k, Live: true}, 120, 40).has("ctrl-f filter", "f follow", "following")
	d.keys("f").has("F follows").keys("<Ctrl-F>").has("filter:").keys("<Esc><F3>").has("filter:").keys("<Esc>b").has("[3 Bytes]").keys("3").has("[3 Bytes]")
	if d.keys("Q"); d.over() {
		t.Error("a key that was taken away still quits")
	}
	d.keys("K").has("ctrl-f F3", "PgDn space") // page-down has lost ctrl-f
	d.keys("q:quit<Enter>")
	if err := d.ends(); err != nil {
		t.Error(err)
	}
}

func TestKeysFileErrors(t *testing.T) {
	for file, want := range map[string]string{
		"\n  folow = 'f'":                       `2:3: there is no command "folow"; is follow meant?`,
		"xyz = 'f'":                             `1:1: there is no command "xyz"`,
		"follow = 'ctrl-'":                      `1:10: there is no key "ctrl-": keys are one character, or ctrl-x, f1, enter, esc, tab, shift-tab, space, up, down, left, right, home, end, pgup, pgdn, insert, delete, backspace`,
		"follow = ['f', \"enter\"]\nhelp = 'f'": `2:8: f is given to follow already`,
		"follow = 3":                            `1:1: follow takes a key in quotes, or a list of them`,
		"follow = ['a', 3]":                     `1:1: follow takes a key in quotes, or a list of them`,
		"follow = 'a'\nfollow = 'b'":            `2:1: "follow" stands here twice`,
		"[keys]\nfollow = 'a'":                  `1:2: a keys file has no tables: a line is the name of a command = its keys`,
		"follow.x = 'a'":                        `1:1: the name of a command has no dots`,
		"interrupt = 'a'":                       `1:1: ctrl-c always means interrupt`,
		"quit = 'ctrl-c'":                       `1:8: ctrl-c always means interrupt`,
		"follow = 'a":                           `1:11: unterminated literal string`,
	} {
		_, err := ReadKeys([]byte(file))
		var e *KeysError
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
}

// What is written out is read in again, and changes nothing.
func TestWriteKeys(t *testing.T) {
	var b bytes.Buffer
	if err := WriteKeys(&b); err != nil {
		t.Fatal(err)
	}
	k, err := ReadKeys(b.Bytes())
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	for i, c := range bound(commands(), k) {
		if got, want := c.shown(true), commands()[i].shown(true); got != want && c.name != "enter" {
			t.Errorf("%s has %q, not %q", c.name, got, want)
		}
	}
}

func FuzzReadKeys(f *testing.F) {
	f.Add([]byte("follow = 'f'"))
	f.Add([]byte("quit = [\"Q\",\n \"ctrl-q\"]\n[x]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ReadKeys(b)
		var e *KeysError
		if err != nil && (!errors.As(err, &e) || e.Line < 1 || e.Column < 1) {
			t.Errorf("%q: %v", b, err)
		}
		seen := map[string]bool{}
		for _, c := range bound(commands(), k) {
			for p := inSessions; p <= inHelp; p <<= 1 {
				for _, key := range c.keys {
					at := key + string(rune('0'+p))
					if c.where&p != 0 && seen[at] {
						t.Errorf("%q: %s means two things", b, key)
					}
					seen[at] = seen[at] || c.where&p != 0
				}
			}
		}
	})
}
