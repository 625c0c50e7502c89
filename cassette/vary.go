package cassette

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// Making is how a cassette is made of what was recorded.
type Making struct {
	// Variables finds the values that are different each time.
	Variables bool
	// Both finds times, uuids and the like in what either side says, which is of
	// use where all of it is compared and nothing is sent.
	Both bool
	// Secret, if set, says that a value is a credential, by the name of its
	// member or header, of its parameter of the path with a "?" in front, or by
	// its looks; it is left out.
	Secret func(name, value string) bool
	// Reserved are names that new variables may not have.
	Reserved map[string][]byte
}

// Change is something that making a cassette has changed, and why.
type Change struct {
	Line int    // number of the line in the file, as it is written
	Name string // the variable that stands there now
	Was  string // what stood there, safe to show; empty: a secret
	Why  string // in a sentence
}

// String is the change in one line.
func (c Change) String() string {
	was := c.Was
	if was == "" {
		was = "a secret"
	}
	if c.Name == "" {
		return fmt.Sprintf("line %d: %s is left out: %s", c.Line, was, c.Why)
	}
	return fmt.Sprintf("line %d: %s became ${%s}: %s", c.Line, was, c.Name, c.Why)
}

// Make changes a cassette that holds literal values into one that holds for the
// next run too, and says what it did.
func (c *Cassette) Make(m Making) []Change {
	v := &vary{c: c, m: m, names: map[string]bool{}, next: map[string]int{}, shared: map[string]string{}, edits: map[int][]edit{}}
	for _, name := range c.names() {
		v.names[name] = true
	}
	for name := range m.Reserved {
		v.names[name] = true
	}
	var before []leaf // of exchanges, which belong to no session
	bySession := map[int][]leaf{}
	var order []int
	for i := range c.Lines {
		l := &c.Lines[i]
		found := leaves(l, i)
		if l.Kind == HTTP {
			before = append(before, found...)
			continue
		}
		if _, ok := bySession[l.Session]; !ok {
			order = append(order, l.Session)
		}
		bySession[l.Session] = append(bySession[l.Session], found...)
	}
	for _, n := range order {
		v.session(append(slices.Clone(before), bySession[n]...))
	}
	for i := range c.Lines {
		v.asterisks(i)
	}
	v.apply()
	v.mqtt()
	slices.SortStableFunc(v.changes, func(a, b Change) int { return cmp.Compare(a.Line, b.Line) })
	return v.changes
}

// names are the variables that a cassette has already.
func (c *Cassette) names() (all []string) {
	for name := range c.Values {
		all = append(all, name)
	}
	for i := range c.Lines {
		all = append(all, c.Lines[i].variables()...)
	}
	return all
}

// vary is one making.
type vary struct {
	c       *Cassette
	m       Making
	names   map[string]bool
	next    map[string]int    // by name: the number that the next one of it may have
	shared  map[string]string // variables of what an exchange says first, by that
	edits   map[int][]edit
	changes []Change
}

// edit puts something else in a value's place.
type edit struct {
	at, end int
	with    string
	literal bool // it is no variable
}

// session finds variables in what is said in one session.
func (v *vary) session(all []leaf) {
	said := map[string][]leaf{} // by what they say
	var order []string
	for _, x := range all {
		k := x.text
		if said[k] == nil {
			order = append(order, k)
		}
		said[k] = append(said[k], x)
	}
	var words map[string][]int
	for _, k := range order {
		group := said[k]
		if v.m.Variables {
			if name, rest := v.repeated(group); name != "" {
				if words == nil {
					words = wordsOf(all)
				}
				v.within(name, group[0], all, words)
				group = rest
			}
		}
		for i := range group {
			v.single(&group[i])
		}
	}
}

// repeated makes a variable of a value that one side says and the other repeats,
// and answers the places that it does not stand for.
func (v *vary) repeated(group []leaf) (name string, rest []leaf) {
	first := -1
	var again leaf
	for i, x := range group {
		if !x.generated() && !idKeys.MatchString(x.key) {
			continue
		}
		if first < 0 {
			first = i
		} else if x.from != group[first].from && (x.generated() || x.kind == group[first].kind) {
			again = x
			break
		}
	}
	if first < 0 || again.raw == "" || group[first].timeOf(v.c.Recorded) != "" && !v.echoed(group) {
		return "", group
	}
	x := group[first]
	name, known := v.shared[x.text]
	if !known {
		name = v.name(x.key, again.key)
		v.value(name, &x, &again)
	}
	if v.c.Lines[x.line].Kind == HTTP {
		v.shared[x.text] = name
	}
	for i, y := range group {
		if i < first || !y.generated() && (!idKeys.MatchString(y.key) || y.kind != x.kind && y.kind != pathLeaf) {
			rest = append(rest, y)
			continue
		}
		v.put(&group[i], name)
	}
	return name, rest
}

