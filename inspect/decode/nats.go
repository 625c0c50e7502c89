package decode

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// natsProtocol is the client protocol of NATS.
func natsProtocol() Protocol {
	return Protocol{
		Name: "nats", Title: "NATS", Knows: "the server's first message INFO {", Pairs: "the reply subject (_INBOX…); CONNECT or PING → +OK, PONG",
		Masks: "auth_token, pass, jwt, sig, nkey of CONNECT", Spec: "docs.nats.io/reference/reference-protocols/nats-protocol",
		bid: func(h *Hints) int {
			for _, w := range []string{"INFO {", "CONNECT {"} {
				if bytes.HasPrefix(h.Now.Data, []byte(w)) {
					return spokenBid + 1
				}
			}
			return 0
		},
		new: func(*Hints) Decoder {
			return &nats{masks: secretNames.with("auth_token", "pass", "jwt", "sig", "nkey")}
		},
	}
}

type nats struct {
	masks masks
	ways  [2]stream
}

func (n *nats) Clone() Decoder {
	return &nats{n.masks, [2]stream{n.ways[0].clone(), n.ways[1].clone()}}
}

func (n *nats) Gap(d inspect.Dir) { n.ways[d].reset() }

func (n *nats) Message(m *inspect.Message, out *Out) *Broken {
	return n.ways[m.Dir].packets(m, out, natsSize, n.packet)
}

// natsLine bounds a control line.
const natsLine = 64 << 10

// natsSize is the length of a line and, of one that says so, of the payload behind it.
func natsSize(b []byte, _ int) (n int, why string) {
	end := bytes.Index(b[:min(len(b), natsLine)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= natsLine {
			return 0, "a line of NATS is longer than 64 KiB"
		}
		if c := b[0] | 0x20; b[0] != '+' && b[0] != '-' && (c < 'a' || c > 'z') {
			return 0, "a line of NATS begins with a word"
		}
		return 0, ""
	}
	words := bytes.Fields(b[:min(end, 4096)])
	if len(words) == 0 {
		return end + 2, ""
	}
	switch strings.ToUpper(string(words[0])) {
	case "PUB", "HPUB", "MSG", "HMSG":
		length, err := strconv.Atoi(string(words[len(words)-1]))
		if err != nil || length < 0 || length > streamLimit || len(words) < 3 {
			return 0, "the length of a payload is missing"
		}
		n = end + 2 + length + 2
		if n <= len(b) && string(b[n-2:n]) != "\r\n" {
			return 0, "no line end is where the payload ends"
		}
		return n, ""
	case "INFO", "CONNECT", "SUB", "UNSUB", "PING", "PONG", "+OK", "-ERR":
		return end + 2, ""
	}
	return 0, "a line of NATS begins with a word that is none"
}

func (n *nats) packet(b []byte, it *Item) *Broken {
	end := bytes.Index(b, []byte("\r\n"))
	line := string(b[:end])
	words := strings.Fields(line)
	if len(words) == 0 {
		it.Name, it.Kind = "(empty line)", Heartbeat
		return nil
	}
	op := strings.ToUpper(words[0])
	it.Name = op
	_, args, _ := strings.Cut(line, words[0])
	args = strings.TrimSpace(args)
	switch op {
	case "INFO", "CONNECT":
		it.says(masked(sniff(bytes.TrimSpace(b[len(op):end]), true), n.masks))
	case "PING":
		it.Kind, it.asks = Heartbeat, "ping"
	case "PONG":
		it.Kind, it.answers = Heartbeat, "ping"
	case "-ERR":
		it.Kind = Error
		it.says(textNode("", strings.Trim(args, "'")))
	case "SUB", "UNSUB":
		it.says(textNode("", args))
		if op == "SUB" && len(words) > 1 {
			it.Topic, it.ID = words[1], words[len(words)-1]
			it.Name += " " + words[1]
		}
	case "PUB", "HPUB", "MSG", "HMSG":
		n.payload(op, words[1:], b[end+2:len(b)-2], it)
	}
	return nil
}

// payload tells a message: subject, for a MSG the subscription, where to answer, and
// headers in front of an HPUB's or HMSG's payload.
func (n *nats) payload(op string, words []string, body []byte, it *Item) {
	subject := words[0]
	it.Topic, it.Name = subject, op+" "+subject
	tree := objectNode(textNode("subject", subject))
	words = words[1:]
	if strings.HasSuffix(op, "MSG") && len(words) > 1 {
		tree.add(textNode("sid", words[0]))
		words = words[1:]
	}
	sizes := 1
	if op[0] == 'H' {
		sizes = 2
	}
	reply, failed := "", false // a status of 503: nobody is there to answer
	if len(words) > sizes {
		reply = words[0]
		tree.add(textNode("reply", reply))
	}
	if sizes == 2 && len(words) >= 2 {
		if size, err := strconv.Atoi(words[len(words)-2]); err == nil && size >= 0 && size <= len(body) {
			head := strings.TrimSpace(string(body[:size]))
			tree.add(textNode("headers", head))
			failed = strings.HasPrefix(head, "NATS/1.0 4") || strings.HasPrefix(head, "NATS/1.0 5")
			body = body[size:]
		}
	}
	it.brief = sniff(body, false)
	tree.add(named("payload", it.brief))
	it.says(tree)
	switch {
	case reply != "":
		it.Kind = Request
		it.ask(reply)
	case strings.HasPrefix(subject, "_INBOX.") || strings.HasPrefix(subject, "_R_."):
		it.Kind = Reply
		it.answer(subject, false)
	}
	if failed {
		it.Kind, it.brief = Error, tree.kids[len(tree.kids)-2]
	}
}
