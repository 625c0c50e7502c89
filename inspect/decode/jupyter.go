package decode

import (
	"encoding/binary"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// jupyterProtocol is what Jupyter's kernels speak.
func jupyterProtocol() Protocol {
	return Protocol{
		Name: "jupyter", Title: "Jupyter kernel messages", Knows: "subprotocol v1.kernel.websocket.jupyter.org; path /api/kernels/…/channels; a message with header.msg_type and parent_header",
		Pairs: "parent_header.msg_id = header.msg_id: …_request → …_reply", Masks: "nothing of its own", Spec: "jupyter-client.readthedocs.io messaging",
		bid: func(h *Hints) int {
			if strings.Contains(h.Path, "/api/kernels/") && strings.HasSuffix(h.Path, "/channels") {
				return max(spokenBid, h.is("v1.kernel.websocket.jupyter.org"))
			}
			if h.Now.Text && jsonGet(h.Now.Data, "header", "msg_type") != nil && jsonGet(h.Now.Data, "parent_header") != nil {
				return spokenBid
			}
			return h.is("v1.kernel.websocket.jupyter.org")
		},
		new: func(h *Hints) Decoder { return jupyter{v1: h.Subprotocol != ""} },
	}
}

type jupyter struct{ v1 bool }

func (j jupyter) Clone() Decoder  { return j }
func (j jupyter) Gap(inspect.Dir) {}

func (j jupyter) Message(m *inspect.Message, out *Out) *Broken {
	if m.Opcode == inspect.OpText {
		if end, why := jsonValue(m.Data, skipBlank(m.Data, 0)); why != "" || !isJSON(m.Data) {
			return broken(end, "this is no JSON object %s", why)
		}
		j.tell(m.Data, jsonText(jsonGet(m.Data, "channel")), nil, out)
		return nil
	}
	if j.v1 {
		return j.segments(m.Data, out)
	}
	return j.legacy(m.Data, out)
}

// maxSegments bounds a message's segments.
const maxSegments = 1 << 12

// segments reads the layout of v1: how many offsets, the offsets, the segments.
func (j jupyter) segments(b []byte, out *Out) *Broken {
	if len(b) < 8 {
		return broken(0, "the number of offsets is missing")
	}
	n := binary.LittleEndian.Uint64(b)
	if n < 5 || n > maxSegments || uint64(len(b)-8)/8 < n {
		return broken(0, "%d offsets do not fit", n)
	}
	var parts [][]byte
	for i := range int(n) - 1 {
		from, to := binary.LittleEndian.Uint64(b[8+8*i:]), binary.LittleEndian.Uint64(b[16+8*i:])
		if from > to || to > uint64(len(b)) {
			return broken(8+8*i, "a segment from %d to %d does not fit", from, to)
		}
		parts = append(parts, b[from:to])
	}
	if len(parts) < 5 {
		return broken(0, "a message of Jupyter has five segments at least")
	}
	channel := string(parts[0])
	tree := objectNode(textNode("channel", channel))
	for i, name := range []string{"header", "parent_header", "metadata", "content"} {
		tree.add(named(name, sniff(parts[i+1], true)))
	}
	for _, p := range parts[5:] {
		tree.add(bytesNode("buffer", p))
	}
	it := out.whole(Event, "").says(tree)
	pairJupyter(it, channel, [3][]byte{parts[1], parts[2], parts[4]})
	return nil
}

// legacy reads offsets of 32 bits, of the JSON and the buffers behind it.
func (j jupyter) legacy(b []byte, out *Out) *Broken {
	if len(b) < 8 {
		return broken(0, "the number of offsets is missing")
	}
	n := binary.BigEndian.Uint32(b)
	if n < 1 || n > maxSegments || uint32(len(b)-4)/4 < n {
		return broken(0, "%d offsets do not fit", n)
	}
	from, to := binary.BigEndian.Uint32(b[4:]), uint32(len(b))
	if n > 1 {
		to = binary.BigEndian.Uint32(b[8:])
	}
	if from > to || to > uint32(len(b)) || !isJSON(b[from:to]) {
		return broken(4, "what the first offset points at is no JSON")
	}
	doc := b[from:to]
	j.tell(doc, jsonText(jsonGet(doc, "channel")), b[to:], out)
	return nil
}

func (j jupyter) tell(doc []byte, channel string, buffers []byte, out *Out) {
	n := jsonNode(doc[skipBlank(doc, 0):])
	if len(buffers) > 0 {
		n = objectNode(named("message", n), bytesNode("buffers", buffers))
	}
	it := out.whole(Event, "").says(n)
	pairJupyter(it, channel, [3][]byte{jsonGet(doc, "header"), jsonGet(doc, "parent_header"), jsonGet(doc, "content")})
}

// pairJupyter says what a message is from its header, its parent's and its content.
func pairJupyter(it *Item, channel string, from [3][]byte) {
	it.Name, it.Topic = jsonText(jsonGet(from[0], "msg_type")), channel
	if state := jsonText(jsonGet(from[2], "execution_state")); state != "" {
		it.Name += " " + state
	}
	if len(from[2]) > 0 {
		it.brief = sniff(from[2], true)
	}
	id, parent := jsonText(jsonGet(from[0], "msg_id")), jsonText(jsonGet(from[1], "msg_id"))
	it.ID = id
	switch {
	case strings.HasSuffix(it.Name, "_request"):
		it.Kind, it.asks = Request, id
	case strings.HasSuffix(it.Name, "_reply"):
		it.Kind, it.answers, it.ID = Reply, parent, parent
		if jsonText(jsonGet(from[2], "status")) == "error" {
			it.Kind = Error
		}
	case it.Name == "error":
		it.Kind, it.answers, it.more = Error, parent, true
	default:
		it.answers, it.more = parent, true
	}
}
