package cassette

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// formatVersion is what the first line of a cassette file says.
const formatVersion = 1

// Write writes a cassette file, a line a thing that happened; [Parse] reads it.
// Warnings are not written.
func (c *Cassette) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	wr := writer{open: openSessions{}}
	for _, line := range append([][]byte{wr.head(c)}, wr.lines(c.Lines)...) {
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Flush()
}

// LineText is a line as it stands in a file, without its session.
func LineText(l Line) string {
	var f fields
	f.line(&l)
	return string(f.end())
}

// writer writes lines, one after the other.
type writer struct {
	open  openSessions
	group int
}

func (w *writer) head(c *Cassette) []byte {
	var f fields
	f.raw("cassette", strconv.Itoa(formatVersion))
	if !c.Recorded.IsZero() {
		f.string("recorded", c.Recorded.UTC().Format(time.RFC3339Nano))
	}
	if len(c.Values) > 0 {
		var v fields
		for _, name := range slices.Sorted(maps.Keys(c.Values)) {
			v.raw(name, string(c.Values[name]))
		}
		f.raw("values", string(v.end()))
	}
	return f.end()
}

func (w *writer) lines(lines []Line) (all [][]byte) {
	for i := range lines {
		l := &lines[i]
		if l.Group != w.group {
			if w.group > 0 {
				all = append(all, []byte(`{"end-any-order":true}`))
			}
			if l.Group > 0 {
				all = append(all, []byte(`{"any-order":true}`))
			}
			w.group = l.Group
		}
		var f fields
		if l.Kind == Open || l.Session > 0 && !w.open.only(l.Session) {
			f.raw("session", strconv.Itoa(l.Session))
		}
		f.line(l)
		w.open.take(l)
		all = append(all, f.end())
	}
	if w.group > 0 {
		all = append(all, []byte(`{"end-any-order":true}`))
	}
	return all
}

// openSessions are the sessions that a line may belong to: those that have not
// ended. The values are the directions that have.
type openSessions map[int][2]bool

func (o openSessions) only(n int) bool {
	_, ok := o[n]
	return ok && len(o) == 1
}

func (o openSessions) take(l *Line) {
	switch l.Kind {
	case Open:
		if l.Upgrade.Accepted() {
			o[l.Session] = [2]bool{}
		}
	case End:
		ended, ok := o[l.Session]
		ended[l.From] = true
		if ended == [2]bool{true, true} || l.How == inspect.Rst {
			delete(o, l.Session)
		} else if ok {
			o[l.Session] = ended
		}
	}
}

// fields is a JSON object being written.
type fields struct{ b []byte }

func (f *fields) key(name string) {
	if f.b == nil {
		f.b = append(f.b, '{')
	} else {
		f.b = append(f.b, ',')
	}
	f.b = append(appendQuoted(f.b, []byte(name)), ':')
}

func (f *fields) raw(name, js string)   { f.key(name); f.b = append(f.b, js...) }
func (f *fields) string(name, s string) { f.key(name); f.b = appendQuoted(f.b, []byte(s)) }

// some writes a string unless it is empty.
func (f *fields) some(name, s string) {
	if s != "" {
		f.string(name, s)
	}
}

func (f *fields) end() []byte {
	if f.b == nil {
		return []byte("{}")
	}
	return append(f.b, '}')
}

var sides = [...]string{inspect.ToServer: "client", inspect.ToClient: "server"}

func (f *fields) line(l *Line) {
	switch l.Kind {
	case Open:
		f.after(l)
		f.upgrade(l.Upgrade)
	case HTTP:
		f.after(l)
		f.exchange(l.Exchange)
	case When:
		f.after(l)
		var when fields
		when.content(&l.Reaction.When)
		f.raw("when", string(when.end()))
		send := []byte("[")
		for i := range l.Reaction.Send {
			var m fields
			m.after(&l.Reaction.Send[i])
			m.content(&l.Reaction.Send[i])
			if i > 0 {
				send = append(send, ',')
			}
			send = append(send, m.end()...)
		}
		f.raw("send", string(append(send, ']')))
	default:
		f.string("from", sides[l.From])
		f.after(l)
		f.content(l)
	}
}

