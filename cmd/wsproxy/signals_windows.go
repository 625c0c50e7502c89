package main

import "os"

// passedSignals are none: a console's signals reach a command by themselves.
func passedSignals() []os.Signal { return []os.Signal{} }

// exitCode is a command's.
func exitCode(st *os.ProcessState) int { return st.ExitCode() }
