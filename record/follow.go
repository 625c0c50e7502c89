package record

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"runtime"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/wsproxy/wsproxy/inspect"
)

// Follow reads a recording, which may be a temporary one, or a foreign capture of
// plain TCP, and drives a sink with what it holds. With live nil it reads to the end of the file. Otherwise
// it goes on each time live ticks and ends when live is closed and everything is
// read, or with ctx's error. Connections that are still open then end with
// inspect.Cut.
//
// A chunk behind a hole of known size begins at a frame boundary and says so. A
// reader that is overtaken by a temporary recording tells its sink with a
// LappedNote of no connection.
// Errors: the system's; *FormatError for a file of another kind; *TornError,
// *DamagedError and *PackedError, each after everything that could be read was delivered.
func Follow(ctx context.Context, path string, live <-chan struct{}, sink inspect.Sink) error {
	f, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // read only
	return followSource(ctx, f, live, sink)
}

// followSource is Follow on a recording that is open, and stays so.
func followSource(ctx context.Context, f source, live <-chan struct{}, sink inspect.Sink) error {
	fl := newFollower(sink)
	var err error
	if _, isRing := f.(*ringReader); !isRing && classic(f) {
		err = fl.pcap(ctx, io.NewSectionReader(f, 0, math.MaxInt64))
	} else {
		err = fl.pcapng(ctx, f, live)
	}
	fl.cut()
	if fault := faultOf(f); fault != nil && ctx.Err() == nil {
		return fault
	}
	return err
}

// Check says whether Follow can read a file at all. Errors: the system's, or a
// *FormatError.
func Check(path string) error {
	f, err := openSource(path)
	if err != nil {
		return err
	}
	defer f.Close() // read only
	return checkSource(f)
}

func checkSource(f source) error {
	if _, ok := f.(*ringReader); ok || classic(f) {
		return nil
	}
	w := walker{r: f}
	if _, err := w.next(); w.order == nil {
		if fault := faultOf(f); fault != nil {
			return fault
		}
		if errors.Is(err, io.EOF) || errors.Is(err, errShort) {
			err = &FormatError{0}
		}
		return err
	}
	return nil
}

// follower turns packets into chunks.
type follower struct {
	sink     inspect.Sink
	sections sections
	legs     map[flowKey]*leg
	order    []*leg // open ones, in order of opening
	imported *importer
	last     time.Time
}

type flowKey struct {
	iface    uint64
	src, dst netip.AddrPort
}

// leg is one of our own legs being read.
type leg struct {
	conn  inspect.ConnID
	leg   inspect.Leg
	key   flowKey // of the direction ToServer
	off   [2]int64
	next  [2]uint32 // sequence number that comes next
	known [2]bool   // next is
	ended [2]bool
	stale [2]bool              // packets are gone: up to where a frame's beginning is marked, or it is resumed
	skip  uint32               // bytes behind the SYN+ACK that were read before
	again *inspect.ResumedNote // its heads are being read once more
	blind [2]bool              // the next frame boundary must be named
	sure  [2]bool              // a frame begins with the next byte, behind a hole
}

func newFollower(sink inspect.Sink) *follower {
	return &follower{sink: sink, legs: map[flowKey]*leg{}, imported: newImporter(sink)}
}

func classic(f io.ReaderAt) bool {
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil {
		return false
	}
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if m := o.Uint32(magic[:]); m == 0xA1B2C3D4 || m == 0xA1B23C4D {
			return true
		}
	}
	return false
}

// pcap reads the older format, which tcpdump writes.
func (fl *follower) pcap(ctx context.Context, f io.Reader) error {
	r, err := pcapgo.NewReader(f)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		data, ci, err := r.ReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("the file ends in the middle of a packet")
		case err != nil:
			return err
		}
		p := captured{link: layers.LinkType(r.LinkType()), time: ci.Timestamp, data: data, missing: int64(ci.Length - ci.CaptureLength)}
		fl.packet(&p)
	}
	return ctx.Err()
}

