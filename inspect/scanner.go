package inspect

// Scanner finds the frames in a byte stream that may be cut anywhere. It copies
// at most a header, allocates nothing, and believes no length: a frame that
// claims 2^64-1 bytes costs as much as an empty one. The zero value is ready.
type Scanner struct {
	header Header
	n      uint8 // header bytes so far
	whole  bool
	left   uint64 // payload bytes to come
}

// Next takes bytes of one frame from the front of p: of its header, its
// payload, or both. newFrame is true on the call that completes the header h,
// which is the zero Header until then. payload and rest are slices of p; call
// again with rest while it is not empty. The frame is complete when Left is 0.
func (s *Scanner) Next(p []byte) (h Header, newFrame bool, payload, rest []byte) {
	if s.whole && s.left == 0 {
		s.n, s.whole = 0, false
	}
	if !s.whole {
		if p = s.fill(p); !s.whole {
			return Header{}, false, nil, p
		}
		newFrame = true
		s.left = s.header.Length()
	}
	n := uint64(len(p))
	if n > s.left {
		n = s.left
	}
	s.left -= n
	return s.header, newFrame, p[:n:n], p[n:]
}

// fill moves header bytes from p to the header and answers what is left of p.
func (s *Scanner) fill(p []byte) []byte {
	if s.n == 0 {
		if h, ok := ParseHeader(p); ok { // the common case: all of it is here
			s.header, s.n, s.whole = h, h.n, true
			return p[h.n:]
		}
	}
	want := 2
	for {
		if s.n >= 2 {
			want = headerLen(s.header.raw[1])
		}
		n := copy(s.header.raw[s.n:want], p)
		s.n += uint8(n)
		p = p[n:]
		if int(s.n) < want {
			return p
		}
		if want == headerLen(s.header.raw[1]) {
			clear(s.header.raw[want:])
			s.header.n, s.whole = s.n, true
			return p
		}
	}
}

// AtBoundary says that the next byte begins a frame.
func (s *Scanner) AtBoundary() bool { return s.whole && s.left == 0 || !s.whole && s.n == 0 }

// Left is how many payload bytes the current frame still owes.
func (s *Scanner) Left() uint64 {
	if !s.whole {
		return 0
	}
	return s.left
}

// Partial is what has come of a header that is not whole yet, in memory of its own.
func (s *Scanner) Partial() []byte {
	if s.whole {
		return nil
	}
	return append([]byte(nil), s.header.raw[:s.n]...)
}

// Skip passes over n payload bytes of the current frame that were not captured.
// It must not be more than Left.
func (s *Scanner) Skip(n uint64) { s.left -= n }
