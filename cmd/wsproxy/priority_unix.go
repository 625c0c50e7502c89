//go:build unix && !linux

package main

import "golang.org/x/sys/unix"

// lowPriority is the nice value of a screen.
const lowPriority = 15

// lowerPriority has all of this process stand back.
func lowerPriority() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowPriority) // a screen that does not stand back works too
}