// value keeps what a new variable stood for.
func (v *vary) value(name string, x, again *leaf) {
	secret := v.secret(x) || v.secret(again)
	was := inspect.Visible([]byte(x.raw), 40)
	if v.c.Values == nil {
		v.c.Values = map[string][]byte{}
	}
	v.c.Values[name] = quoteJSON([]byte(x.text))
	switch {
	case secret:
		v.c.Values[name], was = quoteJSON([]byte(stars(x.text))), ""
		v.blot(x)
	case x.kind == numberLeaf:
		v.c.Values[name] = []byte(x.raw)
	}
	v.changes = append(v.changes, Change{Line: x.line + 2, Name: name, Was: was,
		Why: fmt.Sprintf("the %s says it (%s), the %s repeats it (line %d, %s)", x.from.Sender(), x.path, again.from.Sender(), again.line+2, again.path)})
}

// echoed says that a time is the client's, said once, which the server repeats;
// two that are said in one moment will be two the next time.
func (v *vary) echoed(group []leaf) bool {
	said := 0
	for _, x := range group {
		if x.from == inspect.ToServer {
			said++
		}
	}
	return said == 1 && group[0].from == inspect.ToServer && len(group[0].text) >= len("1795405341123")
}

var nameParts = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// name is a new variable's, after the members that it is the value of.
func (v *vary) name(keys ...string) string {
	base := ""
	for _, k := range keys {
		if k = strings.Trim(nameParts.ReplaceAllString(k, "_"), "_"); base == "" && k != "" && len(k) <= 30 && !isDigit(k[0]) {
			base = k
		}
	}
	if _, kind := kindOf(base); kind || base == "" {
		base = "value"
	}
	name := base
	n := max(v.next[base], 2)
	for ; v.names[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	v.next[base] = n
	v.names[name] = true
	return name
}

// put puts a variable in a value's place.
func (v *vary) put(x *leaf, name string) {
	if x.at < 0 {
		return
	}
	with := "${" + name + "}"
	if x.kind == stringLeaf || x.kind == numberLeaf {
		with = `"` + with + `"`
	}
	v.edits[x.line] = append(v.edits[x.line], edit{at: x.at, end: x.at + len(x.raw), with: with})
}

// isSeparator says that a character parts words.
func isSeparator(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

// wordsOf are the words in what is said that is more than one, each with the leaves
// that have it.
func wordsOf(all []leaf) map[string][]int {
	words := map[string][]int{}
	for i, x := range all {
		if x.at < 0 || x.kind == numberLeaf {
			continue
		}
		parts := strings.FieldsFunc(x.text, isSeparator)
		for _, w := range parts {
			if len(parts) > 1 && len(w) >= 4 && (len(words[w]) == 0 || words[w][len(words[w])-1] != i) {
				words[w] = append(words[w], i)
			}
		}
	}
	return words
}

// within replaces a value inside longer strings, where it cannot be there by
// chance.
func (v *vary) within(name string, x leaf, all []leaf, words map[string][]int) {
	if len(x.text) < 8 || !x.generated() || x.kind == numberLeaf {
		return
	}
	longest := ""
	for w := range strings.FieldsFuncSeq(x.text, isSeparator) {
		if len(w) > len(longest) {
			longest = w
		}
	}
	for _, i := range words[longest] {
		y := all[i]
		if y.text == x.text {
			continue
		}
		for from := 0; ; {
			i := strings.Index(y.raw[from:], x.text)
			if i < 0 {
				break
			}
			at := y.at + from + i
			v.edits[y.line] = append(v.edits[y.line], edit{at: at, end: at + len(x.text), with: "${" + name + "}"})
			from += i + len(x.text)
		}
	}
}

// single makes a variable of a value that is another one each time, though nobody
// repeats it, or leaves a secret out.
func (v *vary) single(x *leaf) {
	if x.at < 0 {
		if v.secret(x) && v.blot(x) {
			v.changes = append(v.changes, Change{Line: x.line + 2, Why: fmt.Sprintf("a credential in the answer's body (%s; --no-redact keeps it)", x.path)})
		}
		return
	}
	expected := x.from == inspect.ToServer || v.m.Both
	if v.secret(x) {
		v.hide(x, expected)
		return
	}
	if !v.m.Variables && !v.m.Both || !expected || x.kind == pathLeaf && x.key == "" {
		return
	}
	if name, why := x.kindFor(v.c.Recorded); name != "" {
		v.put(x, name)
		v.changes = append(v.changes, Change{Line: x.line + 2, Name: name, Was: inspect.Visible([]byte(x.raw), 40), Why: fmt.Sprintf("%s (%s)", why, x.path)})
	}
}

func (v *vary) secret(x *leaf) bool {
	if v.m.Secret == nil || x.kind == numberLeaf || len(x.text) < 4 || strings.HasPrefix(x.text, "***") {
		return false
	}
	key := x.key
	if x.kind == pathLeaf {
		key = "?" + key
	}
	return v.m.Secret(key, x.text)
}

// hide leaves a secret out: what is expected may be any, what is sent is stars.
func (v *vary) hide(x *leaf, expected bool) {
	why := fmt.Sprintf("a credential, by its name or its looks (%s; --no-redact keeps it)", x.path)
	if expected {
		v.put(x, "string")
		v.changes = append(v.changes, Change{Line: x.line + 2, Name: "string", Why: why})
		return
	}
	with := stars(x.text)
	if x.kind == stringLeaf {
		with = `"` + with + `"`
	}
	v.edits[x.line] = append(v.edits[x.line], edit{at: x.at, end: x.at + len(x.raw), with: with, literal: true})
	v.changes = append(v.changes, Change{Line: x.line + 2, Why: why})
}

// blot puts asterisks in a value's place in the body of an exchange.
func (v *vary) blot(x *leaf) bool {
	l := &v.c.Lines[x.line]
	if l.Kind != HTTP || x.at >= 0 {
		return false
	}
	l.Exchange.Answer.Body = bytes.ReplaceAll(l.Exchange.Answer.Body, []byte(x.text), []byte(stars(x.text)))
	return true
}

func stars(s string) string { return strings.Repeat("*", min(len(s), 32)) }

// starred is what the redaction of heads leaves of a credential.
var starred = regexp.MustCompile(`\*{4,}`)

// asterisks lets any credential stand where one was left out of a path or a
// subprotocol: a client has one still.
func (v *vary) asterisks(i int) {
	l := &v.c.Lines[i]
	fix := func(s *string, what string) {
		if to := starred.ReplaceAllLiteralString(*s, "${string}"); to != *s {
			*s = to
			v.changes = append(v.changes, Change{Line: i + 2, Name: "string", Why: "a credential in " + what})
		}
	}
	switch {
	case l.Kind == Open:
		v.headers(i, l.Upgrade.Headers)
		v.headers(i, l.Upgrade.Accept.Headers)
		fix(&l.Upgrade.Path, "the path")
		for j := range l.Upgrade.Subprotocols {
			fix(&l.Upgrade.Subprotocols[j], "a subprotocol")
		}
	case l.Kind == HTTP:
		fix(&l.Exchange.Path, "the path")
	}
}

// headers leaves credentials out of headers.
func (v *vary) headers(i int, all []inspect.HeaderField) {
	for j := range all {
		f := &all[j]
		if v.m.Secret == nil || strings.Contains(f.Value, "****") || !v.m.Secret(f.Name, f.Value) {
			continue
		}
		f.Value = stars(f.Value)
		v.changes = append(v.changes, Change{Line: i + 2, Why: "a credential in the header " + f.Name})
	}
}

// apply makes the edits, each line's from its start.
func (v *vary) apply() {
	for i, all := range v.edits {
		l := &v.c.Lines[i]
		slices.SortStableFunc(all, func(a, b edit) int { return a.at - b.at })
		switch l.Kind {
		case Open:
			l.Upgrade.Path = edited(l.Upgrade.Path, all)
		case HTTP:
			l.Exchange.Path = edited(l.Exchange.Path, all)
		default:
			escape := Literal
			if l.Template || !slices.ContainsFunc(all, func(e edit) bool { return !e.literal }) {
				escape = func(s string) string { return s } // it is a template already, or becomes none
			} else {
				l.Template = true
			}
			l.Data = []byte(editedBy(string(l.Data), all, escape))
		}
	}
}

func edited(s string, all []edit) string {
	return editedBy(s, all, func(s string) string { return s }) // a path is a template already
}

func editedBy(s string, all []edit, escape func(string) string) string {
	var b strings.Builder
	last := 0
	for _, e := range all {
		if e.at < last || e.end > len(s) {
			continue // inside another one
		}
		b.WriteString(escape(s[last:e.at]))
		b.WriteString(e.with)
		last = e.end
	}
	b.WriteString(escape(s[last:]))
	return b.String()
}
