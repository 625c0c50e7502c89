package proxy

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpClose is the state of a connection that is gone, TCP_CLOSE in <linux/tcp.h>:
// after a FIN it would be CLOSE_WAIT.
const tcpClose = 7

// resetSeen says that an RST came after the FIN that a read has met.
func resetSeen(c *net.TCPConn) bool {
	reset := false
	onSocket(c, func(fd int) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		reset = err == nil && info.State == tcpClose
	})
	return reset
}

// unsent is how many bytes the peer has not acknowledged yet.
func unsent(c *net.TCPConn) int {
	n := 0
	onSocket(c, func(fd int) {
		var err error
		if n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ); err != nil {
			n = 0
		}
	})
	return n
}

func onSocket(c *net.TCPConn, f func(fd int)) {
	raw, err := c.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // fails on a closed socket only
	}
}

// temporary says that accepting may work again later.
func temporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
