package record

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// A scenario is a session of the differential tests: what is said, worked out with nothing of
// ours but Header, and how it is recorded.
type scenario struct {
	info    inspect.ConnInfo
	server  *inspect.Endpoints // not nil: the server leg is recorded whole
	seed    uint64
	clean   bool // breaks no rule
	glued   bool // frames stand in the heads' own segments
	deflate bool
	noTake  [2]bool // by Dir: no context takeover
	before  int     // exchanges before the upgrade
	frames  [2][]saidFrame
	said    [2][]saidMessage
	chunks  []inspect.Chunk // of the client leg, in order
	ends    [2]inspect.End
}

// saidFrame is a frame: header and unmasked payload.
type saidFrame struct {
	header  inspect.Header
	payload []byte
}

func (f *saidFrame) bytes() []byte {
	b := f.header.Append(nil)
	at := len(b)
	b = append(b, f.payload...)
	if f.header.Masked() {
		key := f.header.Key()
		for i := range b[at:] {
			b[at+i] ^= key[i%4]
		}
	}
	return b
}

// saidMessage is a whole message, not compressed.
type saidMessage struct {
	opcode     inspect.Opcode
	data       []byte
	compressed bool
	fragments  int
	emptyEdge  bool // the first or the last of them has no bytes
	behind     bool // for tshark: a fragment stands before it in its segment
}

const nonce = "dGhlIHNhbXBsZSBub25jZQ=="

// speaker makes a random session.
type speaker struct {
	r  *rand.Rand
	s  *scenario
	zs [2]*flate.Writer
	zb [2]bytes.Buffer
}

// newScenario says a few dozen frames each way, the same ones for the same seed.
func newScenario(seed uint64, clean bool) *scenario {
	t := &speaker{r: rand.New(rand.NewPCG(seed, 4)), s: &scenario{seed: seed, clean: clean}}
	s := t.s
	s.info = conn(inspect.ConnID(1000 + seed))
	// Each leg has addresses of its own: tshark 4.0 tells fragments apart by
	// addresses alone, and joins those of two connections, or directions.
	s.info.Client = inspect.Endpoints{Local: "127.0.0.1:8080", Remote: fmt.Sprintf("127.1.%d.%d:40001", seed/200, 2+seed%200)}
	if t.chance(3) {
		s.info.Client = inspect.Endpoints{Local: "[fd00::1]:9001", Remote: fmt.Sprintf("[fd00::1:%x]:40001", seed)}
	}
	if t.chance(4) {
		s.server = &inspect.Endpoints{Local: fmt.Sprintf("127.2.%d.%d:40001", seed/200, 2+seed%200), Remote: "127.0.0.1:3000"}
	}
	s.glued, s.deflate = t.chance(6), !t.chance(3)
	s.noTake = [2]bool{t.chance(3), t.chance(3)}
	s.before = t.r.IntN(3)
	for d := range s.frames {
		for n := 5 + t.r.IntN(25); n > 0; n-- {
			t.message(inspect.Dir(d))
			for !clean && t.chance(4) {
				t.violation(inspect.Dir(d))
			}
		}
		t.control(inspect.Dir(d), inspect.OpClose, append([]byte{3, 0xe8}, "bye"...))
		s.ends[d] = inspect.Fin
		if !clean && t.chance(2) {
			t.violation(inspect.Dir(d)) // data after Close
		}
	}
	if !clean && t.chance(4) {
		s.ends[t.r.IntN(2)] = inspect.Rst
	}
	t.cut()
	return s
}

// chance is true once in n times.
func (t *speaker) chance(n int) bool { return t.r.IntN(n) == 0 }

func (t *speaker) frame(d inspect.Dir, f inspect.Fields, payload []byte) {
	f.Masked = f.Masked || d == inspect.ToServer
	f.Length = uint64(len(payload))
	if f.Masked && !t.chance(8) { // zero keys are legal
		binary.BigEndian.PutUint32(f.Key[:], t.r.Uint32())
	}
	t.s.frames[d] = append(t.s.frames[d], saidFrame{inspect.NewHeader(f), payload})
}

