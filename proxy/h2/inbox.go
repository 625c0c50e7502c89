package h2

import "strconv"

// inbox holds what a stream has received and nobody has read: heads already in
// HTTP/1.1, and content as it was in DATA. The framing of a chunked body is made
// as it is read, so that small frames cost no more room than their content.
type inbox struct {
	pre     []byte // comes before content: heads, chunk framing, trailers
	content []byte
	off     int // of content that has been read

	chunked  bool
	chunk    int // bytes left of the chunk that was begun
	tail     bool
	trailers []byte
	ended    bool // END_STREAM has come
}

// ready says that take would answer something.
func (b *inbox) ready(beyond bool) bool {
	return len(b.pre) > 0 || beyond && (b.off < len(b.content) || b.chunked && b.ended && !b.tail)
}

// take reads into p: n bytes, content of which were in DATA. beyond says that
// more than heads may be read.
func (b *inbox) take(p []byte, beyond bool) (n, content int) {
	for n < len(p) {
		if len(b.pre) > 0 {
			k := copy(p[n:], b.pre)
			if n, b.pre = n+k, b.pre[k:]; len(b.pre) == 0 {
				b.pre = nil
			}
			continue
		}
		left := len(b.content) - b.off
		switch {
		case !beyond:
			left = 0
		case b.chunked && b.chunk == 0 && b.frame(left):
			continue
		case b.chunked:
			left = b.chunk
		}
		if left == 0 {
			break
		}
		k := copy(p[n:], b.content[b.off:b.off+left])
		n, content, b.off = n+k, content+k, b.off+k
		if b.chunked {
			if b.chunk -= k; b.chunk == 0 {
				b.pre = []byte("\r\n")
			}
		}
	}
	b.shrink()
	return n, content
}

// frame begins a chunk of so many bytes, or the last one if there are none and
// none will come; true if it put something into pre.
func (b *inbox) frame(left int) bool {
	switch {
	case left > 0:
		b.pre = append(strconv.AppendInt(nil, int64(left), 16), "\r\n"...)
		b.chunk = left
		return true
	case b.ended && !b.tail:
		b.pre = append(append([]byte("0\r\n"), b.trailers...), "\r\n"...)
		b.tail = true
		return true
	}
	return false
}

// shrink lets go of what has been read.
func (b *inbox) shrink() {
	const small = 16 << 10
	switch left := len(b.content) - b.off; {
	case b.off == 0:
	case left == 0 && cap(b.content) > small:
		b.content, b.off = nil, 0
	case left == 0:
		b.content, b.off = b.content[:0], 0
	case b.off >= small && b.off >= left:
		b.content, b.off = b.content[:copy(b.content, b.content[b.off:])], 0
	}
}

// done says that everything has come and been read.
func (b *inbox) done() bool {
	return b.ended && len(b.pre) == 0 && b.off == len(b.content) && (!b.chunked || b.tail)
}
