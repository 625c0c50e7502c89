//go:build unix

package main

import (
	"os"
	"syscall"
)

// passedSignals are passed on to a command, beside those that end wsproxy too.
func passedSignals() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}
}

// exitCode is a command's, or what a shell makes of the signal that ended it.
func exitCode(st *os.ProcessState) int {
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitSignalled + int(ws.Signal())
	}
	return st.ExitCode()
}
