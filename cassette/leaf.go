package cassette

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// leaf is a value that somebody says: a string or number of JSON, a word of a
// text, a parameter of a path.
type leaf struct {
	line int // index of its line
	from inspect.Dir
	key  string // the name of the object's member, or of the parameter; empty: it has none
	path string // where it is, for people
	text string // as a person reads it
	raw  string // as it stands in the line
	at   int    // where; -1: where nothing can be replaced
	kind leafKind
}

type leafKind uint8

const (
	stringLeaf leafKind = iota // a JSON string, quotes included
	numberLeaf                 // a JSON number
	wordLeaf                   // a part of a text
	pathLeaf                   // a part of a path
)

// leaves are what a line says, in its order.
func leaves(l *Line, index int) []leaf {
	w := leafWalk{base: leaf{line: index, from: l.From}, template: l.Template}
	switch {
	case l.Match == Regex || l.Match == Any || l.Template && !l.holdsJSON():
	case l.Kind == JSON, l.Kind == Text:
		w.message(l.Data)
	case l.Kind == Open && !strings.Contains(l.Upgrade.Path, "${"):
		w.target(l.Upgrade.Path)
	case l.Kind == HTTP && !strings.Contains(l.Exchange.Path, "${"):
		w.base.from = inspect.ToServer
		w.target(l.Exchange.Path)
		w.base.from, w.fixed = inspect.ToClient, true
		w.message(l.Exchange.Answer.Body)
	}
	return w.all
}

// holdsJSON says that a line is JSON, or JSON behind a few characters.
func (l *Line) holdsJSON() bool {
	if l.Kind == JSON || l.Match == AsJSON {
		return true
	}
	_, _, ok := behind(l.Data)
	return ok
}

// leafWalk collects leaves.
type leafWalk struct {
	base     leaf
	fixed    bool // nothing can be replaced
	template bool // there may be variables
	shift    int  // of JSON inside the line
	all      []leaf
}

func (w *leafWalk) add(x leaf) {
	x.line, x.from = w.base.line, w.base.from
	if x.at += w.shift; w.fixed {
		x.at = -1
	}
	w.all = append(w.all, x)
}

// message takes JSON, JSON behind a few characters as socket.io writes it, or words.
func (w *leafWalk) message(data []byte) {
	if v, ok := parseJSON(data); ok {
		w.value(v, "$", "")
		return
	}
	if prefix, js, ok := behind(data); ok {
		w.words(string(prefix))
		v, _ := parseJSON(js)
		w.shift = len(prefix)
		w.value(v, "$", "")
		return
	}
	w.words(string(data))
}

func (w *leafWalk) value(v *value, path, key string) {
	switch v.kind() {
	case '{':
		for i := range v.members {
			w.value(&v.members[i], path+member(v.names[i]), v.names[i])
		}
	case '[':
		for i := range v.members {
			w.value(&v.members[i], path+"["+strconv.Itoa(i)+"]", "")
		}
	case '"':
		if !bytes.ContainsRune(v.raw, '\\') && !(w.template && bytes.Contains(v.raw, []byte("${"))) {
			w.add(leaf{key: key, path: path, text: v.text, raw: string(v.raw), at: v.at, kind: stringLeaf})
		}
	case '0':
		w.add(leaf{key: key, path: path, text: string(v.raw), raw: string(v.raw), at: v.at, kind: numberLeaf})
	}
}

