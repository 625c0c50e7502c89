package decode

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// What is as long as a message may be and made of nothing but small parts: it takes a
// time that its length explains, and its tree is not many times as large.
func TestSmallParts(t *testing.T) {
	const long = 16 << 20
	length := []byte{0x80, 0x80, 0x80, 0x07} // of a packet of MQTT, 14 MiB
	packet := func(kind byte, head string, fill string) []byte {
		b := append(append([]byte{kind}, length...), head...)
		return append(b, bytes.Repeat([]byte(fill), (7<<21-len(head))/len(fill))...)
	}
	for _, tt := range []struct {
		protocol string
		op       inspect.Opcode
		data     []byte
	}{
		{"json", inspect.OpText, []byte("[1" + strings.Repeat(",1", long/2-2) + "]")},
		{"msgpack", inspect.OpBinary, append([]byte{0xdd, 0, 0xff, 0xff, 0xff}, make([]byte, 0xffffff)...)},
		{"cbor", inspect.OpBinary, append([]byte{0x9a, 0, 0xff, 0xff, 0xff}, make([]byte, 0xffffff)...)},
		{"protobuf", inspect.OpBinary, bytes.Repeat([]byte{0x08, 0x08}, long/2)},
		{"protobuf", inspect.OpBinary, bytes.Repeat([]byte{0x08}, long-1)}, // each 9 bytes are a message behind its length, too
		{"stomp", inspect.OpText, bytes.Repeat([]byte("A\n\n\x00"), long/4)},
		{"stomp", inspect.OpText, bytes.Repeat([]byte("A\r\n\r\n\x00"), long/6)},
		{"mqtt", inspect.OpBinary, packet(0x90, "\x00\x01", "\x00")},
		{"mqtt", inspect.OpBinary, packet(0x82, "\x00\x01", "\x00\x00\x00")},
		{"guacamole", inspect.OpText, []byte("1.a" + strings.Repeat(",0.", long/3-3) + ";")},
		{"sip", inspect.OpText, []byte("OPTIONS x SIP/2.0\r\n" + strings.Repeat(":\r\n", long/3) + "\r\n")},
	} {
		t.Run(tt.protocol, func(t *testing.T) {
			s := table(t).Session(nil)
			if err := s.Force(tt.protocol); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begun := time.Now()
			items := s.Message(&inspect.Message{Opcode: tt.op, Data: tt.data, First: 1, Last: 1})
			if len(items) == 0 {
				t.Fatal("it is nothing")
			}
			for i := range items[:min(len(items), 50)] {
				items[i].Line(200)
			}
			runtime.ReadMemStats(&after)
			if took := time.Since(begun); took > 20*time.Second { // under the race detector; it is below one
				t.Errorf("it took %v", took)
			}
			if made := after.TotalAlloc - before.TotalAlloc; made > 20*long {
				t.Errorf("%d MiB were made of %d", made>>20, len(tt.data)>>20)
			}
		})
	}
}

// What waits for an answer is remembered by the beginning of its name.
func TestWaitingNamesAreShort(t *testing.T) {
	s := table(t).Session(nil)
	if err := s.Force("json-rpc"); err != nil {
		t.Fatal(err)
	}
	s.Message(&inspect.Message{Opcode: inspect.OpText, Data: []byte(`{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("ä", 1<<16) + `"}`)})
	w := s.Waiting()
	if len(w) != 1 || len(w[0].Name) > 300 || !strings.HasSuffix(w[0].Name, "ä…") {
		t.Fatalf("what waits is remembered by %d bytes", len(w[0].Name))
	}
}

// A list of more values than are told says so behind the last one.
func TestMoreChildrenThanAreTold(t *testing.T) {
	for _, n := range []int{maxKids, maxKids + 1} {
		tree := jsonNode([]byte("[0" + strings.Repeat(",1", n-1) + "]"))
		kids := tree.Children()
		want := "1"
		if n > maxKids {
			want = "…"
		}
		if len(kids) != n || kids[n-1].Text != want {
			t.Errorf("a list of %d has %d children, the last is %q", n, len(kids), kids[len(kids)-1].Text)
		}
	}
}
