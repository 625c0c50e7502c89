package replay

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// Result says how one session went.
type Result struct {
	Session  int    // its number in the cassette; 0: no recorded session fits
	Path     string // as the client asked for it
	Client   string // the client's address
	Status   int    // of the answer: 101, or a refusal's
	Expected int    // messages of the other side that were recorded, its Close among them
	Matched  int    // of them, those that came
	Sends    int    // what this side did when it was recorded: messages, pings, its Close, its end
	Sent     int    // of that, what it did now

	Side        inspect.Dir // whose messages were expected
	Mismatch    *Mismatch   // nil: what came was what was recorded
	More        []*Mismatch // what else was not, where a mismatch does not end the session
	Interrupted bool        // it was ended from outside
}

// Mismatch is a thing that a side did otherwise than recorded.
type Mismatch struct {
	Side      inspect.Dir // whose message it is
	Message   int         // number among that side's messages, from 1; 0: the upgrade
	Line      int         // of the cassette file, from 1; 0: it is of none
	Problem   string      // in a sentence, without the differences
	Want, Got string      // the two messages, safe to show; empty: there is none
	Diff      []string    // where they differ, safe to show, such as "$.price: expected 3, got 4"
}

// Held says that the client did what was recorded, to the end.
func (r Result) Held() bool { return r.Mismatch == nil && !r.Interrupted }

// Name is the session as a person would call it.
func (r Result) Name() string {
	if r.Session == 0 {
		return "the upgrade of " + visible(r.Path)
	}
	return fmt.Sprintf("session %d (%s)", r.Session, visible(r.Path))
}

// String is the result in one line.
func (r Result) String() string {
	if r.Session == 0 {
		return r.Name() + ": not in the recording"
	}
	var s string
	switch {
	case r.Mismatch != nil:
		s = "not as recorded"
	case r.Interrupted:
		s = "interrupted"
	case r.Status != 101:
		return fmt.Sprintf("%s: refused with %d, as recorded", r.Name(), r.Status)
	default:
		s = "as recorded"
	}
	return fmt.Sprintf("%s: %s; %d of %d %s messages came, %d of %d of the %s's went out",
		r.Name(), s, r.Matched, r.Expected, r.Side.Sender(), r.Sent, r.Sends, r.Side.Other().Sender())
}

// Report tells a mismatch in full: a line of what was wrong, and what was
// expected and what came below it. Empty if there is none.
func (r Result) Report() string {
	if r.Mismatch == nil {
		return ""
	}
	all := []string{r.Name() + ": " + r.Mismatch.String()}
	for _, m := range r.More {
		all = append(all, r.Name()+": "+m.String())
	}
	return strings.Join(all, "\n")
}

// String tells a mismatch in full, in lines.
func (m *Mismatch) String() string {
	var b strings.Builder
	if m.Message > 0 {
		fmt.Fprintf(&b, "%s message %d", m.Side.Sender(), m.Message)
		if m.Line > 0 {
			fmt.Fprintf(&b, " (line %d)", m.Line)
		}
		b.WriteString(": ")
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

// reasonLimit is the most bytes of a Close frame's reason (RFC 6455 section 5.5).
const reasonLimit = 123

// reason is the mismatch in the few words that a Close frame has room for.
func (m *Mismatch) reason() string {
	s := "replay: " + m.Problem
	if m.Message > 0 {
		s = fmt.Sprintf("replay: message %d: %s", m.Message, m.Problem)
	}
	if len(m.Diff) > 0 {
		s += ": " + m.Diff[0]
	}
	if len(s) <= reasonLimit {
		return s
	}
	n := reasonLimit - len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
