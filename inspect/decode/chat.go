package decode

// slackSocketMode is Slack's Socket Mode.
func slackSocketMode() Protocol {
	return Rule{
		Name: "slack", Title: "Slack Socket Mode",
		Path:   []string{"/link/*"},
		First:  []string{"envelope_id&type", "type=hello&connection_info"},
		Method: []string{"type"},
		Detail: []string{"payload.event.type", "payload.command"},
		ID:     []string{"envelope_id"},
		Body:   []string{"payload"},
		Events: []string{"hello", "disconnect"},
		spec:   "api.slack.com/apis/socket-mode", pairs: "envelope_id: what the client acknowledges", spoken: true,
		Secrets: []string{"token"},
	}.protocol()
}

// mattermost is Mattermost's WebSocket API.
func mattermost() Protocol {
	return Rule{
		Name: "mattermost", Title: "Mattermost",
		Path:    []string{"/api/v4/websocket"},
		First:   []string{"seq_reply", "event&broadcast&seq", "action=authentication_challenge"},
		Method:  []string{"action", "event"},
		ID:      []string{"seq"},
		Reply:   []string{"seq_reply"},
		Result:  []string{"seq_reply"},
		Error:   []string{"error"},
		Topic:   []string{"broadcast.channel_id"},
		Body:    []string{"error", "data"},
		Secrets: []string{"token"},
		spec:    "api.mattermost.com", pairs: "seq → seq_reply", masks: "the token of authentication_challenge", spoken: true,
		after: func(it *Item, b []byte) {
			if jsonGet(b, "event") != nil {
				it.Kind, it.ID, it.asks = Event, "", ""
			}
		},
	}.protocol()
}

// homeAssistant is Home Assistant's WebSocket API.
func homeAssistant() Protocol {
	return Rule{
		Name: "home-assistant", Title: "Home Assistant",
		Path:       []string{"/api/websocket"},
		First:      []string{"type=auth_required&ha_version"},
		Method:     []string{"type"},
		Detail:     []string{"event_type", "service"},
		ID:         []string{"id"},
		Error:      []string{"error"},
		Body:       []string{"error", "result", "event"},
		Replies:    []string{"result"},
		More:       []string{"event"},
		Errors:     []string{"auth_invalid"},
		Heartbeats: []string{"ping", "pong"},
		Answers:    map[string]string{"auth": "auth_ok", "ping": "pong"},
		spec:       "developers.home-assistant.io/docs/api/websocket", pairs: "id → result, event …", spoken: true,
		after: func(it *Item, _ []byte) {
			if it.Name == "result" {
				it.moreFor = "subscribe"
			}
		},
	}.protocol()
}

// meteorDDP is Meteor's DDP, which Rocket.Chat speaks too.
func meteorDDP() Protocol {
	return Rule{
		Name: "ddp", Title: "DDP: Meteor, Rocket.Chat",
		First:      []string{"msg=connect&version", "msg=connected&session"},
		Method:     []string{"msg"},
		Detail:     []string{"method", "name", "collection"},
		ID:         []string{"id", "subs.0"},
		Error:      []string{"error"},
		Body:       []string{"error", "result", "params", "fields"},
		Requests:   []string{"method", "sub"},
		Replies:    []string{"result", "ready"},
		Errors:     []string{"error", "failed"},
		Events:     []string{"*"},
		Heartbeats: []string{"ping", "pong"},
		Answers:    map[string]string{"connect": "connected", "ping": "pong"},
		Secrets:    []string{"resume", "digest", "token"},
		spec:       "github.com/meteor/meteor packages/ddp/DDP.md", pairs: "id: method → result, sub → ready or nosub", masks: "login's password digest and resume token", spoken: true,
		after: func(it *Item, b []byte) {
			switch jsonText(jsonGet(b, "msg")) {
			case "method", "sub":
				it.Kind = Request
				it.ask(jsonText(jsonGet(b, "id")))
			case "added", "changed", "removed": // the id is a document's
				it.ID = ""
			}
		},
	}.protocol()
}
