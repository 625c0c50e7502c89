package record

import (
	"bytes"
	"context"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// placed keeps what it is told of one direction by its offset.
type placed struct {
	said []byte
	got  []bool
	t    *testing.T
}

func (p *placed) Open(inspect.ConnInfo) {}
func (p *placed) Note(inspect.Note)     {}
func (p *placed) End(inspect.Ended)     {}
func (p *placed) Chunk(c inspect.Chunk) {
	if c.Leg != inspect.ServerLeg {
		return
	}
	if !bytes.Equal(c.Data, p.said[c.Off:c.Off+int64(len(c.Data))]) {
		p.t.Errorf("what is told at %d was not said there", c.Off)
	}
	for i := range c.Data {
		p.got[int(c.Off)+i] = true
	}
}

// Of a bridge's stream a temporary recording under pressure keeps the front of each
// chunk, then nothing, and goes on when there is room: no frame has to begin first.
func TestStreamIsSampled(t *testing.T) {
	const chunk = 256 << 10
	dir := t.TempDir()
	w := stuckWriter(t, Options{Path: dir, Temporary: true, Limit: 16 * MinKeep})
	info := conn(1)
	info.Mode = inspect.ModeToTCP
	w.Open(info)
	w.Note(serverLeg(1))
	p := &placed{t: t}
	say := func(n int) {
		data := bytes.Repeat([]byte{byte(len(p.said)/chunk) + 1}, n)
		w.Chunk(inspect.Chunk{Conn: 1, Leg: inspect.ServerLeg, Time: t0, Off: int64(len(p.said)), Data: data, Stream: true})
		p.said = append(p.said, data...)
	}
	for w.Status().Snapped == 0 && len(p.said) < 2*queueLimit {
		say(chunk)
	}
	sampled := len(p.said)
	say(chunk)
	w.Chunk(inspect.Chunk{Conn: 9, Time: t0, Data: make([]byte, queueLimit), Stream: true}) // of which 1 KiB is kept
	for w.Status().Dropped == 0 && len(p.said) < 4*queueLimit {
		say(snapPayload)
	}
	full := len(p.said)
	say(snapPayload)
	drain(t, w)
	again := len(p.said)
	say(chunk)
	w.End(inspect.Ended{Conn: 1, Leg: inspect.ServerLeg, How: inspect.Fin, Time: t0, Off: int64(len(p.said))})
	drained(t, w)
	p.got = make([]bool, len(p.said))
	if err := Follow(context.Background(), dir, nil, p); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int]bool{0: true, sampled - chunk - 1: true, sampled: true, sampled + snapPayload - 1: true, sampled + snapPayload: false,
		sampled + chunk - 1: false, full - 1: false, full: false, again: true, again + chunk - 1: true} {
		if p.got[at] != want {
			t.Errorf("the byte at %d of %d is recorded: %v", at, len(p.said), p.got[at])
		}
	}
}
