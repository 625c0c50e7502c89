package decode

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

const docs = "../../docs/protocols.md"

// TestDocs: the table in docs/protocols.md is the table in the code. -update writes it.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- table -->\n", "<!-- end -->"
	head, rest, ok := strings.Cut(string(b), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatal("docs/protocols.md has no place for the table")
	}
	var w strings.Builder
	w.WriteString("| `--decode` | protocol | recognised by | what answers what | not shown | where it is written down |\n|---|---|---|---|---|---|\n")
	for _, p := range table(t).Protocols() {
		for _, cell := range []string{"`" + p.Name + "`", p.Title, p.Knows, p.Pairs, p.Masks, p.Spec} {
			fmt.Fprintf(&w, "| %s ", strings.ReplaceAll(strings.ReplaceAll(cell, "|", "\\|"), "*", "\\*"))
		}
		w.WriteString("|\n")
	}
	want := head + begin + w.String() + end + tail
	if string(b) == want {
		return
	}
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("the table in docs/protocols.md is not the one in the code: go test ./inspect/decode -run Docs -update writes it")
}

// TestKeysAreDocumented: docs/protocols.md has a row for every key of an item, and one
// for each key of a rule.
func TestKeysAreDocumented(t *testing.T) {
	b, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	of := reflect.TypeFor[written]()
	for i := range of.NumField() {
		key, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if !strings.Contains(string(b), "\n| `"+key+"` | ") {
			t.Errorf("docs/protocols.md has no row for the key %s of an item", key)
		}
	}
	rule := reflect.TypeFor[Rule]()
	for i := range rule.NumField() {
		key := rule.Field(i).Tag.Get("toml")
		if key != "" && !strings.Contains(string(b), "\n    "+key+" = ") && !strings.Contains(string(b), "`"+key+"`") {
			t.Errorf("docs/protocols.md does not say what %s is", key)
		}
	}
}

// TestProtocolsAreTold: a line of the table says what a reader needs.
func TestProtocolsAreTold(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range table(t).Protocols() {
		if p.Name == "" || p.Title == "" || p.Knows == "" || p.Pairs == "" || seen[p.Name] {
			t.Errorf("the line of %q lacks a name of its own, or a title, or by what it is recognised, or what answers what", p.Name)
		}
		seen[p.Name] = true
	}
}
