//go:build unix

package record

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// A pipe that nobody reads holds the traffic, as a disk that has stalled does; who
// must end is not held.
func TestStalledDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Create(Options{Path: path, Force: true, Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.Open(conn(1))
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		var off int64
		for range 40 { // more than the queue holds
			w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Off: off, Data: make([]byte, 1<<20)})
			off += 1 << 20
		}
	}()
	await(t, func() bool { return w.Status().Waiting })
	select {
	case <-passed:
		t.Fatal("the traffic did not wait")
	default:
	}
	w.Release()
	<-passed
	if st := w.Status(); st.Dropped == 0 || st.Behind > 2*queueLimit {
		t.Errorf("%+v", st)
	}
	if err := w.Close(); !errors.Is(err, ErrStalled) {
		t.Errorf("closing: %v", err)
	}
	<-w.done // the writing goroutine is gone all the same
}
