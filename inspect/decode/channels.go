package decode

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// kubernetes is what kubectl exec, attach and port-forward speak.
func kubernetes() Protocol {
	return Protocol{
		Name: "kubernetes", Title: "Kubernetes exec, attach, port-forward", Knows: "subprotocol v5.channel.k8s.io and its predecessors, base64.channel.k8s.io",
		Pairs: "nothing", Masks: "the token in the subprotocol", Spec: "k8s.io/apimachinery remotecommand",
		bid: func(h *Hints) int {
			return h.is("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", "v4.base64.channel.k8s.io", "portforward.k8s.io")
		},
		new: func(h *Hints) Decoder {
			return &channels{ports: strings.HasSuffix(h.Path, "/portforward"), seen: [2]map[int]bool{{}, {}}}
		},
	}
}

// channels remembers which channels of a port-forward have told their port.
type channels struct {
	ports bool
	seen  [2]map[int]bool
}

func (c *channels) Clone() Decoder {
	k := &channels{ports: c.ports, seen: [2]map[int]bool{{}, {}}}
	for d := range c.seen {
		for n := range c.seen[d] {
			k.seen[d][n] = true
		}
	}
	return k
}

func (c *channels) Gap(d inspect.Dir) {}

var channelNames = [...]string{"stdin", "stdout", "stderr", "error", "resize"}

func (c *channels) Message(m *inspect.Message, out *Out) *Broken {
	b := m.Data
	if len(b) == 0 {
		return broken(0, "a message has its channel in front")
	}
	n, body := int(b[0]), b[1:]
	if m.Opcode == inspect.OpText { // the channel as a digit, the rest in base64
		if n < '0' || n > '9' {
			return broken(0, "a text has the digit of its channel in front")
		}
		raw, err := base64.StdEncoding.DecodeString(string(body))
		if err != nil {
			return broken(1, "this is no base64")
		}
		n, body = n-'0', raw
	}
	if c.ports {
		return c.forwarded(n, body, m, out)
	}
	switch {
	case n == 0xff && len(body) == 1:
		it := out.whole(Event, fmt.Sprintf("close channel %d", body[0]))
		if int(body[0]) < len(channelNames) {
			it.Name = "close " + channelNames[body[0]]
		}
		return nil
	case n >= len(channelNames):
		return broken(0, "there is no channel %d", n)
	}
	it := out.whole(Event, channelNames[n]).under(channelNames[n]).says(sniff(body, false))
	if n == 3 {
		it.Name = "status"
		if s, ok := it.Tree.Find("status"); ok {
			it.Name += " " + s.Text
			if s.Text == "Failure" {
				it.Kind = Error
			}
		}
	}
	return nil
}

// forwarded tells a message of a port-forward: even channels carry data, odd ones
// errors; the first message of each is its port.
func (c *channels) forwarded(n int, body []byte, m *inspect.Message, out *Out) *Broken {
	name, kind := "data", Event
	if n%2 == 1 {
		name, kind = "error", Error
	}
	if !c.seen[m.Dir][n] && m.Dir == inspect.ToClient && len(body) == 2 {
		c.seen[m.Dir][n] = true
		out.whole(Event, fmt.Sprintf("port %d", int(body[0])|int(body[1])<<8)).under(fmt.Sprint("channel ", n))
		return nil
	}
	out.whole(kind, name).under(fmt.Sprint("channel ", n)).says(sniff(body, false))
	return nil
}
