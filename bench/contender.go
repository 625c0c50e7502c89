package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// contender is a way from the client to the server.
type contender struct {
	name    string
	about   string
	program string // that has to be installed; empty: it is here
	version []string
	start   func(ctx context.Context, p place) (*process, error)
	tls     bool     // it can end TLS for the client
	bridge  bool     // it is one, and stands in front of an echo of bytes
	without []string // workloads that take it too long
}

// place is where a contender is to stand.
type place struct {
	target  string // host:port of the server
	scheme  string // of its URL
	wsproxy string // the binary
	dir     string // for its files, empty
	tls     bool   // on the client's leg
	cert    string // file with certificate and key, and "localhost" in it
}

// contenders in the order of the table. direct is the server itself.
var contenders = []contender{
	{name: "direct", about: "no proxy", tls: false},
	{name: "tcpcopy", about: "io.Copy both ways, 32 KiB at a time", start: startSelf("tcpcopy")},
	{name: "gorilla", about: "messages passed on with gorilla/websocket", start: startSelf("gorilla")},
	{name: "wsproxy-no-record", about: "wsproxy --no-record", start: startWsproxy("--no-record"), tls: true},
	{name: "wsproxy", about: "wsproxy --quiet, with its temporary recording", start: startWsproxy("--quiet"), tls: true},
	{name: "wsproxy-record", about: "wsproxy --quiet --record FILE", start: startWsproxy("--quiet", "--record", "FILE")},
	{name: "wsproxy-screen", about: "wsproxy with its screen open in a terminal of 120 by 40", start: startScreen},
	{name: "nginx", about: "nginx, proxy_pass", program: "nginx", version: []string{"-v"}, start: startNginx, tls: true},
	{name: "haproxy", about: "haproxy, mode http", program: "haproxy", version: []string{"-v"}, start: startHAProxy, tls: true},
	{name: "mitmdump", about: "mitmdump --mode reverse", program: "mitmdump", version: []string{"--version"}, start: startMitmdump, tls: true,
		// What is pushed it takes in as fast as it comes, and is minutes behind with passing it on.
		without: []string{"W4", "W5-9000", "W8"}},
	{name: "gorilla-bridge", about: "a bridge to TCP with gorilla/websocket", start: startSelf("gorilla-bridge"), bridge: true},
	{name: "wsproxy-bridge-no-record", about: "wsproxy --no-record tcp://", start: startWsproxy("--no-record"), bridge: true},
	{name: "wsproxy-bridge", about: "wsproxy --quiet tcp://, with its temporary recording", start: startWsproxy("--quiet"), bridge: true},
	{name: "websockify", about: "websockify, without numpy unless that is installed", program: "websockify", start: startWebsockify, bridge: true},
}

// installed says whether its program is here.
func (c contender) installed() bool {
	if c.program == "" {
		return true
	}
	_, err := exec.LookPath(c.program)
	return err == nil
}

// versionText is what the program says of itself.
func (c contender) versionText() string {
	if c.version == nil {
		return ""
	}
	out, err := exec.Command(c.program, c.version...).CombinedOutput()
	if err != nil {
		return "unknown version"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func startSelf(role string) func(context.Context, place) (*process, error) {
	return func(ctx context.Context, p place) (*process, error) {
		cmd, err := self(role, p.target)
		if err != nil {
			return nil, err
		}
		return startAnnouncing(ctx, cmd)
	}
}

// startWsproxy starts the binary that users run. FILE becomes a file of its own.
func startWsproxy(flags ...string) func(context.Context, place) (*process, error) {
	return func(ctx context.Context, p place) (*process, error) {
		args := []string{"--listen", "127.0.0.1:0"}
		if p.tls {
			args = append(args, "--cert", p.cert)
		}
		quiet := false
		for _, f := range flags {
			quiet = quiet || f == "--quiet"
			args = append(args, strings.Replace(f, "FILE", filepath.Join(p.dir, "bench.pcapng"), 1))
		}
		if !quiet {
			return startAnnouncing(ctx, wsproxyCommand(p, args))
		}
		addr, err := freePort() // a quiet wsproxy does not say where it listens
		if err != nil {
			return nil, err
		}
		args[1] = addr
		return startAt(ctx, wsproxyCommand(p, args), addr)
	}
}

func startScreen(ctx context.Context, p place) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := wsproxyCommand(p, []string{"--listen", addr})
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdin // the terminal of the run
	return startAt(ctx, cmd, addr)
}

func wsproxyCommand(p place, args []string) *exec.Cmd {
	cmd := exec.Command(p.wsproxy, append(args, p.scheme+"://"+p.target)...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+p.dir, "HOME="+p.dir)
	return cmd
}

// config writes a contender's configuration.
func (p place) config(name, format string, args ...any) (string, error) {
	path := filepath.Join(p.dir, name)
	return path, os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600)
}
