package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/record/export"
	"github.com/wsproxy/wsproxy/replay"
)

// cassetteFlags are those of cassette.
type cassetteFlags struct {
	out         string
	filter      string
	first       int
	noVariables bool
	noRedact    bool
	force       bool
	quiet       bool
}

func cassetteCmd() *cobra.Command {
	var f cassetteFlags
	cmd := &cobra.Command{
		Use:   "cassette FILE",
		Short: "Make a test fixture of a recording: text, a line a message",
		Long: `Make a cassette of a recording, of a capture of plain ws:// traffic or of a HAR
file with WebSocket messages: JSON lines, one for each thing that happened, to be
looked at, edited, checked in and served by wsproxy replay.

Values that will be others next time become variables: what one side says first and
the other repeats (ids, tokens), and times, uuids and nonces of the client.
Credentials are left out. What became what, and why, is printed on stderr.`,
		Example: `  wsproxy cassette session.pcapng -o testdata/chat.ndjson
  wsproxy cassette --first 1 session.pcapng
  wsproxy cassette --filter 'session.path == "/graphql"' page.har -o testdata/graphql.ndjson`,
		Args: exactly(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return runCassette(cmd, f, args[0]) },
	}
	s := cmd.Flags()
	s.StringVarP(&f.out, "out", "o", "", "the file to write (default: standard output)")
	s.StringVar(&f.filter, "filter", "", "keep only the messages that `EXPR` chooses, and their sessions (wsproxy help filter)")
	s.IntVar(&f.first, "first", 0, "keep only the first `N` sessions; 0: all")
	s.BoolVar(&f.noVariables, "no-variables", false, "leave every value as it was")
	s.BoolVar(&f.noRedact, "no-redact", false, "keep credentials")
	s.BoolVarP(&f.force, "force", "f", false, "overwrite the file of -o")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	_ = cmd.RegisterFlagCompletionFunc("filter", completeFilter) // fails only for an unknown flag
	return cmd
}

func runCassette(cmd *cobra.Command, f cassetteFlags, path string) error {
	if f.first < 0 {
		return usagef("--first 1", "--first takes a number of sessions, not %d", f.first)
	}
	choose, err := (&outputFlags{filter: f.filter}).chosen()
	if err != nil {
		return err
	}
	if f.out != "" && !f.force {
		if _, err := os.Lstat(f.out); err == nil {
			return failf("--force overwrites it", "%s exists already", f.out)
		}
	}
	l := loader{path: path, redact: !f.noRedact, warn: func(format string, args ...any) {
		if !f.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "wsproxy: warning: "+format+"\n", args...)
		}
	}}
	c, err := l.load(cmd.Context())
	if err != nil {
		return err
	}
	trim(c, choose, f.first)
	if len(c.Sessions())+len(c.Exchanges()) == 0 {
		return failf("wsproxy show "+shellWord(path)+" shows what there is", "%s holds no session that is asked for", path)
	}
	m := cassette.Making{Variables: !f.noVariables}
	if !f.noRedact {
		table, err := protocolTable("")
		if err != nil {
			return err
		}
		m.Secret = secretsOf(c, table).has
	}
	changes := makeCassette(c, m)
	if !f.quiet {
		tellChanges(cmd.ErrOrStderr(), c, changes)
	}
	if f.out == "" {
		if err := c.Write(cmd.OutOrStdout()); err != nil {
			return failf("", "cannot write the cassette: %v", cause(err))
		}
		return nil
	}
	if err := replay.Save(c, f.out); err != nil {
		return failf("", "cannot write %s: %v", f.out, cause(err))
	}
	if !f.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "written to %s; serve it: wsproxy replay %s\n", f.out, shellWord(f.out))
	}
	return nil
}

// makeCassette makes what was recorded hold for the next run.
func makeCassette(c *cassette.Cassette, m cassette.Making) []cassette.Change {
	c.Tidy()
	var changes []cassette.Change
	if m.Variables {
		changes = c.React()
	}
	return append(changes, c.Make(m)...)
}

// toldChanges is how many changes are told one by one.
const toldChanges = 40

func tellChanges(w io.Writer, c *cassette.Cassette, changes []cassette.Change) {
	for i, x := range changes {
		if i == toldChanges {
			fmt.Fprintf(w, "and %d more\n", len(changes)-i)
			break
		}
		fmt.Fprintln(w, x)
	}
	fmt.Fprintf(w, "sessions: %d, lines: %d, changed: %d\n", len(c.Sessions()), len(c.Lines), len(changes))
}

