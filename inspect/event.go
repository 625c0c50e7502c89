package inspect

import "time"

// Event is something that inspection says happened: *Opened, *Refused,
// *Exchange, *Frame, *Message, *Finding, *Altered or *Closed. An event and the
// slices in it are valid until the next event is asked for; copy what you keep.
type Event interface{ isEvent() }

// Opened says that a WebSocket session began: the server answered 101 and the
// answer upgrades this request.
type Opened struct {
	Session   SessionID
	Conn      ConnInfo
	Handshake *Handshake // not changed afterwards; may be kept
	Time      time.Time  // of the answer's last byte
}

// Refused says that an upgrade request did not lead to a session.
type Refused struct {
	Session   SessionID
	Conn      ConnInfo
	Handshake *Handshake // Response is nil if no answer came
	Time      time.Time
	Reason    string // in a few words: "403 Forbidden", "client left before the answer"
	Body      []byte // of the answer, up to Limits.Message
	BodySize  int64  // of the whole body, decoded from chunks
}

// Exchange is a plain HTTP request and its response.
type Exchange struct {
	Conn     ConnInfo
	N        int   // on this connection, from 1
	Request  *Head // nil if what came was no HTTP
	Response *Head // nil if none came
	Up, Down Payload
	Start    time.Time
	Time     time.Time // of the last byte
	Error    string    // why it is not whole or not HTTP
}

// Payload is the body of an HTTP message.
type Payload struct {
	Wire int64  // bytes on the wire, chunk framing included
	Size int64  // bytes of content
	Data []byte // content, up to Limits.Message
}

// Frame is one WebSocket frame (RFC 6455 section 5.2), told when its last byte
// has come, or when the connection ended inside it (Missing > 0).
type Frame struct {
	Session SessionID
	N       uint64 // in the session, both directions together, from 1
	Header  Header
	Dir     Dir
	First   time.Time // of the header's first byte
	Last    time.Time // of the payload's last byte
	Off     int64     // of the header's first byte in the direction's stream
	Missing int64     // payload bytes that never came or were not captured
	// Last frame of a message (FIN), or any control frame: a Message follows.
	Ends bool
}

// Message is a whole data message or a control frame, unmasked and inflated.
type Message struct {
	Session     SessionID
	Dir         Dir
	First, Last uint64 // frame numbers
	Time        time.Time
	Opcode      Opcode
	Wire        int64  // payload bytes on the wire
	Size        int64  // payload bytes after inflating
	Data        []byte // up to Limits.Message
	Compressed  bool   // RSV1 with permessage-deflate agreed (RFC 7692 section 6)
	Cut         bool   // Data is shorter than Size, or the message never ended
	Undecodable bool   // compressed, and the window it needs is lost or damaged
	InvalidUTF8 int64  // text or close reason: offset of the first bad byte, from 1; 0: valid
}

// Finding is one breach of the protocol or one risk.
type Finding struct {
	Session  SessionID
	Conn     ConnID
	ID       string // in words, never renumbered: "unmasked-client-frame"
	Clause   string // "RFC 6455 5.1"
	Severity Severity
	Frame    uint64 // number of the frame, 0: the handshake or the end
	Dir      Dir
	Detail   string // what was seen, in a sentence
	Time     time.Time
}

// Severity grades a finding.
type Severity uint8

// Info is odd but legal, Warning is a risk or a SHOULD, Error is a MUST broken.
const (
	Info Severity = iota
	Warning
	Error
)

func (s Severity) String() string { return name(uint8(s), "info", "warning", "error") }

// MarshalText writes "info", "warning" or "error".
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Severity) UnmarshalText(b []byte) error {
	return unname((*uint8)(s), "severity", b, "info", "warning", "error")
}

// Altered says that wsproxy changed what passed, by a rule or by hand.
type Altered struct {
	Session SessionID
	Frame   uint64
	Dir     Dir
	Act     AlteredNote // what the note says
	Note    Note
}

// Closed says that a session is over: both legs have ended.
type Closed struct {
	Session  SessionID
	Time     time.Time
	Opened   time.Time
	Ends     [2][2]Ended  // by Leg, Dir; How is NoEnd where nothing was seen
	Code     [2]CloseCode // by Dir: code of the Close frame that was sent that way
	Reason   [2]string    // by Dir: its reason
	SawClose [2]bool      // by Dir: a Close frame was sent that way
	Ours     [2]bool      // by Dir: it was wsproxy that sent it
	Frames   [2]uint64    // by Dir
	Messages [2]uint64    // by Dir, data messages
	Bytes    [2]int64     // by Dir, wire bytes of frames
	LastSeen [2]time.Time // by Dir: last byte; zero if none
	Pings    [2]uint64    // by Dir: pings sent that way that were never answered
	Findings uint64
	Word     string // the ending in a word or three: "1000", "1006 server rst"
	Text     string // the autopsy in one line
}

func (*Opened) isEvent()   {}
func (*Refused) isEvent()  {}
func (*Exchange) isEvent() {}
func (*Frame) isEvent()    {}
func (*Message) isEvent()  {}
func (*Finding) isEvent()  {}
func (*Altered) isEvent()  {}
func (*Closed) isEvent()   {}
