package decode

import "github.com/wsproxy/wsproxy/inspect"

// pusher is the Pusher protocol 7, which Laravel Reverb and Soketi speak too.
func pusher() Protocol {
	return Rule{
		Name: "pusher", Title: "Pusher, Laravel Reverb, Soketi",
		Path:       []string{"/app/*"},
		First:      []string{"event=pusher:*", "event=pusher_internal:*"},
		Method:     []string{"event"},
		ID:         []string{"data.channel", "channel"},
		Topic:      []string{"data.channel", "channel"},
		Body:       []string{"data"},
		Requests:   []string{"pusher:subscribe"},
		Replies:    []string{"pusher_internal:subscription_succeeded"},
		Errors:     []string{"pusher:error", "pusher:subscription_error"},
		Events:     []string{"pusher:connection_established", "*"},
		Heartbeats: []string{"pusher:ping", "pusher:pong"},
		Answers:    map[string]string{"pusher:ping": "pusher:pong"},
		Secrets:    []string{"auth", "shared_secret"},
		spec:       "pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol", pairs: "channel: subscribe → subscription_succeeded", spoken: true,
		after: func(it *Item, b []byte) {
			if it.Name == "pusher:subscribe" {
				it.Kind = Request
				it.ask(it.ID)
			} else if it.Kind == Event {
				it.ID = ""
			}
		},
		codes: map[uint16]string{4000: "TLS only", 4001: "No such application", 4003: "Application disabled", 4004: "Over connection quota", 4005: "Path not found",
			4006: "Invalid version string", 4007: "Unsupported protocol version", 4008: "No protocol version supplied", 4009: "Unauthorized",
			4100: "Over capacity, reconnect later", 4200: "Reconnect at once", 4201: "Pong not received in time", 4202: "Closed after inactivity", 4301: "Client event rejected"},
	}.protocol()
}

// actionCable is Rails' Action Cable and AnyCable, in JSON and in MessagePack.
func actionCable() Protocol {
	p := Rule{
		Name: "actioncable", Title: "Action Cable, AnyCable (JSON, MessagePack)",
		Subprotocols: []string{"actioncable-v1-json", "actioncable-v1-ext-json", "actioncable-v1-msgpack", "actioncable-v1-ext-msgpack"},
		Path:         []string{"/cable"},
		First:        []string{"command=subscribe&identifier", "type=confirm_subscription"},
		Method:       []string{"type", "command"},
		ID:           []string{"identifier"},
		Topic:        []string{"identifier"},
		Body:         []string{"message", "data", "reason"},
		Requests:     []string{"subscribe"},
		Replies:      []string{"confirm_subscription"},
		Errors:       []string{"reject_subscription", "disconnect"},
		Events:       []string{"*"},
		Heartbeats:   []string{"ping"},
		spec:         "docs.anycable.io/misc/action_cable_protocol", pairs: "identifier: subscribe → confirm_subscription or reject_subscription",
		after: func(it *Item, b []byte) {
			if it.Name == "" && jsonGet(b, "message") != nil {
				it.Name, it.Kind, it.answers = "message", Event, ""
			}
			if it.Name == "subscribe" {
				it.Kind = Request
				it.ask(it.Topic)
			} else if it.Kind == Event {
				it.ID = ""
			}
			if channel := jsonText(jsonGet([]byte(it.Topic), "channel")); channel != "" {
				it.Topic, it.ID = channel, ""
			}
		},
	}.protocol()
	ruled := p.new
	p.new = func(h *Hints) Decoder { return packedObject{ruled(h)} }
	return p
}

// asJSON appends a value of MessagePack as the JSON that it would be: what is in its
// texts stays there.
func (n *Node) asJSON(b []byte) []byte {
	switch {
	case n.Secret, n.Type != List && n.Type != Object && n.Type != Text, len(b) > jsonMost:
		return n.appendJSON(b)
	case n.Type == Text:
		return quote(b, n.Text)
	}
	begin, end := byte('['), byte(']')
	if n.Type == Object {
		begin, end = '{', '}'
	}
	b = append(b, begin)
	for i, k := range n.Children() {
		if i > 0 {
			b = append(b, ',')
		}
		if n.Type == Object {
			b = append(quote(b, k.Name), ':')
		}
		b = k.asJSON(b)
	}
	return append(b, end)
}

// packedObject decodes binary messages, which are MessagePack, as the JSON that they
// would be.
type packedObject struct{ Decoder }

func (p packedObject) Clone() Decoder { return packedObject{p.Decoder.Clone()} }

func (p packedObject) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode != inspect.OpBinary {
		return p.Decoder.Message(m, out)
	}
	n, end, why := msgpackWhole(m.Data, 0)
	switch {
	case why != "":
		return broken(end, "%s", why)
	case n.Type != Object || end != len(m.Data):
		return broken(0, "a message is one map")
	}
	inner := *m
	inner.Opcode, inner.Data = inspect.OpText, n.asJSON(nil)
	out.m = &inner
	bad := p.Decoder.Message(&inner, out)
	out.m = m
	for i := range out.items {
		out.items[i].Parts[0] = out.part(0, len(m.Data))
	}
	if bad != nil {
		return broken(0, "its value is broken: %s", bad.Why)
	}
	return nil
}
