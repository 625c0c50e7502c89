package decode

import (
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"google.golang.org/protobuf/encoding/protowire"
)

// centrifugeProtobuf is Centrifugo's protocol in Protocol Buffers: each command or reply
// behind its length.
func centrifugeProtobuf() Protocol {
	return Protocol{
		Name: "centrifuge-protobuf", Title: "Centrifugo (protobuf)", Knows: "subprotocol centrifuge-protobuf; path …/connection/websocket with format=protobuf; a first message that is a connect",
		Pairs: "id", Masks: "token of connect, subscribe and refresh", Spec: "github.com/centrifugal/protocol client.proto",
		bid: func(h *Hints) int {
			if strings.HasSuffix(h.Path, "/connection/websocket") && (h.has("format", "protobuf") || h.has("cf_protocol", "protobuf")) {
				return agreedBid - 1
			}
			b := h.Now.Data
			if !h.Now.Text && h.Dir == inspect.ToServer && len(b) > 4 && b[0] < 0x80 && int(b[0]) < len(b) && string(b[1:4]) == "\x08\x01\x22" { // id 1, connect
				return likelyBid
			}
			return h.is("centrifuge-protobuf")
		},
		new: func(*Hints) Decoder { return centrifuge{secretNames.with("token")} },
	}
}

// wire is a message's fields by their numbers.
type wire map[protowire.Number]wireField

// wireField is a field's name, and its own fields if it is a message.
type wireField struct {
	name string
	of   wire
}

// The messages of Centrifugo, those fields of them that people look for.
var (
	centError       = wire{1: {name: "code"}, 2: {name: "message"}, 3: {name: "temporary"}}
	centChannel     = wire{1: {name: "channel"}}
	centRefresh     = wire{1: {name: "token"}}
	centData        = wire{1: {name: "data"}}
	centSubscribe   = wire{1: {name: "channel"}, 2: {name: "token"}, 3: {name: "recover"}, 6: {name: "epoch"}, 7: {name: "offset"}, 8: {name: "data"}}
	centPublication = wire{4: {name: "data"}, 5: {name: "info"}, 6: {name: "offset"}}
	centSubscribed  = wire{1: {name: "expires"}, 2: {name: "ttl"}, 3: {name: "recoverable"}, 6: {name: "epoch"}, 7: {"publications", centPublication}, 8: {name: "recovered"}, 9: {name: "offset"}}
	centSubs        = wire{1: {name: "channel"}, 2: {"request", centSubscribe}} // an entry of a map
	centCommand     = wire{1: {name: "id"},
		4: {"connect", wire{1: {name: "token"}, 2: {name: "data"}, 3: {"subs", centSubs}, 4: {name: "name"}, 5: {name: "version"}}}, 5: {"subscribe", centSubscribe}, 6: {"unsubscribe", centChannel},
		7: {"publish", wire{1: {name: "channel"}, 2: {name: "data"}}}, 8: {"presence", centChannel}, 9: {"presence_stats", centChannel}, 10: {"history", centChannel}, 11: {"ping", wire{}},
		12: {"send", centData}, 13: {"rpc", wire{1: {name: "data"}, 2: {name: "method"}}}, 14: {"refresh", centRefresh}, 15: {"sub_refresh", wire{1: {name: "channel"}, 2: {name: "token"}}}}
	centReply = wire{1: {name: "id"}, 2: {"error", centError},
		4: {"push", wire{2: {name: "channel"}, 4: {"pub", centPublication}, 5: {"join", wire{}}, 6: {"leave", wire{}}, 7: {"unsubscribe", wire{}}, 8: {"message", centData}, 9: {"subscribe", wire{}},
			10: {"connect", wire{}}, 11: {"disconnect", wire{1: {name: "code"}, 2: {name: "reason"}}}, 12: {"refresh", wire{}}}},
		5: {"connect", wire{1: {name: "client"}, 2: {name: "version"}, 3: {name: "expires"}, 4: {name: "ttl"}, 5: {name: "data"}, 7: {name: "ping"}, 8: {name: "pong"}}}, 6: {"subscribe", centSubscribed},
		7: {"unsubscribe", wire{}}, 8: {"publish", wire{}}, 9: {"presence", wire{}}, 10: {"presence_stats", wire{}}, 11: {"history", wire{1: {"publications", centPublication}, 2: {name: "epoch"}, 3: {name: "offset"}}},
		12: {"ping", wire{}}, 13: {"rpc", centData}, 14: {"refresh", wire{}}, 15: {"sub_refresh", wire{}}}
)

// node is the tree of a message, which is read when it is opened.
func (w wire) node(b []byte) Node { return Node{Type: Object, raw: b, open: w.open} }

func (w wire) open(n *Node) []Node {
	var kids []Node
	for b := n.raw; len(b) > 0; {
		var enough bool
		if kids, enough = full(kids); enough {
			return kids
		}
		num, typ, size := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[max(size, 0):])
		if size < 0 || m < 0 {
			return append(kids, restNode(b, "a field is not well-formed"))
		}
		value := b[size : size+m]
		f, known := w[num]
		var k Node
		switch inner, _ := protowire.ConsumeBytes(value); {
		case known && typ == protowire.BytesType && f.of != nil:
			k = f.of.node(inner)
		case known && typ == protowire.BytesType:
			k = sniff(inner, false)
		default:
			k = protobufGuess(value, typ, n.level)
		}
		if k.Name = f.name; !known {
			k.Name = strconv.Itoa(int(num))
		}
		kids = append(kids, k)
		b = b[size+m:]
	}
	return kids
}

type centrifuge struct{ masks masks }

func (c centrifuge) Clone() Decoder  { return c }
func (c centrifuge) Gap(inspect.Dir) {}

func (c centrifuge) Message(m *inspect.Message, out *Out) *Broken {
	fields := centReply
	if m.Dir == inspect.ToServer {
		fields = centCommand
	}
	for r := (&reader{b: m.Data}); r.left() > 0; {
		at := r.at
		n := r.varint()
		if r.short || n > uint64(r.left()) {
			return broken(at, "a message of %d bytes, and %d are left", n, r.left())
		}
		body := r.take(int(n))
		if off, why := protobufCheck(body); why != "" {
			return broken(r.at-len(body)+off, "%s", why)
		}
		c.tell(out.item(Event, "", at, r.at-at), masked(fields.node(body), c.masks))
	}
	return nil
}

// tell names a message by the member beside its id.
func (c centrifuge) tell(it *Item, n Node) {
	it.says(n)
	kids := n.Children()
	if len(kids) == 0 {
		it.Name, it.Kind = "ping", Heartbeat
		return
	}
	id := ""
	for i := range kids {
		if kids[i].Name == "id" {
			id = kids[i].Text
			continue
		}
		if it.Name == "" {
			it.Name, it.brief = kids[i].Name, kids[i]
			channel, _ := kids[i].Find("channel")
			it.Topic = channel.Text
		}
	}
	it.brief.Name, it.brief.level = "", 0
	switch {
	case id == "" && it.Name == "push":
		for _, k := range it.brief.Children() {
			if k.Type == Object {
				it.Name = "push " + k.Name
			}
		}
	case id == "":
	case it.Dir == inspect.ToServer:
		it.Kind = Request
		it.ask(id)
	default:
		if it.Kind = Reply; it.Name == "error" {
			it.Kind = Error
		}
		it.answer(id, false)
	}
}
