package decode

import (
	"bytes"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// phoenixProtocol is Phoenix channels, LiveView and Supabase Realtime.
func phoenixProtocol() Protocol {
	return Protocol{
		Name: "phoenix", Title: "Phoenix channels (v2, v1), LiveView, Supabase Realtime",
		Knows: "path …/websocket with vsn=; a message [join_ref, ref, topic, event, payload]", Pairs: "ref, of the client: → phx_reply",
		Masks: "access_token and token in payloads", Spec: "hexdocs.pm/phoenix Phoenix.Socket.Message",
		bid: func(h *Hints) int {
			if strings.HasSuffix(h.Path, "/websocket") && h.has("vsn", "") {
				return agreedBid - 1
			}
			b := h.Now.Data
			switch {
			case !h.Now.Text:
			case bytes.HasPrefix(b, []byte("[")):
				if all := jsonList(b); len(all) == 5 && len(all[2]) > 2 && all[2][0] == '"' && all[3][0] == '"' && all[4][0] == '{' && (all[1][0] == '"' || all[1][0] == 'n') {
					return likelyBid
				}
			case bytes.Contains(b[:min(len(b), 200)], []byte(`"phx_`)) && jsonGet(b, "topic") != nil && jsonGet(b, "event") != nil:
				return spokenBid
			}
			return 0
		},
		new: func(*Hints) Decoder { return phoenix{masks: secretNames.with("token", "user_token", "_csrf_token")} },
	}
}

type phoenix struct{ masks masks }

func (p phoenix) Clone() Decoder  { return p }
func (p phoenix) Gap(inspect.Dir) {}

func (p phoenix) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode == inspect.OpBinary {
		return p.binary(m.Data, out)
	}
	i := skipBlank(m.Data, 0)
	if i == len(m.Data) || m.Data[i] != '[' && m.Data[i] != '{' {
		return broken(i, "a message of Phoenix is a list or an object")
	}
	end, why := jsonValue(m.Data, i)
	if why != "" {
		return broken(end, "%s", why)
	}
	var f push
	if m.Data[i] == '{' {
		for _, v := range []struct {
			name string
			to   *string
		}{{"join_ref", &f.joinRef}, {"ref", &f.ref}, {"topic", &f.topic}, {"event", &f.event}} {
			*v.to = jsonText(jsonGet(m.Data, v.name))
		}
		f.payload = jsonNode(jsonGet(m.Data, "payload"))
	} else {
		all := jsonList(m.Data)
		if len(all) != 5 {
			return broken(i, "a list of Phoenix has five values, this has %d", len(all))
		}
		f = push{joinRef: jsonText(all[0]), ref: jsonText(all[1]), topic: jsonText(all[2]), event: jsonText(all[3]), payload: jsonNode(all[4])}
	}
	p.tell(&f, out.whole(Event, ""))
	return nil
}

// push is one message, whatever its form.
type push struct {
	joinRef, ref, topic, event string
	status                     string // of a reply in binary form
	payload                    Node
	more                       []Node
}

func (p phoenix) tell(f *push, it *Item) {
	it.Name, it.Topic, it.ID = f.event, f.topic, f.ref
	tree := objectNode()
	for _, v := range [][2]string{{"join_ref", f.joinRef}, {"ref", f.ref}, {"topic", f.topic}, {"event", f.event}} {
		if v[1] != "" {
			tree.add(textNode(v[0], v[1]))
		}
	}
	tree.add(f.more...)
	tree.add(named("payload", f.payload))
	it.says(masked(tree, p.masks))
	it.brief = masked(f.payload, p.masks)
	status := f.status
	if f.event == "phx_reply" && status == "" {
		s, _ := f.payload.Find("status")
		status = s.Text
	}
	beats := f.topic == "phoenix"
	switch {
	case f.event == "phx_reply":
		it.Kind = Reply
		if beats {
			it.Kind = Heartbeat
		}
		if status == "error" {
			it.Kind = Error
		}
		it.answer(f.ref, false)
	case f.event == "phx_error":
		it.Kind = Error
	case it.Dir == inspect.ToServer && f.ref != "":
		it.Kind = Request
		if beats {
			it.Kind = Heartbeat
		}
		it.ask(f.ref)
	}
}

// binary reads the form for payloads that are bytes: a kind, lengths, texts, the payload.
func (p phoenix) binary(b []byte, out *Out) *Broken {
	r := &reader{b: b}
	kind := r.uint8()
	names, ok := map[int][]string{0: {"join_ref", "ref", "topic", "event"}, 1: {"join_ref", "ref", "topic", "status"}, 2: {"topic", "event"},
		3: {"join_ref", "ref", "topic", "event", "metadata"}, 4: {"topic", "event", "metadata"}}[kind]
	if !ok || len(b) == 0 {
		return broken(0, "a binary message of Phoenix has a kind from 0 to 4 in front")
	}
	if kind == 0 && out.m.Dir == inspect.ToClient { // a server's push has no ref
		names = []string{"join_ref", "topic", "event"}
	}
	sizes := make([]int, len(names))
	for i := range sizes {
		sizes[i] = r.uint8()
	}
	encoding := 0
	if kind >= 3 {
		encoding = r.uint8()
	}
	var f push
	for i, name := range names {
		v := string(r.take(sizes[i]))
		switch name {
		case "join_ref":
			f.joinRef = v
		case "ref":
			f.ref = v
		case "topic":
			f.topic = v
		case "event":
			f.event = v
		case "status":
			f.event, f.status = "phx_reply", v
			f.more = append(f.more, textNode("status", v))
		case "metadata":
			if v != "" {
				f.more = append(f.more, named("metadata", sniff([]byte(v), true)))
			}
		}
	}
	if r.short {
		return broken(0, "the lengths in front are more than the message")
	}
	f.payload = bytesNode("", r.all())
	if encoding == 1 {
		f.payload = sniff(f.payload.data, true)
	}
	p.tell(&f, out.whole(Event, ""))
	return nil
}
