package main

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/wsproxy/wsproxy/proxy"
	"golang.org/x/net/http/httpproxy"
)

// upstreamOf is the proxy in front of servers: the one asked for, except for what
// NO_PROXY names; or what the environment says, where loopback is never meant.
func upstreamOf(asked string, getenv func(string) string) (proxy.Upstream, error) {
	env := func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return getenv(strings.ToLower(name))
	}
	none := env("NO_PROXY")
	switch {
	case asked == "direct":
		return nil, nil
	case asked == "":
		c := httpproxy.Config{HTTPProxy: env("HTTP_PROXY"), HTTPSProxy: env("HTTPS_PROXY"), NoProxy: none}
		if all := env("ALL_PROXY"); all != "" {
			c.HTTPProxy, c.HTTPSProxy = either(c.HTTPProxy, all), either(c.HTTPSProxy, all)
		}
		if c.HTTPProxy == "" && c.HTTPSProxy == "" {
			return nil, nil
		}
		return c.ProxyFunc(), nil
	}
	via, err := parseUpstream(asked)
	if err != nil {
		return nil, err
	}
	only := (&httpproxy.Config{HTTPProxy: asked, HTTPSProxy: asked, NoProxy: none}).ProxyFunc()
	return func(server *url.URL) (*url.URL, error) {
		if ours(server.Hostname()) { // which httpproxy never sends to a proxy
			if exempt(none, server) {
				return nil, nil
			}
			return via, nil
		}
		u, err := only(server)
		if u == nil || err != nil {
			return nil, err
		}
		return via, nil
	}, nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func parseUpstream(s string) (*url.URL, error) {
	const hint = "--upstream-proxy http://proxy.example:3128"
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return nil, usagef(hint, "--upstream-proxy takes the URL of a proxy, or direct") // it may hold a password
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, usagef(hint, "--upstream-proxy takes http, https or socks5, not %q", u.Scheme)
}

// ours says that a host is this machine.
func ours(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// exempt says that NO_PROXY names a host of this machine.
func exempt(none string, server *url.URL) bool {
	for name := range strings.SplitSeq(none, ",") {
		name = strings.TrimSpace(name)
		if host, port, err := net.SplitHostPort(name); err == nil && port == server.Port() {
			name = host
		}
		if p, err := netip.ParsePrefix(name); err == nil {
			ip, err := netip.ParseAddr(server.Hostname())
			if err == nil && p.Contains(ip) {
				return true
			}
		}
		if name == "*" || strings.EqualFold(strings.Trim(name, "[]."), server.Hostname()) {
			return true
		}
	}
	return false
}
