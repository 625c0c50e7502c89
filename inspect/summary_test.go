package inspect

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestSummary(t *testing.T) {
	const filler = `"filler":"0123456789012345678901234567890123456789"`
	for _, tt := range []struct {
		name string
		m    Message
		want string
	}{
		{"short JSON says enough itself", Message{Opcode: OpText, Data: []byte(`{"type":"connection_init"}`)}, `{"type":"connection_init"}`},
		{"GraphQL", Message{Opcode: OpText, Data: []byte(`{"id":"7f3a","type":"subscribe","payload":{"query":"{ n }","operationName":"Ticks"}}`)},
			`subscribe id=7f3a operationName=Ticks  {"id":"7f3a",`},
		{"JSON-RPC", Message{Opcode: OpText, Data: []byte(`{"jsonrpc":"2.0","id":12,"method":"Page.navigate",` + filler + `}`)}, `Page.navigate id=12  {"jsonrpc"`},
		{"a number is no verb", Message{Opcode: OpText, Data: []byte(`{"op":10,"d":{"type":"inner"},` + filler + `}`)}, `op=10  {"op"`},
		{"an error", Message{Opcode: OpText, Data: []byte(`{"id":1,"error":{"code":-32601,"message":"x"},` + filler + `}`)}, `id=1 error  {"id"`},
		{"no error", Message{Opcode: OpText, Data: []byte(`{"id":1,"error":null,"event":"", "action":{},` + filler + `}`)}, `id=1  {"id"`},
		{"the first of two", Message{Opcode: OpText, Data: []byte(`{"type":"a","type":"b",` + filler + `}`)}, `a  {"type"`},
		{"behind what is long", Message{Opcode: OpText, Data: []byte(`{"list":[1,{"type":"no"},"]}"],` + filler + `,"event":"yes"}`)}, `yes  {"list"`},
		{"hostile", Message{Opcode: OpText, Data: []byte("{\"type\":\"\x1b[2J\u202e\",\"id\":\"\xff\"," + filler + `}`)}, `␛[2J\u{202e} id=\xff  {`},
		{"cut in a key", Message{Opcode: OpText, Data: []byte(`{"type":"a",` + filler + `,"ev`)}, `a  {"type"`},
		{"cut in a value", Message{Opcode: OpText, Data: []byte(`{` + filler + `,"type":"begi`)}, `begi  {"filler"`},
		{"no JSON", Message{Opcode: OpText, Data: []byte(`{"type":"a" "id":1, ` + filler + `}`)}, `{"type":"a" "id"`},
		{"no members", Message{Opcode: OpText, Data: []byte(`{` + filler + `}`)}, `{"filler"`},
		{"text", Message{Opcode: OpText, Data: []byte(strings.Repeat("text ", 20))}, "text text"},
		{"a PNG", Message{Opcode: OpBinary, Size: 1234, Data: []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x02\x80\x00\x00\x01\xe0")}, "PNG image 640x480, 1234 bytes  89504e470d0a1a0a"},
		{"bytes", Message{Opcode: OpBinary, Size: 3, Data: []byte("\x00\x01\xff")}, "0001ff"},
		{"binary that is text", Message{Opcode: OpBinary, Data: []byte("plain words")}, "plain words"},
		{"binary that is JSON", Message{Opcode: OpBinary, Data: []byte(`{"method":"m",` + filler + `}`)}, `m  {"method"`},
		{"binary in lines", Message{Opcode: OpBinary, Data: []byte("grüße\r\n\tyou")}, "grüße␍␊␉you"},
		{"binary cut in a character", Message{Opcode: OpBinary, Data: []byte(strings.Repeat("x", 98) + "€")}, "xxx"},
		{"one bad byte", Message{Opcode: OpBinary, Data: []byte("\xff")}, "ff"},
		{"a ping", Message{Opcode: OpPing, Data: []byte("\x00\x01")}, "0001"},
		{"a close", Message{Opcode: OpClose, Data: []byte("\x03\xe8bye\x07")}, "1000 bye␇"},
		{"lost", Message{Opcode: OpText, Undecodable: true}, "(compressed, cannot be inflated)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Summary(&tt.m, 100)
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q is summed up as %q, want %q", tt.m.Data, got, tt.want)
			}
		})
	}
}

// Whatever comes, a summary is one line that is safe to show and not too long, and
// cutting the message anywhere does not make it fail.
func FuzzSummary(f *testing.F) {
	f.Add([]byte(`{"id":"7f3a","type":"subscribe","payload":{"query":"{ n }","operationName":"Ticks"}}`), uint8(1))
	f.Add([]byte("{\"type\":\"\x1b[2J\u202e\",\"id\":[[[{\"a\":\"\\"), uint8(2))
	f.Add([]byte("\x89PNG\r\n\x1a\n"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, op uint8) {
		m := &Message{Opcode: Opcode(op & 15), Data: b, Size: int64(len(b))}
		got := Summary(m, 100)
		if n := len([]rune(got)); n > 1600 {
			t.Fatalf("%d characters", n)
		}
		for _, r := range got {
			if unicode.IsControl(r) || r == 0x2028 || r == 0x202e {
				t.Fatalf("%q in %q", r, got)
			}
		}
		if g := gist(b); g != "" && json.Valid(b) {
			var all map[string]any
			if json.Unmarshal(b, &all) != nil {
				t.Fatalf("%q of %s, which is no object", g, b)
			}
		}
	})
}

func TestKind(t *testing.T) {
	for b, want := range map[string]string{
		"": "", "\x00": "", "abc": "", "RIFF\x00\x00\x00\x00WEBPVP8 ": "WebP image", "....\x00\x00\x00\x00WEBP": "", "RIFF\x00\x00\x00\x00WAVE": "WAV audio",
		"GIF89a\x10\x00\x20\x00": "GIF image 16x32", "GIF89a": "GIF image", "\xff\xd8\xff\xe0": "JPEG image", "%PDF-1.7": "PDF document", "\x1f\x8b\x08\x00": "gzip data",
		"\x78\x9c\x01": "zlib data", "\x78\x9d\x01": "", "\x28\xb5\x2f\xfd": "Zstandard data", "\x00asm\x01": "WebAssembly module", "\x00\x00\x00\x18ftypisom": "MP4 media",
		"\x00\x00\x00\x18ftypavif": "AVIF image", strings.Repeat("\x00", 257) + "ustar": "tar archive",
	} {
		if got := Kind([]byte(b)); got != want {
			t.Errorf("%q is %q, want %q", b, got, want)
		}
	}
}

func BenchmarkSummary(b *testing.B) {
	m := &Message{Opcode: OpText, Data: []byte(`{"id":"7f3a","type":"next","payload":{"data":{"ticks":[1,2.50,true,null],"operation":"x"}}}`)}
	b.ReportAllocs()
	for b.Loop() {
		Summary(m, 120)
	}
}
