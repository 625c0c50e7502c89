package inspect

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"strings"
	"time"
)

// keyGUID is appended to the key to work out the Accept (RFC 6455 section 1.3).
const keyGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// AcceptKey is the Sec-WebSocket-Accept that answers a Sec-WebSocket-Key
// (RFC 6455 section 4.2.2): the base64 of the SHA-1 of the key and a fixed GUID.
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + keyGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Handshake is an upgrade request and its answer, with what they agree on. What
// it breaks is for judges to say.
type Handshake struct {
	Request     *Head // as the client sent it
	Sent        *Head // as the server got it; nil if that is not known or the same
	Response    *Head // nil if no answer came
	RequestTime time.Time
	AnswerTime  time.Time

	Key         string      // Sec-WebSocket-Key
	Accept      string      // Sec-WebSocket-Accept of the answer
	Want        string      // the Accept that the key asks for; empty without a key
	Offered     []string    // subprotocols
	Subprotocol string      // the one agreed on
	OfferedExt  []Extension // extensions
	Ext         []Extension // those agreed on
	Deflate     *Deflate    // non-nil only if permessage-deflate was agreed in a form that can be read
	Problems    []string    // what could not be read of the extensions
}

// NewHandshake reads what two heads agree on. sent and response may be nil.
func NewHandshake(request, sent, response *Head) *Handshake {
	h := &Handshake{Request: request, Sent: sent, Response: response}
	if sent != nil && bytes.Equal(sent.Raw, request.Raw) {
		h.Sent = nil
	}
	if h.Key = request.Get("Sec-WebSocket-Key"); h.Key != "" {
		h.Want = AcceptKey(h.Key)
	}
	h.Offered = ParseTokens(request.Values("Sec-WebSocket-Protocol"))
	h.OfferedExt = h.extensions(request)
	if response == nil {
		return h
	}
	h.Accept = response.Get("Sec-WebSocket-Accept")
	h.Subprotocol = response.Get("Sec-WebSocket-Protocol")
	h.Ext = h.extensions(response)
	if response.Status == 101 {
		var err error
		if h.Deflate, err = DeflateOf(h.Ext); err != nil {
			h.Problems = append(h.Problems, err.Error())
		}
	}
	return h
}

func (h *Handshake) extensions(head *Head) []Extension {
	exts, err := ParseExtensions(head.Values("Sec-WebSocket-Extensions"))
	if err != nil {
		h.Problems = append(h.Problems, err.Error())
	}
	return exts
}

// Path is what the request asks of its server: its target, of one in absolute-form
// (RFC 9112 section 3.2.2) without the server's name.
func (h *Handshake) Path() string {
	target := h.Request.Target
	_, rest, ok := strings.Cut(target, "://")
	if !ok || strings.HasPrefix(target, "/") {
		return target
	}
	switch i := strings.IndexAny(rest, "/?"); {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	default:
		return rest[i:]
	}
}
