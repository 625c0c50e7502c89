package decode

import (
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// ocppProtocol is OCPP-J 1.6, 2.0.1 and 2.1: charging stations and their server.
func ocppProtocol() Protocol {
	return Protocol{
		Name: "ocpp", Title: "OCPP-J 1.6, 2.0.1 and 2.1", Knows: "subprotocol ocpp1.6, ocpp2.0.1, ocpp2.1; a message [2,id,action,payload]",
		Pairs: "message id, of each direction; one call at a time", Masks: "AuthorizationKey and password in payloads", Spec: "openchargealliance.org OCPP-J",
		bid: func(h *Hints) int {
			if bid := h.is("ocpp1.5", "ocpp1.6", "ocpp2.0", "ocpp2.0.1", "ocpp2.1"); bid > 0 {
				return bid
			}
			if b := h.Now.Data; len(b) > 2 && b[0] == '[' && h.Now.Text {
				if all := jsonList(b); len(all) == 4 && string(all[0]) == "2" && all[1][0] == '"' && all[2][0] == '"' && all[3][0] == '{' {
					return likelyBid
				}
			}
			return 0
		},
		new: func(*Hints) Decoder { return &ocpp{masks: secretNames.with("authorizationKey", "basicAuthPassword")} },
	}
}

// ocpp remembers the call that is out, by direction.
type ocpp struct {
	masks masks
	out   [2]string
}

func (o *ocpp) Clone() Decoder  { c := *o; return &c }
func (o *ocpp) Gap(inspect.Dir) { o.out = [2]string{} }

func (o *ocpp) Message(m *inspect.Message, out *Out) *Broken {
	i := skipBlank(m.Data, 0)
	if i == len(m.Data) || m.Data[i] != '[' {
		return broken(i, "a message of OCPP is a list")
	}
	if end, why := jsonValue(m.Data, i); why != "" {
		return broken(end, "%s", why)
	}
	all := jsonList(m.Data)
	if len(all) < 3 {
		return broken(i, "a message of OCPP has three values at least")
	}
	it := out.whole(Event, "").says(masked(jsonNode(m.Data[i:]), o.masks))
	id := jsonText(all[1])
	at := func(k int) Node {
		if k >= len(all) {
			return Node{}
		}
		return masked(jsonNode(all[k]), o.masks)
	}
	back := m.Dir.Other()
	switch kind := string(all[0]); kind {
	case "2", "6":
		it.Name, it.brief, it.ID = jsonText(all[2]), at(3), id
		if kind == "6" { // SEND of 2.1: nobody answers
			return nil
		}
		it.Kind = Request
		if it.Name == "Heartbeat" {
			it.Kind = Heartbeat
		}
		it.ask(id)
		if before := o.out[m.Dir]; before != "" {
			it.finding("ocpp-second-call", inspect.Warning, "the call %s has no answer yet, and only one may be out at a time", inspect.Visible([]byte(before), 64))
		}
		o.out[m.Dir] = id
	case "3":
		it.Name, it.Kind, it.brief = "CALLRESULT", Reply, at(2)
		it.answer(id, false)
	case "4", "5":
		it.Name, it.Kind = strings.TrimSpace("CALLERROR "+jsonText(all[2])), Error
		if kind == "5" {
			it.Name = strings.TrimSpace("CALLRESULTERROR " + jsonText(all[2]))
		}
		it.brief = at(3)
		it.answer(id, false)
	default:
		return broken(i+1, "%s is no message type of OCPP", inspect.Visible(all[0], 32))
	}
	if it.answers == o.out[back] {
		o.out[back] = ""
	}
	return nil
}

// wampProtocol is WAMP v2 in its serialisations.
func wampProtocol() Protocol {
	return Protocol{
		Name: "wamp", Title: "WAMP v2 (JSON, MessagePack, CBOR): Crossbar, Autobahn", Knows: "subprotocol wamp.2.json, wamp.2.msgpack, wamp.2.cbor; a first message [1,realm,{roles}]",
		Pairs: "request id, element 1 (of ERROR elements 1 and 2); HELLO → WELCOME", Masks: "CHALLENGE and AUTHENTICATE", Spec: "wamp-proto.org",
		bid: func(h *Hints) int {
			if b := h.Now.Data; h.Now.Text && h.Dir == inspect.ToServer && strings.HasPrefix(string(b[:min(len(b), 3)]), "[1,") {
				if all := jsonList(b); len(all) == 3 && all[1][0] == '"' && jsonGet(all[2], "roles") != nil {
					return spokenBid
				}
			}
			return h.is("wamp.2.*")
		},
		new: func(h *Hints) Decoder { return wamp{form: h.Subprotocol} },
	}
}

type wamp struct{ form string }

func (w wamp) Clone() Decoder  { return w }
func (w wamp) Gap(inspect.Dir) {}

func (w wamp) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode == inspect.OpText {
		return w.json(m.Data, out)
	}
	read := msgpackWhole
	if strings.Contains(w.form, "cbor") {
		read = cborWhole
	}
	batched := strings.HasSuffix(w.form, ".batched")
	for at := 0; at < len(m.Data); {
		start := at
		if batched {
			at = min(at+4, len(m.Data)) // its length, of which the value itself knows more
		}
		n, end, why := read(m.Data, at)
		if why != "" {
			return broken(end, "%s", why)
		}
		if n.Type != List {
			return broken(at, "a message of WAMP is a list")
		}
		w.tell(out.item(Event, "", start, end-start), n)
		at = end
	}
	return nil
}

