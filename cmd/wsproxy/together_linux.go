package main

import "syscall"

// dieTogether has a command be told to end when wsproxy is gone, even if it was killed:
// more exactly, when the thread that started the command is.
func dieTogether(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }
