package record

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/wsproxy/wsproxy/inspect"
)

// maxComment is the most that an option's 16-bit length can say.
const maxComment = 65535

// section writes one pcapng section: connections as TCP conversations. It
// belongs to the writing goroutine. After an error it writes nothing more.
type section struct {
	out     *output
	file    io.Closer // nil: the ring, or nothing to close
	ring    *ring     // nil: one file
	used    int64     // bytes of the segment, with what waits in the buffer
	reserve int64     // bytes of the segment that are kept for what is begun once more at its end
	rolling bool      // that is being written
	version string
	conns   map[inspect.ConnID]*recorded
	head    []byte // of the packet being written
	packets int64
	perLeg  [2]uint64
	start   time.Time
	last    time.Time
	stopped bool
	err     error
}

// recorded is a connection being written.
type recorded struct {
	legs  [2]*conversation
	off   [2][2]int64 // stream offset that comes next, by leg and direction
	ended [2][2]bool
	whole [2][2]bool  // a frame ends with the last byte, as far as is known
	notes [2][]string // comments for the leg's next packet
	carry *carry      // of a ring: what is needed to begin once more
}

// newSection writes a section's head at the end of a file that has size bytes.
func newSection(to partsWriter, file io.Closer, size int64, version string) (*section, error) {
	s := &section{out: newOutput(to, size), file: file, version: version, conns: map[inspect.ConnID]*recorded{}}
	return s, s.begin("")
}

// newRing is a section in the first segment of a ring.
func newRing(o Options) (*section, error) {
	r, err := createRing(o.Path, o.Title, o.Limit)
	if err != nil {
		return nil, err
	}
	s := &section{out: newOutput(r, 0), ring: r, version: o.Version, conns: map[inspect.ConnID]*recorded{}}
	if err := s.beginSegment(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return s, nil
}

// close lets go of the file. The system may still keep it from the disk: what is
// promised is that it outlives the process, not the machine.
func (s *section) close() error {
	if s.ring != nil {
		return s.ring.close()
	}
	return s.file.Close()
}

// abandon closes the file from another goroutine, under a write that does not end.
// A ring is on a disk, where no close ends a write.
func (s *section) abandon() {
	if s.file != nil {
		_ = s.file.Close() // the write that it ends tells
	}
}

// begin writes the head: the section and its two interfaces.
func (s *section) begin(comment string) error {
	leg := func(l inspect.Leg) pcapgo.NgInterface {
		return pcapgo.NgInterface{Name: l.String(), LinkType: layers.LinkTypeRaw, TimestampResolution: 9,
			Description: map[inspect.Leg]string{inspect.ClientLeg: "client and wsproxy", inspect.ServerLeg: "wsproxy and server"}[l]}
	}
	options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: application + s.version, Comment: comment}}
	ng, err := pcapgo.NewNgWriterInterface(s.out, leg(inspect.ClientLeg), options)
	if err != nil {
		return err
	}
	if _, err = ng.AddInterface(leg(inspect.ServerLeg)); err != nil {
		return err
	}
	if err := ng.Flush(); err != nil {
		return err
	}
	return s.out.write()
}

// bytes is about how long the file is; what is still in the buffer is not in it.
func (s *section) bytes() int64 { return s.out.n.Load() }

func (s *section) flush() {
	if s.err == nil {
		s.err = s.out.write()
	}
	if s.err == nil && s.ring != nil {
		s.err = s.ring.publish()
	}
}

func (s *section) op(o *op, data []byte) {
	if s.err != nil || s.stopped {
		return
	}
	switch o.kind {
	case opOpen:
		s.open(o.other.info)
	case opChunk:
		s.chunk(o.chunk(data))
	case opNote:
		s.note(o.other.note)
	case opEnd:
		s.end(o.other.ended, o.other.lost)
	}
}

func (s *section) open(info inspect.ConnInfo) {
	r := &recorded{}
	if s.ring != nil {
		r.carry = newCarry(info, s.ring.seq)
	}
	s.conns[info.ID] = r
	note := inspect.NewNote(info.ID, inspect.ClientLeg, inspect.ToServer, info.Time, inspect.NoteLeg,
		inspect.LegNote{Kind: inspect.NoteLeg, Leg: inspect.ClientLeg, ConnInfo: info})
	s.syn(r, inspect.ClientLeg, newConversation(info.ID, info.Client.Remote, info.Client.Local), note)
}

