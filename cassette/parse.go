package cassette

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Fault is one thing that is wrong in a cassette file.
type Fault struct {
	Line, Column int // from 1; a column is a character
	Problem      string
}

// Error is the fault with its place.
func (f Fault) Error() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Problem) }

// FileError is everything that is wrong in a cassette file, in order.
type FileError struct{ Faults []Fault }

func (e *FileError) Error() string {
	all := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		all[i] = f.Error()
	}
	return strings.Join(all, "\n")
}

// Bounds on what is read.
const (
	maxLine   = 256 << 20 // bytes of a line
	maxFaults = 100       // that are told
)

// errTooMany ends reading.
var errTooMany = errors.New("too many faults")

// Parse reads a cassette file. The error is a *FileError, which names every fault
// with its line and column, or the reader's.
func Parse(r io.Reader) (*Cassette, error) {
	p := &parser{c: &Cassette{}, open: openSessions{}, opened: map[int]int{}}
	in := bufio.NewReaderSize(r, 64<<10)
	for p.n = 1; ; p.n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if last := err != nil; len(line) > 0 {
			p.line(bytes.TrimRight(line, "\r\n"))
			if last && len(p.faults) < maxFaults {
				break
			}
		} else if last {
			break
		}
		if len(p.faults) >= maxFaults || len(line) > maxLine {
			p.fault(0, "%v: the rest is not read", errTooMany)
			break
		}
	}
	p.finish()
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
		return nil, &FileError{p.faults}
	}
	return p.c, nil
}

// IsFile says that a file which begins so is a cassette, or means to be one: its
// first line that is no comment is a JSON object with a member "cassette", or
// one that only a cassette has.
func IsFile(start []byte) bool {
	for line := range bytes.Lines(start) {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")))
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if line[0] != '{' {
			return false
		}
		for _, key := range []string{"cassette", "session", "open", "from", "http", "when"} {
			if bytes.HasPrefix(bytes.TrimLeft(line[1:], " \t"), []byte(`"`+key+`"`)) {
				return true
			}
		}
		return false
	}
	return false
}

// parser reads a file line by line.
type parser struct {
	c      *Cassette
	n      int // number of the line
	text   []byte
	faults []Fault

	begun  bool
	open   openSessions
	opened map[int]int // by session: the line that opens it
	group  int         // groups so far
	within bool        // a group is open
	side   string      // whose messages are in it
	start  int         // line of its beginning

	where []place // of each of c.Lines
}

// place is where a line's templates stand, for what is checked at the end.
type place struct{ line, column int }

func (p *parser) fault(at int, format string, args ...any) {
	column := 1 + utf8.RuneCount(p.text[:min(at, len(p.text))])
	p.faults = append(p.faults, Fault{p.n, column, fmt.Sprintf(format, args...)})
}

