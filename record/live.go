package record

import (
	"context"
	"os"
	"time"
)

// Live says that somebody is writing the recording.
func Live(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	ok, err := tryShared(f)
	return err == nil && !ok
}

// pollEvery is how often a file that another process writes is looked at.
const pollEvery = 100 * time.Millisecond

// Poll is a live channel for Follow on a file that another process writes: it
// ticks when the file has grown, and closes when nobody writes it any more or
// ctx ends. Its goroutine ends with ctx at the latest.
func Poll(ctx context.Context, path string) <-chan struct{} {
	ticks := make(chan struct{}, 1)
	go func() {
		defer close(ticks)
		every := time.NewTicker(pollEvery)
		defer every.Stop()
		size := int64(-1)
		for {
			live := Live(path) // before the size: what was written last is seen
			st, err := os.Stat(path)
			if err != nil || !live {
				return
			}
			if st.Size() != size {
				size = st.Size()
				select {
				case ticks <- struct{}{}:
				default:
				}
			}
			select {
			case <-every.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ticks
}
