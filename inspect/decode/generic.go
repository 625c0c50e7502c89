package decode

import (
	"fmt"

	"github.com/wsproxy/wsproxy/inspect"
)

// jsonProtocol is any JSON: one document a message, or several on lines or behind
// U+001E. Names and ids are found where most protocols have them.
func jsonProtocol() Protocol {
	c := compileRule(&Rule{
		Name:   "json",
		Method: []string{"method", "type", "event", "action", "op", "command", "cmd", "msg", "kind", "target"},
		ID:     []string{"id", "requestId", "request_id", "req_id", "reqId", "ref", "seq"},
		Topic:  []string{"channel", "topic"},
	})
	return Protocol{
		Name: "json", Title: "JSON, also on lines (NDJSON) or behind U+001E", Knows: "a message that is JSON",
		Pairs: "id, requestId, ref, …: a message with the id of an earlier one that went the other way", Spec: "RFC 8259, RFC 7464",
		bid: func(h *Hints) int {
			b := h.Now.Data
			if i := skipBlank(b, 0); i == len(b) || b[i] != '{' && b[i] != '[' && b[i] != 0x1e {
				return 0
			}
			if h.Now.Whole && jsonDocuments(b, 0, func(int, int) {}) != nil {
				if !meansJSON(b) {
					return 0
				}
				return bytesBid + 2
			}
			return formBid
		},
		new: func(*Hints) Decoder { return anyJSON{c} },
	}
}

// anyJSON decodes what is JSON, and shows the rest as the bytes that it is.
type anyJSON struct{ *compiled }

func (j anyJSON) Clone() Decoder  { return j }
func (j anyJSON) Gap(inspect.Dir) {}
func (j anyJSON) Message(m *inspect.Message, out *Out) *Broken {
	b := m.Data
	if i := skipBlank(b, 0); i == len(b) || b[i] != '{' && b[i] != '[' && b[i] != 0x1e {
		return anything{}.Message(m, out)
	}
	if i := skipBlank(b, 0); b[i] == '{' {
		var in picked
		if end, why := j.pick(b, i, &in); why == "" && skipBlank(b, end) == len(b) {
			j.picked(&in, b, [2]int{i, end}, out)
			return nil
		}
	}
	err := jsonDocuments(b, 0, func(off, end int) { j.tell(b, off, end, out) })
	if err == nil {
		if len(out.items) == 0 { // separators alone
			out.whole(Event, "(empty)")
		}
		return nil
	}
	if len(out.items) > 0 || !meansJSON(b) {
		return err
	}
	out.whole(Event, "json").says(rawNode(m)).
		finding(FindBroken, inspect.Warning, "this is no JSON, at byte %d of the message: %s", err.At, err.Why)
	return nil
}

// meansJSON says that bytes begin as hardly anything but JSON does.
func meansJSON(b []byte) bool {
	i := skipBlank(b, 0)
	if len(b)-i < 2 {
		return false
	}
	next := b[min(skipBlank(b, i+1), len(b)-1)]
	return b[i] == '{' && next == '"' || b[i] == '[' && (next == '{' || next == '"')
}

// tell tells one document, which asks or answers where it has an id.
func (j anyJSON) tell(b []byte, off, end int, out *Out) {
	if b[off] != '{' {
		out.item(Event, "json", off, end-off).says(jsonNode(b[off:end]))
		return
	}
	var in picked
	_, _ = j.pick(b[:end], off, &in) // it was read before
	j.picked(&in, b, [2]int{off, end}, out)
}

func (j anyJSON) picked(in *picked, b []byte, at [2]int, out *Out) {
	it := out.item(Event, "json", at[0], at[1]-at[0]).says(jsonNode(b[at[0]:at[1]]))
	name := firstText(j.method, in)
	if name != "" && len(name) <= 64 {
		it.Name = name
	}
	it.Topic = firstText(j.topic, in)
	switch name {
	case "ping", "pong", "heartbeat":
		it.Kind = Heartbeat
		return
	case "error":
		it.Kind = Error
	}
	if id := firstText(j.id, in); id != "" {
		if it.Kind == Event {
			it.Kind = Request
		}
		it.ask(id).either = true
	}
}

// textProtocol is text that is no JSON.
func textProtocol() Protocol {
	return Protocol{
		Name: "text", Title: "Text, XML; each binary message as what it looks like: JSON, MessagePack, CBOR, protobuf; gzip, zlib and zstd around them", Knows: "what the bytes look like",
		Pairs: "nothing", Spec: "",
		bid: func(h *Hints) int { return bytesBid + 1 },
		new: func(*Hints) Decoder { return anything{} },
	}
}

// anything shows each message as what it looks like.
type anything struct{}

func (anything) Clone() Decoder  { return anything{} }
func (anything) Gap(inspect.Dir) {}
func (anything) Message(m *inspect.Message, out *Out) *Broken {
	n := sniff(m.Data, m.Opcode == inspect.OpText)
	out.whole(Event, formName(&n)).says(n)
	return nil
}

// formName is a name for what says none itself.
func formName(n *Node) string {
	switch {
	case n.Note != "" && n.Type != Text:
		return n.Note
	case n.Type == Text:
		return "text"
	case n.Type == Binary:
		return "binary"
	}
	return "value"
}

// rawProtocol shows messages as the bytes that they are.
func rawProtocol() Protocol {
	return Protocol{
		Name: "raw", Title: "Nothing is decoded", Knows: "whatever else does not fit", Pairs: "nothing",
		bid: func(*Hints) int { return bytesBid },
		new: func(*Hints) Decoder { return undecoded{} },
	}
}

type undecoded struct{}

func (undecoded) Clone() Decoder  { return undecoded{} }
func (undecoded) Gap(inspect.Dir) {}
func (undecoded) Message(m *inspect.Message, out *Out) *Broken {
	out.whole(Event, fmt.Sprint(m.Opcode)).says(rawNode(m))
	return nil
}

// rawNode is a message as it is.
func rawNode(m *inspect.Message) Node {
	if m.Opcode == inspect.OpText && m.InvalidUTF8 == 0 {
		return Node{Type: Text, Text: string(m.Data), raw: m.Data}
	}
	return bytesNode("", m.Data)
}
