package inspect

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// ErrLost says that a compressed message needs a window that is not known:
// bytes before it were not captured, or were damaged.
var ErrLost = errors.New("the compression window is lost")

// errNotWhole says that a message ends before its last deflate block does.
var errNotWhole = errors.New("the compressed message is not whole")

// maxInflated bounds what one message may be inflated to, to keep its window.
const maxInflated = 1 << 30

// keptOut is the largest buffer that an inflater keeps from message to message.
const keptOut = 256 << 10

// deflateTail is the empty stored block that a sender takes off each message
// (RFC 7692 section 7.2.1) and, so that the reader comes to an end, an empty
// final one.
var deflateTail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}

// Inflater inflates the compressed messages of one direction (RFC 7692 section
// 7.2.2). It is not safe for concurrent use.
type Inflater struct {
	takeover bool
	window   int // its size in bytes
	limit    int64

	dict []byte // what was inflated last, at least a window of it
	out  bytes.Buffer
	lost bool
}

// inflating is a reader with the message that it reads. It takes 35 KiB, so that
// it is an inflater's only while a message is inflated.
type inflating struct {
	src inflateSource
	r   io.ReadCloser
}

var inflaters = sync.Pool{New: func() any {
	i := new(inflating)
	i.r = flate.NewReader(&i.src)
	return i
}}

// read begins a message behind a window, which may be empty.
func (i *inflating) read(compressed, dict []byte) {
	i.src.set(compressed)
	// Reset fails only for a reader that is no Resetter's.
	_ = i.r.(flate.Resetter).Reset(&i.src, dict)
}

// NewInflater makes an inflater for a direction in which the window goes on from
// message to message (takeover) or not. windowBits is 8 to 15; limit is the
// most bytes that are kept of one message.
func NewInflater(takeover bool, windowBits int, limit int64) *Inflater {
	return &Inflater{takeover: takeover, window: 1 << windowBits, limit: limit}
}

// Lost says that bytes are missing: with context takeover nothing can be
// inflated from here on, since it would mostly succeed and be wrong.
func (f *Inflater) Lost() {
	if f.takeover {
		f.lost, f.dict = true, nil
	}
}

// IsLost says that no later message can be inflated.
func (f *Inflater) IsLost() bool { return f.lost }

// Window is a copy of the window that the next message may refer to; at most 32 KiB.
func (f *Inflater) Window() []byte { return bytes.Clone(f.tail()) }

// SetWindow makes w, what Window answered elsewhere, the window of the next message.
func (f *Inflater) SetWindow(w []byte) { f.dict, f.lost = bytes.Clone(w), false }

func (f *Inflater) tail() []byte { return f.dict[max(0, len(f.dict)-f.window):] }

// Message inflates a whole message: the unmasked payloads of its fragments, one
// behind the other. data is valid until the next call and at most the limit
// long; size is the message's true length. The error is ErrLost, or says what
// is wrong with the data; then size counts what could be inflated.
func (f *Inflater) Message(compressed []byte) (data []byte, size int64, err error) {
	if f.lost {
		return nil, 0, ErrLost
	}
	i := inflaters.Get().(*inflating)
	defer func() {
		i.src.set(nil)
		inflaters.Put(i)
	}()
	var dict []byte
	if f.takeover {
		dict = f.tail()
	}
	i.read(compressed, dict)
	if f.out.Reset(); f.out.Cap() > keptOut {
		f.out = bytes.Buffer{}
	}
	size, err = io.Copy(&f.out, io.LimitReader(i.r, f.limit))
	if err == nil && size == f.limit {
		f.keep(f.out.Bytes())
		var more int64
		more, err = f.skim(i.r, maxInflated-size)
		size += more
	} else if err == nil {
		f.keep(f.out.Bytes())
	}
	if err == nil && !i.src.drained() {
		// The sender ended its stream with a final block, which is allowed
		// (RFC 7692 section 7.2.3.4), and nothing may stand behind that but
		// the tail; or the tail was swallowed by a block that it did not end.
		err = i.src.rest()
	}
	if err != nil {
		f.Lost()
		return f.out.Bytes(), size, err
	}
	return f.out.Bytes(), size, nil
}

// skim inflates what is past the limit, for the window alone.
func (f *Inflater) skim(r io.Reader, most int64) (n int64, err error) {
	var b [32 << 10]byte
	for n < most {
		k, err := r.Read(b[:])
		n += int64(k)
		f.keep(b[:k])
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, errors.New("the message inflates to more than 1 GiB")
}

// keep appends to the window. Twice its size is kept, so that it need not be
// moved for each message.
func (f *Inflater) keep(b []byte) {
	if !f.takeover {
		return
	}
	if len(b) >= f.window {
		f.dict = append(f.dict[:0], b[len(b)-f.window:]...)
		return
	}
	if len(f.dict)+len(b) > 2*f.window {
		f.dict = append(f.dict[:0], f.tail()...)
	}
	f.dict = append(f.dict, b...)
}

// inflateSource is a message and the tail behind it, read byte by byte so that
// the reader takes no more than it needs.
type inflateSource struct {
	msg []byte
	pos int // in msg, then in the tail
}

func (s *inflateSource) set(msg []byte) { s.msg, s.pos = msg, 0 }

func (s *inflateSource) ReadByte() (byte, error) {
	p := s.pos
	if p < len(s.msg) {
		s.pos++
		return s.msg[p], nil
	}
	if p -= len(s.msg); p < len(deflateTail) {
		s.pos++
		return deflateTail[p], nil
	}
	return 0, io.EOF
}

func (s *inflateSource) Read(b []byte) (int, error) {
	for i := range b {
		c, err := s.ReadByte()
		if err != nil {
			if i > 0 {
				err = nil
			}
			return i, err
		}
		b[i] = c
	}
	return len(b), nil
}

// drained says that the stream came to its end where it should: in the tail.
func (s *inflateSource) drained() bool { return s.pos == len(s.msg)+len(deflateTail) }

// rest judges what the reader left behind a final block.
func (s *inflateSource) rest() error {
	if s.pos >= len(s.msg) {
		return nil // the final block ended the message, or within the tail
	}
	// RFC 7692 section 7.2.3.4: a sender that ends with a final block appends
	// an empty byte in place of the tail.
	if len(s.msg)-s.pos == 1 && s.msg[s.pos] == 0 {
		return nil
	}
	return errNotWhole
}
