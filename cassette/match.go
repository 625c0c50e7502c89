package cassette

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/wsproxy/wsproxy/inspect"
)

// Match compares a message that was expected with the one that came and answers
// what is different, a line a difference, safe to show; nil: nothing is. How a
// message was cut into frames and whether it was compressed makes no difference.
func Match(want, got Line) []string { return new(Scope).Match(want, got) }

func isText(k Kind) bool { return k == JSON || k == Text }

// textDiffers says where two texts differ; nil if they do not.
func textDiffers(want, got []byte) []string {
	i := differAt(want, got)
	if i < 0 {
		return nil
	}
	from := max(0, i-10)
	for from > 0 && want[from]&0xc0 == 0x80 { // not inside a character
		from--
	}
	return []string{fmt.Sprintf("byte %d: expected %s, got %s", i, excerpt(want, from), excerpt(got, from))}
}

// excerpt shows a text from an offset on.
func excerpt(b []byte, from int) string {
	if from >= len(b) {
		return "the end"
	}
	dots := ""
	if from > 0 {
		dots = "…"
	}
	return `"` + dots + inspect.Visible(b[from:], 40) + `"`
}

func matchBytes(what string, want, got []byte) []string {
	i := differAt(want, got)
	if i < 0 {
		return nil
	}
	return []string{fmt.Sprintf("byte %d of %s: expected %s, got %s", i, what, hexAt(want, i), hexAt(got, i))}
}

func hexAt(b []byte, i int) string {
	if i >= len(b) {
		return "the end"
	}
	s := fmt.Sprintf("% x", b[i:min(len(b), i+16)])
	if len(b) > i+16 {
		s += " …"
	}
	return s
}

// differAt is where two byte strings differ first; -1 if they do not.
func differAt(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// unmasked is a client's frame with a masking key of zeros: the key is random.
func unmasked(frame []byte) []byte {
	h, ok := inspect.ParseHeader(frame)
	if !ok || !h.Masked() {
		return frame
	}
	b := bytes.Clone(frame)
	inspect.Mask(h.Key(), 0, b[h.Len():])
	clear(b[h.Len()-4 : h.Len()])
	return b
}

// Describe shows a line in a few words, safe for a terminal.
func Describe(l Line) string {
	switch l.Kind {
	case JSON, Text:
		return l.Kind.String() + " " + inspect.Visible(l.Data, 120)
	case Close:
		s := "close " + strconv.Itoa(int(l.Code))
		if l.Code == inspect.NoStatus {
			s = "close without a code"
		}
		if l.Reason != "" {
			s += ` "` + inspect.Visible([]byte(l.Reason), 125) + `"`
		}
		return s
	case End:
		return "the end of the connection (" + l.How.String() + ")"
	case Raw:
		b := unmasked(l.Data)
		if h, ok := inspect.ParseHeader(b); ok {
			return "the odd frame " + h.String()
		}
		return "half a frame"
	case When:
		return "a reaction to " + Describe(l.Reaction.When)
	case Open, HTTP:
		return l.Kind.String()
	}
	if l.Kind == Binary && l.Template {
		return "binary " + inspect.Visible(l.Data, 120)
	}
	s := fmt.Sprintf("%s of %d bytes", l.Kind, len(l.Data))
	if len(l.Data) > 0 {
		s += ": " + hexAt(l.Data, 0)
	}
	return s
}
