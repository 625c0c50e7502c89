package decode

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// stompProtocol is STOMP 1.0 to 1.2.
func stompProtocol() Protocol {
	return Protocol{
		Name: "stomp", Title: "STOMP 1.2, 1.1 and 1.0: Spring, ActiveMQ, RabbitMQ", Knows: "subprotocol v12.stomp, v11.stomp, v10.stomp; a first frame CONNECT or STOMP",
		Pairs: "receipt → receipt-id; CONNECT → CONNECTED; destination and subscription as topics", Masks: "the header passcode", Spec: "stomp.github.io/stomp-specification-1.2.html",
		bid: func(h *Hints) int {
			for _, w := range []string{"CONNECT\n", "CONNECT\r\n", "STOMP\n", "STOMP\r\n", "CONNECTED\nversion:"} {
				if bytes.HasPrefix(h.Now.Data, []byte(w)) {
					return spokenBid + 1
				}
			}
			return h.is("v12.stomp", "v11.stomp", "v10.stomp", "stomp")
		},
		new: func(*Hints) Decoder { return &stomp{} },
	}
}

// stomp holds what of a frame has come, by direction.
type stomp struct{ ways [2]stream }

func (s *stomp) Clone() Decoder {
	return &stomp{[2]stream{s.ways[0].clone(), s.ways[1].clone()}}
}

func (s *stomp) Gap(d inspect.Dir) { s.ways[d].reset() }

func (s *stomp) Message(m *inspect.Message, out *Out) *Broken {
	return s.ways[m.Dir].packets(m, out, stompSize, stompFrame)
}

// stompHead bounds a frame's command and headers.
const stompHead = 64 << 10

// stompSize is the length of a frame with its NUL and the line ends behind it, or of
// the line ends that are a heartbeat.
func stompSize(b []byte, seen int) (n int, why string) {
	if n := lineEnds(b); n > 0 {
		return n, ""
	}
	end, gap := stompHeadEnd(b)
	if end < 0 {
		if len(b) > stompHead {
			return 0, "the headers of a frame are longer than 64 KiB"
		}
		if c := b[0]; c < 'A' || c > 'Z' {
			return 0, "a frame of STOMP begins with a command in capitals"
		}
		return 0, ""
	}
	body := end + gap
	if length := stompLength(b[:end]); length >= 0 {
		n = body + length + 1
		if n > len(b) {
			return n, ""
		}
		if b[n-1] != 0 {
			return 0, "no NUL is where content-length says that the body ends"
		}
	} else {
		from := max(body, seen)
		i := bytes.IndexByte(b[min(from, len(b)):], 0)
		if i < 0 {
			return 0, ""
		}
		n = from + i + 1
	}
	return n + lineEnds(b[n:]), ""
}

// lineEnds counts the line ends that b begins with.
func lineEnds(b []byte) int {
	n := 0
	for n < len(b) && (b[n] == '\n' || b[n] == '\r' && (n+1 == len(b) || b[n+1] == '\n')) {
		n++
	}
	return n
}

// stompHeadEnd is where the empty line behind the headers begins, and its length.
func stompHeadEnd(b []byte) (end, gap int) {
	b = b[:min(len(b), stompHead+2)]
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1, 0
		}
		at += i + 1
		switch rest := b[at:]; {
		case bytes.HasPrefix(rest, []byte("\n")):
			return at - 1, 2
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return at - 1, 3
		}
	}
}

func stompLength(head []byte) int {
	for line := range bytes.Lines(head) {
		if v, ok := bytes.CutPrefix(line, []byte("content-length:")); ok {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(v))); err == nil && n >= 0 && n < 1<<40 {
				return n
			}
			break
		}
	}
	return -1
}

// stompFrame tells one frame.
func stompFrame(b []byte, it *Item) *Broken {
	end, gap := stompHeadEnd(b)
	if end < 0 || lineEnds(b) > 0 {
		it.Kind, it.Name = Heartbeat, "heartbeat"
		return nil
	}
	lines := bytes.Split(b[:end], []byte("\n"))
	command := string(bytes.TrimRight(lines[0], "\r"))
	headers := map[string]string{}
	tree := objectNode(textNode("command", command))
	tree.raw = b
	for _, line := range lines[1:] {
		left, right, _ := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(":"))
		name, value := string(left), string(right)
		if command != "CONNECT" && command != "CONNECTED" {
			escapes := strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\c`, ":", `\\`, `\`)
			name, value = escapes.Replace(name), escapes.Replace(value)
		}
		if _, twice := headers[name]; !twice { // the first one counts
			headers[name] = value
		}
		tree.add(Node{Name: name, Type: Text, Text: value, raw: right})
	}
	body := b[end+gap:]
	if n := stompLength(b[:end]); n >= 0 && n <= len(body) {
		body = body[:n]
	} else if i := bytes.IndexByte(body, 0); i >= 0 {
		body = body[:i]
	}
	if len(body) > 0 {
		it.brief = sniff(body, false)
		tree.add(named("body", it.brief))
	}
	it.says(tree)
	stompPairs(it, command, headers)
	return nil
}

func stompPairs(it *Item, command string, h map[string]string) {
	it.Name, it.Topic = command, h["destination"]
	if it.Topic != "" {
		it.Name += " " + it.Topic
	}
	if receipt := h["receipt"]; receipt != "" {
		it.Kind = Request
		it.ask("receipt " + receipt)
		it.ID = receipt
	}
	switch command {
	case "CONNECT", "STOMP":
		it.Kind, it.asks = Request, "connect"
	case "CONNECTED":
		it.Kind, it.answers = Reply, "connect"
	case "RECEIPT":
		it.Kind = Reply
		it.answer("receipt "+h["receipt-id"], false)
		it.ID = h["receipt-id"]
	case "ERROR":
		it.Kind, it.answers = Error, "connect"
		if h["receipt-id"] != "" {
			it.answers, it.ID = "receipt "+h["receipt-id"], h["receipt-id"]
		}
		if it.brief.empty() {
			it.brief = textNode("", h["message"])
		}
	case "MESSAGE":
		it.ID = h["message-id"]
	case "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK":
		if it.ID == "" {
			it.ID = h["id"]
		}
	}
}
