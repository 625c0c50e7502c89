// Package decode says what the messages of a session mean to the application:
// which protocol it speaks on top of WebSocket, what each message says in it, and
// which message answers which.
//
// A protocol is a file, a line in [builtin] and a folder in testdata. One that is
// JSON with an id and a method needs no code, only a [Rule], and users have theirs.
//
// Start at [Table.Session]: it is fed the messages of one session, both directions
// in order, and answers items. Nothing here fails on what a peer sends: what cannot
// be read is an item of its bytes with a finding that says where it broke.
package decode

import (
	"fmt"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Kind is what an item is in its conversation.
type Kind uint8

// The kinds. An Error may answer a request, as a Reply does.
const (
	Event Kind = iota
	Request
	Reply
	Error
	Heartbeat
)

var kindNames = [...]string{"event", "request", "reply", "error", "heartbeat"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// MarshalText writes the kind's name, such as "request".
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Part is where the bytes of an item stand: in the message of these frames, Len
// bytes of its content from Off on.
type Part struct {
	First, Last uint64 // frame numbers
	Off, Len    int
}

// Item is one thing that the application said. It and what it points to are valid
// until the next call on its Session; Keep makes one that stays.
type Item struct {
	N     uint64 // in the session, from 1
	Name  string // what it does, as its protocol calls it: "subscribe", "PUBLISH sensors/1"
	Kind  Kind
	ID    string // by which requests and answers know each other
	Topic string // channel, subscription, destination or path, where there is one
	Dir   inspect.Dir
	Start time.Time // of its first message
	Time  time.Time // of its last one
	Parts []Part
	Tree  Node // what it says; its children are read when they are asked for

	Answers  uint64        // N of the item that it answers; 0: none that is known
	Of       string        // that item's name
	Latency  time.Duration // since that item
	Findings []inspect.Finding

	brief   Node   // the part of Tree that a line shows; Nothing: all of it
	asks    string // the key under which an answer may come
	answers string // the key of what it answers
	more    bool   // what it answers may be answered again
	moreFor string // so it is if what it answers has a name that begins so
	either  bool   // it answers where it can, and asks otherwise
}

// Keep is a copy that does not change when its Session goes on.
func (it *Item) Keep() Item {
	k := *it
	k.Parts = append([]Part(nil), it.Parts...)
	k.Findings = append([]inspect.Finding(nil), it.Findings...)
	k.Tree, k.brief = it.Tree.keep(), it.brief.keep()
	return k
}

// Summary is the item in one line: its name, then as much of what it says as fits
// into about so many bytes. It is safe to show on a terminal.
func (it *Item) Summary(most int) string {
	b := []byte(inspect.Visible([]byte(it.Name), most))
	if n := it.Brief(); len(b) < most && !n.empty() {
		b = n.appendText(append(b, ' '), most)
	}
	return string(b)
}

// Brief is the part of the tree that its name has not told: what a line has room for.
func (it *Item) Brief() Node {
	if it.brief.empty() {
		return it.Tree
	}
	return it.brief
}

// Broken says where a message is not what its protocol asks for.
type Broken struct {
	At   int    // offset in the message
	Why  string // in a few words
	Lost bool   // nor can what follows in this direction be read
}

func (b *Broken) Error() string { return fmt.Sprintf("at byte %d: %s", b.At, b.Why) }

func broken(at int, format string, args ...any) *Broken {
	return &Broken{At: at, Why: fmt.Sprintf(format, args...)}
}

// Decoder reads one protocol in one session.
type Decoder interface {
	// Message takes the next data message of the session; what it says goes to out.
	// What was told before a Broken stands.
	Message(m *inspect.Message, out *Out) *Broken
	// Gap says that messages of a direction, or parts of them, are missing here.
	Gap(d inspect.Dir)
	// Clone is a copy that goes on by itself.
	Clone() Decoder
}

// Out takes the items of one message.
type Out struct {
	items    []Item
	m        *inspect.Message
	more     int   // items past maxItems
	spilled  Item  // the last of those
	envelope *Part // where the message stands that m was taken from; nil: m is one itself
}

// maxItems is how many items one message is told as; the rest is counted.
const maxItems = 4096

// drop takes back the item that was begun last.
func (o *Out) drop() {
	if o.more > 0 {
		o.more--
		return
	}
	o.items = o.items[:len(o.items)-1]
}

// begin empties it for a message.
func (o *Out) begin(m *inspect.Message) {
	if o.m, o.more = m, 0; cap(o.items) > 256 {
		o.items = nil
	}
	o.items = o.items[:0]
}

// part is where bytes of the message stand.
func (o *Out) part(off, length int) Part {
	if o.envelope != nil {
		return *o.envelope
	}
	return Part{o.m.First, o.m.Last, off, length}
}

// item begins the item that Len bytes of the message from Off on are. The pointer is
// valid until the next one begins.
func (o *Out) item(kind Kind, name string, off, length int) *Item {
	it := &o.spilled
	switch {
	case len(o.items) >= maxItems:
		o.more++
	case len(o.items) == cap(o.items):
		o.items = append(o.items, Item{})
		it = &o.items[len(o.items)-1]
	default:
		o.items = o.items[:len(o.items)+1]
		it = &o.items[len(o.items)-1]
	}
	*it = Item{Name: name, Kind: kind, Dir: o.m.Dir, Start: o.m.Time, Time: o.m.Time, Parts: it.Parts[:0], Findings: it.Findings[:0]}
	it.Parts = append(it.Parts, o.part(off, length))
	return it
}

// whole begins the item that the whole message is.
func (o *Out) whole(kind Kind, name string) *Item { return o.item(kind, name, 0, len(o.m.Data)) }

// ask says that the item may be answered under a key.
func (it *Item) ask(key string) *Item {
	it.ID, it.asks = key, key
	return it
}

// answer says what the item answers; more, that it is not the last to do so.
func (it *Item) answer(key string, more bool) *Item {
	it.ID, it.answers, it.more = key, key, more
	return it
}

// under sets the topic.
func (it *Item) under(topic string) *Item {
	it.Topic = topic
	return it
}

// says sets the tree.
func (it *Item) says(n Node) *Item {
	it.Tree = n
	return it
}

// finding notes what is odd about the item. Place and time are filled in by the Session.
func (it *Item) finding(id string, severity inspect.Severity, format string, args ...any) *Item {
	it.Findings = append(it.Findings, inspect.Finding{ID: id, Severity: severity, Detail: fmt.Sprintf(format, args...)})
	return it
}
