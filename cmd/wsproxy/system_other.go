//go:build !linux

package main

// systemStore is what is changed.
func systemStore() string { return "the system's own, which asks" }
