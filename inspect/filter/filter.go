// Package filter is the language in which frames are chosen: expressions over the
// fields of inspect.AllFields, in the syntax of expr-lang.org, or words to look for in
// payloads.
//
//	op == text && len > 100 && json.type == "subscribe"
//	session.path matches "^/graphql" && dir == up
//	price null             both words, in any letter case
//	"price": null          this text
//
// A Filter never fails on what a peer has sent: what is not there is nil, and a
// comparison that makes no sense is false.
package filter

import (
	"encoding/json"
	"time"

	"github.com/expr-lang/expr/vm"

	"github.com/wsproxy/wsproxy/inspect"
)

// Session is what a filter may ask about a frame's session.
type Session struct {
	N        int    `expr:"n"`
	Path     string `expr:"path"`
	Protocol string `expr:"protocol"`
	Mode     string `expr:"mode"`
	Target   string `expr:"target"`
	Client   string `expr:"client"`
	Status   int    `expr:"status"`
	Word     string `expr:"word"`
	Open     bool   `expr:"open"`
	Opened   time.Time
}

// Frame is what a filter is asked about: what the header says, and the session.
type Frame struct {
	Session *Session // must not be nil
	N       uint64
	Time    time.Time
	Dir     inspect.Dir
	Op      inspect.Opcode
	Length  uint64

	Fin, Rsv1, Rsv2, Rsv3, Masked, Minimal, Missing bool
	Finding                                         string // severity of the worst one; empty: none

	Decoded *Decoded // what a decoder says; nil: nobody asked one
}

// Decoded is what a filter may ask about an item of the application's protocol.
type Decoded struct {
	Protocol string  `expr:"protocol"`
	Name     string  `expr:"name"`
	Kind     string  `expr:"kind"`
	ID       string  `expr:"id"`
	Topic    string  `expr:"topic"`
	Latency  float64 // seconds
}

// Answer is what is known without the message.
type Answer uint8

// No and Yes are final; Maybe needs the message.
const (
	No Answer = iota
	Yes
	Maybe
)

// Filter is one that was compiled. It does not change and may be used by many
// goroutines, each with a Matcher of its own.
type Filter struct {
	source string
	words  []needle    // a search: all of them are wanted
	head   *vm.Program // what must hold of the header; nil: nothing
	body   *vm.Program // and of the message
	uses   map[string]bool
}

// String is the filter as it was written.
func (f *Filter) String() string { return f.source }

// Header says that the filter never needs a message.
func (f *Filter) Header() bool { return f.body == nil && f.words == nil }

// OfSession says that the filter asks for nothing but the frame's session:
// Matcher.Session answers all of it.
func (f *Filter) OfSession() bool { return f.uses["session"] && len(f.uses) == 1 && f.body == nil }

// AsksSession says that the filter asks for the frame's session too.
func (f *Filter) AsksSession() bool { return f.uses["session"] }

// AsksLate says that the filter asks for what is known only when messages have been
// looked at.
func (f *Filter) AsksLate() bool { return f.body != nil || f.words != nil || f.uses["finding"] }

// Decoded says that the filter asks for what a decoder says: without one it chooses
// nothing that is meant.
func (f *Filter) Decoded() bool { return f.uses["decode"] || f.uses["latency"] }

// Words are what a search looks for, in lower case; nil for an expression.
func (f *Filter) Words() []string {
	var all []string
	for _, w := range f.words {
		all = append(all, string(w.text))
	}
	return all
}

// Matcher returns what decides for one goroutine.
func (f *Filter) Matcher() *Matcher { return &Matcher{filter: f} }

// Matcher decides. It keeps memory from one frame to the next.
type Matcher struct {
	filter *Filter
	silent Decoded // of what nobody decoded
	vm     vm.VM
	env    env
}

