package archtest

import (
	"fmt"
	"go/token"
	"strings"
	"testing"
)

// TestTree holds the tree to its rules.
func TestTree(t *testing.T) {
	found, err := Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range found {
		t.Error(b)
	}
}

func TestExceptionsHaveReasons(t *testing.T) {
	for e, why := range exceptions {
		if len(strings.Fields(why)) < 4 {
			t.Errorf("the exception for %s %s has no reason", e.path, e.name)
		}
	}
}

// found are the rules that a file breaks.
func found(t *testing.T, name, text string) []Breach {
	t.Helper()
	if !strings.Contains(text, "package ") {
		text = "// Package x is for the test.\npackage x\n" + text
	}
	s, err := parse(token.NewFileSet(), name, []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	all := check([]*source{s})
	return append(all, tabled([]*source{s}, "## Who runs\n| accept | proxy, record | |\n| other | `ui` | |\n\n## Next\n| x | replay | |")...)
}

// TestRules shows, for every rule, what breaks it and what does not.
func TestRules(t *testing.T) {
	nest := func(n int) string {
		return "func f() {\n" + strings.Repeat("if true {\n", n) + strings.Repeat("}\n", n) + "}\n"
	}
	for _, tt := range []struct {
		rule, path, bad, good string
	}{
		{"imports", "proxy/x.go", `import _ "github.com/wsproxy/wsproxy/record"`, `import _ "github.com/wsproxy/wsproxy/inspect"`},
		{"imports", "ui/x.go", `import _ "github.com/wsproxy/wsproxy/proxy"`, `import _ "github.com/wsproxy/wsproxy/record"`},
		{"imports", "record/x.go", `import _ "github.com/wsproxy/wsproxy/inspect/lint"`, `import _ "fmt"`},
		{"imports", "record/x_test.go", `import _ "github.com/wsproxy/wsproxy/ui"`, `import _ "github.com/wsproxy/wsproxy/internal/wstest"`},
		{"imports", "record/x.go", `import _ "github.com/wsproxy/wsproxy/internal/wstest"`, ``},
		{"pure", "inspect/x.go", `import _ "net"`, `import _ "net/netip"`},
		{"pure", "inspect/lint/x.go", `import _ "github.com/spf13/cobra"`, `import _ "github.com/klauspost/compress/flate"`},
		{"pure", "inspect/x.go", "import \"time\"\nfunc f() { time.Now() }", "import \"time\"\nfunc f() { time.Unix(1, 2) }"},
		{"pure", "inspect/x.go", "import c \"time\"\nfunc f() { _ = c.Now }", "import \"time\"\nfunc f(time struct{ Now int }) { _ = time.Now }"},
		{"budgets", "proxy/x.go", "func f() {" + strings.Repeat("\n", 80) + "}", "func f() {" + strings.Repeat("\n", 79) + "}"},
		{"budgets", "proxy/x.go", strings.Repeat("// line\n", 600), "var table = []int{" + strings.Repeat("\n", 600) + "}"},
		{"budgets", "proxy/x.go", "func f(a, b, c int, d, e, f string) {}", "func f(a, b, c int, d, e string) {}"},
		{"budgets", "proxy/x.go", "func f() { _ = func(int, int, int, int, int, int) {} }", "func (t t) f(int, int, int, int, int) {}"},
		{"budgets", "proxy/x.go", "func f() { _ = " + strings.Repeat("a || ", 20) + "a }", "func f() { _ = " + strings.Repeat("a || ", 19) + "a }"},
		{"budgets", "proxy/x.go", "func f() { switch x {" + strings.Repeat("\ncase 1, 2:", 20) + "\n} }", "func f() { switch x {" + strings.Repeat("\ncase 1, 2:", 19) + "\ndefault:\n} }"},
		{"budgets", "proxy/x.go", "func f() { for {\n if x {\n switch {\n case x: select {\n default: for range x {}\n }}}}}", nest(4)},
		{"budgets", "proxy/x.go", nest(5), "func f() { if a {" + strings.Repeat("\n} else if a {", 9) + "} }"},
		{"budgets", "proxy/x.go", "func f() { if a {} else if b {" + strings.TrimPrefix(strings.TrimSuffix(nest(4), "}\n"), "func f() {\n") + "} }", ""},
		{"state", "proxy/x.go", "func init() {}", "func (t t) init() {}"},
		{"state", "proxy/x.go", "var n int", "const n = 1"},
		{"state", "proxy/x.go", "var n = 1", "var n = []int{1}"},
		{"state", "proxy/x.go", "import \"sync\"\nvar p = sync.OnceFunc(f)", "import \"errors\"\nvar err = errors.New(`x`)"},
		{"state", "proxy/x.go", "var m = make(map[int]int)", "var m = map[int]int{}"},
		{"state", "proxy/x.go", "var m = map[int]int{}\nfunc f() { m[1] = 2 }", "var m = map[int]int{}\nfunc f() { m := m; m[1] = 2 }"},
		{"state", "proxy/x.go", "var m = []int{1}\nfunc f() { m[0]++ }", "var m = []int{1}\nfunc f() { n := m[0]; n++ }"},
		{"state", "proxy/x.go", "var m = map[int]int{}\nfunc f() { delete(m, 1) }", "var m = map[int]int{}\nfunc f(m map[int]int) { delete(m, 1) }"},
		{"names", "proxy/x.go", "// Package util is.\npackage util", "// Package proxy is.\npackage proxy"},
		{"names", "common/x.go", "// Package x is.\npackage x", ""},
		{"unfinished", "proxy/x.go", "// TODO: later\n", "import \"context\"\n// todo lists\nvar _ = context.TODO()"},
		{"unfinished", "proxy/x_test.go", "/* a FIXME */", "// done\n"},
		{"goroutines", "inspect/x.go", "func f() { go f() }", "func f() { defer f() }"},
		{"goroutines", "ui/plain/x.go", "func f() { g.Go(f) }", "func f() { g.Run(f) }"},
		{"goroutines", "cassette/x.go", "import \"time\"\nfunc f() { time.AfterFunc(1, f) }", "import \"time\"\nfunc f() { _ = time.Second }"},
		{"goroutines", "replay/x.go", "func f() { go f() }", ""}, // may, but has no row
		{"goroutines", "inspect/x.go", "func f() { go f() }", ""},
		{"output", "proxy/x.go", "import \"os\"\nfunc f() { os.Exit(1) }", "import \"os\"\nfunc f() { os.Remove(`x`) }"},
		{"output", "proxy/x.go", "import _ \"log\"", "import _ \"fmt\""},
		{"output", "proxy/x.go", "import \"fmt\"\nfunc f() { fmt.Println() }", "import \"fmt\"\nfunc f() { fmt.Fprintln(w) }"},
		{"output", "cmd/x.go", "import \"os\"\nfunc f() { os.Exit(1) }", ""},
		{"output", "proxy/x.go", "func f() { println(1) }", "func f(println func(int)) { println(1) }"},
		{"docs", "proxy/x.go", "func F() {}", "// F is.\nfunc F() {}\n\nfunc f() {}\n\nfunc (t t) F() {}"},
		{"docs", "proxy/x.go", "type T int", "// T is.\ntype T int\n\nfunc (t T) String() string { return `` }"},
		{"docs", "proxy/x.go", "// T is.\ntype T int\n\nfunc (t *T) F() {}", "// T is.\ntype T int\n\n// F is.\nfunc (t *T) F() {}"},
		{"docs", "proxy/x.go", "const C = 1", "// They are.\nconst (\n\tC = 1\n\tD = 2\n)"},
		{"docs", "proxy/x.go", "package proxy", "// Package proxy is.\npackage proxy"},
		{"waits", "proxy/x_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "import \"time\"\nfunc f() { <-time.After(1) }"},
		{"waits", "proxy/x_test.go", "import \"testing\"\nfunc f() { testing.Short() }", "func f() {}"},
		{"waits", "proxy/x_test.go", "func f() { t.Skip() }", "func f() { s.Skip(3) }"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			if got := found(t, tt.path, tt.bad); !breaks(got, tt.rule) {
				t.Errorf("not caught: %v in %s\n%s", got, tt.path, tt.bad)
			}
			if tt.good == "" {
				return
			}
			if got := found(t, tt.path, tt.good); breaks(got, tt.rule) {
				t.Errorf("caught: %v in %s\n%s", got, tt.path, tt.good)
			}
		})
	}
}

