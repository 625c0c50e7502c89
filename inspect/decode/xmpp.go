package decode

import (
	"bytes"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// xmppProtocol is XMPP over WebSocket (RFC 7395).
func xmppProtocol() Protocol {
	return Protocol{
		Name: "xmpp", Title: "XMPP", Knows: "subprotocol xmpp; a first element <open> of its framing", Pairs: "id of an iq; open → open; r → a", Masks: "what auth, response and challenge carry", Spec: "RFC 7395, RFC 6120",
		bid: func(h *Hints) int {
			if b := h.Now.Data; bytes.HasPrefix(b, []byte("<open ")) && bytes.Contains(b, []byte("urn:ietf:params:xml:ns:xmpp-framing")) {
				return spokenBid
			}
			return h.is("xmpp")
		},
		new: func(*Hints) Decoder { return xmpp{} },
	}
}

type xmpp struct{}

func (xmpp) Clone() Decoder  { return xmpp{} }
func (xmpp) Gap(inspect.Dir) {}

// Message takes one stanza, which is one message.
func (xmpp) Message(m *inspect.Message, out *Out) *Broken {
	if len(strings.TrimSpace(string(m.Data))) == 0 {
		out.whole(Heartbeat, "(white space)")
		return nil
	}
	tree := xmlNode(m.Data)
	kids := tree.Children()
	if len(kids) == 0 {
		return broken(0, "this is no XML element")
	}
	e := kids[0]
	attribute := func(name string) string { k, _ := e.Find("@" + name); return k.Text }
	it := out.whole(Event, e.Name).says(masked(tree, secretNames.with("auth", "response", "challenge", "initial-response")))
	it.ID = attribute("id")
	it.Topic = attribute("to")
	if it.Dir == inspect.ToClient {
		it.Topic = attribute("from")
	}
	kind := attribute("type")
	switch e.Name {
	case "iq":
		what := ""
		for _, k := range e.Children() {
			if !strings.HasPrefix(k.Name, "@") && what == "" {
				what = " " + k.Name
			}
		}
		it.Name = strings.TrimSpace("iq " + kind + what)
		xmppQuery(it, kind, what == " ping")
	case "message", "presence":
		it.Name = strings.TrimSpace(e.Name + " " + kind)
		if kind == "error" {
			it.Kind = Error
		}
	case "open":
		it.Kind, it.asks, it.either = Request, "open", true
	case "r":
		it.Kind, it.asks = Heartbeat, "r"
	case "a":
		it.Kind, it.answers = Heartbeat, "r"
	case "failure", "stream:error":
		it.Kind = Error
	}
	return nil
}

func xmppQuery(it *Item, kind string, ping bool) {
	switch kind {
	case "get", "set":
		it.Kind, it.asks = Request, it.ID
		if ping {
			it.Kind = Heartbeat
		}
	case "result":
		it.Kind, it.answers = Reply, it.ID
	case "error":
		it.Kind, it.answers = Error, it.ID
	}
}
