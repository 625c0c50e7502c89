package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/proxy"
)

// door is one way in: listeners, and what stands behind them.
type door struct {
	flags   rootFlags
	target  *url.URL // nil: a forward proxy, or several targets
	targets []branch // in place of one

	// Set when it is opened.
	raw       bool // the clients speak no WebSocket
	tls       bool
	listeners []net.Listener
	server    *proxy.Server
}

// branch is one of several targets behind a door.
type branch struct {
	host, sni, path string
	strip           bool
	flags           rootFlags
	target          *url.URL
}

// config is what the door's server is told, but for what concerns the whole run.
func (d *door) config() (c proxy.Config, err error) {
	f := &d.flags
	if d.raw, err = d.fromTCP(); err != nil {
		return c, err
	}
	if d.tls, err = f.secure.door(f.listen); err != nil {
		return c, err
	}
	forward := f.forward != nil
	switch {
	case d.tls && forward:
		return c, usagef("", "a forward proxy's own port is plain; TLS is what it looks into")
	case d.tls && d.raw:
		return c, usagef("", "TLS is for listeners of WebSocket clients, not for those of tcp://")
	case d.raw && f.access.auth != "":
		return c, usagef("--allow 192.168.1.0/24", "a listener of tcp:// or unix: cannot ask for a password (--auth)")
	}
	c.Forward, c.FromTCP, c.AllowHost = f.forward, d.raw, f.allowHost
	if c.Access, err = f.access.access(); err != nil {
		return c, err
	}
	if err = f.reach(&c, d.target); err != nil {
		return c, err
	}
	for i := range d.targets {
		r, err := d.targets[i].route()
		if err != nil {
			return c, err
		}
		c.Routes = append(c.Routes, r)
	}
	return c, nil
}

// reach says how a target is reached.
func (f *rootFlags) reach(c *proxy.Config, target *url.URL) (err error) {
	if c.Header, err = f.headers(); err != nil {
		return err
	}
	if c.Upstream, err = upstreamOf(f.upstream, os.Getenv); err != nil {
		return err
	}
	if c.HTTP, err = f.version(); err != nil {
		return err
	}
	c.Target, c.Unix = reached(target)
	c.ConnectTo, c.KeepHost, c.KeepOrigin, c.Insecure = f.connectTo, f.keepHost, f.keepOrig, f.insecure
	c.ClientCert, err = f.secure.client()
	return err
}

// route is the branch for the proxy.
func (b *branch) route() (proxy.Route, error) {
	r := proxy.Route{Host: proxy.Pattern(b.host), SNI: proxy.Pattern(b.sni), Path: b.path, Strip: b.strip}
	r.Target.AllowHost = b.flags.allowHost
	return r, b.flags.reach(&r.Target, b.target)
}

// named is a certificate for names.
type named struct {
	name proxy.Pattern
	pair *tls.Certificate
}

// pairs reads the certificates of targets that have one of their own, and the door's.
func (d *door) pairs() (theirs []named, err error) {
	for _, b := range d.targets {
		if s := &b.flags.secure; s.cert != "" && (s.cert != d.flags.secure.cert || s.key != d.flags.secure.key) {
			pair, err := readPair("--cert", s.cert, s.key)
			if err != nil {
				return nil, err
			}
			name := b.sni
			if name == "" {
				name = b.host
			}
			theirs = append(theirs, named{proxy.Pattern(name), pair})
		}
	}
	if s := &d.flags.secure; s.cert != "" {
		_, err = readPair("--cert", s.cert, s.key)
	}
	return theirs, err
}

// certificates answers the listeners' certificates: that of the target which is for
// the name, or the door's.
func (d *door) certificates() (func(string) (*tls.Certificate, error), error) {
	theirs, err := d.pairs()
	if err != nil {
		return nil, err
	}
	own, err := d.flags.secure.certificate()
	if err != nil || len(theirs) == 0 {
		return own, err
	}
	return func(host string) (*tls.Certificate, error) {
		for _, t := range theirs {
			if t.name.Matches(host, "") {
				return t.pair, nil
			}
		}
		return own(host)
	}, nil
}

// fromTCP says that what connects speaks no WebSocket, but the target does.
func (d *door) fromTCP() (bool, error) {
	if raw, err := fromTCP(d.flags.listen, d.target); err == nil || len(d.targets) == 0 {
		return raw, err
	}
	return false, usagef("wsproxy --listen tcp://127.0.0.1:5900 wss://host/path", "a listener of tcp:// or unix: stands in front of one target")
}

// open opens the listeners of all doors.
func (p *proxying) open() error {
	for _, d := range p.doors {
		all, err := listenOn(d.flags.listen)
		p.listeners = append(p.listeners, all...)
		d.listeners = all
		if err == nil && len(d.flags.socks) > 0 {
			all, err = listenOn(d.flags.socks)
			p.listeners, d.listeners = append(p.listeners, all...), append(d.listeners, all...)
		}
		for _, l := range d.listeners {
			if err == nil {
				err = d.flags.exposure(l.Addr())
			}
		}
		if err != nil {
			closeAll(p.listeners)
			return err
		}
	}
	return nil
}

