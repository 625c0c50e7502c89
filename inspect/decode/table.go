package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// Protocol is a line of the table.
type Protocol struct {
	Name  string            // "socket.io", what --as and decode.name call it
	Title string            // for people, with versions
	Knows string            // by what it is recognised
	Pairs string            // what makes an answer an answer
	Masks string            // what is not shown; empty: nothing of its own
	Spec  string            // where it is written down
	Codes map[uint16]string // what its close codes mean

	bid func(*Hints) int
	new func(*Hints) Decoder
}

// The bids. A protocol that was agreed on is surest; one whose first words were
// heard beats a path, which beats what any JSON is.
const (
	agreedBid  = 90
	spokenBid  = 80 // its first words, which nothing else begins with
	offeredBid = 70
	likelyBid  = 60 // words that it has, and others could have
	pathBid    = 40
	formBid    = 10 // a form and no protocol: JSON, MessagePack, …
	bytesBid   = 1
)

// firstLimit is how much of a message bids are made on.
const firstLimit = 64 << 10

// Hints are what a protocol is recognised by.
type Hints struct {
	Path        string
	Query       string
	Offered     []string
	Subprotocol string
	First       [2]Words // the first data message of each direction, by Dir
	Now         Words    // the one that has just come
	Dir         inspect.Dir

	table *Table // for what is inside
}

// Words are the beginning of a message, or all of it.
type Words struct {
	Data  []byte
	Text  bool
	Whole bool
}

// is says that one of the subprotocols was agreed on, or offered; a name that ends in
// * stands for all that begin so.
func (h *Hints) is(names ...string) int {
	for _, name := range names {
		if h.Subprotocol != "" && like(name, h.Subprotocol) {
			return agreedBid
		}
	}
	if h.Subprotocol != "" {
		return 0
	}
	for _, name := range names {
		if slices.ContainsFunc(h.Offered, func(o string) bool { return like(name, o) }) {
			return offeredBid
		}
	}
	return 0
}

// has says that the query has a parameter, of a value where one is given.
func (h *Hints) has(name, value string) bool {
	for pair := range strings.SplitSeq(h.Query, "&") {
		if n, v, _ := strings.Cut(pair, "="); n == name && (value == "" || v == value) {
			return true
		}
	}
	return false
}

// like matches a name with a pattern that may begin or end with *, or have it inside.
func like(pattern, name string) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if len(name) < len(head) || !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	if !strings.Contains(tail, "*") {
		return strings.HasSuffix(name, tail)
	}
	for i := range len(name) + 1 {
		if like(tail, name[i:]) {
			return true
		}
	}
	return false
}

func likeAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return like(p, name) })
}

// Table is the protocols that sessions are decoded by. It does not change and serves
// any number of sessions.
type Table struct{ all []Protocol }

// builtin is the table: one line a protocol, those that more people meet first.
func builtin() []Protocol {
	return []Protocol{
		socketIO(),
		graphqlTransport(),
		graphqlLegacy(),
		jsonRPC(),
		chromeDevTools(),
		webDriverBiDi(),
		playwright(),
		mqttProtocol(),
		signalR(),
		phoenixProtocol(),
		openAIRealtime(),
		geminiLive(),
		pusher(),
		actionCable(),
		stompProtocol(),
		sockJS(),
		discordGateway(),
		slackSocketMode(),
		mattermost(),
		homeAssistant(),
		meteorDDP(),
		kubernetes(),
		ttydProtocol(),
		gottyProtocol(),
		jupyterProtocol(),
		ocppProtocol(),
		yjsProtocol(),
		hocuspocus(),
		natsProtocol(),
		tRPC(),
		viteHMR(),
		centrifugeJSON(),
		centrifugeProtobuf(),
		wampProtocol(),
		rfbProtocol(),
		guacamoleProtocol(),
		sipProtocol(),
		xmppProtocol(),
		grpcWebSockets(),
		jsonProtocol(),
		msgpackProtocol(),
		cborProtocol(),
		protobufProtocol(),
		textProtocol(),
		rawProtocol(),
	}
}

// NewTable is the table with rules of the user in front, which win over built-in
// protocols of equal claim.
func NewTable(rules ...Rule) (*Table, error) {
	t := &Table{}
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, err
		}
		p := r.protocol()
		if slices.ContainsFunc(t.all, func(o Protocol) bool { return o.Name == p.Name }) {
			return nil, fmt.Errorf("two protocols are called %q", p.Name)
		}
		t.all = append(t.all, p)
	}
	for _, p := range builtin() {
		if !slices.ContainsFunc(t.all, func(o Protocol) bool { return o.Name == p.Name }) {
			t.all = append(t.all, p)
		}
	}
	return t, nil
}

// Protocols are all of them, in the order of the table. The slice is the caller's.
func (t *Table) Protocols() []Protocol { return slices.Clone(t.all) }

// Lookup is the protocol of a name.
func (t *Table) Lookup(name string) (Protocol, bool) {
	for _, p := range t.all {
		if p.Name == name {
			return p, true
		}
	}
	return Protocol{}, false
}

// best is the protocol with the highest bid above floor that has not been ruled out;
// nil if there is none. Of equal bids the first in the table wins.
func (t *Table) best(h *Hints, floor int, out map[string]bool) (best *Protocol, bid int) {
	for i := range t.all {
		p := &t.all[i]
		if out[p.Name] {
			continue
		}
		if b := p.bid(h); b > floor {
			best, floor = p, b
		}
	}
	return best, floor
}
