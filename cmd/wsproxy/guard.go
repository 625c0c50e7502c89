package main

import (
	"net"
	"sync"

	"github.com/wsproxy/wsproxy/proxy"
)

// guarded are listeners that take only clients that --allow lets in, beside this
// machine's own. One that other machines can reach without it is refused.
func guarded(all []net.Listener, allow []string, say func(format string, args ...any)) ([]net.Listener, error) {
	f := accessFlags{allow: allow}
	to, err := f.access()
	for _, l := range all {
		if err == nil && !loopback(l.Addr()) && len(allow) == 0 {
			err = usagef("--allow 192.168.1.0/24 lets a network in", "other machines could reach the recording at %s", l.Addr())
		}
	}
	if err != nil {
		closeAll(all)
		return nil, err
	}
	told := make(map[string]bool)
	var mu sync.Mutex
	for i, l := range all {
		all[i] = &guard{Listener: l, access: to, denied: func(at net.Addr) {
			host, _, _ := net.SplitHostPort(at.String())
			mu.Lock()
			defer mu.Unlock()
			if !told[host] && len(told) < 1000 {
				told[host] = true
				say("wsproxy: a client at %s is not let in; --allow %[1]s would", host)
			}
		}}
	}
	return all, nil
}

// guard is a listener that closes connections of clients that may not come.
type guard struct {
	net.Listener
	access proxy.Access
	denied func(net.Addr)
}

func (g *guard) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil || g.access.Admits(nc.RemoteAddr()) {
			return nc, err
		}
		_ = nc.Close() // nothing was said
		g.denied(nc.RemoteAddr())
	}
}
