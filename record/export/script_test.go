package export

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// asking is a recording in which a client asks with an id and a time, in JSON
// behind a few characters, and is answered.
func asking(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w, err := record.Create(record.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	w.Open(inspect.ConnInfo{ID: 1, Mode: "reverse", Time: at, Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: "127.0.0.1:40000"}})
	var off [2]int64
	frame := func(d inspect.Dir, payload string) string {
		h := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Masked: d == inspect.ToServer, Length: uint64(len(payload))})
		return string(h.Append(nil)) + payload
	}
	for _, c := range []struct {
		dir  inspect.Dir
		data string
	}{{inspect.ToServer, request}, {inspect.ToClient, answer},
		{inspect.ToClient, frame(inspect.ToClient, `{"at":1795564800000,"sid":"q7k2m9x1z"}`)},
		{inspect.ToServer, frame(inspect.ToServer, `42["ask",{"id":"a1b2c3d4e5","sid":"q7k2m9x1z","at":1795564800001,"cost":"${5}"}]`)},
		{inspect.ToClient, frame(inspect.ToClient, `43["a1b2c3d4e5",{"price":17}]`)}} {
		at = at.Add(time.Millisecond)
		w.Chunk(inspect.Chunk{Conn: 1, Dir: c.dir, Time: at, Off: off[c.dir], Data: []byte(c.data)})
		off[c.dir] += int64(len(c.data))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// inNode runs a script in Node, with a test behind it, and answers what that
// prints; false where there is no Node, which with CI=true there must be.
func inNode(t *testing.T, script string) (string, bool) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("node is not installed")
		}
		return "", false
	}
	path := filepath.Join(t.TempDir(), "test.mjs")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, node, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out), true
}

// A page that Playwright has, as far as the module uses it, says what was recorded,
// with other ids, and then something else.
func TestPlaywright(t *testing.T) {
	var b bytes.Buffer
	if _, err := writePlaywright(t.Context(), asking(t), &b, record.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	got, ok := inNode(t, b.String()+`
for (const id of ['z9y8x7w6v5', 17, undefined]) {
  let answer
  const page = { routeWebSocket: async (fits, handler) => { page.fits = fits; page.handler = handler } }
  const recorded = await routeRecorded(page)
  console.log(page.fits('ws://h/chat'), page.fits('ws://h/other'))
  page.handler({
    url: () => 'ws://h/chat', onMessage: (f) => { answer = f }, close: (c) => console.log('close', c.code),
    send: (m) => console.log(m),
  })
  if (id !== undefined) answer('42["ask",{"id":' + JSON.stringify(id) + ',"cost":"${5}","at":' + Date.now() + ',"sid":"q7k2m9x1z"}]')
  else answer('42["ask",{"id":"a1b2c3d4e5","cost":"${6}","at":1,"sid":"q7k2m9x1z"}]')
  try { recorded.check(); console.log('held') } catch (e) { console.log(e.message.split('\n')[0]) }
}
`)
	const first = "true false\n{\"at\":1795564800000,\"sid\":\"q7k2m9x1z\"}\n"
	want := first + "43[\"z9y8x7w6v5\",{\"price\":17}]\nheld\n" + first + "43[17,{\"price\":17}]\nheld\n" + first + "close 3011\nnot as recorded:\n"
	if ok && got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// A virtual user plays the client against a server that is there, and one that has
// changed.
func TestK6(t *testing.T) {
	var b bytes.Buffer
	if _, err := writeK6(t.Context(), asking(t), &b, record.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer(
		"import { WebSocket } from 'k6/websockets'", "",
		"import { check } from 'k6'", "const check = (v, all) => { for (const k in all) console.log(k, all[k](v)) }",
		"import { Counter } from 'k6/metrics'", "class Counter { add(n) { console.log('misses', n) } }",
		"export default function ()", "export function user ()",
		"__ENV.", "env.").Replace(b.String())
	got, ok := inNode(t, "const env = { WSPROXY_URL: 'ws://h:1/', PACE: '0' }\n"+script+`
let price = 17
class WebSocket {
  constructor(url) {
    console.log(url)
    setTimeout(() => { this.onopen(); this.onmessage({ data: '{"at":1795564899999,"sid":"n0w0ther1"}' }) })
  }
  send(m) {
    const [, q] = JSON.parse(m.slice(2))
    console.log(q.sid, q.cost, Math.abs(q.at - Date.now()) < 60000)
    setTimeout(() => { this.onmessage({ data: '43[' + JSON.stringify(q.id) + ',{"price":' + price + '}]' }); this.close() })
  }
  close() { if (!this.closed) { this.closed = true; setTimeout(() => this.onclose()) } }
}
console.error = () => {}
user()
setTimeout(() => { price = 18; user() }, 200)
`)
	const want = "ws://h:1/chat\nn0w0ther1 ${5} true\nall that was recorded came true\nws://h:1/chat\nn0w0ther1 ${5} true\nmisses 1\nall that was recorded came false\n"
	if ok && got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
