package main

import (
	"context"
	"os/exec"
	"syscall"
)

// detachedProcess is a process without a console (CreateProcess, DETACHED_PROCESS).
const detachedProcess = 0x00000008

// shellCommand is a command of the shell without a console to write to.
func shellCommand(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd", "/C", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: detachedProcess}
	return cmd
}
