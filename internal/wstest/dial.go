package wstest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Dialer connects to loopback addresses and refuses every other, names
// included: a name would have to be looked up.
type Dialer struct{ net.Dialer }

// DialContext connects to host:port; the host is a loopback address or
// "localhost". It fits http.Transport and websocket.Dialer.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host == "localhost" {
		addr = net.JoinHostPort("127.0.0.1", port)
	} else if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s is not on loopback", addr)
	}
	return d.Dialer.DialContext(ctx, network, addr)
}

// dialTCP connects to a loopback address.
func dialTCP(ctx context.Context, addr string) (*net.TCPConn, error) {
	c, err := new(Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}
