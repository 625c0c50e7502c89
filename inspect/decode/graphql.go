package decode

import (
	"bytes"
	"strings"
)

// graphqlSecrets are members of a connection_init's payload that let somebody in.
var graphqlSecrets = []string{"token", "authToken", "jwt", "x-hasura-admin-secret", "bearer"}

// graphqlTransport is GraphQL over WebSocket as the library graphql-ws speaks it.
func graphqlTransport() Protocol {
	return Rule{
		Name: "graphql-transport-ws", Title: "GraphQL over WebSocket (library graphql-ws)",
		Subprotocols: []string{"graphql-transport-ws"},
		First:        []string{"type=subscribe&payload.query", "type=next&id"},
		Method:       []string{"type"},
		ID:           []string{"id"},
		Requests:     []string{"subscribe"},
		Replies:      []string{"connection_ack", "complete"},
		More:         []string{"next"},
		Errors:       []string{"error"},
		Heartbeats:   []string{"ping", "pong"},
		Answers:      map[string]string{"connection_init": "connection_ack", "ping": "pong"},
		Body:         []string{"payload"},
		Secrets:      graphqlSecrets,
		spec:         "github.com/enisdenjo/graphql-ws PROTOCOL.md", pairs: "id: subscribe → next …, then error or complete", masks: "tokens in connection_init",
		after: operation, spoken: true,
		codes: map[uint16]string{4400: "Bad Request", 4401: "Unauthorized", 4403: "Forbidden", 4406: "Subprotocol not acceptable",
			4408: "Connection initialisation timeout", 4409: "Subscriber already exists", 4429: "Too many initialisation requests",
			4500: "Internal server error", 4004: "Bad response", 4005: "Internal client error", 4504: "Connection acknowledgement timeout"},
	}.protocol()
}

// graphqlLegacy is the protocol of subscriptions-transport-ws, which took the name
// graphql-ws as its subprotocol first.
func graphqlLegacy() Protocol {
	return Rule{
		Name: "graphql-ws", Title: "GraphQL over WebSocket, legacy (library subscriptions-transport-ws, AWS AppSync)",
		Subprotocols: []string{"graphql-ws"},
		First:        []string{"type=start&payload", "type=connection_init", "type=ka"},
		Method:       []string{"type"},
		ID:           []string{"id"},
		Requests:     []string{"start"},
		Replies:      []string{"connection_ack", "complete"},
		More:         []string{"data", "start_ack"},
		Errors:       []string{"error", "connection_error"},
		Events:       []string{"stop", "connection_terminate"},
		Heartbeats:   []string{"ka"},
		Answers:      map[string]string{"connection_init": "connection_ack"},
		Body:         []string{"payload"},
		Secrets:      graphqlSecrets,
		spec:         "github.com/apollographql/subscriptions-transport-ws PROTOCOL.md", pairs: "id: start → data …, then error or complete", masks: "tokens in connection_init",
		after: operation,
	}.protocol()
}

// operation names a subscribe or start by its GraphQL operation, and an answer with
// errors in it as what it is.
func operation(it *Item, b []byte) {
	payload := jsonGet(b, "payload")
	switch it.Name {
	case "subscribe", "start":
		var query, operation []byte
		if len(payload) > 0 && payload[0] == '{' {
			_, _ = jsonEach(payload, 0, func(n, v []byte) bool {
				if isName(n, "query") {
					query = v
				} else if isName(n, "operationName") {
					operation = v
				}
				return query == nil || operation == nil
			})
		}
		name := jsonText(operation)
		kind, named := queryName(jsonText(query))
		if name == "" {
			name = named
		}
		it.Topic = name
		it.Name = strings.TrimSpace(it.Name + " " + strings.TrimSpace(kind+" "+name))
	case "next", "data":
		if v := jsonGet(payload, "errors"); len(v) > 2 {
			it.Kind = Error
		}
	case "complete":
		it.more = false
	}
}

// queryName is the first operation's type and name; both are empty for a query in
// its short form, and the name is for one without.
func queryName(q string) (kind, name string) {
	b := []byte(q)
	for len(b) > 0 {
		b = bytes.TrimLeft(b, " \t\r\n,")
		if len(b) > 0 && b[0] == '#' {
			_, b, _ = bytes.Cut(b, []byte("\n"))
			continue
		}
		break
	}
	word := func() string {
		b = bytes.TrimLeft(b, " \t\r\n,")
		n := 0
		for n < len(b) && (b[n] == '_' || b[n] >= '0' && b[n] <= '9' || b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z') {
			n++
		}
		w := string(b[:n])
		b = b[n:]
		return w
	}
	switch w := word(); w {
	case "query", "mutation", "subscription":
		return w, word()
	}
	return "query", ""
}
