package main

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/proxy/ca"
)

// browserFlags are those of browser.
type browserFlags struct {
	program string
}

func browserCmd() *cobra.Command {
	var run rootFlags
	var forward forwardFlags
	var f browserFlags
	cmd := &cobra.Command{
		Use:   "browser [flags] [chromium|firefox] [URL] [-- ARGUMENT…]",
		Short: "Open an installed browser whose traffic goes through wsproxy",
		Long: `Open a page in a browser of its own: an installed Chromium (or Chrome, Edge,
Brave) or Firefox with a profile that is thrown away at the end. All its traffic
goes through wsproxy, that to this machine too; it trusts wsproxy's CA, and
nothing else on the machine is changed. What browsers ask their makers for is
switched off.

Without a name it is the first browser that is found. Arguments behind -- are
the browser's. wsproxy ends with the browser, or with the screen if that stays
longer.`,
		Example: `  wsproxy browser http://localhost:3000
  wsproxy browser firefox https://example.com/chat
  wsproxy browser --plain chromium http://localhost:3000 -- --headless`,
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := wantedBrowser(args, cmd.ArgsLenAtDash(), f.program)
			if err != nil {
				return err
			}
			return runBrowser(cmd, run, &forward, w)
		},
	}
	run.registerRun(cmd)
	run.registerRequests(cmd)
	forward.register(cmd)
	cmd.ValidArgsFunction = words(browserWords)
	cmd.Flags().StringVar(&f.program, "program", "", "the browser's own `FILE`, where it is not found or another is meant")
	_ = cmd.MarkFlagFilename("program") // fails only for an unknown flag
	return cmd
}

// wanted is which browser is to show what.
type wanted struct {
	kind *browserKind
	path string // of the program
	page string
	args []string // behind those of wsproxy
}

// wantedBrowser reads the arguments; those from dash on are the browser's.
func wantedBrowser(args []string, dash int, program string) (w wanted, err error) {
	if dash >= 0 {
		args, w.args = args[:dash], args[dash:]
	}
	name := ""
	if len(args) > 0 && slices.ContainsFunc(browserKinds, func(k browserKind) bool { return k.name == args[0] }) {
		name, args = args[0], args[1:]
	}
	w.page = "about:blank"
	switch len(args) {
	case 0:
	case 1:
		if w.page, err = pageURL(args[0]); err != nil {
			return w, err
		}
	default:
		return w, usagef("wsproxy browser firefox http://localhost:3000 -- --headless", "one URL is needed, not %d: %s", len(args), strings.Join(args, " "))
	}
	if program == "" {
		w.kind, w.path, err = installed().find(name)
		return w, err
	}
	if w.path, err = lookCommand(program); err != nil {
		return w, err
	}
	w.kind = kindOf(name, program)
	return w, nil
}

// pageURL reads what a page's address may be written like.
func pageURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err == nil && (u.Scheme == "ws" || u.Scheme == "wss"):
		return "", usagef("give the URL of the page that opens the socket: http://"+u.Host+"/", "a browser shows pages, and %s is none", s)
	case err == nil && slices.Contains([]string{"http", "https", "file", "about", "data"}, u.Scheme):
		return s, nil
	}
	if u, err = url.Parse("http://" + s); err != nil || u.Hostname() == "" || strings.Contains(s, "://") { // localhost:3000
		return "", usagef("wsproxy browser http://localhost:3000", "%q is no URL", s)
	}
	return "http://" + s, nil
}

// runBrowser runs a browser to its end.
func runBrowser(cmd *cobra.Command, run rootFlags, forward *forwardFlags, w wanted) error {
	if windowless(w.args) {
		return failf("wsproxy browser … -- --headless does without a window", "%s needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY says where one is", w.kind.title)
	}
	authority, err := run.authorize(forward)
	if err != nil {
		return err
	}
	run.listenForChild()
	run.output.exchanges = true
	p, err := startProxy(cmd, run, nil)
	if err != nil {
		return err
	}
	p.opens = w.kind.title + " opens " + w.page
	b := &browser{wanted: w}
	if err := b.prepare(p, authority); err != nil {
		closeAll(p.listeners)
		return errors.Join(err, b.cleanUp(), p.recording.close())
	}
	p.clients = b.run
	err = p.watchUntilEnd(cmd.Context())
	return b.outcome(cmd.Context(), err)
}

// windowless says that there is no place for a window, where one is needed.
func windowless(args []string) bool {
	return runtime.GOOS != "windows" && runtime.GOOS != "darwin" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" &&
		!slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(strings.TrimLeft(a, "-"), "headless") })
}

