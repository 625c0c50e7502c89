package decode

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// socketIO is Socket.IO 2 to 4 (its protocol 4 and 5) on Engine.IO 3 and 4.
func socketIO() Protocol {
	return Protocol{
		Name: "socket.io", Title: "Socket.IO 4, 3 and 2 on Engine.IO",
		Knows: "path …/socket.io/ and query EIO=; first message of the server 0{\"sid\":",
		Pairs: "ack id, of each namespace and direction; ping and pong; connect", Masks: "token and the like in what connect carries",
		Spec: "socket.io/docs/v4/socket-io-protocol",
		bid:  socketIOBid,
		new: func(h *Hints) Decoder {
			s := &socketio{version: 4, names: secretNames.with("token", "sid", "pid"), plain: strings.Contains(h.Path, "/engine.io")}
			if h.has("EIO", "3") {
				s.version = 3
			}
			return s
		},
	}
}

func socketIOBid(h *Hints) int {
	switch b := h.Now.Data; {
	case h.has("EIO", "") && h.has("transport", "websocket"):
		return agreedBid - 1
	case h.Now.Text && bytes.HasPrefix(b, []byte(`0{"sid":`)):
		return spokenBid
	case h.Now.Text && len(b) >= 2 && b[0] == '4' && b[1] >= '0' && b[1] <= '6' && bytes.ContainsAny(b, `[{`):
		if p := readPacket(b[1:]); p.why == "" {
			return likelyBid
		}
	case strings.Contains(h.Path, "/socket.io/"):
		return pathBid
	}
	return 0
}

// maxAttachments bounds the binary messages that one event waits for, and
// attachmentLimit their bytes.
const (
	maxAttachments  = 1 << 10
	attachmentLimit = 32 << 20
)

// socketio is the state of a session: what waits for its attachments, by direction.
type socketio struct {
	version int // of Engine.IO
	plain   bool
	names   masks // of what connect carries
	offsets bool  // the server appends an offset to each event (connection state recovery)
	waiting [2]*bundle
}

// bundle is a packet whose attachments follow in messages of their own.
type bundle struct {
	p     packet
	parts []Part
	start time.Time
	bufs  [][]byte
	size  int
}

func (s *socketio) Clone() Decoder {
	c := *s
	for d, b := range s.waiting {
		if b != nil {
			k := *b
			k.parts, k.bufs = slices.Clone(b.parts), slices.Clone(b.bufs)
			c.waiting[d] = &k
		}
	}
	return &c
}

func (s *socketio) Gap(d inspect.Dir) { s.waiting[d] = nil }

func (s *socketio) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode == inspect.OpBinary {
		b := m.Data
		if s.version == 3 { // there the packet type is in front
			if len(b) == 0 || b[0] > 6 {
				return broken(0, "a binary message of Engine.IO 3 begins with its packet type")
			}
			b = b[1:]
		}
		return s.attachment(b, m, out)
	}
	if len(m.Data) == 0 {
		return broken(0, "an Engine.IO packet has a type in front")
	}
	data := m.Data[1:]
	switch m.Data[0] {
	case '0':
		return s.opened(data, out)
	case '1':
		out.whole(Event, "engine close")
	case '2':
		out.whole(Heartbeat, strings.TrimSpace("ping "+inspect.Visible(data, 32))).asks = "ping " + string(data[:min(len(data), 32)])
	case '3':
		out.whole(Heartbeat, strings.TrimSpace("pong "+inspect.Visible(data, 32))).answers = "ping " + string(data[:min(len(data), 32)])
	case '4':
		return s.message(data, m, out)
	case '5':
		out.whole(Event, "upgrade")
	case '6':
		out.whole(Event, "noop")
	case 'b': // base64, where only text passes
		if s.version == 3 && len(data) > 0 {
			data = data[1:]
		}
		raw, err := base64.StdEncoding.DecodeString(string(data))
		if err != nil {
			return broken(1, "this is no base64")
		}
		return s.attachment(raw, m, out)
	default:
		return broken(0, "%q is no packet type of Engine.IO", m.Data[0])
	}
	return nil
}

