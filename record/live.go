package record

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// Live says that somebody is writing the recording, which may be a temporary one.
func Live(path string) bool {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, ringState)
	}
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
		f, err := openSource(path)
		if err != nil {
			return // so will the reader be told
		}
		defer f.Close() // read only
		size := int64(-1)
		for {
			live := Live(path) // before the size: what was written last is seen
			end, err := f.end()
			if err != nil || !live {
				return
			}
			if end != size {
				size = end
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
