//go:build !linux

package proxy

import (
	"errors"
	"net"
	"syscall"
)

// resetSeen cannot be told here: a FIN that an RST follows counts as a FIN.
func resetSeen(*net.TCPConn) bool { return false }

// unsent is not known here: a reset may cut off what a slow reader has not read.
func unsent(*net.TCPConn) int { return 0 }

// temporary says that accepting may work again later.
func temporary(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}
