package ui

import (
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// side is the head that a header is explained in.
type side uint8

const (
	both side = iota
	inRequest
	inAnswer
)

// header explains one header of the handshake. judge, if there is one, answers
// what is wrong with the value, or nothing.
type header struct {
	name  string // in lower case
	in    side
	text  string
	judge func(value string, s *record.Session) string
}

var headers = []header{
	{"host", inRequest, "Which of the server's names is meant [RFC 9110 7.2].", nil},
	{"upgrade", inRequest, "Asks to speak WebSocket on this connection from here on [RFC 6455 4.1].", upgradeJudge},
	{"upgrade", inAnswer, "Agrees to speak WebSocket [RFC 6455 4.2.2].", upgradeJudge},
	{"connection", both, "Says that Upgrade is for the next hop, and is meant [RFC 9110 7.6.1].", connectionJudge},
	{"sec-websocket-key", inRequest, "16 random bytes in base64. The answer's Accept proves that the server read them [RFC 6455 4.1].", nil},
	{"sec-websocket-version", inRequest, "The version of the protocol; 13 is the only one in use [RFC 6455 4.1].", versionJudge},
	{"sec-websocket-version", inAnswer, "The versions that the server speaks, sent when it refuses another [RFC 6455 4.4].", nil},
	{"sec-websocket-accept", inAnswer, "Proves that the server read the key; worked out below [RFC 6455 4.2.2].", acceptJudge},
	{"sec-websocket-protocol", inRequest, "The subprotocols that the client can speak, the one it likes best first [RFC 6455 1.9].", nil},
	{"sec-websocket-protocol", inAnswer, "The subprotocol that the server chose of those offered [RFC 6455 4.2.2].", subprotocolJudge},
	{"sec-websocket-extensions", inRequest, "The extensions that the client offers, with their parameters [RFC 6455 9.1].", nil},
	{"sec-websocket-extensions", inAnswer, "The extensions that are in use from here on [RFC 6455 9.1].", extensionJudge},
	{"origin", inRequest, "The page that opened the socket; a server should refuse those it does not know [RFC 6455 10.2].", nil},
	{"cookie", inRequest, "Sent by a browser whichever page asks, which is why the server must look at the Origin.", nil},
	{"authorization", inRequest, "Who the client is. A browser's WebSocket cannot send this.", nil},
	{"location", inAnswer, "Where else to ask. Browsers do not follow a redirect of a handshake.", nil},
	{"www-authenticate", inAnswer, "The server wants to know who asks. Browsers do not ask the user in a handshake.", nil},
}

func upgradeJudge(v string, _ *record.Session) string {
	for _, t := range inspect.ParseTokens([]string{v}) {
		if strings.EqualFold(t, "websocket") {
			return ""
		}
	}
	return "It does not say websocket."
}

func connectionJudge(v string, s *record.Session) string {
	if s.Kind != record.WebSocket {
		return ""
	}
	for _, t := range inspect.ParseTokens([]string{v}) {
		if strings.EqualFold(t, "upgrade") {
			return ""
		}
	}
	return "It does not say Upgrade."
}

func versionJudge(v string, _ *record.Session) string {
	if v != "13" {
		return "This is not 13."
	}
	return ""
}

func acceptJudge(v string, s *record.Session) string {
	if s.Handshake != nil && v != s.Handshake.Want {
		return "It is not what the key asks for."
	}
	return ""
}

func subprotocolJudge(v string, s *record.Session) string {
	if s.Handshake == nil {
		return ""
	}
	for _, o := range s.Handshake.Offered {
		if o == v {
			return ""
		}
	}
	return "The client did not offer it."
}

func extensionJudge(_ string, s *record.Session) string {
	if s.Handshake == nil {
		return ""
	}
	for _, e := range s.Handshake.Ext {
		offered := false
		for _, o := range s.Handshake.OfferedExt {
			offered = offered || o.Name == e.Name
		}
		if !offered {
			return fmt.Sprintf("The client did not offer %s.", visible(e.Name))
		}
	}
	return ""
}
