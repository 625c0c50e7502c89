package decode

import (
	"bytes"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// mqttProtocol is MQTT 3.1, 3.1.1 and 5. Packets are a stream: they end where they end.
func mqttProtocol() Protocol {
	return Protocol{
		Name: "mqtt", Title: "MQTT 5, 3.1.1 and 3.1", Knows: "subprotocol mqtt, mqttv3.1; a first packet CONNECT",
		Pairs: "packet id, of each direction; CONNECT → CONNACK, PINGREQ → PINGRESP", Masks: "CONNECT's password, authentication data", Spec: "docs.oasis-open.org/mqtt/mqtt/v5.0",
		bid: func(h *Hints) int {
			if b := h.Now.Data; !h.Now.Text && len(b) > 8 && b[0] == 0x10 && (bytes.Contains(b[:8], []byte("\x00\x04MQ")) || bytes.Contains(b[:8], []byte("\x00\x06MQ"))) {
				return spokenBid
			}
			return h.is("mqtt", "mqttv3.1", "mqttv3.1.1", "mqttv5")
		},
		new: func(*Hints) Decoder { return &mqtt{level: 4, aliases: [2]map[int]string{{}, {}}} },
	}
}

// mqtt is the state of a connection.
type mqtt struct {
	level   int // 3, 4 or 5, from CONNECT
	ways    [2]stream
	aliases [2]map[int]string // topics that a number stands for, by direction
}

func (d *mqtt) Clone() Decoder {
	c := *d
	for i := range c.ways {
		c.ways[i], c.aliases[i] = d.ways[i].clone(), maps.Clone(d.aliases[i])
	}
	return &c
}

func (d *mqtt) Gap(dir inspect.Dir) {
	d.ways[dir].reset()
	clear(d.aliases[dir])
}

func (d *mqtt) Message(m *inspect.Message, out *Out) *Broken {
	return d.ways[m.Dir].packets(m, out, mqttSize, d.packet)
}

// mqttSize reads the fixed header: type and flags, then the length of the rest in one
// to four bytes.
func mqttSize(b []byte, _ int) (n int, why string) {
	if b[0]>>4 == 0 {
		return 0, "a packet of MQTT has a type from 1 to 15"
	}
	length := 0
	for i := 1; i < len(b); i++ {
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return 1 + i + length, ""
		}
		if i == 4 {
			return 0, "a length of MQTT has at most four bytes"
		}
	}
	return 0, ""
}

