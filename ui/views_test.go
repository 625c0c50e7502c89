package ui

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"go/parser"
	gotoken "go/token"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// frameRowOf is a frame of the first session, counted from 0.
func frameRowOf(t testing.TB, s source, n int) record.Row {
	t.Helper()
	var one [1]record.Row
	if s.Rows(0, n, one[:]) != 1 {
		t.Fatalf("there is no frame %d", n)
	}
	return one[0]
}

// shop is a recording of a shop's prices, for looking at payloads.
func shop(t testing.TB) *play {
	p := newPlay(t)
	c := p.connect().open("/prices?token=hush", "Authorization: Bearer abcdefgh\r\nCookie: sid=secret; lang=en\r\nOrigin: http://localhost:5173\r\nX-Trace: 1\r\nSec-WebSocket-Protocol: prices.v1\r\n",
		"Sec-WebSocket-Protocol: prices.v1\r\n")
	c.up(`{"type":"subscribe","id":1,"payload":{"channels":["tick","trade"],"filter":{"market":"XETR","symbols":[{"name":"SAP","limits":{"low":90.5,"high":120.25}},{"name":"BMW","limits":{"low":70,"high":95}}]}}}`) // 1
	for i := range 5 {
		c.down(fmt.Sprintf(`{"type":"tick","market":"XETR","seq":%d,"data":{"symbol":%q,"price":%d.5,"levels":[1,2,3]}}`, i, []string{"SAP", "BMW"}[i%2], 100+i)) // 2–6
		if i == 2 {
			c.down(`{"type":"status","note":"another kind"}`) // 5
		}
	}
	c.frame(inspect.ToClient, inspect.OpBinary, "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x02\x80\x00\x00\x01\xe0\x08\x06") // 8
	c.frame(inspect.ToClient, inspect.OpBinary, packed(t, `{"type":"packed","n":1}`))                                            // 9
	c.frame(inspect.ToServer, inspect.OpBinary, "it's text,\nin two lines")                                                      // 10
	c.up("say 'hi' to \x1b[2J\u202e\x00 100%")                                                                                   // 11
	c.end(inspect.ToServer, inspect.Fin)
	p.close()
	return p
}

