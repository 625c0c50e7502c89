package ui

import (
	"encoding/binary"
	"os"
	"sort"
	"time"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// said is one thing that the application said, as a list shows it.
type said struct {
	n           uint32 // of the item, from 1
	first, last uint32 // frames of the message that it ends with
	answers     uint32 // the item that it answers; 0: none
	answersAt   uint32 // that item's frame
	answered    uint32 // the frame of its first answer; 0: none
	replies     uint32 // how many there were
	kind        decode.Kind
	dir         inspect.Dir
	fails       bool // it was answered with an error
	found       uint8
	time        time.Time
	latency     time.Duration // since what it answers
	after       time.Duration // until its first answer
	name        int           // how much of text is its name
	id, topic   string
	text        string // its name, and what it says
}

// A ledger keeps what was said in slots of one size: in memory the newest, in a file
// without a name the rest, and of those the newest ledgerMost. So a session of any length
// takes the same memory, and at most a gigabyte of the disk.
const (
	slotSize   = 256
	chunkSlots = 512
	ledgerMost = 1 << 22 // a multiple of chunkSlots

	slotText  = 64 // where the texts begin
	idMost    = 36
	topicMost = 40
)

// ledger is not safe for several goroutines.
type ledger struct {
	make  func() (*os.File, error)
	most  int      // items in the file, a multiple of chunkSlots
	file  *os.File // nil: all of it is in the tail
	n     uint32   // items there ever were
	tail  []byte   // the newest chunk
	lasts []uint32 // by chunk: the frame of its first item
	cache [4]chunk
	turn  int
	err   error // the file cannot be written: what is in it is all there is
}

// chunk is one that was read from the file.
type chunk struct {
	number int // from 1; 0: none
	data   []byte
}

// place is where a chunk lies in the file, which is written over from its beginning.
func (l *ledger) place(number int) int64 {
	return int64(number-1) % int64(l.most/chunkSlots) * chunkSlots * slotSize
}

// oldest is the first item that is left.
func (l *ledger) oldest() uint32 {
	gone := max(len(l.lasts)-1-l.most/chunkSlots, 0) // chunks; the newest is not in the file
	return uint32(gone*chunkSlots) + 1
}

// add keeps an item; its number is the next.
func (l *ledger) add(s *said) {
	if l.err != nil {
		return
	}
	if len(l.tail) == chunkSlots*slotSize {
		if l.flush(); l.err != nil {
			return
		}
		l.tail = l.tail[:0]
	}
	if len(l.tail) == 0 {
		l.lasts = append(l.lasts, s.last)
	}
	l.n++
	at := len(l.tail)
	l.tail = append(l.tail, make([]byte, slotSize)...)
	s.write(l.tail[at:])
}

// flush writes the tail to the file.
func (l *ledger) flush() {
	if l.file == nil {
		if l.file, l.err = l.make(); l.err != nil {
			return
		}
	}
	if _, err := l.file.WriteAt(l.tail, l.place(len(l.lasts))); err != nil {
		l.err = err
	}
}

// slot is where an item is kept, to be read; nil if it is not there any more.
func (l *ledger) slot(n uint32) []byte {
	if n == 0 || n > l.n || n < l.oldest() {
		return nil
	}
	number, at := int(n-1)/chunkSlots+1, int(n-1)%chunkSlots*slotSize
	if number == len(l.lasts) {
		return l.tail[at : at+slotSize]
	}
	for i := range l.cache {
		if l.cache[i].number == number {
			return l.cache[i].data[at : at+slotSize]
		}
	}
	c := &l.cache[l.turn]
	l.turn = (l.turn + 1) % len(l.cache)
	if c.data == nil {
		c.data = make([]byte, chunkSlots*slotSize)
	}
	c.number = 0
	if _, err := l.file.ReadAt(c.data, l.place(number)); err != nil {
		return nil
	}
	c.number = number
	return c.data[at : at+slotSize]
}

// get is an item; ok is false if it is not kept any more.
func (l *ledger) get(n uint32) (s said, ok bool) {
	b := l.slot(n)
	if b == nil {
		return s, false
	}
	s.read(b)
	s.n = n
	return s, true
}

// reply notes at an item that another one answers it.
func (l *ledger) reply(by *said) {
	b := l.slot(by.answers)
	if b == nil || l.err != nil {
		return
	}
	le := binary.LittleEndian
	if le.Uint32(b[12:]) == 0 {
		le.PutUint32(b[12:], by.first)
		le.PutUint64(b[40:], uint64(by.latency))
	}
	le.PutUint32(b[16:], le.Uint32(b[16:])+1)
	if by.kind == decode.Error {
		b[22] = 1
	}
	if number := int(by.answers-1)/chunkSlots + 1; number != len(l.lasts) {
		at := int64(by.answers-1) % chunkSlots * slotSize
		if _, err := l.file.WriteAt(b[12:24], l.place(number)+at+12); err == nil {
			_, err = l.file.WriteAt(b[40:48], l.place(number)+at+40)
			l.err = err
		}
	}
}

// from is the first item that ends in a frame or behind it; past the last if there is
// none.
func (l *ledger) from(frame uint32) uint32 {
	number := sort.Search(len(l.lasts), func(i int) bool { return l.lasts[i] >= frame }) // the first chunk that begins there
	low := uint32(max(number-1, 0)*chunkSlots) + 1
	high := min(uint32(number*chunkSlots), l.n)
	low = max(low, l.oldest())
	n := sort.Search(int(high)-int(low)+1, func(i int) bool {
		b := l.slot(low + uint32(i))
		return b == nil || binary.LittleEndian.Uint32(b[4:]) >= frame
	})
	return low + uint32(n)
}

// close gives the file back.
func (l *ledger) close() {
	if l.file != nil {
		record.Discard(l.file)
	}
	*l = ledger{make: l.make, most: l.most}
}

func (s *said) write(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], s.first)
	le.PutUint32(b[4:], s.last)
	le.PutUint32(b[8:], s.answers)
	le.PutUint32(b[12:], s.answered)
	le.PutUint32(b[16:], s.replies)
	b[20], b[21], b[23] = byte(s.kind), byte(s.dir), s.found
	le.PutUint64(b[24:], uint64(s.time.UnixNano()))
	le.PutUint64(b[32:], uint64(s.latency))
	le.PutUint64(b[40:], uint64(s.after))
	le.PutUint32(b[48:], s.answersAt)
	id, topic := shorten(s.id, idMost), shorten(s.topic, topicMost)
	text := shorten(s.text, slotSize-slotText-len(id)-len(topic))
	b[52], b[53], b[54], b[55] = byte(len(id)), byte(len(topic)), byte(len(text)), byte(min(s.name, len(text)))
	copy(b[slotText:], id+topic+text)
}

func (s *said) read(b []byte) {
	le := binary.LittleEndian
	*s = said{first: le.Uint32(b[0:]), last: le.Uint32(b[4:]), answers: le.Uint32(b[8:]), answered: le.Uint32(b[12:]), replies: le.Uint32(b[16:]),
		kind: decode.Kind(b[20]), dir: inspect.Dir(b[21]), fails: b[22] != 0, found: b[23], time: time.Unix(0, int64(le.Uint64(b[24:]))),
		latency: time.Duration(le.Uint64(b[32:])), after: time.Duration(le.Uint64(b[40:])), answersAt: le.Uint32(b[48:])}
	at := slotText
	for i, to := range []*string{&s.id, &s.topic, &s.text} {
		n := int(b[52+i])
		*to = string(b[at : at+n])
		at += n
	}
	s.name = int(b[55])
}

// shorten is at most n bytes of a text.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
