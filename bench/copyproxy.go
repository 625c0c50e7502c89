package main

import (
	"io"
	"net"
	"sync"
)

// copyProxy is the least a proxy in Go can do: it copies bytes both ways with
// io.Copy, in pieces of 32 KiB. (The wrappers keep io.Copy from handing the work to
// the kernel's splice: what is to be compared with has to see the bytes.)
func copyProxy(l net.Listener, target string) error {
	return acceptEach(l, func(c net.Conn) {
		s, err := dialLoopback(target)
		if err != nil {
			return
		}
		defer s.Close()
		var up sync.WaitGroup
		up.Go(func() { copyHalf(s, c) })
		copyHalf(c, s)
		up.Wait()
	})
}

// copyHalf copies one direction and its end.
func copyHalf(to, from net.Conn) {
	_, err := io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
	if err != nil {
		_ = from.Close() // the other direction ends too
	}
	_ = to.(*net.TCPConn).CloseWrite() // a closed socket has ended already
}
