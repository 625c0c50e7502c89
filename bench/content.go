package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/klauspost/compress/flate"
	"github.com/wsproxy/wsproxy/inspect"
)

// content is what messages say and how that is checked. One direction of one
// connection has its own; what it compares with is shared.
type content interface {
	// appendFrame appends message seq as one frame.
	appendFrame(b []byte, seq uint64) []byte
	// piece takes payload bytes of the message that is arriving.
	piece(p []byte)
	// end says which message has arrived, where next was expected, and whether
	// it is what was sent.
	end(next uint64, compressed bool) (seq uint64, intact bool)
}

// clientKey masks all that clients send. Real ones draw a key for each frame,
// which costs the generator time and a proxy nothing.
var clientKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// steps is how many different payloads there are, one after the other.
const steps = 64

// pattern is binary messages of one size: the sequence number (at most 2^32) in eight
// bytes, then a stretch of random bytes that begins where the number says.
type pattern struct {
	size         int
	header       []byte
	mask         uint64 // of the sequence number
	pool, masked []byte // masked is what goes out

	pos  int // in the message that arrives
	seq  [8]byte
	from []byte // its stretch of the pool
	bad  bool
}

// newPattern is for messages of at least eight bytes.
func newPattern(size int, masked bool) *pattern {
	p := &pattern{size: size, pool: make([]byte, size+8*steps)}
	r := rand.New(rand.NewPCG(uint64(size), 1))
	for i := range p.pool {
		p.pool[i] = byte(r.Uint32())
	}
	p.masked = p.pool
	f := inspect.Fields{Fin: true, Opcode: inspect.OpBinary, Length: uint64(size)}
	if masked {
		f.Masked, f.Key = true, clientKey
		p.masked = bytes.Clone(p.pool)
		inspect.Mask(clientKey, 0, p.masked)
		p.mask = binary.LittleEndian.Uint64(append(clientKey[:], clientKey[:]...))
	}
	p.header = inspect.NewHeader(f).Raw()
	return p
}

// another checks a stream of its own against the same bytes.
func (p *pattern) another() *pattern {
	q := *p
	q.pos, q.bad, q.from = 0, false, nil
	return &q
}

// number is how a sequence number is written: 32 bits of it, and as many that follow
// from them, so that no altered one passes for another.
func number(seq uint64) uint64 { return uint64(uint32(seq)) | uint64(uint32(seq)*0x9e3779b1)<<32 }

// offset is where message seq begins in the pool: a multiple of 4, so that the
// mask's phase is the same everywhere.
func offset(seq uint64) int { return int(seq%steps) * 8 }

func (p *pattern) appendFrame(b []byte, seq uint64) []byte {
	b = p.appendHead(b, seq)
	return append(b, p.tail(seq)...)
}

// appendHead and tail are a frame in two parts, so that a large one need not be copied.
func (p *pattern) appendHead(b []byte, seq uint64) []byte {
	b = append(b, p.header...)
	return binary.LittleEndian.AppendUint64(b, number(seq)^p.mask)
}

func (p *pattern) tail(seq uint64) []byte {
	off := offset(seq)
	return p.masked[off+8 : off+p.size]
}

func (p *pattern) piece(b []byte) {
	if p.pos < 8 {
		n := copy(p.seq[p.pos:], b)
		p.pos += n
		b = b[n:]
		if p.pos == 8 {
			off := offset(binary.LittleEndian.Uint64(p.seq[:])) // of a wrong number: some stretch
			p.from = p.pool[off : off+p.size]
		}
	}
	if len(b) == 0 {
		return
	}
	if p.pos+len(b) > p.size || !bytes.Equal(b, p.from[p.pos:p.pos+len(b)]) {
		p.bad = true
	}
	p.pos += len(b)
}

func (p *pattern) end(uint64, bool) (uint64, bool) {
	written := binary.LittleEndian.Uint64(p.seq[:])
	seq := uint64(uint32(written))
	intact := p.pos == p.size && !p.bad && written == number(seq)
	p.pos, p.bad = 0, false
	return seq, intact
}

// texts are compressed JSON messages of one size, each of which stands for itself:
// they are right with and without context takeover.
type texts struct {
	plain  [][]byte
	packed [][]byte
	frames [][]byte // as clients send them

	got  []byte
	open *inspect.Inflater // once something came that was compressed by someone else
}

func newTexts(size int, compressed bool) (*texts, error) {
	t := &texts{}
	r := rand.New(rand.NewPCG(uint64(size), 2))
	for i := range steps {
		text := jsonText(i, size, r)
		f := inspect.Fields{Fin: true, Rsv1: compressed, Opcode: inspect.OpText, Masked: true, Key: clientKey}
		payload, err := deflate(text)
		if err != nil {
			return nil, err
		}
		t.plain, t.packed = append(t.plain, text), append(t.packed, bytes.Clone(payload))
		if !compressed {
			payload = bytes.Clone(text)
		}
		inspect.Mask(clientKey, 0, payload)
		f.Length = uint64(len(payload))
		t.frames = append(t.frames, append(inspect.NewHeader(f).Raw(), payload...))
	}
	return t, nil
}

// jsonText looks like what applications send: names that repeat, values that do not.
func jsonText(i, size int, r *rand.Rand) []byte {
	b := fmt.Appendf(nil, `{"n":%d,"items":[`, i)
	for len(b) < size-120 {
		b = fmt.Appendf(b, `{"id":%d,"price":%d.%02d,"side":"buy","name":"item-%x"},`, r.IntN(1e6), r.IntN(1000), r.IntN(100), r.Uint32())
	}
	b = append(b, `{}],"pad":"`...)
	b = append(b, bytes.Repeat([]byte("."), max(size-len(b)-2, 0))...)
	return append(b, `"}`...)
}

// deflate is RFC 7692 section 7.2.1: a sync flush, without its last four bytes.
func deflate(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 6)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff}), nil
}

// another checks a stream of its own against the same texts.
func (t *texts) another() *texts { return &texts{plain: t.plain, packed: t.packed, frames: t.frames} }

func (t *texts) appendFrame(b []byte, seq uint64) []byte { return append(b, t.frames[seq%steps]...) }

func (t *texts) piece(p []byte) { t.got = append(t.got, p...) }

func (t *texts) end(next uint64, compressed bool) (uint64, bool) {
	defer func() { t.got = t.got[:0] }()
	all, got := t.plain, t.got
	if compressed {
		all = t.packed
		if t.open != nil || !bytes.Equal(got, all[next%steps]) && find(all, got, next) < 0 {
			all = t.plain
			if t.open == nil {
				t.open = inspect.NewInflater(true, 15, 1<<20)
			}
			var err error
			if got, _, err = t.open.Message(got); err != nil {
				return next, false
			}
		}
	}
	if n := find(all, got, next); n >= 0 {
		return next + uint64(n), true
	}
	return next, false
}

// find answers how far behind next the message is; -1: it is none of them.
func find(all [][]byte, got []byte, next uint64) int {
	for n := range steps {
		if bytes.Equal(got, all[(next+uint64(n))%steps]) {
			return n
		}
	}
	return -1
}
