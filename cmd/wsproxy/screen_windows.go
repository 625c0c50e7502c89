package main

import (
	"errors"
	"os"
)

// canInherit says that a process can be started with more open files than the
// standard ones.
const canInherit = false

func inheritedLink() (*link, error) { return nil, errors.ErrUnsupported }

func notifyStop(chan<- os.Signal) {}

func stoppable() bool { return false }

func stopSelf() {}

func lowerPriority() {}
