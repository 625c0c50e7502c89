package export

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// text is a cassette as a file without what takes part in no comparison.
func text(t *testing.T, c *cassette.Cassette) string {
	t.Helper()
	c.Tidy()
	for i := range c.Lines {
		c.Lines[i].After = 0
	}
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is written as a HAR says the same when it is read back.
func TestHARRoundTrip(t *testing.T) {
	path := recorded(t, record.Options{})
	var b bytes.Buffer
	if _, err := writeHAR(t.Context(), path, &b, record.SaveOptions{Version: "test"}); err != nil {
		t.Fatal(err)
	}
	got, err := ReadHAR(&b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := sessions(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text(t, want), text(t, got)); diff != "" {
		t.Error(diff)
	}
}

// chrome is what Chrome's network panel exports.
const chrome = `{"log":{"version":"1.2","entries":[
{"_resourceType":"document","startedDateTime":"2026-11-25T08:00:00.000Z","time":1,"request":{"method":"GET","url":"http://h/","headers":[]},"response":{"status":200,"statusText":"OK","headers":[]}},
{"_resourceType":"websocket","_webSocketMessages":[
 {"type":"send","time":1795593600.5,"opcode":1,"data":"{\"a\":1}"},{"type":"receive","time":1795593600.6,"opcode":2,"data":"AAEC"},{"type":"receive","time":1795593600.7,"opcode":-1,"data":"error"}],
 "startedDateTime":"2026-11-25T08:00:00.100Z","time":1,"request":{"method":"GET","url":"ws://h:3000/chat?x=${1}","httpVersion":"HTTP/1.1","headers":[{"name":"Sec-WebSocket-Protocol","value":"a, b"},{"name":":path","value":"/"}]},
 "response":{"status":101,"statusText":"Switching Protocols","headers":[{"name":"Sec-WebSocket-Protocol","value":"b"}]}}]}}`

func TestReadChrome(t *testing.T) {
	c, err := ReadHAR(strings.NewReader(chrome))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"cassette":1,"recorded":"2026-11-25T08:00:00.1Z"}
{"session":1,"open":{"path":"/chat?x=$${1}","subprotocols":["a","b"]},"accept":{"status":101,"subprotocol":"b"}}
{"from":"client","json":{"a":1}}
{"from":"server","binary":"AAEC"}
`
	if diff := cmp.Diff(want, text(t, c)); diff != "" {
		t.Error(diff)
	}
}

func TestReadHARErrors(t *testing.T) {
	for file, want := range map[string]string{
		"no json": "it is no HAR",
		`{"log":{"entries":[{"_resourceType":"websocket","request":{"url":"ws://h/"},"startedDateTime":"now"}]}}`:                                              `entry 1 (ws://h/): startedDateTime "now" is no time`,
		`{"log":{"entries":[{"_webSocketMessages":[{"type":"send","_raw":"x"}],"request":{"url":"ws://h/\u001b"},"startedDateTime":"2026-11-25T08:00:00Z"}]}}`: "entry 1 (ws://h/␛)",
		`{"log":{"entries":[{"_webSocketMessages":[{"type":"send","_end":"x"}],"request":{"url":"ws://h/"},"startedDateTime":"2026-11-25T08:00:00Z"}]}}`:       "message 1",
	} {
		if _, err := ReadHAR(strings.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	c, err := ReadHAR(strings.NewReader(`{"log":{"entries":[]}}`))
	if err != nil || len(c.Warnings) != 1 {
		t.Errorf("%v %v", c, err)
	}
}

// Each kind of line comes back as it was.
func TestHARLines(t *testing.T) {
	for _, l := range []cassette.Line{
		{Kind: cassette.Text, Data: []byte("a"), Frames: []int{1, 0}, Within: 2}, {Kind: cassette.JSON, From: inspect.ToClient, Data: []byte("{}"), Compressed: true},
		{Kind: cassette.Binary, Data: []byte("\x00\xff")}, {Kind: cassette.Ping, Data: []byte("hb")}, {Kind: cassette.Pong}, {Kind: cassette.Close, Code: 1000, Reason: "bye"},
		{Kind: cassette.Close, Code: inspect.NoStatus}, {Kind: cassette.End, How: inspect.Rst}, {Kind: cassette.Raw, Data: []byte("\x81")},
	} {
		m := harLine(&l, time.Unix(0, 0))
		got, ok, err := m.line()
		if err != nil || !ok || cassette.LineText(got) != cassette.LineText(l) {
			t.Errorf("%s became %s (%v)", cassette.LineText(l), cassette.LineText(got), err)
		}
	}
}
