package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// imports: the arrows, which only go down.
func (s *source) imports() {
	allowed, ok := arrows[s.dir]
	if !ok {
		s.breach("imports", s.file.Name, s.dir, "the package %s is not in the table of arrows (internal/archtest/tables.go): add what it may import", s.dir)
		return
	}
	for _, i := range s.file.Imports {
		p := importPath(i)
		ours, ok := strings.CutPrefix(p, module)
		if !ok {
			continue
		}
		if slices.Contains(allowed, ours) || s.test && (slices.Contains(testArrows, ours) || ours == s.dir) {
			continue
		}
		s.breach("imports", i, ours, "%s must not import %s: the table of arrows allows it %v", s.dir, ours, allowed)
	}
}

// pure: code in inspect takes bytes and answers values.
func (s *source) pure() {
	if s.test || s.dir != pureRoot && !strings.HasPrefix(s.dir, pureRoot+"/") {
		return
	}
	for _, i := range s.file.Imports {
		p := importPath(i)
		library := strings.Contains(strings.Split(p, "/")[0], ".") && !strings.HasPrefix(p, module)
		if slices.Contains(impureImports, p) || library && !slices.ContainsFunc(pureLibraries, func(l string) bool { return p == l || strings.HasPrefix(p, l+"/") }) {
			s.breach("pure", i, p, "%s is pure (no goroutine, socket, file or clock) and must not import %s", s.dir, p)
		}
	}
	s.uses(func(n ast.Node, name string) {
		if slices.Contains(clock, name) {
			s.breach("pure", n, name, "%s is pure and must not ask %s", s.dir, name)
		}
	})
}

// names: a package is a noun one can hold.
func (s *source) names() {
	name := strings.TrimSuffix(s.file.Name.Name, "_test")
	for _, n := range []string{name, path.Base(s.dir)} {
		if slices.Contains(forbiddenNames, n) {
			s.breach("names", s.file.Name, n, "the name %s says nothing of what the package holds", n)
			return
		}
	}
}

var unfinishedWords = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)

// unfinished: what is not done is not on main.
func (s *source) unfinished() {
	for _, g := range s.file.Comments {
		for _, c := range g.List {
			if word := unfinishedWords.FindString(c.Text); word != "" {
				s.breach("unfinished", c, word, "%s: finish it, or say what is so and why", word)
			}
		}
	}
}

// goroutines: they start where docs/house.md says who waits for them.
func (s *source) goroutines() {
	if s.test || slices.Contains(starters, s.dir) {
		return
	}
	for _, n := range s.starts() {
		s.breach("goroutines", n, s.dir, "%s must not start a goroutine: only %v may", s.dir, starters)
	}
}

// starts are the places where a goroutine starts: go statements, WaitGroup.Go
// and its like, and timers that call a function.
func (s *source) starts() []ast.Node {
	var all []ast.Node
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			all = append(all, n)
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && len(n.Args) == 1 {
				all = append(all, n)
			}
		}
		return true
	})
	s.uses(func(n ast.Node, name string) {
		if name == "time.AfterFunc" || name == "context.AfterFunc" {
			all = append(all, n)
		}
	})
	return all
}

// output: only the command ends the program or writes to the standard streams.
func (s *source) output() {
	if s.test || slices.Contains(printers, s.dir) {
		return
	}
	for _, i := range s.file.Imports {
		if p := importPath(i); p == "log" || p == "log/slog" {
			s.breach("output", i, p, "only a program may use %s: answer an error, or take a function to tell", p)
		}
	}
	s.uses(func(n ast.Node, name string) {
		if name == "os.Exit" || strings.HasPrefix(name, "fmt.Print") {
			s.breach("output", n, name, "only a program may call %s", name)
		}
	})
	ast.Inspect(s.file, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			if id, ok := c.Fun.(*ast.Ident); ok && id.Obj == nil && (id.Name == "print" || id.Name == "println") {
				s.breach("output", n, id.Name, "only a program may print")
			}
		}
		return true
	})
}

// docs: every exported name says what it is for.
func (s *source) docs() {
	if s.test || s.file.Name.Name == "main" {
		return
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc.Text() == "" && receiverExported(d) &&
				!(d.Recv != nil && slices.Contains(undocumented, d.Name.Name)) {
				s.breach("docs", d, funcName(d), "the exported %s has no doc comment", funcName(d))
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				s.specDocs(d, spec)
			}
		}
	}
}

