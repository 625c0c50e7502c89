package decode

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/inspect"
)

// script is messages as bytes: for each a byte that says direction, opcode, loss, then its
// length in two bytes, then it.
func script(messages []said) []byte {
	var b []byte
	for _, m := range messages {
		how := byte(m.dir)
		if m.op == inspect.OpBinary {
			how |= 2
		}
		if m.op == 0 {
			how |= 4
		}
		n := min(len(m.data), 1<<16-1)
		b = append(append(b, how, byte(n>>8), byte(n)), m.data[:n]...)
	}
	return b
}

func unscript(b []byte) []said {
	var all []said
	for len(b) >= 3 && len(all) < 64 {
		m := said{dir: inspect.Dir(b[0] & 1), op: inspect.OpText}
		if b[0]&2 != 0 {
			m.op = inspect.OpBinary
		}
		if b[0]&4 != 0 {
			m.op = 0
		}
		n := min(int(b[1])<<8|int(b[2]), len(b)-3)
		m.data, b = b[3:3+n], b[3+n:]
		all = append(all, m)
	}
	return all
}

// FuzzDecoders feeds anything to every decoder: it never panics, items stand within
// their messages, a copy of the session goes on as the session does, what is kept
// does not change, and no line is longer than what was asked for allows.
func FuzzDecoders(f *testing.F) {
	t := table(f)
	all := t.Protocols()
	for i, p := range all {
		for _, name := range fixtures(f) {
			if fix := readFixture(f, name); filepath.Base(filepath.Dir(name)) == p.Name {
				f.Add(uint8(i), script(fix.messages))
				f.Add(uint8(255), script(fix.messages))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		s := table(t).Session(nil)
		if int(which) < len(all) {
			if err := s.Force(all[which].Name); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Unix(1e9, 0)
		for n, m := range unscript(b) {
			now = now.Add(time.Millisecond)
			if m.op == 0 {
				s.Gap(m.dir)
				continue
			}
			msg := &inspect.Message{Dir: m.dir, Opcode: m.op, Data: m.data, Time: now, First: uint64(n + 1), Last: uint64(n + 1), Size: int64(len(m.data))}
			c := s.Clone()
			lines := checkItems(t, s, msg)
			if diff := cmp.Diff(lines, checkItems(t, c, msg)); diff != "" {
				t.Fatalf("a copy goes on otherwise: %s", diff)
			}
		}
		if len(s.Waiting()) > maxWaiting {
			t.Fatal("too many wait")
		}
	})
}

func checkItems(t *testing.T, s *Session, m *inspect.Message) []string {
	t.Helper()
	var lines []string
	for _, it := range s.Message(m) {
		line := it.Line(300)
		if len(line) > 20_000 {
			t.Fatalf("a line of %d bytes", len(line))
		}
		if inspect.Visible([]byte(line), 0) != line {
			t.Fatalf("a line is not safe to show: %q", line)
		}
		for _, p := range it.Parts {
			if p.Last == m.Last && (p.Off < 0 || p.Len < 0 || p.Off+p.Len > len(m.Data)) {
				t.Fatalf("%+v is not in a message of %d bytes: %s", p, len(m.Data), line)
			}
		}
		for _, f := range it.Findings {
			if strings.Contains(f.Detail, "panic") {
				t.Fatal(f.Detail)
			}
		}
		if kept := it.Keep(); kept.Line(300) != line {
			t.Fatalf("kept: %s\nwas:  %s", kept.Line(300), line)
		}
		if _, err := it.MarshalJSON(); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		it.Tree.Indented(60)
		lines = append(lines, line)
	}
	return lines
}
