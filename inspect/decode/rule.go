package decode

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// Rule is a protocol whose messages are JSON objects, as data. Paths are names with
// dots between them, "params.id"; of several the first that is there counts. A name
// that ends in * stands for all that begin so.
type Rule struct {
	Name  string `toml:"name"`
	Title string `toml:"title"`

	Subprotocols []string `toml:"subprotocols"` // by which it is recognised
	Path         []string `toml:"path"`         // paths of URLs, with *
	First        []string `toml:"first"`        // "path=value", or "path": what its messages have; several with & between them

	Method []string `toml:"method"`   // paths of what names a message
	Detail []string `toml:"detail"`   // paths of what is put behind the name
	ID     []string `toml:"id"`       // paths by which an answer is known; "a+b": both together
	Reply  []string `toml:"reply_id"` // in answers, where it is another one
	Result []string `toml:"result"`   // paths that only answers have
	Error  []string `toml:"error"`    // paths that only errors have
	Topic  []string `toml:"topic"`    // paths of a channel or subscription
	Body   []string `toml:"body"`     // paths of what a line shows; none: the whole message

	Requests   []string          `toml:"requests"` // names of messages that are answered; none: all that have an id
	Replies    []string          `toml:"replies"`
	More       []string          `toml:"more"` // replies with others to follow
	Errors     []string          `toml:"errors"`
	Events     []string          `toml:"events"`
	Heartbeats []string          `toml:"heartbeats"`
	Answers    map[string]string `toml:"answers"` // which name answers which, where there is no id

	Secrets []string `toml:"secrets"` // names of members that are not shown

	spec, pairs, masks string
	codes              map[uint16]string
	after              func(it *Item, object []byte) // a last look, for what a rule cannot say
	heard              func(object []byte) bool      // what a message must be beside having what First asks for; nil: nothing
	spoken             bool                          // nothing else has what First asks for
}

// check says what a rule lacks.
func (r *Rule) check() error {
	switch {
	case r.Name == "":
		return fmt.Errorf("a protocol has no name")
	case len(r.Subprotocols)+len(r.Path)+len(r.First) == 0:
		return fmt.Errorf("protocol %s: it has none of subprotocols, path and first, so it is never recognised", r.Name)
	case len(r.Method) == 0:
		return fmt.Errorf("protocol %s: it has no method, a path to what names a message", r.Name)
	}
	return nil
}

// protocol is the rule as a line of the table.
func (r Rule) protocol() Protocol {
	c := compileRule(&r)
	var knows []string
	if len(r.Subprotocols) > 0 {
		knows = append(knows, "subprotocol "+strings.Join(r.Subprotocols, ", "))
	}
	if len(r.Path) > 0 {
		knows = append(knows, "path "+strings.Join(r.Path, ", "))
	}
	if len(r.First) > 0 {
		knows = append(knows, "a message with "+strings.Join(r.First, ", or "))
	}
	title := r.Title
	if title == "" {
		title = r.Name
	}
	pairs := r.pairs
	if pairs == "" {
		pairs = strings.Join(r.ID, ", ")
	}
	names := r.masks
	if names == "" {
		names = strings.Join(r.Secrets, ", ")
	}
	return Protocol{Name: r.Name, Title: title, Knows: strings.Join(knows, "; "), Pairs: pairs, Masks: names, Spec: r.spec, Codes: r.codes,
		bid: c.bid, new: func(*Hints) Decoder { return ruled{c} }}
}

// compiled is a rule made ready: which members to pick in one pass, and where each
// path begins.
type compiled struct {
	*Rule
	members []string
	method, detail, id, reply, result, err,
	topic, body []path
	first [][]condition
	masks masks
}

// path is where a value stands: in which picked member, and further down. Those
// after a + belong to it.
type path struct {
	member int
	rest   []string
	and    []path
}

type condition struct {
	names []string
	value string // "": any
}

// maxMembers bounds what a rule picks.
const maxMembers = 24

func compileRule(r *Rule) *compiled {
	c := &compiled{Rule: r, masks: secretNames.with(r.Secrets...)}
	for _, p := range []struct {
		to   *[]path
		from []string
	}{{&c.method, r.Method}, {&c.detail, r.Detail}, {&c.id, r.ID}, {&c.reply, r.Reply}, {&c.result, r.Result}, {&c.err, r.Error}, {&c.topic, r.Topic}, {&c.body, r.Body}} {
		for _, text := range p.from {
			*p.to = append(*p.to, c.path(text))
		}
	}
	if len(c.reply) == 0 {
		c.reply = c.id
	}
	for _, text := range r.First {
		var all []condition
		for part := range strings.SplitSeq(text, "&") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			all = append(all, condition{strings.Split(name, "."), value})
		}
		c.first = append(c.first, all)
	}
	return c
}

