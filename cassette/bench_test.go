package cassette

import (
	"fmt"
	"strings"
	"testing"
)

// asked is a cassette file in which every second message has an id of its own.
func asked(n int) string {
	var b strings.Builder
	b.WriteString("{\"cassette\":1,\"recorded\":\"2026-11-23T03:42:21Z\"}\n{\"open\":{\"path\":\"/\"}}\n")
	for i := range n {
		fmt.Fprintf(&b, "{\"from\":\"client\",\"json\":{\"id\":\"q%07dx9z\",\"op\":\"get\"}}\n{\"from\":\"server\",\"json\":{\"id\":\"q%07dx9z\",\"n\":%d,\"price\":\"1742.50\"}}\n", i, i, i)
	}
	return b.String()
}

// BenchmarkMake makes variables; a message is an operation.
func BenchmarkMake(b *testing.B) {
	c, err := Parse(strings.NewReader(asked(b.N/2 + 1)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	c.Make(Making{Variables: true})
}

// BenchmarkParse reads what was made.
func BenchmarkParse(b *testing.B) {
	c, err := Parse(strings.NewReader(asked(b.N/2 + 1)))
	if err != nil {
		b.Fatal(err)
	}
	c.Make(Making{Variables: true})
	var file strings.Builder
	if err := c.Write(&file); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := Parse(strings.NewReader(file.String())); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMatch matches messages with variables.
func BenchmarkMatch(b *testing.B) {
	c, err := Parse(strings.NewReader(asked(b.N/2 + 1)))
	if err != nil {
		b.Fatal(err)
	}
	x := copied(c)
	x.Make(Making{Variables: true})
	s := NewScope(x.Values)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if d := s.Match(x.Lines[i+1], c.Lines[i+1]); d != nil {
			b.Fatal(d)
		}
	}
}