// packed is a text as gzip.
func packed(t testing.TB, s string) string {
	t.Helper()
	var b strings.Builder
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The user looks into a document: the head says where the cursor is, o folds what it
// is in, O everything.
func TestFold(t *testing.T) {
	d := drive(t, shop(t).store(false), Options{}, 80, 30).keys("<Enter>j<Enter><Enter>").has(`"low": 90.5`, ` `)
	d.keys("jj").has("\n .type   ?").keys("jj").has("\n .payload   ?").keys("jjjj").has("\n .payload.filter.symbols   ?")
	d.keys("j").has("\n .payload.filter.symbols[0]   ?").keys("o").has("\n .payload.filter.symbols   ?", "[…] 2 values").hasNot("90.5").has(`"market": "XETR"`)
	d.keys("o").has("90.5")
	d.keys("O").has(`"payload": {…} 2 values`, `"id": 1`).hasNot("XETR").keys("jjjjo").has(`"filter": {…} 2 values`, `["tick", "trade"]`).keys("O").has("XETR", "90.5")
	d.keys("G").has("\n .   ?").keys("o").has("{…} 3 values").hasNot("payload", "XETR").keys("o").has("XETR")
	d.keys("]").has("tick").keys("[").has("90.5") // what is folded is forgotten with its message, and nothing else is
	d.click(20, 9, tcell.Button1).has(".payload.filter.market")
}

// v goes through the ways to show a payload, :view names one, and the next message is
// shown in the same way.
func TestViews(t *testing.T) {
	s := shop(t).store(false)
	d := drive(t, s, Options{}, 100, 30).keys("<Enter>j").has(`  "type": "subscribe",`)
	d.keys("v").has("shown as JSON").keys("v").has("shown as text", `{"type":"subscribe","id":1`).keys("v").has("shown as hex", "000000  7b 22")
	d.keys("j").has("000000  7b 22 74").keys("v").has("shown as table", "messages by the server like this one").keys("v").has("as fits it", `  "type": "tick"`)
	d.keys(":view h<Enter>").has("000000  7b 22").keys(":view JS<Enter>").has(`  "type": "tick"`).keys(":view odd<Enter>").has("there is no view")
	d.keys("3v").has("[1 Message]", `  "type": "tick"`) // from another tab it goes there first

	d = drive(t, s, Options{}, 100, 40).keys("<Enter>jjjjjjjj").has("PNG image 640x480", "000000  89 50 4e 47")
	d.keys("j").has("gzip data", "unpacked to 23 B", `"type": "packed"`).keys("vvv").has("shown as hex", "000000  1f 8b 08")
	d.keys("j").has("000000  69 74").keys("v").has("as fits it", "it's text,␊", "in two lines").keys("vv").has("as hex")
}

// The table has the messages of the selected one's kind, what they have in common
// above it.
func TestTable(t *testing.T) {
	s := shop(t).store(false)
	d := drive(t, s, Options{}, 110, 40).keys("<Enter>jjj:view table<Enter>")
	d.has("5 messages by the server like this one, #2 to #7", "the same in all: .type tick  .market XETR  .data.levels […]",
		"#      time  .seq  .data.symbol  .data.price", "0.003  0     SAP           100.5", "▸      3     0.004  1     BMW")
	d.hasNot(".note").keys("j").has("▸      4")
	d.keys("k").keys(":view hex<Enter>:view table<Enter>").has("▸      3")
	one := drive(t, s, Options{}, 110, 40).keys("<Enter>jjjjj:view table<Enter>").has("1 message by the server", ".note", "another kind")
	one.keys("jjj").has("PNG image") // what is no JSON has no table
}

// A message of half a gigabyte is laid out as far as a screen is read, G goes on, and
// nothing waits for it.
func TestHugeMessage(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "", "")
	n := 64 << 20 // what is not read is not there: the size makes no difference
	switch {
	case racing:
		n /= 4
	case os.Getenv("WSPROXY_COUNTS") == "full":
		n = 500 << 20
	}
	head := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Length: uint64(n)})
	c.say(inspect.ToClient, string(head.Append(nil)))
	part := strings.Repeat(`{"a":[1,2,3],"b":"x"},`, 1<<15)
	c.say(inspect.ToClient, `[`+part[:len(part)-1])
	for sent := len(part); sent < n; {
		more := part[:min(len(part), n-sent)]
		c.say(inspect.ToClient, more)
		sent += len(more)
	}
	p.close()
	s := p.store(false)
	d := drive(t, s, Options{}, 80, 24)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	d.keys("<Enter>j<Enter>").has(`"a": [1, 2, 3]`).keys("G").has("the first 262 kB are shown, G goes on").keys("G").keys("G").has("the first 524 kB").keys("G").keys("G").has("the first 1.0 MB are shown").hasNot("G goes on")
	d.keys("v").keys("v").has("as text").keys("v").has("as hex").keys("v").has("as table")
	if took := time.Since(start); took > 30*time.Second { // a second or so without -race
		t.Errorf("it took %v", took)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 600<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
}

// However deep a document is, folding it and saying where one is goes on.
func TestDeepMessage(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/", "", "")
	c.down(strings.Repeat(`{"a":[`, 20_000) + strings.Repeat("]}", 20_000))
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).keys("<Enter>j<Enter>").has(`"a": [`)
	d.keys("<PgDn><PgDn><PgDn>").has(".a[0].a[0]").keys("G").keys("k").has(" .").keys("O").has("[…] 1 value").keys("O").keys("g").has(`"a": [`)
}

