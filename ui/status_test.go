package ui

import (
	"testing"
	"time"
)

func TestDrawingsRest(t *testing.T) {
	var l lastDraw
	if !l.rested(time.Now()) {
		t.Error("the first drawing waits")
	}
	l.note(time.Now().Add(-2 * time.Millisecond))
	ended := time.Unix(0, l.ended.Load())
	if took := time.Duration(l.took.Load()); took < 2*time.Millisecond {
		t.Fatalf("it took %v", took)
	}
	if l.rested(ended.Add(restShare*2*time.Millisecond - 1)) {
		t.Error("no rest behind a drawing of 2 ms")
	}
	l.took.Store(int64(time.Second))
	if l.rested(ended.Add(restMost-1)) || !l.rested(ended.Add(restMost)) {
		t.Errorf("the rest is not %v at most", restMost)
	}
}
