package decode

import "strings"

// tRPC is tRPC over WebSocket.
func tRPC() Protocol {
	return Rule{
		Name: "trpc", Title: "tRPC",
		Path:       []string{"/trpc*"},
		First:      []string{"id&method=query&params", "id&method=mutation&params", "id&method=subscription&params", "method=connectionParams"},
		Method:     []string{"method", "result.type"},
		Detail:     []string{"params.path"},
		ID:         []string{"id"},
		Result:     []string{"result"},
		Error:      []string{"error"},
		Body:       []string{"error", "result.data", "params.input", "data"},
		Events:     []string{"subscription.stop", "connectionParams"},
		Heartbeats: []string{"PING", "PONG"},
		Answers:    map[string]string{"PING": "PONG"},
		Secrets:    []string{"token"},
		spec:       "trpc.io/docs/rpc", pairs: "id: query or mutation → result; subscription → started, data …, stopped", spoken: true,
		after: func(it *Item, b []byte) {
			if it.Kind != Reply {
				return
			}
			if kind := jsonText(jsonGet(b, "result", "type")); kind != "stopped" {
				it.moreFor = "subscription"
			}
		},
	}.protocol()
}

// viteHMR is how Vite tells a page what changed.
func viteHMR() Protocol {
	return Rule{
		Name: "vite", Title: "Vite hot module replacement",
		Subprotocols: []string{"vite-hmr", "vite-ping"},
		Method:       []string{"type"},
		Detail:       []string{"updates.0.path", "path", "event"},
		Body:         []string{"err", "updates", "data"},
		Errors:       []string{"error"},
		Heartbeats:   []string{"ping", "pong"},
		spec:         "vite.dev/guide/api-plugin",
		pairs:        "nothing",
	}.protocol()
}

// centrifugeJSON is Centrifugo's protocol in JSON: commands and replies on lines,
// named by the member beside the id.
func centrifugeJSON() Protocol {
	return Rule{
		Name: "centrifuge", Title: "Centrifugo (JSON)",
		Subprotocols: []string{"centrifuge-json"},
		Path:         []string{"*/connection/websocket"},
		First:        []string{"id&connect", "push.channel", "id&subscribe.channel"},
		ID:           []string{"id"},
		Error:        []string{"error"},
		Topic:        []string{"push.channel", "subscribe.channel", "publish.channel", "history.channel", "presence.channel"},
		Body:         []string{"error", "push", "connect", "subscribe", "publish", "rpc"},
		Secrets:      []string{"token"},
		spec:         "centrifugal.dev/docs/transports/client_protocol", pairs: "id", masks: "token of connect and subscribe",
		after: func(it *Item, b []byte) {
			it.Name = firstMember(b, "id")
			switch {
			case it.Name == "" && it.ID == "" && strings.TrimSpace(string(b)) == "{}":
				it.Name, it.Kind = "ping", Heartbeat
			case it.Dir == 0 && it.ID != "":
				it.Kind = Request
				it.ask(it.ID)
			case it.ID != "":
				if it.Kind != Error {
					it.Kind = Reply
				}
				it.answer(it.ID, false)
			case it.Name == "push":
				it.Name = strings.TrimSpace("push " + firstMember(jsonGet(b, "push"), "channel"))
			}
		},
	}.protocol()
}
