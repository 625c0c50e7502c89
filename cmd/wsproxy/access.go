package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/proxy"
)

// accessFlags say which clients may come.
type accessFlags struct {
	allow []string
	auth  string
}

func (f *accessFlags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringArrayVar(&f.allow, "allow", nil, "let clients of this `address` or network come too, repeatable (192.168.1.0/24)")
	s.StringVar(&f.auth, "auth", "", "ask each client for this `user:password`, in Proxy-Authorization or SOCKS5, in front of one server in Authorization")
}

// access reads the flags.
func (f *accessFlags) access() (proxy.Access, error) {
	to := proxy.Access{Auth: f.auth}
	if f.auth != "" {
		if user, password, ok := strings.Cut(f.auth, ":"); !ok || user == "" || password == "" {
			return to, usagef("--auth user:password", "--auth takes user:password")
		}
	}
	for _, a := range f.allow {
		p, err := parsePrefix(a)
		if err != nil {
			return to, usagef("--allow 192.168.1.0/24", "--allow %q is neither an address nor a network", a)
		}
		to.Allow = append(to.Allow, p)
	}
	return to, nil
}

// parsePrefix reads an address or a network.
func parsePrefix(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// exposure says what is wrong with a listener there: one that other machines can
// reach is a hole in the network, so it wants to be told whom to let in.
func (f *rootFlags) exposure(a net.Addr) error {
	switch {
	case loopback(a):
		return nil
	case f.private:
		return usagef("--listen 127.0.0.1:0", "this is for this machine alone, and %s is for others too", a)
	case len(f.access.allow) > 0 || f.access.auth != "":
		return nil
	}
	return usagef("--allow 192.168.1.0/24 lets a network in, --auth user:password whoever knows it",
		"other machines could use the proxy at %s, and so reach what only this machine should", a)
}

// exposed says how other machines can reach the proxy; "" if they cannot.
func (p *proxying) exposed() string {
	var all []string
	for _, l := range p.listeners {
		if !loopback(l.Addr()) {
			all = append(all, l.Addr().String())
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "open to others: " + strings.Join(all, ", ")
}

// deniedText says how many clients were not let in.
func deniedText(n int) string {
	if n == 1 {
		return "1 client was not let in (--allow)"
	}
	return fmt.Sprintf("%d clients were not let in (--allow)", n)
}
