package decode

import (
	"strings"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// guacamoleProtocol is Apache Guacamole's: instructions of values, each behind its length.
func guacamoleProtocol() Protocol {
	return Protocol{
		Name: "guacamole", Title: "Apache Guacamole", Knows: "subprotocol guacamole", Pairs: "sync by its time stamp", Masks: "nothing of its own", Spec: "guacamole.apache.org/doc/gug/guacamole-protocol.html",
		bid: func(h *Hints) int { return h.is("guacamole") },
		new: func(*Hints) Decoder { return guacamole{} },
	}
}

type guacamole struct{}

func (guacamole) Clone() Decoder  { return guacamole{} }
func (guacamole) Gap(inspect.Dir) {}

func (guacamole) Message(m *inspect.Message, out *Out) *Broken {
	for at := 0; at < len(m.Data); {
		values, end, why := instruction(m.Data, at)
		if why != "" {
			return broken(end, "%s", why)
		}
		it := out.item(Event, strings.TrimSpace(values[0]), at, end-at)
		if it.Name == "" {
			it.Name = "(internal)"
		}
		tree := listNode()
		for _, v := range values[1:] {
			tree.add(textNode("", v))
		}
		tree.kids, _ = full(tree.kids)
		it.says(tree)
		switch {
		case it.Name == "sync" && len(values) > 1:
			it.Kind, it.ID = Heartbeat, values[1]
			it.asks, it.either = "sync "+values[1], true
		case it.Name == "nop":
			it.Kind = Heartbeat
		case it.Name == "error":
			it.Kind = Error
		}
		at = end
	}
	return nil
}

// instruction reads LENGTH.VALUE,LENGTH.VALUE; with lengths in characters.
func instruction(b []byte, at int) (values []string, end int, why string) {
	for {
		dot := digits(b, at)
		if dot == at || dot == len(b) || b[dot] != '.' || dot-at > 7 {
			return nil, at, "the length of a value was expected"
		}
		n := 0
		for _, c := range b[at:dot] {
			n = n*10 + int(c-'0')
		}
		at = dot + 1
		start := at
		for ; n > 0 && at < len(b); n-- {
			_, size := utf8.DecodeRune(b[at:])
			at += size
		}
		if n > 0 || at == len(b) || b[at] != ',' && b[at] != ';' {
			return nil, at, "a value does not end where its length says"
		}
		if len(values) <= maxKids {
			values = append(values, string(b[start:at]))
		}
		at++
		if b[at-1] == ';' {
			return values, at, ""
		}
	}
}
