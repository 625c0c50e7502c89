package main

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// cause is the innermost reason of a network or file error, without the
// addresses and operations that the message around it already names.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return err
}

func portBusy(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
