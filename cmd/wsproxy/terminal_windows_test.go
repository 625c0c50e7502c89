package main

import "github.com/rogpeppe/go-internal/testscript"

// terminal has nothing to run here: the scripts that use it ask for unix.
func terminal(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("there is no terminal here") }

func shell(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("there is no terminal here") }

func gatekeeper(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("there is no pty") }
