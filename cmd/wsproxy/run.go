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
	flags     rootFlags // of the run as a whole
	doors     []*door   // one at least
	target    *url.URL  // of the first door; nil: a forward proxy, or several targets
	keys      io.Closer // of the key log; nil: there is none
	listeners []net.Listener
	server    *proxy.Server // of the first door; those of the others are beside it
	recording *recording    // nil with --no-record
	notices   *notices
	pulse     *pulse // in front of the recording, where a screen shows it
	control   *control

	// clients are those that wsproxy plays itself; nil: they come from outside.
	// The run ends when they are done.
	clients func(context.Context) error
	opens   string     // what they are, in the words of the screen
	tour    []ui.Scene // through what they do; nil: there is none
}

// startProxy is startDoors with one door.
func startProxy(cmd *cobra.Command, f rootFlags, target *url.URL) (*proxying, error) {
	return startDoors(cmd, f, []*door{{flags: f, target: target}})
}

// startDoors opens everything that can fail for the user's own reasons, so that
// nothing has started when an error is told.
func startDoors(cmd *cobra.Command, f rootFlags, doors []*door) (*proxying, error) {
	keep, err := f.check()
	if err != nil {
		return nil, err
	}
	if err := f.output.meaning.check(); err != nil {
		return nil, err
	}
	p := &proxying{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), flags: f, doors: doors, target: doors[0].target}
	p.notices = &notices{out: p.err}
	configs := make([]proxy.Config, len(doors))
	for i, d := range doors {
		if configs[i], err = d.config(); err == nil && d.tls {
			configs[i].Secure, err = d.certificates()
		}
		if err != nil {
			return nil, err
		}
	}
	whole := proxy.Config{BothLegs: f.legs == "both", Grace: grace, MaxConns: maxConns(), Logf: p.notices.logf}
	if p.keys, err = f.secure.keys(&whole); err != nil {
		return nil, err
	}
	if err = p.open(); err != nil {
		return nil, err
	}
	if !f.noRecord {
		if p.recording, err = openRecording(f, keep, p.title(), p.notices); err != nil {
			closeAll(p.listeners)
			return nil, err
		}
		whole.Tap = p.redaction(p.recording.writer)
		if f.output.screen(p.out) {
			p.pulse = newPulse(whole.Tap)
			whole.Tap = p.pulse
			p.control = newControl(p.pulse)
			whole.Gate = p.control.holds
		}
	}
	if err = p.build(configs, whole); err != nil {
		closeAll(p.listeners)
		return nil, errors.Join(usagef("", "%v", err), p.recording.close())
	}
	p.control.bind(p.server)
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
	for _, d := range p.doors {
		for _, l := range d.listeners {
			serving.Go(func() { failed <- d.server.Serve(l) })
		}
	}
	watched := make(chan error, 1)
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	shown := p.view()
	if p.opens != "" {
		shown.options.Open = p.opens
	}
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
	if n := p.server.Stats().Denied; n > 0 && !p.flags.output.quiet {
		fmt.Fprintln(p.err, "wsproxy: "+deniedText(n))
	}
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
	for _, d := range p.doors {
		d.announce(p.err)
	}
	if p.insecure() {
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

// view is what is shown of this run.
func (p *proxying) view() *view {
	v := &view{flags: p.flags.output, out: p.out, err: p.err, goesOn: true, notices: p.notices}
	if p.recording.readable() {
		v.path, v.live, v.pulse = p.recording.path, p.recording.writer.Watch, p.pulse
	}
	v.options = ui.Options{Title: p.title(), Status: p.status, Tour: p.tour}
	if p.control != nil {
		v.options.Control, v.news = p.control, p.control.news
	}
	if p.recording != nil && p.recording.temporary {
		v.options.Save = saveFrom(p.recording.path)
	}
	v.options.Open = p.doors[0].open()
	v.targets = len(p.doors) > 1 || len(p.doors[0].targets) > 0
	return v
}

// title says in a few words what is proxied.
func (p *proxying) title() string {
	text := p.listeners[0].Addr().String() + " → " + p.doors[0].goal()
	if n := len(p.doors) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// status is what the screen says of the proxy and its recording.
func (p *proxying) status() ui.Status {
	stats := p.server.Stats()
	st := ui.Status{Bytes: stats.Bytes, Exposed: p.exposed(), Gate: p.control.gate()}
	if stats.Denied > 0 {
		st.Warnings = append(st.Warnings, deniedText(stats.Denied))
	}
	if p.insecure() {
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
