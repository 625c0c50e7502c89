package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// A temporary recording is a ring: a folder of segments of equal size, each a
// pcapng file that Wireshark opens, written round and round so that it needs no
// more of the disk and its pages are used again. Bytes are named by a logical
// offset that only grows: segment N begins at N times the size and is in file N
// modulo the number of files. What a segment does not fill is covered by a block
// of a type for local use, which readers skip. The file "ring" beside them says
// how far readers may go:
//
//	0 magic  8 segment size  16 number of files  24 newest segment  32 end of what is written  40 title
const (
	ringMagic   = "wsring1\n"
	ringState   = "ring"
	ringHeader  = 40
	ringTitle   = 4 << 10    // most bytes of the title
	blockFiller = 0x80005753 // local use: its body is what was there before

	segmentMin = 1 << 20
	segmentMax = 16<<20 - 4096 // a block as long as the whole segment is still believed
)

// indexShare of what a temporary recording may keep is for the index of who looks
// at it: small frames make an index that is larger than they are.
const indexShare = 5

// MinKeep is the least that a temporary recording can be told to keep, in bytes.
const MinKeep = 4 * segmentMin

// ErrLapped says that the bytes asked for are no longer in a temporary
// recording: newer ones have taken their place.
var ErrLapped = errors.New("no longer in the temporary recording")

// ring is the writing half. It belongs to the writing goroutine.
type ring struct {
	dir   string
	size  int64 // of a segment
	state *os.File
	files []*os.File // laid out as they are needed, at most as many as there may be
	count int64
	seq   int64 // segment being written
	at    int64 // in it
}

// createRing lays out a ring in a folder that is there, which with an index of it
// takes about keep bytes. The first segment is begun.
func createRing(dir, title string, keep int64) (*ring, error) {
	r := &ring{dir: dir, size: min(max(keep/16, segmentMin), segmentMax) &^ 4095, seq: -1}
	r.count = max(4, (keep-keep/indexShare)/r.size)
	var err error
	if r.state, err = os.OpenFile(filepath.Join(dir, ringState), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	if ok, err := lock(r.state); err != nil || !ok {
		return nil, errors.Join(err, r.state.Close())
	}
	head := binary.LittleEndian.AppendUint64([]byte(ringMagic), uint64(r.size))
	head = binary.LittleEndian.AppendUint64(head, uint64(r.count))
	head = append(head, make([]byte, 16)...)
	head = append(head, title[:min(len(title), ringTitle)]...)
	if _, err = r.state.WriteAt(head, 0); err == nil {
		err = r.next()
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func segmentName(i int64) string { return fmt.Sprintf("%03d.pcapng", i) }

// next begins the next segment, over the oldest one once all files are there.
// Readers are told before the first byte of that is gone.
func (r *ring) next() error {
	r.seq++
	r.at = 0
	if err := r.publish(); err != nil {
		return err
	}
	if i := r.seq % r.count; i == int64(len(r.files)) {
		f, err := os.OpenFile(filepath.Join(r.dir, segmentName(i)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		r.files = append(r.files, f)
	}
	return nil
}

func (r *ring) file() *os.File { return r.files[r.seq%r.count] }

// left is how many bytes the segment has room for, the filler behind them aside.
func (r *ring) left() int64 { return r.size - r.at - fillerSize }

// fillerSize is the least that a filler block needs.
const fillerSize = 12

// writeParts appends to the segment, which must have room. The filler behind the
// bytes is written before them: whatever is on the disk at any moment, it ends in one.
func (r *ring) writeParts(parts [][]byte) (int, error) {
	size := int64(0)
	for _, p := range parts {
		size += int64(len(p))
	}
	if size > r.left() {
		return 0, fmt.Errorf("segment %d is full", r.seq)
	}
	end := r.at + size
	length := binary.LittleEndian.AppendUint32(nil, uint32(r.size-end))
	head := append(binary.LittleEndian.AppendUint32(nil, blockFiller), length...)
	if _, err := r.file().WriteAt(head, end); err != nil {
		return 0, err
	}
	n, err := writePartsAt(r.file(), parts, r.at)
	r.at += int64(n)
	if err == nil {
		_, err = r.file().WriteAt(length, r.size-4)
	}
	return n, err
}

// publish tells readers how far they may go.
func (r *ring) publish() error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(r.seq))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.seq*r.size+r.at))
	_, err := r.state.WriteAt(b, 24)
	return err
}

// close lets go of the files; they stay.
func (r *ring) close() error {
	err := r.state.Close()
	for _, f := range r.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// RemoveTemporary removes a temporary recording: its files and their folder.
// What else lies in the folder stays, and then the folder does too.
func RemoveTemporary(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "[0-9][0-9][0-9].pcapng"))
	if err != nil {
		return err
	}
	for _, n := range append(names, filepath.Join(dir, ringState)) {
		err = errors.Join(err, os.Remove(n))
	}
	return errors.Join(err, os.Remove(dir))
}

// Temporary is a temporary recording that lies in a folder.
type Temporary struct {
	Path  string
	Title string // what was proxied, in the words of whoever began it
	Live  bool   // somebody is writing it
}

