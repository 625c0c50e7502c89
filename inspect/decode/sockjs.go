package decode

import (
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// sockJS is the envelope of SockJS; what is in it is decoded by its own protocol.
func sockJS() Protocol {
	return Protocol{
		Name: "sockjs", Title: "SockJS, with what is inside", Knows: "path …/SERVER/SESSION/websocket; the server's first message o",
		Pairs: "as what is inside", Spec: "github.com/sockjs/sockjs-protocol",
		bid: func(h *Hints) int {
			first := h.First[inspect.ToClient]
			opens := first.Whole && first.Text && string(first.Data) == "o"
			if parts := strings.Split(strings.Trim(h.Path, "/"), "/"); len(parts) >= 3 && parts[len(parts)-1] == "websocket" && len(parts[len(parts)-3]) <= 4 && opens {
				return agreedBid
			}
			if opens {
				return likelyBid
			}
			return 0
		},
		new: func(h *Hints) Decoder {
			inner := h.table.Session(nil)
			inner.ruled["sockjs"] = true
			return &sockjs{inner: inner}
		},
	}
}

type sockjs struct{ inner *Session }

func (s *sockjs) Clone() Decoder    { return &sockjs{s.inner.Clone()} }
func (s *sockjs) Gap(d inspect.Dir) { s.inner.Gap(d) }

func (s *sockjs) Message(m *inspect.Message, out *Out) *Broken {
	b := m.Data
	if len(b) == 0 {
		return broken(0, "an envelope of SockJS is not empty")
	}
	switch c := b[0]; {
	case c == 'o' && len(b) == 1:
		out.whole(Event, "open")
		return nil
	case c == 'h' && len(b) == 1:
		out.whole(Heartbeat, "heartbeat")
		return nil
	case c == 'c':
		if !isJSON(b[1:]) {
			return broken(1, "a close has a list of a code and a reason")
		}
		out.whole(Event, "close").says(jsonNode(b[1:]))
		return nil
	case c == 'a', c == '[' && m.Dir == inspect.ToServer:
		return s.list(b, m, out)
	case c == 'm', c == '"':
		at := skipBlank(b, 1)
		if c == '"' {
			at = 0
		}
		if end, why := jsonValue(b, at); why != "" || b[at] != '"' || end != len(b) {
			return broken(at, "this is no text in quotes")
		}
		s.inside(b[at:], at, m, out)
		return nil
	}
	return broken(0, "%q begins no envelope of SockJS", b[0])
}

// list takes the texts of a list to the protocol inside.
func (s *sockjs) list(b []byte, m *inspect.Message, out *Out) *Broken {
	at := 0
	if b[0] == 'a' {
		at = 1
	}
	if at == len(b) || b[at] != '[' {
		return broken(at, "an envelope of SockJS holds a list")
	}
	base := cap(b)
	end, why := jsonEach(b, at, func(_, v []byte) bool {
		if v[0] == '"' {
			s.inside(v, base-cap(v), m, out)
		}
		return true
	})
	if why != "" {
		return broken(end, "%s", why)
	}
	return nil
}

// inside decodes one text. Its items stand where the text does.
func (s *sockjs) inside(quoted []byte, at int, m *inspect.Message, out *Out) {
	if len(out.items) >= maxItems {
		out.more++
		return
	}
	inner := *m
	inner.Data = []byte(unquote(quoted))
	inner.Opcode, inner.InvalidUTF8 = inspect.OpText, 0
	in := s.inner
	in.out = Out{m: &inner, envelope: &Part{m.First, m.Last, at, len(quoted)}}
	in.data(&inner)
	out.items = append(out.items, in.out.items...)
	out.more += in.out.more
}
