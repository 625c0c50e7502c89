package main

import (
	"context"
	"os"
	"os/exec"
)

// untilHangup is ctx: a console that is closed ends all its programs.
func untilHangup(ctx context.Context) (_ context.Context, stop func()) { return ctx, func() {} }

func ignoreHangup() {}

// passedSignals are none: a console's signals reach a command by themselves.
func passedSignals() []os.Signal { return []os.Signal{} }

// exitCode is a command's.
func exitCode(st *os.ProcessState) int { return st.ExitCode() }

// ownGroup leaves a command as it is: windows take no keys from a console.
func ownGroup(*exec.Cmd) {}

// endGroup ends nothing: what a command has started ends with it, or is none of ours.
func endGroup(int) {}
