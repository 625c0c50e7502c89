package plain

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/lint"
	"github.com/wsproxy/wsproxy/record"
)

const (
	request = "GET /x\x1b]0;evil\x07 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	answer  = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// printed is a session with an unmasked client frame and a hostile answer.
func printed(t *testing.T, o Options) (lines, summary string) {
	t.Helper()
	var out, sum bytes.Buffer
	p := New(&out, o)
	in := &inspect.Inspector{Judges: lint.All(), Emit: p.Event}
	talk(in)
	total := p.Summary()
	total.Print(&sum)
	return out.String(), sum.String()
}

func talk(in inspect.Sink) {
	in.Open(inspect.ConnInfo{ID: 1})
	in.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToServer, Data: []byte(request)})
	in.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Data: []byte(answer)})
	in.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToServer, Off: int64(len(request)), Data: []byte("\x81\x05Hello")})
	in.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Off: int64(len(answer)), Data: []byte("\x81\x08\x1b[2J\xe2\x80\xaex\x82\x02\x00\xff")})
	for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
		in.End(inspect.Ended{Conn: 1, Dir: d, How: inspect.Fin})
	}
}

// The screen's summary, from the store, is that of the lines.
func TestSummaryOfAStore(t *testing.T) {
	_, want := printed(t, Options{})
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w, err := record.Create(record.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	talk(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := record.OpenStore(context.Background(), path, nil, lint.All()...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-s.Done()
	var got bytes.Buffer
	sum := SummaryOf(s)
	if sum.Print(&got); got.String() != want {
		t.Errorf("%s\nwant\n%s", got.String(), want)
	}
}

func TestLines(t *testing.T) {
	lines, summary := printed(t, Options{})
	for _, want := range []string{
		"s1  open   101  /x␛]0;evil␇",
		">  text        5  fin            Hello  ! unmasked-client-frame RFC 6455 5.1",
		`<  text        8  fin            ␛[2J\u{202e}x`,
		"<  binary      2  fin            00ff",
		"s1  end    1006, no Close frame; then client FIN, server FIN; 1 message up, 2 down",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	if strings.ContainsAny(lines+summary, "\x1b\x07") {
		t.Errorf("a control character reached the terminal:\n%q", lines)
	}
	if !strings.Contains(summary, "1 session (0 refused), 3 frames, 1 finding, 0 HTTP exchanges") {
		t.Errorf("summary %q", summary)
	}
}

func TestJSON(t *testing.T) {
	lines, _ := printed(t, Options{JSON: true})
	var events []string
	for line := range strings.Lines(lines) {
		var r struct {
			Event    string
			Text     string
			Findings []struct{ ID string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if r.Text == "Hello" && (len(r.Findings) != 1 || r.Findings[0].ID != "unmasked-client-frame") {
			t.Errorf("findings of the unmasked frame: %s", line)
		}
		events = append(events, r.Event)
	}
	if got := strings.Join(events, " "); got != "open frame frame frame end" {
		t.Errorf("events %s", got)
	}
}

func TestQuiet(t *testing.T) {
	if lines, _ := printed(t, Options{Quiet: true}); lines != "" {
		t.Errorf("printed %q", lines)
	}
}

// JSON may be read in a terminal too: what that would obey is escaped, and means
// the same to whoever parses it.
func TestJSONIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"plain":          `"plain"`,
		"\x1b[2J":        `"\u001b[2J"`,
		"\u009b2J\u0085": `"\u009b2J\u0085"`,
		"del\x7f":        `"del\u007f"`,
		"\u202egnp.exe":  `"\u202egnp.exe"`,
		"grüße ✓ 日本 😀":   `"grüße ✓ 日本 😀"`,
	} {
		js, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		got := harmless(js)
		if string(got) != want {
			t.Errorf("%q is written as %s, not %s", in, got, want)
		}
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != in {
			t.Errorf("%s is read as %q, %v", got, back, err)
		}
	}
	lines, _ := printed(t, Options{JSON: true})
	if !strings.Contains(lines, `"text":"\u001b[2J\u202ex"`) {
		t.Errorf("the hostile text is written as\n%s", lines)
	}
}

// What was before is counted and not printed.
func TestSince(t *testing.T) {
	var out bytes.Buffer
	begin := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	p := New(&out, Options{Since: begin.Add(3 * time.Second)})
	in := &inspect.Inspector{Emit: p.Event}
	in.Open(inspect.ConnInfo{ID: 1, Time: begin})
	offs := [2]int64{}
	for i, data := range []string{request, answer, "\x81\x06before", "\x81\x02at", "\x81\x05after"} {
		d := inspect.ToClient
		if i == 0 {
			d = inspect.ToServer
		}
		in.Chunk(inspect.Chunk{Conn: 1, Dir: d, Off: offs[d], Time: begin.Add(time.Duration(i) * time.Second), Data: []byte(data)})
		offs[d] += int64(len(data))
	}
	if sum := p.Summary(); sum.Frames != 3 || sum.Sessions != 1 {
		t.Errorf("%+v", sum)
	}
	if got := out.String(); strings.Contains(got, "open") || strings.Contains(got, "before") || strings.Count(got, "\n") != 2 || !strings.Contains(got, "after") {
		t.Errorf("printed:\n%s", got)
	}
}
