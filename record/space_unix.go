//go:build linux || darwin || freebsd

package record

import (
	"math"

	"golang.org/x/sys/unix"
)

// space is how many bytes a folder's file system has room for.
func space(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return math.MaxInt64 // a write will tell
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
