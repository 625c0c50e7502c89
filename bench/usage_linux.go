package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of /proc/PID/stat's times on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// usageOf reads a process and its children in /proc; what is gone counts nothing.
func usageOf(pid int) usage {
	var u usage
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		// Behind the name, which may hold anything: state is field 3, utime 14, stime 15.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, i := range []int{14 - 3, 15 - 3} {
			if n, err := strconv.ParseInt(fields[i], 10, 64); err == nil {
				u.cpu += time.Duration(n) * tick
			}
		}
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
		u.resident, u.peak = kibOf(status, "VmRSS:"), kibOf(status, "VmHWM:")
	}
	for _, c := range childrenOf(pid) {
		v := usageOf(c)
		u.cpu, u.resident, u.peak = u.cpu+v.cpu, u.resident+v.resident, u.peak+v.peak
	}
	return u
}

// childrenOf are a process's children, each of which belongs to the thread that
// started it. A kernel without these files sees none.
func childrenOf(pid int) []int {
	var all []int
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range threads {
		children, _ := os.ReadFile(t) // a thread that is gone has none
		for _, c := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(c); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

func kibOf(status []byte, name string) int64 {
	_, rest, ok := bytes.Cut(status, []byte(name))
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// openFiles is how many files a process has open.
func openFiles(pid int) int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)) // one that is gone has none
	return len(all)
}

// raiseOpenFiles lifts the soft limit of open files to the hard one, for this
// process and those it starts.
func raiseOpenFiles() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		l.Cur = l.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) // a crowd too large then says what it lacks
	}
}

// dieWithParent has a child end when this program does.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// spin keeps one core from halting, at the lowest of all priorities: any other work
// goes first. It ends with its parent, or after a minute.
func spin(args []string) error {
	if len(args) != 1 {
		return errors.New("spin takes a core")
	}
	core, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		for i := 0; i < 1e6; i++ {
			runtime.KeepAlive(i)
		}
	}
	return nil
}

// machine is what the numbers depend on.
func machine() (cpu, kernel string) {
	info, _ := os.ReadFile("/proc/cpuinfo") // without it the name is missing
	if _, rest, ok := strings.Cut(string(info), "model name"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		cpu = strings.TrimLeft(line, "\t :")
	}
	version, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return cpu, "Linux " + strings.TrimSpace(string(version))
}
