package cassette

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Scope is what the variables of one session stand for. It must not be used by
// two goroutines at once.
type Scope struct {
	// Now is the clock of ${now}.
	Now func() time.Time

	values   map[string]value
	recorded map[string][]byte // what a variable stands for if nobody has said it
	found    map[string]value  // by the match under way
	loose    bool              // a variable may stand for something else each time
	inPath   bool              // what is matched is a path: a variable is one part of it
}

// NewScope begins a session. recorded are a Cassette's Values, or others.
func NewScope(recorded map[string][]byte) *Scope {
	return &Scope{Now: time.Now, recorded: recorded}
}

// kinds are the variables that stand for any value of a kind, each time another.
var kinds = map[string]*regexp.Regexp{
	"uuid":   regexp.MustCompile(`^(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`),
	"now":    timeShape,
	"now.s":  timeShape,
	"now.ms": timeShape,
	"int":    regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)$`),
	"string": regexp.MustCompile(`^(?s:.*)$`),
}

// timeShape is a time as programs write it: RFC 3339 and what resembles it, or a
// number of seconds to nanoseconds since 1970, from 2001 on.
var timeShape = regexp.MustCompile(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?)?|[1-9][0-9]{9,18}(?:\.[0-9]+)?)$`)

// Kind says that a name is one of the variables that stand for any value of a
// kind, such as ${uuid}.
func kindOf(name string) (*regexp.Regexp, bool) {
	re, ok := kinds[name]
	return re, ok
}

// plain is a value's text: that of a string, else its JSON.
func (v *value) plain() string {
	if v.raw[0] == '"' {
		return v.text
	}
	return string(v.raw)
}

func textValue(s string) value { return value{raw: quoteJSON([]byte(s)), text: s} }

// same says that two values are one: as JSON, or by their text where one of them
// was found in a text.
func sameValue(a, b *value) bool {
	if a.kind() != b.kind() {
		return a.plain() == b.plain()
	}
	var d differences
	d.compare("", a, b)
	return len(d.lines) == 0
}

// value is what a variable stands for by now.
func (s *Scope) value(name string) (value, bool) {
	if v, ok := s.found[name]; ok {
		return v, true
	}
	v, ok := s.values[name]
	return v, ok
}

// take compares what came in a variable's place, and keeps what comes first. It
// answers what else it should have been; empty: nothing.
func (s *Scope) take(name string, got value) (want string) {
	if shape, ok := kindOf(name); ok {
		plain := got.plain()
		if name == "string" && got.kind() != '"' || name == "int" && got.kind() != '0' || !shape.MatchString(plain) {
			return "${" + name + "}"
		}
		return ""
	}
	if s.loose {
		return ""
	}
	if v, ok := s.value(name); ok {
		if !sameValue(&v, &got) {
			return v.short() + " (${" + name + "})"
		}
		return ""
	}
	if s.found == nil {
		s.found = map[string]value{}
	}
	got.raw = bytes.Clone(got.raw) // a message's bytes are its reader's
	s.found[name] = got
	return ""
}

// takeText is take of a variable in a text.
func (s *Scope) takeText(name, got string) (want string) {
	if shape, ok := kindOf(name); ok {
		if !shape.MatchString(got) {
			return "${" + name + "}"
		}
		return ""
	}
	return s.take(name, textValue(got))
}

// settle ends a match: what it found stays if it held.
func (s *Scope) settle(held bool) {
	if held && len(s.found) > 0 {
		if s.values == nil {
			s.values = map[string]value{}
		}
		for n, v := range s.found {
			s.values[n] = v
		}
	}
	s.found = nil
}

// text matches a template that is more than one variable; "" says that it does.
func (s *Scope) text(template, got string) (want string) {
	all, _ := pieces(template)
	if len(all) == 1 && all[0].name != "" {
		return s.takeText(all[0].name, got)
	}
	var re strings.Builder
	var names []string
	re.WriteString("^(?s:")
	for _, p := range all {
		if p.name == "" {
			re.WriteString(regexp.QuoteMeta(p.text))
			continue
		}
		names = append(names, p.name)
		re.WriteString("(" + s.pattern(p.name) + ")")
	}
	re.WriteString(")$")
	m := regexp.MustCompile(re.String()).FindStringSubmatch(got) // made of quoted parts
	if m == nil {
		return s.shown(all)
	}
	for i, n := range names {
		if want := s.takeText(n, m[i+1]); want != "" {
			return s.shown(all)
		}
	}
	return ""
}

