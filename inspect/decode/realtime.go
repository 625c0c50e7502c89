package decode

import (
	"fmt"
	"strings"
)

// openAIRealtime is OpenAI's Realtime API and those that look like it.
func openAIRealtime() Protocol {
	return Rule{
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
		spec:    "platform.openai.com/docs/api-reference/realtime", pairs: "session.update → session.updated and so on; response_id and item_id as topics",
		masks: "the key in the subprotocol, client_secret", after: audio,
	}.protocol()
}

// audio shows sound as how long it is: PCM of 16 bits at 24 kHz, in base64.
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
		it.brief = Node{Type: Text, Text: fmt.Sprintf("%.2f s of audio", float64(len(data)-2)*3/4/48000)}
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
