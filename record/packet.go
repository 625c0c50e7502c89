package record

import (
	"encoding/binary"
	"hash/fnv"
	"math/bits"
	"net/netip"

	"github.com/wsproxy/wsproxy/inspect"
)

// TCP flags (RFC 9293 section 3.1).
const (
	flagFin = 0x01
	flagSyn = 0x02
	flagRst = 0x04
	flagPsh = 0x08
	flagAck = 0x10
)

// maxSegment is the most payload of one packet: an IP packet has at most 65,535
// bytes with its headers.
const maxSegment = 65535 - 40 - 20

// conversation writes one leg as TCP segments over IP.
type conversation struct {
	addr [2]netip.AddrPort // by the inspect.Dir in which it sends: the client's side, the server's side
	seq  [2]uint32         // next sequence number, by inspect.Dir
	open bool
	bare bool // without TCP checksums
}

// newConversation takes the addresses of a connection's leg: up is the side that
// sends ToServer. One that cannot be written as an IP address (a Unix socket, an
// HTTP/2 stream) becomes a loopback one made from its name; up also from the
// connection, since all clients of a Unix socket have the same.
func newConversation(id inspect.ConnID, up, down string) *conversation {
	c := &conversation{addr: [2]netip.AddrPort{address(up), address(down)}}
	if !isAddress(up) { // there are many at once, and a port is a number of 15 bits here
		n := hash(id.String() + up)
		ip := [4]byte{127, byte(n >> 32), byte(n >> 40), byte(n>>48) | 2}
		c.addr[0] = netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(n|0x8000))
	}
	if c.addr[0].Addr().Is4() != c.addr[1].Addr().Is4() {
		for i := range c.addr {
			c.addr[i] = netip.AddrPortFrom(netip.AddrFrom16(c.addr[i].Addr().As16()), c.addr[i].Port())
		}
	}
	if c.addr[0] == c.addr[1] { // names of no address: the two ends are to be told apart
		c.addr[1] = netip.AddrPortFrom(c.addr[1].Addr(), c.addr[1].Port()^1)
	}
	return c
}

func isAddress(s string) bool {
	_, err := netip.ParseAddrPort(s)
	return err == nil
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func address(s string) netip.AddrPort {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(hash(s)|0x8000))
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// head writes the IP and TCP headers of a segment, whose payload is to stand
// behind them, to b, which must be empty. Of a payload that is not whole there is
// no checksum.
func (c *conversation) head(b []byte, p tcp) []byte {
	src, dst := c.addr[p.dir], c.addr[p.dir.Other()]
	size := 20 + len(p.payload) + p.missing
	if src.Addr().Is4() {
		b = ip4(b, src.Addr(), dst.Addr(), size)
	} else {
		b = ip6(b, src.Addr(), dst.Addr(), size)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint32(b, c.seq[p.dir])
	ack := c.seq[p.dir.Other()]
	if p.flags&flagAck == 0 {
		ack = 0
	}
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, 5<<4, p.flags, 0xff, 0xff, 0, 0, 0, 0)
	if p.missing == 0 && !c.bare {
		sum := add(pseudo(src.Addr(), dst.Addr(), size), b[at:])
		binary.BigEndian.PutUint16(b[at+16:], checksum(sum, p.payload))
	}
	c.seq[p.dir] += uint32(len(p.payload) + p.missing)
	if p.flags&(flagSyn|flagFin) != 0 {
		c.seq[p.dir]++
	}
	return b
}

func ip4(b []byte, src, dst netip.Addr, size int) []byte {
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+size))
	b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0) // do not fragment; TTL 64; TCP
	s, d := src.As4(), dst.As4()
	b = append(append(b, s[:]...), d[:]...)
	binary.BigEndian.PutUint16(b[10:], checksum(0, b))
	return b
}

func ip6(b []byte, src, dst netip.Addr, size int) []byte {
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = append(b, 6, 64)
	s, d := src.As16(), dst.As16()
	return append(append(b, s[:]...), d[:]...)
}

// pseudo sums the pseudo header that the TCP checksum covers (RFC 9293 section 3.1).
func pseudo(src, dst netip.Addr, size int) uint64 {
	sum := uint64(size) + 6
	for _, a := range []netip.Addr{src, dst} {
		for b := a.AsSlice(); len(b) > 0; b = b[2:] {
			sum += uint64(binary.BigEndian.Uint16(b))
		}
	}
	return sum
}

// checksum is the Internet checksum (RFC 1071) of b and of what sum has of the
// bytes in front of it, an even number.
func checksum(sum uint64, b []byte) uint16 { return ^uint16(add(sum, b)) }

// add sums b for checksum, 64 bytes at a time; the sum has 16 bits.
func add(sum uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 64 { // one chain of additions with carry
		p := b[:64:64]
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[0:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[8:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[16:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[24:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[32:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[40:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[48:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(p[56:]), carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	sum, carry = bits.Add64(sum, 0, carry)
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(last[:]), carry)
	}
	sum += carry
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}
