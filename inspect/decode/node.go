package decode

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// Type is what a Node is.
type Type uint8

// The types of values. Nothing is the tree of an item that says no more than its name.
const (
	Nothing Type = iota
	Null
	Bool
	Number
	Text
	Binary
	List
	Object
)

// deepest is how many levels of a tree are opened; a peer may nest without end.
const deepest = 200

// maxKids is how many children of a value are told: a tree is many times larger than the
// bytes that it is read from.
const maxKids = 1 << 16

// full says that a value has as many children as are told, and adds one that says so.
func full(kids []Node) ([]Node, bool) {
	if len(kids) < maxKids {
		return kids, false
	}
	return append(kids, Node{Name: "…", Type: Text, Text: "…", Note: "the rest is not shown"}), true
}

// Node is a value in a tree. Its children are worked out each time they are asked
// for, so a big value costs nothing until somebody looks into it.
type Node struct {
	Name   string // of the member that it is; empty in a list
	Type   Type
	Text   string // of a scalar: a number with all its digits, a text as it is meant
	Note   string // what is known beside: "base64", "timestamp", "not shown: broken"
	Secret bool   // not to be shown: Text and children are not for the screen

	raw   []byte // the bytes that it was read from
	data  []byte // of Binary
	open  func(*Node) []Node
	kids  []Node
	masks masks
	level uint8
}

// masks are names of members, in lower case, whose values are secrets.
type masks map[string]bool

// secretNames are secrets whatever the protocol.
var secretNames = masks{"password": true, "passwd": true, "passcode": true, "secret": true, "client_secret": true, "clientsecret": true,
	"access_token": true, "accesstoken": true, "refresh_token": true, "refreshtoken": true, "id_token": true, "auth_token": true, "authtoken": true,
	"api_key": true, "apikey": true, "x-api-key": true, "authorization": true,
	"proxy-authorization": true, "cookie": true, "set-cookie": true, "x-auth-token": true, "x-access-token": true, "session_token": true, "private_key": true}

func (m masks) has(name string) bool {
	if len(name) < 3 || len(name) > 32 {
		return false
	}
	if m == nil {
		m = secretNames
	}
	return m[strings.ToLower(name)]
}

// with are the names that are always secret and some more.
func (m masks) with(more ...string) masks {
	all := masks{}
	for name := range m {
		all[name] = true
	}
	for _, name := range more {
		all[strings.ToLower(name)] = true
	}
	return all
}

func (n *Node) empty() bool { return n.Type == Nothing }

// Children are the members of an Object, the values of a List, and what is inside a
// Text or a Binary where that is known: JSON in a string, a packed document.
func (n *Node) Children() []Node {
	if n.level >= deepest {
		return nil
	}
	kids := n.kids
	if n.open != nil {
		kids = n.open(n)
	}
	for i := range kids {
		k := &kids[i]
		k.level = n.level + 1
		if k.masks == nil {
			k.masks = n.masks
		}
		k.Secret = k.Secret || n.Secret || k.masks.has(k.Name)
	}
	return kids
}

// Data is the content of a Binary; nil for any other value.
func (n *Node) Data() []byte { return n.data }

// Range is where the value stands in the message that it was read from; ok is false
// for one that was not read from there as it is.
func (n *Node) Range(message []byte) (off, length int, ok bool) {
	if len(n.raw) == 0 || len(message) == 0 || cap(n.raw) > cap(message) {
		return 0, 0, false
	}
	off = cap(message) - cap(n.raw) // slices of one array end at the same place
	if off+len(n.raw) > len(message) || &message[off] != &n.raw[0] {
		return 0, 0, false
	}
	return off, len(n.raw), true
}

// Secrets are where the secrets of an item stand in the message that it was read from,
// as offset and length: what redaction leaves out. One that was packed, escaped or cut
// over messages is not among them.
func (n *Node) Secrets(message []byte) [][2]int {
	var all [][2]int
	left := secretsMost
	n.secrets(message, &all, &left)
	return all
}

// secretsMost is how many values are looked at.
const secretsMost = 100_000

func (n *Node) secrets(message []byte, all *[][2]int, left *int) {
	if *left--; *left < 0 {
		return
	}
	if n.Secret {
		if off, length, ok := n.Range(message); ok {
			*all = append(*all, [2]int{off, length})
		}
		return
	}
	for _, k := range n.Children() {
		k.secrets(message, all, left)
	}
}

