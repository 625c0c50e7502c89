package main

import (
	"testing"

	"github.com/wsproxy/wsproxy/record"
)

func TestWhatWasLeftOut(t *testing.T) {
	for _, c := range []struct {
		status    record.Status
		less, all string
	}{
		{record.Status{Snapped: 20 << 10},
			"the traffic is faster than the disk: of long frames only the first KiB is recorded (--record FILE makes it wait instead)",
			"20 KiB of long frames not recorded"},
		{record.Status{Snapped: 20 << 20, Dropped: 500},
			"the traffic is faster than the disk: some of it is not recorded (--record FILE makes it wait instead)",
			"20 MiB of long frames and 500 bytes of the traffic not recorded"},
	} {
		if got := less(c.status); got != c.less {
			t.Errorf("%q", got)
		}
		if got := leftOut(c.status); got != c.all {
			t.Errorf("%q", got)
		}
	}
}
