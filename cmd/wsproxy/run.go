package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui"
)

// grace is how long open sessions may go on after the first signal.
const grace = 500 * time.Millisecond

// proxying is one run of the proxy: listeners, the server that relays, the
// recording it taps into, and what is shown of it.
type proxying struct {
	out, err  io.Writer
	flags     rootFlags
	target    *url.URL  // nil: a forward proxy
	raw       bool      // the clients speak no WebSocket
	door      bool      // listeners speak TLS
	keys      io.Closer // of the key log; nil: there is none
	listeners []net.Listener
	server    *proxy.Server
	recording *recording // nil with --no-record
	notices   *notices
	pulse     *pulse // in front of the recording, where a screen shows it

	// clients are those that wsproxy plays itself; nil: they come from outside.
	// The run ends when they are done.
	clients func(context.Context) error
	tour    []ui.Scene // through what they do; nil: there is none
}

// runReverse is `wsproxy TARGET`.
func runReverse(cmd *cobra.Command, f rootFlags, target string) error {
	u, err := parseTarget(target)
	if err != nil {
		return err
	}
	p, err := startProxy(cmd, f, u)
	if err != nil {
		return err
	}
	return p.watchUntilEnd(cmd.Context())
}

// startProxy opens everything that can fail for the user's own reasons, so that
// nothing has started when an error is told.
func startProxy(cmd *cobra.Command, f rootFlags, target *url.URL) (*proxying, error) {
	keep, headers, err := f.check()
	if err != nil {
		return nil, err
	}
	raw, err := fromTCP(f.listen, target)
	if err != nil {
		return nil, err
	}
	p := &proxying{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), flags: f, target: target, raw: raw}
	p.notices = &notices{out: p.err}
	if p.door, err = f.secure.door(f.listen); err != nil {
		return nil, err
	}
	if p.door && target == nil {
		return nil, usagef("", "a forward proxy's own port is plain; TLS is what it looks into")
	}
	if p.door && raw {
		return nil, usagef("", "TLS is for listeners of WebSocket clients, not for those of tcp://")
	}
	upstream, err := upstreamOf(f.upstream, os.Getenv)
	if err != nil {
		return nil, err
	}
	to, socket := reached(target)
	c := proxy.Config{
		Unix: socket, Target: to, Forward: f.forward, Upstream: upstream, FromTCP: raw, ConnectTo: f.connectTo, Header: headers,
		KeepHost: f.keepHost, KeepOrigin: f.keepOrig, AllowHost: f.allowHost,
		Insecure: f.insecure, BothLegs: f.legs == "both", Grace: grace, MaxConns: maxConns(), Logf: p.notices.logf,
	}
	if p.keys, err = f.secure.fill(&c, p.door); err != nil {
		return nil, err
	}
	if p.listeners, err = f.open(); err != nil {
		return nil, err
	}
	if !f.noRecord {
		if p.recording, err = openRecording(f, keep, p.title(), p.notices); err != nil {
			closeAll(p.listeners)
			return nil, err
		}
		c.Tap = p.redaction(p.recording.writer)
		if f.output.screen(p.out) {
			p.pulse = newPulse(c.Tap)
			c.Tap = p.pulse
		}
	}
	if p.server, err = proxy.New(c); err != nil {
		closeAll(p.listeners)
		return nil, errors.Join(usagef("", "%v", err), p.recording.close())
	}
	return p, nil
}

// redaction is the stage between the tap and the recording: it leaves credentials
// out with --redact, and else warns of those in a recording that was asked for.
func (p *proxying) redaction(w inspect.Sink) inspect.Sink {
	switch {
	case p.flags.redact:
		return record.Redact(w)
	case p.flags.record == "" || p.flags.output.quiet:
		return w
	}
	return record.Detect(w, func(what []string) {
		p.notices.logf("warning: the recording holds credentials (%s); --redact leaves them out", inspect.Visible([]byte(strings.Join(what, ", ")), 0))
	})
}

// watchUntilEnd serves until the user has seen enough, then ends everything in
// one order: listeners, sessions, recording, output.
func (p *proxying) watchUntilEnd(ctx context.Context) error {
	p.tidy()
	p.announce()
	var serving sync.WaitGroup
	failed := make(chan error, len(p.listeners))
	for _, l := range p.listeners {
		serving.Go(func() { failed <- p.server.Serve(l) })
	}
	watched := make(chan error, 1)
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	shown := p.view()
	running, quitting := context.WithCancel(ctx)
	defer quitting()
	serving.Go(func() { watched <- shown.watch(watching, running) })
	var playing sync.WaitGroup
	played := make(chan error, 1)
	if p.clients != nil {
		playing.Go(func() { played <- p.clients(running) })
	}

	var err error
	quit := false
	select {
	case <-ctx.Done():
	case err = <-failed:
	case err = <-played:
	case err = <-watched:
		quit = true
	}
	quitting()
	playing.Wait()
	stopErr := p.shutdown(context.WithoutCancel(ctx))
	closeErr := p.recording.close()
	if p.keys != nil {
		closeErr = errors.Join(closeErr, p.keys.Close())
	}
	if !quit {
		err = errors.Join(err, <-watched)
	}
	serving.Wait()
	shown.summary(p.err)
	p.recording.farewell(p.err, p.flags.output.quiet)
	if err = errors.Join(err, stopErr, closeErr); err != nil {
		return err
	}
	return interrupted(ctx)
}

