package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/wsproxy/wsproxy/inspect"
)

// Error says what is wrong with a filter and where.
type Error struct {
	Source  string
	At      int // byte offset in Source
	Message string
}

func (e *Error) Error() string {
	if e.At >= len(e.Source) {
		return e.Message
	}
	return fmt.Sprintf("%s, at %q", e.Message, excerpt(e.Source[min(e.At, len(e.Source)):]))
}

func excerpt(s string) string {
	if len(s) > 24 {
		return s[:24] + "…"
	}
	return s
}

// maxSource bounds a filter's length in bytes, and maxNodes its parts.
const (
	maxSource = 4 << 10
	maxNodes  = 1000
)

// opcodes are names that stand for themselves beside op.
var opcodes = []string{"continuation", "text", "binary", "close", "ping", "pong"}

// directions are names that stand for an arrow beside dir.
var directions = map[string]string{"up": ">", "down": "<"}

// ofMessage are the fields for which the message has to be read.
var ofMessage = map[string]bool{"size": true, "compressed": true, "undecodable": true, "invalid": true, "text": true, "json": true, "code": true, "reason": true}

// ofRecording are the fields that only a recording answers: of a frame that is passing
// they are not known yet.
var ofRecording = map[string]bool{"frame": true, "finding": true, "missing": true, "session.n": true, "session.word": true,
	"decode.protocol": true, "decode.name": true, "decode.kind": true, "decode.id": true, "decode.topic": true, "latency": true}

// CompilePassing reads a filter for frames while they pass. The error is an *Error, also
// where the filter asks for a field that only a recording answers.
func CompilePassing(source string) (*Filter, error) {
	f, err := Compile(source)
	if err != nil {
		return nil, err
	}
	if f.late != nil {
		return nil, f.late
	}
	return f, nil
}

// Passing says that a field is known of frames while they pass.
func Passing(field string) bool { return !ofRecording[field] }

// Compile reads a filter. The error is an *Error.
func Compile(source string) (*Filter, error) {
	switch {
	case strings.TrimSpace(source) == "":
		return nil, &Error{source, 0, "a filter says what to look for"}
	case len(source) > maxSource:
		return nil, &Error{source, maxSource, fmt.Sprintf("a filter is at most %d bytes long", maxSource)}
	case !utf8.ValidString(source):
		return nil, &Error{source, 0, "a filter is UTF-8"}
	case isSearch(source):
		return &Filter{source: source, words: needles(source)}, nil
	}
	f := &Filter{source: source, uses: map[string]bool{}}
	if _, err := f.compile(source); err != nil {
		return nil, f.failed(err)
	}
	tree, err := parser.Parse(source)
	if err != nil {
		return nil, f.failed(err)
	}
	ast.Walk(&tree.Node, constants{}) // what is left of such names are fields
	ast.Walk(&tree.Node, recorded{f})
	var head, body []string
	for _, part := range conjuncts(tree.Node) {
		names := &names{}
		ast.Walk(&part, names)
		text := "(" + part.String() + ")"
		if names.message {
			body = append(body, text)
		} else {
			head = append(head, text)
		}
		for _, n := range names.all {
			f.uses[n] = true
		}
	}
	if len(head) > 0 {
		f.head, err = f.compile(strings.Join(head, " && "))
	}
	if err == nil && len(body) > 0 {
		f.body, err = f.compile(strings.Join(body, " && "))
	}
	if err != nil { // the whole compiled, so a part does
		return nil, f.failed(err)
	}
	return f, nil
}

func (f *Filter) compile(source string) (*vm.Program, error) {
	return expr.Compile(source, expr.Env(env{}), expr.AsBool(), expr.MaxNodes(maxNodes), expr.DisableBuiltin("len"), expr.DisableBuiltin("repeat"),
		expr.DisableBuiltin("get"), expr.DisableBuiltin("now"), expr.Patch(constants{}), expr.Patch(paths{}), expr.Patch(lenient{}),
		expr.Function("__get", get, new(func(any, any) any)), expr.Function("__str", str, new(func(any) string)),
		expr.Function("__order", order, new(func(any, any, string) bool)))
}

// failed is an error with its place in the source.
func (f *Filter) failed(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &Error{f.source, 0, err.Error()}
	}
	if strings.Contains(at.Message, "unexpected token EOF") {
		return &Error{f.source, len(f.source), words(at.Message)}
	}
	return &Error{f.source, f.offset(at.From), words(at.Message)}
}

// offset is where a character of the source begins, in bytes.
func (f *Filter) offset(character int) int {
	n := 0
	for i := range f.source {
		if n == character {
			return i
		}
		n++
	}
	return len(f.source)
}

