//go:build unix

package record

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the advisory lock that says "this file is being written". It goes
// with the file's descriptor, so a killed writer leaves none behind.
func lock(f *os.File) (ok bool, err error) { return flock(f, unix.LOCK_EX) }

// tryShared takes and keeps a lock that only a writer is in the way of.
func tryShared(f *os.File) (ok bool, err error) { return flock(f, unix.LOCK_SH) }

func flock(f *os.File, how int) (bool, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, err
		}
	}
}