// pattern is what a variable may be inside a text.
func (s *Scope) pattern(name string) string {
	if shape, ok := kindOf(name); ok && name != "string" {
		return strings.TrimSuffix(strings.TrimPrefix(shape.String(), "^"), "$")
	}
	if v, ok := s.value(name); ok && !s.loose {
		return regexp.QuoteMeta(v.plain())
	}
	if s.inPath {
		return "[^/?&#]*"
	}
	return ".*?"
}

// shown is a template with the values that are known.
func (s *Scope) shown(all []piece) string {
	var b strings.Builder
	for _, p := range all {
		v, ok := s.value(p.name)
		switch {
		case p.name == "":
			b.WriteString(p.text)
		case ok && !s.loose:
			b.WriteString(v.plain())
		default:
			b.WriteString("${" + p.name + "}")
		}
	}
	return b.String()
}

// Path matches a request's target, or a subprotocol, and keeps what it finds.
func (s *Scope) Path(template, got string) bool {
	if !strings.Contains(template, "${") {
		return template == got
	}
	s.inPath = true
	held := s.text(template, got) == ""
	s.inPath = false
	s.settle(held)
	return held
}

// Fill answers the line as it is sent: with values in place of variables. Its
// own Data is not changed.
func (s *Scope) Fill(l Line) Line {
	if !l.Template {
		return l
	}
	l.Template = false
	l.Reason = s.FillText(l.Reason)
	if l.Kind == Binary {
		l.Data = s.fillBytes(string(l.Data))
	} else if l.Kind == JSON || l.Match == AsJSON {
		l.Data = s.fillJSON(l.Data)
	} else if prefix, js, ok := behind(l.Data); ok {
		l.Data = append([]byte(s.FillText(string(prefix))), s.fillJSON(js)...)
	} else {
		l.Data = []byte(s.FillText(string(l.Data)))
	}
	return l
}

// FillText is a template with values in place of its variables.
func (s *Scope) FillText(template string) string {
	if !strings.Contains(template, "${") {
		return template
	}
	all, _ := pieces(template)
	var b strings.Builder
	for _, p := range all {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		v := s.say(p.name, false)
		b.WriteString(v.plain())
	}
	return b.String()
}

func (s *Scope) fillJSON(data []byte) []byte {
	var out []byte
	for len(data) > 0 {
		i := bytes.IndexByte(data, '"')
		if i < 0 {
			break
		}
		n := stringLen(data[i:])
		out = append(out, data[:i]...)
		out = append(out, s.fillString(data[i:i+n])...)
		data = data[i+n:]
	}
	return append(out, data...)
}

// fillString fills a JSON string with its quotes.
func (s *Scope) fillString(quoted []byte) []byte {
	inner := string(quoted[1 : len(quoted)-1])
	if !strings.Contains(inner, "${") {
		return quoted
	}
	if name := only(inner); name != "" {
		v := s.say(name, true)
		return v.raw
	}
	all, _ := pieces(inner)
	out := []byte{'"'}
	for _, p := range all {
		if p.name == "" {
			out = append(out, p.text...)
			continue
		}
		v := s.say(p.name, false)
		q := quoteJSON([]byte(v.plain()))
		out = append(out, q[1:len(q)-1]...)
	}
	return append(out, '"')
}