// browser is a child with a profile of its own.
type browser struct {
	wanted
	child   child
	profile string
	log     *os.File // what it says on its standard error, in the profile's folder
}

// browserLimit is how long a browser may take to end when it is told to.
const browserLimit = 5 * time.Second

// socketRoom is how long the path of a folder may be in which a browser makes sockets,
// whose own may have 107 bytes.
const socketRoom = 62

// prepare makes the profile and everything else that can fail before the start.
func (b *browser) prepare(p *proxying, authority *ca.Authority) (err error) {
	if b.profile, err = os.MkdirTemp(profilesDir(b.path), "wsproxy-browser-"); err != nil {
		return failf("", "cannot make a profile: %v", cause(err))
	}
	if b.log, err = os.Create(filepath.Join(b.profile, "wsproxy.log")); err != nil {
		return failf("", "cannot make a profile: %v", cause(err))
	}
	at := address{authority: authority, profile: b.profile, page: b.page}
	at.set(p.listeners[0].Addr())
	args, env, err := b.kind.prepare(&at)
	if err != nil {
		return err
	}
	if b.kind.name == "chromium" && isRoot() {
		args = append([]string{"--no-sandbox"}, args...)
		p.notices.logf("warning: %s runs without its sandbox, which does not work for root", b.kind.title)
	}
	c := &b.child
	*c = child{proxy: p, cmd: exec.Command(b.path, append(append(args, b.args...), b.page)...), screen: p.flags.output.screen(p.out), limit: browserLimit, hint: b.wonder}
	if runtime.GOOS == "linux" && len(b.profile) <= socketRoom {
		env = append(env, "TMPDIR="+b.profile) // what it leaves there goes too
	}
	c.cmd.Env = append(os.Environ(), env...)
	ownGroup(c.cmd)
	c.cmd.Stdout, c.cmd.Stderr = os.Stderr, b.log // Stdout has the lines
	switch {
	case c.screen:
		c.cmd.Stdout = b.log
	case p.flags.output.quiet:
		c.cmd.Stdout = os.Stdout
	}
	return nil
}

// isRoot says so where there is such a user.
func isRoot() bool { return os.Geteuid() == 0 }

// run is the browser's whole life; it waits for its end, ends the processes that it
// has left, which would go on writing to the profile, and removes that.
func (b *browser) run(ctx context.Context) error {
	runtime.LockOSThread() // see ownGroup
	defer runtime.UnlockOSThread()
	err := b.child.run(ctx)
	if p := b.child.cmd.Process; p != nil {
		endGroup(p.Pid)
	}
	return errors.Join(err, b.cleanUp())
}

// wonder says that the browser has asked for nothing, when it has ended.
func (b *browser) wonder() {
	c := &b.child
	if !c.ended || c.screen || c.proxy.flags.output.quiet || b.page == "about:blank" || c.code != 0 || c.proxy.server.Stats().Total > 0 {
		return
	}
	c.proxy.notices.logf("hint: nothing has come through wsproxy: %s was closed before it asked for the page, or handed it to another that runs", b.kind.title)
}

// removing is how long that may take: a process that was killed still ends what it is at.
const removing = 3 * time.Second

// cleanUp removes the profile. It keeps the end of what the browser has complained of.
func (b *browser) cleanUp() error {
	if b.log != nil {
		b.complaints()
		_ = b.log.Close() // nothing is written any more
	}
	if b.profile == "" {
		return nil
	}
	err := errors.New("it is there")
	for by := time.Now().Add(removing); err != nil && time.Now().Before(by); {
		err = os.RemoveAll(b.profile)
		time.Sleep(20 * time.Millisecond) // nobody tells when the last of them has gone
		if _, gone := os.Lstat(b.profile); err == nil && gone == nil {
			err = errors.New(b.profile + " was made again")
		}
	}
	if err != nil {
		return failf("remove it", "the browser's profile is left: %v", cause(err))
	}
	return nil
}

// complaints tells what a browser that failed has said last.
func (b *browser) complaints() {
	if !b.child.ended || b.child.code == 0 || b.child.told {
		return
	}
	said, err := os.ReadFile(b.log.Name())
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(said, []byte("?")))), "\n")
	for _, l := range lines[max(0, len(lines)-5):] {
		b.child.proxy.notices.logf("%s says: %s", b.kind.title, l)
	}
}

// outcome is how the run of a browser ended whose proxy ended so: with the browser's
// code, unless wsproxy has told it to end.
func (b *browser) outcome(ctx context.Context, err error) error {
	if !b.child.ended || b.child.told || interrupted(ctx) != nil {
		return err
	}
	return b.child.outcome(err)
}
