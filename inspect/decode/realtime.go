package decode

import (
	"fmt"
	"maps"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// openAIRealtime is OpenAI's Realtime API and those that look like it.
func openAIRealtime() Protocol {
	p := Rule{
		Name: "openai-realtime", Title: "OpenAI Realtime API and its likes",
		Subprotocols: []string{"realtime", "openai-insecure-api-key.*", "openai-beta.realtime-*"},
		Path:         []string{"/v1/realtime*", "*/realtime"},
		First:        []string{"type=session.created", "type=session.update&session", "type=input_audio_buffer.*", "type=response.create", "type=conversation.item.*"},
		Method:       []string{"type"},
		ID:           []string{"event_id"},
		Reply:        []string{"error.event_id"},
		Topic:        []string{"response_id", "response.id", "item_id", "item.id"},
		Body:         []string{"error", "delta", "transcript", "text", "arguments", "item", "response", "session"},
		Errors:       []string{"error"},
		Events:       []string{"*"},
		Answers: map[string]string{"session.update": "session.updated", "response.create": "response.created", "conversation.item.create": "conversation.item.created",
			"input_audio_buffer.commit": "input_audio_buffer.committed", "input_audio_buffer.clear": "input_audio_buffer.cleared", "conversation.item.delete": "conversation.item.deleted"},
		Secrets: []string{"client_secret"},
		spec:    "platform.openai.com/docs/api-reference/realtime", pairs: "session.update → session.updated and so on; response_id and item_id as topics; response.done tells what its deltas said",
		masks: "the key in the subprotocol, client_secret", after: audio,
	}.protocol()
	ruled := p.new
	p.new = func(h *Hints) Decoder { return &realtime{ruled(h), map[string]speech{}} }
	return p
}

// The most responses that are listened to at once, and of each the most bytes of text.
const (
	maxSpeeches = 64
	speechLimit = 16 << 10
)

// realtime joins what a response says in pieces, and tells it with the response's end.
type realtime struct {
	Decoder
	said map[string]speech // by response_id
}

// speech is what a response has said up to now. It is not changed, but replaced.
type speech struct {
	text  string
	sound int // bytes in base64
}

func (r *realtime) Clone() Decoder { return &realtime{r.Decoder.Clone(), maps.Clone(r.said)} }

func (r *realtime) Gap(d inspect.Dir) {
	r.Decoder.Gap(d)
	clear(r.said)
}

func (r *realtime) Message(m *inspect.Message, out *Out) *Broken {
	b := r.Decoder.Message(m, out)
	if m.Dir == inspect.ToClient {
		for i := range out.items {
			r.listen(&out.items[i])
		}
	}
	return b
}

// listen takes a piece, or tells the whole.
func (r *realtime) listen(it *Item) {
	s, known := r.said[it.Topic]
	switch {
	case it.Name == "response.done":
		delete(r.said, it.Topic)
		r.done(it, s)
		return
	case it.Topic == "" || len(it.Topic) > 256 || !known && len(r.said) >= maxSpeeches || !strings.HasSuffix(it.Name, ".delta"):
		return
	case strings.HasSuffix(it.Name, "text.delta"), strings.HasSuffix(it.Name, "transcript.delta"):
		if len(s.text) > speechLimit {
			return
		}
		s.text += jsonText(jsonGet(it.Tree.raw, "delta"))
	case strings.HasSuffix(it.Name, "audio.delta"):
		s.sound += len(jsonText(jsonGet(it.Tree.raw, "delta")))
	default:
		return
	}
	r.said[it.Topic] = s
}

// done says of a response how it ended and what it has said.
func (r *realtime) done(it *Item, s speech) {
	status := jsonText(jsonGet(it.Tree.raw, "response", "status"))
	if status == "failed" {
		it.Kind = Error
		return // the response says why
	}
	if s == (speech{}) {
		return
	}
	it.brief = objectNode(textNode("status", status))
	if s.text != "" {
		it.brief.add(textNode("said", s.text))
	}
	if s.sound > 0 {
		it.brief.add(textNode("audio", soundFor(s.sound)))
	}
}

// soundFor is how long so much base64 sounds: PCM of 16 bits at 24 kHz.
func soundFor(encoded int) string {
	return fmt.Sprintf("%.2f s of audio", float64(encoded)*3/4/48000)
}

// audio shows sound as how long it is.
func audio(it *Item, b []byte) {
	var data []byte
	switch {
	case strings.HasSuffix(it.Name, "audio.delta"):
		data = jsonGet(b, "delta")
	case it.Name == "input_audio_buffer.append":
		data = jsonGet(b, "audio")
	default:
		return
	}
	if len(data) > 2 {
		it.brief = textNode("", soundFor(len(data)-2))
	}
}

// geminiLive is Google's Gemini Live API: messages are named by their only member.
func geminiLive() Protocol {
	return Rule{
		Name: "gemini-live", Title: "Gemini Live API",
		Path:    []string{"*BidiGenerateContent*"},
		First:   []string{"setup.model", "setupComplete", "serverContent.modelTurn", "realtimeInput.mediaChunks"},
		Answers: map[string]string{"setup": "setupComplete"},
		spec:    "ai.google.dev/api/live", pairs: "setup → setupComplete; toolCall → toolResponse by id", spoken: true,
		after: func(it *Item, b []byte) {
			it.Name = firstMember(b)
			switch it.Name {
			case "setup":
				it.Kind, it.asks = Request, "setup"
			case "setupComplete":
				it.Kind, it.answers = Reply, "setup"
			case "toolCall":
				it.Kind = Request
				it.ask(jsonText(jsonGet(b, "toolCall", "functionCalls", "0", "id")))
			case "toolResponse":
				it.Kind = Reply
				it.answer(jsonText(jsonGet(b, "toolResponse", "functionResponses", "0", "id")), false)
			}
		},
	}.protocol()
}

// firstMember is the name of an object's first member, but for those left out.
func firstMember(b []byte, but ...string) string {
	name := ""
	if i := skipBlank(b, 0); i < len(b) && b[i] == '{' {
		_, _ = jsonEach(b, i, func(n, _ []byte) bool {
			name = unquote(n)
			for _, o := range but {
				if name == o {
					name = ""
				}
			}
			return name == ""
		})
	}
	return name
}
