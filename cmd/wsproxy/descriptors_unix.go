//go:build unix

package main

import "golang.org/x/sys/unix"

// spareFiles are the descriptors that are no connection's: the recording, the
// screen's index, listeners, and clients who are told that there are none left.
const spareFiles = 64

// maxConns is how many connections, of two sockets each, the limit of open files
// leaves room for; 0 if there is none.
func maxConns() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 0
	}
	return max(1, (int(limit.Cur)-spareFiles)/2)
}
