package archtest

const module = "github.com/wsproxy/wsproxy/"

// The budgets of a file and of a function. Test files have none, and the lines
// of a table do not count.
const (
	maxFile       = 600
	maxFunction   = 80
	maxCyclomatic = 20
	maxNesting    = 4
	maxParameters = 5
)

// arrows are the packages of ours that each package may import. They only go
// down: from the command to the screen, the recording and the relay, and from
// there to inspect, which imports nothing of ours.
var arrows = map[string][]string{
	"inspect":         {},
	"inspect/explain": {"inspect"},
	"inspect/lint":    {"inspect"},
	"inspect/decode":  {"inspect"},
	"inspect/filter":  {"inspect"},
	"record":          {"inspect", "inspect/filter"},
	"record/export":   {"record", "cassette", "inspect"},
	"proxy":           {"proxy/h2", "inspect"},
	"proxy/ca":        {},
	"proxy/h2":        {"inspect"},
	"proxy/rule":      {"proxy", "inspect", "inspect/filter"},
	"cassette":        {"inspect"},
	"replay":          {"cassette", "record", "proxy", "inspect"},
	"ui":              {"ui/plain", "record", "inspect", "inspect/explain", "inspect/lint", "inspect/decode", "inspect/filter"},
	"ui/plain":        {"record", "inspect", "inspect/explain", "inspect/lint", "inspect/decode", "inspect/filter"},
	"cmd/wsproxy": {"ui", "ui/plain", "replay", "cassette", "record", "record/export", "proxy", "proxy/ca", "proxy/rule",
		"inspect", "inspect/explain", "inspect/lint", "inspect/decode", "inspect/filter", "internal/wstest"},
	"internal/archtest": {},
	"internal/wstest":   {"inspect"},
	"bench":             {"proxy", "record", "inspect", "inspect/lint", "internal/wstest"},
	"e2e":               {"proxy", "record", "replay", "cassette", "inspect", "inspect/lint", "internal/wstest"},
}

// testArrows are what any package's tests may import beside.
var testArrows = []string{"internal/wstest", "inspect", "inspect/lint"}

// pureRoot is the tree that has no goroutine, socket, file or clock.
const pureRoot = "inspect"

// pureLibraries are the modules that code in the pure tree may import.
var pureLibraries = []string{"github.com/klauspost/compress/flate", "github.com/klauspost/compress/zstd", "github.com/expr-lang/expr",
	"google.golang.org/protobuf/encoding/protowire", "google.golang.org/protobuf/reflect/protoreflect"}

// impureImports are packages of the standard library that reach out.
var impureImports = []string{"net", "net/http", "os", "os/exec", "os/signal", "syscall", "crypto/rand", "crypto/tls", "log", "log/slog", "sync/atomic"}

// clock are the functions that ask for the time or wait for it.
var clock = []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick"}

// starters are the packages that may start goroutines outside of tests.
// docs/house.md has a row for each goroutine.
var starters = []string{"proxy", "proxy/h2", "record", "replay", "ui", "cmd/wsproxy", "internal/wstest", "bench"}

// printers are the programs: they alone end the process or write to the standard
// streams. bench is one, which nothing imports.
var printers = []string{"cmd/wsproxy", "bench"}

// forbiddenNames are names that say nothing of what a package holds.
var forbiddenNames = []string{"util", "utils", "common", "types", "helper", "helpers", "manager", "managers", "misc", "base"}

// undocumented are methods whose meaning an interface of the standard library
// fixes.
var undocumented = []string{"Error", "String", "Unwrap", "Len", "Less", "Swap", "Is", "As"}

// tableMakers are calls whose result nobody can change afterwards, or nobody
// means to.
var tableMakers = []string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer"}

// exception is a place that may break a rule.
type exception struct{ rule, path, name string }

// exceptions has the reason for each.
var exceptions = map[exception]string{
	{"state", "cmd/wsproxy/root.go", "version"}:       "a release build sets it with -ldflags -X, which needs a variable",
	{"state", "proxy/up.go", "past"}:                  "a point in time that never changes; Go has no constants of struct types",
	{"state", "proxy/h2/h2.go", "past"}:               "a point in time that never changes; Go has no constants of struct types",
	{"budgets", "inspect/note.go", "NewNote"}:         "it makes a struct of six fields, each of which every caller sets",
	{"budgets", "record/import.go", "foreign.Accept"}: "gopacket's reassembly.Stream interface fixes its parameters",
}
