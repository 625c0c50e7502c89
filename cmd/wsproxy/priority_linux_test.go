package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestLowerPriority is in a process of its own, which can never go back.
func TestLowerPriority(t *testing.T) {
	if os.Getenv("WSPROXY_TEST_LOWER") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLowerPriority$", "-test.v")
		cmd.Env = append(os.Environ(), "WSPROXY_TEST_LOWER=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	stop := make(chan struct{})
	defer close(stop)
	for range 20 { // threads that were there before
		go func() {
			_ = exec.Command("/bin/true").Run()
			<-stop
		}()
	}
	lowerPriority()
	_ = exec.Command("/bin/true").Run() // one that came behind
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, th := range threads {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%s/stat", th.Name()))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if nice := strings.Fields(rest)[16]; nice != strconv.Itoa(lowPriority) {
			t.Errorf("thread %s of %d has a nice value of %s", th.Name(), len(threads), nice)
		}
	}
}
