package ui

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gdamore/tcell/v2"
)

// looked is a source that counts how often it is looked at, and whose version can
// be set.
type looked struct {
	source
	times   atomic.Int64
	version atomic.Uint64
}

func (l *looked) Version() uint64 {
	l.times.Add(1)
	return l.version.Load()
}

// A screen on which nothing happens does nothing, and it shows at once what then
// happens.
func TestIdle(t *testing.T) {
	p := everyday(t)
	p.close()
	s := &looked{source: p.store(false)}
	synctest.Test(t, func(t *testing.T) {
		news := make(chan struct{}, 1)
		var bytes, asked, drawn atomic.Int64
		o := Options{Live: true, News: news, Status: func() Status {
			asked.Add(1)
			return Status{Bytes: [2]int64{bytes.Load(), 0}}
		}}
		d := drive(t, s, o, 80, 24)
		d.do(func() { d.view.app.SetAfterDrawFunc(func(tcell.Screen) { drawn.Add(1) }) })
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		pass(stillAfter + time.Second)
		before := [3]int64{s.times.Load(), asked.Load(), drawn.Load()}
		pass(time.Hour)
		if after := [3]int64{s.times.Load(), asked.Load(), drawn.Load()}; after != before {
			t.Errorf("in an hour without news the store was looked at, the status asked for, the screen drawn %v times; before it %v", after, before)
		}

		bytes.Store(1 << 20)
		s.version.Add(1)
		news <- struct{}{}
		pass(time.Millisecond)
		if n := drawn.Load(); n != before[2]+1 {
			t.Errorf("a millisecond after news the screen was drawn %d times", n-before[2])
		}
		d.has("⇡ 524 kB/s")
		pass(stillAfter + time.Second)
		d.has("⇡ 0 B/s") // which has gone down again before the silence
		pass(stillAfter + time.Second)
		before[0] = s.times.Load()
		pass(time.Hour)
		if n := s.times.Load() - before[0]; n > 0 {
			t.Errorf("in the second hour without news the store was looked at %d times", n)
		}
		if n := drawn.Load(); n > before[2]+20 {
			t.Errorf("the screen was drawn %d times for one piece of news", n-before[2])
		}
	})
}

// Much news is drawn thirty times a second, not each time.
func TestManyNews(t *testing.T) {
	p := everyday(t)
	p.close()
	s := &looked{source: p.store(false)}
	synctest.Test(t, func(t *testing.T) {
		news := make(chan struct{}, 1)
		var drawn atomic.Int64
		d := drive(t, s, Options{Live: true, News: news}, 80, 24)
		d.do(func() { d.view.app.SetAfterDrawFunc(func(tcell.Screen) { drawn.Add(1) }) })
		for range 1000 {
			s.version.Add(1)
			news <- struct{}{}
			<-time.After(time.Millisecond)
		}
		synctest.Wait()
		if n := drawn.Load(); n < 20 || n > 42 {
			t.Errorf("1000 pieces of news in a second are %d drawings", n)
		}
	})
}

// suspended is a screen that knows whether the terminal is its own.
type suspended struct {
	tcell.SimulationScreen
	away atomic.Bool
}

func (s *suspended) Suspend() error {
	s.away.Store(true)
	return nil
}

func (s *suspended) Resume() error {
	s.SimulationScreen.Clear() // what was there is gone
	s.away.Store(false)
	return nil
}

// The terminal can be had back for a while.
func TestAside(t *testing.T) {
	p := everyday(t)
	p.close()
	sim := &suspended{SimulationScreen: tcell.NewSimulationScreen("UTF-8")}
	aside := make(chan func())
	d := driveOn(t, sim, p.store(false), Options{Aside: aside}, 80, 24)
	before := d.has("SESSIONS").text()
	var away atomic.Bool
	done := make(chan struct{})
	select {
	case aside <- func() { away.Store(sim.away.Load()); close(done) }:
	case <-time.After(60 * time.Second):
		t.Fatal("nobody takes it")
	}
	<-done
	d.settle()
	if !away.Load() || sim.away.Load() {
		t.Error("the terminal was not given back, or not taken again")
	}
	if after := d.text(); after != before {
		t.Errorf("the screen is drawn again as\n%s", after)
	}
}
