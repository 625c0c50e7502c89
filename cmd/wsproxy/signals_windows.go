package main

import (
	"os"
	"os/exec"
)

// passedSignals are none: a console's signals reach a command by themselves.
func passedSignals() []os.Signal { return []os.Signal{} }

// exitCode is a command's.
func exitCode(st *os.ProcessState) int { return st.ExitCode() }

// ownGroup leaves a command as it is: windows take no keys from a console.
func ownGroup(*exec.Cmd) {}

// endGroup ends nothing: what a command has started ends with it, or is none of ours.
func endGroup(int) {}
