package cassette

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// poll is a line of an exchange of Engine.IO.
func poll(method, sid, body, answer string) string {
	if body != "" {
		body = `,"body":"` + body + `"`
	}
	if sid != "" {
		sid = "&sid=" + sid
	}
	return `{"http":{"method":"` + method + `","path":"/socket.io/?EIO=4&transport=polling` + sid + `"` + body + `},"answer":{"status":200,"body":"` + answer + `"}}`
}

func engineOpen(n, sid string) string {
	return `{"session":` + n + `,"open":{"path":"/socket.io/?EIO=4&transport=websocket&sid=` + sid + `"},"accept":{"status":101}}`
}

const engineHead = `{"cassette":1}`

func lines(all ...string) string { return strings.Join(all, "\n") + "\n" }

func TestEngineIO(t *testing.T) {
	probe := []string{`{"from":"client","text":"2probe"}`, `{"from":"server","text":"3probe"}`}
	over := []string{`{"from":"client","end":"fin"}`, `{"from":"server","end":"fin"}`}
	conversation := func(n, sid string) []string {
		return append(append([]string{poll("GET", "", "", `0{}`), poll("POST", sid, "40", "ok"), engineOpen(n, sid),
			poll("GET", sid, "", `40{\"sid\":\"a\"}`)}, probe...),
			poll("POST", sid, `42[\"a\"]\u001e2`, "ok"), poll("GET", sid, "", `43[1]\u001ebAQI=\u001e6`),
			`{"from":"client","json":5}`, poll("GET", sid, "", "6"), `{"from":"server","json":2}`, `{"from":"client","json":3}`, over[0], over[1])
	}
	settled := func(n, sid string) []string {
		return append(append([]string{poll("GET", "", "", `0{}`), poll("POST", sid, "40", "ok"), engineOpen(n, sid),
			`{"when":{"json":3},"send":[]}`, poll("GET", sid, "", "6")}, probe...),
			`{"from":"client","json":5}`, `{"from":"server","text":"40{\"sid\":\"a\"}"}`, `{"from":"client","text":"42[\"a\"]"}`,
			`{"from":"server","text":"43[1]"}`, `{"from":"server","binary":"AQI="}`, `{"from":"server","json":2}`, over[0], over[1])
	}
	for name, x := range map[string]struct{ from, to []string }{
		"one session":              {conversation("1", "******"), settled("1", "******")},
		"two, one after the other": {append(conversation("1", "******"), conversation("2", "******")...), append(settled("1", "******"), settled("2", "******")...)},
		"its first words are answered late": {
			[]string{engineOpen("1", "a"), poll("GET", "a", "", "42[1]"), poll("POST", "a", "40", "ok"), `{"from":"client","json":5}`},
			[]string{engineOpen("1", "a"), poll("GET", "a", "", "6"), poll("POST", "a", "40", "ok"), `{"from":"client","json":5}`, `{"from":"server","text":"42[1]"}`}},
		"another protocol's 3 and 5":          {[]string{`{"session":1,"open":{"path":"/"},"accept":{"status":101}}`, `{"from":"client","json":5}`, `{"from":"client","json":3}`}, nil},
		"polling alone":                       {[]string{poll("GET", "", "", `0{}`), poll("GET", "a", "", "42[1]"), poll("GET", "a", "", "6")}, nil},
		"polls of another sid":                {append([]string{engineOpen("1", "a"), poll("GET", "b", "", "42[1]")}, `{"from":"client","json":5}`), nil},
		"two at once, which nobody can tell":  {[]string{engineOpen("1", "***"), engineOpen("2", "***"), poll("GET", "***", "", "42[1]"), `{"session":1,"from":"client","json":5}`, `{"session":2,"from":"client","json":5}`}, nil},
		"a session that never left its polls": {[]string{engineOpen("1", "a"), poll("GET", "a", "", "42[1]"), over[0], over[1]}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if x.to == nil {
				x.to = x.from
			}
			c := parsed(t, lines(append([]string{engineHead}, x.from...)...))
			changes := c.React()
			if diff := cmp.Diff(lines(append([]string{engineHead}, x.to...)...), written(t, c)); diff != "" {
				t.Error(diff)
			}
			if (len(changes) == 0) != cmp.Equal(x.from, x.to) {
				t.Errorf("it says %v", changes)
			}
			parsed(t, written(t, c))
		})
	}
}
