package replay

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"math/rand/v2"

	kflate "github.com/klauspost/compress/flate"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// encoder makes frames of one side's lines.
type encoder struct {
	side     inspect.Dir      // ToServer: the client's, which are masked
	deflate  *inspect.Deflate // nil: nothing is compressed
	deflater *deflater
}

// frames are a line's bytes, a slice a frame; an End has none.
func (e *encoder) frames(l *cassette.Line) ([][]byte, error) {
	switch l.Kind {
	case cassette.JSON, cassette.Text:
		return e.message(inspect.OpText, l)
	case cassette.Binary:
		return e.message(inspect.OpBinary, l)
	case cassette.Ping:
		return [][]byte{e.control(inspect.OpPing, l.Data)}, nil
	case cassette.Pong:
		return [][]byte{e.control(inspect.OpPong, l.Data)}, nil
	case cassette.Close:
		return [][]byte{e.closeFrame(l.Code, l.Reason)}, nil
	case cassette.Raw:
		if h, ok := inspect.ParseHeader(l.Data); ok && h.Rsv1() && e.deflater != nil {
			e.deflater.forget() // the client's window may hold what is not in ours
		}
		return [][]byte{l.Data}, nil
	}
	return nil, nil
}

func (e *encoder) message(op inspect.Opcode, l *cassette.Line) ([][]byte, error) {
	lengths := l.Frames
	if len(lengths) == 0 {
		lengths = []int{len(l.Data)}
	}
	data, compressed := l.Data, l.Compressed && e.deflate != nil
	if compressed {
		var err error
		if data, err = e.compress(data); err != nil {
			return nil, err
		}
	}
	// The lengths in a cassette may be edited, and the data too.
	lengths = cassette.Proportion(len(data), lengths)
	frames := make([][]byte, 0, len(lengths))
	for i, n := range lengths {
		frames = append(frames, e.frame(inspect.Fields{Fin: i == len(lengths)-1, Opcode: op, Rsv1: compressed && i == 0}, data[:n]))
		data, op = data[n:], inspect.OpContinuation
	}
	return frames, nil
}

func (e *encoder) compress(data []byte) ([]byte, error) {
	if e.deflater == nil {
		d, err := newDeflater(e.deflate.WindowBits(e.side))
		if err != nil {
			return nil, err
		}
		e.deflater = d
	}
	if !e.deflate.Takeover(e.side) {
		e.deflater.forget()
	}
	return e.deflater.message(data)
}

// frame is one frame. A client's has a random key (RFC 6455 section 5.3).
func (e *encoder) frame(f inspect.Fields, payload []byte) []byte {
	f.Length, f.Masked = uint64(len(payload)), e.side == inspect.ToServer
	if f.Masked {
		binary.LittleEndian.PutUint32(f.Key[:], rand.Uint32())
	}
	h := inspect.NewHeader(f)
	b := append(h.Append(make([]byte, 0, h.Len()+len(payload))), payload...)
	if f.Masked {
		inspect.Mask(f.Key, 0, b[h.Len():])
	}
	return b
}

func (e *encoder) control(op inspect.Opcode, payload []byte) []byte {
	return e.frame(inspect.Fields{Fin: true, Opcode: op}, payload)
}

func (e *encoder) closeFrame(code inspect.CloseCode, reason string) []byte {
	if code == inspect.NoStatus {
		return e.control(inspect.OpClose, nil)
	}
	return e.control(inspect.OpClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// deflateLevel refers back across messages however short they are, which
// klauspost's levels do not: they forget the window at a flush below 128 bytes.
const deflateLevel = 6

// deflater compresses the messages of one direction (RFC 7692 section 7.2.1).
type deflater struct {
	out bytes.Buffer
	w   deflateWriter
}

type deflateWriter interface {
	Write([]byte) (int, error)
	Flush() error
}

// newDeflater makes a deflater with a window of so many bits, 8 to 15. The
// standard library has only the largest.
func newDeflater(bits int) (*deflater, error) {
	d := &deflater{}
	var err error
	if bits < 15 {
		d.w, err = kflate.NewWriterWindow(&d.out, 1<<bits)
	} else {
		d.w, err = flate.NewWriter(&d.out, deflateLevel)
	}
	return d, err
}

// forget makes the next message refer to nothing before it.
func (d *deflater) forget() {
	switch w := d.w.(type) {
	case *flate.Writer:
		w.Reset(&d.out)
	case *kflate.Writer:
		w.Reset(&d.out)
	}
}

// message compresses one message; the answer is valid until the next call.
func (d *deflater) message(data []byte) ([]byte, error) {
	d.out.Reset()
	if _, err := d.w.Write(data); err != nil {
		return nil, err
	}
	if err := d.w.Flush(); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(d.out.Bytes(), []byte{0, 0, 0xff, 0xff}), nil
}
