//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// canInherit says that a process can be started with more open files than the
// standard ones.
const canInherit = true

// inheritedLink is the link to the wsproxy that started this process: descriptors
// 3 and 4.
func inheritedLink() (*link, error) {
	var ends [2]*os.File
	for i := range ends {
		fd := 3 + i
		var st syscall.Stat_t
		if err := syscall.Fstat(fd, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
			return nil, errors.New("no pipe was inherited")
		}
		syscall.CloseOnExec(fd)
		if err := syscall.SetNonblock(fd, true); err != nil { // so that closing it ends a read
			return nil, err
		}
		ends[i] = os.NewFile(uintptr(fd), "wsproxy")
	}
	return newLink(ends[0], ends[1]), nil
}

// notifyStop has c get what a terminal sends to stop a program for a while.
func notifyStop(c chan<- os.Signal) { signal.Notify(c, syscall.SIGTSTP) }

// stoppable says that somebody is there to continue this process once it is
// stopped: a shell with job control has given it a process group of its own.
func stoppable() bool {
	parent := os.Getppid()
	group, err := syscall.Getpgid(parent)
	session, err2 := unix.Getsid(parent)
	own, err3 := unix.Getsid(0)
	return errors.Join(err, err2, err3) == nil && session == own && group != syscall.Getpgrp()
}

// stopSelf stops this process and returns when it is continued. SIGTSTP does not
// do: a Go program that has been notified of it never stops by it again.
func stopSelf() {
	goes := make(chan os.Signal, 1)
	signal.Notify(goes, syscall.SIGCONT)
	defer signal.Stop(goes)
	if syscall.Kill(os.Getpid(), syscall.SIGSTOP) == nil {
		<-goes
	}
}
