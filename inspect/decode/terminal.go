package decode

import (
	"encoding/base64"

	"github.com/wsproxy/wsproxy/inspect"
)

// ttydProtocol is ttyd's: a terminal in a page.
func ttydProtocol() Protocol {
	t := letters{
		up:   map[byte]letter{'0': {"input", Event, false}, '1': {"resize", Event, false}, '2': {"pause", Event, false}, '3': {"resume", Event, false}, '{': {"start", Request, false}},
		down: map[byte]letter{'0': {"output", Event, false}, '1': {"title", Event, false}, '2': {"preferences", Event, false}},
	}
	return Protocol{
		Name: "ttyd", Title: "ttyd", Knows: "subprotocol tty", Pairs: "nothing", Masks: "AuthToken", Spec: "github.com/tsl0922/ttyd protocol",
		bid: func(h *Hints) int { return h.is("tty") },
		new: func(*Hints) Decoder { return t },
	}
}

// gottyProtocol is GoTTY's.
func gottyProtocol() Protocol {
	t := letters{
		up: map[byte]letter{'1': {"input", Event, false}, '2': {"ping", Heartbeat, false}, '3': {"resize", Event, false}, '4': {"encoding", Event, false}, '{': {"start", Request, false}},
		down: map[byte]letter{'1': {"output", Event, true}, '2': {"pong", Heartbeat, false}, '3': {"title", Event, false}, '4': {"preferences", Event, false},
			'5': {"reconnect", Event, false}, '6': {"buffer size", Event, false}},
	}
	return Protocol{
		Name: "gotty", Title: "GoTTY", Knows: "subprotocol webtty", Pairs: "ping → pong", Masks: "AuthToken", Spec: "github.com/sorenisanerd/gotty webtty",
		bid: func(h *Hints) int { return h.is("webtty") },
		new: func(*Hints) Decoder { return t },
	}
}

// letters decodes messages whose first byte says what they are.
type letters struct{ up, down map[byte]letter }

// letter is a kind of message; packed: its content is base64.
type letter struct {
	name   string
	kind   Kind
	packed bool
}

func (l letters) Clone() Decoder  { return l }
func (l letters) Gap(inspect.Dir) {}
func (l letters) Message(m *inspect.Message, out *Out) *Broken {
	if len(m.Data) == 0 {
		return broken(0, "a message has its kind in front")
	}
	names := l.up
	if m.Dir == inspect.ToClient {
		names = l.down
	}
	kind, ok := names[m.Data[0]]
	if !ok {
		return broken(0, "%q is no kind of message", m.Data[0])
	}
	body := m.Data[1:]
	if m.Data[0] == '{' {
		body = m.Data
	}
	if kind.packed {
		raw, err := base64.StdEncoding.DecodeString(string(body))
		if err != nil {
			return broken(1, "this is no base64")
		}
		body = raw
	}
	it := out.whole(kind.kind, kind.name)
	switch {
	case kind.name == "ping":
		it.asks = "ping"
	case kind.name == "pong":
		it.answers = "ping"
	case kind.kind == Request:
		it.Kind = Event
	}
	if len(body) == 0 {
		return nil
	}
	n := sniff(body, false)
	if isOutput(body) {
		n = textNode("", string(body))
		if isJSON(body) {
			n = jsonNode(body)
		}
	}
	it.says(masked(n, secretNames.with("AuthToken")))
	return nil
}

// isOutput says that bytes are text as a terminal has it, with control characters.
func isOutput(b []byte) bool {
	for _, c := range b {
		if c == 0 {
			return false
		}
	}
	return true
}