func (c *compiled) path(text string) path {
	first, more, _ := strings.Cut(text, "+")
	names := strings.Split(first, ".")
	i := slices.Index(c.members, names[0])
	if i < 0 && len(c.members) < maxMembers {
		i = len(c.members)
		c.members = append(c.members, names[0])
	}
	p := path{member: i, rest: names[1:]}
	if more != "" {
		p.and = append(p.and, c.path(more))
	}
	return p
}

// picked are the members of one object that a rule asks for.
type picked [maxMembers][]byte

func (c *compiled) pick(b []byte, i int, to *picked) (end int, why string) {
	return jsonEach(b, i, func(name, value []byte) bool {
		for k, m := range c.members {
			if isName(name, m) {
				to[k] = value
				break
			}
		}
		return true
	})
}

// value is what stands at a path; nil for nothing and for null.
func (p *path) value(in *picked) []byte {
	if p.member < 0 {
		return nil
	}
	v := in[p.member]
	if len(p.rest) > 0 {
		v = jsonGet(v, p.rest...)
	}
	if len(v) > 0 && v[0] == 'n' {
		return nil
	}
	return v
}

func (p *path) text(in *picked) string {
	s := jsonText(p.value(in))
	if s != "" && len(p.and) > 0 {
		for i := range p.and {
			if more := p.and[i].text(in); more != "" {
				s += "/" + more
			}
		}
	}
	return s
}

func firstText(paths []path, in *picked) string {
	for i := range paths {
		if s := paths[i].text(in); s != "" {
			return s
		}
	}
	return ""
}

func anyValue(paths []path, in *picked) bool {
	return slices.ContainsFunc(paths, func(p path) bool {
		v := p.value(in)
		return v != nil && string(v) != "false"
	})
}

// bid looks at names that were agreed on, then at what was said, then at the path.
func (c *compiled) bid(h *Hints) int {
	bid := 0
	if len(c.Subprotocols) > 0 {
		bid = h.is(c.Subprotocols...)
	}
	onPath := likeAny(c.Path, h.Path)
	if onPath && c.named(h.Now.Data) {
		bid = max(bid, pathBid)
	}
	if bid < spokenBid && c.speaks(h.Now.Data) {
		heard := likelyBid
		if c.spoken || onPath {
			heard = spokenBid
		}
		bid = max(bid, heard)
	}
	return bid
}

// named says that a message has what the rule's messages are named by: a path alone
// says little. Without such a rule it says all there is.
func (c *compiled) named(b []byte) bool {
	i := skipBlank(b, 0)
	if len(c.method) == 0 || i == len(b) || b[i] != '{' {
		return len(c.method) == 0
	}
	var in picked
	_, _ = c.pick(b, i, &in)
	return firstText(c.method, &in) != ""
}

// speaks says that a message has what the rule's messages have.
func (c *compiled) speaks(b []byte) bool {
	i := bodyAt(b)
	if len(c.first) == 0 || i == len(b) {
		return false
	}
	if b[i] == '[' { // a batch
		i = skipBlank(b, i+1)
	}
	if i == len(b) || b[i] != '{' {
		return false
	}
	for _, all := range c.first {
		if !slices.ContainsFunc(all, func(w condition) bool { return !w.holds(b[i:]) }) {
			return c.heard == nil || c.heard(b[i:])
		}
	}
	return false
}

func (w *condition) holds(b []byte) bool {
	v := jsonGet(b, w.names...)
	switch {
	case v == nil:
		return false
	case w.value == "":
		return true
	}
	return like(w.value, jsonText(v)) || string(v) == w.value
}

// ruled decodes by a rule. It remembers nothing.
type ruled struct{ *compiled }

