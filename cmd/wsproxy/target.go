package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// parseTarget reads the URL of the server to stand in front of.
func parseTarget(s string) (*url.URL, error) {
	if st, err := os.Stat(s); err == nil && !st.IsDir() {
		return nil, usagef("wsproxy show "+s, "%s is a file, not the URL of a server", s)
	}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return unixTarget("unix", s, path)
	}
	if path, ok := strings.CutPrefix(s, "ws+unix:"); ok {
		return unixTarget("ws+unix", s, path)
	}
	if !strings.Contains(s, "://") {
		if host, port, err := net.SplitHostPort(strings.SplitN(s, "/", 2)[0]); err == nil && port != "" {
			if host == "" {
				host = "localhost"
			}
			return nil, usagef("wsproxy ws://"+strings.Replace(s, strings.SplitN(s, "/", 2)[0], net.JoinHostPort(host, port), 1),
				"%q has no scheme", s)
		}
		return nil, usagef("wsproxy --help lists the commands; a target looks like ws://localhost:3000",
			"%q is neither a command nor the URL of a server", s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, usagef("a target looks like ws://localhost:3000", "the target is no URL: %v", err)
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	case "tcp":
		if u.Port() == "" || u.Path != "" && u.Path != "/" {
			return nil, usagef("wsproxy tcp://localhost:5900", "a target of tcp:// is a host and a port")
		}
	default:
		return nil, usagef("", "a target's scheme is ws, wss, http, https, tcp, unix or ws+unix, not %q", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, usagef("a target looks like ws://localhost:3000", "the target %q names no host", s)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, usagef("the client's own query is passed on", "a target takes a path, but no query and no fragment")
	}
	if u.User != nil {
		return nil, usagef("--header 'Authorization: Basic …' sends credentials", "a target takes no user and password")
	}
	return u, nil
}

// unixTarget reads unix:/run/x.sock, or ws+unix:/run/x.sock:/path of a request there.
func unixTarget(scheme, whole, rest string) (*url.URL, error) {
	rest = strings.TrimPrefix(rest, "//")
	path, request, ok := strings.Cut(rest, ":")
	if !strings.HasPrefix(path, "/") || ok && (scheme == "unix" || !strings.HasPrefix(request, "/")) {
		return nil, usagef("unix:/run/app.sock, or ws+unix:/run/app.sock:/chat with the path of the request", "%q names no socket by its whole path", whole)
	}
	return &url.URL{Scheme: scheme, Path: path, RawFragment: request, Fragment: request}, nil
}

// reached is how a target is reached: as a URL for the proxy, and the path of the
// socket, if it is behind one.
func reached(u *url.URL) (target *url.URL, socket string) {
	switch {
	case u == nil || u.Scheme != "unix" && u.Scheme != "ws+unix":
		return u, ""
	case u.Scheme == "unix":
		return &url.URL{Scheme: "unix", Path: u.Path}, u.Path
	}
	return &url.URL{Scheme: "ws", Host: "localhost", Path: u.Fragment}, u.Path
}

// shown is a target as it was written.
func shown(u *url.URL) string {
	switch {
	case u.Scheme != "unix" && u.Scheme != "ws+unix":
		return u.String()
	case u.Fragment != "":
		return u.Scheme + ":" + u.Path + ":" + u.Fragment
	}
	return u.Scheme + ":" + u.Path
}

// listenOn opens the listeners. With none asked for it takes port 8080, or the
// next free one, on both loopback addresses.
func listenOn(addrs []string) ([]net.Listener, error) {
	if len(addrs) == 0 {
		return listenDefault()
	}
	var all []net.Listener
	for _, a := range addrs {
		l, err := listenAt(a)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// fromTCP says that what connects speaks no WebSocket, but the target does.
func fromTCP(listen []string, target *url.URL) (bool, error) {
	raw := 0
	for _, a := range listen {
		if strings.HasPrefix(a, "tcp://") || strings.HasPrefix(a, "unix:") {
			raw++
		}
	}
	switch {
	case raw == 0:
		return false, nil
	case raw < len(listen):
		return false, usagef("start a wsproxy for each", "listeners of tcp:// or unix: and others do not go together")
	case target == nil:
		return false, usagef("wsproxy --listen tcp://127.0.0.1:5900 wss://host/path", "a listener of tcp:// or unix: stands in front of one target")
	case target.Scheme != "ws" && target.Scheme != "wss" && target.Scheme != "ws+unix":
		return false, usagef("wsproxy --listen tcp://127.0.0.1:5900 wss://host/path", "behind a listener of tcp:// or unix: stands a target of ws, wss or ws+unix, not %s", target.Scheme)
	}
	return true, nil
}

func listenAt(addr string) (net.Listener, error) {
	network, at, err := parseListen(addr)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		return listenUnix(addr, at)
	}
	network = "tcp"
	if ap, err := netip.ParseAddrPort(at); err == nil && ap.Addr().Is4() {
		network = "tcp4" // else 0.0.0.0 would be [::], IPv6 too
	}
	l, err := net.Listen(network, at)
	if err != nil {
		return nil, failf("another program has it; --listen 127.0.0.1:0 takes a free port", "cannot listen on %s: %v", addr, cause(err))
	}
	return l, nil
}

// parseListen reads what to listen on: tcp and host:port, or unix and a path.
func parseListen(addr string) (network, at string, err error) {
	for _, scheme := range []string{"unix:", "ws+unix:"} {
		if path, ok := strings.CutPrefix(addr, scheme); ok {
			if path = strings.TrimPrefix(path, "//"); !strings.HasPrefix(path, "/") {
				return "", "", usagef("--listen unix:/run/user/1000/app.sock", "cannot listen on %q: a socket has a whole path", addr)
			}
			return "unix", path, nil
		}
	}
	bare := addr
	if scheme, rest, ok := strings.Cut(addr, "://"); ok {
		if !slices.Contains([]string{"http", "https", "ws", "wss", "tcp"}, scheme) {
			return "", "", usagef("--listen 127.0.0.1:8080", "cannot listen for %s://; a listener is [http://]host:port, https://host:port or tcp://host:port", scheme)
		}
		bare = strings.TrimSuffix(rest, "/")
	}
	host, port, err := net.SplitHostPort(bare)
	if err != nil {
		return "", "", usagef("--listen 127.0.0.1:8080", "cannot listen on %q: %v", addr, err)
	}
	if host == "" {
		host = "127.0.0.1" // never every interface unless it is named
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// listenUnix listens on a Unix socket that only this user may open. A file that a
// program left which is gone makes room.
func listenUnix(addr, path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil && portBusy(err) {
		if c, dialErr := net.Dial("unix", path); dialErr == nil {
			_ = c.Close() // somebody is there
		} else if st, statErr := os.Stat(path); statErr == nil && st.Mode()&os.ModeSocket != 0 && os.Remove(path) == nil {
			l, err = net.Listen("unix", path)
		}
	}
	if err == nil {
		if err = os.Chmod(path, 0o600); err == nil {
			return l, nil
		}
		_ = l.Close() // it removes the file
	}
	return nil, failf("another program has it, or the folder is not yours", "cannot listen on %s: %v", addr, cause(err))
}

func listenDefault() ([]net.Listener, error) {
	for port := 8080; port < 8180; port++ {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		six, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
		if err == nil {
			return []net.Listener{l, six}, nil
		}
		if !portBusy(err) {
			return []net.Listener{l}, nil // a machine without IPv6
		}
		closeAll([]net.Listener{l})
	}
	return nil, failf("--listen 127.0.0.1:0 takes a free port", "no port from 8080 to 8179 is free on 127.0.0.1")
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		_ = l.Close() // nothing was accepted yet
	}
}

// loopback says that only this machine can reach a listener.
func loopback(a net.Addr) bool {
	if a.Network() == "unix" {
		return true
	}
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
