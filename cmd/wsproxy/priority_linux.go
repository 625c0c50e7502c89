package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// How a screen stands back. It gets what is left of the processors, and gives way to
// the relay as soon as that has something to do and not when its own time is
// up, which without a short slice may be 4 ms later: as long as fifty round trips.
const (
	lowPriority = 15      // nice
	lowSlice    = 100_000 // ns, the shortest there is; older kernels pass over it
)

// lowerPriority has all of this process stand back. On Linux each thread has a
// priority of its own, which those that it starts inherit; one that was started
// meanwhile by a thread that had not been seen to is found by looking again.
func lowerPriority() {
	seen := map[string]bool{}
	for again := true; again; {
		again = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return // a screen that does not stand back works too
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if seen[t.Name()] || err != nil {
				continue
			}
			seen[t.Name()], again = true, true
			a := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH, Nice: lowPriority, Runtime: lowSlice}
			if unix.SchedSetAttr(id, &a, 0) != nil {
				_ = unix.Setpriority(unix.PRIO_PROCESS, id, lowPriority) // as above
			}
		}
	}
}
