package decode

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/wsproxy/wsproxy/inspect"
)

var update = flag.Bool("update", false, "write the items of the fixtures anew; read them")

// said is a message of a fixture. One without an opcode is a hole.
type said struct {
	dir  inspect.Dir
	op   inspect.Opcode
	data []byte
}

// fixture is a conversation and the items that it is. In the file, session has lines
// "path …", "offered …", "subprotocol …", "force …"; messages has a line for each: ">"
// from the client, "<" from the server, then a text as it stands, a quoted one behind
// =, or hexadecimal behind x; "gap >" is a hole; "close < 4401 reason" a Close frame.
type fixture struct {
	path, offered, agreed, force string
	messages                     []said
	items                        []string
	archive                      *txtar.Archive
}

func readFixture(t testing.TB, name string) fixture {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{archive: a, path: "/"}
	if len(strings.TrimSpace(string(a.Comment))) == 0 {
		t.Errorf("%s does not begin with a sentence that says what happens", name)
	}
	for _, file := range a.Files {
		for line := range strings.Lines(string(file.Data)) {
			line = strings.TrimSuffix(line, "\n")
			switch file.Name {
			case "session":
				key, value, _ := strings.Cut(line, " ")
				*map[string]*string{"path": &f.path, "offered": &f.offered, "subprotocol": &f.agreed, "force": &f.force}[key] = value
			case "messages":
				f.messages = append(f.messages, readMessage(t, name, line))
			case "items":
				f.items = append(f.items, line)
			default:
				t.Fatalf("%s: a section %q is not known", name, file.Name)
			}
		}
	}
	return f
}

func readMessage(t testing.TB, name, line string) said {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	if word == "gap" || word == "close" {
		s := said{dir: direction(t, name, rest[:1])}
		if word == "close" {
			code, reason, _ := strings.Cut(rest[2:], " ")
			n, _ := strconv.Atoi(code)
			s.op, s.data = inspect.OpClose, append(binary.BigEndian.AppendUint16(nil, uint16(n)), reason...)
		}
		return s
	}
	s := said{dir: direction(t, name, word[:1]), op: inspect.OpText, data: []byte(rest)}
	var err error
	switch word[1:] {
	case "":
	case "=", "b=":
		var text string
		text, err = strconv.Unquote(rest)
		s.data = []byte(text)
		if word[1:] == "b=" {
			s.op = inspect.OpBinary
		}
	case "b":
		s.op = inspect.OpBinary
	case "x":
		s.op = inspect.OpBinary
		rest, _, _ = strings.Cut(rest, "#")
		s.data, err = hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
	default:
		err = fmt.Errorf("it begins with %q", word)
	}
	if err != nil {
		t.Fatalf("%s: %q: %v", name, line, err)
	}
	return s
}

func direction(t testing.TB, name, arrow string) inspect.Dir {
	t.Helper()
	switch arrow {
	case ">":
		return inspect.ToServer
	case "<":
		return inspect.ToClient
	}
	t.Fatalf("%s: a direction is > or <, not %q", name, arrow)
	return 0
}

// builtins is the table that all tests share; it does not change.
var builtins = sync.OnceValues(func() (*Table, error) { return NewTable() })