// build makes a server for each door. What concerns the whole run stands in whole.
func (p *proxying) build(configs []proxy.Config, whole proxy.Config) (err error) {
	for i, c := range configs {
		c.BothLegs, c.Grace, c.MaxConns, c.Logf, c.KeyLog, c.Tap, c.Gate = whole.BothLegs, whole.Grace, whole.MaxConns, whole.Logf, whole.KeyLog, whole.Tap, whole.Gate
		d := p.doors[i]
		if i == 0 {
			d.server, err = proxy.New(c)
		} else {
			d.server, err = p.server.Beside(c)
		}
		if err != nil {
			return err
		}
		p.server = p.doors[0].server
	}
	return nil
}

// takesSOCKS says that a listener is one of --socks.
func (d *door) takesSOCKS(l net.Listener) bool {
	return slices.Index(d.listeners, l) >= len(d.listeners)-len(d.flags.socks)
}

// s is what TLS adds to a scheme.
func (d *door) s() string {
	if d.tls {
		return "s"
	}
	return ""
}

// at is what to connect to.
func (d *door) at(l net.Listener) string {
	return d.url(l.Addr().Network(), l.Addr().String(), d.takesSOCKS(l))
}

// url is what to connect to where a listener is at an address.
func (d *door) url(network, addr string, socks bool) string {
	switch {
	case network == "unix" && d.raw:
		return "unix:" + addr
	case network == "unix":
		return "ws+unix:" + addr
	case d.raw:
		return "tcp://" + addr
	case d.target != nil && (d.target.Scheme == "tcp" || d.target.Scheme == "unix"):
		return "ws" + d.s() + "://" + addr
	case socks:
		return "socks5h://" + addr
	}
	return "http" + d.s() + "://" + addr
}

// goal says where the traffic goes.
func (d *door) goal() string {
	switch {
	case len(d.targets) > 0:
		return fmt.Sprintf("%d targets", len(d.targets))
	case d.target == nil:
		return "wherever clients ask (forward proxy)"
	}
	return shown(d.target)
}

// announce says where to connect, and what is behind.
func (d *door) announce(w io.Writer) {
	for _, l := range d.listeners {
		fmt.Fprintf(w, "listening on %s -> %s\n", d.at(l), d.goal())
		if !loopback(l.Addr()) {
			fmt.Fprintf(w, "wsproxy: warning: other machines can reach %s\n", l.Addr())
		}
	}
	d.list(w)
}

// list prints the targets, if there are several.
func (d *door) list(w io.Writer) {
	for i := range d.targets {
		fmt.Fprintf(w, "  %s -> %s\n", d.targets[i].matches(), shown(d.targets[i].target))
	}
}

// matches says which requests are for a target.
func (b *branch) matches() string {
	r := proxy.Route{Host: proxy.Pattern(b.host), SNI: proxy.Pattern(b.sni), Path: b.path}
	return r.String()
}

// open says what to do with a door.
func (d *door) open() string {
	at := reachable(d.listeners[0].Addr())
	switch {
	case d.flags.forward != nil:
		return "set HTTP_PROXY and HTTPS_PROXY to http://" + at
	case len(d.targets) > 0:
		return "open http" + d.s() + "://" + at + "/ → " + d.goal()
	case d.target.Scheme == "http" || d.target.Scheme == "https":
		return "open http" + d.s() + "://" + at + "/ → " + d.target.String()
	}
	return ""
}

// insecure says that the certificate of some target is not verified.
func (p *proxying) insecure() bool {
	for _, d := range p.doors {
		if d.flags.insecure || slices.ContainsFunc(d.targets, func(b branch) bool { return b.flags.insecure }) {
			return true
		}
	}
	return false
}

// parseBranch reads [HOST][/PATH]=TARGET; false: it is none.
func parseBranch(f rootFlags, arg string) (branch, bool, error) {
	match, target, ok := strings.Cut(arg, "=")
	if !ok || strings.ContainsAny(match, ":?") {
		return branch{}, false, nil
	}
	u, err := parseTarget(target)
	if err != nil {
		return branch{}, true, err
	}
	b := branch{flags: f, target: u, host: match}
	if i := strings.IndexByte(match, '/'); i >= 0 {
		b.host, b.path = match[:i], match[i:]
	}
	return b, true, nil
}

// runReverse is `wsproxy TARGET` and `wsproxy PATH=TARGET…`: one target, or several
// of which one may be for all that the others are not for.
func runReverse(cmd *cobra.Command, f rootFlags, args []string) error {
	d := &door{flags: f}
	for _, arg := range args {
		b, ok, err := parseBranch(f, arg)
		if err != nil {
			return err
		}
		if ok {
			d.targets = append(d.targets, b)
			continue
		}
		if d.target != nil {
			return usagef("wsproxy /api=http://localhost:4000 ws://localhost:3000 says which requests are for which",
				"two targets are for everything: %s and %s", shown(d.target), arg)
		}
		if d.target, err = parseTarget(arg); err != nil {
			return err
		}
	}
	if len(d.targets) > 0 && d.target != nil {
		d.targets = append(d.targets, branch{flags: f, target: d.target})
		d.target = nil
	}
	p, err := startDoors(cmd, f, []*door{d})
	if err != nil {
		return err
	}
	return p.watchUntilEnd(cmd.Context())
}
