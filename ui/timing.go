package ui

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// Bounds on what the Timing tab looks at, which it makes anew as the session goes on.
const (
	timingRows     = 100_000 // the newest frames
	timingBeats    = 400     // the newest pings and pongs, whose payloads are compared
	timingMessages = 200     // the newest compressed messages, which are inflated
)

// timing is what the newest rows of a session say about time and size.
type timing struct {
	rows     int
	from, to time.Time
	frames   [2]int
	payload  [2]uint64
	headers  [2]uint64
	sizes    [2][sizeClasses]int
	silence  time.Duration // the longest
	quietAt  time.Time     // when that began
	beats    []record.Row
	zipped   []record.Row
	buckets  [2][]float64 // payload bytes in each part of the time
	counts   [2][]float64 // frames
}

// sizeClasses are the bars of sizes: the first ends where the length takes its
// second form (RFC 6455 section 5.2), each that follows is 16 times as wide.
const sizeClasses = 6

func sizeClass(n uint64) int {
	most := uint64(125)
	for i := range sizeClasses - 1 {
		if n <= most {
			return i
		}
		most *= 16
	}
	return sizeClasses - 1
}

// sizeNames are the classes in words.
var sizeNames = [sizeClasses]string{"to 125 B", "to 2 kB", "to 32 kB", "to 512 kB", "to 8 MB", "more"}

// timing makes the Timing tab: rates, round trips, what framing costs, sizes.
func (m *maker) timing() (whole bool) {
	s := &m.session
	if s.Kind != record.WebSocket {
		m.say(dim, "There are frames only in WebSocket sessions.")
		if s.Kind == record.Exchange && s.Exchange != nil {
			m.field("took", "%s", took(s.Last.Sub(s.Opened)))
		}
		return true
	}
	width := max(min(m.width-40, 60), 8)
	t := m.measure(width)
	if t.rows == 0 {
		m.say(dim, "No frame has passed yet.")
		return s.Closed != nil
	}
	if all := m.source.Len(m.want.session); t.rows < all {
		m.say(odd, "Of the newest %s frames; there were %s.", grouped(int64(t.rows)), grouped(int64(all)))
	}
	m.rates(t)
	m.roundTrips(t)
	m.overhead(t)
	m.saved(t)
	m.sizes(t, width)
	return s.Closed != nil
}

// measure looks at the rows.
func (m *maker) measure(width int) *timing {
	t := &timing{}
	session := m.want.session
	end := m.source.Len(session)
	from := max(m.source.First(session), end-timingRows)
	var last time.Time
	all := make([]record.Row, max(end-from, 0))
	all = all[:m.source.Rows(session, from, all)]
	t.rows = len(all)
	if len(all) == 0 {
		return t
	}
	t.from, t.to = all[0].Time(), all[len(all)-1].Time()
	for d := range t.buckets {
		t.buckets[d], t.counts[d] = make([]float64, width), make([]float64, width)
	}
	for i, r := range all {
		d, n := r.Dir(), r.Length()
		t.frames[d]++
		t.payload[d] += n
		t.headers[d] += headerBytes(r)
		t.sizes[d][sizeClass(n)]++
		at := t.bucket(r.Time(), width)
		t.buckets[d][at] += float64(n)
		t.counts[d][at]++
		if gap := r.Time().Sub(last); i > 0 && gap > t.silence {
			t.silence, t.quietAt = gap, last
		}
		last = r.Time()
		switch op := r.Opcode(); {
		case op == inspect.OpPing || op == inspect.OpPong:
			t.beats = append(t.beats, r)
		case r.Compressed() && r.Ends():
			t.zipped = append(t.zipped, r)
		}
	}
	t.beats = t.beats[max(len(t.beats)-timingBeats, 0):]
	t.zipped = t.zipped[max(len(t.zipped)-timingMessages, 0):]
	return t
}

func (t *timing) bucket(at time.Time, width int) int {
	span := t.to.Sub(t.from)
	if span <= 0 {
		return 0
	}
	return max(min(int(float64(at.Sub(t.from))/float64(span)*float64(width)), width-1), 0)
}

// headerBytes is how long a frame's header is, if its length has the shortest form.
func headerBytes(r record.Row) uint64 {
	n := uint64(2)
	switch l := r.Length(); {
	case l > 65535 || !r.Minimal():
		n += 8
	case l > 125:
		n += 2
	}
	if r.Masked() {
		n += 4
	}
	return n
}

// rates draws how much passed over the time.
func (m *maker) rates(t *timing) {
	all := t.to.Sub(t.from)
	m.title(fmt.Sprintf("Rates over %s", took(all)))
	for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
		per := ""
		if s := all.Seconds(); s > 0 && t.frames[d] > 1 {
			per = fmt.Sprintf("  %.3g frames/s, %s/s", float64(t.frames[d])/s, bytesOf(int64(float64(t.payload[d])/s)))
		}
		m.add(wayOf(d, " frames "), span{spark(t.counts[d]), wayRole(d)}, span{per, plain})
		m.add(wayOf(d, " bytes  "), span{spark(t.buckets[d]), wayRole(d)})
	}
	if t.silence > 0 {
		m.field("silence", "%s at most, from %s s on", took(t.silence), since(t.quietAt.Sub(m.session.Opened)))
	}
}

