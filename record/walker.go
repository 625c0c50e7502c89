package record

import (
	"encoding/binary"
	"errors"
	"io"
)

// Block types and option codes of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockSection    = 0x0A0D0D0A
	blockInterface  = 1
	blockSimple     = 3
	blockStatistics = 5
	blockPacket     = 6

	optEnd          = 0
	optComment      = 1
	optStatStart    = 2
	optStatEnd      = 3
	optStatReceived = 4
	optApplication  = 4 // of a section header
	optResolution   = 9 // of an interface
	optOffset       = 14

	byteOrderMagic = 0x1A2B3C4D
)

// maxBlock is the longest block that is believed. A packet of ours has at most
// 64 KiB and its comments; other writers stay far below this too.
const maxBlock = 16 << 20

// block is one pcapng block. body is valid until the next one is read.
type block struct {
	kind  uint32
	off   int64 // of the block in the file
	body  []byte
	order binary.ByteOrder
}

// walker reads the blocks of a pcapng file one by one. It knows its offset and
// can go on where it stopped once the file has grown.
type walker struct {
	r       io.ReaderAt
	ring    source // not nil: where to go on behind a segment, see next
	off     int64
	order   binary.ByteOrder // nil before the first section header
	buf     []byte
	head    [12]byte // of the block being read
	damage  int64    // bytes passed over because they are no block
	damaged int64    // where the first of them are
}

// errShort says that the file ends inside the block at the walker's offset.
var errShort = errors.New("the block is not whole")

// next reads the next block. io.EOF: the file ends behind a block. errShort: it
// ends inside one; calling again reads on if the file has grown. A *FormatError
// says that the file does not begin as pcapng. Damage costs the damaged block.
func (w *walker) next() (block, error) {
	b, err := w.read(w.off)
	for err == nil && b.kind == blockFiller { // nothing more comes in this segment
		to, ok := int64(0), false
		if w.ring != nil {
			to, ok = w.ring.after(w.off)
		}
		if !ok {
			return block{}, io.EOF
		}
		w.off = to
		b, err = w.read(w.off)
	}
	var bad *FormatError
	if err == nil {
		w.off += int64(len(b.body)) + 12
		return b, nil
	}
	if !errors.As(err, &bad) || w.order == nil {
		return block{}, err
	}
	return w.resync()
}

// read reads the block at off without moving on.
func (w *walker) read(off int64) (block, error) {
	head := &w.head
	n, err := w.r.ReadAt(head[:], off)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return block{}, err // also of the first block: a ring may have overtaken its reader
	case n == 0 && err != nil:
		return block{}, io.EOF
	}
	order := w.order
	if n >= 4 && binary.LittleEndian.Uint32(head[:]) == blockSection {
		if n < 12 {
			return block{}, short(err)
		}
		if order = byteOrder(head[8:]); order == nil {
			return block{}, &FormatError{off}
		}
	}
	if order == nil {
		if n < 4 && errors.Is(err, io.EOF) {
			return block{}, errShort
		}
		return block{}, &FormatError{off}
	}
	if n < 8 {
		return block{}, short(err)
	}
	if order.Uint32(head[:]) == blockFiller {
		return block{kind: blockFiller, off: off, order: order}, nil
	}
	length := int64(order.Uint32(head[4:]))
	if length < 12 || length%4 != 0 || length > maxBlock {
		return block{}, &FormatError{off}
	}
	return w.body(off, length, order)
}

func (w *walker) body(off, length int64, order binary.ByteOrder) (block, error) {
	if int64(cap(w.buf)) < length { // grown as bytes are there, not as they are claimed
		probe := w.buf[:cap(w.buf)]
		if len(probe) > 0 {
			if n, err := w.r.ReadAt(probe, off); n < len(probe) {
				return block{}, short(err)
			}
		}
		if n, err := w.r.ReadAt(make([]byte, 1), off+length-1); n < 1 {
			return block{}, short(err)
		}
		w.buf = make([]byte, max(length, 64<<10))
	}
	b := w.buf[:length]
	if n, err := w.r.ReadAt(b, off); int64(n) < length {
		return block{}, short(err)
	}
	if int64(order.Uint32(b[length-4:])) != length {
		return block{}, &FormatError{off}
	}
	w.order = order
	return block{order.Uint32(b), off, b[8 : length-4], order}, nil
}

// short is the error of a read that met the end of the file.
func short(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errShort
	}
	return err
}

func byteOrder(magic []byte) binary.ByteOrder {
	switch uint32(byteOrderMagic) {
	case binary.LittleEndian.Uint32(magic):
		return binary.LittleEndian
	case binary.BigEndian.Uint32(magic):
		return binary.BigEndian
	}
	return nil
}

// resync looks for the next block behind damage: one of a known type, whole,
// with its length at both ends.
func (w *walker) resync() (block, error) {
	start := w.off
	var window [64 << 10]byte
	for at := start + 4; ; {
		n, err := w.r.ReadAt(window[:], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return block{}, err
		}
		for i := 0; i+12 <= n; i += 4 {
			if !w.plausible(window[i:n]) {
				continue
			}
			if b, err := w.read(at + int64(i)); err == nil {
				w.hurt(start, b.off-start)
				w.off = b.off + int64(len(b.body)) + 12
				return b, nil
			}
		}
		if n < len(window) {
			return block{}, errShort // perhaps more will come
		}
		at += int64(n - 12) // a head may straddle two windows
	}
}

func (w *walker) plausible(b []byte) bool {
	kind, length := w.order.Uint32(b), w.order.Uint32(b[4:])
	switch kind {
	case blockSection, blockInterface, blockSimple, blockStatistics, blockPacket:
		return length >= 12 && length%4 == 0 && length <= maxBlock
	}
	return false
}

func (w *walker) hurt(off, n int64) {
	if w.damage == 0 {
		w.damaged = off
	}
	w.damage += n
}

// options walks a block's options: code and value of each, until f says no.
func (b *block) options(at int, f func(code int, value []byte)) {
	if at > len(b.body) {
		return
	}
	o := b.body[at:]
	for len(o) >= 4 {
		code, n := int(b.order.Uint16(o)), int(b.order.Uint16(o[2:]))
		if code == optEnd || 4+n > len(o) {
			return
		}
		f(code, o[4:4+n])
		o = o[min(len(o), 4+(n+3)&^3):]
	}
}

// ahead reads a file in large pieces for a walker, which asks for small ones.
type ahead struct {
	r   io.ReaderAt
	buf []byte
	off int64
	n   int
}

// readAhead is the size of a piece.
const readAhead = 128 << 10

// ReadAt answers from the piece at hand where it can.
func (a *ahead) ReadAt(b []byte, off int64) (int, error) {
	if off >= a.off && off+int64(len(b)) <= a.off+int64(a.n) {
		return copy(b, a.buf[off-a.off:]), nil
	}
	if len(b) > readAhead/2 {
		return a.r.ReadAt(b, off)
	}
	if a.buf == nil {
		a.buf = make([]byte, readAhead)
	}
	n, err := a.r.ReadAt(a.buf, off)
	a.off, a.n = off, n
	if got := copy(b, a.buf[:n]); got < len(b) {
		return got, err
	}
	return len(b), nil
}

// wholeBlocks is how much of a pcapng file is whole blocks: where a section can
// be appended.
func wholeBlocks(r io.ReaderAt) (int64, error) {
	w := walker{r: r}
	for {
		switch _, err := w.next(); {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, errShort):
			return w.off, nil
		default:
			return 0, err
		}
	}
}