// What a user pipes a payload through is shown in its place, as hostile as it may be,
// and only for that message.
func TestPipe(t *testing.T) {
	var asked string
	var input []byte
	say := func(_ context.Context, command string, in []byte, most int) ([]byte, error) {
		asked, input = command, in
		switch command {
		case "hostile":
			return []byte("\x1b]0;owned\a\x1b[2J\u009b1m\u202eevil\u200b\x00"), nil
		case "long":
			return []byte(strings.Repeat("x", most+1)), nil
		case "none":
			return nil, errors.New("it ended with exit code 127")
		}
		return []byte(`{"said":[1,2]}`), nil
	}
	d := drive(t, shop(t).store(false), Options{Pipe: say}, 100, 30).keys("<Enter>j<Enter>|jq .<Enter>").has("| jq .", "14 B", `"said": [1, 2]`)
	d.do(func() {
		if asked != "jq ." || !strings.HasPrefix(string(input), `{"type":"subscribe"`) {
			t.Errorf("%q got %q", asked, input)
		}
	})
	d.keys("v").has(`"type": "subscribe"`).keys("|").has("| jq .").keys("<Ctrl-U>none<Enter>").has("it ended with exit code 127", "(it said nothing)")
	d.keys("|<Ctrl-U>hostile<Enter>").has("␛]0;owned␇")
	cells, _, _ := d.cells()
	if what := raw(cells); what != "" {
		t.Errorf("%s on the screen, from a command", what)
	}
	d.keys("|<Ctrl-U>long<Enter>").has("| long").keys("G").has("more was said; the first 262 kB")
	every := everyday(t)
	every.close()
	drive(t, every.store(false), Options{Pipe: say}, 100, 30).keys("<Enter>jjj|wc<Enter>").has("| wc").do(func() {
		if !strings.HasPrefix(string(input), `{"id":"7f3a","type":"subscribe"`) {
			t.Errorf("of a compressed message %q was passed on", input)
		}
	})
	d.keys("]").hasNot("| long").has("tick").keys("[").hasNot("| long").has("subscribe")
	d.keys("qg|x<Enter>").has("only a message can be passed on")
	drive(t, shop(t).store(false), Options{}, 100, 30).keys("<Enter>j|x<Enter>").has("no commands are run here")
	nothing := drive(t, newPlay(t).store(true), Options{Live: true, Pipe: say}, 100, 30).keys("<Tab><Tab>|x<Enter>").has("only a message can be passed on")
	nothing.keys("yexplain<Enter>").has("there is nothing to copy yet").keys("yv").keys("<Esc>oOvvgG")
}

// A command that does not end can be stopped, and ends with the screen.
func TestPipeStops(t *testing.T) {
	ended := make(chan error, 2)
	wait := func(ctx context.Context, _ string, _ []byte, _ int) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	d := drive(t, shop(t).store(false), Options{Pipe: wait}, 100, 30).keys("<Enter>j|sleep<Enter>").has("sleep is running")
	d.keys("<Esc>").has("the command was stopped", "SESSIONS")
	<-ended
	d.keys("|<Ctrl-U>sleep<Enter>").has("sleep is running").keys("Q")
	await(t, "the screen to end", d.over)
	<-ended
}

// What is copied goes to the terminal and to the machine's clipboard.
func TestCopy(t *testing.T) {
	var got []byte
	clip := func(_ context.Context, text []byte) (string, error) { got = text; return "xclip", nil }
	s := shop(t).store(false)
	d := drive(t, s, Options{Copy: clip}, 120, 40).keys("<Enter>jj")
	copied := func(how string, want ...string) {
		t.Helper()
		d.keys(":copy " + how + "<Enter>").has("copied " + strings.Fields(how)[0])
		d.do(func() {
			if string(d.sim.GetClipboardData()) != string(got) {
				t.Errorf("%s: the terminal has %q, the clipboard %q", how, d.sim.GetClipboardData(), got)
			}
			wants(t, string(got), want...)
		})
	}
	const tick = `{"type":"tick","market":"XETR","seq":0,"data":{"symbol":"SAP","price":100.5,"levels":[1,2,3]}}`
	d.keys("y").has("copy:", "websocat", "as on the wire, in hex").keys("pay<Enter>").has("copied payload, 94 B, by xclip and the terminal")
	copied("payload", tick)
	copied("hex", fmt.Sprintf("815e%x", tick))
	copied("explain", fmt.Sprintf("wsproxy explain 815e%x", tick))
	copied("build", `wsproxy explain --build 'text "{\"type\":\"tick\"`)
	copied("websocat", `printf %s '`+tick+`' | websocat -n -H='Authorization: Bearer ********' -H='Cookie: sid=******; lang=**' -H='X-Trace: 1' --origin http://localhost:5173 --protocol prices.v1 'ws://localhost:3000/prices?token=****'`)
	d.has("masked (:copy websocat secrets)")
	copied("websocat secrets", `-H='Authorization: Bearer abcdefgh'`, `sid=secret`, `token=hush`)
	d.hasNot("masked")
	copied("wscat", `wscat -c 'ws://localhost:3000/prices?token=****' -s prices.v1`, `-o http://localhost:5173`, `-x '`+tick+`' -w 5`)
	copied("curl", `curl -i -N --http1.1 -m 5 -H 'Connection: Upgrade'`, `-H 'Sec-WebSocket-Protocol: prices.v1'`, `-H 'Cookie: sid=******`, `'http://localhost:3000/prices?token=****'`)
	copied("js", `new WebSocket("ws://localhost:3000/prices?token=****", ["prices.v1"])`, `ws.send("{\"type\":\"tick\"`)
	copied("go", `websocket.Dialer{Subprotocols: []string{"prices.v1"}}`, `header.Add("X-Trace", "1")`, `dialer.Dial("ws://localhost:3000/prices?token=****", header)`)
	d.keys("jjjjjj")
	copied("payload", "89504e470d0a1a0a")
	copied("js", "new Uint8Array([137, 80, 78")
	d.keys("jj")
	copied("websocat", `printf 'it'\''s text,\nin two lines' | websocat -b -n`)
	d.keys("g:copy payload<Enter>").has("this row is no frame").keys(":copy nothing<Enter>").has("nothing is copied as")
	copied("curl", "curl -i -N")
	d.keys("y").hasNot("as on the wire").has("wscat").keys("<Esc>")

	p := everyday(t)
	p.close()
	d = drive(t, p.store(false), Options{Copy: clip}, 120, 40).keys("Hg<Enter>")
	copied("curl", "curl -i http://localhost:3000/app.js")
}

