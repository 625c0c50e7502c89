package decode

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

func textMessage(d inspect.Dir, s string) *inspect.Message {
	return &inspect.Message{Dir: d, Opcode: inspect.OpText, Data: []byte(s), Size: int64(len(s))}
}

func one(t *testing.T, s *Session, m *inspect.Message) *Item {
	t.Helper()
	items := s.Message(m)
	if len(items) != 1 {
		t.Fatalf("%q is %d items", m.Data, len(items))
	}
	return &items[0]
}

// panicking is a decoder with a mistake in it.
type panicking struct{}

func (panicking) Message(*inspect.Message, *Out) *Broken { panic("a mistake") }
func (panicking) Gap(inspect.Dir)                        {}
func (p panicking) Clone() Decoder                       { return p }

// A decoder with a mistake disturbs nothing: what it did not read is raw, and so is the
// rest of that direction.
func TestPanicIsContained(t *testing.T) {
	all := &Table{all: []Protocol{{Name: "mistaken", bid: func(*Hints) int { return agreedBid }, new: func(*Hints) Decoder { return panicking{} }}, rawProtocol()}}
	s := all.Session(nil)
	if err := s.Force("mistaken"); err != nil {
		t.Fatal(err)
	}
	it := one(t, s, textMessage(inspect.ToServer, "x"))
	if it.Name != "(raw)" || len(it.Findings) != 1 || !strings.Contains(it.Findings[0].Detail, "panic in the decoder: a mistake") {
		t.Errorf("%s", it.Line(100))
	}
	if it := one(t, s, textMessage(inspect.ToServer, "y")); it.Name != "(raw)" || len(it.Findings) != 0 {
		t.Errorf("%s", it.Line(100))
	}
	s = all.Session(nil) // a guess is taken back
	if it := one(t, s, textMessage(inspect.ToServer, "x")); it.Name != "text" || s.Protocol() != "raw" {
		t.Errorf("%s: %s", s.Protocol(), it.Line(100))
	}
}

// What a session was taken for by its subprotocol is given up when its first message
// is not that, and kept when a later one is not.
func TestWrongGuess(t *testing.T) {
	opened := &inspect.Opened{Session: 7, Handshake: &inspect.Handshake{Request: &inspect.Head{Target: "/x"}, Subprotocol: "graphql-transport-ws"}}
	s := table(t).Session(opened)
	if it := one(t, s, textMessage(inspect.ToServer, "hello")); it.Name != "text" || s.Protocol() != "text" {
		t.Errorf("%s: %s", s.Protocol(), it.Line(100))
	}
	s = table(t).Session(opened)
	one(t, s, textMessage(inspect.ToServer, `{"type":"connection_init"}`))
	it := one(t, s, textMessage(inspect.ToClient, "hello"))
	if s.Protocol() != "graphql-transport-ws" || it.Name != "(raw)" || len(it.Findings) != 1 {
		t.Fatalf("%s: %s", s.Protocol(), it.Line(100))
	}
	if f := it.Findings[0]; f.ID != FindBroken || f.Session != 7 || f.Dir != inspect.ToClient || f.Clause != "graphql-transport-ws" {
		t.Errorf("%+v", f)
	}
}

// The user knows better, at any time.
func TestForce(t *testing.T) {
	s := table(t).Session(nil)
	one(t, s, textMessage(inspect.ToServer, `{"jsonrpc":"2.0","id":1,"method":"m"}`))
	if err := s.Force("no such"); err == nil || s.Protocol() != "json-rpc" {
		t.Error(err, s.Protocol())
	}
	if err := s.Force("raw"); err != nil {
		t.Fatal(err)
	}
	if it := one(t, s, textMessage(inspect.ToClient, `{"jsonrpc":"2.0","id":1,"result":1}`)); it.Name != "text" || it.N != 2 {
		t.Errorf("%s", it.Line(100))
	}
	if err := s.Force("json-rpc"); err != nil {
		t.Fatal(err)
	}
	if it := one(t, s, textMessage(inspect.ToClient, `{"jsonrpc":"2.0","id":1,"result":1}`)); it.Answers != 1 {
		t.Errorf("what was asked is remembered: %s", it.Line(100))
	}
}

// A message that is not whole is told, and what came before it is forgotten.
func TestNotWhole(t *testing.T) {
	s := table(t).Session(nil)
	if err := s.Force("mqtt"); err != nil {
		t.Fatal(err)
	}
	m := &inspect.Message{Opcode: inspect.OpBinary, Data: []byte{0x30, 5, 0, 1}}
	if items := s.Message(m); len(items) != 0 {
		t.Fatalf("half a packet is %d items", len(items))
	}
	m.Cut = true
	if it := one(t, s, m); it.Findings[0].ID != FindGap {
		t.Errorf("%s", it.Line(100))
	}
	m = &inspect.Message{Opcode: inspect.OpBinary, Data: []byte{0x30, 4, 0, 1, 'a', 'x'}}
	if it := one(t, s, m); it.Name != "PUBLISH a" || len(it.Findings) != 0 {
		t.Errorf("%s", it.Line(100))
	}
}

