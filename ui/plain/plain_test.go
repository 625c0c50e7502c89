package plain

import (
	"bytes"
	"compress/flate"
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

// deflated are messages compressed with context takeover: each looks back at the
// one before.
func deflated(t *testing.T, texts ...string) (frames []string) {
	t.Helper()
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range texts {
		b.Reset()
		if _, err := z.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		if err := z.Flush(); err != nil {
			t.Fatal(err)
		}
		p := strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
		frames = append(frames, "\xc1"+string(rune(len(p)))+p)
	}
	return frames
}

// Behind bytes that were not recorded nothing is printed that was not said: of a
// compressed direction nothing at all, of the other what there is, marked.
func TestNothingWrongIsPrinted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w, err := record.Create(record.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	ext := "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	var off [2]int64
	say := func(d inspect.Dir, gap int, s string, boundary int) {
		n := len(s) - gap
		w.Chunk(inspect.Chunk{Conn: 1, Dir: d, Off: off[d], Data: []byte(s[:n]), Gap: int64(gap), Boundary: boundary})
		off[d] += int64(len(s))
	}
	w.Open(inspect.ConnInfo{ID: 1})
	say(inspect.ToServer, 0, strings.TrimSuffix(request, "\r\n")+ext, 0)
	say(inspect.ToClient, 0, strings.TrimSuffix(answer, "\r\n")+ext, 0)
	f := deflated(t, "the price is 100 dollars", "the price is 200 dollars", "the price is 300 dollars", "the price is 400 dollars")
	say(inspect.ToClient, 0, f[0], 1)
	say(inspect.ToClient, 4, f[1], 1) // shortened
	say(inspect.ToClient, 0, f[2], 1)
	off[inspect.ToClient] += 1000 // dropped
	say(inspect.ToClient, 0, f[3], 1)
	say(inspect.ToServer, 0, "\x01\x05Hello", 1)
	say(inspect.ToServer, 3, "\x00\x06 large", 1)
	say(inspect.ToServer, 0, "\x80\x06 world", 1)
	off[inspect.ToServer] += 1000
	say(inspect.ToServer, 0, "\x80\x08deflated", 1) // of a message that may be compressed
	say(inspect.ToServer, 0, "\x81\x03end", 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		p := New(&out, Options{JSON: asJSON})
		in := &inspect.Inspector{Emit: p.Event}
		if err := record.Follow(t.Context(), path, nil, in); err != nil {
			t.Fatal(err)
		}
		p.Flush()
		lines := out.String()
		for want, n := range map[string]int{"the price is 100 dollars": 1, "(compressed, cannot be inflated)": 4, "Hello la": 1, "end": 2} {
			if got := strings.Count(lines, want); got < n || want != "end" && got > n {
				t.Errorf("%d times %q in\n%s", got, want, lines)
			}
		}
		for _, never := range []string{"200", "300", "400", "world", "deflated"} {
			if strings.Contains(lines, "is "+never) || strings.Contains(lines, "lo"+never) || strings.Contains(lines, " "+never) {
				t.Errorf("%q in\n%s", never, lines)
			}
		}
		if !asJSON && !strings.Contains(lines, "fin cut        Hello la") {
			t.Errorf("the message in fragments is not marked:\n%s", lines)
		}
	}
}