// What cannot be copied is said.
func TestNotCopied(t *testing.T) {
	p := newPlay(t)
	const deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	c := p.connect().open("/", deflate, deflate)
	c.frame(inspect.ToClient, inspect.OpText, "\x01\x02\x03", func(f *inspect.Fields) { f.Rsv1 = true })
	c.down(strings.Repeat("x", copyCommand+1))
	c.end(inspect.ToServer, inspect.Fin)
	p.close()
	broken := func(context.Context, []byte) (string, error) { return "", errors.New("no display") }
	d := drive(t, p.store(false), Options{Copy: broken}, 120, 40).keys("<Enter>j:copy payload<Enter>").has("not copied: the message cannot be inflated")
	d.keys(":copy hex<Enter>").has("copied hex, 10 B, by the terminal").keys("j:copy explain<Enter>").has("not copied: it is too long to copy: 66 kB")
	d.keys(":copy payload<Enter>").has("not copied: 66 kB are too many for the terminal, and no display").keys(":copy curl<Enter>").has("copied curl")
}

// The body of an HTTP answer folds as a message does.
func TestFoldBody(t *testing.T) {
	p := newPlay(t)
	c := p.connect()
	c.say(inspect.ToServer, "GET /list HTTP/1.1\r\nHost: localhost\r\n\r\n")
	const body = `{"items":[{"name":"one","tags":["a","b"],"price":12.5},{"name":"two","tags":[],"price":13.5}],"next":null}`
	c.say(inspect.ToClient, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	c.end(inspect.ToServer, inspect.Fin)
	p.close()
	d := drive(t, p.store(false), Options{Exchanges: true}, 80, 24).keys("<Enter>G<Enter>").has(`"next": null`, "12.5")
	d.keys("O").has(`"items": […] 2 values`).hasNot("12.5").keys("O").has("12.5").keys("jjjjo").has("…").hasNot("12.5")
}

// What is hostile in a payload is not in a command that is made of it.
func TestCopiedCommandsAreSafe(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/"+strings.ReplaceAll(inLine, " ", "")+"'`$(x)", "X-Odd: "+inLine+"\r\nX'q: it's\r\nOrigin: "+inLine+"\r\nSec-WebSocket-Protocol: "+inLine+"\r\n", "")
	c.up(nasty + "'; $(touch x) `x` \\ 100% \"")
	c.frame(inspect.ToServer, inspect.OpBinary, nasty)
	p.close()
	s := p.store(false)
	x := s.Session(0)
	for n := range 2 {
		row := frameRowOf(t, s, n)
		for _, cp := range copyings() {
			sub, err := subjectOf(s, &want{entry: entryFrame, row: row}, &x, cp)
			if err != nil {
				t.Fatal(err)
			}
			sub.asked(&x, true)
			got := string(cp.make(sub))
			if cp.name == "payload" {
				continue
			}
			for l := range strings.Lines(got) {
				if l = strings.TrimSuffix(strings.ReplaceAll(l, "\t", ""), "\n"); inspect.Visible([]byte(l), 0) != l {
					t.Errorf("%s has %q", cp.name, l)
				}
			}
		}
	}
}

// A shell makes the same bytes of the words again.
func TestShellBytes(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		return
	}
	for _, want := range []string{"", "plain", "it's", "two\nlines\n", "100% \\n", nasty, "'\x00'\xff", "\\", "-n", "%s%d", "$(x) `y` $HOME \"q\""} {
		word, escaped := shellBytes([]byte(want))
		script := "printf %s " + word
		if escaped {
			script = "printf " + word
		}
		got, err := exec.Command(sh, "-c", script).Output()
		if err != nil || string(got) != want {
			t.Errorf("%q became %s, which makes %q, %v", want, script, got, err)
		}
	}
}