// syn opens a leg: SYN with its note, SYN+ACK.
func (s *section) syn(r *recorded, l inspect.Leg, c *conversation, n inspect.Note) {
	r.legs[l] = c
	c.bare = s.ring != nil // a quarter of the writer's work, for what is seldom kept; who saves it makes them
	r.notes[l] = append([]string{comment(n.JSON)}, r.notes[l]...)
	s.packet(r, l, n.Time, tcp{dir: inspect.ToServer, flags: flagSyn})
	s.packet(r, l, n.Time, tcp{dir: inspect.ToClient, flags: flagSyn | flagAck})
	c.open = true
}

// comment is a note as the text of a packet comment.
func comment(js []byte) string {
	if len(js)+len(commentPrefix) > maxComment {
		var k struct {
			Kind string `json:"kind"`
		}
		_ = json.Unmarshal(js, &k) // a note always has its kind
		js, _ = json.Marshal(map[string]any{"kind": k.Kind, "too_long": len(js)})
	}
	return commentPrefix + string(js)
}

// tcp is what a segment of a leg says.
type tcp struct {
	dir     inspect.Dir
	flags   byte
	payload []byte
	missing int // bytes behind the payload that are not kept
}

// packet writes a segment of a leg with the comments that wait for it.
func (s *section) packet(r *recorded, l inspect.Leg, t time.Time, p tcp) {
	if s.ring != nil && s.err == nil {
		s.makeRoom(len(p.payload), r.notes[l])
		s.used += packetSize(len(p.payload), r.notes[l])
	}
	if s.err != nil {
		return
	}
	if s.start.IsZero() {
		s.start = t
	}
	s.last = t
	s.head = r.legs[l].head(s.head[:0], p)
	s.err = s.out.packet(l, t, r.notes[l], ipPacket{s.head, p.payload, p.missing})
	r.notes[l] = nil
	s.packets++
	s.perLeg[l]++
}

func (s *section) chunk(c inspect.Chunk) {
	r := s.conns[c.Conn]
	if r == nil || r.legs[c.Leg] == nil || r.ended[c.Leg][c.Dir] {
		return
	}
	off := &r.off[c.Leg][c.Dir]
	data, missing := c.Data, c.Gap
	for first := true; (len(data) > 0 || missing > 0) && s.err == nil; first = false {
		n := min(len(data), maxSegment)
		gap := 0
		if n == len(data) {
			gap = int(min(missing, int64(maxSegment-n)))
		}
		// A segment that ends here ends before anything is said of this piece.
		if s.ring != nil {
			s.makeRoom(n+notesRoom, r.notes[c.Leg])
		}
		if first {
			s.before(r, &c)
		}
		s.packet(r, c.Leg, c.Time, tcp{c.Dir, flagPsh | flagAck, data[:n], gap})
		piece := data[:n]
		data, missing = data[n:], missing-int64(gap)
		if *off += int64(n + gap); r.carry != nil {
			r.carry.wrote(&c, piece, len(data) == 0 && missing == 0)
		}
	}
	r.whole[c.Leg][c.Dir] = c.Whole
}

// before notes what is to be said of a chunk in front of its first packet: the
// hole before it, and where a frame begins.
func (s *section) before(r *recorded, c *inspect.Chunk) {
	r.gap(c.Leg, c.Dir, c.Off)
	if r.carry != nil {
		r.carry.mark(r, c, s.ring.seq)
	}
}

// gap notes that bytes before off are not recorded, if so. Where the hole may begin
// inside a frame the sequence numbers have it too, so that Wireshark takes what
// follows for no part of that; of the server leg nearly all is left out on purpose.
func (r *recorded) gap(l inspect.Leg, d inspect.Dir, off int64) {
	if n := off - r.off[l][d]; n > 0 {
		js := marshal(inspect.GapNote{Kind: inspect.NoteGap, Dir: d, Bytes: n})
		r.notes[l] = append(r.notes[l], comment(js))
		if l == inspect.ClientLeg && !r.whole[l][d] {
			r.legs[l].seq[d] += uint32(n)
		}
	}
	r.off[l][d] = off
}

