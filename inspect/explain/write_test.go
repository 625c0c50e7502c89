package explain

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

func written(t testing.TB, b []byte) string {
	t.Helper()
	var out strings.Builder
	if err := Write(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func writtenHex(t testing.TB, digits string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return written(t, b)
}

func TestWrite(t *testing.T) {
	const want = `Frame 1: text, a header of 6 bytes and 5 bytes of payload
   0                   1                   2                   3
   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
  +-+-+-+-+-------+-+-------------+-------------------------------+
  |F|R|R|R|opcode |M| Payload len |          Masking-key          |
  |I|S|S|S|  (4)  |A|     (7)     |                               |
  |N|V|V|V|       |S|             |                               |
  | |1|2|3|       |K|             |                               |
  |1|0|0|0|0 0 0 1|1|0 0 0 0 1 0 1|0 0 1 1 0 1 1 1 1 1 1 1 1 0 1 0|
  | | | | | text  | |      5      |             37 fa             |
  +-+-+-+-+-------+-+-------------+-------------------------------+
  |      Masking-key (cont.)      |         Payload data          |
  |0 0 1 0 0 0 0 1 0 0 1 1 1 1 0 1|                               |
  |             21 3d             |            5 bytes            |
  +-------------------------------+-------------------------------+

FIN             1  whole
    First and last fragment in one: the frame is the whole message.
    [RFC 6455 5.4]
RSV1            0
    Reserved, and 0 as it must be without an extension that uses it. With
    permessage-deflate it says on a message's first frame that the message is
    compressed. [RFC 6455 5.2]
RSV2, RSV3      00
    Reserved, and 0 as they must be: no registered extension uses them.
    [RFC 6455 5.2]
opcode          0001  text
    Begins a text message: with all its fragments it must be UTF-8.
    [RFC 6455 5.6]
MASK            1  masked
    A masking key follows the length, and the payload is masked with it. All
    that a client sends is masked, nothing of a server's is. [RFC 6455 5.1]
Payload len     0000101  5
    The payload has 5 bytes. Up to 125 fit into these seven bits; 126 and 127
    announce a longer field. [RFC 6455 5.2]
Masking-key     37 fa 21 3d
    Each payload byte was XORed with a byte of this key, in turn. The key is
    to be fresh and random for every frame, so that no page can choose the
    bytes on the wire. [RFC 6455 5.3]
Payload masked  7f 9f 4d 51 58
    The application's data as it was sent, XORed with the key. [RFC 6455 5.3]
Payload plain   48 65 6c 6c 6f  "Hello"
    The same without the mask: the first byte is 0x7f xor 0x37 = 0x48, and so
    on; every fourth byte begins the key anew. [RFC 6455 5.3]

    byte        0  1  2  3  4
    sent       7f 9f 4d 51 58
    xor key    37 fa 21 3d 37
    = plain    48 65 6c 6c 6f
    as text     H  e  l  l  o

    byte 0  01111111  7f
    xor     00110111  37
    =       01001000  48

UTF-8           yes
    The payload is UTF-8, which text must be. [RFC 6455 8.1]

Made again by: wsproxy explain --build 'text "Hello" mask=37fa213d'
`
	if got := writtenHex(t, "818537fa213d7f9f4d5158"); got != want {
		t.Errorf("written:\n%s\nwant:\n%s", got, want)
	}
}

// The lines that are neither of a figure nor of a sentence: titles and fields.
func outline(text string) []string {
	var all []string
	for l := range strings.Lines(text) {
		if l = strings.TrimRight(l, "\n"); l != "" && l[0] != ' ' {
			all = append(all, l)
		}
	}
	return all
}

func TestWriteSeveral(t *testing.T) {
	got := strings.Join(outline(writtenHex(t, "01 03 48656c  89 00  80 02 6c6f  8a 00  88 02 03e8")), "\n")
	const want = `Frame 1: text, a header of 2 bytes and 3 bytes of payload
FIN             0  more follows
RSV1            0
RSV2, RSV3      00
opcode          0001  text
MASK            0  not masked
Payload len     0000011  3
Payload         48 65 6c  "Hel"
UTF-8           yes
Frame 2: ping, a header of 2 bytes and 0 bytes of payload
FIN             1  whole
RSV1            0
RSV2, RSV3      00
opcode          1001  ping
MASK            0  not masked
Payload len     0000000  0
Payload         empty
Frame 3: continuation, a header of 2 bytes and 2 bytes of payload
FIN             1  last
RSV1            0
RSV2, RSV3      00
opcode          0000  continuation
MASK            0  not masked
Payload len     0000010  2
Payload         6c 6f  "lo"
UTF-8           yes
Frame 4: pong, a header of 2 bytes and 0 bytes of payload
FIN             1  whole
RSV1            0
RSV2, RSV3      00
opcode          1010  pong
MASK            0  not masked
Payload len     0000000  0
Payload         empty
Frame 5: close, a header of 2 bytes and 2 bytes of payload
FIN             1  whole
RSV1            0
RSV2, RSV3      00
opcode          1000  close
MASK            0  not masked
Payload len     0000010  2
Payload         03 e8
Close code      03 e8  1000 normal closure
Who sends it    either side
Close reason    none
Made again by: wsproxy explain --build 'text "Hel" fin=0; ping; cont "lo"; pong; close 1000'`
	if got != want {
		t.Errorf("written:\n%s\nwant:\n%s", got, want)
	}
}

// A compressed message stays compressed in its later fragments, and the next
// message is plain again.
func TestWriteFollowsTheMessage(t *testing.T) {
	text := writtenHex(t, "41 03 f248cd  80 04 c9c90700  81 01 61  80 01 ff")
	for what, want := range map[string]int{"Only the fragments": 2, "UTF-8           yes": 1, "UTF-8           ?": 0, "Goes on with the text message": 1} {
		if got := strings.Count(text, what); got != want {
			t.Errorf("%q stands %d times, not %d, in:\n%s", what, got, want, text)
		}
	}
}

func TestWriteTail(t *testing.T) {
	for _, test := range []struct{ bytes, want string }{
		{"81", `Frame 1: only the first byte of its header is here (81). The opcode says text;
how long the header is stands in the second byte, which is missing.`},
		{"00", `Frame 1: only the first byte of its header is here (00). The opcode says
continuation; how long the header is stands in the second byte, which is
missing.`},
		{"8185", `Frame 1: only 2 bytes of its header are here (81 85). It is a text frame whose
header has 6 bytes. Missing are 4 bytes of the masking key and 5 bytes of
payload.`},
		{"818137fa21", `Frame 1: only 5 bytes of its header are here (81 81 37 fa 21). It is a text
frame whose header has 6 bytes. Missing are 1 byte of the masking key and 1
byte of payload.`},
		{"82fe01", `Frame 1: only 3 bytes of its header are here (82 fe 01). It is a binary frame
whose header has 8 bytes. Missing are 1 byte of the 16-bit length, 4 bytes of
the masking key and all of the payload.`},
		{"827f00000000", `Frame 1: only 6 bytes of its header are here (82 7f 00 00 00 00). It is a
binary frame whose header has 10 bytes. Missing are 4 bytes of the 64-bit
length and all of the payload.`},
		{"82ffffffffffffffffffaa", `Frame 1: only 11 bytes of its header are here (82 ff ff ff ff ff ff ff ff ff
aa). It is a binary frame whose header has 14 bytes. Missing are 3 bytes of
the masking key and 18446744073709551615 bytes of payload.`},
	} {
		if got := writtenHex(t, test.bytes); got != test.want+"\n" {
			t.Errorf("%s is written as:\n%s\nwant:\n%s", test.bytes, got, test.want)
		}
	}
	got := outline(writtenHex(t, "8900 88"))
	if last := got[len(got)-2]; !strings.HasPrefix(last, "Frame 2: only the first byte of its header is here (88). The opcode says") {
		t.Errorf("a tail behind a whole frame is written as %q", got)
	}
}

func TestWritePayloadMissing(t *testing.T) {
	got := outline(writtenHex(t, "827f7fffffffffffffff 6162"))
	if got[0] != "Frame 1: binary, a header of 10 bytes and 9223372036854775807 bytes of" ||
		got[1] != "payload, of which 9223372036854775805 bytes are missing" {
		t.Errorf("title: %q", got[:2])
	}
	if last := got[len(got)-2]; last != "Missing         9223372036854775805 bytes" {
		t.Errorf("last field: %q", last)
	}
}

// A value that does not fit behind its bits goes below them, in as many lines
// as it takes.
func TestWriteLongValue(t *testing.T) {
	text := writtenHex(t, "8210 ffffffffffffffffffffffffffffffff")
	const want = `
Payload         ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff
                "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
                xff"
    The application's data, as it is on the wire. [RFC 6455 5.2]

Made again by: wsproxy explain --build 'binary 0xffffffffffffffffffffffffffffffff'
`
	if !strings.HasSuffix(text, want) {
		t.Errorf("written:\n%s\nwant at the end:\n%s", text, want)
	}
}

func TestWriteHTTP(t *testing.T) {
	got := outline(written(t, []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x89\x00")))
	want := []string{
		"The first 56 bytes look like an HTTP head, not like a frame: frames begin",
		"behind the empty line that ends the handshake.",
		"Frame 1: ping, a header of 2 bytes and 0 bytes of payload",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: %q, want %q", i+1, got[i], want[i])
		}
	}
	const only = "The first 16 bytes look like an HTTP head, not like a frame: frames begin\nbehind the empty line that ends the handshake.\n"
	if got := written(t, []byte("GET / HTTP/1.1\r\n")); got != only {
		t.Errorf("a head without an end is written as:\n%s", got)
	}
}

func TestWriteNothing(t *testing.T) {
	if err := Write(&strings.Builder{}, nil); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing to explain: %v", err)
	}
}

type full struct{ room int }

var errFull = errors.New("no room")

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteError(t *testing.T) {
	for _, b := range []string{"\x89\x00\x89\x00", "GET / HTTP/1.1\r\n"} {
		for _, room := range []int{0, 3000} {
			err := Write(&full{room}, []byte(b))
			whole := len(written(t, []byte(b))) <= room
			if whole != (err == nil) || !whole && !errors.Is(err, errFull) {
				t.Errorf("%q with room for %d: %v", b, room, err)
			}
		}
	}
}

// Whatever the bytes: each frame that the Scanner finds has a title, nothing
// reaches the terminal that it would obey, and sentences fit their lines.
func FuzzWrite(f *testing.F) {
	for _, s := range []string{
		"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", "\x88\x05\x03\xe8bye",
		"\x81\x05\x1b]0;x", "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\x01\xe2\x80\x02\x82\xac", "GET / HTTP/1.1\r\n\r\n\x89", "\xff", "\x81\x06\xe2\x80\xae\xc2\x9b\x7f",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 512 { // a figure for each two bytes is long
			return
		}
		text := written(t, b)
		if !utf8.ValidString(text) {
			t.Fatalf("%x: the text is not UTF-8", b)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e }); i >= 0 {
			t.Fatalf("%x: a control character in %q", b, text[i:])
		}
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, "    ") && utf8.RuneCountInString(l) > width+1 {
				t.Fatalf("%x: %q has more than %d columns", b, l, width)
			}
		}
		if head := httpHead(b); head == 0 {
			titles := 0
			for _, l := range outline(text) {
				if strings.HasPrefix(l, "Frame ") {
					titles++
				}
			}
			if want := frames(b); titles != want {
				t.Fatalf("%x: %d frames are explained, the scanner finds %d", b, titles, want)
			}
		}
	})
}

// frames counts the frames that b holds or begins.
func frames(b []byte) int {
	var s inspect.Scanner
	n := 0
	for rest := bytes.Clone(b); len(rest) > 0; {
		var begun bool
		if _, begun, _, rest = s.Next(rest); begun {
			n++
		}
	}
	if len(s.Partial()) > 0 {
		n++
	}
	return n
}
