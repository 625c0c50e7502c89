package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/replay"
)

// replayLimit is the longest message that is replayed or compared, in bytes.
const replayLimit = 64 << 20

// replayFlags are the flags of replay.
type replayFlags struct {
	listen    []string
	allowHost []string
	allow     []string
	once      bool
	quiet     bool
}

func replayCmd() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Serve a recording: be the server that was recorded",
		Long: `Serve what a recording holds, with the server switched off. A client gets the
recorded answer to its upgrade, and then each message of the server once the
client's messages recorded before it have come. They must be those that were
recorded: JSON is compared as JSON, all else exactly. Pings are answered. Sessions
are found by path and subprotocol, in recorded order, and from the start again when
all were served. Plain HTTP exchanges are served too.

What is not as recorded is printed, with what was expected and what came, and the
exit code is 1.`,
		Example: `  wsproxy replay session.pcapng --listen 127.0.0.1:9000
  wsproxy replay session.pcapng --listen 127.0.0.1:9000 --once    # for a test`,
		Args: exactly(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReplay(cmd, f, args[0])
		},
	}
	s := cmd.Flags()
	s.StringArrayVar(&f.listen, "listen", nil, "`host:port` to listen on, repeatable; port 0 takes a free one (default: port 8080 or the next free one, on 127.0.0.1 and ::1)")
	s.StringArrayVar(&f.allowHost, "allow-host", nil, "accept requests for this `host` too, repeatable")
	s.StringArrayVar(&f.allow, "allow", nil, "let clients of this `address` or network come too, repeatable (192.168.1.0/24)")
	s.BoolVar(&f.once, "once", false, "end after one session: exit code 0 if it was as recorded, 1 if not")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	return cmd
}

func runReplay(cmd *cobra.Command, f replayFlags, path string) error {
	r := &replaying{flags: f, err: cmd.ErrOrStderr(), path: path}
	c, err := r.load(cmd.Context())
	if err != nil {
		return err
	}
	listeners, err := listenOn(f.listen)
	if err != nil {
		return err
	}
	if listeners, err = guarded(listeners, f.allow, r.say); err != nil {
		return err
	}
	r.server = replay.NewServer(c, replay.Options{
		Once: f.once, AllowHost: f.allowHost, Limits: replayLimits(), Ended: r.ended,
		Missed: func(why string) { r.say("wsproxy: refused: %s", why) },
	})
	return r.serve(cmd.Context(), listeners)
}

func replayLimits() inspect.Limits {
	return inspect.Limits{Message: replayLimit, Inflated: replayLimit}
}

// replaying is one run of replay.
type replaying struct {
	flags  replayFlags
	err    io.Writer
	path   string
	server *replay.Server

	mu sync.Mutex // one line at a time
}

// load reads the recording, as far as it is whole.
func (r *replaying) load(ctx context.Context) (*cassette.Cassette, error) {
	c, err := replay.Load(ctx, r.path, replayLimits())
	var torn *record.TornError
	var damaged *record.DamagedError
	var session *cassette.SessionError
	switch {
	case errors.As(err, &torn) || errors.As(err, &damaged):
		r.say("wsproxy: warning: %s: %v; what is whole is replayed", r.path, err)
	case errors.As(err, &session):
		return nil, failf("wsproxy show "+shellWord(r.path)+" shows what there is", "%s: %v", r.path, session)
	case err != nil && ctx.Err() != nil:
		return nil, interrupted(ctx)
	case err != nil:
		return nil, fileError(r.path, err)
	}
	for _, w := range c.Warnings {
		r.say("wsproxy: warning: %s", w)
	}
	sessions := c.Sessions()
	if len(sessions) == 0 {
		return nil, failf("record one: wsproxy --record FILE ws://localhost:3000", "%s holds no WebSocket session: there is nothing to replay", r.path)
	}
	for _, s := range sessions {
		if s.Upgrade.Accepted() && !s.Ends() {
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
		r.print("wsproxy: error: %s", res.Report())
	}
}

// serve serves until the session of --once is over or a signal comes.
func (r *replaying) serve(ctx context.Context, listeners []net.Listener) error {
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
	select {
	case <-ctx.Done():
	case <-r.server.Done():
	case err = <-failed:
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.patience(ctx))
	defer cancel()
	err = errors.Join(err, r.server.Shutdown(patience))
	serving.Wait()
	bad := r.summary()
	switch {
	case err != nil:
		return err
	case bad > 0:
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

// summarised is how many sessions the summary names.
const summarised = 20

// summary says how each session went and how many were not as recorded.
func (r *replaying) summary() (bad int) {
	results := r.server.Results()
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
	r.say("sessions replayed: %d, not as recorded: %d", len(results), bad)
	return bad
}