func (s *socketio) opened(data []byte, out *Out) *Broken {
	if !isJSON(data) {
		return broken(1, "what opens Engine.IO is a JSON object")
	}
	out.whole(Event, "open").says(masked(jsonNode(data), s.names))
	return nil
}

// packet is a Socket.IO packet.
type packet struct {
	kind byte
	want int // attachments
	nsp  string
	id   string
	data []byte
	why  string // it is broken
	at   int
}

// readPacket reads <type>[<attachments>-][/<namespace>,][<ack id>][JSON].
func readPacket(b []byte) packet {
	p := packet{nsp: "/"}
	if len(b) == 0 || b[0] < '0' || b[0] > '6' {
		p.why = "a Socket.IO packet has a type from 0 to 6 in front"
		return p
	}
	p.kind = b[0] - '0'
	i := 1
	if p.kind >= 5 {
		if i = p.attachments(b); i == 0 {
			return p
		}
	}
	if i < len(b) && b[i] == '/' {
		n := bytes.IndexByte(b[i:], ',')
		if n < 0 {
			n = len(b) - i
		}
		p.nsp = string(b[i : i+n])
		i = min(i+n+1, len(b))
	}
	n := digits(b, i)
	p.id, i = string(b[i:n]), n
	p.data = b[i:]
	if len(p.data) > 0 {
		if end, why := jsonValue(b, i); why != "" || skipBlank(b, end) != len(b) {
			p.why, p.at = why, end
			if why == "" {
				p.why = "something follows its JSON"
			}
		}
	}
	if (p.kind == 2 || p.kind == 5) && p.why == "" {
		if len(p.data) == 0 || p.data[0] != '[' {
			p.why, p.at = "an event is a list that begins with its name", i
		}
	}
	return p
}

// attachments reads how many follow; the answer is where to go on, 0 if it is broken.
func (p *packet) attachments(b []byte) int {
	n := digits(b, 1)
	if n == 1 || n == len(b) || b[n] != '-' || n > 6 {
		p.why, p.at = "the number of attachments is missing", 1
		return 0
	}
	if p.want, _ = strconv.Atoi(string(b[1:n])); p.want > maxAttachments {
		p.why, p.at = "it has too many attachments", 1
		return 0
	}
	return n + 1
}

func (s *socketio) message(data []byte, m *inspect.Message, out *Out) *Broken {
	if s.plain {
		out.whole(Event, "message").says(sniff(data, true))
		return nil
	}
	p := readPacket(data)
	if p.why != "" {
		return &Broken{At: p.at + 1, Why: p.why}
	}
	if p.want == 0 {
		s.tell(&p, out.whole(Event, ""), nil)
		return nil
	}
	p.data = bytes.Clone(p.data)
	b := &bundle{p: p, start: m.Time, parts: []Part{{m.First, m.Last, 0, len(m.Data)}}}
	if s.waiting[m.Dir] != nil {
		s.waiting[m.Dir] = b
		return broken(0, "the packet before it still waits for attachments")
	}
	s.waiting[m.Dir] = b
	return nil
}

// attachment takes a binary message, which belongs to the event in front of it.
func (s *socketio) attachment(data []byte, m *inspect.Message, out *Out) *Broken {
	b := s.waiting[m.Dir]
	if b == nil {
		return s.packed(data, out)
	}
	b.size += len(data)
	if b.size > attachmentLimit {
		s.waiting[m.Dir] = nil
		return broken(0, "the attachments are longer than %d MiB", attachmentLimit>>20)
	}
	b.bufs = append(b.bufs, bytes.Clone(data))
	b.parts = append(b.parts, Part{m.First, m.Last, 0, len(m.Data)})
	if len(b.bufs) < b.p.want {
		return nil
	}
	s.waiting[m.Dir] = nil
	it := out.whole(Event, "")
	it.Start = b.start
	it.Parts = append(it.Parts[:0], b.parts...)
	s.tell(&b.p, it, b.bufs)
	return nil
}