func table(t testing.TB) *Table {
	t.Helper()
	all, err := builtins()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// play feeds a fixture's bytes to an inspect.Conn and its messages to a Session.
// Each message is one frame in one chunk; with a random source each is in fragments
// and chunks of any size, with pings between them.
func (f *fixture) play(t testing.TB, rng *rand.Rand) []string {
	t.Helper()
	p := player{t: t, f: f, c: inspect.NewConn(inspect.ConnInfo{ID: 1}, inspect.Limits{}), now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), nth: map[uint64]int{}, rng: rng}
	request := "GET " + f.path + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if f.offered != "" {
		request += "Sec-WebSocket-Protocol: " + f.offered + "\r\n"
	}
	response := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	if f.agreed != "" {
		response += "Sec-WebSocket-Protocol: " + f.agreed + "\r\n"
	}
	p.feed(inspect.ToServer, []byte(request+"\r\n"))
	p.feed(inspect.ToClient, []byte(response+"\r\n"))
	if p.s == nil {
		t.Fatal("the session did not open")
	}
	for _, m := range f.messages {
		p.now = p.now.Add(time.Millisecond)
		if m.op == 0 {
			p.hole(m.dir)
			continue
		}
		p.message(m)
	}
	for i := range p.kept {
		if line := p.kept[i].Line(1000); !strings.HasSuffix(p.lines[i], line) {
			t.Errorf("an item that was kept is\n%s\nand was\n%s", line, p.lines[i])
		}
	}
	for _, w := range p.s.Waiting() {
		p.lines = append(p.lines, fmt.Sprintf("waiting: #%d %s", w.N, w.Name))
	}
	return append([]string{"protocol: " + p.s.Protocol()}, p.lines...)
}

type player struct {
	t     testing.TB
	f     *fixture
	c     *inspect.Conn
	s     *Session
	now   time.Time
	off   [2]int64
	holed [2]bool
	nth   map[uint64]int // message by its last frame
	count int
	lines []string
	kept  []Item // as they were, with what they are made of gone
	rng   *rand.Rand
	copy  bool // go on with a copy after each message
}

func (p *player) message(m said) {
	pieces := [][]byte{m.data}
	if p.rng != nil && m.op != inspect.OpClose {
		pieces = pieces[:0]
		rest := m.data
		for len(rest) > 0 && p.rng.IntN(4) > 0 {
			n := p.rng.IntN(len(rest) + 1)
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		pieces = append(pieces, rest)
	}
	var wire []byte
	for i, piece := range pieces {
		op := m.op
		if i > 0 {
			op = inspect.OpContinuation
		}
		if p.rng != nil && p.rng.IntN(4) == 0 {
			wire = append(wire, frame(inspect.OpPing, m.dir, true, []byte("x"))...)
		}
		wire = append(wire, frame(op, m.dir, i == len(pieces)-1, piece)...)
	}
	for len(wire) > 0 {
		n := len(wire)
		if p.rng != nil {
			n = 1 + p.rng.IntN(n)
		}
		p.feed(m.dir, wire[:n])
		wire = wire[n:]
	}
}

func frame(op inspect.Opcode, d inspect.Dir, fin bool, data []byte) []byte {
	b := []byte{byte(op), 0}
	if fin {
		b[0] |= 0x80
	}
	switch n := len(data); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if d == inspect.ToClient {
		return append(b, data...)
	}
	b[1] |= 0x80
	b = append(b, 1, 2, 3, 4)
	masked := slices.Clone(data)
	inspect.Mask([4]byte{1, 2, 3, 4}, 0, masked)
	return append(b, masked...)
}

func (p *player) feed(d inspect.Dir, data []byte) {
	ch := inspect.Chunk{Conn: 1, Dir: d, Time: p.now, Off: p.off[d], Data: slices.Clone(data)}
	if p.holed[d] {
		ch.Boundary, p.holed[d] = 1, false
	}
	p.take(ch)
}

// hole is what a recording leaves where it could not keep up.
func (p *player) hole(d inspect.Dir) {
	p.take(inspect.Chunk{Conn: 1, Dir: d, Time: p.now, Off: p.off[d], Gap: 100})
	p.off[d] += 100
	p.holed[d] = true
}

func (p *player) take(ch inspect.Chunk) {
	p.off[ch.Dir] += int64(len(ch.Data))
	for e := range p.c.Feed(ch) {
		switch e := e.(type) {
		case *inspect.Opened:
			p.s = table(p.t).Session(e)
			if p.f.force != "" {
				if err := p.s.Force(p.f.force); err != nil {
					p.t.Fatal(err)
				}
			}
		case *inspect.Frame:
			p.s.Event(e)
		case *inspect.Message:
			if !e.Opcode.Control() || e.Opcode == inspect.OpClose {
				p.count++
				p.nth[e.Last] = p.count
			}
			if p.copy {
				p.s = p.s.Clone()
			}
			for _, it := range p.s.Event(e) {
				p.lines = append(p.lines, p.line(&it, e))
				p.kept = append(p.kept, it.Keep())
			}
			clear(e.Data) // what an item is made of is the session's own, or gone
		}
	}
}

// line is an item as the fixtures have it: messages are counted instead of frames,
// since those depend on the fragments.
func (p *player) line(it *Item, m *inspect.Message) string {
	var where []string
	for _, part := range it.Parts {
		w := fmt.Sprint("m", p.nth[part.Last])
		if part.Off > 0 || part.Last == m.Last && part.Len != len(m.Data) {
			w += fmt.Sprintf("[%d:%d]", part.Off, part.Off+part.Len)
		}
		where = append(where, w)
	}
	return strings.Join(where, " ") + "  " + it.Line(1000)
}

func fixtures(t testing.TB) []string {
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
			got := f.play(t, nil)
			if *update {
				f.write(t, name, got)
				return
			}
			if diff := cmp.Diff(f.items, got); diff != "" {
				t.Error(diff)
			}
			if want := filepath.Base(filepath.Dir(name)); !strings.HasPrefix(filepath.Base(name), "near-") && got[0] != "protocol: "+want {
				t.Errorf("%s, not %s", got[0], want)
			}
		})
	}
}