// Find is the value at a path of member names and indices, such as "params.0.id".
func (n *Node) Find(path string) (found Node, ok bool) {
	name, rest, more := strings.Cut(path, ".")
	for i, k := range n.Children() {
		if k.Name == name || k.Name == "" && strconv.Itoa(i) == name {
			if !more {
				return k, true
			}
			return k.Find(rest)
		}
	}
	return Node{}, false
}

// keep copies the bytes that a tree is read from.
func (n *Node) keep() Node {
	k := *n
	k.raw, k.data = bytes.Clone(n.raw), bytes.Clone(n.data)
	k.kids = slices.Clone(n.kids)
	for i := range k.kids {
		k.kids[i] = k.kids[i].keep()
	}
	return k
}

func textNode(name, s string) Node { return Node{Name: name, Type: Text, Text: s} }
func numberNode(name string, n int64) Node {
	return Node{Name: name, Type: Number, Text: strconv.FormatInt(n, 10)}
}
func unsignedNode(name string, n uint64) Node {
	return Node{Name: name, Type: Number, Text: strconv.FormatUint(n, 10)}
}
func boolNode(name string, v bool) Node {
	return Node{Name: name, Type: Bool, Text: strconv.FormatBool(v)}
}
func bytesNode(name string, b []byte) Node { return Node{Name: name, Type: Binary, raw: b, data: b} }
func objectNode(kids ...Node) Node         { return Node{Type: Object, kids: kids} }
func listNode(kids ...Node) Node           { return Node{Type: List, kids: kids} }

// rest says that a value could not be read to its end.
func restNode(b []byte, why string) Node {
	return Node{Type: Binary, Note: "broken: " + why, raw: b, data: b}
}

// secret is a value that is never shown.
func secretNode(n Node) Node {
	n.Secret = true
	return n
}

// named gives a value the name of a member.
func named(name string, n Node) Node {
	n.Name = name
	return n
}

// masked gives a tree the names whose values are not shown.
func masked(n Node, m masks) Node {
	n.masks = m
	return n
}

// hidden is what is shown instead of a secret.
const hidden = "•••"

// textDepth is how deep a line shows.
const textDepth = 24

// String is the tree on one line, safe to show on a terminal: JSON with h'…' for
// bytes, as in CBOR's diagnostic notation (RFC 8949 section 8).
func (n *Node) String() string { return string(n.appendText(nil, 4096)) }

// appendText appends the line, of about most bytes altogether.
func (n *Node) appendText(b []byte, most int) []byte {
	if len(b) > most {
		return append(b, "…"...)
	}
	if n.Secret {
		return append(b, hidden...)
	}
	switch n.Type {
	case Nothing:
		return b
	case Null:
		b = append(b, "null"...)
	case Bool, Number:
		b = append(b, inspect.Visible([]byte(n.Text), most)...)
	case Text:
		if n.open != nil && n.level < textDepth {
			if kids := n.Children(); len(kids) == 1 {
				b = append(append(b, n.Note...), '\'')
				return append(kids[0].appendText(b, most), '\'')
			}
		}
		b = append(b, '"')
		b = append(b, strings.ReplaceAll(inspect.Visible([]byte(n.Text), max(most-len(b), 8)), `"`, `\"`)...)
		b = append(b, '"')
	case Binary:
		b = n.appendBinary(b, most)
	case List, Object:
		b = n.appendAll(b, most)
	}
	if n.Note != "" {
		b = append(append(append(b, " ("...), inspect.Visible([]byte(n.Note), 200)...), ')')
	}
	return b
}

func (n *Node) appendBinary(b []byte, most int) []byte {
	if n.open != nil && n.level < textDepth {
		if kids := n.Children(); len(kids) == 1 {
			return kids[0].appendText(b, most)
		}
	}
	shown := min(len(n.data), max((most-len(b))/2, 4))
	b = append(b, "h'"...)
	b = hex.AppendEncode(b, n.data[:shown])
	if shown < len(n.data) {
		b = append(b, "…"...)
	}
	return append(b, '\'')
}

func (n *Node) appendAll(b []byte, most int) []byte {
	begin, end := byte('['), byte(']')
	if n.Type == Object {
		begin, end = '{', '}'
	}
	b = append(b, begin)
	if n.level >= textDepth {
		return append(append(b, "…"...), end)
	}
	for i, k := range n.Children() {
		if i > 0 {
			b = append(b, ", "...)
		}
		if len(b) > most {
			b = append(b, "…"...)
			break
		}
		if n.Type == Object && k.Name != "" {
			b = append(append(b, inspect.Visible([]byte(k.Name), 200)...), ": "...)
		}
		b = k.appendText(b, most)
	}
	return append(b, end)
}
