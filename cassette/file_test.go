package cassette

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/wsproxy/wsproxy/inspect"
)

// parsed reads a file that must be right.
func parsed(t *testing.T, file string) *Cassette {
	t.Helper()
	c, err := Parse(strings.NewReader(file))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, file)
	}
	return c
}

func written(t *testing.T, c *Cassette) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// example has everything in it that a cassette may hold.
const example = `{"cassette":1,"recorded":"2026-11-23T03:42:21Z","values":{"id":"a1","n":7}}
{"session":1,"open":{"path":"/graphql?t=${string}","subprotocols":["graphql-transport-ws"],"headers":{"Origin":"http://localhost:3000","X":"1","X":"2"}},"accept":{"status":101,"subprotocol":"graphql-transport-ws","extensions":"permessage-deflate"}}
{"when":{"json":{"op":"ping"}},"send":[{"json":{"op":"pong"}},{"after":"1ms","text":"${n}"}]}
{"from":"client","json":{"type":"connection_init","at":"${now}"}}
{"from":"server","after":"1.2ms","json":{"type":"connection_ack"}}
{"from":"client","json":{"id":"${id}","type":"subscribe","payload":{"query":"{ n }"}},"match":"subset"}
{"from":"server","after":"3ms","json":{"id":"${id}","type":"next","payload":{"data":{"n":1.50}}}}
{"any-order":true}
{"from":"client","text":"a"}
{"from":"client","text":"b ${x}","optional":true}
{"end-any-order":true}
{"from":"client","text":"(?P<y>[a-z]+)${","match":"regex"}
{"from":"client","text":"","match":"any"}
{"from":"client","text":"costs $${price} and $$","optional":true}
{"from":"client","json":{"a":"$${b}"}}
{"from":"client","pong":"hb","match":"exact"}
{"from":"server","binary":"AAEC","frames":[1,2],"compressed":true}
{"from":"client","text":"in between","within":1}
{"from":"server","ping":"hb\udcff"}
{"from":"server","raw":"81026869"}
{"http":{"method":"POST","path":"/socket.io/","body":"40"},"answer":{"status":200,"phrase":"OK","headers":{},"body-base64":"/w=="}}
{"session":2,"open":{"path":"/no"},"accept":{"status":403,"body":"go away"}}
{"session":3,"open":{"path":"/two"},"accept":{"status":101}}
{"session":1,"from":"client","close":1000,"reason":"bye"}
{"session":3,"from":"client","close":null}
{"session":3,"from":"server","end":"rst"}
{"from":"server","end":"fin"}
{"from":"client","end":"fin"}
`

// What was written by hand in the form that Write has comes back as it was.
func TestExampleRoundTrip(t *testing.T) {
	c := parsed(t, example)
	if diff := cmp.Diff(example, written(t, c)); diff != "" {
		t.Error(diff)
	}
	byText := func(s string) Line {
		for _, l := range c.Lines {
			if strings.Contains(string(l.Data), s) {
				return l
			}
		}
		t.Fatalf("no line has %q", s)
		return Line{}
	}
	if l := byText("costs"); l.Template || string(l.Data) != "costs ${price} and $$" || !l.Optional {
		t.Errorf("%+v", l)
	}
	if l := byText("subscribe"); !l.Template || l.Match != Subset {
		t.Errorf("%+v", l)
	}
	if a, b := byText("a"), byText("b ${x}"); a.Group == b.Group && a.Group == 0 {
		t.Errorf("the groups are %d and %d", a.Group, b.Group)
	}
	if l := byText("hb\xff"); l.Kind != Ping {
		t.Errorf("%+v", l)
	}
}

// Comments, blank lines, line ends of Windows and a byte order mark are nothing.
func TestComments(t *testing.T) {
	c := parsed(t, "\xef\xbb\xbf# a comment\r\n\r\n  {\"cassette\" : 1}\r\n# one more\n{\"open\":{\"path\":\"/\"}}\n{\"from\":\"client\",\"json\": [1 , 2]}")
	if len(c.Lines) != 2 || string(c.Lines[1].Data) != "[1 , 2]" || c.Lines[0].Upgrade.Accept.Status != 101 || c.Lines[1].Session != 1 {
		t.Errorf("%+v", c.Lines)
	}
}

