package record

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
)

// The index lies in a file of pages: what is used stays in memory, the rest is
// written out when the room is needed. A small recording's never is, so that no
// file is made for it.
const (
	unitSize  = 512 // the least that is handed out
	pageSize  = 4096
	pagesHold = 16 << 20 / pageSize // pages in memory
	classes   = 16                  // sizes that are handed out: unitSize times a power of two
	noPlace   = place(0)            // nothing lies there
)

// place is where something lies in the pages, in units.
type place uint32

// pages hands out room, in sizes that are powers of two, and takes it back. The
// Store's lock guards it.
type pages struct {
	dirs scratch // where the file may lie
	hold int     // pages in memory
	file *os.File
	end  place // behind what was ever handed out
	free [classes][]place
	used int64 // bytes that are handed out

	at   map[uint32]*page
	all  []*page
	hand int // in all: who goes next
	last *page
	err  error // the first of the file's
}

type page struct {
	n     uint32
	dirty bool
	used  bool            // since the hand came by
	b     *[pageSize]byte // apart, since together they would be rounded up by an eighth
}

func newPages(dirs scratch) *pages {
	return &pages{dirs: dirs, hold: pagesHold, end: pageSize / unitSize, at: map[uint32]*page{}}
}

// classOf is the least size that n bytes fit into.
func classOf(n int) int { return bits.Len(uint(max(n, 1)-1) / unitSize) }

// take hands out room of a class; what is in it is not said.
func (p *pages) take(class int) place {
	p.used += unitSize << class
	if f := p.free[class]; len(f) > 0 {
		at := f[len(f)-1]
		p.free[class] = f[:len(f)-1]
		return at
	}
	const perPage = pageSize / unitSize
	at := p.end
	n := place(1) << class
	if n >= perPage {
		p.end += n
		return at
	}
	p.end += perPage // a page for several
	for i := at + perPage - n; i > at; i -= n {
		p.free[class] = append(p.free[class], i)
	}
	return at
}

// give takes room back.
func (p *pages) give(at place, class int) {
	if at != noPlace {
		p.used -= unitSize << class
		p.free[class] = append(p.free[class], at)
	}
}

// piece is what lies off bytes behind a place, up to the end of its page. It is
// valid until the next call; what is changed in it must have been asked for to
// be written.
func (p *pages) piece(at place, off int64, write bool) []byte {
	pos := int64(at)*unitSize + off
	g := p.page(uint32(pos / pageSize))
	g.dirty = g.dirty || write
	return g.b[pos%pageSize:]
}

func (p *pages) page(n uint32) *page {
	if p.last != nil && p.last.n == n {
		return p.last
	}
	g := p.at[n]
	if g == nil {
		g = p.load(n)
	}
	g.used = true
	p.last = g
	return g
}

func (p *pages) load(n uint32) *page {
	g := p.spare()
	g.n, g.dirty = n, false
	p.at[n] = g
	k := 0
	if p.file != nil {
		var err error
		if k, err = p.file.ReadAt(g.b[:], int64(n)*pageSize); err != nil && !errors.Is(err, io.EOF) {
			p.fail(err)
		}
	}
	clear(g.b[k:]) // never written
	return g
}

// spare is a page to be used for something else: a new one, or the first that
// was not used since the hand came by last.
func (p *pages) spare() *page {
	for tries := 2 * len(p.all); len(p.all) >= p.hold && p.err == nil && tries > 0; tries-- {
		g := p.all[p.hand]
		p.hand = (p.hand + 1) % len(p.all)
		if g.used {
			g.used = false
			continue
		}
		if g.dirty && !p.save(g) {
			continue // the only copy
		}
		delete(p.at, g.n)
		return g
	}
	g := &page{b: new([pageSize]byte)}
	p.all = append(p.all, g)
	return g
}

func (p *pages) save(g *page) bool {
	if p.file == nil && p.err == nil {
		if f, err := nameless(p.dirs, "wsproxy-*.index"); err != nil {
			p.fail(err)
		} else {
			p.file = f
		}
	}
	if p.err != nil {
		return false
	}
	if _, err := p.file.WriteAt(g.b[:], int64(g.n)*pageSize); err != nil {
		p.fail(err)
		return false
	}
	return true
}

func (p *pages) fail(err error) {
	if p.err == nil {
		p.err = fmt.Errorf("the index: %w", err)
	}
}

func (p *pages) close() { discard(p.file) }

// store puts bytes into room of their own.
func (p *pages) store(b []byte) place {
	at := p.take(classOf(len(b)))
	for off := 0; off < len(b); {
		off += copy(p.piece(at, int64(off), true), b[off:])
	}
	return at
}

// fetch reads what store put there.
func (p *pages) fetch(at place, n int) []byte {
	b := make([]byte, n)
	for off := 0; off < n; {
		off += copy(b[off:], p.piece(at, int64(off), false))
	}
	return b
}

// drop gives back what store took for n bytes.
func (p *pages) drop(at place, n int) { p.give(at, classOf(n)) }

// nameless makes a file that is gone when it is closed, at the latest when this
// process ends where the system can do that, in the first folder that takes it.
func nameless(dirs scratch, pattern string) (*os.File, error) {
	var first error
	for _, d := range dirs.all() {
		f, err := os.CreateTemp(d, pattern)
		if err == nil {
			_ = os.Remove(f.Name()) // where that fails, discard does it
			return f, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// discard closes a file that nameless made.
func discard(f *os.File) {
	if f != nil {
		_ = f.Close() // nothing of it is kept
		_ = os.Remove(f.Name())
	}
}

// scratch says where a Store may write what it needs only for itself.
type scratch struct {
	path string // of the recording
	ring bool
}

// all are the folders, the best first: not in memory where that can be avoided,
// which the system's own folder for such files often is.
func (s scratch) all() []string {
	var dirs []string
	if s.ring {
		dirs = append(dirs, filepath.Dir(s.path)) // where temporary recordings lie
	}
	if base, err := os.UserCacheDir(); err == nil {
		d := filepath.Join(base, "wsproxy")
		if os.MkdirAll(d, 0o700) == nil {
			dirs = append(dirs, d)
		}
	}
	return append(dirs, filepath.Dir(s.path), os.TempDir())
}
