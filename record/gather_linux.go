package record

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// partsOf is a file's writer of parts: regular ones take many at once.
func partsOf(f *os.File) partsWriter {
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		return gathered{f}
	}
	return oneByOne{f}
}

// gathered writes parts with writev(2), at the file's own offset.
type gathered struct{ *os.File }

func (g gathered) writeParts(parts [][]byte) (int, error) {
	return gather(g.File, parts, unix.Writev)
}

// writePartsAt writes parts at an offset.
func writePartsAt(f *os.File, parts [][]byte, off int64) (int, error) {
	done := int64(0)
	return gather(f, parts, func(fd int, iovs [][]byte) (int, error) {
		n, err := unix.Pwritev(fd, iovs, off+done)
		done += int64(max(n, 0))
		return n, err
	})
}

// gather calls write until all is written: a system may take less than it is given.
func gather(f *os.File, parts [][]byte, write func(fd int, parts [][]byte) (int, error)) (n int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	rest := append([][]byte(nil), parts...)
	control := raw.Control(func(fd uintptr) {
		for len(rest) > 0 {
			k, e := write(int(fd), rest)
			if errors.Is(e, unix.EINTR) {
				continue
			}
			if e != nil {
				err = &os.PathError{Op: "write", Path: f.Name(), Err: e}
				return
			}
			n += k
			for k > 0 || len(rest) > 0 && len(rest[0]) == 0 {
				m := min(k, len(rest[0]))
				rest[0], k = rest[0][m:], k-m
				if len(rest[0]) == 0 {
					rest = rest[1:]
				}
			}
		}
	})
	return n, errors.Join(err, control)
}