// stringLen is the length of the JSON string that b begins with.
func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// say is a variable's value where it is said: the one that it has, or the
// recorded one, or a new one. whole says that it is all of a JSON string.
func (s *Scope) say(name string, whole bool) value {
	switch name {
	case "uuid":
		return textValue(newUUID())
	case "int":
		return value{raw: strconv.AppendInt(nil, mathrand.Int64N(1<<31), 10)}
	case "string":
		return textValue(rand.Text()[:16])
	case "now":
		return textValue(s.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
	case "now.s":
		return value{raw: strconv.AppendInt(nil, s.Now().Unix(), 10)}
	case "now.ms":
		return value{raw: strconv.AppendInt(nil, s.Now().UnixMilli(), 10)}
	}
	if v, ok := s.value(name); ok {
		return v
	}
	v := textValue(rand.Text()[:16])
	if js, ok := s.recorded[name]; ok {
		if known, ok := parseJSON(js); ok {
			v = *known
		}
	}
	if s.values == nil {
		s.values = map[string]value{}
	}
	s.values[name] = v
	return v
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Forget takes values from variables, which may stand for others then.
func (s *Scope) Forget(names []string) {
	for _, n := range names {
		delete(s.values, n)
	}
}

// Values are what the variables stand for by now, as JSON.
func (s *Scope) Values() map[string][]byte {
	all := map[string][]byte{}
	for n, v := range s.values {
		all[n] = bytes.Clone(v.raw)
	}
	return all
}

// Match compares a message that was expected with the one that came; see [Match].
// Variables that have no value yet get one if it is the expected message.
func (s *Scope) Match(want, got Line) []string {
	d := s.match(want, got)
	s.settle(d == nil)
	return d
}

func (s *Scope) match(want, got Line) []string {
	switch {
	case want.Match == Any && (isText(got.Kind) || got.Kind == Binary):
		return nil
	case isText(want.Kind) && isText(got.Kind):
		return s.matchText(want, got)
	case want.Kind != got.Kind:
		return []string{"expected " + Describe(want) + ", got " + Describe(got)}
	case want.Kind == Close:
		if want.Code == got.Code && (want.Reason == got.Reason || want.Template && s.text(want.Reason, got.Reason) == "") {
			return nil
		}
		return []string{"expected " + Describe(want) + ", got " + Describe(got)}
	case want.Kind == Raw:
		return matchBytes("the frame", unmasked(want.Data), unmasked(got.Data))
	case want.Kind == Binary && want.Template:
		return s.bytes(string(want.Data), got.Data)
	}
	return matchBytes("the payload", want.Data, got.Data)
}

func (s *Scope) matchText(want, got Line) []string {
	switch {
	case want.Match == Regex:
		return s.matchRegex(want, got)
	case !want.Template && bytes.Equal(want.Data, got.Data):
		return nil
	case want.Match == Subset, want.Match == AsJSON, want.Kind == JSON && want.Match != Exact, want.Template && want.Kind == Text:
		if d, ok := s.asJSON(&want, got.Data); ok {
			return d
		}
	}
	expected := want.Data
	if want.Template {
		w := s.text(string(want.Data), string(got.Data))
		if w == "" {
			return nil
		}
		expected = []byte(w)
	}
	return textDiffers(expected, got.Data)
}

// asJSON compares a text as JSON, or as JSON behind the same few characters; false:
// it is neither.
func (s *Scope) asJSON(want *Line, got []byte) (differing []string, ok bool) {
	d := differences{subset: want.Match == Subset}
	if want.Template {
		d.scope = s
	}
	expected := want.Data
	if want.Kind == Text {
		if prefix, js, is := behind(expected); is && len(prefix) > 0 {
			if expected = js; !bytes.HasPrefix(got, prefix) {
				return nil, false
			}
			got = got[len(prefix):]
		}
	}
	w, is := parseJSON(expected)
	if !is {
		return nil, false
	}
	g, is := parseJSON(got)
	if !is {
		return []string{"expected JSON, got text that is none"}, true
	}
	d.compare("$", w, g)
	return d.all(), true
}

func (s *Scope) matchRegex(want, got Line) []string {
	re, err := regexp.Compile("^(?s:" + string(want.Data) + ")$")
	if err != nil {
		return []string{"the regular expression of the cassette is none: " + err.Error()}
	}
	m := re.FindSubmatch(got.Data)
	if m == nil {
		return []string{"expected a match of " + inspect.Visible(want.Data, 120) + ", got " + inspect.Visible(got.Data, 120)}
	}
	for i, n := range re.SubexpNames() {
		if n == "" {
			continue
		}
		if w := s.takeText(n, string(m[i])); w != "" {
			return []string{fmt.Sprintf("expected %s as %s, got %s", w, n, inspect.Visible(m[i], 60))}
		}
	}
	return nil
}

// quoteJSON is a text as a JSON string. Only what must be is escaped; a byte that
// is no UTF-8 becomes the lone surrogate U+DC80 to U+DCFF that Python, too, uses
// for it.
func quoteJSON(b []byte) []byte {
	return appendQuoted(nil, b)
}

// valid is json.Valid, with where it is not.
func invalidAt(data []byte) (at int64, why string, bad bool) {
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	if err == nil {
		return 0, "", false
	}
	if e, ok := err.(*json.SyntaxError); ok {
		return e.Offset, e.Error(), true
	}
	return 0, err.Error(), true
}
