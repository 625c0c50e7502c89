package cassette

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// value is a JSON value as it was written: numbers keep their digits, and
// objects their order and repeated names.
type value struct {
	raw     []byte
	at      int      // where raw begins in the whole text
	text    string   // of a string, unescaped
	names   []string // of an object
	nameAt  []int    // where they begin
	members []value  // of an object or array
}

// kind is the byte that the value begins with; '0' stands for every number.
func (v *value) kind() byte {
	if c := v.raw[0]; c != '-' && (c < '0' || c > '9') {
		return c
	}
	return '0'
}

// parseJSON reads a whole JSON text (RFC 8259); nesting is limited as
// encoding/json limits it.
func parseJSON(data []byte) (*value, bool) {
	if !json.Valid(data) {
		return nil, false
	}
	p := jsonReader{data, len(data)}
	v := p.value()
	return &v, true
}

// prefixLimit is how much may stand before JSON in a text.
const prefixLimit = 200

// behind splits a text that is JSON behind a few characters, as socket.io and
// others write it; false: it is no such text.
func behind(data []byte) (prefix, js []byte, ok bool) {
	i := bytes.IndexAny(data, "[{")
	if i < 0 || i > prefixLimit || !json.Valid(data[i:]) {
		return nil, nil, false
	}
	return data[:i], data[i:], true
}

// jsonReader reads JSON that is known to be valid.
type jsonReader struct {
	rest []byte
	size int // of the whole
}

func (p *jsonReader) space() {
	i := 0
	for i < len(p.rest) && (p.rest[i] == ' ' || p.rest[i] == '\t' || p.rest[i] == '\r' || p.rest[i] == '\n') {
		i++
	}
	p.rest = p.rest[i:]
}

// next passes over white space and n bytes behind it.
func (p *jsonReader) next(n int) []byte {
	p.space()
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *jsonReader) peek() byte {
	p.space()
	return p.rest[0]
}

func (p *jsonReader) value() value {
	p.space()
	start := p.rest
	v := value{at: p.size - len(start)}
	switch c := start[0]; c {
	case '{', '[':
		p.next(1)
		for p.peek() != c+2 { // '}' and ']' stand two behind in ASCII
			if c == '{' {
				name := p.value()
				v.names = append(v.names, name.text)
				v.nameAt = append(v.nameAt, name.at)
				p.next(1)
				p.space()
			}
			v.members = append(v.members, p.value())
			if p.peek() == ',' {
				p.next(1)
			}
		}
		p.next(1)
	case '"':
		n := 1
		for start[n] != '"' {
			if start[n] == '\\' {
				n++
			}
			n++
		}
		v.text = unescape(p.next(n + 1))
	default:
		n := bytes.IndexAny(start, ",]} \t\r\n")
		if n < 0 {
			n = len(start)
		}
		p.next(n)
	}
	v.raw = start[:len(start)-len(p.rest)]
	return v
}

