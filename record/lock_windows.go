package record

import (
	"errors"
	"os"

	sys "golang.org/x/sys/windows" // the package has a windows of its own
)

// Locks are mandatory on Windows, so the byte that is locked lies where no
// recording reaches.
func region() *sys.Overlapped { return &sys.Overlapped{OffsetHigh: 0x40000000} }

func lock(f *os.File) (ok bool, err error) {
	return lockFile(f, sys.LOCKFILE_EXCLUSIVE_LOCK|sys.LOCKFILE_FAIL_IMMEDIATELY)
}

func tryShared(f *os.File) (ok bool, err error) {
	return lockFile(f, sys.LOCKFILE_FAIL_IMMEDIATELY)
}

func lockFile(f *os.File, flags uint32) (bool, error) {
	err := sys.LockFileEx(sys.Handle(f.Fd()), flags, 0, 1, 0, region())
	if errors.Is(err, sys.ERROR_LOCK_VIOLATION) || errors.Is(err, sys.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}