// random is a cassette that a generator makes of numbers.
type random struct{ *rand.Rand }

func (r random) text() string {
	parts := []string{"a", "é", "${", "$", "$$", "}", "\"", "\\", "\n", "\u2028", "${x}", "<&>", "\x00", "\x7f", "\U0001F600", "{", "id"}
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

func (r random) bytes() string {
	b := make([]byte, r.IntN(5))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return r.text() + string(b)
}

func (r random) json() string {
	switch r.IntN(5) {
	case 0:
		return string(quoteJSON([]byte(r.text())))
	case 1:
		return "-0.10e+2"
	case 2:
		return "[" + r.json() + " , " + r.json() + "]"
	case 3:
		return `{"` + `\u0024{k}":` + r.json() + ",\t\"b\":null}"
	}
	return "true"
}

func (r random) headers() (all []inspect.HeaderField) {
	if r.IntN(2) == 0 {
		return nil
	}
	all = []inspect.HeaderField{}
	for range r.IntN(3) {
		all = append(all, inspect.HeaderField{Name: "X-\xff" + string(rune('a'+r.IntN(3))), Value: strings.NewReplacer("\n", "", "\r", "").Replace(r.bytes())})
	}
	return all
}

func (r random) line() Line {
	l := Line{From: inspect.Dir(r.IntN(2)), Kind: []Kind{JSON, Text, Binary, Ping, Pong, Close, Raw}[r.IntN(7)]}
	switch l.Kind {
	case JSON:
		l.Data = []byte(r.json())
		l.Match = []Mode{ByKind, Exact, Subset, Any}[r.IntN(4)]
	case Text:
		l.Data = []byte(r.text())
		l.Match = []Mode{ByKind, Any}[r.IntN(2)]
		if r.IntN(4) == 0 {
			l.Data, l.Match = []byte(" "+r.json()), AsJSON
		}
	case Close:
		if l.Code = inspect.CloseCode(1000 + r.IntN(5)); l.Code == 1004 {
			l.Code = inspect.NoStatus
		} else {
			l.Reason = r.text()
		}
	default:
		l.Data = []byte(r.bytes())
	}
	if l.Kind == Pong {
		l.Match = []Mode{ByKind, Exact}[r.IntN(2)]
	}
	l.Optional = l.Awaited() && r.IntN(5) == 0
	if isText(l.Kind) && r.IntN(3) == 0 && l.From == inspect.ToServer {
		quoted := `"${id} x"`
		if l.Kind == Text && l.Match != AsJSON {
			quoted = "${id}$${"
		}
		l.Data, l.Template = []byte(quoted), true
	}
	l.After = time.Duration(r.IntN(3)) * 1234567
	if r.IntN(6) == 0 {
		l.Frames, l.Compressed = []int{1, r.IntN(4)}, true
	}
	return l
}

func (r random) cassette() *Cassette {
	c := &Cassette{Recorded: time.Unix(1700000000+int64(r.IntN(1000)), int64(r.IntN(1e9))).UTC()}
	if r.IntN(2) == 0 {
		c.Values = map[string][]byte{"id": []byte(`"x"`), "a.b": []byte("17")}
	}
	n, group := 0, 0
	for range r.IntN(30) {
		switch k := r.IntN(12); {
		case k == 0 || n == 0:
			n++
			u := &Upgrade{Path: "/" + Literal(r.text()), Accept: Answer{Status: 101, Headers: r.headers()}, Headers: r.headers(), Subprotocol: "p"}
			if r.IntN(3) == 0 {
				u.Accept = Answer{Status: 403, Body: []byte(r.bytes()), Phrase: "No"}
			}
			c.Lines = append(c.Lines, Line{Kind: Open, Session: n, Upgrade: u})
		case k == 1:
			x := &Exchange{Method: "GET", Path: "/" + Literal(r.text()), Body: []byte(r.bytes()), Answer: Answer{Status: 200, Headers: r.headers()}}
			c.Lines = append(c.Lines, Line{Kind: HTTP, Exchange: x})
		case k == 2:
			c.Lines = append(c.Lines, Line{Kind: End, Session: 1 + r.IntN(n), From: inspect.Dir(r.IntN(2)), How: inspect.Fin + inspect.End(r.IntN(2))})
		case k == 3:
			when, send := Line{Kind: Text, Data: []byte(r.text())}, Line{Kind: Text, From: inspect.ToClient, Data: []byte(r.text())}
			c.Lines = append(c.Lines, Line{Kind: When, Session: 1 + r.IntN(n), Reaction: &Reaction{When: when, Send: []Line{send}}})
		case k == 4:
			group++
			for range 1 + r.IntN(3) {
				c.Lines = append(c.Lines, Line{Kind: Text, Session: 1 + r.IntN(n), Data: []byte(r.text()), Group: group})
			}
		default:
			l := r.line()
			l.Session = 1 + r.IntN(n)
			c.Lines = append(c.Lines, l)
		}
	}
	return c
}

var sameCassette = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Line{}, "At")}

