//go:build unix && !linux

package main

import "syscall"

// dieTogether does nothing: only Linux knows of it.
func dieTogether(*syscall.SysProcAttr) {}