func (t *speaker) control(d inspect.Dir, op inspect.Opcode, payload []byte) {
	t.frame(d, inspect.Fields{Fin: true, Opcode: op}, payload)
	t.s.said[d] = append(t.s.said[d], saidMessage{opcode: op, data: payload, fragments: 1})
}

// message says a data message: any size, perhaps compressed, perhaps in
// fragments with control frames between them.
func (t *speaker) message(d inspect.Dir) {
	m := saidMessage{opcode: inspect.OpText, data: t.text(), fragments: 1}
	if t.chance(3) {
		m.opcode = inspect.OpBinary
		for i := range m.data {
			m.data[i] ^= byte(t.r.Uint32()) & 3
		}
	}
	wire := m.data
	if t.s.deflate && !t.chance(4) {
		m.compressed = true
		wire = t.compress(d, m.data)
	}
	if t.chance(4) {
		m.fragments = 2 + t.r.IntN(3)
	}
	for i := range m.fragments {
		n := len(wire)
		if i < m.fragments-1 {
			n = t.r.IntN(len(wire) + 1)
		}
		f := inspect.Fields{Fin: i == m.fragments-1, Rsv1: m.compressed && i == 0}
		if i == 0 {
			f.Opcode = m.opcode
		}
		t.frame(d, f, wire[:n])
		m.emptyEdge = m.emptyEdge || n == 0 && (i == 0 || f.Fin)
		wire = wire[n:]
		if !f.Fin && t.chance(2) {
			t.control(d, inspect.OpPing+inspect.Opcode(t.r.IntN(2)), []byte("between")[:t.r.IntN(8)])
		}
	}
	t.s.said[d] = append(t.s.said[d], m)
}

// text is ASCII of any length up to a few segments, with repetitions.
func (t *speaker) text() []byte {
	n := t.r.IntN(200)
	switch t.r.IntN(12) {
	case 0:
		n = 0
	case 1:
		n = 120 + t.r.IntN(12)
	case 2:
		n = 65530 + t.r.IntN(12)
	}
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, `{"type":"trade","id":%d,"price":%d}`, t.r.IntN(50), t.r.Uint32())
	}
	return []byte(b.String()[:n])
}

// compress is RFC 7692 section 7.2.1, with the standard library's writer.
func (t *speaker) compress(d inspect.Dir, data []byte) []byte {
	b := &t.zb[d]
	b.Reset()
	if t.zs[d] == nil {
		t.zs[d], _ = flate.NewWriter(b, 2+t.r.IntN(8)) // the level is valid
	} else if t.s.noTake[d] {
		t.zs[d].Reset(b)
	}
	_, _ = t.zs[d].Write(data) // a buffer takes everything
	_ = t.zs[d].Flush()
	if len(data) == 0 {
		return []byte{0} // section 7.2.3.6
	}
	return bytes.Clone(bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff}))
}

// violation says a frame that no endpoint may send, none that hides where the
// next frame begins.
func (t *speaker) violation(d inspect.Dir) {
	some := []byte("violation")
	switch t.r.IntN(9) {
	case 0:
		t.frame(d, inspect.Fields{Fin: true, Opcode: inspect.OpText, Rsv2: true, Rsv3: t.chance(2)}, some)
	case 1:
		t.frame(d, inspect.Fields{Fin: true, Opcode: []inspect.Opcode{3, 7, 11, 15}[t.r.IntN(4)]}, some)
	case 2:
		t.frame(d, inspect.Fields{Fin: true, Opcode: inspect.OpPing}, bytes.Repeat(some, 15))
	case 3:
		t.frame(d, inspect.Fields{Opcode: inspect.OpPong}, some)
	case 4:
		t.frame(d, inspect.Fields{Fin: true, Opcode: inspect.OpText, Form: 16 << (2 * t.r.IntN(2))}, some)
	case 5:
		t.frame(d, inspect.Fields{Fin: true, Opcode: inspect.OpContinuation}, some)
	case 6:
		t.frame(d, inspect.Fields{Fin: true, Opcode: inspect.OpText}, []byte("\xffnot UTF-8\xc0"))
	case 7:
		code := []uint16{0, 999, 1005, 1006, 1015, 5000}[t.r.IntN(6)]
		t.frame(d, inspect.Fields{Fin: true, Opcode: inspect.OpClose}, binary.BigEndian.AppendUint16(nil, code))
	case 8:
		f := inspect.Fields{Fin: true, Opcode: inspect.OpText, Length: uint64(len(some))}
		f.Masked = d == inspect.ToClient // unmasked from the client, masked from the server
		t.s.frames[d] = append(t.s.frames[d], saidFrame{inspect.NewHeader(f), some})
	}
}