func breaks(all []Breach, rule string) bool {
	for _, b := range all {
		if b.Rule == rule {
			return true
		}
	}
	return false
}

func TestPackageNotInTheTable(t *testing.T) {
	got := found(t, "cmd2/x.go", "")
	if text := fmt.Sprint(got); !strings.Contains(text, "the package cmd2 is not in the table of arrows") {
		t.Error(text)
	}
}

func TestGoroutineTable(t *testing.T) {
	for _, dir := range []string{"proxy", "record", "ui"} {
		if got := found(t, dir+"/x.go", "func f() { go f() }"); len(got) > 0 {
			t.Error(got)
		}
	}
	for _, dir := range []string{"replay", "internal/wstest"} {
		if got := fmt.Sprint(found(t, dir+"/x.go", "func f() { go f() }")); !strings.Contains(got, "docs/house.md does not have") {
			t.Error(dir, got)
		}
	}
}

// TestWrittenFromAnotherFile: the variable and the assignment stand apart.
func TestWrittenFromAnotherFile(t *testing.T) {
	set := token.NewFileSet()
	var files []*source
	for name, text := range map[string]string{"proxy/a.go": "// Package proxy is.\npackage proxy\nvar table = []int{1}", "proxy/b.go": "package proxy\nfunc f() { table[0] = 2 }"} {
		s, err := parse(set, name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, s)
	}
	if got := check(files); len(got) != 1 || got[0].At != "proxy/b.go:2" {
		t.Error(got)
	}
}

func TestExcept(t *testing.T) {
	b := []Breach{{Rule: "state", Path: "a.go", Name: "x"}, {Rule: "state", Path: "a.go", Name: "y"}}
	left := except(b, map[exception]string{{"state", "a.go", "x"}: "why", {"state", "a.go", "z"}: "why"})
	if len(left) != 2 || left[0].Name != "y" || left[1].Rule != "exceptions" {
		t.Error(left)
	}
}