var mqttTypes = [16]string{"", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

func (d *mqtt) packet(b []byte, it *Item) *Broken {
	r := &reader{b: b, at: 1}
	r.varint()
	kind, flags := b[0]>>4, b[0]&15
	it.Name = mqttTypes[kind]
	n := objectNode()
	n.raw = b
	switch kind {
	case 1:
		d.connect(r, &n, it)
	case 2:
		d.connack(r, &n, it)
	case 3:
		d.publish(r, flags, &n, it)
	case 4, 5, 6, 7:
		d.ack(r, kind, &n, it)
	case 8, 10:
		d.subscribe(r, kind, &n, it)
	case 9, 11:
		d.suback(r, kind, &n, it)
	case 12:
		it.Kind, it.asks = Heartbeat, "ping"
	case 13:
		it.Kind, it.answers = Heartbeat, "ping"
	default:
		if r.left() > 0 {
			d.reason(r, &n, it)
			n.kids = append(n.kids, d.properties(r, it)...)
		}
	}
	switch {
	case r.short:
		return broken(0, "%s is shorter than what it says it holds", mqttTypes[kind])
	case r.left() > 0:
		it.finding(FindBroken, inspect.Warning, "%s has %d bytes behind its end", mqttTypes[kind], r.left())
	}
	if len(n.kids) > 0 {
		it.says(n)
	}
	return nil
}

func (n *Node) add(kids ...Node) { n.kids = append(n.kids, kids...) }

func (d *mqtt) connect(r *reader, n *Node, it *Item) {
	name := r.text16()
	d.level = r.uint8() & 0x7f // the highest bit is a bridge's
	flags := r.uint8()
	n.add(textNode("protocol", name), numberNode("level", int64(d.level)), boolNode("clean", flags&2 != 0), numberNode("keepAlive", int64(r.uint16())))
	n.add(d.properties(r, it)...)
	client := r.text16()
	n.add(textNode("clientId", client))
	it.Name = strings.TrimSpace("CONNECT " + client)
	it.Kind, it.asks = Request, "connect"
	if flags&4 != 0 {
		will := objectNode(d.properties(r, it)...)
		will.add(textNode("topic", r.text16()))
		payload := sniff(r.take(r.uint16()), false)
		will.add(named("payload", payload), numberNode("qos", int64(flags>>3&3)), boolNode("retain", flags&0x20 != 0))
		n.add(named("will", will))
	}
	if flags&0x80 != 0 {
		n.add(textNode("username", r.text16()))
	}
	if flags&0x40 != 0 {
		n.add(secretNode(bytesNode("password", r.take(r.uint16()))))
	}
}

// connackCodes are those of MQTT 3.
var connackCodes = [...]string{"accepted", "unacceptable protocol version", "identifier rejected", "server unavailable", "bad user name or password", "not authorized"}

func (d *mqtt) connack(r *reader, n *Node, it *Item) {
	present := r.uint8()&1 != 0
	it.Kind, it.answers = Reply, "connect"
	if d.level == 5 {
		d.reason(r, n, it)
	} else {
		code := r.uint8()
		k := numberNode("code", int64(code))
		if code < len(connackCodes) {
			k.Note = connackCodes[code]
		}
		n.add(k)
		if code > 0 {
			it.Kind = Error
		}
	}
	n.add(boolNode("sessionPresent", present))
	n.add(d.properties(r, it)...)
}

func (d *mqtt) publish(r *reader, flags byte, n *Node, it *Item) {
	topic := r.text16()
	qos := flags >> 1 & 3
	if qos > 0 {
		it.ID = strconv.Itoa(r.uint16())
		it.Kind, it.asks = Request, it.ID
	}
	props := d.properties(r, it)
	for _, p := range props {
		if p.Name != "topicAlias" {
			continue
		}
		alias, _ := strconv.Atoi(p.Text)
		if topic == "" {
			topic = d.aliases[it.Dir][alias]
		} else if len(d.aliases[it.Dir]) < 1<<12 && len(topic) <= 1<<12 {
			d.aliases[it.Dir][alias] = topic
		}
	}
	it.Name, it.Topic = strings.TrimSpace("PUBLISH "+topic), topic
	payload := named("payload", sniff(r.all(), false))
	n.add(textNode("topic", topic), numberNode("qos", int64(qos)))
	if flags&8 != 0 {
		n.add(boolNode("dup", true))
	}
	if flags&1 != 0 {
		n.add(boolNode("retain", true))
	}
	n.add(props...)
	n.add(payload)
	it.brief = payload
}

func (d *mqtt) ack(r *reader, kind byte, n *Node, it *Item) {
	id := strconv.Itoa(r.uint16())
	n.add(textNode("packetId", id))
	if d.level == 5 && r.left() > 0 {
		d.reason(r, n, it)
		n.add(d.properties(r, it)...)
	}
	it.ID = id
	if kind == 6 { // PUBREL goes the way of its PUBLISH
		return
	}
	if it.Kind == Event {
		it.Kind = Reply
	}
	it.answer(id, kind == 5 && it.Kind != Error)
}

func (d *mqtt) subscribe(r *reader, kind byte, n *Node, it *Item) {
	it.Kind = Request
	it.ask(strconv.Itoa(r.uint16()))
	n.add(d.properties(r, it)...)
	var names []string
	all := listNode()
	for enough := false; r.left() > 0 && !r.short; {
		if all.kids, enough = full(all.kids); enough {
			r.all()
			break
		}
		topic := r.text16()
		names = append(names, topic)
		k := textNode("", topic)
		if kind == 8 {
			options := r.uint8()
			k = objectNode(textNode("topic", topic), numberNode("qos", int64(options&3)))
			if options&^3 != 0 {
				k.add(numberNode("options", int64(options)))
			}
		}
		all.add(k)
	}
	n.add(named("topics", all))
	if len(names) > 0 {
		it.Topic = names[0]
		it.Name += " " + strings.Join(names[:min(len(names), 8)], " ")
	}
}

func (d *mqtt) suback(r *reader, kind byte, n *Node, it *Item) {
	id := strconv.Itoa(r.uint16())
	it.Kind = Reply
	it.answer(id, false)
	n.add(d.properties(r, it)...)
	codes := listNode()
	for enough := false; r.left() > 0 && !r.short; {
		if codes.kids, enough = full(codes.kids); enough {
			r.all()
			break
		}
		code := r.uint8()
		k := numberNode("", int64(code))
		k.Note = mqttReason(int(kind), code)
		if code >= 0x80 {
			it.Kind = Error
		}
		codes.add(k)
	}
	n.add(named("codes", codes))
}

// reason adds a reason code of MQTT 5, which makes an error of what failed.
func (d *mqtt) reason(r *reader, n *Node, it *Item) {
	code := r.uint8()
	k := numberNode("reason", int64(code))
	k.Note = mqttReason(0, code)
	n.add(k)
	if code >= 0x80 {
		it.Kind = Error
	}
}

// mqttReasons are the reason codes of MQTT 5 section 2.4.
var mqttReasons = map[int]string{0x00: "success", 0x04: "disconnect with will message", 0x10: "no matching subscribers", 0x11: "no subscription existed",
	0x18: "continue authentication", 0x19: "re-authenticate", 0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error",
	0x83: "implementation specific error", 0x84: "unsupported protocol version", 0x85: "client identifier not valid", 0x86: "bad user name or password",
	0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy", 0x8a: "banned", 0x8b: "server shutting down", 0x8c: "bad authentication method",
	0x8d: "keep alive timeout", 0x8e: "session taken over", 0x8f: "topic filter invalid", 0x90: "topic name invalid", 0x91: "packet identifier in use",
	0x92: "packet identifier not found", 0x93: "receive maximum exceeded", 0x94: "topic alias invalid", 0x95: "packet too large", 0x96: "message rate too high",
	0x97: "quota exceeded", 0x98: "administrative action", 0x99: "payload format invalid", 0x9a: "retain not supported", 0x9b: "QoS not supported",
	0x9c: "use another server", 0x9d: "server moved", 0x9e: "shared subscriptions not supported", 0x9f: "connection rate exceeded",
	0xa0: "maximum connect time", 0xa1: "subscription identifiers not supported", 0xa2: "wildcard subscriptions not supported"}

// mqttReason is what a code means in a packet: a SUBACK's low ones are a QoS.
func mqttReason(kind, code int) string {
	if kind == 9 && code < 3 {
		return fmt.Sprint("granted QoS ", code)
	}
	return mqttReasons[code]
}

// mqttProperty is a property of MQTT 5 section 2.2.2.2: b byte, h two bytes, w four,
// v varint, s text, d data, p pair of texts.
type mqttProperty struct {
	name string
	form byte
}

var mqttProperties = map[uint64]mqttProperty{0x01: {"payloadFormat", 'b'}, 0x02: {"messageExpiry", 'w'}, 0x03: {"contentType", 's'}, 0x08: {"responseTopic", 's'},
	0x09: {"correlationData", 'd'}, 0x0b: {"subscriptionId", 'v'}, 0x11: {"sessionExpiry", 'w'}, 0x12: {"assignedClientId", 's'}, 0x13: {"serverKeepAlive", 'h'},
	0x15: {"authMethod", 's'}, 0x16: {"authData", 'd'}, 0x17: {"requestProblemInfo", 'b'}, 0x18: {"willDelay", 'w'}, 0x19: {"requestResponseInfo", 'b'},
	0x1a: {"responseInfo", 's'}, 0x1c: {"serverReference", 's'}, 0x1f: {"reasonString", 's'}, 0x21: {"receiveMaximum", 'h'}, 0x22: {"topicAliasMaximum", 'h'},
	0x23: {"topicAlias", 'h'}, 0x24: {"maximumQoS", 'b'}, 0x25: {"retainAvailable", 'b'}, 0x26: {"userProperty", 'p'}, 0x27: {"maximumPacketSize", 'w'},
	0x28: {"wildcardAvailable", 'b'}, 0x29: {"subscriptionIdAvailable", 'b'}, 0x2a: {"sharedAvailable", 'b'}}

// properties reads the block of properties that MQTT 5 has; it may be left out at a
// packet's end.
func (d *mqtt) properties(r *reader, it *Item) []Node {
	if d.level != 5 || r.left() == 0 {
		return nil
	}
	length := r.varint()
	if length > uint64(r.left()) {
		r.short = true
		return nil
	}
	p := &reader{b: r.take(int(length))}
	var all []Node
	for enough := false; p.left() > 0 && !p.short; {
		if all, enough = full(all); enough {
			break
		}
		id := p.varint()
		form, ok := mqttProperties[id]
		if !ok {
			it.finding(FindBroken, inspect.Warning, "a property %#x is not known, and what follows it is not read", id)
			return append(all, restNode(p.all(), "an unknown property"))
		}
		all = append(all, named(form.name, propertyValue(p, form)))
	}
	r.short = r.short || p.short
	return all
}

func propertyValue(p *reader, form mqttProperty) Node {
	switch form.form {
	case 'b':
		return numberNode("", int64(p.uint8()))
	case 'h':
		return numberNode("", int64(p.uint16()))
	case 'w':
		return numberNode("", int64(p.uint32()))
	case 'v':
		return unsignedNode("", p.varint())
	case 's':
		return textNode("", p.text16())
	case 'p':
		key := p.text16()
		return objectNode(textNode(key, p.text16()))
	}
	n := bytesNode("", p.take(p.uint16()))
	n.Secret = form.name == "authData"
	return n
}
