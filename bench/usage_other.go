//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"runtime"
)

// Elsewhere than on Linux rates and latencies are measured, processes are not.

func usageOf(int) usage             { return usage{} }
func openFiles(int) int             { return 0 }
func raiseOpenFiles()               {}
func dieWithParent(*exec.Cmd)       {}
func spin([]string) error           { return errors.New("spinning at idle priority needs Linux") }
func machine() (cpu, kernel string) { return runtime.GOARCH, runtime.GOOS }
