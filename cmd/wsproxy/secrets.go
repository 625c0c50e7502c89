package main

import (
	"strings"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// secrets are the values in messages that their protocols keep secret, with the names
// that they have there.
type secrets map[string]string

// plainSecret is how long a secret is at least that is one wherever it stands; a
// shorter one is where it has its name.
const plainSecret = 6

// maxSecrets bounds how many are remembered.
const maxSecrets = 1 << 16

// secretsOf decodes the sessions of a cassette: NATS keeps secret what it calls pass,
// Pusher what it calls auth, and other protocols mean other things by such names.
func secretsOf(c *cassette.Cassette, table *decode.Table) secrets {
	found := secrets{}
	for _, s := range c.Sessions() {
		u := s.Upgrade
		d := table.Session(&inspect.Opened{Handshake: &inspect.Handshake{Request: &inspect.Head{Target: u.Path}, Offered: u.Subprotocols, Subprotocol: u.Subprotocol}})
		for i := range s.Lines {
			l := &s.Lines[i]
			m := &inspect.Message{Dir: l.From, Opcode: inspect.OpText, Data: l.Data}
			switch l.Kind {
			case cassette.Binary:
				m.Opcode = inspect.OpBinary
			case cassette.JSON, cassette.Text:
			default:
				continue
			}
			if l.Template {
				continue
			}
			for _, it := range d.Message(m) {
				found.add(&it.Tree)
			}
		}
	}
	return found
}

// add takes the secrets out of a tree.
func (s secrets) add(n *decode.Node) {
	if n.Secret && n.Type == decode.Text && len(s) < maxSecrets {
		s[strings.Clone(n.Text)] = n.Name
	}
	kids := n.Children()
	for i := range kids {
		s.add(&kids[i])
	}
}

// has says that a value is a credential, by its name or its looks, or since its
// protocol says so.
func (s secrets) has(name, value string) bool {
	if record.Secret(name, value) {
		return true
	}
	its, ok := s[value]
	return ok && (len(value) >= plainSecret || strings.EqualFold(its, name))
}
