package record

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := t0
	var end int64
	p := pace{begun: now}
	step := func(work time.Duration, grown int64) time.Duration {
		now, end = now.Add(work), end+grown
		rest := p.due(now, func() int64 { return end })
		if rest > 0 {
			now = now.Add(rest)
			p.begun = now
		}
		return rest
	}
	if d := step(paceSlice/2, 1<<30); d != 0 {
		t.Errorf("half a slice, and a rest of %v", d)
	}
	if d := step(paceSlice, 0); d != 0 { // the first look
		t.Errorf("nothing is known yet, and a rest of %v", d)
	}
	if d := step(paceWindow, 1000); d != 0 {
		t.Errorf("the recording hardly grows, and a rest of %v", d)
	}
	if d := step(paceWindow, 1<<20); d != paceMost*paceRest {
		t.Errorf("the recording grows fast, and a rest of %v behind long work", d)
	}
	end += 1 << 20 // meanwhile
	if d := step(paceSlice, 0); d != paceSlice*paceRest {
		t.Errorf("it goes on, and a rest of %v behind a slice", d)
	}
	if d := step(paceWindow, 0); d != 0 {
		t.Errorf("the traffic has ended, and a rest of %v", d)
	}
}
