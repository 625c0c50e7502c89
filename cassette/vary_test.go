package cassette

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func secretNames(name, value string) bool {
	return strings.HasSuffix(name, "oken") || value == "hunter22"
}

// made is what Make leaves of a file's lines, and what it says.
func made(t *testing.T, lines string, m Making) (file, changes string) {
	t.Helper()
	c := parsed(t, "{\"cassette\":1,\"recorded\":\"2026-11-23T03:42:21Z\"}\n"+lines)
	var all []string
	for _, x := range c.Make(m) {
		all = append(all, x.String())
	}
	file = written(t, c)
	if _, err := Parse(strings.NewReader(file)); err != nil {
		t.Errorf("%v\nin\n%s", err, file)
	}
	return file, strings.Join(all, "\n") + "\n"
}

func TestMake(t *testing.T) {
	const open = `{"session":1,"open":{"path":"/"},"accept":{"status":101}}` + "\n"
	const head = `{"cassette":1,"recorded":"2026-11-23T03:42:21Z"`
	const uuid = "123e4567-e89b-12d3-a456-426614174000"
	for _, tt := range []struct{ name, lines, want, changes string }{
		{"an id of the client", open + `{"from":"client","json":{"id":"x1","q":"{ n }"}}
{"from":"server","json":{"id":"x1","n":1}}
`, head + `,"values":{"id":"x1"}}
` + open + `{"from":"client","json":{"id":"${id}","q":"{ n }"}}
{"from":"server","json":{"id":"${id}","n":1}}
`, "line 3: \"x1\" became ${id}: the client says it ($.id), the server repeats it (line 4, $.id)\n"},
		{"numbers count by their name", open + `{"from":"client","json":{"id":1,"n":1}}
{"from":"server","json":{"id":1,"result":1}}
{"from":"client","json":{"id":2,"n":1}}
{"from":"server","json":{"id":2,"result":1}}
`, head + `,"values":{"id":1,"id2":2}}
` + open + `{"from":"client","json":{"id":"${id}","n":1}}
{"from":"server","json":{"id":"${id}","result":1}}
{"from":"client","json":{"id":"${id2}","n":1}}
{"from":"server","json":{"id":"${id2}","result":1}}
`, "line 3: 1 became ${id}: the client says it ($.id), the server repeats it (line 4, $.id)\nline 5: 2 became ${id2}: the client says it ($.id), the server repeats it (line 6, $.id)\n"},
		{"a token of the server, inside a topic too", open + `{"from":"server","json":{"welcome":{"socket":"a8f3k2m9x"}}}
{"from":"client","json":{"topic":"private-a8f3k2m9x/chat $${x}"}}
{"from":"client","text":"JOIN a8f3k2m9x"}
`, head + `,"values":{"socket":"a8f3k2m9x"}}
` + open + `{"from":"server","json":{"welcome":{"socket":"${socket}"}}}
{"from":"client","json":{"topic":"private-${socket}/chat $${x}"}}
{"from":"client","text":"JOIN ${socket}"}
`, "line 3: \"a8f3k2m9x\" became ${socket}: the server says it ($.welcome.socket), the client repeats it (line 5, byte 5)\n"},
		{"words and topics stay", open + `{"from":"client","json":{"op":"subscribe","channel":"gold","n":5}}
{"from":"server","json":{"op":"subscribe","channel":"gold","n":5}}
`, head + "}\n" + open + `{"from":"client","json":{"op":"subscribe","channel":"gold","n":5}}
{"from":"server","json":{"op":"subscribe","channel":"gold","n":5}}
`, "\n"},
		{"times and the like of the client", open + `{"from":"client","json":{"at":1795405341123,"day":"2026-11-23T03:42:21.5Z","u":"` + uuid + `","nonce":"abcd","n":1795405341}}
{"from":"server","json":{"at":1795405341125,"u":"` + strings.Replace(uuid, "123", "999", 1) + `"}}
`, head + "}\n" + open + `{"from":"client","json":{"at":"${now.ms}","day":"${now}","u":"${uuid}","nonce":"${string}","n":"${now.s}"}}
{"from":"server","json":{"at":1795405341125,"u":"` + strings.Replace(uuid, "123", "999", 1) + `"}}
`, `line 3: 1795405341123 became ${now.ms}: a time ($.at)
line 3: "2026-11-23T03:42:21.5Z" became ${now}: a time ($.day)
line 3: "123e4567-e89b-12d3-a456-426614174000" became ${uuid}: a uuid ($.u)
line 3: "abcd" became ${string}: a nonce or signature, by its name ($.nonce)
line 3: 1795405341 became ${now.s}: a time ($.n)
`},
		{"a time that the server repeats", open + `{"from":"client","json":{"sent":1795405341123}}
{"from":"server","json":{"sent":1795405341123,"at":1795405341124}}
`, head + `,"values":{"sent":1795405341123}}
` + open + `{"from":"client","json":{"sent":"${sent}"}}
{"from":"server","json":{"sent":"${sent}","at":1795405341124}}
`, "line 3: 1795405341123 became ${sent}: the client says it ($.sent), the server repeats it (line 4, $.sent)\n"},
		{"a time that both say", open + `{"from":"server","json":{"at":1795405341123}}
{"from":"client","json":{"at":1795405341123}}
`, head + "}\n" + open + `{"from":"server","json":{"at":1795405341123}}
{"from":"client","json":{"at":"${now.ms}"}}
`, "line 4: 1795405341123 became ${now.ms}: a time ($.at)\n"},
		{"a secret in an answer's body", `{"http":{"method":"GET","path":"/login"},"answer":{"status":200,"body":"{\"token\":\"t0ps3cret\",\"accessToken\":\"Zx81k2m9x\"}"}}` + "\n" + open + `{"from":"client","json":{"accessToken":"Zx81k2m9x"}}` + "\n",
			head + `,"values":{"accessToken":"*********"}}` + "\n" + `{"http":{"method":"GET","path":"/login"},"answer":{"status":200,"body":"{\"token\":\"*********\",\"accessToken\":\"*********\"}"}}` + "\n" + open + `{"from":"client","json":{"accessToken":"${accessToken}"}}` + "\n",
			"line 2: a secret is left out: a credential in the answer's body ($.token; --no-redact keeps it)\nline 2: a secret became ${accessToken}: the server says it ($.accessToken), the client repeats it (line 4, $.accessToken)\n"},
		{"a cache buster", `{"http":{"method":"GET","path":"/p?transport=polling&t=xhgwbdfa"},"answer":{"status":200}}` + "\n" + open,
			head + "}\n" + `{"http":{"method":"GET","path":"/p?transport=polling&t=${string}"},"answer":{"status":200}}` + "\n" + open,
			"line 2: xhgwbdfa became ${string}: it keeps answers from being cached (the path's t)\n"},
		{"secrets", open + `{"from":"client","json":{"token":"t0ps3cret","pw":"hunter22"}}
{"from":"server","json":{"newToken":"abcdefgh","note":"plain"}}
{"from":"server","json":{"accessToken":"Zx81k2m9x"}}
{"from":"client","json":{"accessToken":"Zx81k2m9x"}}
`, head + `,"values":{"accessToken":"*********"}}
` + open + `{"from":"client","json":{"token":"${string}","pw":"${string}"}}
{"from":"server","json":{"newToken":"********","note":"plain"}}
{"from":"server","json":{"accessToken":"${accessToken}"}}
{"from":"client","json":{"accessToken":"${accessToken}"}}
`, `line 3: a secret became ${string}: a credential, by its name or its looks ($.token; --no-redact keeps it)
line 3: a secret became ${string}: a credential, by its name or its looks ($.pw; --no-redact keeps it)
line 4: a secret is left out: a credential, by its name or its looks ($.newToken; --no-redact keeps it)
line 5: a secret became ${accessToken}: the server says it ($.accessToken), the client repeats it (line 6, $.accessToken)
`},
		{"socket.io", `{"http":{"method":"GET","path":"/socket.io/?transport=polling"},"answer":{"status":200,"body":"0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\"}"}}
{"session":1,"open":{"path":"/socket.io/?transport=websocket&sid=lv_VI97HAXpY6yYWAAAC"},"accept":{"status":101}}
{"from":"client","text":"42[\"say\",{\"id\":\"q7k2m9x1z\"}]"}
{"from":"server","text":"43[{\"id\":\"q7k2m9x1z\"}]"}
`, head + `,"values":{"id":"q7k2m9x1z","sid":"lv_VI97HAXpY6yYWAAAC"}}
{"http":{"method":"GET","path":"/socket.io/?transport=polling"},"answer":{"status":200,"body":"0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\"}"}}
{"session":1,"open":{"path":"/socket.io/?transport=websocket&sid=${sid}"},"accept":{"status":101}}
{"from":"client","text":"42[\"say\",{\"id\":\"${id}\"}]"}
{"from":"server","text":"43[{\"id\":\"${id}\"}]"}
`, `line 2: "lv_VI97HAXpY6yYWAAAC" became ${sid}: the server says it ($.sid), the client repeats it (line 3, the path's sid)
line 4: "q7k2m9x1z" became ${id}: the client says it ($[1].id), the server repeats it (line 5, $[0].id)
`},
		{"what redaction of heads left", `{"session":1,"open":{"path":"/ws?token=********","subprotocols":["bearer.*******","v1"]},"accept":{"status":101}}` + "\n",
			head + "}\n" + `{"session":1,"open":{"path":"/ws?token=${string}","subprotocols":["bearer.${string}","v1"]},"accept":{"status":101}}` + "\n",
			"line 2: a secret became ${string}: a credential in the path\nline 2: a secret became ${string}: a credential in a subprotocol\n"},
	} {
		file, changes := made(t, tt.lines, Making{Variables: true, Secret: secretNames})
		if diff := cmp.Diff(tt.want, file); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.changes, changes); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	// Without variables and secrets nothing changes.
	file, changes := made(t, open+`{"from":"client","json":{"id":"x1","token":"t0ps3cret"}}`+"\n"+`{"from":"server","json":{"id":"x1"}}`+"\n", Making{})
	if strings.Contains(file, "${") || changes != "\n" {
		t.Error(file, changes)
	}
}
