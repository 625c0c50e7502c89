package inspect

import (
	"encoding/binary"
	"fmt"
)

// CloseCode is the status code in a Close frame (RFC 6455 section 7.4).
type CloseCode uint16

// NoStatus stands for a Close frame without a body (RFC 6455 section 7.4.1). It
// is never sent.
const NoStatus CloseCode = 1005

// CloseClass says who may give a close code its meaning.
type CloseClass uint8

// The ranges of RFC 6455 section 7.4.2.
const (
	CloseInvalid    CloseClass = iota // below 1000 or above 4999: no close code at all
	CloseRegistered                   // has a meaning in the IANA registry and may be sent
	CloseReserved                     // 1004, 1005, 1006, 1015: must not be sent
	CloseUnassigned                   // 1000–2999 without a meaning yet
	CloseLibrary                      // 3000–3999: frameworks, registered first come first served
	ClosePrivate                      // 4000–4999: between an application and itself
)

func (c CloseClass) String() string {
	return name(uint8(c), "invalid", "registered", "reserved", "unassigned", "library", "private")
}

type closeText struct{ name, meaning string }

// closeCodes is the IANA registry of close codes, with meanings in our words.
var closeCodes = map[CloseCode]closeText{
	1000: {"normal closure", "the purpose of the connection is fulfilled"},
	1001: {"going away", "the sender is leaving: a server shuts down, or a browser leaves the page"},
	1002: {"protocol error", "the sender received something that breaks the protocol"},
	1003: {"unsupported data", "the sender received a kind of data that it cannot accept, such as binary where it takes text"},
	1004: {"reserved", "has no meaning yet and must not be sent"},
	1005: {"no status received", "stands for a Close frame without a code and must not be sent"},
	1006: {"abnormal closure", "stands for a connection that ended without a Close frame and must not be sent"},
	1007: {"invalid frame payload data", "the sender received data that does not fit the message's type, such as text that is not UTF-8"},
	1008: {"policy violation", "the sender received a message that breaks its policy, and says no more than that"},
	1009: {"message too big", "the sender received a message that is too big for it"},
	1010: {"mandatory extension", "the client expected the server to agree on an extension, and it did not"},
	1011: {"internal error", "the server met something unexpected and cannot go on"},
	1012: {"service restart", "the server is restarting; a client may come back after a random delay of 5 to 30 s"},
	1013: {"try again later", "the server is overloaded; a client should go elsewhere or come back later"},
	1014: {"bad gateway", "the server is a gateway and got an invalid answer from behind it"},
	1015: {"TLS handshake", "stands for a TLS handshake that failed and must not be sent"},
	3000: {"unauthorized", "the endpoint must be authorised to perform the request"},
	3003: {"forbidden", "the endpoint is authorised but has no permission for the request"},
	3008: {"timeout", "the endpoint took too long to answer"},
}

// Name is the code's registered name in lower case, or the name of its class.
func (c CloseCode) Name() string {
	if t, ok := closeCodes[c]; ok {
		return t.name
	}
	return c.Class().String()
}

// Meaning says in words what a sender of the code means.
func (c CloseCode) Meaning() string {
	if t, ok := closeCodes[c]; ok {
		return t.meaning
	}
	switch c.Class() {
	case CloseLibrary:
		return "belongs to a library or framework, which may register it"
	case ClosePrivate:
		return "belongs to the application, which alone knows what it means"
	case CloseUnassigned:
		return "has no meaning yet; a later version of the protocol may give it one"
	}
	return "is outside the range of close codes"
}

// Class is the range that the code falls in.
func (c CloseCode) Class() CloseClass {
	switch {
	case c < 1000 || c > 4999:
		return CloseInvalid
	case c == 1004 || c == 1005 || c == 1006 || c == 1015:
		return CloseReserved
	case c >= 4000:
		return ClosePrivate
	case c >= 3000:
		return CloseLibrary
	}
	if _, ok := closeCodes[c]; ok {
		return CloseRegistered
	}
	return CloseUnassigned
}

// Sendable says that RFC 6455 section 7.4 lets an endpoint put the code into a
// Close frame. Unassigned codes are not forbidden to a reader, but to a sender.
func (c CloseCode) Sendable() bool {
	switch c.Class() {
	case CloseRegistered, CloseLibrary, ClosePrivate:
		return true
	}
	return false
}

// Sender says who sends the code, or may (RFC 6455 section 7.4).
func (c CloseCode) Sender() string {
	switch c.Class() {
	case CloseReserved:
		if c == 1004 {
			return "nobody may send it"
		}
		return "nobody may send it: an endpoint tells it to its own application where no code came"
	case CloseLibrary:
		return "libraries and frameworks send it, either side"
	case ClosePrivate:
		return "applications send it, either side"
	case CloseRegistered:
		switch c {
		case 1010:
			return "only a client sends it: a server refuses the handshake instead"
		case 1011, 1012, 1013, 1014:
			return "a server sends it"
		}
		return "either side may send it"
	}
	return "nobody may send it"
}

// FromPage says that a page in a browser can send the code: the close method of
// its WebSocket takes no other.
func (c CloseCode) FromPage() bool { return c == 1000 || c >= 3000 && c <= 4999 }

// String is the code and its name: "1000 normal closure".
func (c CloseCode) String() string { return fmt.Sprintf("%d %s", uint16(c), c.Name()) }

// ParseClose takes an unmasked Close payload apart (RFC 6455 section 5.5.1). An
// empty one is NoStatus; one of a single byte has no code, and ok is false.
func ParseClose(payload []byte) (code CloseCode, reason []byte, ok bool) {
	switch len(payload) {
	case 0:
		return NoStatus, nil, true
	case 1:
		return 0, nil, false
	}
	return CloseCode(binary.BigEndian.Uint16(payload)), payload[2:], true
}
