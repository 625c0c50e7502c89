package ui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gdamore/tcell/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Keys say which keys commands have instead of their own. The zero value changes
// nothing.
type Keys struct{ of map[string][]string }

// KeysError says what is wrong with a keys file and where.
type KeysError struct {
	Line, Column int // from 1
	Message      string
}

func (e *KeysError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// ReadKeys reads a keys file, which is TOML: the name of a command, and its key or
// a list of them; an empty list takes its keys away. A command that is not named
// keeps its keys, but for those that others are given. The error is a *KeysError.
//
//	follow = "f"
//	quit = ["Q", "ctrl-q"]
func ReadKeys(data []byte) (Keys, error) {
	r := keysReader{keys: Keys{map[string][]string{}}, taken: map[string]string{}}
	r.parser.Reset(data)
	for r.parser.NextExpression() {
		if err := r.expression(r.parser.Expression()); err != nil {
			return Keys{}, err
		}
	}
	var e *unstable.ParserError
	switch err := r.parser.Error(); {
	case errors.As(err, &e):
		return Keys{}, r.failed(r.parser.Range(e.Highlight), "%s", e.Message)
	case err != nil:
		return Keys{}, &KeysError{1, 1, err.Error()}
	}
	return r.keys, nil
}

type keysReader struct {
	parser unstable.Parser
	keys   Keys
	taken  map[string]string // by key and place: the command that it was given to
}

func (r *keysReader) failed(at unstable.Range, format string, args ...any) error {
	p := r.parser.Shape(at).Start
	return &KeysError{p.Line, p.Column, fmt.Sprintf(format, args...)}
}

func (r *keysReader) expression(n *unstable.Node) error {
	switch n.Kind {
	case unstable.KeyValue:
	case unstable.Comment:
		return nil
	default:
		it := n.Key()
		it.Next()
		return r.failed(it.Node().Raw, "a keys file has no tables: a line is the name of a command = its keys")
	}
	it := n.Key()
	it.Next()
	at, name := it.Node().Raw, string(it.Node().Data)
	var where places
	for _, c := range commands() {
		if c.name == name {
			where |= c.where
		}
	}
	switch _, twice := r.keys.of[name]; {
	case it.Next():
		return r.failed(at, "the name of a command has no dots")
	case where == 0:
		return r.failed(at, "there is no command %q%s", name, meant(name))
	case twice:
		return r.failed(at, "%q stands here twice", name)
	case name == interruptCommand:
		return r.failed(at, "ctrl-c always means %s", interruptCommand)
	}
	r.keys.of[name] = []string{}
	v := n.Value()
	if v.Kind == unstable.String {
		return r.give(name, where, v, at)
	}
	if v.Kind != unstable.Array {
		return r.failed(at, "%s takes a key in quotes, or a list of them", name)
	}
	for c := v.Child(); c.Valid(); c = c.Next() {
		if c.Kind == unstable.Comment {
			continue
		}
		if c.Kind != unstable.String {
			return r.failed(at, "%s takes a key in quotes, or a list of them", name)
		}
		if err := r.give(name, where, c, at); err != nil {
			return err
		}
	}
	return nil
}

// give gives a key to a command.
func (r *keysReader) give(name string, where places, v *unstable.Node, at unstable.Range) error {
	if v.Raw.Length > 0 {
		at = v.Raw
	}
	key, ok := keyWritten(string(v.Data))
	switch {
	case !ok:
		return r.failed(at, "there is no key %q: keys are one character, or ctrl-x, f1, enter, esc, tab, shift-tab, space, up, down, left, right, home, end, pgup, pgdn, insert, delete, backspace", string(v.Data))
	case key == tcell.KeyNames[tcell.KeyCtrlC]:
		return r.failed(at, "ctrl-c always means %s", interruptCommand)
	}
	for p := inSessions; p <= inHelp; p <<= 1 {
		if where&p == 0 {
			continue
		}
		in := fmt.Sprint(p, key)
		if other := r.taken[in]; other != "" {
			return r.failed(at, "%s is given to %s already", written(key), other)
		}
		r.taken[in] = name
	}
	r.keys.of[name] = append(r.keys.of[name], key)
	return nil
}

// keyWritten is the name in the table of a key as people write it.
func keyWritten(s string) (string, bool) {
	if len([]rune(s)) == 1 {
		return s, s != "\x1b" && s >= " "
	}
	low := strings.ToLower(s)
	for key, w := range writtenKeys {
		if low == strings.ToLower(w) {
			return key, true
		}
	}
	for long, short := range map[string]string{"escape": "Esc", "return": "Enter", "pagedown": "PgDn", "pageup": "PgUp", "backspace": "Backspace2", "del": "Delete"} {
		if low == long {
			return short, true
		}
	}
	for _, key := range tcell.KeyNames {
		if low == strings.ToLower(key) {
			return key, true
		}
	}
	return "", false
}

// meant is the command whose name is the closest, if one is close.
func meant(name string) string {
	best, least := "", 3
	for _, c := range commands() {
		if n := distance(name, c.name); n < least {
			best, least = c.name, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; is %s meant?", best)
}

// distance is how many letters have to be put in, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

// bound are the commands with their keys as a keys file wants them.
func bound(all []command, k Keys) []command {
	for i := range all {
		c := &all[i]
		if keys, ok := k.of[c.name]; ok {
			c.keys = keys
			continue
		}
		c.keys = slices.DeleteFunc(slices.Clone(c.keys), func(key string) bool {
			return slices.ContainsFunc(all, func(o command) bool {
				return o.where&c.where != 0 && slices.Contains(k.of[o.name], key)
			})
		})
	}
	return all
}

// WriteKeys writes a keys file that changes nothing: every command with its keys
// and, as a comment, what it does.
func WriteKeys(w io.Writer) error {
	var b bytes.Buffer
	done := map[string]bool{}
	for _, c := range commands() {
		if done[c.name] || c.name == interruptCommand {
			continue
		}
		done[c.name] = true
		var keys []string
		for _, k := range c.keys {
			keys = append(keys, fmt.Sprintf("%q", written(k)))
		}
		value := "[" + strings.Join(keys, ", ") + "]"
		if len(keys) == 1 {
			value = keys[0]
		}
		fmt.Fprintf(&b, "%-40s # %s\n", c.name+" = "+value, c.doc)
	}
	_, err := w.Write(b.Bytes())
	return err
}
