package archtest

import (
	"go/ast"
	"go/token"
)

// budgets: how much a reader has to hold in mind at once.
func (s *source) budgets() {
	if s.test {
		return
	}
	if n := s.set.File(s.file.FileStart).LineCount() - s.tables(); n > maxFile {
		s.breach("budgets", s.file.Name, "file", "the file has %d lines without its tables, the budget is %d", n, maxFile)
	}
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			s.function(f)
		}
	}
}

// tables counts the lines of package-level tables.
func (s *source) tables() int {
	n := 0
	for _, spec := range s.variables() {
		for _, v := range spec.Values {
			if _, ok := v.(*ast.CompositeLit); ok {
				n += s.lines(v)
			}
		}
	}
	return n
}

// function holds one function to its budgets, with the literals inside it.
func (s *source) function(f *ast.FuncDecl) {
	name := funcName(f)
	over := func(what string, n, budget int) {
		if n > budget {
			s.breach("budgets", f.Name, name, "%s has %d %s, the budget is %d", name, n, what, budget)
		}
	}
	// From the brace's end back to the keyword: the doc comment does not count.
	over("lines", s.set.Position(f.End()).Line-s.set.Position(f.Type.Pos()).Line+1, maxFunction)
	over("parameters", parameters(f.Type), maxParameters)
	if f.Body == nil {
		return
	}
	over("branches (cyclomatic)", cyclomatic(f.Body), maxCyclomatic)
	over("levels of nesting", nesting(f.Body), maxNesting)
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if lit, ok := n.(*ast.FuncLit); ok {
			over("parameters in a literal", parameters(lit.Type), maxParameters)
		}
		return true
	})
}

func parameters(t *ast.FuncType) int {
	n := 0
	for _, f := range t.Params.List {
		n += max(1, len(f.Names))
	}
	return n
}

// cyclomatic is McCabe's number: one, and one more for each branch.
func cyclomatic(body ast.Node) int {
	n := 1
	ast.Inspect(body, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if x.List != nil {
				n++
			}
		case *ast.CommClause:
			if x.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if x.Op == token.LAND || x.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

// nesting is how deep statements stand inside others. An else-if is as deep as
// its if.
func nesting(body ast.Node) int {
	deepest := 0
	var walk func(n ast.Node, depth int)
	walk = func(n ast.Node, depth int) {
		deepest = max(deepest, depth)
		ast.Inspect(n, func(x ast.Node) bool {
			if x == nil || x == n {
				return x != nil
			}
			switch x := x.(type) {
			case *ast.IfStmt:
				in := depth + 1
				if outer, ok := n.(*ast.IfStmt); ok && outer.Else == ast.Stmt(x) {
					in = depth
				}
				walk(x, in)
			case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt:
				walk(x, depth+1)
			default:
				return true
			}
			return false
		})
	}
	walk(body, 0)
	return deepest
}