// extension is what both heads say of permessage-deflate.
func (s *scenario) extension() string {
	if !s.deflate {
		return ""
	}
	e := "Sec-WebSocket-Extensions: permessage-deflate"
	if s.noTake[inspect.ToServer] {
		e += "; client_no_context_takeover"
	}
	if s.noTake[inspect.ToClient] {
		e += "; server_no_context_takeover"
	}
	return e + "\r\n"
}

func (s *scenario) request() string {
	return "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + nonce + "\r\n" + s.extension() + "\r\n"
}

func (s *scenario) answer() string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + inspect.AcceptKey(nonce) + "\r\n" + s.extension() + "\r\n"
}

// stream is everything that is sent in a direction behind the heads.
func (s *scenario) stream(d inspect.Dir) []byte {
	var b []byte
	for i := range s.frames[d] {
		b = append(b, s.frames[d][i].bytes()...)
	}
	return b
}

// cut makes the chunks: exchanges, heads, and the two streams mixed.
func (t *speaker) cut() {
	s := t.s
	at := t0
	var off [2]int64
	add := func(d inspect.Dir, b []byte) {
		at = at.Add(time.Duration(1+t.r.IntN(1e6)) * time.Microsecond)
		s.chunks = append(s.chunks, inspect.Chunk{Conn: s.info.ID, Dir: d, Time: at, Off: off[d], Data: b})
		off[d] += int64(len(b))
	}
	for i := range s.before {
		add(inspect.ToServer, fmt.Appendf(nil, "POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody", i))
		add(inspect.ToClient, []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	}
	left := [2][]byte{s.stream(0), s.stream(1)}
	for d, head := range []string{s.request(), s.answer()} {
		b := []byte(head)
		if s.glued {
			n := min(len(left[d]), 1+t.r.IntN(300))
			b = append(b, left[d][:n]...)
			left[d] = left[d][n:]
		}
		add(inspect.Dir(d), b)
	}
	for len(left[0])+len(left[1]) > 0 {
		d := t.r.IntN(2)
		n := min(len(left[d]), 1+t.r.IntN(1<<t.r.IntN(17)))
		if n > 0 {
			add(inspect.Dir(d), left[d][:n])
			left[d] = left[d][n:]
		}
	}
}

// record tells a sink the session's next chunk; false: it has been told to its end.
func (s *scenario) record(sink inspect.Sink) bool {
	if len(s.chunks) == 0 {
		return false
	}
	if s.chunks[0].Dir == 0 && s.chunks[0].Off == 0 {
		sink.Open(s.info)
		if s.server != nil {
			sink.Note(inspect.NewNote(s.info.ID, inspect.ServerLeg, 0, t0, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg,
				Leg: inspect.ServerLeg, ConnInfo: inspect.ConnInfo{ID: s.info.ID}, Server: s.server}))
		}
	}
	c := s.chunks[0]
	s.chunks = s.chunks[1:]
	sink.Chunk(c)
	if s.server != nil {
		c.Leg = inspect.ServerLeg
		sink.Chunk(c)
	}
	if len(s.chunks) == 0 {
		s.end(sink, inspect.ClientLeg)
		if s.server != nil {
			s.end(sink, inspect.ServerLeg)
		}
	}
	return true
}

func (s *scenario) end(sink inspect.Sink, l inspect.Leg) {
	at := t0.Add(time.Hour)
	for d, how := range s.ends {
		sink.End(inspect.Ended{Conn: s.info.ID, Leg: l, Dir: inspect.Dir(d), How: how, Time: at})
	}
}
