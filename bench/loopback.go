package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/wsproxy/wsproxy/internal/wstest"
)

// listenLoopback listens on a free port of 127.0.0.1.
func listenLoopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// dialLoopback connects to a loopback address and refuses every other.
func dialLoopback(addr string) (net.Conn, error) {
	d := wstest.Dialer{Dialer: net.Dialer{Timeout: 10 * time.Second}}
	return d.DialContext(context.Background(), "tcp", addr)
}

// checkLoopback refuses an address that another machine could have.
func checkLoopback(addr string) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	if !ap.Addr().IsLoopback() {
		return fmt.Errorf("%s is not on loopback", addr)
	}
	return nil
}

// freePort is an address that was free a moment ago, for programs that do not say
// which port they took.
func freePort() (string, error) {
	l, err := listenLoopback()
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// acceptEach serves each connection in a goroutine of its own, which closes it, until
// the listener is closed. They end with the process, or with their clients.
func acceptEach(l net.Listener, serve func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}
