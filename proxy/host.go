package proxy

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// Hosts are names, beside loopback's and a listener's own address, that requests
// may be for; a * stands for anything. A page in a browser may send requests here
// under a name that it made resolve to us, so what is for another is refused.
type Hosts []string

// Foreign answers a host that the request is for and that is not ours; "" if
// there is none. local is the address that the client connected to.
func (a Hosts) Foreign(h *inspect.Head, local net.Addr) string {
	hosts := h.Values("Host")
	if u, err := url.Parse(h.Target); err == nil && u.Host != "" {
		hosts = append(hosts, u.Host) // absolute form (RFC 9112 section 3.2.2)
	}
	for _, host := range hosts {
		if name := hostOnly(host); !a.ours(name, local) {
			return name
		}
	}
	return ""
}

func (a Hosts) ours(host string, local net.Addr) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		own, err := netip.ParseAddrPort(local.String())
		if ip.IsLoopback() || err == nil && own.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("") {
			return true
		}
	}
	return slices.ContainsFunc(a, func(name string) bool { return glob(hostOnly(name), host) })
}

// hostOnly is the host of host or host:port in lower case, without brackets and
// a final dot.
func hostOnly(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	return strings.ToLower(host)
}
