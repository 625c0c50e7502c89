package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Bounds on what a compressed recording may unpack to: a small file can claim to
// be any size.
const (
	unpackMost   = 256 << 30 // bytes in all
	unpackSpare  = 256 << 20 // bytes of the disk that stay free
	unpackStep   = 1 << 20   // bytes that are unpacked at once
	unpackWindow = 128 << 20 // the longest zstd window, in memory
)

// PackedError says that a compressed recording could not be unpacked to its end:
// it is torn, damaged, or too large. Everything before Offset was read. It is a
// *TornError too.
type PackedError struct {
	Offset int64 // in what was unpacked
	Err    error
}

func (e *PackedError) Error() string {
	err := e.Err.Error()
	if errors.Is(e.Err, io.ErrUnexpectedEOF) {
		err = "the compressed file ends too early"
	}
	return fmt.Sprintf("only %d bytes could be unpacked: %s", e.Offset, err)
}

// Unwrap says what was wrong, and that the recording is torn there.
func (e *PackedError) Unwrap() []error { return []error{e.Err, &TornError{e.Offset}} }

// openPlain opens a file, whatever it is packed with. That is told by its first
// bytes, never by its name.
func openPlain(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	unpack := unpacker(f)
	if unpack == nil {
		return plainSource{f}, nil
	}
	p, err := newPacked(f, unpack)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// unpacker makes the reader that unpacks a file; nil: it is not compressed.
func unpacker(f io.ReaderAt) func(io.Reader) (io.ReadCloser, error) {
	var magic [4]byte
	n, _ := f.ReadAt(magic[:], 0) // what is too short is not compressed
	switch m := string(magic[:n]); {
	case strings.HasPrefix(m, "\x1f\x8b"): // RFC 1952
		return func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }
	case m == "\x28\xb5\x2f\xfd", n == 4 && magic[0]&0xf0 == 0x50 && m[1:] == "\x2a\x4d\x18": // RFC 8878, a skippable frame
		return func(r io.Reader) (io.ReadCloser, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(unpackWindow))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}
	}
	return nil
}

// packed is a compressed recording. It is unpacked to a temporary file without a
// name, as far as somebody reads: reading is its progress. It may be used by
// several goroutines at once.
type packed struct {
	file  *os.File // compressed
	out   *os.File
	most  int64
	space func(dir string) int64

	mu    sync.Mutex
	in    io.Reader // counts
	read  int64     // of file
	r     io.ReadCloser
	buf   []byte
	size  int64 // of out
	whole bool  // there is nothing more to unpack
	err   error // why not
}

func newPacked(f *os.File, unpack func(io.Reader) (io.ReadCloser, error)) (*packed, error) {
	p := &packed{file: f, most: unpackMost, space: space}
	p.in = counting{f, &p.read}
	var err error
	if p.out, err = os.CreateTemp("", "wsproxy-*.unpacked"); err != nil { // mode 0600
		return nil, err
	}
	_ = os.Remove(p.out.Name()) // where that fails, Close does it
	if p.r, err = unpack(p.in); err != nil {
		p.whole, p.err = true, err // a reader is told as of any other damage
		return p, nil
	}
	p.more() // so that end can tell
	return p, nil
}

// counting counts what is read.
type counting struct {
	io.Reader
	n *int64
}

func (c counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	*c.n += int64(n)
	return n, err
}

// ReadAt unpacks as far as it must. At the end of what can be unpacked it answers
// io.EOF; fault says whether that is the end of the recording.
func (p *packed) ReadAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	for p.size < off+int64(len(b)) && !p.whole {
		p.more()
	}
	p.mu.Unlock()
	return p.out.ReadAt(b, off)
}

// more unpacks the next piece; p.mu is held.
func (p *packed) more() {
	if p.buf == nil {
		p.buf = make([]byte, unpackStep)
	}
	if p.size >= p.most {
		p.whole, p.err = true, fmt.Errorf("it is longer than %d GiB", p.most>>30)
		return
	}
	if p.size > 0 && p.size%(16*unpackStep) == 0 && p.space(os.TempDir()) < unpackSpare {
		p.whole, p.err = true, fmt.Errorf("%s has no room for more of it (TMPDIR names another folder)", os.TempDir())
		return
	}
	n, err := io.ReadFull(p.r, p.buf[:min(unpackStep, p.most-p.size)])
	if _, werr := p.out.WriteAt(p.buf[:n], p.size); werr != nil {
		p.whole, p.err = true, werr
		return
	}
	p.size += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && p.ended():
		p.whole = true
	default:
		p.whole, p.err = true, err
	}
}

// ended says whether ReadFull met the end of the data or a tear, which it calls
// the same.
func (p *packed) ended() bool {
	_, err := p.r.Read(p.buf[:1])
	return errors.Is(err, io.EOF)
}

// fault is what kept the recording from being unpacked to its end; nil: nothing.
func (p *packed) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return nil
	}
	return &PackedError{p.size, p.err}
}

func (p *packed) after(int64) (int64, bool) { return 0, false }
func (p *packed) oldest() int64             { return 0 }

// end is about how long the recording is: as compressed as it was so far, if it
// is not unpacked to its end yet.
func (p *packed) end() (int64, error) {
	st, err := p.file.Stat()
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.whole || p.read == 0 {
		return p.size, nil
	}
	return max(p.size, int64(float64(p.size)/float64(p.read)*float64(st.Size()))), nil
}

// Close lets go of the files; what was unpacked is gone.
func (p *packed) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.r != nil {
		_ = p.r.Close() // read only
	}
	p.whole = true
	err := errors.Join(p.out.Close(), p.file.Close())
	_ = os.Remove(p.out.Name()) // gone already, mostly
	return err
}

// faultOf is what kept a recording from being unpacked.
func faultOf(f source) error {
	if p, ok := f.(*packed); ok {
		return p.fault()
	}
	return nil
}
