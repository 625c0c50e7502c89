//go:build unix

package main

import (
	"context"
	"os/exec"
	"syscall"
)

// shellCommand is a command of the shell in a session of its own: it has no terminal
// to write to, and is killed with all that it starts.
func shellCommand(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}