func (f *fields) after(l *Line) {
	if l.After > 0 {
		f.string("after", l.After.String())
	}
}

// content writes what is said and how it is compared.
func (f *fields) content(l *Line) {
	literal := func(s string) string {
		if l.Template || l.Match == Regex {
			return s
		}
		return Literal(s)
	}
	switch l.Kind {
	case JSON:
		f.raw("json", literal(string(l.Data)))
	case Text:
		f.string("text", literal(string(l.Data)))
	case Binary:
		if l.Template {
			f.string("hex", string(l.Data))
			break
		}
		f.string("binary", base64.StdEncoding.EncodeToString(l.Data))
	case Ping, Pong:
		f.string(l.Kind.String(), string(l.Data))
	case Close:
		code := strconv.Itoa(int(l.Code))
		if l.Code == inspect.NoStatus {
			code = "null"
		}
		f.raw("close", code)
		f.some("reason", literal(l.Reason))
	case End:
		f.string("end", l.How.String())
	case Raw:
		f.string("raw", hex.EncodeToString(l.Data))
	}
	if l.Match != ByKind && int(l.Match) < len(modeNames) {
		f.string("match", modeNames[l.Match])
	}
	if l.Optional {
		f.raw("optional", "true")
	}
	if len(l.Frames) > 0 {
		f.raw("frames", numbers(l.Frames))
	}
	if l.Compressed {
		f.raw("compressed", "true")
	}
	if l.Within > 0 {
		f.raw("within", strconv.Itoa(l.Within))
	}
}

func numbers(all []int) string {
	b := []byte("[")
	for i, n := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(append(b, ']'))
}

func (f *fields) upgrade(u *Upgrade) {
	var open, accept fields
	open.string("path", u.Path)
	if len(u.Subprotocols) > 0 {
		list := []byte("[")
		for i, p := range u.Subprotocols {
			if i > 0 {
				list = append(list, ',')
			}
			list = appendQuoted(list, []byte(p))
		}
		open.raw("subprotocols", string(append(list, ']')))
	}
	open.headers(u.Headers)
	accept.answer(&u.Accept, u.Subprotocol, u.Extensions)
	f.raw("open", string(open.end()))
	f.raw("accept", string(accept.end()))
}

func (f *fields) exchange(x *Exchange) {
	var http, answer fields
	http.string("method", x.Method)
	http.string("path", x.Path)
	http.body(x.Body)
	answer.answer(&x.Answer, "", "")
	f.raw("http", string(http.end()))
	f.raw("answer", string(answer.end()))
}

func (f *fields) answer(a *Answer, subprotocol, extensions string) {
	f.raw("status", strconv.Itoa(a.Status))
	f.some("proto", a.Proto)
	f.some("phrase", a.Phrase)
	f.some("subprotocol", subprotocol)
	f.some("extensions", extensions)
	f.headers(a.Headers)
	f.body(a.Body)
}

// headers are an object in the order of the wire; a name that comes twice stands
// in it twice.
func (f *fields) headers(all []inspect.HeaderField) {
	if all == nil {
		return
	}
	var h fields
	for _, x := range all {
		h.string(x.Name, x.Value)
	}
	f.raw("headers", string(h.end()))
}

func (f *fields) body(b []byte) {
	switch {
	case len(b) == 0:
	case utf8.Valid(b):
		f.string("body", string(b))
	default:
		f.string("body-base64", base64.StdEncoding.EncodeToString(b))
	}
}

// appendQuoted appends a JSON string; see quoteJSON.
func appendQuoted(out, b []byte) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	for i := 0; i < len(b); {
		c := b[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				out = append(out, '\\', c)
			case c == '\n':
				out = append(out, `\n`...)
			case c == '\r':
				out = append(out, `\r`...)
			case c == '\t':
				out = append(out, `\t`...)
			case c < ' ' || c == 0x7f:
				out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			default:
				out = append(out, c)
			}
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, '\\', 'u', 'd', 'c', digits[c>>4], digits[c&15])
		case r == '\u2028' || r == '\u2029' || r >= 0x80 && r < 0xa0: // ends a line in some editors
			out = append(out, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
		default:
			out = append(out, b[i:i+n]...)
		}
		i += n
	}
	return append(out, '"')
}