// env is what names stand for while a program runs.
type env struct {
	Op          string   `expr:"op"`
	Dir         string   `expr:"dir"`
	Len         int      `expr:"len"`
	Frame       int      `expr:"frame"`
	Time        float64  `expr:"time"`
	Fin         bool     `expr:"fin"`
	Rsv1        bool     `expr:"rsv1"`
	Rsv2        bool     `expr:"rsv2"`
	Rsv3        bool     `expr:"rsv3"`
	Masked      bool     `expr:"masked"`
	Minimal     bool     `expr:"minimal"`
	Missing     bool     `expr:"missing"`
	Finding     string   `expr:"finding"`
	Size        int      `expr:"size"`
	Compressed  bool     `expr:"compressed"`
	Undecodable bool     `expr:"undecodable"`
	Invalid     bool     `expr:"invalid"`
	Text        string   `expr:"text"`
	JSON        any      `expr:"json"`
	Code        int      `expr:"code"`
	Reason      string   `expr:"reason"`
	Session     *Session `expr:"session"`
	Decode      *Decoded `expr:"decode"`
	Latency     float64  `expr:"latency"`
}

var arrows = [...]string{inspect.ToServer: ">", inspect.ToClient: "<"}

// Frame answers what can be said without the frame's message.
func (m *Matcher) Frame(f *Frame) Answer {
	if m.filter.words != nil {
		return Maybe
	}
	m.header(f)
	if m.filter.head != nil && !m.run(m.filter.head) {
		return No
	}
	if m.filter.body == nil {
		return Yes
	}
	return Maybe
}

// Session decides about a session and all its frames, if the filter is OfSession.
func (m *Matcher) Session(s *Session) bool { return m.Frame(&Frame{Session: s}) == Yes }

// Message decides about the frame that Frame was asked about last, with the message
// that it belongs to.
func (m *Matcher) Message(msg *inspect.Message) bool {
	if m.filter.words != nil {
		for i := range m.filter.words {
			if !m.filter.words[i].in(msg.Data) {
				return false
			}
		}
		return true
	}
	m.message(msg)
	return m.filter.body == nil || m.run(m.filter.body)
}

func (m *Matcher) header(f *Frame) {
	e := &m.env
	e.Op, e.Dir, e.Len, e.Frame = f.Op.String(), arrows[f.Dir&1], int(min(f.Length, 1<<62)), int(f.N)
	e.Fin, e.Rsv1, e.Rsv2, e.Rsv3 = f.Fin, f.Rsv1, f.Rsv2, f.Rsv3
	e.Masked, e.Minimal, e.Missing, e.Finding = f.Masked, f.Minimal, f.Missing, f.Finding
	e.Session = f.Session
	if e.Decode = f.Decoded; e.Decode == nil {
		e.Decode = &m.silent
	}
	e.Latency = e.Decode.Latency
	e.Time = f.Time.Sub(f.Session.Opened).Seconds()
}

// message fills in what the program asks for, and no more.
func (m *Matcher) message(msg *inspect.Message) {
	e, uses := &m.env, m.filter.uses
	e.Size, e.Compressed, e.Undecodable, e.Invalid = int(msg.Size), msg.Compressed, msg.Undecodable, msg.InvalidUTF8 > 0
	e.Text, e.JSON, e.Code, e.Reason = "", nil, 0, ""
	if uses["text"] {
		e.Text = string(msg.Data)
	}
	if uses["json"] && !msg.Opcode.Control() && !msg.Cut && json.Unmarshal(msg.Data, &e.JSON) != nil {
		e.JSON = nil
	}
	if msg.Opcode == inspect.OpClose {
		if code, reason, ok := inspect.ParseClose(msg.Data); ok {
			e.Code, e.Reason = int(code), string(reason)
		}
	}
}

// run runs a program; an error is what a peer's data made of it, and false.
func (m *Matcher) run(p *vm.Program) bool {
	v, err := m.vm.Run(p, &m.env)
	ok, is := v.(bool)
	return err == nil && is && ok
}