func (r ruled) Clone() Decoder  { return r }
func (r ruled) Gap(inspect.Dir) {}
func (r ruled) Message(m *inspect.Message, out *Out) *Broken {
	b := m.Data
	if len(bytes.TrimSpace(b)) == 0 {
		out.whole(Heartbeat, "(empty)")
		return nil
	}
	if likeAny(r.Heartbeats, string(b[:min(len(b), 16)])) { // a bare word
		it := out.whole(Heartbeat, string(b))
		r.pair(it, string(b), &picked{})
		return nil
	}
	if i := bodyAt(b); i < len(b) && b[i] == '{' { // one pass for what nearly all messages are
		var in picked
		end, why := r.pick(b, i, &in)
		if why != "" {
			return broken(end, "%s", why)
		}
		if skipBlank(b, end) == len(b) {
			r.picked(&in, b, [2]int{i, end}, out)
			return nil
		}
	}
	var wrong *Broken
	err := jsonDocuments(b, bodyAt(b), func(off, end int) {
		if wrong == nil && b[off] != '{' && b[off] != '[' {
			wrong = broken(off, "an object was expected")
		} else if wrong == nil {
			r.document(b, off, end, out)
		}
	})
	if wrong != nil {
		return wrong
	}
	if err == nil && len(out.items) == 0 {
		out.whole(Event, "(empty)")
	}
	return err
}

// bodyAt is where a message's JSON begins: some language servers send the header that
// their base protocol has on a pipe (LSP, base protocol).
func bodyAt(b []byte) int {
	if bytes.HasPrefix(b, []byte("Content-Length:")) {
		if _, body, ok := bytes.Cut(b, []byte("\r\n\r\n")); ok {
			return skipBlank(b, len(b)-len(body))
		}
	}
	return skipBlank(b, 0)
}

// document tells an object, or each object of a list, which is a batch.
func (c *compiled) document(b []byte, off, end int, out *Out) {
	if b[off] == '{' {
		c.tell(b, off, end, out)
		return
	}
	base, objects := cap(b), 0
	_, _ = jsonEach(b[:end], off, func(_, v []byte) bool {
		if at := base - cap(v); v[0] == '{' {
			objects++
			c.tell(b, at, at+len(v), out)
		}
		return objects < maxItems
	})
	if objects > 0 {
		return
	}
	out.item(Event, "(value)", off, end-off).says(masked(jsonNode(b[off:end]), c.masks))
}

// tell tells one object.
func (c *compiled) tell(b []byte, off, end int, out *Out) {
	var in picked
	_, _ = c.pick(b[:end], off, &in) // it was read before
	c.picked(&in, b, [2]int{off, end}, out)
}

// picked tells an object whose members have been picked.
func (c *compiled) picked(in *picked, b []byte, at [2]int, out *Out) {
	off, end := at[0], at[1]
	name := firstText(c.method, in)
	it := out.item(Event, name, off, end-off)
	it.Kind = c.kind(name, in)
	it.Tree = masked(jsonNode(b[off:end]), c.masks)
	if detail := firstText(c.detail, in); detail != "" {
		it.Name = strings.TrimSpace(name + " " + detail)
	}
	it.Topic = firstText(c.topic, in)
	for i := range c.body {
		if v := c.body[i].value(in); v != nil {
			it.brief = masked(jsonNode(v), c.masks)
			break
		}
	}
	c.pair(it, name, in)
	if c.after != nil {
		c.after(it, b[off:end])
	}
}

// kind says what a message is from its name and from what it has.
func (c *compiled) kind(name string, in *picked) Kind {
	switch {
	case name != "" && likeAny(c.Heartbeats, name):
		return Heartbeat
	case name != "" && likeAny(c.Errors, name), anyValue(c.err, in):
		return Error
	case c.Answers[name] != "":
		return Request
	case name != "" && (likeAny(c.Replies, name) || likeAny(c.More, name)), anyValue(c.result, in), c.isAnswer(name):
		return Reply
	case name != "" && likeAny(c.Events, name):
		return Event
	case name != "" && likeAny(c.Requests, name):
		return Request
	case len(c.Requests) == 0 && name != "" && firstText(c.id, in) != "":
		return Request
	case len(c.method) == 0 || name != "":
		return Event
	case firstText(c.reply, in) != "":
		return Reply // an id and nothing else: all is well
	}
	return Event
}

// isAnswer says that a name answers another one.
func (c *compiled) isAnswer(name string) bool {
	for _, answer := range c.Answers {
		if name == answer {
			return true
		}
	}
	return false
}

// pair says what an item asks or answers.
func (c *compiled) pair(it *Item, name string, in *picked) {
	if answer := c.Answers[name]; answer != "" {
		it.asks = "=" + answer
	}
	if c.isAnswer(name) {
		it.answers = "=" + name
	}
	switch it.Kind {
	case Reply, Error:
		if it.ID = firstText(c.reply, in); it.answers == "" {
			it.answers, it.more = it.ID, likeAny(c.More, name)
		}
	case Request:
		if it.ID = firstText(c.id, in); it.asks == "" {
			it.asks = it.ID
		}
	default:
		it.ID = firstText(c.id, in)
	}
}
