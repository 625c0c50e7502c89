package record

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/reassembly"
	"github.com/wsproxy/wsproxy/inspect"
)

// Bounds on the out-of-order segments that are kept, in pages of about 2 KB.
const (
	pagesPerFlow = 4096
	pagesInAll   = 32768
)

// importer reads TCP conversations that wsproxy did not write: out of order,
// with retransmissions, perhaps from the middle on. Each is a connection with a
// client leg only.
type importer struct {
	sink      inspect.Sink
	assembler *reassembly.Assembler
	now       time.Time
	flows     int
}

func newImporter(sink inspect.Sink) *importer {
	im := &importer{sink: sink}
	im.assembler = reassembly.NewAssembler(reassembly.NewStreamPool(im))
	im.assembler.MaxBufferedPagesPerConnection = pagesPerFlow
	im.assembler.MaxBufferedPagesTotal = pagesInAll
	return im
}

// segment takes a segment of a foreign conversation.
func (im *importer) segment(p *captured, s segment) {
	im.now = p.time
	t := &layers.TCP{SrcPort: layers.TCPPort(s.src.Port()), DstPort: layers.TCPPort(s.dst.Port()), Seq: s.seq,
		FIN: s.flags&flagFin != 0, SYN: s.flags&flagSyn != 0, RST: s.flags&flagRst != 0, ACK: s.flags&flagAck != 0, PSH: s.flags&flagPsh != 0}
	t.Payload = s.payload
	// The assembler keys a conversation by its addresses, and by ports that a
	// TCP layer knows only if it was decoded: ours stand in the address, with
	// the interface, which tells merged captures apart.
	net := gopacket.NewFlow(layers.EndpointIPv6, endpoint(p.iface, s.src), endpoint(p.iface, s.dst))
	im.assembler.AssembleWithContext(net, t, &moment{p.time, s})
}

func endpoint(iface uint64, a netip.AddrPort) []byte {
	h := fnv.New128a()
	h.Write(binary.BigEndian.AppendUint64(nil, iface))
	h.Write(a.Addr().AsSlice())
	h.Write(binary.BigEndian.AppendUint16(nil, a.Port()))
	return h.Sum(nil)
}

// moment is a packet's context in the assembler.
type moment struct {
	time time.Time
	s    segment
}

func (m *moment) GetCaptureInfo() gopacket.CaptureInfo {
	return gopacket.CaptureInfo{Timestamp: m.time}
}

// New begins a conversation; the assembler calls it.
func (im *importer) New(_, _ gopacket.Flow, tcp *layers.TCP, ac reassembly.AssemblerContext) reassembly.Stream {
	m := ac.(*moment)
	im.flows++
	f := &foreign{im: im, flipped: fromServer(tcp)}
	client, server := m.s.src, m.s.dst
	if f.flipped {
		client, server = server, client
	}
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(m.time.UnixNano())))
	h.Write([]byte(client.String() + server.String()))
	f.info = inspect.ConnInfo{ID: inspect.ConnID(h.Sum64()), Mode: "import", Target: "ws://" + server.String(), Time: m.time,
		Client: inspect.Endpoints{Local: server.String(), Remote: client.String()}}
	return f
}

// fromServer says that a conversation's first packet came from the server: by
// the SYN, or in a capture that began later by what it says, or by the ports.
func fromServer(t *layers.TCP) bool {
	switch {
	case t.SYN:
		return t.ACK
	case bytes.HasPrefix(t.Payload, []byte("HTTP/1.")):
		return true
	case bytes.Contains(t.Payload, []byte(" HTTP/1.")):
		return false
	}
	return t.SrcPort < t.DstPort
}

// finish ends every conversation that is still open.
func (im *importer) finish() {
	if im.flows > 0 {
		im.assembler.FlushAll()
	}
}

// foreign is one conversation; the assembler calls its methods.
type foreign struct {
	im      *importer
	info    inspect.ConnInfo
	flipped bool
	opened  bool
	seen    [2]bool
	off     [2]int64
	how     [2]inspect.End // what ended it, as far as packets have said
	ended   [2]bool
}

func (f *foreign) dir(d reassembly.TCPFlowDirection) inspect.Dir {
	if (d == reassembly.TCPDirClientToServer) != f.flipped {
		return inspect.ToServer
	}
	return inspect.ToClient
}

// Accept looks at each packet as it was captured.
func (f *foreign) Accept(tcp *layers.TCP, _ gopacket.CaptureInfo, d reassembly.TCPFlowDirection, _ reassembly.Sequence, start *bool, _ reassembly.AssemblerContext) bool {
	dir := f.dir(d)
	*start = *start || !f.seen[dir] // a capture may begin in the middle
	f.seen[dir] = true
	if !f.opened {
		f.opened = true
		f.im.sink.Open(f.info)
	}
	switch {
	case tcp.RST:
		f.how[dir] = inspect.Rst
	case tcp.FIN && f.how[dir] == inspect.NoEnd:
		f.how[dir] = inspect.Fin
	}
	return true
}

// ReassembledSG takes bytes in their order.
func (f *foreign) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	n, _ := sg.Lengths()
	way, _, end, skip := sg.Info()
	d := f.dir(way)
	if f.ended[d] {
		return
	}
	if skip > 0 {
		f.chunk(d, nil, int64(skip))
	}
	if n > 0 {
		f.chunk(d, sg.Fetch(n), 0)
	}
	if end {
		f.end(d)
	}
}

func (f *foreign) chunk(d inspect.Dir, data []byte, gap int64) {
	f.im.sink.Chunk(inspect.Chunk{Conn: f.info.ID, Dir: d, Time: f.im.now, Off: f.off[d], Data: data, Gap: gap})
	f.off[d] += int64(len(data)) + gap
}

func (f *foreign) end(d inspect.Dir) {
	how := f.how[d]
	if how == inspect.NoEnd {
		how = inspect.Cut
	}
	f.ended[d] = true
	f.im.sink.End(inspect.Ended{Conn: f.info.ID, Dir: d, How: how, Time: f.im.now, Off: f.off[d]})
}

// ReassemblyComplete ends what has not ended yet.
func (f *foreign) ReassemblyComplete(reassembly.AssemblerContext) bool {
	for d, ended := range f.ended {
		if !ended {
			f.end(inspect.Dir(d))
		}
	}
	return true
}
