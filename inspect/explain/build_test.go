package explain

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

func TestBuild(t *testing.T) {
	for words, want := range map[string]string{
		`text "Hello" mask=37fa213d`: "818537fa213d7f9f4d5158", // RFC 6455 section 5.7
		`text "Hello"`:               "810548656c6c6f",
		`text "Hel" fin=0; cont "lo"`: "010348656c" +
			"80026c6f",
		`text "Hel" + "lo"`:           "010348656c80026c6f",
		`text mask "Hel" + "lo" + ''`: "018337fa213d7f9f4d" + "008237fa213d5b95" + "808037fa213d",
		`ping "Hello"`:                "890548656c6c6f",
		`pong 'Hello' mask=37fa213d`:  "8a8537fa213d7f9f4d5158",
		`binary "x"*256`:              "827e0100" + strings.Repeat("78", 256),
		`binary 0x0102*2 hex=03`:      "82050102010203",
		`binary 0x00 len=64bit`:       "827f000000000000000100",
		`bin len=16bit`:               "827e0000",
		`close 1000 "bye"`:            "880503e8627965",
		`close code=1006`:             "880203ee",
		`close`:                       "8800",
		`close 0x03`:                  "880103",
		`close 1000 reason="bye"`:     "880503e8627965",
		`0x3 0xff`:                    "8301ff",
		`op=11 rsv1 rsv2 rsv3 fin=0`:  "7b00",
		`opcode=0xb`:                  "8b00",
		`text claims=10 "abc"`:        "810a616263",
		`text claims=65536`:           "817f0000000000010000",
		`text "a\n\r\t\0\"\'\\\/\xff\u00fc\u{1f600}"`: "8110" + "610a0d090022275c2fff" + "c3bc" + "f09f9880",
		`text 'say "hi"' unmasked`:                    "8108" + "7361792022686922",
		``:                                            "", " ; ": "",
		"text \"a\"\n;\ttext \"b\"": "810161810162",
		`text "a" fin=1 + "b"`:      "810161" + "800162",
	} {
		got, err := Build(words)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s is %x, %v; want %s", words, got, err, want)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	for words, want := range map[string]string{
		`text "Hello`:                            "column 6: the text has no closing \"",
		`text Hello`:                             `column 6: "Hello" is no opcode and no field; a text stands in quotes`,
		`text "a" mask=12`:                       "column 10: a masking key has eight hexadecimal digits: mask=37fa213d",
		`text "a" len=8bit`:                      "column 10: the length is written in 7bit, 16bit or 64bit",
		`text "a" text "b"`:                      "column 10: a second opcode; ; begins the next frame",
		`"a"`:                                    "column 4: the frame has no opcode: text, binary, cont, close, ping, pong or op=N",
		`text "a\q"`:                             `column 8: there is no such escape`,
		`text "a\x1"`:                            `column 8: \x has two hexadecimal digits`,
		`text "\ud83d"`:                          `column 7: \u has four hexadecimal digits`,
		`text "\u{}"`:                            `column 7: \u has four`,
		`text "\u{110000}"`:                      `column 7: \u has four`,
		`text "\u1"`:                             `column 7: \u has four`,
		`text "\`:                                "column 7: a backslash at the end",
		`binary 0xabc`:                           "column 8: the bytes are no hexadecimal",
		`binary "x"*`:                            "column 11: behind * stands how often",
		`binary "x"*99999999`:                    "column 8: the payload has more than 4194304 bytes",
		`text "abc" claims=2`:                    "column 20: the frame claims 2 bytes and has 3 bytes",
		`text claims=many`:                       `column 6: "many" is no number of bytes`,
		`text colour=red`:                        "column 6: there is no field \"colour\"",
		`close 70000`:                            "column 7: a close code is a number",
		`close 1000 1001`:                        "column 12: the code is the beginning of the payload",
		`+ "a"`:                                  "column 1: there is no fragment in front of +",
		`ping "a" + "b"`:                         "column 10: a control frame has no fragments",
		`op=16`:                                  `column 1: "16" is no opcode: 0 to 15`,
		`7`:                                      "column 1: a number alone is no opcode: op=7",
		`text fin=2`:                             "column 6: a bit is 0 or 1",
		`* "a"`:                                  `column 1: "*" stands for nothing here`,
		`binary "x"*4000000; binary "x"*4000000`: "column 39: the frames have more than",
	} {
		got, err := Build(words)
		var e *BuildError
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %x, %v; want %s", words, got, err, want)
		}
	}
}

// wordsOf says frames in words, as far as there are whole headers.
func wordsOf(b []byte) (words string, rest int) {
	var all []string
	for len(b) > 0 {
		h, ok := inspect.ParseHeader(b)
		if !ok {
			break
		}
		p := b[h.Len():]
		p = p[:min(uint64(len(p)), h.Length())]
		all = append(all, Words(h, p))
		b = b[h.Len()+len(p):]
	}
	return strings.Join(all, "; "), len(b)
}

func TestWords(t *testing.T) {
	for digits, want := range map[string]string{
		"818537fa213d7f9f4d5158":      `text "Hello" mask=37fa213d`,
		"010348656c80026c6f":          `text "Hel" fin=0; cont "lo"`,
		"880503e8627965":              `close 1000 "bye"`,
		"880103":                      `close 0x03`,
		"8800":                        `close`,
		"c202fffe":                    `binary 0xfffe rsv1`,
		"827e0000":                    `binary len=16bit`,
		"810a616263":                  `text "abc" claims=10`,
		"8103e280ae":                  `text 0xe280ae`,
		"810661626364" + "0d0a":       `text "abcd\r\n"`,
		"8109616263646566" + "1bff00": `text 0x` + "6162636465661bff00",
	} {
		b, _ := hex.DecodeString(digits)
		if got, _ := wordsOf(b); got != want {
			t.Errorf("%s in words is %s, want %s", digits, got, want)
		}
	}
}

// Whatever frames come, the words for them build the same bytes again; whatever
// words come, what they build says the same when it is said in words.
func FuzzBuild(f *testing.F) {
	for _, s := range []string{`text "Hello" mask=37fa213d`, `text "Hel" + "lo"; close 1000 "bye"`, `binary 0x00ff*3 len=64bit claims=9 rsv3`, `0xb fin=0`, `text "\u{202e}\xff\"\\"`} {
		b, err := Build(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s, b)
	}
	f.Fuzz(func(t *testing.T, words string, b []byte) {
		said, rest := wordsOf(b)
		again, err := Build(said)
		if err != nil || !bytes.Equal(again, b[:len(b)-rest]) {
			t.Fatalf("%x is %s, which builds %x, %v", b, said, again, err)
		}
		if inspect.Visible([]byte(said), 0) != said {
			t.Fatalf("%q is not safe to show", said)
		}
		if len(words) > 1000 {
			return
		}
		built, err := Build(words)
		if err != nil {
			var e *BuildError
			if !errors.As(err, &e) || e.At < 0 || e.At > len(words) || e.Text == "" {
				t.Fatalf("%q: %v", words, err)
			}
			return
		}
		said, rest = wordsOf(built)
		if again, err := Build(said); err != nil || rest > 0 || !bytes.Equal(again, built) {
			t.Fatalf("%s builds %x, which is %s, which builds %x, %v", words, built, said, again, err)
		}
	})
}
