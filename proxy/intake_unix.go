//go:build unix

package proxy

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func rawConn(c syscall.Conn) syscall.RawConn {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil // it is closed, which reading will tell
	}
	return raw
}

// readFD reads once; false says that there is nothing to read yet.
func (in *intake) readFD(fd uintptr) bool {
	in.hold()
	for {
		n, err := unix.Read(int(fd), in.buf[in.room:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			in.release()
			return false
		case err != nil:
			in.err = os.NewSyscallError("read", err)
		case n == 0:
			in.err = io.EOF
		default:
			in.n = n
		}
		return true
	}
}