// words says what the compiler means.
func words(message string) string {
	message = strings.ReplaceAll(message, "unexpected token EOF", "something is missing at the end")
	if name, ok := strings.CutPrefix(message, "unknown name "); ok {
		return "there is no field " + name
	}
	return message
}

// conjuncts are the parts of an expression that must all hold.
func conjuncts(n ast.Node) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "&&" || b.Operator == "and") {
		return append(conjuncts(b.Left), conjuncts(b.Right)...)
	}
	return []ast.Node{n}
}

// names collects the fields that an expression uses.
type names struct {
	all     []string
	message bool
}

func (n *names) Visit(node *ast.Node) {
	if name := fieldOf(*node); name != "" {
		n.all = append(n.all, name)
		n.message = n.message || ofMessage[name]
	}
}

// recorded notes the first field that only a recording answers.
type recorded struct{ filter *Filter }

func (r recorded) Visit(node *ast.Node) {
	name, at := fieldOf(*node), (*node).Location().From
	if m, ok := (*node).(*ast.MemberNode); ok {
		if p, ok := m.Property.(*ast.StringNode); ok {
			name, at = fieldOf(m.Node)+"."+p.Value, m.Node.Location().From
		}
	}
	if !ofRecording[name] {
		return
	}
	e := &Error{r.filter.source, r.filter.offset(at), name + " is known of a recording only, not of frames that are passing"}
	if r.filter.late == nil || e.At < r.filter.late.At {
		r.filter.late = e
	}
}

func fieldOf(n ast.Node) string {
	if id, ok := n.(*ast.IdentifierNode); ok {
		return id.Value
	}
	return ""
}

// constants are names of opcodes and directions.
type constants struct{}

func (constants) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok || b.Operator != "==" && b.Operator != "!=" && b.Operator != "in" {
		return
	}
	for _, side := range []struct {
		field string
		other *ast.Node
	}{{fieldOf(b.Left), &b.Right}, {fieldOf(b.Right), &b.Left}} {
		name(side.field, side.other)
		if list, ok := (*side.other).(*ast.ArrayNode); ok {
			for i := range list.Nodes {
				name(side.field, &list.Nodes[i])
			}
		}
	}
}

// name makes a constant of a name that stands beside a field.
func name(field string, node *ast.Node) {
	id := fieldOf(*node)
	if field == "dir" && directions[id] != "" {
		ast.Patch(node, &ast.StringNode{Value: directions[id]})
	}
	for _, op := range opcodes {
		if field == "op" && op == id {
			ast.Patch(node, &ast.StringNode{Value: op})
		}
	}
}

// paths lead into JSON and find nil where there is nothing.
type paths struct{}

func (paths) Visit(node *ast.Node) {
	m, ok := (*node).(*ast.MemberNode)
	if ok && dynamic(m.Node) {
		ast.Patch(node, call("__get", m.Node, m.Property))
	}
	if c, ok := (*node).(*ast.ChainNode); ok && dynamic(c.Node) {
		ast.Patch(node, c.Node)
	}
}

// dynamic says that an expression is what a peer has sent.
func dynamic(n ast.Node) bool {
	if c, ok := n.(*ast.CallNode); ok {
		return fieldOf(c.Callee) == "__get"
	}
	return fieldOf(n) == "json"
}

func call(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

// lenient compares what a peer has sent with anything.
type lenient struct{}

func (lenient) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok || !dynamic(b.Left) && !dynamic(b.Right) {
		return
	}
	switch b.Operator {
	case "<", "<=", ">", ">=":
		ast.Patch(node, call("__order", b.Left, b.Right, &ast.StringNode{Value: b.Operator}))
	case "matches", "contains", "startsWith", "endsWith":
		if dynamic(b.Left) {
			b.Left = call("__str", b.Left)
		}
		if dynamic(b.Right) {
			b.Right = call("__str", b.Right)
		}
	}
}

// Complete answers the fields that complete what is written before at, and the
// constants that fit there.
func Complete(source string, at int) []string {
	at = min(at, len(source))
	from := at
	for from > 0 && (isWord(source[from-1]) || source[from-1] == '.') {
		from--
	}
	prefix, before := source[from:at], strings.ReplaceAll(source[:from], " ", "")
	var candidates []string
	switch {
	case strings.HasSuffix(before, "op==") || strings.HasSuffix(before, "op!="):
		candidates = opcodes
	case strings.HasSuffix(before, "dir==") || strings.HasSuffix(before, "dir!="):
		candidates = []string{"up", "down"}
	default:
		for _, f := range inspect.AllFields() {
			candidates = append(candidates, f.Name)
		}
	}
	var all []string
	for _, c := range candidates {
		if strings.HasPrefix(c, prefix) && c != prefix {
			all = append(all, c)
		}
	}
	return all
}

func isWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
