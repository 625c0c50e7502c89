package decode

import (
	"fmt"

	"github.com/wsproxy/wsproxy/inspect"
)

// yjsProtocol is what y-websocket speaks.
func yjsProtocol() Protocol {
	return Protocol{
		Name: "yjs", Title: "Yjs (y-websocket)", Knows: "a first binary message that is a sync step 1", Pairs: "sync step 1 → sync step 2", Spec: "github.com/yjs/y-protocols",
		bid: func(h *Hints) int {
			if h.Now.Text || !isStep1(h.Now.Data) {
				return 0
			}
			return likelyBid - 10
		},
		new: func(*Hints) Decoder { return yjs{} },
	}
}

// hocuspocus is Yjs with the name of a document in front.
func hocuspocus() Protocol {
	return Protocol{
		Name: "hocuspocus", Title: "Hocuspocus (Yjs with documents' names)", Knows: "a first binary message that is a name and an authentication or sync",
		Pairs: "sync step 1 → sync step 2; token → authenticated", Masks: "the token", Spec: "tiptap.dev/docs/hocuspocus",
		bid: func(h *Hints) int {
			if h.Now.Text || !h.Now.Whole {
				return 0
			}
			r := &reader{b: h.Now.Data}
			name := r.text()
			if r.short || name == "" || !isText([]byte(name)) {
				return 0
			}
			rest := h.Now.Data[r.at:]
			switch kind := r.varint(); {
			case kind == 0 && isStep1(rest):
				return likelyBid - 10
			case kind == 2 && r.varint() == 0 && r.text() != "" && !r.short:
				return likelyBid - 10
			}
			return 0
		},
		new: func(*Hints) Decoder { return yjs{named: true} },
	}
}

// text is a text behind its length in a varint.
func (r *reader) text() string {
	n := r.varint()
	if n > uint64(r.left()) {
		r.short = true
		return ""
	}
	return string(r.take(int(n)))
}

// bytes is a run of bytes behind its length.
func (r *reader) bytes() []byte {
	n := r.varint()
	if n > uint64(r.left()) {
		r.short = true
		return nil
	}
	return r.take(int(n))
}

// isStep1 says that bytes are a sync step 1 and nothing else: a state vector is how
// many clients, and for each its number and clock.
func isStep1(b []byte) bool {
	r := &reader{b: b}
	kind, step := r.varint(), r.varint()
	if kind != 0 || step != 0 {
		return false
	}
	v := &reader{b: r.bytes()}
	if r.short || r.left() > 0 || len(v.b) == 0 {
		return false
	}
	n := v.varint()
	for ; n > 0 && !v.short; n-- {
		v.varint()
		v.varint()
	}
	return !v.short && v.left() == 0
}

type yjs struct{ named bool }

func (y yjs) Clone() Decoder  { return y }
func (y yjs) Gap(inspect.Dir) {}

var yjsKinds = [...]string{"sync", "awareness", "auth", "query awareness"}

// hocusKinds are those that Hocuspocus has beside.
var hocusKinds = map[uint64]string{4: "sync reply", 5: "stateless", 6: "broadcast stateless", 7: "close", 8: "sync status"}

func (y yjs) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode == inspect.OpText {
		out.whole(Event, "text").says(sniff(m.Data, true))
		return nil
	}
	r := &reader{b: m.Data}
	it := out.whole(Event, "")
	if y.named {
		it.Topic = r.text()
	}
	kind := r.varint()
	tree := objectNode()
	switch {
	case kind == 0, kind == 4 && y.named:
		y.sync(r, it, &tree)
	case kind == 1:
		it.Name = "awareness"
		a := &reader{b: r.bytes()}
		tree = awareness(a)
		r.short = r.short || a.short
	case kind == 2:
		y.auth(r, it, &tree)
	case kind < uint64(len(yjsKinds)):
		it.Name = yjsKinds[kind]
	case y.named && hocusKinds[kind] != "":
		it.Name = hocusKinds[kind]
		switch kind {
		case 5, 6, 7:
			if r.left() > 0 { // a close may have no reason
				tree = sniff([]byte(r.text()), true)
			}
		case 8:
			tree.add(boolNode("saved", r.varint() == 1))
		}
	default:
		out.drop()
		return broken(0, "%d is no kind of message of Yjs", kind)
	}
	if r.short {
		out.drop()
		return broken(len(m.Data), "a message of Yjs is shorter than what it says it holds")
	}
	if len(tree.kids) > 0 || tree.Type != Object {
		it.says(tree)
	}
	return nil
}

func (y yjs) sync(r *reader, it *Item, tree *Node) {
	step := r.varint()
	data := r.bytes()
	key := "sync " + it.Topic
	switch step {
	case 0:
		it.Name, it.Kind, it.asks = "sync step 1", Request, key
		tree.add(named("stateVector", stateVector(data)))
	case 1:
		it.Name, it.Kind, it.answers = "sync step 2", Reply, key
		tree.add(updateNode(data)...)
	case 2:
		it.Name = "update"
		tree.add(updateNode(data)...)
	default:
		it.Name = fmt.Sprint("sync ", step)
	}
}

// stateVector is the clock of each client.
func stateVector(b []byte) Node {
	v := &reader{b: b}
	all := objectNode()
	for n := v.varint(); n > 0 && !v.short && len(all.kids) < 1000; n-- {
		client := fmt.Sprint(v.varint())
		all.add(unsignedNode(client, v.varint()))
	}
	return all
}

// updateNode says of an update from whom how many structs come; what they are is
// left to Yjs.
func updateNode(b []byte) []Node {
	u := &reader{b: b}
	clients := u.varint()
	kids := []Node{unsignedNode("clients", clients)}
	if clients > 0 {
		structs := u.varint()
		client := u.varint()
		kids = append(kids, unsignedNode("structs", structs), unsignedNode("client", client), unsignedNode("clock", u.varint()))
	}
	return append(kids, bytesNode("update", b))
}

// awareness is what clients say of themselves: a cursor, a name.
func awareness(r *reader) Node {
	all := objectNode()
	for n := r.varint(); n > 0 && !r.short && len(all.kids) < 1000; n-- {
		client := fmt.Sprint(r.varint())
		clock := r.varint()
		state := jsonOrText(r.text())
		all.add(named(client, objectNode(unsignedNode("clock", clock), named("state", state))))
	}
	return all
}

func (y yjs) auth(r *reader, it *Item, tree *Node) {
	switch kind := r.varint(); {
	case !y.named:
		it.Name, it.Kind = "auth denied", Error
		tree.add(textNode("reason", r.text()))
	case kind == 0:
		it.Name, it.Kind, it.asks = "auth token", Request, "auth "+it.Topic
		tree.add(secretNode(textNode("token", r.text())))
		r.all() // newer ones say their version too
	case kind == 1:
		it.Name, it.Kind, it.answers = "auth denied", Error, "auth "+it.Topic
		tree.add(textNode("reason", r.text()))
	default:
		it.Name, it.Kind, it.answers = "authenticated", Reply, "auth "+it.Topic
		tree.add(textNode("scope", r.text()))
	}
}