func (s *source) specDocs(d *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() && spec.Doc.Text() == "" && d.Doc.Text() == "" {
			s.breach("docs", spec, spec.Name.Name, "the exported type %s has no doc comment", spec.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if name.IsExported() && spec.Doc.Text() == "" && spec.Comment.Text() == "" && d.Doc.Text() == "" {
				s.breach("docs", name, name.Name, "the exported %s has no doc comment", name.Name)
			}
		}
	}
}

// packageDoc: one file of a package says what it is.
func packageDoc(dir string, files []*source) {
	for _, s := range files {
		if s.file.Doc.Text() != "" {
			return
		}
	}
	s := files[0]
	s.breach("docs", s.file.Name, dir, "the package %s has no package comment", dir)
}

// waits: a test waits for what it waits for, and runs.
func (s *source) waits() {
	if !s.test {
		return
	}
	s.uses(func(n ast.Node, name string) {
		if name == "testing.Short" {
			s.breach("waits", n, name, "how much a test does says wstest.Count")
		}
		if name == "time.Sleep" {
			s.breach("waits", n, name, "a test must not sleep: wait for the condition, with a deadline")
		}
	})
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) {
			s.breach("waits", n, sel.Sel.Name, "a test that is skipped holds nothing: fail where CI=true, else log what is left out and return")
		}
		return true
	})
}

// state: a package keeps nothing but errors and tables.
func (s *source) state() {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
			s.breach("state", f, "init", "no init(): name it and call it")
		}
	}
	if s.test {
		return
	}
	for _, spec := range s.variables() {
		for i, name := range spec.Names {
			if name.Name == "_" {
				continue
			}
			if len(spec.Values) != len(spec.Names) || !s.constant(spec.Values[i]) {
				s.breach("state", name, name.Name, "the package-level variable %s is neither an error nor a table", name.Name)
			}
		}
	}
}

// variables are the package-level ones.
func (s *source) variables() []*ast.ValueSpec {
	var all []*ast.ValueSpec
	for _, d := range s.file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, spec := range g.Specs {
				all = append(all, spec.(*ast.ValueSpec)) // var has no others
			}
		}
	}
	return all
}

// constant says that a value is an error or a table.
func (s *source) constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.CallExpr:
		if t, ok := e.Fun.(*ast.ArrayType); ok { // []byte("…")
			return t.Len == nil && len(e.Args) == 1
		}
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				return slices.Contains(tableMakers, s.imported()[x.Name]+"."+sel.Sel.Name)
			}
		}
	}
	return false
}

// written: nobody writes to a package-level variable. (From another package
// none of ours does either: what is exported are errors.)
func written(files []*source) {
	vars := map[string]*ast.ValueSpec{}
	for _, s := range files {
		for _, spec := range s.variables() {
			for _, n := range spec.Names {
				vars[n.Name] = spec
			}
		}
	}
	for _, s := range files {
		global := func(e ast.Expr) {
			if id := root(e); id != nil && id.Name != "_" && vars[id.Name] != nil && (id.Obj == nil || id.Obj.Decl == vars[id.Name]) {
				s.breach("state", e, id.Name, "the package-level %s is written to", id.Name)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, e := range n.Lhs {
					if n.Tok != token.DEFINE {
						global(e)
					}
				}
			case *ast.IncDecStmt:
				global(n.X)
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
					global(n.Args[0])
				}
			}
			return true
		})
	}
}

// root is the variable that an assignable expression is a part of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv != nil && len(d.Recv.List) == 1 {
		return receiver(d) + "." + d.Name.Name
	}
	return d.Name.Name
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return fmt.Sprint(t)
		}
	}
}

func receiverExported(d *ast.FuncDecl) bool { return d.Recv == nil || ast.IsExported(receiver(d)) }

// tabled: each package that starts goroutines has its row in docs/house.md.
func tabled(files []*source, house string) []Breach {
	_, table, _ := strings.Cut(house, "## Who runs")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := map[string]bool{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for where := range strings.SplitSeq(cells[2], ",") {
				rows[strings.Trim(where, " `")] = true
			}
		}
	}
	var all []Breach
	told := map[string]bool{}
	for _, s := range files {
		if s.test || told[s.dir] || rows[s.dir] {
			continue
		}
		if starts := s.starts(); len(starts) > 0 {
			told[s.dir] = true
			s.note = func(b Breach) { all = append(all, b) }
			s.breach("goroutines", starts[0], s.dir, "%s starts a goroutine that the table in docs/house.md does not have: who ends it, who waits for it?", s.dir)
		}
	}
	return all
}
