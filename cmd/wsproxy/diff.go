package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// diffFlags are those of diff.
type diffFlags struct {
	frames  bool
	exact   bool
	moves   bool
	json    bool
	report  string
	noColor bool
	quiet   bool
}

func diffCmd() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare two recordings or cassettes",
		Long: `Compare two recordings or cassettes, each a recording, a capture, a HAR or a
cassette: session by session, message by message in each direction, JSON member by
member. What a variable stands for may differ; where A has none, ids, times, uuids and
the like are found and may. Masks, fragments, compression and pings are compared with
--frames alone.

The exit code is 0 if there is no difference, 1 if there is. That a message stands
elsewhere among the other side's is told, and a difference with --moves alone.`,
		Example: `  wsproxy diff testdata/chat.ndjson session.pcapng
  wsproxy diff monday.pcapng tuesday.pcapng --report junit:diff.xml`,
		Args: exactly(2, "two files"),
		RunE: func(cmd *cobra.Command, args []string) error { return runDiff(cmd, f, args[0], args[1]) },
	}
	s := cmd.Flags()
	s.BoolVar(&f.frames, "frames", false, "compare fragments, compression, pings and pongs too")
	s.BoolVar(&f.exact, "exact", false, "compare times, uuids, ids and the like as they are, but for the variables of A")
	s.BoolVar(&f.moves, "moves", false, "let a message that has moved among the other side's be a difference")
	s.BoolVar(&f.json, "json", false, "print one JSON object a difference")
	s.StringVar(&f.report, "report", "", "write a report of each session: `junit`, tap or json, with :FILE to a file")
	s.BoolVar(&f.noColor, "no-color", false, "use no colours (also: NO_COLOR in the environment)")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	cmd.MarkFlagsMutuallyExclusive("json", "quiet")
	return cmd
}

func runDiff(cmd *cobra.Command, f diffFlags, pathA, pathB string) error {
	if _, _, err := reportTo(f.report); err != nil {
		return err
	}
	var both [2]*cassette.Cassette
	for i, path := range []string{pathA, pathB} {
		l := loader{path: path, warn: func(format string, args ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), "wsproxy: warning: "+format+"\n", args...)
		}}
		c, err := l.load(cmd.Context())
		if err != nil {
			return err
		}
		both[i] = c
	}
	all := cassette.Diff(both[0], both[1], cassette.DiffOptions{Frames: f.frames, Exact: f.exact})
	out := cmd.OutOrStdout()
	switch {
	case f.quiet:
	case f.json:
		if err := diffJSON(out, all); err != nil {
			return err
		}
	default:
		text := diffText(pathA, pathB, all)
		if !f.noColor && (&outputFlags{}).color(out) {
			text = colored(text)
		}
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
	}
	if f.report != "" {
		s := diffSuite(pathA, both[0], all, f.moves)
		if err := s.write(f.report, out); err != nil {
			return err
		}
	}
	if !cassette.Same(all) || f.moves && len(all) > 0 {
		return &exitError{code: exitMismatch}
	}
	return nil
}

// diffText is the differences as people read them; nothing if there is none.
func diffText(a, b string, all []cassette.Difference) string {
	if len(all) == 0 {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", inspect.Visible([]byte(a), 0), inspect.Visible([]byte(b), 0))
	session, extra := 0, false
	for _, d := range all {
		whole := d.A == 0 && d.B == 0 && d.Kind != cassette.Changed
		if isExtra := whole && d.Kind == cassette.Extra; d.Session != session || isExtra != extra {
			session, extra = d.Session, isExtra
			fmt.Fprintf(&out, "@@ session %d (%s)\n", d.Session, inspect.Visible([]byte(d.Path), 200))
		}
		out.WriteString(differenceText(d))
	}
	return out.String()
}

// differenceText is one difference, in lines.
func differenceText(d cassette.Difference) string {
	var b strings.Builder
	what := d.From.Sender() + " message"
	switch {
	case d.Kind == cassette.Missing:
		fmt.Fprintf(&b, "- %s%s%s\n", numbered(what, d.A), lineOf(d), d.Want)
	case d.Kind == cassette.Extra:
		fmt.Fprintf(&b, "+ %s%s\n", numbered(what, d.B), d.Got)
	case d.Kind == cassette.Moved:
		fmt.Fprintf(&b, "~ %s%smoved among the %s's: %s\n", numbered(what, d.A), lineOf(d), d.From.Other().Sender(), d.Want)
	default:
		fmt.Fprintf(&b, "- %s%s%s\n+ %s%s\n", numbered(what, d.A), lineOf(d), d.Want, numbered(what, d.B), d.Got)
		for _, l := range d.Details {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	return b.String()
}

func numbered(what string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d: ", what, n)
}

func lineOf(d cassette.Difference) string {
	if d.LineA == 0 {
		return ""
	}
	return fmt.Sprintf("(line %d) ", d.LineA)
}

func colored(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		color := map[byte]string{'-': "31", '+': "32", '~': "33", '@': "36"}[l[0]]
		if color == "" {
			b.WriteString(l)
			continue
		}
		fmt.Fprintf(&b, "\x1b[%sm%s\x1b[m\n", color, strings.TrimSuffix(l, "\n"))
	}
	return b.String()
}

// diffLine is a difference as JSON.
type diffLine struct {
	Kind    cassette.DiffKind `json:"kind"`
	Session int               `json:"session"`
	Path    string            `json:"path"`
	From    string            `json:"from"`
	A       int               `json:"a,omitempty"` // number of the message there
	B       int               `json:"b,omitempty"`
	Line    int               `json:"line,omitempty"` // of A
	Want    string            `json:"want,omitempty"`
	Got     string            `json:"got,omitempty"`
	Details []string          `json:"details,omitempty"`
}

func diffJSON(w io.Writer, all []cassette.Difference) error {
	js := json.NewEncoder(w)
	js.SetEscapeHTML(false)
	for _, d := range all {
		if err := js.Encode(diffLine{d.Kind, d.Session, d.Path, d.From.Sender(), d.A, d.B, d.LineA, d.Want, d.Got, d.Details}); err != nil {
			return err
		}
	}
	return nil
}

// diffSuite has a case for each session of A, and for each that only B has.
func diffSuite(name string, a *cassette.Cassette, all []cassette.Difference, moves bool) suite {
	s := suite{Name: name}
	at := map[int]int{}
	for _, x := range a.Sessions() {
		at[x.N] = len(s.Cases)
		s.Cases = append(s.Cases, testCase{Name: fmt.Sprintf("session %d (%s)", x.N, x.Upgrade.Path)})
	}
	for _, d := range all {
		i, ok := at[d.Session]
		if !ok || d.Kind == cassette.Extra && d.B == 0 {
			i = len(s.Cases)
			s.Cases = append(s.Cases, testCase{Name: "a session more (" + d.Path + ")"})
		}
		c := &s.Cases[i]
		if d.Kind != cassette.Moved || moves {
			c.Failed = true
		}
		c.Detail += differenceText(d)
		if c.Problem == "" {
			c.Problem, c.Line = strings.TrimSpace(fmt.Sprintf("%s: %s", d.Kind, strings.Join(d.Details, "; "))), d.LineA
		}
	}
	return s
}
