package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// elsewhere is a listener whose clients come from two other machines.
type elsewhere struct{ conns chan net.Conn }

func (e elsewhere) Accept() (net.Conn, error) {
	if c, ok := <-e.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (e elsewhere) Close() error   { close(e.conns); return nil }
func (e elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 1} }

type from struct {
	net.Conn
	ip string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.ip), Port: 2} }

// Of the clients only those come that --allow names, and this machine's own; of the
// others one line each is said.
func TestGuarded(t *testing.T) {
	e := elsewhere{make(chan net.Conn, 4)}
	var said []string
	all, err := guarded([]net.Listener{e}, []string{"192.0.2.0/28"}, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	if err != nil {
		t.Fatal(err)
	}
	var theirs []net.Conn
	for _, ip := range []string{"192.0.2.16", "192.0.2.15", "192.0.2.16", "127.0.0.1"} {
		a, b := net.Pipe()
		theirs = append(theirs, a)
		e.conns <- from{b, ip}
	}
	for _, want := range []string{"192.0.2.15:2", "127.0.0.1:2"} {
		c, err := all[0].Accept()
		if err != nil || c.RemoteAddr().String() != want {
			t.Fatalf("%v came, %v; want %s", c, err, want)
		}
	}
	for _, i := range []int{0, 2} {
		_ = theirs[i].SetReadDeadline(time.Now().Add(time.Second))
		if _, err := theirs[i].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("client %d met %v", i, err)
		}
	}
	if got := strings.Join(said, "\n"); got != "wsproxy: a client at 192.0.2.16 is not let in; --allow 192.0.2.16 would" {
		t.Errorf("said\n%s", got)
	}
	_ = all[0].Close()
	if _, err := all[0].Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted behind its end: %v", err)
	}
}
