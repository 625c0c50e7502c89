package explain

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// ErrEmpty says that there are no bytes to explain.
var ErrEmpty = errors.New("no bytes to explain")

// width is how many columns a line of text has.
const width = 78

// Write takes apart b, which holds one frame or several of one direction, in
// words: each frame's figure, then its fields. A tail that is no whole frame is
// explained as far as it goes, with what is missing. Errors are ErrEmpty and
// those of w.
func Write(w io.Writer, b []byte) error {
	if len(b) == 0 {
		return ErrEmpty
	}
	var out bytes.Buffer // one frame at a time
	if head := httpHead(b); head > 0 {
		out.WriteString(wrap(fmt.Sprintf("The first %s look like an HTTP head, not like a frame: frames begin behind the empty line that ends the handshake.", count(uint64(head))), "") + "\n")
		if b = b[head:]; len(b) == 0 {
			_, err := out.WriteTo(w)
			return err
		}
		out.WriteByte('\n')
	}
	var before inspect.State
	var words builtBy
	for n := 1; len(b) > 0; n++ {
		if n > 1 {
			out.WriteByte('\n')
		}
		h, ok := inspect.ParseHeader(b)
		if !ok {
			writeTail(&out, n, b)
			b, words.over = nil, true
		} else {
			payload := b[h.Len():]
			payload = payload[:min(uint64(len(payload)), h.Length())]
			writeFrame(&out, n, h, payload, Options{Before: before})
			words.add(h, payload)
			before = after(before, h)
			b = b[h.Len()+len(payload):]
		}
		if _, err := out.WriteTo(w); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, words.line())
	return err
}

// builtBy collects the words for Build.
type builtBy struct {
	frames []string
	size   int
	over   bool // there is more than a line should have
}

// builtByLimit is how many payload bytes are said in words.
const builtByLimit = 200

func (b *builtBy) add(h inspect.Header, payload []byte) {
	if b.size += h.Len() + len(payload); b.size > builtByLimit {
		b.over = true
	}
	if !b.over {
		b.frames = append(b.frames, Words(h, payload))
	}
}

// line is the command that builds all of it again.
func (b *builtBy) line() string {
	if b.over || len(b.frames) == 0 {
		return ""
	}
	words := strings.ReplaceAll(strings.Join(b.frames, "; "), "'", `\x27`)
	return "\nMade again by: wsproxy explain --build '" + words + "'\n"
}

// httpHead is how many bytes of HTTP stand in front of the frames, as when a
// whole conversation is pasted; 'G' would be a frame with RSV1 and the reserved
// opcode 7.
func httpHead(b []byte) int {
	if !bytes.HasPrefix(b, []byte("GET ")) && !bytes.HasPrefix(b, []byte("HTTP/")) {
		return 0
	}
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return len(b)
}

// after is the state of a direction behind a frame (RFC 6455 section 5.4).
func after(s inspect.State, h inspect.Header) inspect.State {
	switch op := h.Opcode(); {
	case op == inspect.OpClose:
		s.Closed = true
	case op.Control():
	case h.Fin():
		s = inspect.State{Closed: s.Closed}
	case op != inspect.OpContinuation:
		s.InMessage, s.Opcode, s.Compressed = true, op, h.Rsv1()
	}
	return s
}

// WriteFrame takes one frame apart as Write does, behind a title of the caller's,
// with what is known beside the bytes. Errors are those of w.
func WriteFrame(w io.Writer, title string, h inspect.Header, payload []byte, o Options) error {
	var out bytes.Buffer
	out.WriteString(title + "\n")
	writeFields(&out, h, payload, o)
	_, err := out.WriteTo(w)
	return err
}

func writeFrame(out *bytes.Buffer, n int, h inspect.Header, payload []byte, o Options) {
	title := fmt.Sprintf("Frame %d: %s, a header of %s and %s of payload", n, kind(h.Opcode()), count(uint64(h.Len())), count(h.Length()))
	if missing := h.Length() - uint64(len(payload)); missing > 0 {
		title += fmt.Sprintf(", of which %s missing", are(missing))
	}
	out.WriteString(wrap(title, "") + "\n")
	writeFields(out, h, payload, o)
}

// writeFields is a frame's figure and its fields.
func writeFields(out *bytes.Buffer, h inspect.Header, payload []byte, o Options) {
	for _, l := range Diagram(h) {
		out.WriteString("  " + l + "\n")
	}
	out.WriteByte('\n')
	for _, l := range Frame(h, payload, o) {
		writeLine(out, l)
	}
}

// writeLine is a field with its bits and value, and below it the sentences.
func writeLine(out *bytes.Buffer, l Line) {
	const column = 16 // where bits and values begin
	line := fmt.Sprintf("%-*s%s", column, l.Field, l.Bits)
	value := l.Value
	if l.Bits != "" && value != "" {
		value = "  " + value
	}
	if utf8.RuneCountInString(line+value) <= width {
		out.WriteString(strings.TrimRight(line+value, " ") + "\n")
	} else {
		out.WriteString(strings.TrimRight(line, " ") + "\n")
		for part := range slices.Chunk([]rune(l.Value), width-column) {
			fmt.Fprintf(out, "%*s%s\n", column, "", string(part))
		}
	}
	text := l.Text
	if l.Clause != "" {
		text += " [" + strings.ReplaceAll(l.Clause, " ", "\u00a0") + "]"
	}
	out.WriteString(wrap(text, "    ") + "\n")
	if l.Figure != "" {
		out.WriteString("\n")
		for part := range strings.Lines(l.Figure) {
			out.WriteString(strings.TrimRight("    "+part, " \n") + "\n")
		}
		out.WriteString("\n")
	}
}

// writeTail explains a header that is not whole.
func writeTail(out *bytes.Buffer, n int, b []byte) {
	if len(b) == 1 {
		out.WriteString(wrap(fmt.Sprintf("Frame %d: only the first byte of its header is here (%x). The opcode says %s; how long the header is stands in the second byte, which is missing.",
			n, b, kind(inspect.Opcode(b[0]&15))), "") + "\n")
		return
	}
	// The second byte settles how long the header is.
	h, _ := inspect.ParseHeader(append(bytes.Clone(b), make([]byte, 14)...))
	var parts []string
	ext, rest := h.Form()/8, h.Len()-len(b)
	payload := "all of the payload"
	if short := 2 + ext - len(b); ext > 0 && short > 0 {
		parts = append(parts, fmt.Sprintf("%s of the %d-bit length", count(uint64(short)), h.Form()))
		rest -= short
	} else {
		payload = count(h.Length()) + " of payload"
	}
	if rest > 0 {
		parts = append(parts, count(uint64(rest))+" of the masking key")
	}
	parts = append(parts, payload)
	last := len(parts) - 1
	out.WriteString(wrap(fmt.Sprintf("Frame %d: only %s of its header are here (%s). It is a %s frame whose header has %s. Missing are %s and %s.",
		n, count(uint64(len(b))), octets(b), kind(h.Opcode()), count(uint64(h.Len())), strings.Join(parts[:last], ", "), parts[last]), "") + "\n")
}

// wrap breaks a text between words, each line behind the indent. A no-break
// space, which keeps a clause together, is written as a plain one.
func wrap(text, indent string) string {
	var lines []string
	line := ""
	for _, word := range strings.Split(text, " ") {
		if line != "" && len(indent)+utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, indent+line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.ReplaceAll(strings.Join(append(lines, indent+line), "\n"), "\u00a0", " ")
}
