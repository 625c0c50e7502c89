package cassette

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// The packets of MQTT that have an identifier (MQTT 5.0 section 2.2.1), beside the
// first, CONNECT.
const (
	mqttConnect     = 1
	mqttPublish     = 3
	mqttPuback      = 4
	mqttPubrec      = 5
	mqttPubrel      = 6
	mqttPubcomp     = 7
	mqttSubscribe   = 8
	mqttSuback      = 9
	mqttUnsubscribe = 10
	mqttUnsuback    = 11
)

// mqttStream is what one side says in a session, whose packets begin and end anywhere
// in its messages.
type mqttStream struct {
	from  inspect.Dir
	data  []byte
	lines []int // of the messages
	start []int // where each begins in data
}

// mqttField is a part of a packet that is another one each time.
type mqttField struct {
	line, at, n int // where it stands: a part of one message
	packet      byte
	again       bool // it is sent once more (DUP)
	from        inspect.Dir
	id          uint16
}

// mqtt makes variables of the packet identifiers in sessions of MQTT, which many
// clients begin to count anywhere, and leaves passwords out.
func (v *vary) mqtt() {
	for _, s := range v.c.Sessions() {
		if !strings.HasPrefix(strings.ToLower(s.Upgrade.Subprotocol), "mqtt") {
			continue
		}
		var ids, any []mqttField
		for _, d := range []inspect.Dir{inspect.ToServer, inspect.ToClient} {
			x := v.c.mqttStream(s.N, d)
			x.read(func(packet byte, body []byte, at int) {
				if packet>>4 == mqttConnect && d == inspect.ToServer {
					any = append(any, v.mqttConnect(x, body, at)...)
				} else if id := x.identifier(packet, body, at); id.n > 0 && (v.m.Variables || v.m.Both) {
					ids = append(ids, id)
				}
			})
		}
		slices.SortStableFunc(ids, func(a, b mqttField) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.at, b.at)) })
		v.mqttNames(ids, any)
	}
}

// mqttStream are a side's binary messages in a session.
func (c *Cassette) mqttStream(session int, d inspect.Dir) *mqttStream {
	x := &mqttStream{from: d}
	for i := range c.Lines {
		l := &c.Lines[i]
		if l.Session == session && l.From == d && l.Kind == Binary && !l.Template {
			x.lines, x.start = append(x.lines, i), append(x.start, len(x.data))
			x.data = append(x.data, l.Data...)
		}
	}
	return x
}

// read tells of each whole packet: its first byte, what is behind its length, and
// where that begins. It ends at what is no MQTT.
func (x *mqttStream) read(packet func(first byte, body []byte, at int)) {
	for at := 0; at < len(x.data); {
		n, size := binary.Uvarint(x.data[at+1:]) // a Variable Byte Integer is written so too
		from := at + 1 + size
		if size <= 0 || size > 4 || n > uint64(len(x.data)-from) || x.data[at]>>4 == 0 {
			return
		}
		packet(x.data[at], x.data[from:from+int(n)], from)
		at = from + int(n)
	}
}

// field is a part of the stream as a part of a message; of none, n is 0.
func (x *mqttStream) field(at, n int) mqttField {
	i, found := slices.BinarySearch(x.start, at)
	if !found {
		i--
	}
	for found && i+1 < len(x.start) && x.start[i+1] == at { // behind empty ones
		i++
	}
	end := len(x.data)
	if i+1 < len(x.start) {
		end = x.start[i+1]
	}
	if i < 0 || at+n > end {
		return mqttField{}
	}
	return mqttField{line: x.lines[i], at: at - x.start[i], n: n, from: x.from}
}

// identifier is a packet's, if it has one that stands in one message.
func (x *mqttStream) identifier(first byte, body []byte, at int) mqttField {
	off := 0
	switch first >> 4 {
	case mqttPublish:
		if first&6 == 0 || len(body) < 2 {
			return mqttField{} // QoS 0 has none
		}
		off = 2 + int(binary.BigEndian.Uint16(body))
	case mqttPuback, mqttPubrec, mqttPubrel, mqttPubcomp, mqttSubscribe, mqttSuback, mqttUnsubscribe, mqttUnsuback:
	default:
		return mqttField{}
	}
	if off+2 > len(body) {
		return mqttField{}
	}
	f := x.field(at+off, 2)
	f.packet, f.again, f.id = first>>4, first>>4 == mqttPublish && first&8 != 0, binary.BigEndian.Uint16(body[off:])
	return f
}

