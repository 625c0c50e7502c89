package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where something stands in a file, from 1.
type place struct{ line, column int }

// misstep is one thing that is wrong with a file.
type misstep struct {
	at   place
	text string
}

// configFile is a TOML file as it was written, and what is wrong with it.
type configFile struct {
	path string
	top  *table
	bad  []misstep
}

// table is a TOML table.
type table struct {
	at   place
	keys []entry
}

// entry is a key and its value.
type entry struct {
	name  string
	at    place // of the key
	value value
}

// value is a value: one of its fields, by kind.
type value struct {
	kind  unstable.Kind // String, Bool, Integer, Array, InlineTable for any table, …
	at    place
	text  string
	list  []value
	table *table
}

// get is the entry of that name; nil if there is none.
func (t *table) get(name string) *entry {
	for i := range t.keys {
		if t.keys[i].name == name {
			return &t.keys[i]
		}
	}
	return nil
}

// say notes what is wrong, once.
func (c *configFile) say(at place, format string, args ...any) {
	m := misstep{at, fmt.Sprintf(format, args...)}
	if !slices.Contains(c.bad, m) {
		c.bad = append(c.bad, m)
	}
}

// wrong are all that is wrong, as lines for the user, from the top of the file down.
func (c *configFile) wrong() []string {
	slices.SortStableFunc(c.bad, func(a, b misstep) int {
		return cmp.Or(a.at.line-b.at.line, a.at.column-b.at.column)
	})
	var all []string
	for _, m := range c.bad {
		all = append(all, fmt.Sprintf("%s:%d:%d: %s", c.path, m.at.line, m.at.column, m.text))
	}
	return all
}

// readConfig reads a file. The error is the system's; what is wrong with the text
// stands in the file.
func readConfig(path string) (*configFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, failf("wsproxy config example > "+shellWord(path)+" writes one", "cannot read %s: %v", path, cause(err))
	}
	return parseConfig(path, text), nil
}

func parseConfig(path string, text []byte) *configFile {
	c := &configFile{path: path, top: &table{at: place{1, 1}}}
	if len(bytes.TrimSpace(text)) == 0 {
		c.say(place{1, 1}, "the file is empty")
		return c
	}
	var whole map[string]any
	var wrong *toml.DecodeError
	if err := toml.Unmarshal(text, &whole); errors.As(err, &wrong) { // it also finds keys that are there twice
		line, column := wrong.Position()
		c.say(place{line, column}, "%s", strings.TrimPrefix(wrong.Error(), "toml: "))
		return c
	} else if err != nil {
		c.say(place{1, 1}, "%s", strings.TrimPrefix(err.Error(), "toml: "))
		return c
	}
	r := configReader{}
	r.Reset(text)
	into := c.top
	for r.NextExpression() {
		switch e := r.Expression(); e.Kind {
		case unstable.KeyValue:
			r.keyValue(into, e)
		case unstable.Table:
			into = r.tableAt(c.top, e.Key(), false)
		case unstable.ArrayTable:
			into = r.tableAt(c.top, e.Key(), true)
		}
	}
	return c
}

// configReader makes tables of what the parser says. The text was parsed before: it
// is whole.
type configReader struct{ unstable.Parser }

func (r *configReader) place(n *unstable.Node) place {
	p := r.Shape(n.Raw).Start
	return place{p.Line, p.Column}
}

// keyValue adds key = value; the key may be dotted.
func (r *configReader) keyValue(into *table, e *unstable.Node) {
	for key := e.Key(); key.Next(); {
		n := key.Node()
		if !key.IsLast() {
			into = into.below(string(n.Data), r.place(n))
			continue
		}
		at := r.place(n)
		into.keys = append(into.keys, entry{string(n.Data), at, r.value(e.Value(), at)})
	}
}

// value makes a value. at is where it stands if the parser does not say.
func (r *configReader) value(n *unstable.Node, at place) value {
	if n.Raw.Length > 0 {
		at = r.place(n)
	}
	v := value{kind: n.Kind, at: at, text: string(n.Data)}
	switch n.Kind {
	case unstable.Array:
		for all := n.Children(); all.Next(); {
			v.list = append(v.list, r.value(all.Node(), at))
		}
	case unstable.InlineTable:
		v.table = &table{at: at}
		for all := n.Children(); all.Next(); {
			r.keyValue(v.table, all.Node())
		}
	}
	return v
}

// tableAt finds or makes the table of a header.
func (r *configReader) tableAt(t *table, key unstable.Iterator, list bool) *table {
	for key.Next() {
		n := key.Node()
		name, at := string(n.Data), r.place(n)
		if !key.IsLast() || !list {
			t = t.below(name, at)
			continue
		}
		next := &table{at: at}
		e := t.get(name)
		if e == nil {
			t.keys = append(t.keys, entry{name, at, value{kind: unstable.Array, at: at}})
			e = &t.keys[len(t.keys)-1]
		}
		e.value.list = append(e.value.list, value{kind: unstable.InlineTable, at: at, table: next})
		t = next
	}
	return t
}

// below is the table of that name, or the last one of several; it is made if there
// is none.
func (t *table) below(name string, at place) *table {
	e := t.get(name)
	if e == nil {
		next := &table{at: at}
		t.keys = append(t.keys, entry{name, at, value{kind: unstable.InlineTable, at: at, table: next}})
		return next
	}
	if n := len(e.value.list); n > 0 {
		return e.value.list[n-1].table
	}
	return e.value.table // there is one: the text was parsed before
}

// tables are the tables that a key has; what else it has is said.
func (c *configFile) tables(e *entry, in string) []*table {
	if e == nil {
		return nil
	}
	var all []*table
	if e.value.kind == unstable.InlineTable {
		c.say(e.at, "%s are several: [[%s]]", e.name, in)
		return nil
	}
	for _, v := range e.value.list {
		if v.table == nil {
			c.say(v.at, "%s are tables: [[%s]]", e.name, in)
			continue
		}
		all = append(all, v.table)
	}
	if e.value.kind != unstable.Array {
		c.say(e.value.at, "%s are tables: [[%s]]", e.name, in)
	}
	return all
}

// meant is the name that comes nearest to a misspelt one; "" if none is near.
func meant(name string, names []string) string {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	best, least := "", max(len(name)/3, 1)+1
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is how many letters must be changed, put in, left out or swapped with the
// next to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := range len(a) {
		for j := range len(b) {
			change := rows[i][j]
			if a[i] != b[j] {
				change++
			}
			rows[i+1][j+1] = min(change, rows[i+1][j]+1, rows[i][j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				rows[i+1][j+1] = min(rows[i+1][j+1], rows[i-1][j-1]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
