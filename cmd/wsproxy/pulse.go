package main

import (
	"sync/atomic"

	"github.com/wsproxy/wsproxy/inspect"
)

// bell is rung when there may be something new. However often it was rung, it is
// heard once.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// pulse is a stage in front of a recording that rings when traffic comes after a
// silence, also when nothing of it can be written. While there is traffic it costs
// the look at one variable.
type pulse struct {
	next  inspect.Sink
	quiet atomic.Bool // somebody waits for the bell
	begun bell
}

func newPulse(next inspect.Sink) *pulse { return &pulse{next: next, begun: newBell()} }

func (p *pulse) beat() {
	if p.quiet.Load() && p.quiet.CompareAndSwap(true, false) {
		p.begun.ring()
	}
}

// The stage is an inspect.Sink.

func (p *pulse) Open(c inspect.ConnInfo) { p.beat(); p.next.Open(c) }
func (p *pulse) Chunk(c inspect.Chunk)   { p.beat(); p.next.Chunk(c) }
func (p *pulse) Note(n inspect.Note)     { p.beat(); p.next.Note(n) }
func (p *pulse) End(e inspect.Ended)     { p.beat(); p.next.End(e) }
