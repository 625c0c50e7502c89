package replay

import (
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/cassette"
)

// Result says how one session went.
type Result struct {
	Session  int    // its number in the cassette; 0: no recorded session fits
	Path     string // as the client asked for it
	Client   string // the client's address
	Status   int    // of the answer: 101, or a refusal's
	Expected int    // client messages that were recorded, the Close among them
	Matched  int    // of them, those that came
	Sends    int    // what the server did when it was recorded: messages, pings, its Close, its end
	Sent     int    // of that, what it did now

	Mismatch    *Mismatch // nil: what came was what was recorded
	Interrupted bool      // the Server ended it
}

// Mismatch is the first thing that a client did otherwise than recorded.
type Mismatch struct {
	Message   int      // number among the client's messages, from 1; 0: the upgrade
	Problem   string   // in a sentence, without the differences
	Want, Got string   // the two messages, safe to show; empty: there is none
	Diff      []string // where they differ, safe to show, such as "$.price: expected 3, got 4"
}

// Held says that the client did what was recorded, to the end.
func (r Result) Held() bool { return r.Mismatch == nil && !r.Interrupted }

// name is the session as a person would call it.
func (r Result) name() string {
	if r.Session == 0 {
		return "the upgrade of " + visible(r.Path)
	}
	return fmt.Sprintf("session %d (%s)", r.Session, visible(r.Path))
}

// String is the result in one line.
func (r Result) String() string {
	if r.Session == 0 {
		return r.name() + ": not in the recording"
	}
	var s string
	switch {
	case r.Mismatch != nil:
		s = "not as recorded"
	case r.Interrupted:
		s = "interrupted"
	case r.Status != 101:
		return fmt.Sprintf("%s: refused with %d, as recorded", r.name(), r.Status)
	default:
		s = "as recorded"
	}
	return fmt.Sprintf("%s: %s; %d of %d client messages came, %d of %d of the server's went out", r.name(), s, r.Matched, r.Expected, r.Sent, r.Sends)
}

// Report tells a mismatch in full: a line of what was wrong, and what was
// expected and what came below it. Empty if there is none.
func (r Result) Report() string {
	m := r.Mismatch
	if m == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(r.name() + ": ")
	if m.Message > 0 {
		fmt.Fprintf(&b, "client message %d: ", m.Message)
	}
	b.WriteString(m.Problem)
	if len(m.Diff) == 1 {
		b.WriteString(": " + m.Diff[0])
	}
	if len(m.Diff) > 1 {
		b.WriteString("\n  " + strings.Join(m.Diff, "\n  "))
	}
	if m.Want != "" {
		b.WriteString("\n  expected  " + m.Want)
	}
	if m.Got != "" {
		b.WriteString("\n  came      " + m.Got)
	}
	return b.String()
}

// differs is a message that is not the one expected.
func differs(n int, want, got cassette.Line, diff []string) *Mismatch {
	return &Mismatch{Message: n, Problem: "not what was recorded", Diff: diff, Want: cassette.Describe(want), Got: cassette.Describe(got)}
}
