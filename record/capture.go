package record

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/wsproxy/wsproxy/inspect"
)

// captured is one packet of a capture file.
type captured struct {
	iface    uint64 // section and interface, so that merged files stay apart
	link     layers.LinkType
	time     time.Time
	data     []byte
	missing  int64 // bytes at its end that were not captured
	off      int64 // of the packet's bytes in the file
	comments []string
}

// iface is what an Interface Description Block says.
type iface struct {
	link    layers.LinkType
	perSec  uint64 // time units in a second
	offset  int64  // seconds to add
	snapLen uint32
}

// sections keeps the interfaces of the section that is being read.
type sections struct {
	n      uint64
	ring   bool // they are segments of a temporary recording
	ifaces []iface
}

// maxInterfaces bounds what a hostile file can make us keep.
const maxInterfaces = 1 << 12

// take reads a block; ok says that it is a packet, in p.
func (s *sections) take(b block) (p captured, ok bool) {
	switch b.kind {
	case blockSection:
		s.ifaces = s.ifaces[:0]
		if continues(b) {
			s.ring = true
		} else {
			s.n++
		}
	case blockInterface:
		if len(b.body) >= 8 && len(s.ifaces) < maxInterfaces {
			s.ifaces = append(s.ifaces, readInterface(b))
		}
	case blockPacket:
		return s.packet(b)
	case blockSimple:
		return s.simple(b)
	}
	return captured{}, false
}

// continues says that a section is a segment of a temporary recording, which
// goes on with the connections of the one before.
func continues(b block) bool {
	found := false
	b.options(16, func(code int, v []byte) {
		if js, ok := strings.CutPrefix(string(v), commentPrefix); ok && code == optComment {
			found = kindOf(js) == inspect.NoteSegment
		}
	})
	return found
}

func readInterface(b block) iface {
	i := iface{link: layers.LinkType(b.order.Uint16(b.body)), perSec: 1e6, snapLen: b.order.Uint32(b.body[4:])}
	b.options(8, func(code int, v []byte) {
		switch {
		case code == optResolution && len(v) >= 1:
			i.perSec = resolution(v[0])
		case code == optOffset && len(v) >= 8:
			i.offset = int64(b.order.Uint64(v))
		}
	})
	return i
}

// resolution is how many units a second has: a power of ten, or of two with the
// top bit set. What does not fit is taken for nanoseconds.
func resolution(v byte) uint64 {
	e := v & 0x7f
	if v&0x80 != 0 {
		if e < 63 {
			return 1 << e
		}
		return 1e9
	}
	n := uint64(1)
	for ; e > 0 && n < 1e18; e-- {
		n *= 10
	}
	return n
}

func (s *sections) packet(b block) (captured, bool) {
	if len(b.body) < 20 {
		return captured{}, false
	}
	id, size, orig := b.order.Uint32(b.body), b.order.Uint32(b.body[12:]), b.order.Uint32(b.body[16:])
	if int64(id) >= int64(len(s.ifaces)) || int64(size) > int64(len(b.body)-20) {
		return captured{}, false
	}
	i := s.ifaces[id]
	units := uint64(b.order.Uint32(b.body[4:]))<<32 | uint64(b.order.Uint32(b.body[8:]))
	p := captured{iface: s.n<<32 | uint64(id), link: i.link, time: i.time(units),
		data: b.body[20 : 20+size], off: b.off + 8 + 20}
	if orig > size {
		p.missing = int64(orig - size)
	}
	b.options(20+int(size+3)&^3, func(code int, v []byte) {
		if code == optComment {
			p.comments = append(p.comments, string(v))
		}
	})
	return p, true
}

// simple reads a Simple Packet Block, which has neither time nor interface.
func (s *sections) simple(b block) (captured, bool) {
	if len(b.body) < 4 || len(s.ifaces) == 0 {
		return captured{}, false
	}
	orig := b.order.Uint32(b.body)
	size := min(orig, uint32(len(b.body)-4))
	if snap := s.ifaces[0].snapLen; snap > 0 {
		size = min(size, snap)
	}
	return captured{iface: s.n << 32, link: s.ifaces[0].link, data: b.body[4 : 4+size], missing: int64(orig - size), off: b.off + 12}, true
}