func (fl *follower) pcapng(ctx context.Context, f source, live <-chan struct{}) error {
	w := walker{r: &ahead{r: f}, ring: f, off: f.oldest()}
	pace := pace{begun: time.Now()}
	paced := live != nil && runtime.NumCPU() <= paceCores
	end := func() int64 { n, _ := f.end(); return n } // what cannot be told does not grow
	for n := 0; ; n++ {
		if n&0x1f == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if paced && live != nil {
			if rest := pace.due(time.Now(), end); rest > 0 {
				time.Sleep(rest)
				pace.begun = time.Now()
			}
		}
		b, err := w.next()
		if err == nil {
			fl.block(b)
			continue
		}
		if errors.Is(err, ErrLapped) {
			from := f.oldest()
			fl.lapped(from - w.off)
			w.off = from
			continue
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, errShort) {
			return err
		}
		if live == nil && errors.Is(err, errShort) && w.order != nil {
			b, err = w.resync() // a damaged length looks like a torn tail
			if err == nil {
				fl.block(b)
				continue
			}
		}
		if live == nil {
			return ending(&w, err)
		}
		select {
		case _, ok := <-live:
			if !ok {
				live = nil // what was written last is still to be read
			}
			pace.begun = time.Now()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ending is what there is to say at the end of a file.
func ending(w *walker, err error) error {
	switch {
	case w.order == nil:
		return &FormatError{0} // shorter than a section header, or empty
	case w.damage > 0:
		return &DamagedError{w.damaged, w.damage}
	case errors.Is(err, errShort):
		return &TornError{w.off}
	}
	return nil
}

func (fl *follower) block(b block) {
	if b.kind == blockStatistics {
		fl.statistics(b)
		return
	}
	if p, ok := fl.sections.take(b); ok {
		fl.packet(&p)
	}
}

// statistics hands on the note of how the recording ended, which stands in the
// first interface's statistics.
func (fl *follower) statistics(b block) {
	if len(b.body) < 12 || b.order.Uint32(b.body) != 0 {
		return
	}
	p := captured{time: fl.last}
	b.options(12, func(code int, v []byte) {
		if code == optComment {
			p.comments = append(p.comments, string(v))
		}
	})
	for _, js := range p.notes() {
		fl.sink.Note(inspect.Note{Time: fl.last, Kind: kindOf(js), JSON: []byte(js)})
	}
}

func kindOf(js string) string {
	var k struct {
		Kind string `json:"kind"`
	}
	if json.Unmarshal([]byte(js), &k) != nil {
		return ""
	}
	return k.Kind
}

func (fl *follower) packet(p *captured) {
	s, ok := parse(p)
	if !ok {
		return
	}
	if len(p.comments) > 0 && len(p.notes()) > 0 && !s.intact() {
		return // ours and damaged: it leaves a hole in the numbers
	}
	fl.last = p.time
	key := flowKey{p.iface, s.src, s.dst}
	if s.flags&(flagSyn|flagAck) == flagSyn && fl.opens(key, p, s) {
		return
	}
	if l := fl.legs[key]; l != nil {
		d := inspect.ToServer
		if key != l.key {
			d = inspect.ToClient
		}
		fl.segment(l, d, p, s)
		return
	}
	if !fl.sections.ring { // nothing in a temporary recording is foreign
		fl.imported.segment(p, s)
	}
}

// opens takes a SYN that carries the note of a leg of ours.
func (fl *follower) opens(key flowKey, p *captured, s segment) bool {
	for _, js := range p.notes() {
		var n inspect.LegNote
		if json.Unmarshal([]byte(js), &n) != nil || n.Kind != inspect.NoteLeg {
			continue
		}
		again := resumed(p)
		if old := fl.legs[key]; old != nil {
			if again != nil && old.conn == n.ID {
				fl.rejoin(old, p, s, again)
				return true
			}
			fl.cutLeg(old) // its port was used again
		}
		if again != nil {
			fl.resume(key, p, s, n, again)
			return true
		}
		l := &leg{conn: n.ID, leg: n.Leg, key: key, next: [2]uint32{s.seq + 1}, known: [2]bool{true}}
		fl.legs[key] = l
		fl.legs[key.reverse()] = l
		fl.order = append(fl.order, l)
		if n.Leg == inspect.ClientLeg {
			n.Time = p.time
			fl.sink.Open(n.ConnInfo)
		} else {
			fl.sink.Note(inspect.Note{Conn: n.ID, Leg: n.Leg, Time: p.time, Kind: n.Kind, JSON: []byte(js)})
		}
		fl.notes(l, inspect.ToServer, p, inspect.NoteLeg)
		return true
	}
	return false
}

func (k flowKey) reverse() flowKey { return flowKey{k.iface, k.dst, k.src} }

// segment reads a packet of a leg of ours: notes, bytes, end.
func (fl *follower) segment(l *leg, d inspect.Dir, p *captured, s segment) {
	if l.ended[d] && s.flags&flagRst == 0 || !s.intact() {
		return // a damaged packet leaves a hole in the numbers
	}
	if l.ended[d] { // an RST behind a FIN
		ended := inspect.Ended{How: inspect.Rst, Off: l.off[d], Time: p.time}
		if _, noted := fl.notes(l, d, p, ""); noted != nil {
			ended = *noted
		}
		fl.end(l, d, ended)
		return
	}
	if s.flags&flagSyn != 0 {
		if !l.known[d] {
			l.next[d], l.known[d] = s.seq+1+l.skip, true
		}
		return
	}
	if !l.known[d] {
		l.next[d], l.known[d] = s.seq, true
	}
	gap, ended := fl.notes(l, d, p, "")
	boundary, ok := fl.place(l, d, p, s, gap)
	if !ok {
		return
	}
	if n := int64(len(s.payload)) + s.missing; n > 0 {
		fl.sink.Chunk(inspect.Chunk{Conn: l.conn, Leg: l.leg, Dir: d, Time: p.time, Off: l.off[d],
			Data: s.payload, Gap: s.missing, Pos: s.off, Boundary: boundary})
		l.off[d] += n
		l.next[d] = s.seq + uint32(n)
	}
	if l.again != nil {
		fl.behindHeads(l, p)
	}
	switch {
	case ended != nil:
		fl.end(l, d, *ended)
	case s.flags&(flagFin|flagRst) != 0:
		how := inspect.Fin
		if s.flags&flagRst != 0 {
			how = inspect.Rst
		}
		fl.end(l, d, inspect.Ended{How: how, Off: l.off[d], Time: p.time})
	}
}

// place finds a packet's place in its direction and hands on the hole in front of
// it, if packets are missing from the file, or gap bytes are noted not to be in it.
// It answers where in it a frame begins, if that must be said; ok is false for a
// packet that has no place: one that was here before, as in a file merged with
// itself, or that stands behind a hole of unknown size.
func (fl *follower) place(l *leg, d inspect.Dir, p *captured, s segment, gap int64) (boundary int, ok bool) {
	missed := s.seq - l.next[d]
	if l.stale[d] {
		if boundary = marked(p, d); gap > 0 {
			boundary = 1
		}
		if boundary == 0 && s.flags&(flagFin|flagRst) == 0 {
			return 0, false
		}
		l.stale[d] = false
		// A ring is smaller than the 4 GiB after which numbers come again.
		fl.hole(l, d, p.time, int64(missed), false)
		l.next[d] = s.seq
		return boundary, true
	}
	if int32(missed) < 0 && missed != uint32(gap) {
		return 0, false
	}
	if n := noted(gap, missed); n > 0 {
		fl.hole(l, d, p.time, n, missed == 0)
		l.next[d] = s.seq
	}
	if gap > 0 {
		l.blind[d], l.sure[d] = false, false
		return 1, true
	}
	return fl.boundary(l, d, p), true
}

// noted is how many bytes are missing in all before a packet: of those that the
// note on it says, which the numbers may count or not, and packets that were lost.
func noted(gap int64, missed uint32) int64 {
	switch {
	case missed == uint32(gap):
		return gap
	case int64(missed) > gap:
		return int64(missed)
	}
	return gap + int64(missed)
}

// hole hands on that n bytes are not in the file; whole says that a frame ends
// before them.
func (fl *follower) hole(l *leg, d inspect.Dir, t time.Time, n int64, whole bool) {
	fl.sink.Chunk(inspect.Chunk{Conn: l.conn, Leg: l.leg, Dir: d, Time: t, Off: l.off[d], Gap: n, Whole: whole})
	l.off[d] += n
}

// notes hands on a packet's notes, all but the ones that it answers: how many
// bytes are missing before the packet, and how the direction ended. One of kind
// skip has been seen to.
func (fl *follower) notes(l *leg, d inspect.Dir, p *captured, skip string) (gap int64, ended *inspect.Ended) {
	for _, js := range p.notes() {
		switch kind := kindOf(js); kind {
		case skip, inspect.NoteResumed, inspect.NoteBoundary:
		case inspect.NoteGap:
			var n inspect.GapNote
			if json.Unmarshal([]byte(js), &n) == nil && n.Bytes > 0 {
				gap += n.Bytes
			}
		case inspect.NoteEnded:
			var n endedNote
			if json.Unmarshal([]byte(js), &n) == nil {
				ended = &inspect.Ended{How: n.How, Off: n.Bytes, Error: n.Error, Time: p.time}
			}
		default:
			fl.sink.Note(inspect.Note{Conn: l.conn, Leg: l.leg, Dir: d, Off: l.off[d], Time: p.time, Kind: kind, JSON: []byte(js)})
		}
	}
	return gap, ended
}

func (fl *follower) end(l *leg, d inspect.Dir, e inspect.Ended) {
	e.Conn, e.Leg, e.Dir = l.conn, l.leg, d
	l.ended[d] = true
	if e.How == inspect.Rst {
		l.ended = [2]bool{true, true} // nothing flows on a leg that was reset
	}
	fl.sink.End(e)
	if l.ended[0] && l.ended[1] {
		fl.forget(l)
	}
}

func (fl *follower) forget(l *leg) {
	delete(fl.legs, l.key)
	delete(fl.legs, l.key.reverse())
	for i, o := range fl.order {
		if o == l {
			fl.order = append(fl.order[:i], fl.order[i+1:]...)
			break
		}
	}
}

// cutLeg ends a leg that has no end in the file.
func (fl *follower) cutLeg(l *leg) {
	for d, ended := range l.ended {
		if !ended {
			fl.sink.End(inspect.Ended{Conn: l.conn, Leg: l.leg, Dir: inspect.Dir(d), How: inspect.Cut, Time: fl.last, Off: l.off[d]})
		}
	}
	fl.forget(l)
}

// cut ends everything that is open at the end of the file.
func (fl *follower) cut() {
	for len(fl.order) > 0 {
		fl.cutLeg(fl.order[0])
	}
	fl.imported.finish()
}
