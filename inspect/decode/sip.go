package decode

import (
	"bytes"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// sipProtocol is SIP over WebSocket (RFC 7118): one message of SIP a message.
func sipProtocol() Protocol {
	return Protocol{
		Name: "sip", Title: "SIP", Knows: "subprotocol sip; a first line with SIP/2.0", Pairs: "Call-ID and CSeq; two line ends → one", Masks: "Authorization, Proxy-Authorization", Spec: "RFC 7118, RFC 3261",
		bid: func(h *Hints) int {
			if line, _, ok := bytes.Cut(h.Now.Data, []byte("\r\n")); ok && (bytes.HasSuffix(line, []byte(" SIP/2.0")) || bytes.HasPrefix(line, []byte("SIP/2.0 "))) {
				return spokenBid
			}
			return h.is("sip")
		},
		new: func(*Hints) Decoder { return sip{} },
	}
}

type sip struct{}

func (sip) Clone() Decoder  { return sip{} }
func (sip) Gap(inspect.Dir) {}

func (sip) Message(m *inspect.Message, out *Out) *Broken {
	switch string(m.Data[:min(len(m.Data), 5)]) {
	case "\r\n\r\n": // RFC 5626 section 3.5.1
		out.whole(Heartbeat, "ping").asks = "ping"
		return nil
	case "\r\n":
		out.whole(Heartbeat, "pong").answers = "ping"
		return nil
	}
	head, body, ok := bytes.Cut(m.Data, []byte("\r\n\r\n"))
	first, lines, _ := bytes.Cut(head, []byte("\r\n"))
	words := strings.Fields(string(first))
	if !ok || len(words) < 3 || words[0] != "SIP/2.0" && words[2] != "SIP/2.0" {
		return broken(0, "a message of SIP begins with a request line or a status line and ends its headers with an empty one")
	}
	tree := objectNode(textNode("start", string(first)))
	tree.raw = m.Data
	headers := map[string]string{}
	for line := range bytes.SplitSeq(lines, []byte("\r\n")) {
		var enough bool
		if tree.kids, enough = full(tree.kids); enough {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		key := strings.ToLower(strings.TrimSpace(string(name)))
		if long, ok := sipShort[key]; ok {
			key = long
		}
		if _, twice := headers[key]; !twice {
			headers[key] = string(value)
		}
		tree.add(Node{Name: string(name), Type: Text, Text: string(value), raw: value})
	}
	if len(body) > 0 {
		tree.add(named("body", sniff(body, false)))
	}
	it := out.whole(Request, "").says(masked(tree, secretNames.with("proxy-authorization")))
	it.Topic, it.ID = headers["call-id"], headers["cseq"]
	key := headers["call-id"] + " " + headers["cseq"]
	if headers["from"] != "" {
		it.brief = textNode("", headers["from"]+" → "+headers["to"])
	}
	if words[0] != "SIP/2.0" {
		it.Name = words[0] + " " + words[1]
		it.asks = key
		if words[0] == "ACK" { // nobody answers it
			it.Kind, it.asks = Event, ""
		}
		return nil
	}
	it.Name = strings.Join(words[1:], " ")
	it.Kind, it.answers, it.more = Reply, key, words[1] < "200"
	if words[1] >= "400" {
		it.Kind = Error
	}
	return nil
}

// sipShort are the short names of headers that matter here (RFC 3261 section 7.3.3).
var sipShort = map[string]string{"i": "call-id", "f": "from", "t": "to"}