// json reads lists apart by 0x18 or 0x1e, as batches are.
func (w wamp) json(b []byte, out *Out) *Broken {
	for at := 0; at < len(b); {
		end, why := jsonValue(b, at)
		if why != "" {
			return broken(end, "%s", why)
		}
		if b[at] != '[' {
			return broken(at, "a message of WAMP is a list")
		}
		w.tell(out.item(Event, "", at, end-at), jsonNode(b[at:end]))
		for at = end; at < len(b) && (b[at] == 0x18 || b[at] == 0x1e || blank(b[at])); at++ {
		}
	}
	return nil
}

// wampType is a message type: its name, what an answer to it is called, which element
// is its request id and which its topic or procedure.
type wampType struct {
	name      string
	kind      Kind
	id, topic int
}

var wampTypes = map[string]wampType{"1": {"HELLO", Request, 0, 1}, "2": {"WELCOME", Reply, 0, 0}, "3": {"ABORT", Error, 0, 2}, "4": {"CHALLENGE", Event, 0, 1},
	"5": {"AUTHENTICATE", Event, 0, 0}, "6": {"GOODBYE", Event, 0, 2}, "8": {"ERROR", Error, 2, 4}, "16": {"PUBLISH", Event, 1, 3}, "17": {"PUBLISHED", Reply, 1, 0},
	"32": {"SUBSCRIBE", Request, 1, 3}, "33": {"SUBSCRIBED", Reply, 1, 0}, "34": {"UNSUBSCRIBE", Request, 1, 0}, "35": {"UNSUBSCRIBED", Reply, 1, 0}, "36": {"EVENT", Event, 0, 0},
	"48": {"CALL", Request, 1, 3}, "49": {"CANCEL", Event, 1, 0}, "50": {"RESULT", Reply, 1, 0}, "64": {"REGISTER", Request, 1, 3}, "65": {"REGISTERED", Reply, 1, 0},
	"66": {"UNREGISTER", Request, 1, 0}, "67": {"UNREGISTERED", Reply, 1, 0}, "68": {"INVOCATION", Request, 1, 0}, "69": {"INTERRUPT", Event, 1, 0}, "70": {"YIELD", Reply, 1, 0}}

func (w wamp) tell(it *Item, n Node) {
	it.says(n)
	kids := n.Children()
	if len(kids) == 0 {
		it.Name = "(empty list)"
		return
	}
	t, ok := wampTypes[kids[0].Text]
	if !ok {
		it.Name = "type " + kids[0].Text
		return
	}
	at := func(i int) string {
		if i > 0 && i < len(kids) {
			return kids[i].Text
		}
		return ""
	}
	it.Topic = at(t.topic)
	it.Name, it.Kind, it.ID = strings.TrimSpace(t.name+" "+it.Topic), t.kind, at(t.id)
	switch kids[0].Text {
	case "1":
		it.asks = "hello"
	case "2", "3":
		it.answers = "hello"
	case "4", "5":
		it.Tree = objectNode(textNode("message", t.name), secretNode(named("content", n)))
	case "16":
		if ack, ok := n.Find("2.acknowledge"); ok && ack.Text == "true" {
			it.Kind, it.asks = Request, it.ID
		}
	case "36":
		it.Topic = "subscription " + at(1)
		it.ID = at(2)
	case "8":
		it.answers = at(2)
	default:
		if it.ID == "" {
			return
		}
		switch t.kind {
		case Request:
			it.asks = it.ID
		case Reply:
			it.answers = it.ID
		}
		if progress, ok := n.Find("2.progress"); ok && progress.Text == "true" {
			it.more = true
		}
	}
}
