// Package lint holds the judges: each says which sentence of RFC 6455 or
// RFC 7692 an event breaks. What a peer does wrong is never an error here, only
// an [inspect.Finding].
//
// A rule is a line in the table below, a test in the file of its family, and a
// folder in testdata with a fixture that breaks it and one that nearly does.
package lint

import (
	"fmt"

	"github.com/wsproxy/wsproxy/inspect"
)

// Rule is what the judges know of one kind of finding. IDs are words and never
// change; Clause is the sentence's place, such as "RFC 6455 5.1".
type Rule struct {
	ID       string
	Clause   string
	Severity inspect.Severity
	Family   string // the file it lives in: "framing", "control", "text", "close", "handshake"
	Doc      string // what the RFC says and what comes of breaking it
	Mend     string // what to look at on the side that sends it
}

// Rules are all rules in the order of their families. The slice is the caller's.
func Rules() []Rule {
	return append([]Rule(nil), rules...)
}

// Lookup is the rule of a finding, by its ID; ok is false for an ID that lint
// does not have, such as one from a newer recording.
func Lookup(id string) (rule Rule, ok bool) {
	for _, r := range rules {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// All are the judges of every family, for [inspect.NewConn]. They keep nothing
// between calls, so one set serves any number of connections at once.
func All() []inspect.Judge {
	return []inspect.Judge{judge(framing), judge(control), judge(text), judge(closing), judge(handshake)}
}

// judge makes a family's function a Judge.
type judge func(inspect.Event, *inspect.Conn) []inspect.Finding

func (j judge) Judge(e inspect.Event, c *inspect.Conn) []inspect.Finding { return j(e, c) }

// found appends a finding under a rule. Frame and direction of frames and
// messages are filled in by the Conn.
func found(all []inspect.Finding, id, format string, args ...any) []inspect.Finding {
	return foundAt(all, id, "", format, args...)
}

// foundAt is found with a clause that says more exactly than the rule's own
// which sentence is broken.
func foundAt(all []inspect.Finding, id, clause, format string, args ...any) []inspect.Finding {
	r, ok := Lookup(id)
	if !ok {
		panic("lint: no rule " + id) // a judge and the table disagree, which the fixtures catch
	}
	if clause == "" {
		clause = r.Clause
	}
	return append(all, inspect.Finding{ID: id, Clause: clause, Severity: r.Severity, Detail: fmt.Sprintf(format, args...)})
}

// foreign says that an extension was agreed which may give reserved bits,
// reserved opcodes and fragmentation a meaning of its own (RFC 6455 section
// 5.8). permessage-deflate is not one: what it changes is known.
func foreign(h *inspect.Handshake) bool {
	for i := range h.Ext {
		if h.Ext[i].Name != inspect.DeflateName {
			return true
		}
	}
	return false
}

// count says a number of bytes with its unit.
func count[N int64 | uint64](n N) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprint(n, " bytes")
}

// kind is an opcode's name where it stands in a sentence.
func kind(op inspect.Opcode) string {
	if op == inspect.OpContinuation {
		return "continuation"
	}
	return op.String()
}
