package inspect

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Body finds the end of an HTTP/1 message's body (RFC 9112 section 6.3) and
// tells its content from the chunk framing. It keeps nothing of the content.
type Body struct {
	kind bodyKind
	left int64 // content bytes to come, of the body or of the chunk
	step chunkStep
	line []byte // of a chunk's size line
	n    int    // bytes of the trailer
	done bool
}

type bodyKind uint8

const (
	noBody bodyKind = iota
	sized
	chunked
	untilClose
)

type chunkStep uint8

const (
	chunkSize chunkStep = iota
	chunkData
	chunkEnd // the line end behind a chunk's data
	trailer
)

// Limits on what a peer may put into the framing of a chunked body.
const (
	maxChunkLine = 4096
	maxTrailer   = 64 << 10
)

// RequestBody is how a request's body is framed. It fails where RFC 9112 section
// 6.3 says that the end cannot be known.
func RequestBody(h *Head) (Body, error) {
	if h.Has("Transfer-Encoding") {
		if !lastChunked(h) {
			return Body{}, fmt.Errorf("a request with Transfer-Encoding %q has no end", clip(h.Get("Transfer-Encoding")))
		}
		return Body{kind: chunked}, nil
	}
	return lengthBody(h, noBody)
}

// ResponseBody is how the body of an answer to a request with that method is
// framed. An interim answer and a 101 have none.
func ResponseBody(h *Head, method string) (Body, error) {
	switch {
	case method == "HEAD", h.Status < 200, h.Status == 204, h.Status == 304:
		return Body{done: true}, nil
	case h.Has("Transfer-Encoding"):
		if !lastChunked(h) {
			return Body{kind: untilClose}, nil
		}
		return Body{kind: chunked}, nil
	}
	return lengthBody(h, untilClose)
}

func lastChunked(h *Head) bool {
	all := strings.Split(strings.Join(h.Values("Transfer-Encoding"), ","), ",")
	return strings.EqualFold(strings.Trim(all[len(all)-1], " \t"), "chunked")
}

// lengthBody reads Content-Length; the same number may stand there repeatedly.
func lengthBody(h *Head, otherwise bodyKind) (Body, error) {
	length := int64(-1)
	for _, v := range h.Values("Content-Length") {
		for part := range strings.SplitSeq(v, ",") {
			part = strings.Trim(part, " \t")
			n, err := strconv.ParseUint(part, 10, 63)
			if err != nil || part[0] == '+' || length >= 0 && length != int64(n) {
				return Body{}, fmt.Errorf("Content-Length %q is no length", clip(v))
			}
			length = int64(n)
		}
	}
	switch {
	case length > 0:
		return Body{kind: sized, left: length}, nil
	case length == 0:
		return Body{done: true}, nil
	}
	return Body{kind: otherwise, done: otherwise == noBody}, nil
}

// Done says that the body is over; one without bytes is from the start.
func (b *Body) Done() bool { return b.done }

// UntilClose says that only the connection's end is the body's.
func (b *Body) UntilClose() bool { return b.kind == untilClose }

// Next takes bytes from the front of p: data is content among them, a slice of
// p; rest is what was not looked at, to be passed in again. done says that the
// body ended before rest. An error means that its framing cannot be read.
func (b *Body) Next(p []byte) (data, rest []byte, done bool, err error) {
	switch b.kind {
	case untilClose:
		return p, nil, false, nil
	case chunked:
		return b.nextChunk(p)
	case sized:
		data, rest = b.take(p)
		b.done = b.left == 0
		return data, rest, b.done, nil
	}
	return nil, p, true, nil
}

func (b *Body) take(p []byte) (data, rest []byte) {
	n := min(int64(len(p)), b.left)
	b.left -= n
	return p[:n:n], p[n:]
}

func (b *Body) nextChunk(p []byte) (data, rest []byte, done bool, err error) {
	for len(p) > 0 {
		if b.step == chunkData {
			data, rest = b.take(p)
			if b.left == 0 {
				b.step = chunkEnd
			}
			return data, rest, false, nil
		}
		c := p[0]
		p = p[1:]
		if c != '\n' {
			if b.line = append(b.line, c); len(b.line) > maxChunkLine {
				return nil, p, false, errors.New("a line of chunk framing is too long")
			}
			continue
		}
		line := strings.TrimSuffix(string(b.line), "\r")
		b.line = b.line[:0]
		if done, err = b.endLine(line); done || err != nil {
			return nil, p, done, err
		}
	}
	return nil, nil, false, nil
}

// endLine takes a whole line of the framing (RFC 9112 section 7.1).
func (b *Body) endLine(line string) (done bool, err error) {
	switch b.step {
	case chunkSize:
		size, _, _ := strings.Cut(line, ";")
		size = strings.Trim(size, " \t")
		n, err := strconv.ParseUint(size, 16, 63)
		if err != nil || size[0] == '+' {
			return false, fmt.Errorf("%q is no chunk size", clip(line))
		}
		b.left, b.step = int64(n), chunkData
		if n == 0 {
			b.step = trailer
		}
	case chunkEnd:
		if line != "" {
			return false, fmt.Errorf("%q stands behind a chunk", clip(line))
		}
		b.step = chunkSize
	case trailer:
		if line == "" {
			b.done = true
			return true, nil
		}
		if b.n += len(line); b.n > maxTrailer {
			return false, errors.New("the trailer is too long")
		}
	}
	return false, nil
}