func wayOf(d inspect.Dir, what string) span {
	arrow := "→"
	if d == inspect.ToClient {
		arrow = "←"
	}
	return span{arrow + what, wayRole(d)}
}

func wayRole(d inspect.Dir) role {
	if d == inspect.ToClient {
		return downward
	}
	return upward
}

// sparks are the heights of a sparkline; nothing is a blank.
var sparks = []rune(" ▁▂▃▄▅▆▇█")

// spark draws values as a line of bars.
func spark(values []float64) string {
	most := slices.Max(values)
	var b strings.Builder
	for _, v := range values {
		at := 0
		if v > 0 && most > 0 {
			at = max(int(v/most*float64(len(sparks)-1)+0.5), 1)
		}
		b.WriteRune(sparks[at])
	}
	return b.String()
}

// barOf draws a share of a whole.
func barOf(share float64, width int) string {
	n := int(share*float64(width) + 0.5)
	if n == 0 && share > 0 {
		return "▏"
	}
	return strings.Repeat("█", n)
}

// roundTrips tells how long pongs took. A pong answers the newest ping with its
// payload (RFC 6455 section 5.5.3).
func (m *maker) roundTrips(t *timing) {
	type ping struct {
		payload []byte
		at      time.Time
	}
	var waiting [2][]ping
	var trips [2][]time.Duration
	unasked := 0
	for _, r := range t.beats {
		msg, err := m.source.Message(r, 125)
		if err != nil {
			continue
		}
		d := r.Dir()
		if r.Opcode() == inspect.OpPing {
			waiting[d] = append(waiting[d], ping{bytes.Clone(msg.Data), r.Time()})
			continue
		}
		open := waiting[d.Other()]
		i := len(open) - 1
		for i >= 0 && !bytes.Equal(open[i].payload, msg.Data) {
			i--
		}
		if i < 0 {
			unasked++
			continue
		}
		trips[d.Other()] = append(trips[d.Other()], r.Time().Sub(open[i].at))
		waiting[d.Other()] = open[i+1:] // those before it need no answer any more
	}
	if len(t.beats) == 0 {
		return
	}
	m.title("Ping and pong")
	for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
		all := trips[d]
		if len(all)+len(waiting[d]) == 0 {
			continue
		}
		text := fmt.Sprintf("%s answered", count(len(all), "ping"))
		if n := len(waiting[d]); n > 0 {
			text += fmt.Sprintf(", %d not", n)
		}
		if len(all) > 0 {
			sorted := slices.Sorted(slices.Values(all))
			text += fmt.Sprintf(": %s at least, %s in the middle, %s at most", took(sorted[0]), took(sorted[len(sorted)/2]), took(sorted[len(sorted)-1]))
		}
		m.field("by the "+d.Sender(), "%s", text)
		if len(all) > 1 {
			values := make([]float64, 0, len(all))
			for _, v := range all[max(len(all)-60, 0):] {
				values = append(values, float64(v))
			}
			m.add(span{strings.Repeat(" ", 14), plain}, span{spark(values), wayRole(d)})
		}
	}
	if unasked > 0 {
		m.field("unasked", "%s answered no ping", count(unasked, "pong"))
	}
}

// overhead tells what framing costs beside the payload.
func (m *maker) overhead(t *timing) {
	m.title("Framing")
	for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
		all := t.headers[d] + t.payload[d]
		if all == 0 {
			continue
		}
		share := float64(t.headers[d]) / float64(all)
		m.add(wayOf(d, " "), span{pad(barOf(share, 20), 20), odd}, span{fmt.Sprintf(" %.3g %% headers: %s for %s of payload in %s", share*100, bytesOf(int64(t.headers[d])), bytesOf(int64(t.payload[d])), count(t.frames[d], "frame")), plain})
	}
}

// saved tells what permessage-deflate has saved (RFC 7692).
func (m *maker) saved(t *timing) {
	var wire, size [2]int64
	var n [2]int
	for _, r := range t.zipped {
		msg, err := m.source.Message(r, 0)
		if err != nil || msg.Undecodable {
			continue
		}
		n[r.Dir()]++
		wire[r.Dir()] += msg.Wire
		size[r.Dir()] += msg.Size
	}
	if n[0]+n[1] == 0 {
		return
	}
	m.title("permessage-deflate")
	for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
		if n[d] == 0 || size[d] == 0 {
			continue
		}
		share := float64(wire[d]) / float64(size[d])
		saved := fmt.Sprintf("%.3g %% saved", 100-share*100)
		if share > 1 {
			saved = fmt.Sprintf("%.3g %% more", share*100-100)
		}
		m.add(wayOf(d, " "), span{pad(barOf(min(share, 1), 20), 20), good}, span{fmt.Sprintf(" %s, %s sent as %s: %s", count(n[d], "message"), bytesOf(size[d]), bytesOf(wire[d]), saved), plain})
	}
}

// sizes draws how long the frames are.
func (m *maker) sizes(t *timing, width int) {
	m.title("Payloads")
	most := 1
	for d := range t.sizes {
		most = max(most, slices.Max(t.sizes[d][:]))
	}
	for i, what := range sizeNames {
		for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
			if n := t.sizes[d][i]; n > 0 {
				m.add(span{pad(what, 10), name}, wayOf(d, " "), span{barOf(float64(n)/float64(most), width), wayRole(d)}, span{" " + grouped(int64(n)), plain})
			}
		}
	}
}
