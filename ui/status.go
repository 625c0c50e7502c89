package ui

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/inspect"
)

// status is what the top lines say of the proxy. The ticking goroutine updates
// it, the loop draws it.
type status struct {
	changed atomic.Bool // since it was drawn

	mu    sync.Mutex
	meter meter
	now   shown
}

// shown is a status as it is drawn: what looks the same is the same.
type shown struct {
	rates     string
	recording string
	size      string
	exposed   string
	warnings  []string
	gate      *Gate
	held      string // how much is held, and for how long
}

func (s *status) update(now time.Time, st Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := shown{rates: s.meter.add(now, st.Bytes), recording: visible(filepath.Base(st.Recording)), size: bytesOf(st.RecordingBytes), exposed: visible(st.Exposed),
		gate: st.Gate, held: st.Gate.words(now)}
	if st.Recording == "" {
		next.recording, next.size = "", ""
	}
	for _, w := range st.Warnings {
		next.warnings = append(next.warnings, visible(w))
	}
	if next.rates != s.now.rates || next.recording != s.now.recording || next.size != s.now.size || next.exposed != s.now.exposed ||
		!slices.Equal(next.warnings, s.now.warnings) || next.held != s.now.held || !reflect.DeepEqual(next.gate, s.now.gate) {
		s.now = next
		s.changed.Store(true)
	}
}

func (s *status) take() shown {
	s.changed.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// holds says that something is held, for a time that is shown.
func (s *status) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.now.gate.since().IsZero()
}

// meter works out rates from totals.
type meter struct{ samples []sample }

type sample struct {
	time  time.Time
	bytes [2]int64
}

// meterTime is the time over which a rate is taken.
const meterTime = 2 * time.Second

// add takes totals and answers the rates of the last two seconds in words.
func (m *meter) add(now time.Time, bytes [2]int64) string {
	m.samples = append(m.samples, sample{now, bytes})
	for len(m.samples) > 2 && now.Sub(m.samples[1].time) >= meterTime {
		m.samples = slices.Delete(m.samples, 0, 1)
	}
	var rates [2]int64
	first := &m.samples[0]
	d := now.Sub(first.time)
	if d > 2*meterTime {
		d = meterTime // what has passed came at the end of a silence in which nobody looked
	}
	if d > 0 {
		for i := range rates {
			rates[i] = int64(float64(bytes[i]-first.bytes[i]) / d.Seconds())
		}
	}
	return fmt.Sprintf("⇡ %s/s ⇣ %s/s", bytesOf(rates[inspect.ToServer]), bytesOf(rates[inspect.ToClient]))
}

// warnings are what stands below the top line, if anything.
func (v *view) warnings(st *shown) []string {
	var all []string
	if l := v.gateLine(); l != "" {
		all = append(all, l)
	}
	all = append(all, st.warnings...)
	for _, w := range v.options.Warnings {
		all = append(all, visible(w))
	}
	switch n := len(v.hints); {
	case n > 1:
		all = append(all, fmt.Sprintf("%s (and %d more)", v.hints[0], n-1))
	case n == 1:
		all = append(all, v.hints[0])
	}
	p := v.source.Progress()
	if p.Stopped != "" {
		all = append(all, "the recording ended early: "+visible(p.Stopped))
	}
	if p.Err != nil && v.ctx.Err() == nil {
		all = append(all, "the recording: "+visible(p.Err.Error()))
	}
	return all
}

// drawTop draws the top line: what is shown, how much, how fast, where it is
// recorded. What does not fit is left out, the least important first.
func (v *view) drawTop(screen tcell.Screen, r rect, st *shown) {
	if r.h <= 0 {
		return
	}
	counts := fmt.Sprintf("%d open · %d ended", len(v.sessions.open), v.sessions.ended)
	parts := [][]span{{{counts, strong}}}
	if st.exposed != "" {
		text := "open to others"
		if r.w >= wide {
			text = st.exposed
		}
		parts = [][]span{{{text, bad}}, {{counts, strong}}}
	}
	if st.held != "" {
		parts = append(parts, []span{{"‖ " + st.held, odd}})
	}
	if p := v.source.Progress(); !v.options.Live && !p.Done && p.Size > 0 {
		parts = append(parts, []span{{fmt.Sprintf("reading %d %%", min(p.Read*100/p.Size, 100)), odd}})
	}
	if st.recording != "" {
		text := st.size
		if r.w >= wide {
			text = "rec " + st.recording + " " + st.size
		}
		parts = append(parts, []span{{"● ", bad}, {text, plain}})
	}
	if st.rates != "" && v.options.Live {
		parts = append(parts, []span{{st.rates, plain}})
	}
	title := v.options.Title
	if v.options.Open != "" {
		title = v.options.Open
	}
	title = visible(title)
	brand := " "
	if r.w >= wide {
		brand = " wsproxy  "
	}
	room := r.w - min(width(title), max(r.w/2, 24)) - len(brand)
	var right []span
	for _, p := range parts {
		if n := spansWidth(p) + 3; n <= room {
			right = append(append(right, span{"   ", plain}), p...)
			room -= n
		}
	}
	x := r.x + put(screen, rect{r.x, r.y, r.w, 1}, brand, v.palette[strong])
	n := spansWidth(right)
	put(screen, rect{x, r.y, r.w - x - n - 1, 1}, title, v.palette[plain])
	l := line{spans: right}
	l.put(screen, r.x+r.w-n-1, r.y, n, v.palette)
}
