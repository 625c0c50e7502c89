package main

import (
	"context"
	"os"
)

// untilHangup is ctx: a console that is closed ends all its programs.
func untilHangup(ctx context.Context) (_ context.Context, stop func()) { return ctx, func() {} }

func ignoreHangup() {}

// passedSignals are none: a console's signals reach a command by themselves.
func passedSignals() []os.Signal { return []os.Signal{} }

// exitCode is a command's.
func exitCode(st *os.ProcessState) int { return st.ExitCode() }