func (f *fixture) write(t *testing.T, name string, items []string) {
	t.Helper()
	data := []byte(strings.Join(items, "\n") + "\n")
	i := slices.IndexFunc(f.archive.Files, func(f txtar.File) bool { return f.Name == "items" })
	if i < 0 {
		f.archive.Files = append(f.archive.Files, txtar.File{Name: "items", Data: data})
	} else {
		f.archive.Files[i].Data = data
	}
	if err := os.WriteFile(name, txtar.Format(f.archive), 0o666); err != nil {
		t.Fatal(err)
	}
}

// The items are the same whatever the fragments and chunks, and whether the session
// goes on itself or in a copy.
func TestFragmentsAndChunks(t *testing.T) {
	for _, name := range fixtures(t) {
		f := readFixture(t, name)
		for seed := range uint64(5) {
			got := f.play(t, rand.New(rand.NewPCG(seed, 0)))
			if diff := cmp.Diff(f.items, got); diff != "" {
				t.Errorf("%s, seed %d: %s", name, seed, diff)
			}
		}
	}
}

// missing says in a sentence for each protocol what its folder lacks, and for each
// folder that no protocol has its name.
func missing(all []Protocol, root string) []string {
	var say []string
	for _, p := range all {
		dir := filepath.Join(root, p.Name)
		if _, err := os.Stat(dir); err != nil {
			say = append(say, fmt.Sprintf("The protocol %s has no folder %s: add one with a conversation that is decoded as it.", p.Name, dir))
			continue
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*.txtar")); len(files) == 0 {
			say = append(say, fmt.Sprintf("The folder %s has no conversation.", dir))
		}
	}
	dirs, _ := os.ReadDir(root)
	for _, d := range dirs {
		if d.IsDir() && !slices.ContainsFunc(all, func(p Protocol) bool { return p.Name == d.Name() }) {
			say = append(say, fmt.Sprintf("The folder %s has the name of no protocol.", filepath.Join(root, d.Name())))
		}
	}
	return say
}

func TestEveryProtocolHasAFolder(t *testing.T) {
	for _, s := range missing(table(t).Protocols(), "testdata") {
		t.Error(s)
	}
}

func TestMissingSaysWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"full/a.txtar", "empty/a.txt", "stray/a.txtar"} {
		f = filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := missing([]Protocol{{Name: "full"}, {Name: "empty"}, {Name: "none"}}, root)
	for i := range got {
		got[i] = filepath.ToSlash(strings.ReplaceAll(got[i], root+string(filepath.Separator), ""))
	}
	want := []string{
		"The folder empty has no conversation.",
		"The protocol none has no folder none: add one with a conversation that is decoded as it.",
		"The folder stray has the name of no protocol.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
