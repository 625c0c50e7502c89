// Package archtest holds the project's tree to its own rules: which package
// imports which, how long and deep a function may be, where goroutines start,
// what is documented. docs/house.md says them in words; tables.go is the place
// to change them. Its test runs with all the others.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Breach is one place that breaks a rule.
type Breach struct {
	Rule string // its name, as in the table of exceptions
	At   string // file and line, or a package's folder
	Path string // of the file or the folder, as in the table of exceptions
	Name string // what breaks it: a function, a variable, an import
	Text string // in a sentence
}

func (b Breach) String() string { return fmt.Sprintf("%s: %s: %s", b.At, b.Rule, b.Text) }

// source is one parsed file.
type source struct {
	path string // from the module's root, with slashes
	dir  string
	test bool
	set  *token.FileSet
	file *ast.File
	note func(Breach)
}

// rules are all that is checked of one file. Rules over a whole package or the
// whole tree stand in Check.
var rules = []func(*source){
	(*source).imports, (*source).pure, (*source).budgets, (*source).state, (*source).names,
	(*source).unfinished, (*source).goroutines, (*source).output, (*source).docs, (*source).waits,
}

// Check parses every Go file under root and answers what breaks a rule and is
// not excepted, and exceptions that nothing needs any more.
func Check(root string) ([]Breach, error) {
	files, err := load(root)
	if err != nil {
		return nil, err
	}
	house, err := os.ReadFile(filepath.Join(root, "docs", "house.md"))
	if err != nil {
		return nil, err
	}
	all := check(files)
	all = append(all, tabled(files, string(house))...)
	return except(all, exceptions), nil
}

// load parses the tree, but for test data and hidden folders.
func load(root string) ([]*source, error) {
	var files []*source
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		s, err := parse(set, filepath.ToSlash(rel), text)
		files = append(files, s)
		return err
	})
	return files, err
}

func parse(set *token.FileSet, name string, text []byte) (*source, error) {
	f, err := parser.ParseFile(set, name, text, parser.ParseComments)
	return &source{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), set: set, file: f}, err
}

// check runs all rules over the files.
func check(files []*source) []Breach {
	var all []Breach
	packages := map[string][]*source{}
	for _, s := range files {
		s.note = func(b Breach) { all = append(all, b) }
		for _, rule := range rules {
			rule(s)
		}
		if !s.test {
			packages[s.dir] = append(packages[s.dir], s)
		}
	}
	for dir, files := range packages {
		packageDoc(dir, files)
		written(files)
	}
	slices.SortFunc(all, func(a, b Breach) int { return strings.Compare(a.At, b.At) })
	return all
}

// except takes out what the table allows and adds what it allows in vain.
func except(all []Breach, table map[exception]string) []Breach {
	used := map[exception]bool{}
	left := slices.DeleteFunc(all, func(b Breach) bool {
		e := exception{b.Rule, b.Path, b.Name}
		_, ok := table[e]
		used[e] = ok
		return ok
	})
	for e := range table {
		if !used[e] {
			left = append(left, Breach{Rule: "exceptions", At: "internal/archtest/tables.go", Path: e.path, Name: e.name,
				Text: fmt.Sprintf("nothing needs the exception for %s %s (%s) any more", e.path, e.name, e.rule)})
		}
	}
	return left
}

// breach notes a breach at a place in the file.
func (s *source) breach(rule string, n ast.Node, name, format string, args ...any) {
	at := s.set.Position(n.Pos())
	s.note(Breach{Rule: rule, At: fmt.Sprintf("%s:%d", s.path, at.Line), Path: s.path, Name: name, Text: fmt.Sprintf(format, args...)})
}

// lines are how many lines a node takes.
func (s *source) lines(n ast.Node) int {
	return s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
}

// imported maps the names that imports have in this file to their paths.
func (s *source) imported() map[string]string {
	all := map[string]string{}
	for _, i := range s.file.Imports {
		p := importPath(i)
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		all[name] = p
	}
	return all
}

func importPath(i *ast.ImportSpec) string {
	p, err := strconv.Unquote(i.Path.Value)
	if err != nil {
		return i.Path.Value // the parser lets none through
	}
	return p
}

// uses calls f with every name of another package that the file uses, as
// path.Name.
func (s *source) uses(f func(n ast.Node, name string)) {
	imported := s.imported()
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil && imported[x.Name] != "" {
			f(sel, imported[x.Name]+"."+sel.Sel.Name)
		}
		return true
	})
}