// Temporaries are the temporary recordings in a folder, by name.
func Temporaries(dir string) ([]Temporary, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []Temporary
	for _, e := range entries {
		t := Temporary{Path: filepath.Join(dir, e.Name())}
		if !e.IsDir() {
			continue
		}
		r, err := openRing(t.Path)
		if err != nil {
			continue // something else
		}
		title := make([]byte, ringTitle)
		n, _ := r.state.ReadAt(title, ringHeader) // shorter, mostly
		t.Title, t.Live = string(title[:n]), Live(t.Path)
		all = append(all, t)
		_ = r.Close() // read only
	}
	return all, nil
}

// source is what a recording is read from: a file, or a ring by logical offset.
type source interface {
	io.ReaderAt
	io.Closer
	// after is where to go on behind a segment's filler at off; ok is false
	// in a plain file, and as long as the next segment has not begun.
	after(off int64) (next int64, ok bool)
	// oldest is the offset from which on everything is there.
	oldest() int64
	// end is how far there is something to read.
	end() (int64, error)
}

// openSource opens a recording for reading.
func openSource(path string) (source, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return openRing(path)
	}
	return openPlain(path)
}

type plainSource struct{ *os.File }

func (plainSource) after(int64) (int64, bool) { return 0, false }
func (plainSource) oldest() int64             { return 0 }

func (s plainSource) end() (int64, error) {
	st, err := s.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// ringReader is the reading half. It may be used by several goroutines at once,
// and beside a writer in this or another process.
type ringReader struct {
	dir         string
	size, count int64
	state       *os.File

	mu    sync.Mutex
	files map[int64]*os.File // by their place in the ring
}

// openRing opens a temporary recording. The error is a *FormatError for a folder
// that is none.
func openRing(dir string) (*ringReader, error) {
	state, err := os.Open(filepath.Join(dir, ringState))
	if errors.Is(err, os.ErrNotExist) {
		return nil, &FormatError{0}
	} else if err != nil {
		return nil, err
	}
	r := &ringReader{dir: dir, state: state, files: map[int64]*os.File{}}
	var head [ringHeader]byte
	if _, err := state.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, state.Close())
	}
	r.size, r.count = int64(binary.LittleEndian.Uint64(head[8:])), int64(binary.LittleEndian.Uint64(head[16:]))
	if string(head[:8]) != ringMagic || r.size < segmentMin || r.size > segmentMax || r.count < 1 || r.count > 1<<20 {
		return nil, errors.Join(&FormatError{0}, state.Close())
	}
	return r, nil
}

// limits are the newest segment and the end of what is written.
func (r *ringReader) limits() (newest, end int64, err error) {
	var b [16]byte
	if _, err := r.state.ReadAt(b[:], 24); err != nil {
		return 0, 0, err
	}
	newest, end = int64(binary.LittleEndian.Uint64(b[:])), int64(binary.LittleEndian.Uint64(b[8:]))
	if newest < 0 || newest > 1<<40 || end < 0 {
		return 0, 0, &FormatError{24}
	}
	return newest, min(end, (newest+1)*r.size), nil // the two may be of before and after a step
}

func (r *ringReader) file(i int64) (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.files[i]; f != nil {
		return f, nil
	}
	f, err := os.Open(filepath.Join(r.dir, segmentName(i)))
	if err == nil {
		r.files[i] = f
	}
	return f, err
}

// ReadAt reads within one segment: at its end, and at the end of what is
// written, it answers io.EOF. ErrLapped says that other bytes are there now.
func (r *ringReader) ReadAt(b []byte, off int64) (int, error) {
	newest, end, err := r.limits()
	if err != nil {
		return 0, err
	}
	seq := off / r.size
	switch {
	case off < 0 || off >= end && seq >= newest:
		return 0, io.EOF
	case seq <= newest-r.count:
		return 0, ErrLapped
	}
	limit := (seq + 1) * r.size
	if seq == newest {
		limit = end
	}
	want := b[:min(int64(len(b)), limit-off)]
	f, err := r.file(seq % r.count)
	if err != nil {
		return 0, err
	}
	n, err := f.ReadAt(want, off%r.size)
	if n < len(want) && errors.Is(err, io.EOF) {
		err = &FormatError{off + int64(n)} // somebody has cut the file
	}
	if newest, _, e := r.limits(); e != nil || seq <= newest-r.count {
		return 0, errors.Join(e, ErrLapped) // it was written over while it was read
	}
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

func (r *ringReader) after(off int64) (int64, bool) {
	newest, _, err := r.limits()
	seq := off / r.size
	return (seq + 1) * r.size, err == nil && newest > seq
}

// indexRoom is how large an index of the ring may be, in bytes.
func (r *ringReader) indexRoom() int64 { return r.count * r.size / (indexShare - 1) }

func (r *ringReader) oldest() int64 {
	newest, _, err := r.limits()
	if err != nil {
		return 0
	}
	return max(0, newest-r.count+1) * r.size
}

func (r *ringReader) end() (int64, error) {
	_, end, err := r.limits()
	return end, err
}

// Close lets go of the files.
func (r *ringReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.state.Close()
	for _, f := range r.files {
		err = errors.Join(err, f.Close())
	}
	return err
}
