package decode

import (
	"bytes"

	"github.com/wsproxy/wsproxy/inspect"
)

// discordGateway is Discord's gateway in JSON, also as a zlib stream.
func discordGateway() Protocol {
	c := compileRule(&Rule{
		Name: "discord", First: []string{"op=10&d.heartbeat_interval", "op=2&d.token", "op=0&t&s"},
		Method: []string{"t", "op"}, ID: []string{"nonce"}, Topic: []string{"d.channel_id"}, Body: []string{"d"}, Secrets: []string{"token"},
		spoken: true, after: discordOp,
	})
	return Protocol{
		Name: "discord", Title: "Discord gateway (JSON, zlib-stream)", Knows: "query v= and encoding=json; the first message {\"op\":10",
		Pairs: "heartbeat → ack; identify → READY", Masks: "token", Spec: "discord.com/developers/docs/events/gateway",
		Codes: map[uint16]string{4000: "Unknown error", 4001: "Unknown opcode", 4002: "Decode error", 4003: "Not authenticated", 4004: "Authentication failed",
			4005: "Already authenticated", 4007: "Invalid seq", 4008: "Rate limited", 4009: "Session timed out", 4010: "Invalid shard", 4011: "Sharding required",
			4012: "Invalid API version", 4013: "Invalid intents", 4014: "Disallowed intents"},
		bid: func(h *Hints) int {
			if h.has("encoding", "json") && h.has("v", "") {
				return spokenBid
			}
			return c.bid(h)
		},
		new: func(*Hints) Decoder { return &discord{rule: ruled{c}} },
	}
}

// discordOps are the gateway's opcodes.
var discordOps = map[string]string{"0": "Dispatch", "1": "Heartbeat", "2": "Identify", "3": "Presence Update", "4": "Voice State Update", "6": "Resume",
	"7": "Reconnect", "8": "Request Guild Members", "9": "Invalid Session", "10": "Hello", "11": "Heartbeat ACK", "31": "Request Soundboard Sounds"}

func discordOp(it *Item, b []byte) {
	it.Kind, it.asks, it.answers = Event, "", ""
	op := jsonText(jsonGet(b, "op"))
	name := discordOps[op]
	switch {
	case name == "":
		it.Name = "op " + op
	case op != "0":
		it.Name = name
	}
	switch op {
	case "0":
		if it.Name == "READY" || it.Name == "RESUMED" {
			it.Kind, it.answers = Reply, "identify"
		}
		it.ID = jsonText(jsonGet(b, "s"))
	case "1":
		it.Kind, it.asks = Heartbeat, "heartbeat"
	case "11":
		it.Kind, it.answers = Heartbeat, "heartbeat"
	case "2", "6":
		it.Kind, it.asks = Request, "identify"
	case "9":
		it.Kind, it.answers = Error, "identify"
	}
}

// discord inflates what comes as one zlib stream over all the server's messages.
type discord struct {
	rule  ruled
	zlib  *inspect.Inflater
	begun bool
	buf   []byte // of a document whose flush has not come
	lost  bool
}

func (d *discord) Clone() Decoder {
	c := *d
	c.buf = bytes.Clone(d.buf)
	if d.zlib != nil {
		c.zlib = newZlib()
		c.zlib.SetWindow(d.zlib.Window())
	}
	return &c
}

// Gap: what a stream says depends on all that came before.
func (d *discord) Gap(dir inspect.Dir) {
	if dir == inspect.ToClient && d.begun {
		d.lost, d.buf = true, nil
	}
}

func newZlib() *inspect.Inflater { return inspect.NewInflater(true, 15, unpackLimit) }

func (d *discord) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode == inspect.OpText || m.Dir == inspect.ToServer {
		return d.rule.Message(m, out)
	}
	if d.lost {
		return broken(0, "the stream cannot be inflated, since some of it is missing")
	}
	d.buf = append(d.buf, m.Data...)
	if len(d.buf) > streamLimit {
		d.lost, d.buf = true, nil
		return broken(0, "16 MiB without a flush")
	}
	if !bytes.HasSuffix(d.buf, []byte{0, 0, 0xff, 0xff}) {
		return nil
	}
	b := d.buf[:len(d.buf)-4]
	d.buf = nil
	if !d.begun {
		if len(b) < 2 || b[0] != 0x78 {
			return broken(0, "a zlib stream begins with 78")
		}
		b, d.begun, d.zlib = b[2:], true, newZlib()
	}
	data, size, err := d.zlib.Message(b)
	if err != nil || int64(len(data)) < size {
		d.lost = true
		return broken(0, "the stream cannot be inflated: %v", err)
	}
	whole := len(m.Data)
	inner := *m
	inner.Opcode, inner.Data = inspect.OpText, bytes.Clone(data)
	from := len(out.items)
	out.m = &inner
	bad := d.rule.Message(&inner, out)
	out.m = m
	for i := range out.items[from:] {
		p := &out.items[from+i].Parts[0]
		p.Off, p.Len = 0, whole
	}
	if bad != nil {
		return broken(0, "what was inflated is broken, at byte %d of it: %s", bad.At, bad.Why)
	}
	return nil
}
