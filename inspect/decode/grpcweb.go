package decode

import (
	"bytes"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// grpcWebSockets is gRPC-Web as improbable's library carries it: one call a session.
func grpcWebSockets() Protocol {
	return Protocol{
		Name: "grpc-websockets", Title: "gRPC-Web over WebSocket (improbable-eng)", Knows: "subprotocol grpc-websockets", Pairs: "the call: headers → messages, trailers", Masks: "authorization",
		Spec: "github.com/improbable-eng/grpc-web",
		bid:  func(h *Hints) int { return h.is("grpc-websockets") },
		new:  func(h *Hints) Decoder { return &grpcCall{path: h.Path} },
	}
}

// grpcCall is the state of the call: which directions have had their headers.
type grpcCall struct {
	path  string
	begun [2]bool
}

func (g *grpcCall) Clone() Decoder  { c := *g; return &c }
func (g *grpcCall) Gap(inspect.Dir) {}

func (g *grpcCall) Message(m *inspect.Message, out *Out) *Broken {
	b, at := m.Data, 0
	if m.Dir == inspect.ToServer {
		if !g.begun[0] {
			g.begun[0] = true
			it := out.whole(Request, "call "+g.path).says(grpcHeaders(b))
			it.Topic, it.asks = g.path, "call"
			return nil
		}
		if len(b) == 0 || b[0] > 1 {
			return broken(0, "a message of the client begins with 0, or with 1 at its end")
		}
		if b[0] == 1 {
			out.whole(Event, "end of requests")
			return nil
		}
		at = 1
	}
	for at < len(b) {
		if len(b)-at < 5 {
			return broken(at, "a frame has five bytes in front")
		}
		n := int(bigEndian(b[at+1 : at+5]))
		if n > len(b)-at-5 {
			return broken(at, "a frame of %d bytes, and %d are left", n, len(b)-at-5)
		}
		g.frame(b[at], b[at+5:at+5+n], out.item(Event, "message", at, n+5))
		at += n + 5
	}
	return nil
}

func (g *grpcCall) frame(flags byte, body []byte, it *Item) {
	it.Topic = g.path
	if it.Dir == inspect.ToClient {
		it.Kind, it.answers, it.more = Reply, "call", true
	}
	switch {
	case flags&0x80 == 0 && isProtobuf(body, 0):
		it.says(protobufNode(body, nil))
		return
	case flags&0x80 == 0:
		it.says(sniff(body, false))
		return
	}
	it.says(grpcHeaders(body))
	status, ok := it.Tree.Find("grpc-status")
	if !ok { // headers come so too, at first
		it.Name = "headers"
		return
	}
	it.Name, it.more = "trailers", false
	if status.Text != "0" {
		it.Kind = Error
	}
}

// grpcHeaders are lines of name and value.
func grpcHeaders(b []byte) Node {
	n := objectNode()
	n.raw = b
	for line := range bytes.SplitSeq(b, []byte("\r\n")) {
		var enough bool
		if n.kids, enough = full(n.kids); enough {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if value = bytes.TrimSpace(value); ok {
			n.add(Node{Name: strings.ToLower(string(name)), Type: Text, Text: string(value), raw: value})
		}
	}
	return n
}
