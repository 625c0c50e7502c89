package lint

import (
	"math"

	"github.com/wsproxy/wsproxy/inspect"
)

// framing judges a frame's header by itself and by its place in a message
// (RFC 6455 sections 5.1 to 5.4).
func framing(e inspect.Event, c *inspect.Conn) []inspect.Finding {
	f, ok := e.(*inspect.Frame)
	if !ok {
		return nil
	}
	var all []inspect.Finding
	all = masking(all, f)
	all = reserved(all, f, c)
	all = length(all, f.Header)
	return fragmentation(all, f, c)
}

func masking(all []inspect.Finding, f *inspect.Frame) []inspect.Finding {
	switch h := f.Header; {
	case f.Dir == inspect.ToClient && h.Masked():
		key := h.Key()
		return found(all, "masked-server-frame", "the server masked this %s frame with the key %x", kind(h.Opcode()), key[:])
	case f.Dir == inspect.ToServer && !h.Masked():
		return found(all, "unmasked-client-frame", "the client sent this %s frame without a mask", kind(h.Opcode()))
	case f.Dir == inspect.ToServer && h.Key() == [4]byte{}:
		return found(all, "zero-mask-key", "the masking key is 00000000, so the payload is sent as it is")
	}
	return all
}

// reserved judges the bits and opcodes that only an extension may use. One that
// is not known here may use any of them.
func reserved(all []inspect.Finding, f *inspect.Frame, c *inspect.Conn) []inspect.Finding {
	h := f.Header
	op := h.Opcode()
	if !h.Rsv1() && !h.Rsv2() && !h.Rsv3() && !op.Reserved() {
		return all
	}
	shake := c.Handshake()
	if shake != nil && foreign(shake) {
		return all
	}
	deflate := shake != nil && len(shake.Ext) > 0
	if h.Rsv1() {
		switch {
		case !deflate:
			all = found(all, "reserved-bit", "RSV1 is set, and no extension was agreed that gives it a meaning")
		case op.Control():
			all = foundAt(all, "reserved-bit", "RFC 7692 6.1", "RSV1 is set on a control frame (%s), which is never compressed", op)
		case op == inspect.OpContinuation:
			all = foundAt(all, "reserved-bit", "RFC 7692 6.1", "RSV1 is set on a continuation frame; only a message's first frame says whether it is compressed")
		}
	}
	for _, bit := range []struct {
		on   bool
		name string
	}{{h.Rsv2(), "RSV2"}, {h.Rsv3(), "RSV3"}} {
		if bit.on {
			all = found(all, "reserved-bit", "%s is set, and no extension was agreed that gives it a meaning", bit.name)
		}
	}
	if op.Reserved() {
		group := "data"
		if op.Control() {
			group = "control"
		}
		all = found(all, "reserved-opcode", "opcode %s is reserved for a %s frame that no RFC defines", op, group)
	}
	return all
}

func length(all []inspect.Finding, h inspect.Header) []inspect.Finding {
	n := h.Length()
	if !h.Minimal() {
		short := "7"
		if n > 125 {
			short = "16"
		}
		all = found(all, "non-minimal-length", "a length of %s is written in %d bits where %s are enough", count(n), h.Form(), short)
	}
	if n > math.MaxInt64 {
		all = found(all, "length-msb", "the top bit of the 64-bit length %#x is set", n)
	}
	return all
}

func fragmentation(all []inspect.Finding, f *inspect.Frame, c *inspect.Conn) []inspect.Finding {
	op := f.Header.Opcode()
	if op.Control() {
		return all
	}
	before := c.Before(f.Dir)
	switch {
	case before.Blind:
		return all // the fragment in front may be one that was not captured
	case op == inspect.OpContinuation && !before.InMessage:
		return found(all, "orphan-continuation", "a continuation frame, and no message is open in this direction")
	case op != inspect.OpContinuation && before.InMessage:
		if shake := c.Handshake(); shake != nil && foreign(shake) {
			return all // section 5.4: an extension may interleave messages
		}
		if before.Opcode == inspect.OpContinuation {
			return found(all, "missing-continuation", "a new %s message begins before the orphaned fragments in front of it had their last", op)
		}
		return found(all, "missing-continuation", "a new %s message begins before the %s message in front of it had its last fragment", op, before.Opcode)
	}
	return all
}
