package explain

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// of explains the frame that a string of hex digits begins with.
func of(t testing.TB, digits string, o Options) []Line {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	h, ok := inspect.ParseHeader(b)
	if !ok {
		t.Fatalf("%s is no header", digits)
	}
	return Frame(h, b[h.Len():], o)
}

func line(l Line) string {
	return fmt.Sprintf("%s|%s|%s|%s|%s", l.Field, l.Bits, l.Value, l.Text, l.Clause)
}

func TestFrameWhole(t *testing.T) {
	var got []string
	for _, l := range of(t, "818537fa213d7f9f4d5158", Options{}) { // RFC 6455 section 5.7
		got = append(got, line(l))
	}
	want := `FIN|1|whole|First and last fragment in one: the frame is the whole message.|RFC 6455 5.4
RSV1|0||Reserved, and 0 as it must be without an extension that uses it. With permessage-deflate it says on a message's first frame that the message is compressed.|RFC 6455 5.2
RSV2, RSV3|00||Reserved, and 0 as they must be: no registered extension uses them.|RFC 6455 5.2
opcode|0001|text|Begins a text message: with all its fragments it must be UTF-8.|RFC 6455 5.6
MASK|1|masked|A masking key follows the length, and the payload is masked with it. All that a client sends is masked, nothing of a server's is.|RFC 6455 5.1
Payload len|0000101|5|The payload has 5 bytes. Up to 125 fit into these seven bits; 126 and 127 announce a longer field.|RFC 6455 5.2
Masking-key|37 fa 21 3d||Each payload byte was XORed with a byte of this key, in turn. The key is to be fresh and random for every frame, so that no page can choose the bytes on the wire.|RFC 6455 5.3
Payload masked|7f 9f 4d 51 58||The application's data as it was sent, XORed with the key.|RFC 6455 5.3
Payload plain|48 65 6c 6c 6f|"Hello"|The same without the mask: the first byte is 0x7f xor 0x37 = 0x48, and so on; every fourth byte begins the key anew.|RFC 6455 5.3
UTF-8||yes|The payload is UTF-8, which text must be.|RFC 6455 8.1`
	if strings.Join(got, "\n") != want {
		t.Errorf("lines:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}

// Who may send a close code, and whether a page in a browser can.
func TestWhoSends(t *testing.T) {
	for digits, want := range map[string]string{
		"880203e8": "either side|Either side may send it.", "880203ea": "either side|Either side may send it. A page in a browser cannot: its close() takes 1000 and 3000 to 4999 only.",
		"880203ee": "nobody|Nobody may send it: an endpoint tells it to its own application where no code came.", "880203ec": "nobody|Nobody may send it.",
		"880203f2": "a client|Only a client sends it: a server refuses the handshake instead. A page", "880203f3": "a server|A server sends it. A page",
		"88020bb8": "either side|Libraries and frameworks send it, either side.", "88020fa0": "either side|Applications send it, either side.", "88020001": "nobody|Nobody may send it.",
	} {
		got := ""
		for _, l := range of(t, digits, Options{}) {
			if l.Field == "Who sends it" {
				got = l.Value + "|" + l.Text
			}
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", digits, got, want)
		}
	}
}

// The masking is shown byte by byte, and not where there is none.
func TestWalk(t *testing.T) {
	const want = `byte        0  1  2  3  4
sent       5b 00 21 3d 5b
xor key    37 fa 21 3d 37
= plain    6c fa 00 00 6c
as text     l  .  .  .  l

byte 0  01011011  5b
xor     00110111  37
=       01101100  6c`
	got := ""
	for _, l := range of(t, "828537fa213d5b00213d5b", Options{}) {
		got += l.Figure
	}
	if got != want {
		t.Errorf("the walk is\n%s\nwant\n%s", got, want)
	}
	for _, l := range of(t, "82ff000000000000010037fa213d"+strings.Repeat("aa", 256), Options{Max: 100}) {
		for part := range strings.Lines(l.Figure) {
			if len(part) > 61 {
				t.Errorf("%q is too wide", part)
			}
		}
	}
	for _, l := range of(t, "82050102030405", Options{}) {
		if l.Figure != "" {
			t.Errorf("not masked, and still %q", l.Figure)
		}
	}
}

// Each case is a frame and some of its lines; a line "-Field" must not be there.
func TestFrameFields(t *testing.T) {
	deflate := &inspect.Deflate{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
	inText := inspect.State{InMessage: true, Opcode: inspect.OpText}
	inCompressed := inspect.State{InMessage: true, Opcode: inspect.OpText, Compressed: true}
	for _, test := range []struct {
		name, frame string
		o           Options
		want        []string
	}{
		{"first fragment", "010348656c", Options{}, []string{
			`FIN|0|more follows|Not the last fragment: the message goes on in a continuation frame.|RFC 6455 5.4`,
			`Payload|48 65 6c|"Hel"|The application's data, as it is on the wire.|RFC 6455 5.2`,
			`UTF-8||yes|The fragment is UTF-8 as far as it goes; it may end inside a character. Text must be UTF-8 as a whole.|RFC 6455 8.1`,
			`MASK|0|not masked|The payload is sent as it is. That is how a server sends; a client must mask every frame.|RFC 6455 5.1`, `-Masking-key`}},
		{"first fragment ends inside a character", "0101e2", Options{}, []string{`UTF-8||yes|The fragment is UTF-8 as far as it goes; it may end inside a character. Text must be UTF-8 as a whole.|RFC 6455 8.1`}},
		{"last fragment", "80026c6f", Options{Before: inText}, []string{
			`FIN|1|last|The last fragment: the message is complete with this frame.|RFC 6455 5.4`,
			`opcode|0000|continuation|Goes on with the text message that an earlier frame began.|RFC 6455 5.4`,
			`UTF-8||yes|The fragment is UTF-8 as far as it goes; it may end inside a character. Text must be UTF-8 as a whole.|RFC 6455 8.1`}},
		{"fragment of what is not known", "8001ff", Options{}, []string{
			`opcode|0000|continuation|Goes on with the message that an earlier frame began.|RFC 6455 5.4`, `-UTF-8`}},
		{"fragment that begins inside a character", "8001ac", Options{Before: inText}, []string{
			`UTF-8||?|Byte 1 of the payload is not UTF-8 by itself. A fragment may begin inside a character; only the whole message can be judged.|RFC 6455 8.1`}},
		{"text that is not", "810261ff", Options{}, []string{
			`UTF-8||no|Byte 2 of the payload is not UTF-8, which text must be: the receiver must fail the connection.|RFC 6455 8.1`,
			`Payload|61 ff|"a\xff"|The application's data, as it is on the wire.|RFC 6455 5.2`}},
		{"text", "810161", Options{}, []string{`UTF-8||yes|The payload is UTF-8, which text must be.|RFC 6455 8.1`}},
		{"text cut inside a character", "8101e2", Options{}, []string{`UTF-8||no|Byte 1 of the payload is not UTF-8, which text must be: the receiver must fail the connection.|RFC 6455 8.1`}},
		{"binary", "8202fffe", Options{}, []string{
			`opcode|0010|binary|Begins a binary message: bytes whose meaning the application knows.|RFC 6455 5.6`, `-UTF-8`}},
		{"empty message", "8100", Options{}, []string{`Payload||empty|A message, or a fragment of one, may be empty.|RFC 6455 5.2`, `-UTF-8`}},
		{"hostile", "81051b5b336d07", Options{}, []string{`Payload|1b 5b 33 6d 07|"␛[3m␇"|The application's data, as it is on the wire.|RFC 6455 5.2`}},
		{"long", "820a00010203040506070809", Options{Max: 4}, []string{
			`Payload|00 01 02 03 …|"␀␁␂␃…"|The application's data, as it is on the wire. 4 of 10 bytes are shown.|RFC 6455 5.2`}},
		{"long, cut between characters", "8106e282ace282ac", Options{Max: 4}, []string{
			`Payload|e2 82 ac e2 …|"€…"|The application's data, as it is on the wire. 4 of 6 bytes are shown.|RFC 6455 5.2`}},
		{"zero key", "818100000000" + "61", Options{}, []string{
			`Masking-key|00 00 00 00||All zeros, which leaves the payload as it is. The key is to be fresh and random for every frame, so that no page can choose the bytes on the wire.|RFC 6455 5.3`}},

		{"ping", "890161", Options{}, []string{
			`FIN|1|whole|Set, as on every control frame, which must not be fragmented.|RFC 6455 5.5`,
			`opcode|1001|ping|Asks whether the other side is there: it must answer with a Pong that has the same payload, as soon as it can.|RFC 6455 5.5.2`,
			`Payload|61|"a"|What the Pong must repeat, as it is on the wire.|RFC 6455 5.2`}},
		{"empty ping", "8900", Options{}, []string{`Payload||empty|A Ping needs no payload. Then every Pong without one answers it.|RFC 6455 5.5.2`}},
		{"pong", "8a0161", Options{}, []string{
			`opcode|1010|pong|Answers a Ping with the same payload. One that nobody asked for is a one-way heartbeat, and needs no answer.|RFC 6455 5.5.3`,
			`Payload|61|"a"|What the Ping asked with, as it is on the wire.|RFC 6455 5.2`}},
		{"empty pong", "8a00", Options{}, []string{`Payload||empty|It answers a Ping that had no payload either.|RFC 6455 5.5.3`}},
		{"fragmented ping", "0900", Options{}, []string{
			`FIN|0|fragment|Clear, which breaks the protocol: a control frame must not be fragmented.|RFC 6455 5.5`}},
		{"long ping", "897e0080", Options{}, []string{
			`Extended len|00 80|128|The payload has 128 bytes, the high byte first. That breaks the protocol: a control frame has at most 125 bytes (section 5.5).|RFC 6455 5.2`}},

		{"reserved data opcode", "8300", Options{}, []string{`opcode|0011|0x3|Reserved for data frames to come. Without an extension that defines it, the receiver must fail the connection.|RFC 6455 5.2`}},
		{"reserved control opcode", "8f00", Options{}, []string{`opcode|1111|0xf|Reserved for control frames to come. Without an extension that defines it, the receiver must fail the connection.|RFC 6455 5.2`}},
		{"RSV2", "a100", Options{}, []string{
			`RSV2|1|set|Reserved. It must be 0 unless an extension was agreed that gives it a meaning; no registered one does.|RFC 6455 5.2`,
			`RSV3|0||Reserved, and 0 as it must be without an extension that uses it.|RFC 6455 5.2`, `-RSV2, RSV3`}},

		{"16-bit length", "827e0100", Options{}, []string{
			`Payload len|1111110|126|The length stands in the next 16 bits, as one from 126 to 65,535 does: seven bits do not hold it beside 126 and 127, which announce a longer field.|RFC 6455 5.2`,
			`Extended len|01 00|256|The payload has 256 bytes, the high byte first.|RFC 6455 5.2`,
			`Missing||256 bytes|The header announces 256 bytes of payload; 0 bytes are here, so 256 bytes are missing.|`}},
		{"16-bit length of one", "827e000161", Options{}, []string{
			`Extended len|00 01|1|The payload has 1 byte, the high byte first. That breaks the protocol: the shortest form that fits must be used, which is the 7-bit one.|RFC 6455 5.2`, `-Missing`}},
		{"64-bit length of 256", "827f0000000000000100", Options{}, []string{
			`Payload len|1111111|127|The length stands in the next 64 bits.|RFC 6455 5.2`,
			`Extended len|00 00 00 00 00 00 01 00|256|The payload has 256 bytes, the high byte first. That breaks the protocol: the shortest form that fits must be used, which is the 16-bit one.|RFC 6455 5.2`}},
		{"64-bit length below zero", "827fffffffffffffffff61", Options{}, []string{
			`Extended len|ff ff ff ff ff ff ff ff|18446744073709551615|The payload has 18446744073709551615 bytes, the high byte first. That breaks the protocol: the top bit must be 0.|RFC 6455 5.2`,
			`Missing||18446744073709551614 bytes|The header announces 18446744073709551615 bytes of payload; 1 byte is here, so 18446744073709551614 bytes are missing.|`}},
		{"more bytes than the frame", "81016162", Options{}, []string{`Payload|61|"a"|The application's data, as it is on the wire.|RFC 6455 5.2`}},

		{"compressed, agreed", "c107f248cdc9c90700", Options{Deflate: deflate, Known: true}, []string{ // RFC 7692 section 7.2.3.1
			`RSV1|1|compressed|The message is compressed with permessage-deflate, which client and server agreed on in the handshake. It may refer to what the messages before it in this direction said: the context is taken over.|RFC 7692 6`,
			`Payload|f2 48 cd c9 c9 07 00||The compressed data, as it is on the wire.|RFC 6455 5.2`,
			`Inflated||"Hello"|With 00 00 ff ff put back behind it, the payload inflates to 5 bytes.|RFC 7692 7.2.2`, `-UTF-8`}},
		{"compressed, not known", "c187 00000000 f248cdc9c90700", Options{}, []string{
			`RSV1|1|compressed?|The message is compressed, if client and server agreed on permessage-deflate in the handshake; otherwise the bit must be 0.|RFC 7692 6`,
			`Inflated||"Hello"|With 00 00 ff ff put back behind it, the payload inflates to 5 bytes.|RFC 7692 7.2.2`}},
		{"RSV1, nothing agreed", "c10161", Options{Known: true}, []string{
			`RSV1|1|set|Must be 0 here: client and server agreed on no extension that gives it a meaning.|RFC 6455 5.2`, `-Inflated`,
			`UTF-8||yes|The payload is UTF-8, which text must be.|RFC 6455 8.1`}},
		{"plain where compression was agreed", "810161", Options{Deflate: deflate, Known: true}, []string{
			`RSV1|0|plain|permessage-deflate was agreed, and this message is not compressed, which its sender may decide for each.|RFC 7692 6`}},
		{"RSV1 on a ping", "c900", Options{Deflate: deflate, Known: true}, []string{`RSV1|1|set|Must be 0 on a control frame: control frames are never compressed.|RFC 7692 6.1`, `-Inflated`}},
		{"RSV1 on a continuation", "c00161", Options{Before: inCompressed, Deflate: deflate, Known: true}, []string{
			`RSV1|1|set|Must be 0 on a continuation: the first frame says for the whole message whether it is compressed.|RFC 7692 6.1`,
			`Inflated|||Only the fragments of a compressed message together can be inflated.|RFC 7692 7.2.2`}},
		{"a compressed fragment", "4103f248cd", Options{Deflate: deflate, Known: true}, []string{
			`Inflated|||Only the fragments of a compressed message together can be inflated.|RFC 7692 7.2.2`, `-UTF-8`}},
		{"refers to a message before", "c105f200110000", Options{Deflate: deflate, Known: true}, []string{ // RFC 7692 section 7.2.3.2
			`Inflated|||Cannot be inflated by itself: it refers to the messages before it, is damaged, or is not permessage-deflate.|RFC 7692 7.2.2`}},
		{"compressed and not whole", "c107f248", Options{Deflate: deflate, Known: true}, []string{`-Inflated`}},
		{"compressed and long", "c27e4001" + strings.Repeat("00", 0x4001), Options{Deflate: deflate, Known: true}, []string{
			`Inflated|||Too long to be inflated here.|RFC 7692 7.2.2`}},

		{"close", "880503e8627965", Options{}, []string{
			`opcode|1000|close|Ends the session: its sender will send no more data, and the other side answers with a Close frame of its own.|RFC 6455 5.5.1`,
			`Payload|03 e8 62 79 65||The body with the close code, as it is on the wire.|RFC 6455 5.2`,
			`Close code|03 e8|1000 normal closure|The code 1000: the purpose of the connection is fulfilled.|RFC 6455 7.4.1`,
			`Close reason|62 79 65|"bye"|Why, as text for a log; it need not be fit for people to read.|RFC 6455 5.5.1`}},
		{"masked close", "888237fa213d3412", Options{}, []string{`Close code|03 e8|1000 normal closure|The code 1000: the purpose of the connection is fulfilled.|RFC 6455 7.4.1`,
			`Close reason||none|A reason may follow the code, as text for a log; there is none.|RFC 6455 5.5.1`}},
		{"empty close", "8800", Options{}, []string{
			`Close code||none|No body, so no code: to its own user the receiver reports 1005, which is never sent.|RFC 6455 7.1.5`, `-Payload`}},
		{"close of one byte", "880103", Options{}, []string{
			`Close code|03|none|A body of one byte breaks the protocol: if there is a body, it begins with a code of two bytes.|RFC 6455 5.5.1`}},
		{"close 1006", "880203ee", Options{}, []string{
			`Close code|03 ee|1006 abnormal closure|The code 1006: stands for a connection that ended without a Close frame and must not be sent.|RFC 6455 7.4.1`}},
		{"close 4000", "88020fa0", Options{}, []string{
			`Close code|0f a0|4000 private|The code 4000: belongs to the application, which alone knows what it means.|RFC 6455 7.4.2`}},
		{"close 3000", "88020bb8", Options{}, []string{
			`Close code|0b b8|3000 unauthorized|The code 3000: the endpoint must be authorised to perform the request.|RFC 6455 7.4.2`}},
		{"close 999", "880203e7", Options{}, []string{
			`Close code|03 e7|999 invalid|The code 999: is outside the range of close codes. It must not be sent.|RFC 6455 7.4.2`}},
		{"close 1016", "880203f8", Options{}, []string{
			`Close code|03 f8|1016 unassigned|The code 1016: has no meaning yet; a later version of the protocol may give it one. It must not be sent.|RFC 6455 7.4.2`}},
		{"close with a bad reason", "880403e861ff", Options{}, []string{
			`Close reason|61 ff|"a\xff"|Why, as text; but byte 2 of it is not UTF-8, which it must be (section 8.1).|RFC 6455 5.5.1`}},
		{"close not whole", "880503e8", Options{}, []string{
			`Close code|03 e8|1000 normal closure|The code 1000: the purpose of the connection is fulfilled.|RFC 6455 7.4.1`,
			`Missing||3 bytes|The header announces 5 bytes of payload; 2 bytes are here, so 3 bytes are missing.|`, `-Close reason`}},
		{"close with half a code", "880203", Options{}, []string{
			`Missing||1 byte|The header announces 2 bytes of payload; 1 byte is here, so 1 byte is missing.|`, `-Close code`}},
		{"close with a long reason", "880703e86162636465", Options{Max: 3}, []string{
			`Close reason|61 62 63 …|"abcde"|Why, as text for a log; it need not be fit for people to read.|RFC 6455 5.5.1`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := map[string]string{}
			for _, l := range of(t, test.frame, test.o) {
				if got[l.Field] != "" {
					t.Errorf("%s is explained twice", l.Field)
				}
				got[l.Field] = line(l)
			}
			for _, want := range test.want {
				if field, ok := strings.CutPrefix(want, "-"); ok {
					if got[field] != "" {
						t.Errorf("%s\nshould not be there", got[field])
					}
					continue
				}
				field, _, _ := strings.Cut(want, "|")
				if got[field] != want {
					t.Errorf("%s\nwant\n%s", got[field], want)
				}
			}
		})
	}
}

func TestFrameOfNothing(t *testing.T) {
	if got := Frame(inspect.Header{}, []byte("Hello"), Options{}); got != nil {
		t.Errorf("no header is explained as %v", got)
	}
}

// The payload belongs to the caller, who shows it elsewhere as it was sent.
func TestFrameLeavesThePayload(t *testing.T) {
	h := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Masked: true, Key: [4]byte{1, 2, 3, 4}, Length: 6})
	payload := []byte("secret")
	Frame(h, payload, Options{})
	if !bytes.Equal(payload, []byte("secret")) {
		t.Errorf("the payload was changed to %q", payload)
	}
}

// A payload of which 16 KiB inflate to 16 MiB must not take long or much.
func TestInflatedIsBounded(t *testing.T) {
	// 1,000,000 zeros, as Python's zlib.compressobj(9, zlib.DEFLATED, -15)
	// writes them with a sync flush, without its last four bytes.
	bomb := "ecc101010000008220ffaf6e484001" + strings.Repeat("00", 968) + "af06"
	b, err := hex.DecodeString(bomb)
	if err != nil {
		t.Fatal(err)
	}
	h := inspect.NewHeader(inspect.Fields{Fin: true, Rsv1: true, Opcode: inspect.OpBinary, Length: uint64(len(b))})
	lines := Frame(h, b, Options{})
	if l := lines[len(lines)-1]; l.Field != "Inflated" || !strings.HasSuffix(l.Value, `…"`) || strings.Count(l.Value, "␀") != 64 || !strings.Contains(l.Text, "inflates to 1000000 bytes") {
		t.Errorf("inflated: %q", l)
	}
}

// Every line of every frame must be fit for a terminal, and say something.
func TestLinesAreFit(t *testing.T) {
	payload := bytes.Repeat([]byte("\x1b]0;x\x07\xff\u202e"), 20)
	for _, h := range headers() {
		lines := Frame(h, payload, Options{})
		if lines[0].Field != "FIN" {
			t.Fatalf("%s begins with %v", h, lines[0])
		}
		for _, l := range lines {
			if strings.ContainsFunc(line(l), func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0x202e }) {
				t.Fatalf("%s: %q has control characters", h, line(l))
			}
			if l.Field == "" || l.Bits+l.Value == "" && l.Field != "Inflated" || !strings.HasSuffix(l.Text, ".") {
				t.Fatalf("%s: %q says too little", h, line(l))
			}
			if l.Clause == "" && l.Field != "Missing" {
				t.Fatalf("%s: %q has no clause", h, line(l))
			}
		}
	}
}
