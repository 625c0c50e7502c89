package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/proxy/ca"
)

// Exit codes of a command that did not start, as shells have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignalled     = 128 // and the signal's number
)

// runFlags are those of run.
type runFlags struct {
	to     string
	screen bool
}

func runCmd() *cobra.Command {
	var run rootFlags
	var forward forwardFlags
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND…",
		Short: "Run one command and watch its traffic",
		Long: `Run a command whose traffic goes through wsproxy: a forward proxy with the
variables HTTP_PROXY and the like set for the command alone, and those that make
it trust wsproxy's CA. Node's http, https, fetch and ws are told by a file that
Node loads first. The command has the terminal; what passed is summed up at its
end, and its exit code is passed on.

Some programs look at no such variable. --to TARGET stands in front of one server
instead: its address is in WSPROXY_URL.`,
		Example: `  wsproxy run -- npm test
  wsproxy run --record test.pcapng -- python3 client.py
  wsproxy run --to ws://localhost:3000 -- sh -c 'my-client "$WSPROXY_URL/chat"'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("wsproxy run -- npm test", "no COMMAND is given")
			}
			return runCommand(cmd, run, &forward, f, args)
		},
	}
	run.registerRun(cmd)
	run.registerRequests(cmd)
	forward.register(cmd)
	s := cmd.Flags()
	s.SetInterspersed(false) // the command's flags are its own
	s.StringVar(&f.to, "to", "", "stand in front of this server `URL`; wsproxy's own is in WSPROXY_URL")
	s.BoolVar(&f.screen, "screen", false, "open the screen; the command's output is printed when it closes")
	cmd.MarkFlagsMutuallyExclusive("screen", "plain", "json", "quiet")
	return cmd
}

func runCommand(cmd *cobra.Command, run rootFlags, forward *forwardFlags, f runFlags, args []string) error {
	path, err := lookCommand(args[0])
	if err != nil {
		return err
	}
	var target *url.URL
	var authority *ca.Authority
	if f.to != "" {
		target, err = parseTarget(f.to)
	} else {
		authority, err = run.authorize(forward)
	}
	if err != nil {
		return err
	}
	run.listenForChild()
	o := &run.output
	o.exchanges = true
	o.silent = !f.screen && !o.plain && !o.json && !run.decoded.asked()
	if f.screen && !o.screen(cmd.OutOrStdout()) {
		return usagef("without --screen there is a summary at the end", "--screen needs a terminal")
	}
	p, err := startProxy(cmd, run, target)
	if err != nil {
		return err
	}
	p.opens = filepath.Base(args[0]) + " runs through wsproxy"
	c := &child{proxy: p, cmd: exec.Command(path, args[1:]...), screen: f.screen, terminal: true}
	c.hint = c.wonder
	c.cmd.Args[0] = args[0]
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if c.cmd.Env, err = c.environment(authority); err == nil && f.screen {
		err = c.aside()
	}
	if err != nil {
		closeAll(p.listeners)
		return errors.Join(err, p.recording.close())
	}
	p.clients = c.run
	return c.outcome(p.watchUntilEnd(cmd.Context()))
}

// lookCommand finds a command to run, as a shell does.
func lookCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "", &exitError{exitNotExecutable, fmt.Errorf("cannot run %s: permission denied", name), ""}
	case err != nil && !errors.Is(err, exec.ErrDot):
		return "", &exitError{exitNotFound, fmt.Errorf("cannot run %s: there is no such command", name), ""}
	}
	return path, nil
}

// authorize makes of a run a forward proxy that signs with the user's authority.
func (f *rootFlags) authorize(forward *forwardFlags) (a *ca.Authority, err error) {
	if f.forward, err = forward.forward(); err != nil {
		return nil, err
	}
	if a, err = openCA(); err == nil {
		f.forward.Leaf = a.Leaf
	}
	return a, err
}

// listenForChild has a run listen for one child alone, unless it was told where.
func (f *rootFlags) listenForChild() {
	if len(f.listen) == 0 {
		f.listen = []string{"127.0.0.1:0"}
	}
}

// child is the command of a run, or a browser. It plays the clients.
type child struct {
	proxy    *proxying
	cmd      *exec.Cmd
	screen   bool
	terminal bool          // it has the terminal, where wsproxy is silent until its end
	limit    time.Duration // how long it may take to end once it is told to; 0: as long as it likes
	hint     func()        // wonders that nothing has come through
	output   *os.File      // what it says while the screen is open
	hinted   bool
	told     bool // to end, by wsproxy
	ended    bool
	code     int // once it has ended
}

// idleHint is when a command that has sent nothing yet is wondered at.
const idleHint = 5 * time.Second

// run runs the command to its end. When ctx ends, the command is told to end by
// the same signal, or because the user has left the screen, and is waited for.
func (c *child) run(ctx context.Context) error {
	if c.terminal {
		c.proxy.notices.hold()
		defer c.proxy.notices.release()
	}
	passed := make(chan os.Signal, 8)
	signal.Notify(passed, passedSignals()...)
	defer signal.Stop(passed)
	if err := c.cmd.Start(); err != nil {
		return &exitError{exitNotExecutable, fmt.Errorf("cannot run %s: %w", c.cmd.Args[0], cause(err)), ""}
	}
	done := make(chan error, 1)
	go func() { done <- c.cmd.Wait() }()
	wonder := time.NewTimer(idleHint)
	defer wonder.Stop()
	late := time.NewTimer(0)
	late.Stop()
	defer late.Stop()
	left := ctx.Done()
	for {
		select {
		case <-done: // how it ended stands in its state
			c.ended, c.code = true, exitCode(c.cmd.ProcessState)
			if c.screen {
				<-ctx.Done() // the user wants to look
			} else {
				c.hint()
			}
			return nil
		case <-wonder.C:
			c.hint()
		case sig := <-passed:
			c.pass(sig)
		case <-left:
			left, c.told = nil, true
			signal.Notify(passed, os.Interrupt, syscall.SIGTERM) // the next ones are the command's too
			var s signalError
			if errors.As(context.Cause(ctx), &s) {
				c.pass(s.sig)
			} else {
				c.pass(syscall.SIGTERM)
			}
			if c.limit > 0 {
				late.Reset(c.limit)
			}
		case <-late.C:
			_ = c.cmd.Process.Kill() // it may just have ended
		}
	}
}

// pass passes a signal on. What a terminal sends reaches who has it by itself. Where
// there are no signals a child with a limit is killed.
func (c *child) pass(sig os.Signal) {
	if sig == os.Interrupt && c.terminal && !c.screen && isTerminal(os.Stdin) {
		return
	}
	if err := c.cmd.Process.Signal(sig); err != nil && c.limit > 0 {
		_ = c.cmd.Process.Kill() // it may just have ended
	}
}

// aside has the command talk to a file instead of the terminal.
func (c *child) aside() error {
	f, err := os.CreateTemp("", "wsproxy-run-*")
	if err != nil {
		return failf("", "cannot keep the command's output: %v", cause(err))
	}
	c.output, c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = f, nil, f, f
	return nil
}

// wonder says, once, what to do when nothing came through.
func (c *child) wonder() {
	if c.hinted || c.screen || c.proxy.flags.output.quiet || c.proxy.server.Stats().Total > 0 {
		return
	}
	c.hinted = true
	if c.proxy.target != nil {
		fmt.Fprintf(c.proxy.err, "wsproxy: hint: nothing has come through wsproxy yet: the command must connect to WSPROXY_URL, %s\n", c.url())
		return
	}
	name := filepath.Base(c.cmd.Args[0])
	fmt.Fprintf(c.proxy.err, `wsproxy: hint: nothing has come through wsproxy yet: %s may look at no HTTP_PROXY (Go programs do not for loopback addresses, Python's websockets before 15 never do).
wsproxy: hint: stand in front of the server instead: wsproxy run --to ws://localhost:3000 -- %s, which finds wsproxy's own address in WSPROXY_URL
`, name, name)
}

// outcome is how a run ended whose proxy ended so: with the command's code.
func (c *child) outcome(err error) error {
	if c.output != nil {
		_, seekErr := c.output.Seek(0, io.SeekStart)
		_, copyErr := io.Copy(c.proxy.out, c.output)
		err = errors.Join(err, seekErr, copyErr, c.output.Close(), os.Remove(c.output.Name()))
	}
	var e *exitError
	if !c.ended || err != nil && !(errors.As(err, &e) && e.err == nil) && c.code == 0 {
		return err
	}
	if c.code == 0 {
		return nil
	}
	if err != nil && e == nil {
		fmt.Fprintf(c.proxy.err, "wsproxy: error: %v\n", err) // the code is the command's
	}
	return &exitError{code: c.code}
}

// url is wsproxy's own in front of one server.
func (c *child) url() string {
	scheme := "ws"
	if s := c.proxy.target.Scheme; s == "http" || s == "https" {
		scheme = "http"
	}
	return scheme + "://" + reachable(c.proxy.listeners[0].Addr())
}

// environment is the command's: wsproxy's own and what leads to it.
func (c *child) environment(authority *ca.Authority) ([]string, error) {
	env := os.Environ()
	if authority == nil {
		return append(env, "WSPROXY_URL="+c.url()), nil
	}
	at := url.URL{Scheme: "http", Host: reachable(c.proxy.listeners[0].Addr())}
	if user, password, ok := strings.Cut(c.proxy.flags.access.auth, ":"); ok {
		at.User = url.UserPassword(user, password)
	}
	proxy := at.String()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		env = append(env, name+"="+proxy, strings.ToLower(name)+"="+proxy)
	}
	env = append(env, "NO_PROXY=", "no_proxy=", "NODE_USE_ENV_PROXY=1", "WSPROXY_PROXY="+proxy)
	own, err := os.ReadFile(authority.Path())
	if err != nil {
		return nil, failf("", "cannot read %s: %v", authority.Path(), cause(err))
	}
	trusting, err := trustEnvironment(authority.Path(), own)
	if err != nil {
		return nil, err
	}
	for _, v := range trusting {
		if v.name == javaVariable {
			v.value += javaProxy(at.Hostname(), at.Port())
		}
		env = append(env, v.name+"="+v.value)
	}
	extra := authority.Path()
	if before := os.Getenv("NODE_EXTRA_CA_CERTS"); before != "" {
		theirs, _ := os.ReadFile(before) // Node warns of one that it cannot read
		if extra, err = keep("extra", ".pem", slices.Concat(theirs, []byte("\n"), own)); err != nil {
			return nil, err
		}
	}
	preload, err := keep("preload", ".cjs", []byte(nodePreload))
	if err != nil {
		return nil, err
	}
	options := strings.TrimSpace(os.Getenv("NODE_OPTIONS") + ` --require "` + filepath.ToSlash(preload) + `"`)
	return append(env, "NODE_EXTRA_CA_CERTS="+extra, "NODE_OPTIONS="+options), nil
}

// trustVariables name a file with the certificates to trust, and no others.
var trustVariables = []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "AWS_CA_BUNDLE", "CARGO_HTTP_CAINFO"}

// rootFiles are where systems keep the certificates that they trust.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Gentoo
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora
	"/etc/pki/tls/certs/ca-bundle.crt",                  // older ones
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/etc/ssl/cert.pem",                                 // macOS, Alpine, BSD
}

// systemRoots are the certificates that the command would trust without us.
func systemRoots() []byte {
	files := rootFiles
	if own := os.Getenv("SSL_CERT_FILE"); own != "" {
		files = []string{own}
	}
	for _, path := range files {
		if b, err := os.ReadFile(path); err == nil {
			return append(bytes.TrimRight(b, "\n"), '\n')
		}
	}
	return nil
}

// keep writes a file for the command and what it starts, which may outlive the
// run: under the user's cache folder, named for what is in it.
func keep(name, ext string, content []byte) (string, error) {
	dir, err := temporaryDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	path := filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:6])+ext)
	if b, err := os.ReadFile(path); err == nil && bytes.Equal(b, content) {
		return path, nil
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return "", failf("", "cannot write to %s: %v", dir, cause(err))
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", failf("", "cannot write %s: %v", path, cause(errors.Join(err, os.Remove(f.Name()))))
	}
	return path, nil
}