// Times and latencies are the messages'.
func TestLatency(t *testing.T) {
	s := table(t).Session(nil)
	begin := time.Unix(1000, 0)
	m := textMessage(inspect.ToServer, `{"jsonrpc":"2.0","id":1,"method":"m"}`)
	m.Time = begin
	one(t, s, m)
	m = textMessage(inspect.ToClient, `{"jsonrpc":"2.0","id":1,"result":1}`)
	m.Time = begin.Add(3100 * time.Microsecond)
	it := one(t, s, m)
	if it.Latency != 3100*time.Microsecond || it.Of != "m" || it.Answers != 1 || !strings.Contains(it.Line(100), "⤶ #1 m +3.1ms") {
		t.Errorf("%s", it.Line(100))
	}
	if got := it.Summary(100); got != "reply 1" {
		t.Errorf("%q", got)
	}
}

// Rules of the user's: what they lack is said, they win over built-in protocols, and
// one of the same name replaces it.
func TestUsersRules(t *testing.T) {
	for want, rules := range map[string][]Rule{
		"has no name":            {{First: []string{"a"}}},
		"is never recognised":    {{Name: "x", Method: []string{"a"}}},
		"it has no method":       {{Name: "x", First: []string{"a"}}},
		`two protocols are call`: {{Name: "x", First: []string{"a"}, Method: []string{"a"}}, {Name: "x", First: []string{"a"}, Method: []string{"a"}}},
	} {
		if _, err := NewTable(rules...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	own, err := NewTable(Rule{Name: "json-rpc", Subprotocols: []string{"ours*"}, Method: []string{"do"}, ID: []string{"n+m"}, Answers: map[string]string{"hi": "ho"}, Secrets: []string{"pin"}})
	if err != nil {
		t.Fatal(err)
	}
	s := own.Session(&inspect.Opened{Handshake: &inspect.Handshake{Request: &inspect.Head{Target: "/"}, Subprotocol: "ours.v2"}})
	if it := one(t, s, textMessage(inspect.ToServer, `{"do":"hi","pin":"1234"}`)); it.Kind != Request || !strings.Contains(it.Line(100), "pin: •••") {
		t.Errorf("%s", it.Line(100))
	}
	if it := one(t, s, textMessage(inspect.ToClient, `{"do":"ho"}`)); it.Kind != Reply || it.Answers != 1 {
		t.Errorf("%s", it.Line(100))
	}
	if it := one(t, s, textMessage(inspect.ToServer, `{"do":"x","n":1,"m":"b"}`)); it.ID != "1/b" {
		t.Errorf("%s", it.Line(100))
	}
}

// A schema gives fields their names: the descriptor of descriptors reads its own file.
func TestSchema(t *testing.T) {
	file := protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto)
	b, err := proto.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	desc := file.ProtoReflect().Descriptor()
	all := table(t).WithSchema((&descriptorpb.EnumDescriptorProto{}).ProtoReflect().Descriptor(), desc)
	for name, data := range map[string][]byte{
		"":          b,
		"gRPC":      append([]byte{0, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...),
		"delimited": append([]byte{byte(len(b)) | 0x80, byte(len(b) >> 7)}, b...),
	} {
		if name == "delimited" && len(b) >= 1<<14 {
			t.Fatal("the length has three bytes")
		}
		s := all.Session(nil)
		if err := s.Force("protobuf"); err != nil {
			t.Fatal(err)
		}
		it := one(t, s, &inspect.Message{Opcode: inspect.OpBinary, Data: data})
		for path, want := range map[string]string{"name": "google/protobuf/descriptor.proto", "package": "google.protobuf", "message_type.name": "FileDescriptorSet"} {
			if k, ok := it.Tree.Find(path); !ok || k.Text != want {
				t.Errorf("%s %s: %q", name, path, k.Text)
			}
		}
		field, ok := it.Tree.Find("message_type.field.label")
		if !ok || field.Note != "LABEL_REPEATED" || field.Text != "3" {
			t.Errorf("%s: %+v", name, field)
		}
		if want := strings.TrimSpace(name + " FileDescriptorProto"); it.Tree.Note != want {
			t.Errorf("%q, not %q", it.Tree.Note, want)
		}
	}
}

// byHandshake are the fixtures that nothing but their handshake gives away.
var byHandshake = []string{"gotty/a", "ttyd/a", "grpc-websockets/a", "guacamole/a", "kubernetes/a", "kubernetes/base64", "kubernetes/port-forward", "vite/a", "raw/a",
	"jupyter/v1", "mqtt/app-mqtt-4", "mqtt/app-mqtt-5", "wamp/msgpack", "actioncable/msgpack"}

// The others are recognised by what is said, without path or subprotocol: as a payload
// on the standard input is.
func TestRecognisedByWords(t *testing.T) {
	for _, name := range fixtures(t) {
		f := readFixture(t, name)
		f.path, f.offered, f.agreed, f.force = "/", "", "", ""
		short := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), "testdata/"), ".txtar")
		want, _, _ := strings.Cut(short, "/")
		got := strings.TrimPrefix(f.play(t, nil)[0], "protocol: ")
		if known := !slices.Contains(byHandshake, short); (got == want) != known {
			t.Errorf("%s is taken for %s; that it is recognised without its handshake is expected: %v", short, got, known)
		}
	}
}
