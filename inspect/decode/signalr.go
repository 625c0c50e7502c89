package decode

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// signalR is ASP.NET Core SignalR, in JSON and in MessagePack, and Blazor.
func signalR() Protocol {
	return Protocol{
		Name: "signalr", Title: "SignalR (JSON, MessagePack), Blazor Server",
		Knows: "a first message {\"protocol\":\"json\",\"version\":1} and U+001E", Pairs: "invocationId, of each direction; the handshake",
		Masks: "members called access_token, accessToken and the like", Spec: "github.com/dotnet/aspnetcore HubProtocol.md",
		bid: func(h *Hints) int {
			b := h.Now.Data
			if len(b) < 200 && bytes.HasPrefix(bytes.TrimSpace(b), []byte(`{"protocol":"`)) && bytes.Contains(b, []byte(`"version":`)) && bytes.HasSuffix(b, []byte{0x1e}) {
				return spokenBid
			}
			if bytes.HasSuffix(b, []byte("}\x1e")) && bytes.Contains(b, []byte(`"type":`)) && h.Now.Text {
				return likelyBid
			}
			return 0
		},
		new: func(*Hints) Decoder { return &signalr{} },
	}
}

// signalr is the state of a session: whether the handshake was read, and its form.
type signalr struct {
	packed bool
	shook  [2]bool
}

func (s *signalr) Clone() Decoder  { c := *s; return &c }
func (s *signalr) Gap(inspect.Dir) { s.shook = [2]bool{true, true} }

func (s *signalr) Message(m *inspect.Message, out *Out) *Broken {
	b, at := m.Data, 0
	if !s.shook[m.Dir] {
		s.shook[m.Dir] = true
		end := bytes.IndexByte(b, 0x1e)
		if end > 0 && isJSON(b[:end]) && jsonGet(b[:end], "type") == nil {
			s.handshake(b, end, out)
			at = end + 1
		}
	}
	if m.Opcode == inspect.OpBinary && at < len(b) {
		return s.binary(b, at, out)
	}
	for at < len(b) {
		end := bytes.IndexByte(b[at:], 0x1e)
		if end < 0 {
			return broken(len(b), "a message of SignalR in JSON ends with U+001E")
		}
		doc := b[at : at+end]
		if stop, why := jsonValue(doc, 0); why != "" || doc[0] != '{' {
			return broken(at+stop, "this is no JSON object %s", why)
		}
		s.tell(out.item(Event, "", at, end+1), jsonNode(doc))
		at += end + 1
	}
	return nil
}

func (s *signalr) handshake(b []byte, end int, out *Out) {
	n := jsonNode(b[:end])
	it := out.item(Request, "handshake", 0, end+1).says(n)
	if it.Dir == inspect.ToServer {
		protocol := jsonText(jsonGet(b[:end], "protocol"))
		s.packed = protocol != "json"
		it.Name += " " + protocol
		it.asks = "handshake"
		return
	}
	it.Kind, it.answers = Reply, "handshake"
	if jsonGet(b[:end], "error") != nil {
		it.Kind = Error
	}
}

// binary reads messages of MessagePack, each behind its length.
func (s *signalr) binary(b []byte, at int, out *Out) *Broken {
	for at < len(b) {
		r := &reader{b: b, at: at}
		n := r.varint()
		if r.short || r.at-at > 5 || n > uint64(r.left()) {
			return broken(at, "a message of %d bytes, and %d are left", n, r.left())
		}
		body := r.take(int(n))
		if end, why := msgpackEnd(body, 0); why != "" {
			return broken(r.at-len(body)+end, "%s", why)
		}
		tree := msgpackNode(body)
		if tree.Type != List {
			return broken(r.at-len(body), "a message of SignalR in MessagePack is a list")
		}
		s.list(out.item(Event, "", at, r.at-at), tree)
		at = r.at
	}
	return nil
}

// hubLists are what stands where in a list of MessagePack, by the type.
var hubLists = [...][]string{1: {"type", "headers", "invocationId", "target", "arguments", "streamIds"},
	2: {"type", "headers", "invocationId", "item"}, 3: {"type", "headers", "invocationId", "resultKind", "result"},
	4: {"type", "headers", "invocationId", "target", "arguments", "streamIds"}, 5: {"type", "headers", "invocationId"},
	6: {"type"}, 7: {"type", "error", "allowReconnect"}, 8: {"type", "sequenceId"}, 9: {"type", "sequenceId"}}

// list names the values of a list and tells it as the JSON form is told.
func (s *signalr) list(it *Item, n Node) {
	kids := n.Children()
	if len(kids) == 0 {
		s.tell(it, n)
		return
	}
	kind, _ := strconv.Atoi(kids[0].Text)
	if kind < 1 || kind >= len(hubLists) {
		s.tell(it, n)
		return
	}
	failed := false
	for i := range kids {
		kids[i].level = 0
		if i < len(hubLists[kind]) {
			kids[i].Name = hubLists[kind][i]
		}
		if kids[i].Name == "resultKind" {
			failed = kids[i].Text == "1"
		}
	}
	if failed {
		kids[len(kids)-1].Name = "error"
	}
	tree := objectNode(kids...)
	tree.raw = n.raw
	s.tell(it, tree)
}

var hubTypes = [...]string{1: "Invocation", 2: "StreamItem", 3: "Completion", 4: "StreamInvocation", 5: "CancelInvocation", 6: "Ping", 7: "Close", 8: "Ack", 9: "Sequence"}

// tell says what a message is from its members.
func (s *signalr) tell(it *Item, n Node) {
	it.says(n)
	member := func(name string) Node { k, _ := n.Find(name); return k }
	kind, err := strconv.Atoi(member("type").Text)
	if err != nil || kind < 1 || kind >= len(hubTypes) {
		it.Name = strings.TrimSpace("type " + member("type").Text)
		return
	}
	it.Name = hubTypes[kind]
	id := member("invocationId").Text
	it.ID = id
	failure := member("error")
	bad := failure.Type == Text
	switch kind {
	case 1, 4:
		it.Name, it.brief = member("target").Text, member("arguments")
		if id != "" {
			it.Kind, it.asks = Request, id
		}
	case 2:
		it.Kind, it.brief = Reply, member("item")
		it.answer(id, true)
	case 3:
		it.Kind, it.brief = Reply, member("result")
		if bad {
			it.Kind, it.brief = Error, failure
		}
		it.answer(id, false)
	case 6:
		it.Kind = Heartbeat
	case 7:
		if bad {
			it.Kind, it.brief = Error, failure
		}
	}
	it.brief.level = 0
}