// wordShape is what may be an identifier in a text.
var wordShape = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9_.:+/=-]*[A-Za-z0-9=]|[A-Za-z0-9]`)

// words takes the words of a text; behind "name:" or "name=" it is that one's.
func (w *leafWalk) words(s string) {
	for _, m := range wordShape.FindAllStringIndex(s, -1) {
		word, at := s[m[0]:m[1]], m[0]
		key := ""
		if i := strings.IndexAny(word, "=:"); i > 0 && i < len(word)-1 && !timeShape.MatchString(word) {
			key, word, at = word[:i], word[i+1:], at+i+1
		}
		w.add(leaf{key: key, path: "byte " + strconv.Itoa(at), text: word, raw: word, at: at, kind: wordLeaf})
	}
}

// target takes the parameters of a path, and its segments.
func (w *leafWalk) target(s string) {
	path, query, _ := strings.Cut(s, "?")
	at := 0
	for part := range strings.SplitSeq(path, "/") {
		if part != "" {
			w.add(leaf{path: "the path", text: part, raw: part, at: at, kind: pathLeaf})
		}
		at += len(part) + 1
	}
	at = len(path) + 1
	for part := range strings.SplitSeq(query, "&") {
		if name, v, ok := strings.Cut(part, "="); ok && v != "" {
			w.add(leaf{key: name, path: "the path's " + name, text: v, raw: v, at: at + len(name) + 1, kind: pathLeaf})
		}
		at += len(part) + 1
	}
}

var (
	uuidShape = regexp.MustCompile(`^(?i:[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})$`)
	jwtShape  = regexp.MustCompile(`^eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$`)
	plainTime = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}`)
	idKeys    = regexp.MustCompile(`^(?i:id|uid|uuid|guid|sid|rid|cid|mid|gid|pid|tid|ref|seq|nonce|token|ticket|cursor|session|ack|msgid|msg_?id|req_?id|correlation|handle|receipt)$|(?:Id|ID|_id|-id|Token|_token|-token|Nonce|_nonce|Ref|_ref|Seq|_seq|Uuid|UUID|_uuid)$`)
	timeKeys  = regexp.MustCompile(`^(?i:t|ts|at|now|time|date|timestamp|sent|created|updated)$|(?:At|Time|Date|Timestamp|Ts|_at|_time|_ts|_date)$`)
	cacheKeys = regexp.MustCompile(`^(?i:t|_|ts|cb|rnd|rand|random|nocache|bust|cachebuste?r?)$`)
	signKeys  = regexp.MustCompile(`^(?i:nonce|sig|sign|signature|hmac|hash|digest|csrf|random|salt|challenge)$|(?:Nonce|Signature|_nonce|_sig|_signature)$`)
)

// generated says that a value looks made by a program, not chosen by a person.
func (x *leaf) generated() bool {
	s := x.text
	if uuidShape.MatchString(s) || jwtShape.MatchString(s) {
		return true
	}
	if len(s) < 8 || len(s) > 4096 || plainTime.MatchString(s) {
		return false
	}
	n := count(s)
	switch {
	case n.foreign > 0, n.others > len(s)/4:
		return false
	case n.digits == len(s):
		return true
	case n.digits >= 2 && n.lower+n.upper >= 2 && n.changes >= 3:
		return true
	}
	return len(s) >= 16 && n.lower > 2 && n.upper > 2 && n.digits > 0
}

// counted are the characters of a word.
type counted struct {
	digits, lower, upper, others, foreign int
	changes                               int // between digits and others
}

func count(s string) (n counted) {
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			n.digits++
		case c >= 'a' && c <= 'z':
			n.lower++
		case c >= 'A' && c <= 'Z':
			n.upper++
		case strings.IndexByte("_-+/=.", c) >= 0:
			n.others++
		default:
			n.foreign++
		}
		if i > 0 && isDigit(s[i]) != isDigit(s[i-1]) {
			n.changes++
		}
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// timeOf is the variable for a time; empty: the value is none. near is when it
// was recorded.
func (x *leaf) timeOf(near time.Time) string {
	if x.kind != numberLeaf && plainTime.MatchString(x.text) && timeShape.MatchString(x.text) {
		return "now"
	}
	n, err := strconv.ParseFloat(x.text, 64)
	if err != nil || near.IsZero() || !timeShape.MatchString(x.text) {
		return ""
	}
	const year = 366 * 24 * 3600
	within := float64(7 * 24 * 3600)
	if timeKeys.MatchString(x.key) {
		within = 20 * year
	}
	at := float64(near.Unix())
	switch {
	case math.Abs(n-at) < within:
		return "now.s"
	case math.Abs(n/1e3-at) < within:
		return "now.ms"
	case math.Abs(n/1e6-at) < within, math.Abs(n/1e9-at) < within:
		return "now"
	}
	return ""
}

// kindFor is the variable that stands for a value which nobody repeats, and why;
// empty: the value stays.
func (x *leaf) kindFor(near time.Time) (name, why string) {
	if name = x.timeOf(near); name != "" {
		return name, "a time"
	}
	switch {
	case x.kind == pathLeaf && cacheKeys.MatchString(x.key):
		return "string", "it keeps answers from being cached"
	case x.kind == numberLeaf && signKeys.MatchString(x.key):
		return "int", "a nonce, by its name"
	case x.kind == numberLeaf:
		return "", ""
	case kinds["uuid"].MatchString(x.text):
		return "uuid", "a uuid"
	case jwtShape.MatchString(x.text):
		return "string", "a JWT"
	case signKeys.MatchString(x.key) && len(x.text) >= 4:
		return "string", "a nonce or signature, by its name"
	case len(x.text) >= 16 && x.generated():
		return "string", "it looks random"
	}
	return "", ""
}