// unescape is a JSON string's text. A surrogate without its other half becomes
// three bytes of its own, which equal nothing else.
func unescape(quoted []byte) string {
	s := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(s, '\\') < 0 {
		return string(s)
	}
	var b strings.Builder
	for len(s) > 0 {
		if s[0] != '\\' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		if c := s[1]; c != 'u' {
			if i := strings.IndexByte("bfnrt", c); i >= 0 {
				c = "\b\f\n\r\t"[i]
			}
			b.WriteByte(c)
			s = s[2:]
			continue
		}
		r := hex4(s)
		s = s[6:]
		if r>>10 == 0xd800>>10 && len(s) >= 6 && s[0] == '\\' && s[1] == 'u' && hex4(s)>>10 == 0xdc00>>10 {
			r = (r-0xd800)<<10 + hex4(s) - 0xdc00 + 0x10000
			s = s[6:]
		}
		if r >= 0xd800 && r < 0xe000 {
			b.Write([]byte{0xe0 | byte(r>>12), 0x80 | byte(r>>6)&0x3f, 0x80 | byte(r)&0x3f})
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hex4 reads the four digits of \uXXXX.
func hex4(s []byte) rune {
	n, _ := strconv.ParseUint(string(s[2:6]), 16, 16) // valid JSON has four
	return rune(n)
}

// differences collects where two values differ, a line each.
type differences struct {
	lines  []string
	more   int
	scope  *Scope // what want's variables stand for; nil: it has none
	subset bool   // got's objects may have more members
}

// shownDifferences is how many differences are named; the rest are counted.
const shownDifferences = 5

func (d *differences) add(path, line string) {
	if len(d.lines) == shownDifferences {
		d.more++
		return
	}
	d.lines = append(d.lines, path+": "+line)
}

func (d *differences) all() []string {
	if d.more > 0 {
		return append(d.lines, "and "+strconv.Itoa(d.more)+" more differences")
	}
	return d.lines
}

// compare walks two values. Members of an object may stand in any order, those
// of an array may not; numbers are equal if they are the same decimal number.
func (d *differences) compare(path string, want, got *value) {
	if d.scope != nil && want.kind() == '"' && strings.Contains(want.text, "${") {
		d.template(path, want, got)
		return
	}
	if want.kind() != got.kind() {
		d.differ(path, want, got)
		return
	}
	switch want.kind() {
	case '{':
		d.objects(path, want, got)
	case '[':
		d.arrays(path, want, got)
	case '"':
		if want.text != got.text {
			d.differ(path, want, got)
		}
	case '0':
		if !sameNumber(string(want.raw), string(got.raw)) {
			d.differ(path, want, got)
		}
	}
}

// template compares a string with variables in it.
func (d *differences) template(path string, want, got *value) {
	var expected string
	switch name := only(want.text); {
	case name != "":
		expected = d.scope.take(name, *got)
	case got.kind() != '"':
		expected = want.short()
	default:
		if w := d.scope.text(want.text, got.text); w != "" {
			expected = inspect.Visible(quoteJSON([]byte(w)), 60)
		}
	}
	if expected != "" {
		d.add(path, "expected "+expected+", got "+got.short())
	}
}

func (d *differences) differ(path string, want, got *value) {
	d.add(path, "expected "+want.short()+", got "+got.short())
}

func (d *differences) arrays(path string, want, got *value) {
	at := func(i int) string { return path + "[" + strconv.Itoa(i) + "]" }
	for i := range min(len(want.members), len(got.members)) {
		d.compare(at(i), &want.members[i], &got.members[i])
	}
	for i := len(got.members); i < len(want.members); i++ {
		d.add(at(i), "expected "+want.members[i].short()+", got nothing")
	}
	for i := len(want.members); i < len(got.members); i++ {
		d.add(at(i), "expected nothing, got "+got.members[i].short())
	}
}

// objects compares members by name; of a name that is repeated, the first with
// the first and so on.
func (d *differences) objects(path string, want, got *value) {
	have := map[string][]*value{}
	for i, n := range got.names {
		have[n] = append(have[n], &got.members[i])
	}
	for i, n := range want.names {
		if d.scope != nil && strings.Contains(n, "${") {
			all, _ := pieces(n)
			n = d.scope.shown(all)
		}
		if len(have[n]) == 0 {
			d.add(path+member(n), "expected "+want.members[i].short()+", got nothing")
			continue
		}
		d.compare(path+member(n), &want.members[i], have[n][0])
		have[n] = have[n][1:]
	}
	if d.subset {
		return
	}
	for i, n := range got.names {
		if len(have[n]) > 0 && have[n][0] == &got.members[i] {
			d.add(path+member(n), "expected nothing, got "+got.members[i].short())
			have[n] = have[n][1:]
		}
	}
}

// member is the step of a path to a name: .price, or ["odd name"].
func member(name string) string {
	plain := name != "" && utf8.ValidString(name)
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9' || i == 0) {
			plain = false
		}
	}
	if plain {
		return "." + name
	}
	return `["` + inspect.Visible([]byte(name), 60) + `"]`
}

// short is the value made fit to show.
func (v *value) short() string { return inspect.Visible(v.raw, 60) }

// sameNumber says that two JSON numbers are the same decimal number, however
// they are written. No size of exponent makes it work harder.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, okX := decimal(a)
	y, okY := decimal(b)
	return okX && okY && x == y
}

// number is a decimal number, 0.DIGITS times ten to the power of exp, without
// zeros at either end of digits. Zero has none.
type number struct {
	negative bool
	digits   string
	exp      int64
}

// decimal reads a JSON number; false if its exponent is out of all reason.
func decimal(s string) (number, bool) {
	var n number
	s, n.negative = strings.CutPrefix(s, "-")
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		exp := strings.TrimPrefix(s[i+1:], "+")
		e, err := strconv.ParseInt(exp, 10, 64)
		if err != nil || e > 1<<60 || e < -1<<60 {
			return number{}, strings.Trim(s[:i], "0.") == "" // zero, whatever the exponent
		}
		n.exp, s = e, s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	digits := whole + fraction
	n.exp += int64(len(whole))
	n.digits = strings.TrimLeft(digits, "0")
	n.exp -= int64(len(digits) - len(n.digits))
	n.digits = strings.TrimRight(n.digits, "0")
	if n.digits == "" {
		return number{}, true
	}
	return n, true
}