// mqttConnect are what a CONNECT has that is another one each time: a client identifier
// that looks made up, and the password.
func (v *vary) mqttConnect(x *mqttStream, body []byte, at int) (all []mqttField) {
	rest := body
	ok := true
	take := func(n int) []byte {
		if n > len(rest) {
			ok, n = false, len(rest)
		}
		b := rest[:n]
		rest = rest[n:]
		return b
	}
	text := func() []byte {
		if n := take(2); len(n) == 2 {
			return take(int(binary.BigEndian.Uint16(n)))
		}
		return nil
	}
	properties := func(level byte) {
		if n, size := binary.Uvarint(rest); level == 5 && size > 0 {
			take(size + int(min(n, 1<<28)))
		}
	}
	text()
	head := take(4) // level, flags, keep alive
	if !ok {
		return nil
	}
	properties(head[0])
	put := func(b []byte) {
		if f := x.field(at+len(body)-len(rest)-len(b), len(b)); ok && len(b) > 0 && f.n > 0 {
			all = append(all, f)
		}
	}
	if id := text(); v.m.Variables || v.m.Both {
		if l := (&leaf{text: string(id)}); l.generated() || bytes.HasPrefix(id, []byte("mqttjs_")) {
			put(id)
		}
	}
	if head[1]&4 != 0 { // a will
		properties(head[0])
		text()
		text()
	}
	if head[1]&0x80 != 0 {
		text()
	}
	if head[1]&0x40 != 0 && v.m.Secret != nil {
		put(text())
	}
	return all
}

// mqttNames puts variables in the places of identifiers, and any bytes in those of
// what nobody repeats.
func (v *vary) mqttNames(ids, anything []mqttField) {
	type key struct {
		owner inspect.Dir
		id    uint16
	}
	edits := map[int][]edit{}
	put := func(f mqttField, name string) {
		edits[f.line] = append(edits[f.line], edit{at: f.at, end: f.at + f.n, with: fmt.Sprintf("${%s:%d}", name, f.n)})
	}
	for _, f := range anything {
		put(f, "string")
		v.changes = append(v.changes, Change{Line: f.line + 2, Name: "string", Why: "a client identifier or password of MQTT"})
	}
	names := map[key]string{}
	made, first := 0, ""
	for _, f := range ids {
		k := key{f.from, f.id}
		begins := f.packet == mqttPublish || f.packet == mqttSubscribe || f.packet == mqttUnsubscribe
		if !begins && f.packet != mqttPubrel {
			k.owner = f.from.Other() // it answers
		}
		if names[k] == "" || begins && !f.again {
			names[k] = v.name("packet")
			if made++; made == 1 {
				first = names[k]
			}
			if v.c.Values == nil {
				v.c.Values = map[string][]byte{}
			}
			v.c.Values[names[k]] = quoteJSON(fmt.Appendf(nil, "%04x", f.id))
		}
		put(f, names[k])
	}
	if made > 0 {
		f := ids[0]
		v.changes = append(v.changes, Change{Line: f.line + 2, Name: first, Was: fmt.Sprintf("%04x", f.id),
			Why: fmt.Sprintf("a packet identifier of MQTT (%d in this session)", made)})
	}
	for i, all := range edits {
		l := &v.c.Lines[i]
		slices.SortFunc(all, func(a, b edit) int { return a.at - b.at })
		var s strings.Builder
		last := 0
		for _, e := range all {
			s.WriteString(hex.EncodeToString(l.Data[last:e.at]) + e.with)
			last = e.end
		}
		s.WriteString(hex.EncodeToString(l.Data[last:]))
		l.Data, l.Template = []byte(s.String()), true
	}
}
