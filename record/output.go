package record

import (
	"encoding/binary"
	"io"
	"sync/atomic"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Sizes of what is gathered before it is written, and bounds on the pieces of it.
const (
	outputSize  = 256 << 10
	longPayload = 4 << 10 // is written from where it lies
	maxParts    = 512     // of one write; systems take 1,024
)

// partsWriter writes byte slices one behind the other. *ring is one.
type partsWriter interface {
	writeParts(parts [][]byte) (n int, err error)
}

// output gathers the blocks of a section and writes them in large pieces. It
// belongs to the writing goroutine.
type output struct {
	to    partsWriter
	n     atomic.Int64 // bytes written; read by others
	buf   []byte       // what is gathered; never grows
	from  int          // where in buf begins what is in no part
	parts [][]byte     // slices of buf, and payloads that lie elsewhere
}

func newOutput(to partsWriter, size int64) *output {
	o := &output{to: to, buf: make([]byte, 0, outputSize)}
	o.n.Store(size)
	return o
}

// Write gathers b, which pcapgo's section head is written with.
func (o *output) Write(b []byte) (int, error) {
	if err := o.room(len(b)); err != nil {
		return 0, err
	}
	if len(b) > cap(o.buf) {
		o.parts = append(o.parts, b)
		return len(b), o.write()
	}
	o.buf = append(o.buf, b...)
	return len(b), nil
}

// room makes room for n bytes more, if there can be.
func (o *output) room(n int) error {
	if len(o.buf)+n <= cap(o.buf) && len(o.parts) < maxParts {
		return nil
	}
	return o.write()
}

// settle writes what lies elsewhere, before that changes.
func (o *output) settle() error {
	if len(o.parts) == 0 {
		return nil
	}
	return o.write()
}

// write writes all that is gathered.
func (o *output) write() error {
	if o.from < len(o.buf) {
		o.parts = append(o.parts, o.buf[o.from:])
	}
	if len(o.parts) == 0 {
		return nil
	}
	n, err := o.to.writeParts(o.parts)
	o.n.Add(int64(n))
	clear(o.parts)
	o.parts, o.buf, o.from = o.parts[:0], o.buf[:0], 0
	return err
}

// ipPacket is an IP packet: its headers, its payload, which must stay as it is
// until settle, and how many bytes behind that are left out.
type ipPacket struct {
	head, payload []byte
	missing       int
}

// packet gathers an Enhanced Packet Block (pcapng section 4.3).
func (o *output) packet(l inspect.Leg, t time.Time, comments []string, p ipPacket) error {
	head, payload := p.head, p.payload
	size := len(head) + len(payload)
	pad := -size & 3
	tail := pad + 4
	for i, c := range comments {
		if tail += 4 + (len(c)+3)&^3; i == 0 {
			tail += 4 // the end of the options
		}
	}
	total := 28 + size + tail
	need := 28 + len(head) + tail
	long := len(payload) >= longPayload
	if !long {
		need += len(payload)
	}
	if err := o.room(need); err != nil {
		return err
	}
	le := binary.LittleEndian
	ns := uint64(t.UnixNano())
	b := le.AppendUint32(o.buf, blockPacket)
	b = le.AppendUint32(b, uint32(total))
	b = le.AppendUint32(b, uint32(l))
	b = le.AppendUint32(b, uint32(ns>>32))
	b = le.AppendUint32(b, uint32(ns))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(size+p.missing))
	b = append(b, head...)
	if long {
		o.parts = append(o.parts, b[o.from:], payload)
		o.from = len(b)
	} else {
		b = append(b, payload...)
	}
	b = append(b, zeros[:pad]...)
	for _, c := range comments {
		b = le.AppendUint16(b, optComment)
		b = le.AppendUint16(b, uint16(len(c)))
		b = append(append(b, c...), zeros[:-len(c)&3]...)
	}
	if len(comments) > 0 {
		b = append(b, zeros[:4]...)
	}
	o.buf = le.AppendUint32(b, uint32(total))
	return nil
}

var zeros = [4]byte{}

// oneByOne writes parts to what can only take them singly.
type oneByOne struct{ io.Writer }

func (w oneByOne) writeParts(parts [][]byte) (n int, err error) {
	for _, p := range parts {
		k, err := w.Write(p)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
