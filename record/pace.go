package record

import "time"

// On a machine of few cores a follower works on those that the traffic needs. So
// while a recording grows fast, its follower works in slices and rests between
// them: it lags behind on the disk, and catches up when the traffic has calmed.
const (
	paceSlice = time.Millisecond // of work
	paceRest  = 9                // times as long a rest
	paceRate  = 4 << 20          // bytes a second that a recording grows by, from which on it is fast
	paceCores = 4                // on more cores nobody is in the way
)

// pace says when a follower is to rest.
type pace struct {
	begun time.Time // when it began to work, after a rest or a wait
	seen  time.Time // when it looked at the recording last
	end   int64     // how far that went then
}

// due answers how long to rest now; end is how far the recording goes.
func (p *pace) due(now time.Time, end func() int64) time.Duration {
	work := now.Sub(p.begun)
	if work < paceSlice {
		return 0
	}
	at := end()
	grown, during := at-p.end, now.Sub(p.seen)
	first := p.seen.IsZero()
	p.end, p.seen = at, now
	if first || float64(grown) < paceRate*during.Seconds() {
		p.begun = now
		return 0
	}
	return min(work, 10*paceSlice) * paceRest
}
