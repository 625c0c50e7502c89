package inspect

// Field is a name under which something about a frame is known: in the filter
// language, and as the key of a JSON line where Key says so.
type Field struct {
	Name string
	Type string // int, float, string, bool, json
	Doc  string
}

// AllFields are all of them, in the order in which help texts print them. Those of a
// session begin with "session.".
func AllFields() []Field {
	return []Field{
		{"op", "string", "opcode: text, binary, close, ping, pong, continuation, or its number in hex (op == close and op == \"close\" are the same)"},
		{"dir", "string", "\">\" to the server, \"<\" to the client (dir == up, dir == down)"},
		{"len", "int", "payload bytes on the wire"},
		{"frame", "int", "number in its session, from 1"},
		{"time", "float", "seconds since the session was opened"},
		{"fin", "bool", "the last fragment of a message"},
		{"rsv1", "bool", "reserved bit 1; with permessage-deflate the message is compressed"},
		{"rsv2", "bool", "reserved bit 2"},
		{"rsv3", "bool", "reserved bit 3"},
		{"masked", "bool", "the payload is masked"},
		{"minimal", "bool", "the length is written in the shortest form"},
		{"missing", "bool", "payload bytes never came, or were not recorded"},
		{"finding", "string", "the worst finding: \"\", \"info\", \"warning\" or \"error\""},
		{"size", "int", "bytes of the message, inflated"},
		{"compressed", "bool", "the message is compressed"},
		{"undecodable", "bool", "the message is compressed and cannot be inflated"},
		{"invalid", "bool", "the message is text, or a close reason, that is not UTF-8"},
		{"text", "string", "the message's payload"},
		{"json", "json", "the payload as JSON: json.type, json[0].id; nil where there is none"},
		{"decode.protocol", "string", "what the application speaks: mqtt, socket.io, … (with --decoded)"},
		{"decode.name", "string", "what an item does: subscribe, \"PUBLISH sensors/1\" (with --decoded)"},
		{"decode.kind", "string", "event, request, reply, error, heartbeat (with --decoded)"},
		{"decode.id", "string", "by which requests and answers know each other (with --decoded)"},
		{"decode.topic", "string", "channel, subscription, destination, path (with --decoded)"},
		{"latency", "float", "seconds from a request to this answer; 0: it answers nothing (with --decoded)"},
		{"code", "int", "of a Close frame; 0 without one"},
		{"reason", "string", "of a Close frame"},
		{"session.n", "int", "number in the list, from 1"},
		{"session.path", "string", "that the client asked for"},
		{"session.protocol", "string", "subprotocol that was agreed to"},
		{"session.mode", "string", "reverse, forward, bridge-to-tcp, …"},
		{"session.target", "string", "URL of the server"},
		{"session.client", "string", "address of the client"},
		{"session.status", "int", "of the answer to the upgrade: 101, 403, …"},
		{"session.word", "string", "how it ended: \"1000\", \"1006 server rst\", …; empty while it is open"},
		{"session.open", "bool", "it has not ended"},
	}
}
