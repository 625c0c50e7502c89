package inspect

import "unicode/utf8"

// UTF8 checks a text that comes in pieces (RFC 6455 section 8.1, RFC 3629). The
// zero value is ready; it keeps at most the start of one character.
type UTF8 struct {
	part [utf8.UTFMax]byte // the start of a character
	n    int
	pos  int64 // bytes that were found valid
	bad  int64
}

// Feed checks the next piece; false from the first bad byte on. A piece may end
// inside a character, which End settles.
func (u *UTF8) Feed(p []byte) bool {
	if u.bad != 0 {
		return false
	}
	for u.n > 0 && len(p) > 0 {
		u.part[u.n] = p[0]
		u.n++
		p = p[1:]
		b := u.part[:u.n]
		if !utf8.FullRune(b) {
			continue
		}
		if r, size := utf8.DecodeRune(b); r == utf8.RuneError && size <= 1 {
			return u.fail(u.pos)
		}
		u.pos += int64(u.n)
		u.n = 0
	}
	if utf8.Valid(p) { // the common case, at memory speed
		u.pos += int64(len(p))
		return true
	}
	for len(p) > 0 {
		if !utf8.FullRune(p) {
			u.n = copy(u.part[:], p)
			return true
		}
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size <= 1 {
			return u.fail(u.pos)
		}
		u.pos += int64(size)
		p = p[size:]
	}
	return true
}

func (u *UTF8) fail(at int64) bool {
	u.bad, u.n = at+1, 0
	return false
}

// End says that the text is over; false if it was bad or ends inside a character.
func (u *UTF8) End() bool {
	if u.bad == 0 && u.n > 0 {
		return u.fail(u.pos)
	}
	return u.bad == 0
}

// Bad is where the first character begins that is not UTF-8, in bytes counted
// from 1; 0 as long as there is none.
func (u *UTF8) Bad() int64 { return u.bad }

// Reset makes the checker ready for another text.
func (u *UTF8) Reset() { *u = UTF8{} }