// packed is a binary message that nothing announced: a packet of the parser that
// writes MessagePack, or one of Engine.IO alone.
func (s *socketio) packed(data []byte, out *Out) *Broken {
	n := sniff(data, false)
	kind, ok := n.Find("type")
	nsp, named := n.Find("nsp")
	if !ok || !named || len(kind.Text) != 1 {
		out.whole(Event, "message").says(n)
		return nil
	}
	p := packet{kind: kind.Text[0] - '0', nsp: nsp.Text}
	if id, ok := n.Find("id"); ok {
		p.id = id.Text
	}
	it := out.whole(Event, "")
	args, _ := n.Find("data")
	s.told(&p, it, args)
	return nil
}

// tell fills in the item of a packet that is whole.
func (s *socketio) tell(p *packet, it *Item, bufs [][]byte) {
	n := jsonNode(p.data)
	if len(bufs) > 0 {
		n = fill(n, bufs)
	}
	s.told(p, it, n)
}

func (s *socketio) told(p *packet, it *Item, n Node) {
	it.Topic = p.nsp
	n.masks = s.names
	switch it.Tree = n; p.kind {
	case 0:
		it.Name = "connect " + p.nsp
		key := "connect " + p.nsp
		if it.Dir == inspect.ToServer {
			it.Kind, it.asks = Request, key
			return
		}
		it.Kind, it.answers = Reply, key
		if pid, ok := n.Find("pid"); ok && pid.Type == Text {
			s.offsets = true
		}
	case 1:
		it.Name = "disconnect " + p.nsp
	case 2, 5:
		it.Tree.masks = secretNames
		s.event(p, it)
	case 3, 6:
		it.Tree.masks = secretNames
		it.Name, it.Kind = "ack", Reply
		it.answer(p.nsp+"#"+p.id, false)
		it.ID = p.id
	case 4:
		it.Name, it.Kind, it.answers = "connect error "+p.nsp, Error, "connect "+p.nsp
	default:
		it.Name = "packet"
	}
}

// event names an event by the first of its values; the others are what it says.
func (s *socketio) event(p *packet, it *Item) {
	it.Name = "event"
	if raw := it.Tree.raw; len(raw) > 0 && raw[0] == '[' {
		_, _ = jsonEach(raw, 0, func(_, v []byte) bool {
			it.Name = jsonText(v)
			return false
		})
	} else if args := it.Tree.Children(); len(args) > 0 {
		it.Name = args[0].Text
	}
	it.Tree = behindFirst(it.Tree)
	if s.offsets && it.Dir == inspect.ToClient {
		args := it.Tree.Children()
		if last := len(args) - 1; last >= 0 && args[last].Type == Text {
			it.Tree = objectNode(named("args", listNode(args[:last]...)), named("offset", args[last]))
		}
	}
	if p.id != "" {
		it.Kind = Request
		it.ask(p.nsp + "#" + p.id)
		it.ID = p.id
	}
}

// behindFirst is a list without its first value.
func behindFirst(n Node) Node {
	if open := n.open; open != nil {
		n.open = func(n *Node) []Node {
			kids := open(n)
			return kids[min(1, len(kids)):]
		}
	}
	return n
}

// fill puts the attachments where their placeholders stand.
func fill(n Node, bufs [][]byte) Node {
	if n.open == nil || n.Type == Text {
		return n
	}
	if n.Type == Object && isPlaceholder(n.raw) {
		if i, err := strconv.Atoi(string(jsonGet(n.raw, "num"))); err == nil && i >= 0 && i < len(bufs) {
			return named(n.Name, sniff(bufs[i], false))
		}
	}
	n.open = func(n *Node) []Node {
		kids := openJSON(n)
		for i := range kids {
			kids[i] = fill(kids[i], bufs)
		}
		return kids
	}
	return n
}

func isPlaceholder(b []byte) bool {
	return len(b) < 128 && string(jsonGet(b, "_placeholder")) == "true"
}
