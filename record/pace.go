package record

import "time"

// On a machine of few cores a follower works on those that the traffic needs. So
// while a recording grows fast, its follower works in slices and rests between
// them: it lags behind on the disk, and catches up when the traffic has calmed.
const (
	paceSlice  = 200 * time.Microsecond // of work
	paceRest   = 12                     // times as long a rest
	paceMost   = 50 * paceSlice         // of work that counts: a rest ends
	paceWindow = 20 * time.Millisecond  // over which growth is measured
	paceRate   = 4 << 20                // bytes a second that a recording grows by, from which on it is fast
	paceCores  = 4                      // on more cores nobody is in the way
)

// pace says when a follower is to rest.
type pace struct {
	begun time.Time // when it began to work, after a rest or a wait
	seen  time.Time // when it looked at the recording last
	end   int64     // how far that went then
	fast  bool      // it grew fast up to then
}

// due answers how long to rest now; end is how far the recording goes.
func (p *pace) due(now time.Time, end func() int64) time.Duration {
	work := now.Sub(p.begun)
	if work < paceSlice {
		return 0
	}
	if during := now.Sub(p.seen); during >= paceWindow {
		at := end()
		p.fast = !p.seen.IsZero() && float64(at-p.end) >= paceRate*during.Seconds()
		p.seen, p.end = now, at
	}
	if !p.fast {
		p.begun = now
		return 0
	}
	return min(work, paceMost) * paceRest
}
