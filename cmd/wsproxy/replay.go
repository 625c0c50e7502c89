package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/replay"
)

// replayLimit is the longest message that is replayed or compared, in bytes.
const replayLimit = 64 << 20

// replayFlags are the flags of replay.
type replayFlags struct {
	listen      []string
	allowHost   []string
	allow       []string
	to          string
	header      []string
	insecure    bool
	speed       float64
	onMiss      string
	once        bool
	loop        bool
	allowUnused bool
	fallback    string
	vcr         string
	noRedact    bool
	noVariables bool
	wait        time.Duration
	exact       bool
	report      string
	noColor     bool
	quiet       bool
}

func replayCmd() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE [-- COMMAND…]",
		Short: "Be the server that was recorded, or its clients",
		Long: `Serve what a recording or a cassette holds, with the server switched off. A client
gets the recorded answer to its upgrade, and then each message of the server once the
client's messages recorded before it have come. They must be those that were
recorded: JSON is compared as JSON, variables by what they stand for, all else exactly.
Pings are answered. Sessions are found by path and subprotocol, in recorded order, and
from the start again when all were served. Plain HTTP exchanges are served too.

Behind -- a command is run, with the server's address in WSPROXY_URL, and its exit
code is passed on. With --to it is the other way round: the recorded clients are
played against a real server, whose answers are checked.

What is not as recorded is printed, with what was expected and what came, and the
exit code is 1.`,
		Example: `  wsproxy replay testdata/chat.ndjson --listen 127.0.0.1:9000
  wsproxy replay testdata/chat.ndjson -- npm test
  wsproxy replay testdata/chat.ndjson --vcr once --fallback ws://localhost:3000 -- npm test
  wsproxy replay session.pcapng --to ws://localhost:3000 --report junit:report.xml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var command []string
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args, command = args[:n], args[n:]
				if len(command) == 0 {
					return usagef("wsproxy replay FILE -- npm test", "there is no COMMAND behind --")
				}
			}
			if len(args) != 1 {
				return usagef("wsproxy replay --help", "wsproxy replay takes one FILE")
			}
			return runReplay(cmd, f, args[0], command)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *replayFlags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringArrayVar(&f.listen, "listen", nil, "`host:port` to listen on, repeatable; port 0 takes a free one (default: port 8080 or the next free one, on 127.0.0.1 and ::1; a free one for a COMMAND)")
	s.StringArrayVar(&f.allowHost, "allow-host", nil, "accept requests for this `host` too, repeatable")
	s.StringArrayVar(&f.allow, "allow", nil, "let clients of this `address` or network come too, repeatable (192.168.1.0/24)")
	s.StringVar(&f.to, "to", "", "play the clients against the server at this `URL`")
	s.StringArrayVar(&f.header, "header", nil, "with --to or --fallback, add or replace a request header, `'Name: value'`, repeatable")
	s.BoolVar(&f.insecure, "insecure", false, "with --to or --fallback, do not verify the server's certificate")
	s.Float64Var(&f.speed, "speed", 0, "divide the recorded pauses by `N`: 1 is as recorded, 10 ten times as fast, 0 without pauses")
	s.StringVar(&f.onMiss, "on-miss", "fail", "what becomes of a session that is not as recorded: `fail` (a Close 1011), continue, close (the same, but no failure) or rst")
	s.BoolVar(&f.once, "once", false, "end after one session: exit code 0 if it was as recorded, 1 if not")
	s.BoolVar(&f.loop, "loop", false, "begin a session again when its last message has been sent")
	s.BoolVar(&f.allowUnused, "allow-unused", false, "let a COMMAND leave recorded sessions out")
	s.StringVar(&f.fallback, "fallback", "", "pass what was not recorded on to the real server at this `URL`")
	s.StringVar(&f.vcr, "vcr", "", "record what --fallback answers: `none`, once (if FILE is not there), new (what FILE lacks) or all (afresh); also WSPROXY_VCR in the environment")
	s.BoolVar(&f.noRedact, "no-redact", false, "with --vcr, keep credentials")
	s.BoolVar(&f.noVariables, "no-variables", false, "with --vcr, leave every value as it was")
	s.DurationVar(&f.wait, "wait", 10*time.Second, "with --to, how long the server may be silent when it is expected to speak")
	s.BoolVar(&f.exact, "exact", false, "with --to, compare the server's times, uuids and the like as they were")
	s.StringVar(&f.report, "report", "", "write a report of each session: `junit`, tap or json, with :FILE to a file")
	s.BoolVar(&f.noColor, "no-color", false, "use no colours (also: NO_COLOR in the environment)")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	cmd.MarkFlagsMutuallyExclusive("to", "listen")
	cmd.MarkFlagsMutuallyExclusive("to", "once")
	cmd.MarkFlagsMutuallyExclusive("to", "loop")
	cmd.MarkFlagsMutuallyExclusive("to", "fallback")
	cmd.MarkFlagsMutuallyExclusive("to", "vcr")
}

var onMisses = map[string]replay.OnMiss{"fail": replay.FailOnMiss, "continue": replay.ContinueOnMiss, "close": replay.CloseOnMiss, "rst": replay.ResetOnMiss}

// check reads the flags that are texts with a grammar.
func (f *replayFlags) check(command []string) (headers []inspect.HeaderField, fallback *url.URL, err error) {
	if _, ok := onMisses[f.onMiss]; !ok {
		return nil, nil, usagef("--on-miss continue", "--on-miss takes fail, continue, close or rst, not %q", f.onMiss)
	}
	if f.speed < 0 {
		return nil, nil, usagef("--speed 1", "--speed takes a number from 0 on, not %v", f.speed)
	}
	if f.to != "" && len(command) > 0 {
		return nil, nil, usagef("a COMMAND is run with a server: leave --to out", "--to plays the clients itself and runs no COMMAND")
	}
	if f.vcr == "" && f.fallback != "" { // without a server there is nothing to record
		f.vcr = os.Getenv("WSPROXY_VCR")
	}
	if f.vcr == "" || f.to != "" {
		f.vcr = string(replay.ReplayOnly)
	}
	if !slices.Contains(replay.VCRs(), replay.VCR(f.vcr)) {
		return nil, nil, usagef("--vcr once", "--vcr takes none, once, new or all, not %q", f.vcr)
	}
	if f.vcr != string(replay.ReplayOnly) && f.fallback == "" {
		return nil, nil, usagef("--fallback ws://localhost:3000", "--vcr %s records what --fallback answers", f.vcr)
	}
	if f.fallback != "" {
		if fallback, err = webTarget("--fallback", f.fallback); err != nil {
			return nil, nil, err
		}
	}
	if _, _, err := reportTo(f.report); err != nil {
		return nil, nil, err
	}
	headers, err = (&rootFlags{header: f.header}).headers()
	return headers, fallback, err
}

// webTarget reads a target of a flag that speaks WebSocket.
func webTarget(flag, s string) (*url.URL, error) {
	u, err := parseTarget(s)
	if err == nil && !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) {
		return nil, usagef(flag+" ws://localhost:3000", "%s takes a URL of ws, wss, http or https, not %q", flag, s)
	}
	return u, err
}

func runReplay(cmd *cobra.Command, f replayFlags, path string, command []string) error {
	headers, fallback, err := f.check(command)
	if err != nil {
		return err
	}
	r := &replaying{flags: f, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), path: path, headers: headers}
	r.color = !f.noColor && (&outputFlags{}).color(r.err)
	if f.to != "" {
		return r.drive(cmd.Context())
	}
	c, err := r.load(cmd.Context())
	if err != nil {
		return err
	}
	if len(command) > 0 && len(f.listen) == 0 {
		f.listen = []string{"127.0.0.1:0"}
	}
	listeners, err := listenOn(f.listen)
	if err != nil {
		return err
	}
	if listeners, err = guarded(listeners, f.allow, r.say); err != nil {
		return err
	}
	o := replay.Options{
		Once: f.once, AllowHost: f.allowHost, Limits: replayLimits(), Ended: r.ended, OnMiss: onMisses[f.onMiss], Speed: f.speed, Loop: f.loop,
		Missed: func(why string) { r.say("wsproxy: refused: %s", why) },
	}
	if fallback != nil {
		ro := replay.RecorderOptions{Record: r.recording(), Header: headers, Insecure: f.insecure, AllowHost: f.allowHost, NoRedact: f.noRedact,
			Literal: f.noVariables, Reserved: c.Values, Limits: replayLimits()}
		if r.recorder, err = replay.NewRecorder(fallback, ro); err != nil {
			closeAll(listeners)
			return failf("", "cannot record: %v", cause(err))
		}
		o.Fallback = r.recorder.Addr()
	}
	r.server = replay.New(c, o)
	return r.serve(cmd.Context(), listeners, command)
}

func replayLimits() inspect.Limits {
	return inspect.Limits{Message: replayLimit, Inflated: replayLimit}
}

// replaying is one run of replay.
type replaying struct {
	flags    replayFlags
	out, err io.Writer
	color    bool
	path     string
	headers  []inspect.HeaderField
	server   *replay.Replayer
	recorder *replay.Recorder // of what was not recorded yet; nil: there is none
	old      *cassette.Cassette
	child    int // exit code of the command; 0 without one

	mu sync.Mutex // one line at a time
}

// recording says that what passes the fallback is recorded.
func (r *replaying) recording() bool {
	switch replay.VCR(r.flags.vcr) {
	case replay.RecordAll, replay.RecordNew:
		return true
	case replay.RecordOnce:
		return r.old == nil
	}
	return false
}

// load reads the recording, as far as it is whole; with --vcr there may be none.
func (r *replaying) load(ctx context.Context) (*cassette.Cassette, error) {
	_, statErr := os.Stat(r.path)
	none := errors.Is(statErr, os.ErrNotExist) && r.flags.vcr != string(replay.ReplayOnly)
	if none || r.flags.vcr == string(replay.RecordAll) {
		return &cassette.Cassette{}, nil
	}
	l := loader{path: r.path, warn: func(format string, args ...any) { r.say("wsproxy: warning: "+format, args...) }}
	c, err := l.load(ctx)
	if err != nil {
		return nil, err
	}
	r.old = c
	sessions := c.Sessions()
	if len(sessions) == 0 && r.flags.fallback == "" {
		return nil, failf("record one: wsproxy --record FILE ws://localhost:3000", "%s holds no WebSocket session: there is nothing to replay", r.path)
	}
	for _, s := range sessions {
		if s.Upgrade.Accepted() && !s.Ends() && len(s.Lines) > 0 && s.Lines[0].At == 0 {
			r.say("wsproxy: warning: the recording ends before session %d (%s) does; its replay then says no more and leaves the end to the client", s.N, inspect.Visible([]byte(s.Upgrade.Path), 200))
		}
	}
	return c, nil
}

// say prints a line unless --quiet.
func (r *replaying) say(format string, args ...any) {
	if !r.flags.quiet {
		r.print(format, args...)
	}
}

func (r *replaying) print(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.err, format+"\n", args...)
}

// ended tells a mismatch when it happens.
func (r *replaying) ended(res replay.Result) {
	if res.Mismatch != nil {
		r.print("wsproxy: error: %s", r.painted(res.Report()))
	}
}

// painted shows what was expected in green and what came in red.
func (r *replaying) painted(report string) string {
	if !r.color {
		return report
	}
	lines := strings.Split(report, "\n")
	for i, l := range lines {
		switch {
		case strings.HasPrefix(l, "  expected  "):
			lines[i] = "\x1b[32m" + l + "\x1b[m"
		case strings.HasPrefix(l, "  came      "):
			lines[i] = "\x1b[31m" + l + "\x1b[m"
		}
	}
	return strings.Join(lines, "\n")
}

// serve serves until the session of --once or the command is over, or a signal
// comes.
func (r *replaying) serve(ctx context.Context, listeners []net.Listener, command []string) error {
	for _, l := range listeners {
		r.say("listening on %s (replaying %s)", openURL(l), r.path)
		if !loopback(l.Addr()) {
			r.say("wsproxy: warning: other machines can reach %s", l.Addr())
		}
	}
	r.say("ready")
	var serving sync.WaitGroup
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		serving.Go(func() { failed <- r.server.Serve(l) })
	}
	var err error
	if len(command) > 0 {
		err = r.run(ctx, listeners[0], command)
	} else {
		select {
		case <-ctx.Done():
		case <-r.server.Done():
		case err = <-failed:
		}
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience(ctx))
	defer cancel()
	err = errors.Join(err, r.server.Shutdown(patience))
	serving.Wait()
	if r.recorder != nil {
		err = errors.Join(err, r.keep())
	}
	return r.outcome(ctx, err, len(command) > 0)
}

// outcome is the run's exit code: a command's own, or whether all was as recorded.
func (r *replaying) outcome(ctx context.Context, err error, command bool) error {
	var unused []*cassette.Session
	if command && !r.flags.allowUnused && r.old != nil && r.child == 0 && err == nil {
		unused = r.server.Unused()
	}
	for _, s := range unused {
		r.print("wsproxy: error: session %d (%s) was recorded, and nobody asked for it (--allow-unused lets it be)", s.N, inspect.Visible([]byte(s.Upgrade.Path), 200))
	}
	results := r.server.Results()
	bad := r.summary(results) + len(unused)
	if reportErr := r.report(results, unused); err == nil {
		err = reportErr
	}
	switch {
	case err != nil:
		return err
	case r.child != 0:
		return &exitError{code: r.child}
	case bad > 0 && r.flags.onMiss != "close":
		return &exitError{code: exitMismatch}
	}
	return interrupted(ctx)
}

// patience is how long what is still open may go on: a session behind a signal
// none, connections behind the session of --once until they have had their answer.
func (r *replaying) patience(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	return grace
}

// keep writes what was recorded of the fallback.
func (r *replaying) keep() error {
	c, changes, err := r.recorder.Close()
	switch {
	case err != nil:
		return failf("", "what passed cannot be made into %s: %v", r.path, cause(err))
	case c == nil:
		return nil
	case r.child != 0:
		r.say("wsproxy: the command failed, so %s is as it was", r.path)
		return nil
	case len(c.Sessions()) == 0:
		r.say("wsproxy: no session was recorded, so %s is as it was", r.path)
		return nil
	}
	if !r.flags.quiet {
		tellChanges(r.err, c, changes)
	}
	if replay.VCR(r.flags.vcr) == replay.RecordNew && r.old != nil {
		r.old.Append(c)
		c = r.old
	}
	if err := replay.Save(c, r.path); err != nil {
		return failf("", "cannot write %s: %v", r.path, cause(err))
	}
	r.say("written to %s", r.path)
	return nil
}

// summarised is how many sessions the summary names.
const summarised = 20

// summary says how each session went and how many were not as recorded.
func (r *replaying) summary(results []replay.Result) (bad int) {
	for i, res := range results {
		if res.Mismatch != nil {
			bad++
		}
		if i < summarised {
			r.say("%s", res)
		}
	}
	if more := len(results) - summarised; more > 0 {
		r.say("and %d more", more)
	}
	if len(results) > 0 || r.recorder == nil {
		r.say("sessions replayed: %d, not as recorded: %d", len(results), bad)
	}
	return bad
}