func (p *parser) line(text []byte) {
	if p.n == 1 {
		text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	}
	p.text = text
	if t := bytes.TrimSpace(text); len(t) == 0 || t[0] == '#' {
		return
	}
	if at, why, bad := invalidAt(text); bad {
		p.fault(max(0, int(at)-1), "no JSON: %s", why)
		p.begun = true
		return
	}
	if !utf8.Valid(text) {
		at := 0
		for at < len(text) {
			r, n := utf8.DecodeRune(text[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		p.fault(at, "a byte that is no UTF-8")
		return
	}
	v, _ := parseJSON(text)
	if v.kind() != '{' {
		p.fault(v.at, "a line is a JSON object, {…}")
		return
	}
	o := &object{p: p, v: v, used: make([]bool, len(v.names))}
	if !p.begun {
		p.begun = true
		if !o.has("cassette") {
			p.fault(v.at, `the first line is {"cassette":1}, with "recorded" and "values" if there are any`)
		} else {
			p.header(o)
			return
		}
	}
	p.thing(o)
}

// header reads the first line.
func (p *parser) header(o *object) {
	if v := o.get("cassette"); string(v.raw) != "1" {
		p.fault(v.at, "a cassette of version %s, and this wsproxy reads version 1", v.short())
	}
	if v := o.get("recorded"); v != nil {
		t, err := time.Parse(time.RFC3339Nano, v.text)
		if v.kind() != '"' || err != nil {
			p.fault(v.at, "recorded is a time as in RFC 3339, such as \"2026-11-23T03:42:21Z\"")
		}
		p.c.Recorded = t.UTC()
	}
	if v := o.get("values"); v != nil && o.is(v, '{', "an object: the value of each variable when it was recorded") {
		p.c.Values = map[string][]byte{}
		for i, name := range v.names {
			_, kind := kindOf(name)
			switch {
			case !variableName.MatchString(name) || kind:
				p.fault(v.nameAt[i], "%s is no name of a variable", visibleName(name))
			case p.c.Values[name] != nil:
				p.fault(v.nameAt[i], "a second value for ${%s}", name)
			}
			p.c.Values[name] = v.members[i].raw
		}
	}
	o.rest("cassette", "recorded", "values")
}

// thing reads any other line.
func (p *parser) thing(o *object) {
	switch {
	case o.has("cassette"):
		p.fault(o.v.at, "a second first line: one file is one cassette")
	case o.has("any-order"), o.has("end-any-order"):
		p.order(o)
	case o.has("open"):
		p.upgrade(o)
	case o.has("http"):
		p.exchange(o)
	case o.has("when"):
		p.reaction(o)
	default:
		p.message(o)
	}
}

// order begins or ends messages that may come in any order.
func (p *parser) order(o *object) {
	begin := o.has("any-order")
	key := "end-any-order"
	if begin {
		key = "any-order"
	}
	if v := o.get(key); string(v.raw) != "true" {
		p.fault(v.at, "%s takes true", key)
	}
	o.rest(key)
	switch {
	case begin && p.within:
		p.fault(o.v.at, "any-order inside any-order, which line %d began", p.start)
	case !begin && !p.within:
		p.fault(o.v.at, "nothing to end: there is no any-order above")
	}
	p.within = begin
	if begin {
		p.group++
		p.side, p.start = "", p.n
	}
}

// add keeps a line.
func (p *parser) add(l Line, at int) {
	if p.within && l.Kind != Open && l.Kind != HTTP && l.Awaited() {
		l.Group = p.group
		if side := sides[l.From]; p.side == "" {
			p.side = side
		} else if side != p.side {
			p.fault(at, "any-order holds messages of one side, and this is the %s's among the %s's", side, p.side)
		}
	} else if p.within {
		p.fault(at, "any-order holds messages, no other lines")
	}
	l.At = p.n
	p.open.take(&l)
	p.c.Lines = append(p.c.Lines, l)
	p.where = append(p.where, place{p.n, 1 + utf8.RuneCount(p.text[:min(at, len(p.text))])})
}

// finish checks what only the whole file tells.
func (p *parser) finish() {
	if p.within {
		p.fault(0, "the any-order of line %d has no end", p.start)
	}
	if !p.begun {
		p.n, p.text = 1, nil
		p.fault(0, `an empty file: a cassette begins with {"cassette":1}`)
	}
	known := map[int]map[string]bool{} // by session
	for i := range p.c.Lines {
		l := &p.c.Lines[i]
		have := known[l.Session]
		if have == nil {
			have = map[string]bool{}
			known[l.Session] = have
		}
		if l.Kind == When {
			p.said(&l.Reaction.When, have, i)
			for j := range l.Reaction.Send {
				p.said(&l.Reaction.Send[j], have, i)
			}
			continue
		}
		p.said(l, have, i)
	}
}

// said notes what a line says of variables: a server's may not come before they
// have a value.
func (p *parser) said(l *Line, have map[string]bool, i int) {
	for _, name := range l.variables() {
		_, kind := kindOf(name)
		_, recorded := p.c.Values[name]
		switch {
		case kind:
		case l.From == 0, have[name], recorded: // a client's gives it one
			have[name] = true
		default:
			have[name] = true
			w := p.where[i]
			p.faults = append(p.faults, Fault{w.line, w.column,
				fmt.Sprintf("${%s} is said by the server and has no value yet: no client message above has it, and \"values\" in the first line neither", name)})
		}
	}
	if l.Match == Regex {
		for _, name := range regexNames(string(l.Data)) {
			have[name] = true
		}
	}
}