// Go and JavaScript read the same payload again.
func TestQuoted(t *testing.T) {
	s := &subject{message: true, opcode: inspect.OpText, payload: []byte("a\"\\\n\u2028\u202e\U0001f600é")}
	if got := s.jsPayload(); got != `"a\"\\\n\u{2028}\u{202e}😀é"` {
		t.Errorf("JavaScript: %s", got)
	}
	if got := goSnippet(s); !strings.Contains(got, `[]byte("a\"\\\n\u2028\u202e😀é")`) {
		t.Errorf("Go: %s", got)
	}
	s.subprotocol, s.url, s.headers = "a, b", "ws://localhost/\u202e", []inspect.HeaderField{{Name: "X-A", Value: "\"q\" \u202e"}}
	for _, op := range []inspect.Opcode{inspect.OpText, inspect.OpBinary} {
		s.opcode = op
		if _, err := parser.ParseFile(gotoken.NewFileSet(), "", "package p\nfunc f() {\n"+goSnippet(s)+"}", 0); err != nil {
			t.Errorf("no Go: %v in\n%s", err, goSnippet(s))
		}
	}
	if got := hex.EncodeToString(copyPayload(&subject{payload: []byte("a\x00")})); got != hex.EncodeToString([]byte("6100")) {
		t.Errorf("a NUL is copied as %s", got)
	}
}

// one is a source of a single message, for looking at payloads alone.
type one struct {
	source
	msg record.Message
}

func (o one) Message(record.Row, int) (record.Message, error) { return o.msg, nil }
func (o one) Rows(int, int, []record.Row) int                 { return 0 }

// Whatever a peer sends, and in whatever way it is shown, nothing of it is obeyed and
// nothing is wider than the page; every cursor has a path and every fold opens again.
func FuzzViews(f *testing.F) {
	for i, s := range []string{`{"a":[1,{"b":null}],"c":"x"}`, nasty, "\x1f\x8b\x08\x00", "\x78\x9c\x01", `[[[{"a`, "{\"\u202e\":{\"\x1b\":1}}", `{"type":"x","a.b":{"c":[]}}`, "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\xff\xff\xff\xff\x00\x00\x00\x00"} {
		f.Add([]byte(s), uint8(i), uint8(i*3), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, how, op uint8, all bool) {
		if len(b) > 1<<12 {
			return
		}
		msg := record.Message{Message: inspect.Message{Opcode: inspect.Opcode(1 + op%2), Data: b, Size: int64(len(b))}}
		m := &maker{source: one{msg: msg}, want: want{entry: entryFrame}}
		m.width = 60
		m.want.mode = mode(how) % modes
		m.want.folds = &folds{all: all, flipped: map[int]bool{int(how): true}}
		m.payload(&msg)
		for _, l := range m.wrapped() {
			text := l.String()
			if inspect.Visible([]byte(text), 0) != text {
				t.Fatalf("%q is shown as %q", b, text)
			}
			if !l.short && width(text) > 60 {
				t.Fatalf("%q has %d columns", text, width(text))
			}
			if n := l.node; n > 0 {
				if at := path(m.nodes, n-1); inspect.Visible([]byte(at), 0) != at || at == "" {
					t.Fatalf("the path %q", at)
				}
			}
		}
	})
}