func (s *section) note(n inspect.Note) {
	r := s.conns[n.Conn]
	if r == nil {
		return
	}
	if n.Kind == inspect.NoteLeg && n.Leg == inspect.ServerLeg {
		var leg inspect.LegNote
		if json.Unmarshal(n.JSON, &leg) == nil && leg.Server != nil && r.legs[n.Leg] == nil {
			s.syn(r, n.Leg, newConversation(n.Conn, leg.Server.Local, leg.Server.Remote), n)
		}
		return
	}
	r.notes[n.Leg] = append(r.notes[n.Leg], comment(n.JSON))
}

// endedNote is an Ended as it stands in a comment.
type endedNote struct {
	Kind  string      `json:"kind"`
	Leg   inspect.Leg `json:"leg"`
	Dir   inspect.Dir `json:"dir"`
	How   inspect.End `json:"how"`
	Bytes int64       `json:"bytes"` // in this direction of this leg, recorded or not
	Error string      `json:"error,omitempty"`
}

// end writes a FIN, or an RST, with how the direction ended, and with what was
// lost before it. A note that still waits for a packet goes with it.
func (s *section) end(e inspect.Ended, lost bool) {
	r := s.conns[e.Conn]
	if r == nil || r.legs[e.Leg] == nil {
		return
	}
	if ended := r.ended[e.Leg]; ended[e.Dir] && (e.How != inspect.Rst || ended[e.Dir.Other()]) {
		return // an RST may follow a FIN
	}
	if lost {
		r.gap(e.Leg, e.Dir, e.Off)
	}
	n := inspect.NewNote(e.Conn, e.Leg, e.Dir, e.Time, inspect.NoteEnded,
		endedNote{inspect.NoteEnded, e.Leg, e.Dir, e.How, e.Off, e.Error})
	r.notes[e.Leg] = append(r.notes[e.Leg], comment(n.JSON))
	flags := byte(flagFin | flagAck)
	if e.How == inspect.Rst {
		flags = flagRst | flagAck
	}
	s.packet(r, e.Leg, e.Time, tcp{dir: e.Dir, flags: flags})
	r.ended[e.Leg][e.Dir] = true
	if e.How == inspect.Rst {
		r.ended[e.Leg] = [2]bool{true, true}
	}
	if r.over() {
		delete(s.conns, e.Conn)
	}
}

func (r *recorded) over() bool {
	for l, c := range r.legs {
		if c != nil && !(r.ended[l][0] && r.ended[l][1]) {
			return false
		}
	}
	return true
}

// stop ends the section early, and says why in it if that can still be written.
func (s *section) stop(why string) {
	s.stopped = true
	s.statistics(inspect.StoppedNote{Kind: inspect.NoteStopped, Why: why})
}

func (s *section) finish() {
	if !s.stopped {
		s.statistics(struct {
			Kind string `json:"kind"`
		}{inspect.NoteFinished})
	}
	s.flush()
}

// statistics writes the interfaces' statistics, each with the note of how the
// recording ended: pcapgo writes no comment there.
func (s *section) statistics(note any) {
	js, err := json.Marshal(note)
	if s.flush(); s.err == nil {
		s.err = err
	}
	defer s.flush()
	for l, packets := range s.perLeg {
		if s.err != nil {
			return
		}
		_, s.err = s.out.Write(statisticsBlock(uint32(l), s.start, s.last, packets, comment(js)))
	}
}

// statisticsBlock is an Interface Statistics Block (pcapng section 4.6).
func statisticsBlock(iface uint32, start, end time.Time, packets uint64, comment string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, blockStatistics)
	b = le.AppendUint32(b, 0) // its length, below
	b = le.AppendUint32(b, iface)
	b = appendTime(b, end)
	option := func(code int, value []byte) {
		b = le.AppendUint16(b, uint16(code))
		b = le.AppendUint16(b, uint16(len(value)))
		b = append(b, value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	option(optComment, []byte(comment))
	if !start.IsZero() {
		option(optStatStart, appendTime(nil, start))
		option(optStatEnd, appendTime(nil, end))
	}
	option(optStatReceived, le.AppendUint64(nil, packets))
	option(optEnd, nil)
	b = le.AppendUint32(b, uint32(len(b)+4))
	le.PutUint32(b[4:], uint32(len(b)))
	return b
}

// appendTime writes a time as pcapng does: the high half first, in nanoseconds.
func appendTime(b []byte, t time.Time) []byte {
	var ns uint64
	if !t.IsZero() {
		ns = uint64(t.UnixNano())
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(ns>>32))
	return binary.LittleEndian.AppendUint32(b, uint32(ns))
}
