package decode

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// kilobyte is a message of 1 KiB in the manner of a protocol.
func kilobyte(format string, id int) []byte {
	b := fmt.Appendf(nil, format, id)
	pad := bytes.Index(b, []byte("PAD"))
	fill := bytes.Repeat([]byte(`{"symbol":"ABC","bid":1.2345,"ask":1.2346},`), 40)
	fill = fill[:1024-len(b)+3-1]
	fill = fill[:bytes.LastIndex(fill, []byte("},{"))+1]
	b = append(b[:pad:pad], append(fill, b[pad+3:]...)...)
	return append(b, bytes.Repeat([]byte(" "), 1024-len(b))...)
}

// BenchmarkJSON decodes messages of 1 KiB as a list on a screen needs them: names,
// kinds, ids, what answers what. Nobody opens the trees. The goal is 200,000 a second.
func BenchmarkJSON(b *testing.B) {
	for _, tt := range []struct{ name, ask, answer string }{
		{"json-rpc", `{"jsonrpc":"2.0","id":%d,"method":"quotes","params":[PAD]}`, `{"jsonrpc":"2.0","id":%d,"result":[PAD]}`},
		{"graphql-transport-ws", `{"id":"%d","type":"subscribe","payload":{"query":"{a}","variables":{"v":[PAD]}}}`, `{"id":"%d","type":"complete","payload":{"data":[PAD]}}`},
		{"json", `{"seq":%d,"data":[PAD]}`, `{"seq":%d,"data":[PAD]}`},
		{"socket.io", `42%d["quotes",[PAD]]`, `43%d[[PAD]]`},
	} {
		b.Run(tt.name, func(b *testing.B) {
			s := table(b).Session(nil)
			if err := s.Force(tt.name); err != nil {
				b.Fatal(err)
			}
			var pairs [64][2][]byte
			for i := range pairs {
				pairs[i] = [2][]byte{kilobyte(tt.ask, i), kilobyte(tt.answer, i)}
			}
			m := &inspect.Message{Opcode: inspect.OpText, Time: time.Unix(1e9, 0)}
			answers, items, n := 0, 0, 0
			for b.Loop() {
				m.Dir, m.Data = inspect.Dir(n&1), pairs[n/2%len(pairs)][n&1]
				n++
				for _, it := range s.Message(m) {
					items++
					if it.Answers > 0 {
						answers++
					}
				}
			}
			if items != n || answers != n/2 {
				b.Fatalf("%d messages were %d items and %d answers", n, items, answers)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
