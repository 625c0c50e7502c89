package inspect

import "fmt"

// HeadTooLong says that a head went past its limit.
type HeadTooLong struct{ Limit int64 }

func (e *HeadTooLong) Error() string {
	return fmt.Sprintf("an HTTP head of more than %d bytes", e.Limit)
}

// HeadScanner collects an HTTP/1 head from a stream that may be cut anywhere.
// Empty lines in front of a start line belong to the head.
type HeadScanner struct {
	Limit int64 // most bytes of a head; 0: 64 KiB

	buf     []byte
	content bool // a line that is not empty has begun
	some    bool // this line is not empty
	cr      bool // the byte before was a CR
	done    bool
}

// Next takes bytes from the front of p. raw is the whole head as soon as its
// empty line has come, valid until the next call; rest is what lies behind it.
// The error is a *HeadTooLong, and nothing more can be scanned after it.
func (s *HeadScanner) Next(p []byte) (raw, rest []byte, err error) {
	if s.done {
		s.Reset()
	}
	limit := s.Limit
	if limit == 0 {
		limit = 64 << 10
	}
	n, whole := s.find(p)
	if int64(len(s.buf)+n) > limit {
		s.buf = append(s.buf, p[:max(0, limit-int64(len(s.buf)))]...)
		return nil, nil, &HeadTooLong{limit}
	}
	if !whole {
		s.buf = append(s.buf, p...)
		return nil, nil, nil
	}
	s.done = true
	if len(s.buf) == 0 {
		return p[:n:n], p[n:], nil
	}
	s.buf = append(s.buf, p[:n]...)
	return s.buf, p[n:], nil
}

// find looks for the end of the head in p: its offset, or all of p.
func (s *HeadScanner) find(p []byte) (n int, whole bool) {
	for i, b := range p {
		switch b {
		case '\n':
			if !s.some && s.content {
				return i + 1, true
			}
			s.some, s.cr = false, false
		case '\r':
			if s.cr { // a CR that ends no line
				s.some, s.content = true, true
			}
			s.cr = true
		default:
			s.some, s.content, s.cr = true, true, false
		}
	}
	return len(p), false
}

// Started says that some bytes of a head have come, but not all.
func (s *HeadScanner) Started() bool { return len(s.buf) > 0 && !s.done }

// Partial is what has come of a head that is not whole; valid until the next call.
func (s *HeadScanner) Partial() []byte {
	if s.done {
		return nil
	}
	return s.buf
}

// Reset forgets what has come, for another head.
func (s *HeadScanner) Reset() { *s = HeadScanner{Limit: s.Limit, buf: s.buf[:0]} }
