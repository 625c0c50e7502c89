// Package cassette is a session as a test fixture: what each side said, in
// order, as meaning instead of bytes. A cassette is made from a recording
// ([From]), and [Match] says whether a message is the one that it expects.
package cassette

import (
	"maps"
	"slices"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Cassette is what happened on some connections, a line a thing, in the order
// in which it happened.
type Cassette struct {
	Recorded time.Time // when the first of it happened; zero if that is not known
	// Values are what the variables stood for when it was recorded, as JSON. A side
	// that says a variable before the other one has says this.
	Values map[string][]byte
	Lines  []Line
	// Warnings say what a recording held that is not in the lines, a sentence each.
	Warnings []string
}

// Kind is what a line is.
type Kind uint8

// The kinds of lines. Open begins a session, HTTP is an exchange, and all others
// are what one side did in a session.
const (
	Open   Kind = iota // an upgrade request and its answer, which may refuse it
	HTTP               // a plain HTTP exchange
	JSON               // a text message that is valid JSON on one line
	Text               // any other text message
	Binary             // a binary message
	Ping               // a ping
	Pong               // a pong that answers no ping
	Close              // a Close frame
	End                // the end of a side's TCP connection
	Raw                // bytes as they stood: one illegal or odd frame, or a part of one
	When               // a reaction: what is sent each time that a message comes
)

var kindNames = []string{"open", "http", "json", "text", "binary", "ping", "pong", "close", "end", "raw", "when"}

// String is the kind's key in a cassette file.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Mode is how an expected message is compared.
type Mode uint8

// The modes. A pong is expected only if it has one that is not ByKind.
const (
	ByKind Mode = iota // a JSON line as JSON, every other one exactly
	AsJSON             // a text that is JSON, though not on one line
	Exact              // byte for byte
	Subset             // JSON; objects may have more members
	Regex              // the text is a regular expression for all of the message
	Any                // any text or binary message
)

var modeNames = []string{"", "json", "exact", "subset", "regex", "any"}

// Line is one thing that happened. Which fields count depends on Kind.
type Line struct {
	Session int           // number of the session, from 1; 0: of no session
	At      int           // line of the file that it was read from, from 1; 0: of none
	After   time.Duration // since the line before
	Kind    Kind
	From    inspect.Dir // whose doing it is: ToServer: the client's, ToClient: the server's

	Upgrade  *Upgrade  // of Open
	Exchange *Exchange // of HTTP

	Data   []byte            // of a message, ping, pong or Raw; a client's Raw bytes are masked as they were
	Code   inspect.CloseCode // of Close; inspect.NoStatus: an empty one
	Reason string            // of Close
	How    inspect.End       // of End: inspect.Fin or inspect.Rst

	Match    Mode
	Template bool      // Data, and Reason, have variables in them, and $${ for ${
	Optional bool      // the message may be left out
	Group    int       // from 1: the neighbours with this number may come in any order; 0: in its place
	Reaction *Reaction // of When

	// Frames are the lengths of a message's fragments, in bytes before
	// compression; nil: it was one frame.
	Frames     []int
	Compressed bool // RSV1, with permessage-deflate agreed (RFC 7692 section 6)
	// Within counts the fragments that came before this line, of the message
	// of the server whose line stands above it and which is not over yet.
	Within int
}

// Reaction is what the server says each time that a message of the client comes,
// any number of times and at any time.
type Reaction struct {
	When Line
	Send []Line
}

// Upgrade is an upgrade request and how it was answered.
type Upgrade struct {
	// Path is the request's target, query included. In it and in Subprotocols
	// ${name} is a variable, and $${ stands for ${ (see [Literal]).
	Path         string
	Subprotocols []string              // offered
	Headers      []inspect.HeaderField // of the request, all of them
	Accept       Answer
	// What the answer agrees on; empty: nothing.
	Subprotocol string
	Extensions  string
}

// Accepted says that the upgrade led to a session (RFC 6455 section 4.2.2).
func (u *Upgrade) Accepted() bool { return u.Accept.Status == 101 }

// Exchange is a plain HTTP request and its answer.
type Exchange struct {
	Method, Path string // the path as in an Upgrade
	Body         []byte
	Answer       Answer
}

// Answer is an HTTP response.
type Answer struct {
	Proto  string // empty: HTTP/1.1
	Status int
	Phrase string // empty without Headers: the usual one
	// Headers are all of them, in order and case; nil: what the status needs.
	// An empty Sec-WebSocket-Accept stands for the one that the request's key
	// asks for; one that was wrong stands there as it was. What is agreed on
	// is in Upgrade, whatever these say of it.
	Headers []inspect.HeaderField
	Body    []byte // without chunk framing
}

// Session is what a cassette says of one session.
type Session struct {
	N       int // from 1
	Upgrade *Upgrade
	Lines   []Line // all but the Open line

	from int // where Lines begins in the cassette's
}

// Sessions are the cassette's sessions in the order of their numbers. Lines that
// stand together are shared with the cassette.
func (c *Cassette) Sessions() []*Session {
	var all []*Session
	byN := map[int]*Session{}
	for i := range c.Lines {
		l := &c.Lines[i]
		if l.Kind == Open {
			s := &Session{N: l.Session, Upgrade: l.Upgrade, from: i + 1}
			byN[l.Session] = s
			all = append(all, s)
			continue
		}
		s := byN[l.Session]
		switch {
		case s == nil || l.Kind == HTTP:
		case s.from+len(s.Lines) == i: // right behind the last one
			s.Lines = c.Lines[s.from : i+1 : i+1]
		default:
			s.Lines, s.from = append(s.Lines, *l), len(c.Lines)+1 // from here on its own
		}
	}
	return all
}

// Append puts another cassette's lines behind this one's. The variables of the two
// must not have the same names.
func (c *Cassette) Append(other *Cassette) {
	last := 0
	for i := range c.Lines {
		last = max(last, c.Lines[i].Session)
	}
	group := 0
	for i := range c.Lines {
		group = max(group, c.Lines[i].Group)
	}
	for _, l := range other.Lines {
		if l.Session > 0 {
			l.Session += last
		}
		if l.Group > 0 {
			l.Group += group
		}
		c.Lines = append(c.Lines, l)
	}
	if c.Values == nil {
		c.Values = map[string][]byte{}
	}
	maps.Copy(c.Values, other.Values)
	c.Warnings = append(c.Warnings, other.Warnings...)
}

// Exchanges are the cassette's plain HTTP exchanges in order.
func (c *Cassette) Exchanges() []*Exchange {
	var all []*Exchange
	for _, l := range c.Lines {
		if l.Kind == HTTP {
			all = append(all, l.Exchange)
		}
	}
	return all
}

// ReactionNames are the variables that stand in reactions alone: they stand for
// something else each time.
func (s *Session) ReactionNames() []string {
	inside, outside := map[string]bool{}, map[string]bool{}
	note := func(l *Line, where map[string]bool) {
		for _, n := range l.variables() {
			where[n] = true
		}
		if l.Match == Regex {
			for _, n := range regexNames(string(l.Data)) {
				where[n] = true
			}
		}
	}
	for i := range s.Lines {
		l := &s.Lines[i]
		if l.Kind != When {
			note(l, outside)
			continue
		}
		note(&l.Reaction.When, inside)
		for j := range l.Reaction.Send {
			note(&l.Reaction.Send[j], inside)
		}
	}
	note(&Line{Kind: Open, Upgrade: s.Upgrade}, outside)
	maps.DeleteFunc(inside, func(n string, _ bool) bool { return outside[n] })
	return slices.Sorted(maps.Keys(inside))
}

// Ends says that the session was recorded to its end: one side ended it.
func (s *Session) Ends() bool {
	for i := range s.Lines {
		if s.Lines[i].Kind == End {
			return true
		}
	}
	return false
}

// Expected says that the line is something a client is expected to send: its
// messages and its Close, but no ping, which is answered, and no pong.
func (l *Line) Expected() bool {
	if l.From != inspect.ToServer {
		return false
	}
	return l.Awaited()
}

// Awaited is Expected, whichever side the line is of.
func (l *Line) Awaited() bool {
	switch l.Kind {
	case JSON, Text, Binary, Close, Raw:
		return true
	case Pong:
		return l.Match != ByKind
	}
	return false
}