func (i iface) time(units uint64) time.Time {
	sec := units / i.perSec
	frac := units % i.perSec
	var ns uint64
	if i.perSec <= 1e9 {
		ns = frac * 1e9 / i.perSec
	} else {
		ns = uint64(float64(frac) / float64(i.perSec) * 1e9)
	}
	return time.Unix(int64(sec)+i.offset, int64(ns))
}

// notes are the JSON objects that wsproxy put on the packet.
func (p *captured) notes() []string {
	var all []string
	for _, c := range p.comments {
		if js, ok := strings.CutPrefix(c, commentPrefix); ok {
			all = append(all, js)
		}
	}
	return all
}

// segment is a TCP segment of a captured packet.
type segment struct {
	src, dst netip.AddrPort
	seq      uint32
	flags    byte
	payload  []byte
	missing  int64 // payload bytes behind it that were not captured
	off      int64 // of the payload in the file
	tcp      []byte
	odd      bool // its length does not fit the packet's
}

// intact says that the checksum is right, or that nobody made one, as for what a
// network card was to fill in and for a temporary recording. Only what wsproxy wrote
// can be held to that.
func (s *segment) intact() bool {
	switch {
	case s.odd:
		return false
	case s.missing > 0 || binary.BigEndian.Uint16(s.tcp[16:]) == 0:
		return true
	}
	return checksum(pseudo(s.src.Addr(), s.dst.Addr(), len(s.tcp)), s.tcp) == 0
}

// parseRaw reads what wsproxy itself writes, and other raw IP captures: IP and
// TCP without a link layer, without fragments.
func parseRaw(p *captured) (s segment, ok bool) {
	b := p.data
	if len(b) < 20 {
		return s, false
	}
	var src, dst netip.Addr
	var total, head int
	switch b[0] >> 4 {
	case 4:
		head = int(b[0]&15) * 4
		total = int(binary.BigEndian.Uint16(b[2:]))
		if head < 20 || len(b) < head || b[9] != 6 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return s, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case 6:
		if head = 40; len(b) < head || b[6] != 6 {
			return s, false
		}
		total = 40 + int(binary.BigEndian.Uint16(b[4:]))
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return s, false
	}
	return tcpOf(p, src, dst, head, total)
}

// tcpOf reads the TCP segment that begins at head; total is the IP packet's length.
func tcpOf(p *captured, src, dst netip.Addr, head, total int) (s segment, ok bool) {
	t := p.data[head:]
	if len(t) < 20 {
		return s, false
	}
	data := int(t[12]>>4) * 4
	if data < 20 || len(t) < data {
		return s, false
	}
	s = segment{
		src: netip.AddrPortFrom(src, binary.BigEndian.Uint16(t)),
		dst: netip.AddrPortFrom(dst, binary.BigEndian.Uint16(t[2:])),
		seq: binary.BigEndian.Uint32(t[4:]), flags: t[13], payload: t[data:], off: p.off + int64(head+data), tcp: t,
	}
	if want := total - head - data; total > 0 && want >= 0 {
		if want < len(s.payload) { // padding of the link layer
			s.payload = s.payload[:want]
			s.tcp = t[:data+want]
		} else {
			s.missing = int64(want - len(s.payload))
		}
	}
	s.odd = s.missing != p.missing
	return s, true
}

// parse reads a packet of any link type.
func parse(p *captured) (segment, bool) {
	switch p.link {
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, 12, 14:
		return parseRaw(p)
	}
	pkt := gopacket.NewPacket(p.data, p.link, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	network := pkt.NetworkLayer()
	if network == nil {
		return segment{}, false
	}
	// The network layer is a slice of the packet: its place in it is found by
	// what stands behind it.
	start := len(p.data) - len(network.LayerContents()) - len(network.LayerPayload())
	if start < 0 {
		return segment{}, false
	}
	for start > 0 && cap(p.data[start:]) != cap(network.LayerContents()) {
		start-- // a trailer of the link layer stands behind the IP packet
	}
	inner := *p
	inner.data, inner.off = p.data[start:], p.off+int64(start)
	return parseRaw(&inner)
}
