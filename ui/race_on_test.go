//go:build race

package ui

// racing says that the race detector runs, which makes everything ten times as slow: tests
// that go through a lot go through less of it.
const racing = true
