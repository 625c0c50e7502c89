package decode

import (
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// Where a secret stands can be told, so that it can be left out of a recording.
func TestSecrets(t *testing.T) {
	for _, tt := range []struct {
		as   string
		op   inspect.Opcode
		data string
		want []string
	}{
		{"json", inspect.OpText, `{"user":"joe","password": "hunter2","deep":[{"api_key":7}]}`, []string{`"hunter2"`, "7"}},
		{"graphql-transport-ws", inspect.OpText, `{"type":"connection_init","payload":{"authToken":"abc"}}`, []string{`"abc"`}},
		{"mqtt", inspect.OpBinary, "\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02c1\x00\x03joe\x00\x05pass!", []string{"pass!"}},
		{"stomp", inspect.OpText, "CONNECT\nlogin:joe\npasscode:hunter2\n\n\x00", []string{"hunter2"}},
		{"nats", inspect.OpBinary, "CONNECT {\"user\":\"a\",\"pass\":\"p\"}\r\n", []string{`"p"`}},
		{"msgpack", inspect.OpBinary, "\x81\xa8password\xa6secret", []string{"\xa6secret"}},
		{"json", inspect.OpText, `{"inner":"{\"password\":\"x\"}"}`, nil}, // escaped: it does not stand there as it is
	} {
		s := table(t).Session(nil)
		if err := s.Force(tt.as); err != nil {
			t.Fatal(err)
		}
		m := &inspect.Message{Opcode: tt.op, Data: append(make([]byte, 0, 512), tt.data...)}
		items := s.Message(m)
		if len(items) != 1 {
			t.Fatalf("%s: %d items", tt.as, len(items))
		}
		var got []string
		for _, at := range items[0].Tree.Secrets(m.Data) {
			got = append(got, tt.data[at[0]:at[0]+at[1]])
		}
		if strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%s: %q, not %q: %s", tt.as, got, tt.want, items[0].Line(300))
		}
	}
}

// A value can be asked for by its path, with where it stands.
func TestFind(t *testing.T) {
	data := []byte(`{"params":[1,{"id":12.50}],"text":"{\"a\":true}"}`)
	n := jsonNode(data)
	k, ok := n.Find("params.1.id")
	if off, length, there := k.Range(data); !ok || k.Text != "12.50" || !there || string(data[off:off+length]) != "12.50" {
		t.Errorf("%v %+v at %d", ok, k, off)
	}
	if _, ok := n.Find("params.7"); ok {
		t.Error("there is no params.7")
	}
	want := "params: [1, {id: 12.50}]\ntext: json'{a: true}'\n"
	if got := n.Indented(30); got != want {
		t.Errorf("%q", got)
	}
	long := jsonNode([]byte(`{"list":["` + strings.Repeat("a", 30) + `",2]}`))
	if got, want := long.Indented(30), "list: list\n  - \""+strings.Repeat("a", 30)+"\"\n  - 2\n"; got != want {
		t.Errorf("%q", got)
	}
}