// tidyAt is how much garbage there may be, in percent of what is in use: relaying makes
// hardly any, so that what sessions hold is most of the memory.
const tidyAt = 40

// tidy keeps memory small where this process only relays and records. The user's GOGC
// stands.
func (p *proxying) tidy() {
	if f := &p.flags.output; os.Getenv("GOGC") == "" && (f.quiet || f.screen(p.out) || p.recording == nil) {
		debug.SetGCPercent(tidyAt)
	}
}

// stalled is how long relays that wait for the disk may take to end.
const stalled = 5 * time.Second

// shutdown ends the sessions. The server's own grace bounds that, but for relays
// that wait for a disk that takes nothing: they are let go without it.
func (p *proxying) shutdown(ctx context.Context) error {
	if p.recording != nil {
		timer := time.AfterFunc(grace+stalled, p.recording.writer.Release)
		defer timer.Stop()
	}
	return p.server.Shutdown(ctx)
}

// announce says where to connect, once everything listens.
func (p *proxying) announce() {
	if p.flags.output.quiet || p.flags.output.silent {
		return
	}
	for _, l := range p.listeners {
		fmt.Fprintf(p.err, "listening on %s -> %s\n", p.at(l), p.goal())
		if !loopback(l.Addr()) {
			fmt.Fprintf(p.err, "wsproxy: warning: other machines can reach %s\n", l.Addr())
		}
	}
	if p.flags.insecure {
		fmt.Fprintln(p.err, "wsproxy: warning: the target's certificate is not verified (--insecure)")
	}
	switch {
	case p.recording == nil:
		fmt.Fprintln(p.err, "wsproxy: nothing is recorded (--no-record), so there is nothing to inspect")
	case !p.recording.readable():
		fmt.Fprintf(p.err, "wsproxy: %s is no file that can be read back, so there is nothing to inspect here\n", p.recording.path)
	}
	fmt.Fprintln(p.err, "ready")
}

func openURL(l net.Listener) string { return "http://" + l.Addr().String() }

// s is what TLS adds to a scheme.
func (p *proxying) s() string {
	if p.door {
		return "s"
	}
	return ""
}

// at is what to connect to.
func (p *proxying) at(l net.Listener) string {
	switch {
	case l.Addr().Network() == "unix" && p.raw:
		return "unix:" + l.Addr().String()
	case l.Addr().Network() == "unix":
		return "ws+unix:" + l.Addr().String()
	case p.raw:
		return "tcp://" + l.Addr().String()
	case p.target != nil && (p.target.Scheme == "tcp" || p.target.Scheme == "unix"):
		return "ws" + p.s() + "://" + l.Addr().String()
	case p.takesSOCKS(l):
		return "socks5h://" + l.Addr().String()
	case p.door:
		return "https://" + l.Addr().String()
	}
	return openURL(l)
}

// view is what is shown of this run.
func (p *proxying) view() *view {
	v := &view{flags: p.flags.output, out: p.out, err: p.err, goesOn: true, notices: p.notices}
	if p.recording.readable() {
		v.path, v.live, v.pulse = p.recording.path, p.recording.writer.Watch, p.pulse
	}
	v.options = ui.Options{Title: p.title(), Status: p.status, Tour: p.tour}
	if p.recording != nil && p.recording.temporary {
		v.options.Save = saveFrom(p.recording.path)
	}
	if p.target == nil {
		v.options.Open = "set HTTP_PROXY and HTTPS_PROXY to http://" + reachable(p.listeners[0].Addr())
	} else if s := p.target.Scheme; s == "http" || s == "https" {
		v.options.Open = "open http" + p.s() + "://" + reachable(p.listeners[0].Addr()) + "/ → " + p.target.String()
	}
	return v
}

// title says in a few words what is proxied.
func (p *proxying) title() string {
	return p.listeners[0].Addr().String() + " → " + p.goal()
}

// goal says where the traffic goes.
func (p *proxying) goal() string {
	if p.target == nil {
		return "wherever clients ask (forward proxy)"
	}
	return shown(p.target)
}

// status is what the screen says of the proxy and its recording.
func (p *proxying) status() ui.Status {
	st := ui.Status{Bytes: p.server.Stats().Bytes, Warnings: p.exposed()}
	if p.flags.insecure {
		st.Warnings = append(st.Warnings, "certificate not verified (--insecure)")
	}
	if p.recording == nil {
		return st
	}
	r := p.recording.writer.Status()
	st.RecordingBytes, st.Recording = r.Bytes, filepath.Base(p.recording.path)
	if p.recording.temporary {
		st.Recording = "temporary"
	}
	switch {
	case r.Stopped != "":
		st.Warnings = append(st.Warnings, "the recording stopped: "+r.Stopped)
	case r.Waiting:
		st.Warnings = append(st.Warnings, "the traffic waits for the disk")
	}
	if r.Snapped+r.Dropped > 0 {
		st.Warnings = append(st.Warnings, "faster than the disk: "+leftOut(r))
	}
	return st
}
