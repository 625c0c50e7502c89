package cassette

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// object is a JSON object of a line, and which of its members have been read.
type object struct {
	p    *parser
	v    *value
	used []bool
}

func (p *parser) object(v *value) *object {
	return &object{p: p, v: v, used: make([]bool, len(v.names))}
}

func (o *object) has(name string) bool { return slices.Contains(o.v.names, name) }

// get is a member; nil: it has none of that name.
func (o *object) get(name string) *value {
	i := slices.Index(o.v.names, name)
	if i < 0 {
		return nil
	}
	o.used[i] = true
	return &o.v.members[i]
}

// is checks a member's kind.
func (o *object) is(v *value, kind byte, what string) bool {
	if v.kind() != kind {
		o.p.fault(v.at, "expected %s, not %s", what, v.short())
		return false
	}
	return true
}

// text is a member that is a string, as bytes; nil: there is none.
func (o *object) text(name string) []byte {
	v := o.get(name)
	if v == nil || !o.is(v, '"', "a string") {
		return nil
	}
	return unquoted(v)
}

// unquoted is what quoteJSON made a string of.
func unquoted(v *value) []byte {
	b := make([]byte, 0, len(v.text))
	for s := v.text; len(s) > 0; {
		if len(s) >= 3 && s[0] == 0xed && (s[1] == 0xb2 || s[1] == 0xb3) { // U+DC80 to U+DCFF
			b = append(b, 0x80|(s[1]&1)<<6|s[2]&0x3f)
			s = s[3:]
			continue
		}
		b = append(b, s[0])
		s = s[1:]
	}
	return b
}

func (o *object) flag(name string) bool {
	v := o.get(name)
	if v == nil {
		return false
	}
	if s := string(v.raw); s != "true" && s != "false" {
		o.p.fault(v.at, "%s takes true or false, not %s", name, v.short())
	}
	return string(v.raw) == "true"
}

// number is a member that is a whole number from low to high.
func (o *object) number(name string, low, high int) int {
	v := o.get(name)
	if v == nil {
		return low
	}
	n, err := strconv.Atoi(string(v.raw))
	if v.kind() != '0' || err != nil || n < low || n > high {
		o.p.fault(v.at, "%s takes a number from %d to %d, not %s", name, low, high, v.short())
		return low
	}
	return n
}

// rest complains of members that nobody has read. known are the keys there are.
func (o *object) rest(known ...string) {
	for i, used := range o.used {
		name := o.v.names[i]
		switch {
		case used:
		case slices.Index(o.v.names, name) < i && slices.Contains(known, name):
			o.p.fault(o.v.nameAt[i], "%s stands twice", visibleName(name))
		case slices.Contains(known, name):
			o.p.fault(o.v.nameAt[i], "%s does not belong into this line", visibleName(name))
		default:
			o.p.fault(o.v.nameAt[i], "unknown key %s%s", visibleName(name), meant(name, known))
		}
	}
}

func visibleName(name string) string { return `"` + inspect.Visible([]byte(name), 60) + `"` }

// meant proposes the key that a typo was meant to be.
func meant(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "; the keys here are " + strings.Join(known, ", ")
	}
	return `; is "` + best + `" meant?`
}