// loader reads what can be made into a cassette.
type loader struct {
	path   string
	redact bool
	warn   func(format string, args ...any)
}

// load reads a recording, a foreign capture, a HAR file or a cassette, as far as
// it is whole.
func (l *loader) load(ctx context.Context) (*cassette.Cassette, error) {
	c, err := l.read(ctx)
	var torn *record.TornError
	var damaged *record.DamagedError
	var session *cassette.SessionError
	var faults *cassette.FileError
	switch {
	case errors.As(err, &faults):
		return nil, faultyCassette(l.path, faults)
	case errors.As(err, &torn) || errors.As(err, &damaged):
		l.warn("%s: %v; what is whole is used", l.path, err)
	case errors.As(err, &session):
		return nil, failf("wsproxy show "+shellWord(l.path)+" shows what there is", "%s: %v", l.path, session)
	case err != nil && ctx.Err() != nil:
		return nil, interrupted(ctx)
	case err != nil:
		return nil, fileError(l.path, err)
	}
	for _, w := range c.Warnings {
		l.warn("%s", w)
	}
	return c, nil
}

func (l *loader) read(ctx context.Context) (*cassette.Cassette, error) {
	if filepath.Ext(l.path) == ".har" {
		f, err := os.Open(l.path)
		if err != nil {
			return nil, err
		}
		defer f.Close() // read only
		return export.ReadHAR(f)
	}
	if !l.redact {
		return replay.Load(ctx, l.path, replayLimits())
	}
	return replay.LoadRedacted(ctx, l.path, replayLimits())
}

// faultyCassette tells every fault of a cassette, each with its place.
func faultyCassette(path string, e *cassette.FileError) error {
	text := ""
	for i, f := range e.Faults {
		if i > 0 {
			text += "\nwsproxy: error: "
		}
		text += path + ":" + f.Error()
	}
	return failf("wsproxy help cassette, or docs/cassette.md, has the format", "%s", text)
}

// trim keeps what is asked for.
func trim(c *cassette.Cassette, f *filter.Filter, first int) {
	if f != nil {
		choose(c, f)
	}
	if first == 0 {
		return
	}
	var keep []int
	for _, s := range c.Sessions() {
		if len(keep) < first {
			keep = append(keep, s.N)
		}
	}
	c.Lines = slices.DeleteFunc(c.Lines, func(l cassette.Line) bool { return l.Session > 0 && !slices.Contains(keep, l.Session) })
}

// choose keeps the messages that a filter chooses, and what else happened in
// their sessions.
func choose(c *cassette.Cassette, f *filter.Filter) {
	m := f.Matcher()
	facts := map[int]*filter.Session{}
	has := map[int]bool{}
	var frame uint64
	at := c.Recorded
	c.Lines = slices.DeleteFunc(c.Lines, func(l cassette.Line) bool {
		at = at.Add(l.After)
		s := facts[l.Session]
		if l.Kind == cassette.Open {
			facts[l.Session] = &filter.Session{N: l.Session, Path: l.Upgrade.Path, Protocol: l.Upgrade.Subprotocol, Status: l.Upgrade.Accept.Status, Opened: at}
			return false
		}
		op, ok := opcodes[l.Kind]
		if s == nil || !ok {
			return false
		}
		frame++
		x := filter.Frame{Session: s, N: frame, Time: at, Dir: l.From, Op: op, Length: uint64(len(l.Data)), Fin: true, Rsv1: l.Compressed, Masked: l.From == inspect.ToServer, Minimal: true}
		msg := inspect.Message{Dir: l.From, Opcode: op, Size: int64(len(l.Data)), Data: l.Data, Compressed: l.Compressed}
		answer := m.Frame(&x)
		keep := answer == filter.Yes || answer == filter.Maybe && m.Message(&msg)
		has[l.Session] = has[l.Session] || keep
		return !keep && l.Kind != cassette.Close
	})
	c.Lines = slices.DeleteFunc(c.Lines, func(l cassette.Line) bool { return l.Session > 0 && !has[l.Session] })
}

// opcodes are what a filter calls the kinds of messages.
var opcodes = map[cassette.Kind]inspect.Opcode{
	cassette.JSON: inspect.OpText, cassette.Text: inspect.OpText, cassette.Binary: inspect.OpBinary,
	cassette.Ping: inspect.OpPing, cassette.Pong: inspect.OpPong, cassette.Close: inspect.OpClose,
}