// FuzzWrite: what is written is read back as it was.
func FuzzWrite(f *testing.F) {
	for i := range 50 {
		f.Add(uint64(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := random{rand.New(rand.NewPCG(seed, 1))}.cassette()
		file := written(t, c)
		got, err := Parse(strings.NewReader(file))
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, file)
		}
		if diff := cmp.Diff(c, got, sameCassette); diff != "" {
			t.Fatalf("%s\nin\n%s", diff, file)
		}
	})
}

// FuzzParse: whatever can be read is written in a form that is read as the same,
// and does not change any more.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("{\"cassette\":1}\n{\"open\":{\"path\":\"/\"}}\n{\"from\":\"client\",\"hex\":\"82 06${id:2}0A ${string:3}\"}\n"))
	for _, l := range strings.SplitAfter(example, "\n") {
		f.Add([]byte("{\"cassette\":1}\n{\"open\":{\"path\":\"/\"}}\n" + l))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := Parse(bytes.NewReader(file))
		var bad *FileError
		if errors.As(err, &bad) {
			for _, x := range bad.Faults {
				if x.Line < 1 || x.Column < 1 || x.Problem == "" {
					t.Fatalf("%+v", x)
				}
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		once := written(t, c)
		again, err := Parse(strings.NewReader(once))
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, once)
		}
		if diff := cmp.Diff(c, again, sameCassette); diff != "" {
			t.Fatal(diff)
		}
		if twice := written(t, again); twice != once {
			t.Fatal(cmp.Diff(once, twice))
		}
	})
}

// Each file of testdata/faults has a cassette that is wrong and every fault that
// is found in it.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil || len(a.Files) != 2 {
				t.Fatal(a, err)
			}
			_, err = Parse(bytes.NewReader(a.Files[0].Data))
			got := fmt.Sprintln(err)
			if os.Getenv("WSPROXY_UPDATE") != "" {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var bad *FileError
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" || !errors.As(err, &bad) {
				t.Error(diff)
			}
		})
	}
}

func TestIsFile(t *testing.T) {
	for start, want := range map[string]bool{
		"{\"cassette\":1}\n": true, "# c\n\n { \"cassette\" : 1": true, "{\"from\":\"client\"": true, "\xef\xbb\xbf{\"open\":{": true,
		"": false, "{\"log\":{\"entries\":[": false, "\x0a\x0d\x0d\x0a": false, "[1]": false, "# only\n": false, "{}": false,
	} {
		if got := IsFile([]byte(start)); got != want {
			t.Errorf("%q: %v", start, got)
		}
	}
}

// A disk that is full is told.
func TestWriteFails(t *testing.T) {
	if err := parsed(t, example).Write(full{}); err == nil {
		t.Error("no error")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }
