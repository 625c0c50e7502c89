package lint

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wsproxy/wsproxy/inspect"
)

const (
	plainRequest = "GET /chat HTTP/1.1\nHost: localhost\nConnection: Upgrade\nUpgrade: websocket\n" +
		"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
	plainResponse = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"
)

// piece is bytes that flow in one direction.
type piece struct {
	dir  inspect.Dir
	data []byte
}

// fixture is one conversation and what the judges must say of it. In the file,
// sections request and response are heads with LF line ends and ␛ for ESC (left
// out: a plain handshake), frames has a line of hex for each piece: ">" from the client,
// "<" from the server, "61*5" repeats, "#" begins a comment.
type fixture struct {
	pieces []piece
	want   []string
}

func readFixture(t *testing.T, name string) fixture {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(strings.TrimSpace(string(a.Comment))) == 0 {
		t.Errorf("%s does not begin with a sentence that says what happens", name)
	}
	request, response := plainRequest, plainResponse
	var f fixture
	var frames []piece
	seen := false
	for _, file := range a.Files {
		text := string(file.Data)
		switch file.Name {
		case "request":
			request = text
		case "response":
			response = text
		case "frames":
			frames = readFrames(t, name, text)
		case "findings":
			seen = true
			f.want = lines(text)
		default:
			t.Fatalf("%s: a section %q is not known", name, file.Name)
		}
	}
	if !seen {
		t.Errorf("%s has no section findings", name)
	}
	head := func(s string) []byte {
		return []byte(strings.NewReplacer("\n", "\r\n", "␛", "\x1b").Replace(s) + "\r\n")
	}
	f.pieces = append([]piece{{inspect.ToServer, head(request)}, {inspect.ToClient, head(response)}}, frames...)
	return f
}

func lines(text string) []string {
	var all []string
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			all = append(all, l)
		}
	}
	return all
}

func readFrames(t *testing.T, name, text string) []piece {
	t.Helper()
	var all []piece
	for _, l := range lines(text) {
		l, _, _ = strings.Cut(l, "#")
		words := strings.Fields(l)
		p := piece{}
		switch words[0] {
		case ">":
			p.dir = inspect.ToServer
		case "<":
			p.dir = inspect.ToClient
		default:
			t.Fatalf("%s: a line of frames begins with %q, not with > or <", name, words[0])
		}
		for _, w := range words[1:] {
			digits, times, repeated := strings.Cut(w, "*")
			b, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, w, err)
			}
			n := 1
			if repeated {
				if n, err = strconv.Atoi(times); err != nil {
					t.Fatalf("%s: %q: %v", name, w, err)
				}
			}
			p.data = append(p.data, slices.Repeat(b, n)...)
		}
		all = append(all, p)
	}
	return all
}

// cut is the same conversation in pieces of at most n bytes.
func (f fixture) cut(n int) []piece {
	var all []piece
	for _, p := range f.pieces {
		for part := range slices.Chunk(p.data, n) {
			all = append(all, piece{p.dir, part})
		}
	}
	return all
}

// talk feeds pieces to a Conn, ends it and answers what it found.
func talk(pieces []piece) []inspect.Finding {
	c := inspect.NewConn(inspect.ConnInfo{ID: 1}, inspect.Limits{}, All()...)
	var all []inspect.Finding
	take := func(e inspect.Event) {
		if f, ok := e.(*inspect.Finding); ok {
			all = append(all, *f)
		}
	}
	var off [2]int64
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, p := range pieces {
		ch := inspect.Chunk{Conn: 1, Dir: p.dir, Time: now, Off: off[p.dir], Data: slices.Clone(p.data)}
		off[p.dir] += int64(len(p.data))
		for e := range c.Feed(ch) {
			take(e)
		}
	}
	for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
		for e := range c.Close(inspect.Ended{Conn: 1, Dir: d, How: inspect.Fin, Time: now}) {
			take(e)
		}
	}
	return all
}

func line(f inspect.Finding) string {
	where := "handshake"
	if f.Frame > 0 {
		where = fmt.Sprint("frame ", f.Frame)
	}
	return fmt.Sprintf("%s %s, %s, %s, %s: %s", f.Severity, f.ID, f.Clause, where, f.Dir, f.Detail)
}

func written(found []inspect.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, line(f))
	}
	return all
}

func fixtures(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(all) == 0 {
		t.Fatal("no fixtures in testdata", err)
	}
	return all
}

func TestFixtures(t *testing.T) {
	for _, name := range fixtures(t) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), "testdata/"), ".txtar"), func(t *testing.T) {
			f := readFixture(t, name)
			found := talk(f.pieces)
			if got := written(found); !slices.Equal(got, f.want) {
				t.Errorf("findings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(f.want, "\n"))
			}
			id := filepath.Base(filepath.Dir(name))
			fires := slices.ContainsFunc(found, func(f inspect.Finding) bool { return f.ID == id })
			if near := strings.HasPrefix(filepath.Base(name), "near-"); fires == near {
				t.Errorf("%s is found: %v; a fixture whose name begins with near- must not break the rule of its folder, any other must", id, fires)
			}
			for _, found := range found {
				if found.Session != 1 || found.Conn != 1 || found.Time.IsZero() {
					t.Errorf("place of %+v is not filled in", found)
				}
			}
		})
	}
}

// How the bytes were cut must make no difference to what is found in them.
func TestFixturesCut(t *testing.T) {
	for _, name := range fixtures(t) {
		f := readFixture(t, name)
		for _, n := range []int{1, 3} {
			if got := written(talk(f.cut(n))); !slices.Equal(got, f.want) {
				t.Errorf("%s, cut every %d bytes: findings:\n%s\nwant:\n%s", name, n, strings.Join(got, "\n"), strings.Join(f.want, "\n"))
			}
		}
	}
}

// missing says in a sentence for each rule what its folder lacks, and for each
// folder that no rule has its name.
func missing(rules []Rule, root string) []string {
	var say []string
	for _, r := range rules {
		dir := filepath.Join(root, r.ID)
		if _, err := os.Stat(dir); err != nil {
			say = append(say, fmt.Sprintf("The rule %s has no folder %s: add one with a fixture that breaks the rule and one that nearly does.", r.ID, dir))
			continue
		}
		all, _ := filepath.Glob(filepath.Join(dir, "*.txtar"))
		near := 0
		for _, f := range all {
			if strings.HasPrefix(filepath.Base(f), "near-") {
				near++
			}
		}
		if len(all) == near {
			say = append(say, fmt.Sprintf("No fixture in %s breaks the rule.", dir))
		}
		if near == 0 {
			say = append(say, fmt.Sprintf("No fixture in %s nearly breaks the rule: add one whose name begins with near-.", dir))
		}
	}
	dirs, _ := os.ReadDir(root)
	for _, d := range dirs {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == d.Name() }) {
			say = append(say, fmt.Sprintf("The folder %s has the name of no rule.", filepath.Join(root, d.Name())))
		}
	}
	return say
}

func TestEveryRuleHasAFolder(t *testing.T) {
	for _, s := range missing(Rules(), "testdata") {
		t.Error(s)
	}
}

func TestMissingSaysWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"full/a.txtar", "full/near-a.txtar", "half/a.txtar", "other-half/near-a.txtar", "stray/a.txtar"} {
		f = filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := missing([]Rule{{ID: "full"}, {ID: "half"}, {ID: "other-half"}, {ID: "none"}}, root)
	for i := range got {
		got[i] = filepath.ToSlash(strings.ReplaceAll(got[i], root+string(filepath.Separator), ""))
	}
	want := []string{
		"No fixture in half nearly breaks the rule: add one whose name begins with near-.",
		"No fixture in other-half breaks the rule.",
		"The rule none has no folder none: add one with a fixture that breaks the rule and one that nearly does.",
		"The folder stray has the name of no rule.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("missing says:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRules(t *testing.T) {
	seen := map[string]bool{}
	families := []string{"framing", "control", "text", "close", "handshake"}
	last := 0
	for _, r := range Rules() {
		if seen[r.ID] {
			t.Errorf("%s stands twice in the table", r.ID)
		}
		seen[r.ID] = true
		if r.ID != strings.ToLower(r.ID) || strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is no ID in words", r.ID)
		}
		if rest, ok := strings.CutPrefix(r.Clause, "RFC "); !ok || len(strings.Fields(rest)) != 2 {
			t.Errorf("%s: clause %q is not like \"RFC 6455 5.1\"", r.ID, r.Clause)
		}
		family := slices.Index(families, r.Family)
		if family < last {
			t.Errorf("%s: family %q is not known or out of order", r.ID, r.Family)
		}
		last = family
		if _, err := os.Stat(r.Family + ".go"); err != nil {
			t.Errorf("%s: its family has no file: %v", r.ID, err)
		}
		for what, s := range map[string]string{"Doc": r.Doc, "Mend": r.Mend} {
			if len(s) < 40 || !strings.HasSuffix(s, ".") || len(s) > 400 {
				t.Errorf("%s: %s is no short text of sentences: %q", r.ID, what, s)
			}
		}
		if got, ok := Lookup(r.ID); !ok || got != r {
			t.Errorf("Lookup(%q) = %v, %v", r.ID, got, ok)
		}
	}
	if _, ok := Lookup("no-such-rule"); ok {
		t.Error("Lookup finds a rule that is not there")
	}
	changed := Rules()
	changed[0].ID = "changed"
	if Rules()[0].ID == "changed" {
		t.Error("a caller can change the table")
	}
}

func TestUnknownRulePanics(t *testing.T) {
	defer func() {
		if got := recover(); got != "lint: no rule no-such-rule" {
			t.Errorf("recovered %v", got)
		}
	}()
	found(nil, "no-such-rule", "")
}
