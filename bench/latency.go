package main

import (
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// latency is a histogram of times from 100 ns to a minute, exact to three digits.
type latency struct{ h *hdr.Histogram }

func newLatency() latency { return latency{hdr.New(100, int64(time.Minute), 3)} }

func (l latency) record(d time.Duration) {
	_ = l.h.RecordValue(min(max(int64(d), 1), int64(time.Minute))) // in range
}

// quantiles are microseconds.
type quantiles struct{ P50, P90, P99, P999, Max float64 }

func (l latency) quantiles() quantiles {
	if l.h.TotalCount() == 0 {
		return quantiles{}
	}
	at := func(q float64) float64 { return float64(l.h.ValueAtQuantile(q)) / 1000 }
	return quantiles{at(50), at(90), at(99), at(99.9), float64(l.h.Max()) / 1000}
}

// merge adds what others recorded.
func merge(all []latency) latency {
	sum := newLatency()
	for _, l := range all {
		sum.h.Merge(l.h)
	}
	return sum
}
