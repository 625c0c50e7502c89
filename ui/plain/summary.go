package plain

import (
	"fmt"
	"io"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// namedEnds is how many sessions a summary names.
const namedEnds = 20

// Summary is what there was, and how each session ended: what is said at exit.
type Summary struct {
	Sessions, Refused, Exchanges int
	Frames, Findings             uint64

	ends  []string
	ended int
}

// SummaryOf sums up a store as far as it has read.
func SummaryOf(s *record.Store) Summary {
	var sum Summary
	n := 0
	for i := range s.Sessions() {
		switch x := s.Session(i); x.Kind {
		case record.Exchange:
			sum.Exchanges++
		case record.Refused:
			n++
			sum.refuse(n, x.Refused.Reason)
		default:
			n++
			sum.Sessions++
			sum.Frames += x.Frames[inspect.ToServer] + x.Frames[inspect.ToClient]
			sum.Findings += x.Findings
			if x.Closed != nil {
				sum.end(n, x.Closed.Text)
			}
		}
	}
	return sum
}

func (s *Summary) refuse(n int, why string) {
	s.Sessions++
	s.Refused++
	s.end(n, "refused: "+why)
}

// end tells how session n ended.
func (s *Summary) end(n int, text string) {
	s.ended++
	if len(s.ends) < namedEnds {
		s.ends = append(s.ends, fmt.Sprintf("s%d  %s", n, inspect.Visible([]byte(text), 0)))
	}
}

// Print writes a line for each of the first 20 sessions, and the counts.
func (s *Summary) Print(w io.Writer) {
	for _, e := range s.ends {
		fmt.Fprintln(w, e)
	}
	if more := s.ended - len(s.ends); more > 0 {
		fmt.Fprintf(w, "and %s\n", plural(uint64(more), "more session"))
	}
	fmt.Fprintf(w, "%s (%d refused), %s, %s, %s\n", plural(uint64(s.Sessions), "session"), s.Refused,
		plural(s.Frames, "frame"), plural(s.Findings, "finding"), plural(uint64(s.Exchanges), "HTTP exchange"))
}

func plural(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}
