package ui

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/record"
)

// While a filter, a search or the opening goes through everything, keys are answered
// before that is over; how soon is told (-v). WSPROXY_BENCH_FRAMES says of how many frames, else 300,000.
func TestKeysWhileBusy(t *testing.T) {
	frames, err := strconv.Atoi(os.Getenv("WSPROXY_BENCH_FRAMES"))
	if err != nil {
		frames = 300_000
	}
	if racing {
		frames = min(frames, 100_000)
	}
	s, err := record.OpenStore(context.Background(), manyFrames(t, frames), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	d := driveAtOnce(t, tcell.NewSimulationScreen("UTF-8"), s, Options{Title: "many.pcapng"}, 120, 40)
	d.keysNow("\r")
	quick := func(what string, busy func() bool) {
		t.Helper()
		var took []time.Duration
		during := 0
		for i := range 40 {
			begun := time.Now()
			d.keysNow(string("jkGg"[i%4]))
			d.do(func() {
				if busy() {
					during++
				}
			})
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		t.Logf("%s: %d of 40 keys while it went on; %v in the middle, %v at most", what, during, took[len(took)/2], took[len(took)-1])
		if during == 0 {
			t.Errorf("%s: it was over before a key was pressed", what)
		}
	}
	quick("opening", func() bool { return !s.Progress().Done })
	await(t, "the recording to be read", func() bool { return s.Progress().Done })
	d.keysNow("fjson.n == 7 || text contains \"no such\"\r")
	d.do(func() {})
	quick("a filter on JSON", func() bool { return d.view.sieve != nil && !d.view.sieve.progress(false).current })
	d.keysNow("\x1b/nowhere to be found\r")
	d.do(func() {})
	quick("a search", func() bool { return d.view.search.cancel != nil })
	d.keysNow("\x1b")
}
