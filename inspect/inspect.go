// Package inspect turns the bytes of a WebSocket connection into facts: the
// handshake, frames, messages, endings and findings. It is pure: it starts no
// goroutine and touches no socket, file or clock. Bytes go in, values come out.
//
// Start at [Conn], which is fed the chunks of one connection and answers events.
package inspect

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ConnID names one accepted client connection. It is random, so that
// recordings can be merged without renumbering.
type ConnID uint64

// String is the ID as 16 hexadecimal digits, the form used in notes and JSON.
func (id ConnID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// MarshalText writes the ID as 16 hexadecimal digits.
func (id ConnID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ConnID) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 16, 64)
	*id = ConnID(n)
	return err
}

// SessionID names one WebSocket session. The first upgrade request on a
// connection has the connection's own ID, the next one ID+1, and so on.
type SessionID uint64

// String is the ID as 16 hexadecimal digits.
func (id SessionID) String() string { return ConnID(id).String() }

// MarshalText writes the ID as 16 hexadecimal digits.
func (id SessionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *SessionID) UnmarshalText(b []byte) error { return (*ConnID)(id).UnmarshalText(b) }

// Leg is one of a connection's two sockets.
type Leg uint8

// The two legs: client ⇄ wsproxy and wsproxy ⇄ server.
const (
	ClientLeg Leg = iota
	ServerLeg
)

func (l Leg) String() string { return name(uint8(l), "client", "server") }

// MarshalText writes "client" or "server".
func (l Leg) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *Leg) UnmarshalText(b []byte) error {
	return unname((*uint8)(l), "leg", b, "client", "server")
}

// Dir is the direction bytes flow in.
type Dir uint8

// The two directions.
const (
	ToServer Dir = iota
	ToClient
)

func (d Dir) String() string { return name(uint8(d), "to-server", "to-client") }

// MarshalText writes "to-server" or "to-client".
func (d Dir) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Dir) UnmarshalText(b []byte) error {
	return unname((*uint8)(d), "dir", b, "to-server", "to-client")
}

// Other is the opposite direction.
func (d Dir) Other() Dir { return d ^ 1 }

// End is how one direction of one leg came to its end.
type End uint8

// The endings that are told apart. Fin, Rst, CloseNotify and TLSAlert are what
// the sender of that direction did; Self is an end that wsproxy made on its own
// account (a shutdown, an error page); Cut is the end of what was recorded.
const (
	NoEnd End = iota
	Fin
	Rst
	CloseNotify // TLS close_notify without a TCP FIN (RFC 8446 section 6.1)
	TLSAlert    // a fatal TLS alert (RFC 8446 section 6.2)
	Self
	Cut
)

var endNames = []string{"none", "fin", "rst", "close_notify", "tls_alert", "self", "cut"}

func (e End) String() string { return name(uint8(e), endNames...) }

// MarshalText writes the ending's name, such as "fin".
func (e End) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (e *End) UnmarshalText(b []byte) error { return unname((*uint8)(e), "end", b, endNames...) }

// ConnInfo says of a connection what its bytes cannot say.
type ConnInfo struct {
	ID        ConnID    `json:"conn"`
	Mode      string    `json:"mode,omitempty"`       // "reverse", "import", …
	Target    string    `json:"target,omitempty"`     // URL of the server, as the user gave it
	Time      time.Time `json:"-"`                    // when the client was accepted
	Client    Endpoints `json:"client,omitzero"`      // addresses of the client leg
	TLS       bool      `json:"tls,omitempty"`        // the client leg is inside TLS
	ClientTLS *TLSInfo  `json:"client_tls,omitempty"` // how; nil: that is not known
	Via       string    `json:"via,omitempty"`        // the request in whose tunnel it is: "CONNECT host:port", "SOCKS5 host:port"
	Opaque    bool      `json:"opaque,omitempty"`     // what flows is not HTTP, or nobody is to look at it

	HTTP2 *HTTP2Stream `json:"http2,omitempty"` // the client leg is a stream; nil: it is a socket
}

// URL is what a request asks for. Behind a forward proxy that takes more than its
// target: many servers stand there.
func (i *ConnInfo) URL(target string) string {
	if i.Mode != "forward" || !strings.HasPrefix(target, "/") {
		return target
	}
	return i.Target + target
}

// SessionURL is the same of a WebSocket session.
func (i *ConnInfo) SessionURL(target string) string {
	if rest, ok := strings.CutPrefix(i.URL(target), "http"); ok {
		return "ws" + rest
	}
	return i.URL(target)
}

// The modes of connections that join a WebSocket, which is recorded as the client
// leg, with a stream of other bytes, which is the server leg: whoever of the two
// connected to wsproxy.
const (
	ModeToTCP   = "bridge-to-tcp"   // WebSocket clients
	ModeFromTCP = "bridge-from-tcp" // clients of the stream; wsproxy is the WebSocket's client
)

// Bridged says that the server leg carries no HTTP.
func (i ConnInfo) Bridged() bool { return i.Mode == ModeToTCP || i.Mode == ModeFromTCP }

// Endpoints are the two addresses of a leg, as host:port. On the client leg
// Local is wsproxy's listener; on the server leg Remote is the server.
type Endpoints struct {
	Local  string `json:"local"`
	Remote string `json:"remote"`
}

// Chunk is bytes read from or written to one peer at once.
type Chunk struct {
	Conn ConnID
	Leg  Leg
	Dir  Dir
	Time time.Time
	Off  int64  // of Data[0] in this leg's and direction's stream, from 0
	Data []byte // valid during the call only
	Gap  int64  // so many bytes behind Data were not captured
	Pos  int64  // file offset of the captured bytes; 0 on the relay's side

	// Boundary is the offset in Data at which a frame starts, counted from 1;
	// 0 says that none starts here or that nobody looked. A recording that had
	// to drop bytes resumes at one.
	Boundary int
	// Whole says that a frame ends with the last byte of Data, or of what came
	// before where Data is empty; false where nobody looked.
	Whole bool
	// Stream says that no frames are in Data: what is left out of it makes nothing
	// else unreadable, and a recording resumes anywhere.
	Stream bool
}

// Ended says that one direction of one leg has ended.
type Ended struct {
	Conn  ConnID
	Leg   Leg
	Dir   Dir // ToServer on the client leg: the client ended; ToClient there: wsproxy ended
	How   End
	Time  time.Time
	Off   int64  // bytes that flowed in this direction of this leg, recorded or not
	Error string // what the system said, if it said more than How
}

// Sink is what takes the tap's output: a recording, a redaction stage, an
// [Inspector]. For one direction of one connection, calls come in order and
// never overlap; the two directions, and different connections, call
// concurrently. A reset ends both directions of its leg with one End. The
// methods never fail: a sink keeps its own status.
type Sink interface {
	Open(ConnInfo)
	Chunk(Chunk)
	Note(Note)
	End(Ended)
}

func name(i uint8, names ...string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return strconv.Itoa(int(i))
}

func unname(dst *uint8, what string, b []byte, names ...string) error {
	for i, n := range names {
		if n == string(b) {
			*dst = uint8(i)
			return nil
		}
	}
	return fmt.Errorf("unknown %s %q", what, b)
}
