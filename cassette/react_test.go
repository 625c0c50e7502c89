package cassette

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// beating is a session with a heartbeat every pause, and something in between.
func beating(pause, answer2 string) string {
	const ping, pong = `{"from":"client","json":{"op":"poll"}}`, `{"from":"server","json":{"op":"pong"}}`
	after := func(s string) string {
		return strings.Replace(s, `"from":"client",`, `"from":"client","after":"`+pause+`",`, 1)
	}
	return strings.Join([]string{`{"cassette":1}`, `{"session":1,"open":{"path":"/"},"accept":{"status":101}}`,
		`{"from":"client","text":"hello"}`, after(ping), pong, `{"from":"server","text":"news"}`, after(ping), answer2, after(ping), pong, `{"from":"client","text":"bye"}`, ""}, "\n")
}

func TestReact(t *testing.T) {
	const pong = `{"from":"server","json":{"op":"pong"}}`
	c := parsed(t, beating("30s", pong))
	changes := c.React()
	if len(changes) != 1 || !strings.HasPrefix(changes[0].String(), `line 4: 3 heartbeats json {"op":"poll"} is left out: the client says it again and again`) {
		t.Errorf("%v", changes)
	}
	const want = `{"cassette":1}
{"session":1,"open":{"path":"/"},"accept":{"status":101}}
{"when":{"json":{"op":"poll"}},"send":[{"json":{"op":"pong"}}]}
{"from":"client","text":"hello"}
{"from":"server","after":"30s","text":"news"}
{"from":"client","after":"1m0s","text":"bye"}
`
	if diff := cmp.Diff(want, written(t, c)); diff != "" {
		t.Error(diff)
	}
	c = parsed(t, strings.ReplaceAll(beating("1ms", pong), `"op":"poll"`, `"type":"ping"`))
	if changes := c.React(); len(changes) != 1 || !strings.Contains(written(t, c), `{"when":{"json":{"type":"ping"}},"send":[{"json":{"op":"pong"}}]}`) {
		t.Errorf("a ping by its name: %v\n%s", changes, written(t, c))
	}
	for name, file := range map[string]string{
		"too fast": beating("1ms", pong), "another answer": beating("30s", `{"from":"server","json":{"op":"other"}}`),
		"too few": strings.Replace(beating("30s", pong), `{"op":"poll"}`, `{"op":"once"}`, 1),
		"no pace": strings.Replace(beating("30s", pong), `"30s"`, `"1s"`, 2) + `{"from":"client","after":"500s","json":{"op":"poll"}}` + "\n" + pong + "\n",
	} {
		c := parsed(t, file)
		if changes := c.React(); len(changes) > 0 {
			t.Errorf("%s: %v", name, changes)
		}
	}
}
