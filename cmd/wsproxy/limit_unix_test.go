//go:build unix

package main

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// limited is the program on a disk that is full once a file has grown to
// WSPROXY_TEST_FILE_LIMIT bytes.
func limited() {
	if n, err := strconv.ParseUint(os.Getenv("WSPROXY_TEST_FILE_LIMIT"), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ) // a full disk sends none
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			panic(err)
		}
	}
	main()
}