// distance is how many characters must be changed, added or taken away.
func distance(a, b string) int {
	if len(a) > 40 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			last, row[j+1] = row[j+1], min(last+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// session is the session that a line is of.
func (p *parser) session(o *object) int {
	if v := o.get("session"); v != nil {
		n := o.number("session", 1, 1<<30)
		if _, ok := p.opened[n]; !ok {
			p.fault(v.at, "session %d has not been opened above", n)
		}
		return n
	}
	switch {
	case len(p.open) == 1:
		for n := range p.open {
			return n
		}
	case len(p.open) > 1:
		p.fault(o.v.at, "%d sessions are open here: \"session\" must say whose line this is", len(p.open))
	case len(p.opened) == 0:
		p.fault(o.v.at, `no session is open: a line with "open" begins one`)
	default:
		p.fault(o.v.at, `no session is open any more: "session" must say whose line this is`)
	}
	return 0
}

func (o *object) after() time.Duration {
	v := o.get("after")
	if v == nil || !o.is(v, '"', `a time such as "1.5ms"`) {
		return 0
	}
	d, err := time.ParseDuration(v.text)
	if err != nil || d < 0 {
		o.p.fault(v.at, `expected a time such as "1.5ms" or "30s", not %s`, v.short())
		return 0
	}
	return d
}

var (
	sayKeys     = []string{"json", "text", "binary", "hex", "ping", "pong", "close", "end", "raw"}
	contentKeys = []string{"json", "text", "binary", "hex", "ping", "pong", "close", "end", "raw", "reason", "match", "optional", "frames", "compressed", "within"}
)

// message reads what one side did.
func (p *parser) message(o *object) {
	var l Line
	from := o.get("from")
	switch {
	case from == nil:
		p.fault(o.v.at, `"from" must say who does this, "client" or "server"`)
	case from.text == "client":
	case from.text == "server":
		l.From = inspect.ToClient
	default:
		p.fault(from.at, `from takes "client" or "server", not %s`, from.short())
	}
	l.Session = p.session(o)
	at := p.content(o, &l)
	l.After = o.after()
	o.rest(append([]string{"from", "after", "session"}, contentKeys...)...)
	p.add(l, at)
}

// content reads what is said and how it is compared, and answers where it stands.
func (p *parser) content(o *object, l *Line) (at int) {
	key := ""
	for _, k := range sayKeys {
		if !o.has(k) {
			continue
		}
		if key != "" {
			p.fault(o.v.nameAt[slices.Index(o.v.names, k)], "%s and %s in one line", key, k)
			o.get(k)
			continue
		}
		key = k
	}
	if key == "" {
		l.Kind = Text
		p.fault(o.v.at, "the line says nothing: one of %s", strings.Join(sayKeys, ", "))
		return o.v.at
	}
	v := o.get(key)
	l.Kind = Kind(slices.Index(kindNames, strings.Replace(key, "hex", "binary", 1)))
	mode := p.mode(o, l)
	if key == "hex" {
		p.bytesPayload(o, l, v)
	} else {
		p.payload(o, l, v, mode)
	}
	l.Optional = o.flag("optional")
	if l.Optional && !l.Awaited() {
		p.fault(v.at, "optional is for messages, not for %s", key)
	}
	l.Compressed = o.flag("compressed")
	l.Within = o.number("within", 0, 1<<30)
	if f := o.get("frames"); f != nil && o.is(f, '[', "the lengths of fragments, such as [1,2]") {
		for i := range f.members {
			n, err := strconv.Atoi(string(f.members[i].raw))
			if err != nil || n < 0 {
				p.fault(f.members[i].at, "%s is no length", f.members[i].short())
			}
			l.Frames = append(l.Frames, n)
		}
	}
	return v.at
}

// mode reads how a message is compared; what its kind implies is ByKind.
func (p *parser) mode(o *object, l *Line) Mode {
	v := o.get("match")
	if v == nil {
		return ByKind
	}
	m := Mode(max(0, slices.Index(modeNames, v.text)))
	text, data := isText(l.Kind), isText(l.Kind) || l.Kind == Binary
	switch {
	case m == ByKind:
		p.fault(v.at, "match takes %s, not %s", strings.Join(modeNames[1:], ", "), v.short())
	case m == Exact && l.Kind != JSON && l.Kind != Pong:
		l.Match = ByKind
		return ByKind
	case m == AsJSON && l.Kind == JSON:
		return ByKind
	case m == AsJSON && !text, m == Subset && !text, m == Regex && l.Kind != Text, m == Any && !data:
		p.fault(v.at, "match %s makes no sense for %s", v.text, l.Kind)
	}
	l.Match = m
	return m
}

func (p *parser) payload(o *object, l *Line, v *value, mode Mode) {
	switch l.Kind {
	case JSON:
		l.Data = p.template(l, v, string(v.raw))
	case Text:
		if o.is(v, '"', "a string") {
			p.textPayload(l, v, mode)
		}
	case Binary:
		b, err := base64.StdEncoding.DecodeString(v.text)
		if v.kind() != '"' || err != nil {
			p.fault(v.at, "binary takes base64 in a string")
		}
		l.Data = b
	case Ping, Pong:
		if o.is(v, '"', "a string") {
			l.Data = unquoted(v)
		}
	case Close:
		p.closing(o, l, v)
	case End:
		switch v.text {
		case "fin":
			l.How = inspect.Fin
		case "rst":
			l.How = inspect.Rst
		default:
			p.fault(v.at, `end takes "fin" or "rst", not %s`, v.short())
		}
	case Raw:
		b, err := hex.DecodeString(v.text)
		if v.kind() != '"' || err != nil {
			p.fault(v.at, "raw takes bytes in hexadecimal in a string")
		}
		l.Data = b
	}
}

// bytesPayload reads a binary message in hexadecimal, in which variables may stand.
func (p *parser) bytesPayload(o *object, l *Line, v *value) {
	if !o.is(v, '"', "a string") {
		return
	}
	s := string(unquoted(v))
	all, at := bytesPieces(s)
	if at >= 0 {
		p.fault(v.at, "hex takes hexadecimal and variables such as ${id:2}, of two bytes; byte %d is neither", at)
		return
	}
	for _, x := range all {
		l.Data = append(l.Data, x.data...)
		l.Template = l.Template || x.name != ""
	}
	if l.Template {
		l.Data = []byte(s)
	}
}

func (p *parser) textPayload(l *Line, v *value, mode Mode) {
	switch mode {
	case Regex:
		l.Data = unquoted(v)
		if _, err := regexp.Compile(string(l.Data)); err != nil {
			p.fault(v.at, "no regular expression: %v", err)
		}
	default:
		l.Data = p.template(l, v, string(unquoted(v)))
		_, ok := parseJSON(l.Data)
		if _, _, behind := behind(l.Data); (mode == AsJSON || mode == Subset) && !ok && !behind {
			p.fault(v.at, "match %s needs a text that is JSON", modeNames[mode])
		}
	}
}

// template takes a text with variables, or without.
func (p *parser) template(l *Line, v *value, s string) []byte {
	all, at := pieces(s)
	if at >= 0 {
		p.fault(v.at+max(0, strings.Index(string(v.raw), s[at:min(len(s), at+3)])), "${ begins a variable such as ${id}; $${ stands for the text ${")
		return []byte(s)
	}
	for _, x := range all {
		if x.name != "" {
			l.Template = true
			return []byte(s)
		}
	}
	return []byte(plainText(s))
}

func (p *parser) closing(o *object, l *Line, v *value) {
	l.Code = inspect.NoStatus
	if string(v.raw) != "null" {
		n, err := strconv.Atoi(string(v.raw))
		if err != nil || n < 0 || n > 65535 {
			p.fault(v.at, "close takes a code such as 1000, or null for none")
		}
		l.Code = inspect.CloseCode(n)
	}
	r := o.get("reason")
	if r == nil || !o.is(r, '"', "a string") {
		return
	}
	l.Reason = string(p.template(l, r, string(unquoted(r))))
	if l.Code == inspect.NoStatus && l.Reason != "" {
		p.fault(r.at, "a Close without a code has no reason (RFC 6455 5.5.1)")
	}
}

// part is a member that is an object; a missing one is a fault.
func (o *object) part(name, what string) *object {
	v := o.get(name)
	if v == nil {
		o.p.fault(o.v.at, "%s is missing: %s", name, what)
		return nil
	}
	if !o.is(v, '{', what) {
		return nil
	}
	return o.p.object(v)
}

// pathTemplate reads a text in which variables may stand, and stays one.
func (o *object) pathTemplate(v *value) string {
	s := string(unquoted(v))
	if _, at := pieces(s); at >= 0 {
		o.p.fault(v.at, "${ begins a variable such as ${id}; $${ stands for the text ${")
	}
	return s
}

func (p *parser) upgrade(o *object) {
	l := Line{Kind: Open, Session: 1, Upgrade: &Upgrade{}}
	u := l.Upgrade
	if v := o.get("session"); v != nil {
		l.Session = o.number("session", 1, 1<<30)
	} else {
		for p.opened[l.Session] > 0 {
			l.Session++
		}
	}
	if line := p.opened[l.Session]; line > 0 {
		p.fault(o.v.at, "session %d was opened in line %d already", l.Session, line)
	}
	p.opened[l.Session] = p.n
	if open := o.part("open", "the upgrade request, with its path"); open != nil {
		if v := open.get("path"); v == nil || v.kind() != '"' || v.text == "" {
			p.fault(open.v.at, "path is missing: the target of the request, such as \"/chat\"")
		} else {
			u.Path = open.pathTemplate(v)
		}
		if v := open.get("subprotocols"); v != nil && open.is(v, '[', "a list of subprotocols") {
			for i := range v.members {
				if m := &v.members[i]; open.is(m, '"', "a subprotocol") {
					u.Subprotocols = append(u.Subprotocols, open.pathTemplate(m))
				}
			}
		}
		u.Headers = open.headers()
		open.rest("path", "subprotocols", "headers")
	}
	u.Accept.Status = 101
	if o.has("accept") {
		if a := o.part("accept", "the answer, with its status"); a != nil {
			a.answer(&u.Accept)
			u.Subprotocol, u.Extensions = string(a.text("subprotocol")), string(a.text("extensions"))
			a.rest("status", "proto", "phrase", "subprotocol", "extensions", "headers", "body", "body-base64")
		}
	}
	l.After = o.after()
	o.rest("session", "open", "accept", "after")
	p.add(l, o.v.at)
}

func (o *object) headers() []inspect.HeaderField {
	v := o.get("headers")
	if v == nil || !o.is(v, '{', "an object of headers") {
		return nil
	}
	all := []inspect.HeaderField{}
	for i := range v.members {
		m := &v.members[i]
		if !o.is(m, '"', "a header's value") {
			continue
		}
		name := string(unquoted(&value{text: v.names[i]}))
		text := string(unquoted(m))
		if strings.ContainsAny(name+text, "\r\n") && !strings.Contains(text, "\n ") && !strings.Contains(text, "\n\t") || name == "" {
			o.p.fault(v.nameAt[i], "%s is no header", visibleName(name))
		}
		all = append(all, inspect.HeaderField{Name: name, Value: text})
	}
	return all
}

func (o *object) answer(a *Answer) {
	if !o.has("status") {
		o.p.fault(o.v.at, "status is missing")
	}
	a.Status = o.number("status", 100, 999)
	a.Proto, a.Phrase = string(o.text("proto")), string(o.text("phrase"))
	a.Headers, a.Body = o.headers(), o.body()
	if strings.ContainsAny(a.Proto+a.Phrase, "\r\n") {
		o.p.fault(o.v.at, "a line end in the status line")
	}
}

func (o *object) body() []byte {
	if o.has("body") && o.has("body-base64") {
		o.p.fault(o.v.at, "body and body-base64 in one line")
		o.get("body")
	}
	if v := o.get("body-base64"); v != nil {
		b, err := base64.StdEncoding.DecodeString(v.text)
		if v.kind() != '"' || err != nil {
			o.p.fault(v.at, "body-base64 takes base64 in a string")
		}
		return b
	}
	return o.text("body")
}

func (p *parser) exchange(o *object) {
	l := Line{Kind: HTTP, Exchange: &Exchange{}}
	x := l.Exchange
	if h := o.part("http", "the request, with its method and path"); h != nil {
		x.Method = string(h.text("method"))
		if v := h.get("path"); v != nil && h.is(v, '"', "a path") {
			x.Path = h.pathTemplate(v)
		}
		if x.Method == "" || x.Path == "" {
			p.fault(h.v.at, "http needs a method and a path")
		}
		x.Body = h.body()
		h.rest("method", "path", "body", "body-base64")
	}
	if a := o.part("answer", "the response, with its status"); a != nil {
		a.answer(&x.Answer)
		a.rest("status", "proto", "phrase", "headers", "body", "body-base64")
	}
	l.After = o.after()
	o.rest("http", "answer", "after")
	p.add(l, o.v.at)
}

func (p *parser) reaction(o *object) {
	l := Line{Kind: When, Reaction: &Reaction{}}
	l.Session = p.session(o)
	if w := o.part("when", "the client's message, such as {\"json\":{\"op\":\"ping\"}}"); w != nil {
		p.content(w, &l.Reaction.When)
		w.rest(contentKeys...)
		if !l.Reaction.When.Awaited() {
			p.fault(w.v.at, "when takes a message")
		}
	}
	if s := o.get("send"); s == nil {
		p.fault(o.v.at, "send is missing: a list of what the server answers; [] for nothing")
	} else if o.is(s, '[', "a list of messages") {
		for i := range s.members {
			m := &s.members[i]
			if !o.is(m, '{', "a message") {
				continue
			}
			x, mo := Line{From: inspect.ToClient}, p.object(m)
			x.After = mo.after()
			p.content(mo, &x)
			mo.rest(append([]string{"after"}, contentKeys...)...)
			l.Reaction.Send = append(l.Reaction.Send, x)
		}
	}
	l.After = o.after()
	o.rest("when", "send", "session", "after")
	p.add(l, o.v.at)
}

// regexNames are the variables that a regular expression finds.
func regexNames(s string) (names []string) {
	re, err := regexp.Compile(s)
	if err != nil {
		return nil
	}
	for _, n := range re.SubexpNames() {
		if n != "" {
			names = append(names, n)
		}
	}
	return names
}
