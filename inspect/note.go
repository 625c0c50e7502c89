package inspect

import (
	"encoding/json"
	"fmt"
	"time"
)

// Note is something about a connection that its bytes cannot say. A recording
// keeps it as a packet comment: "wsproxy: " and a JSON object with a "kind".
type Note struct {
	Conn ConnID
	Leg  Leg
	Dir  Dir
	Off  int64 // where in that leg's and direction's stream it belongs
	Time time.Time
	Kind string
	JSON []byte // the whole object, "kind" included
}

// The kinds of notes. Readers keep kinds that they do not know.
const (
	NoteLeg       = "leg"       // LegNote: a leg is connected
	NoteSession   = "session"   // SessionNote: an upgrade request begins here
	NotePeer      = "peer"      // PeerNote: how dialling the server went
	NoteHTTP2     = "http2"     // HTTP2Note: the head that begins here, as it was in HTTP/2
	NoteFailed    = "failed"    // FailedNote: why a connection came to nothing before it carried HTTP
	NoteEnded     = "ended"     // a direction's end, see Ended
	NoteAltered   = "altered"   // AlteredNote: wsproxy did something to what passes
	NoteGap       = "gap"       // GapNote: bytes that were not recorded
	NoteRedacted  = "redacted"  // RedactedNote: what was replaced in the next bytes
	NoteResumed   = "resumed"   // ResumedNote: a connection begins once more in a newer segment
	NoteBoundary  = "boundary"  // BoundaryNote: where a frame begins, in a direction that was resumed inside one
	NoteSegment   = "segment"   // SegmentNote: a segment of a temporary recording begins
	NoteContinues = "continues" // the segment is full, the next one goes on
	NoteLapped    = "lapped"    // LappedNote: from a reader, not from the file: it was overtaken
	NoteStopped   = "stopped"   // StoppedNote: the recording ended early
	NoteFinished  = "finished"  // the recording ended in order
)

// LegNote stands on the SYN of a leg. On the client leg it carries the
// connection's ConnInfo, on the server leg the addresses of the dialled socket.
type LegNote struct {
	Kind string `json:"kind"`
	Leg  Leg    `json:"leg"`
	ConnInfo
	Server *Endpoints `json:"server,omitempty"`
}

// SessionNote stands on the first packet of an upgrade request.
type SessionNote struct {
	Kind    string    `json:"kind"`
	Session SessionID `json:"session"`
	Mode    string    `json:"mode"`
	URL     string    `json:"url"` // the URL asked of the server
}

// PeerNote says how reaching the server went.
type PeerNote struct {
	Kind  string        `json:"kind"`
	Addr  string        `json:"addr"`            // host:port that was dialled
	Dial  time.Duration `json:"dial_ns"`         // nanoseconds to connect, TLS included
	Proxy string        `json:"proxy,omitempty"` // another proxy, through which it was reached; without a password
	TLS   *TLSInfo      `json:"tls,omitempty"`   // nil: plain TCP
	Error string        `json:"error,omitempty"` // why it failed, in a sentence

	HTTP2    bool   `json:"http2,omitempty"`    // the leg is a stream on an HTTP/2 connection
	Shared   bool   `json:"shared,omitempty"`   // and that connection was there before
	Fallback string `json:"fallback,omitempty"` // why the leg is HTTP/1.1 although HTTP/2 was wanted
}

// TLSInfo describes the TLS of a leg. Names, expiry and what was verified are of the
// server's certificate, and SNI is the client's.
type TLSInfo struct {
	Version  string    `json:"version"`
	Cipher   string    `json:"cipher"`
	ALPN     string    `json:"alpn,omitempty"`
	Names    []string  `json:"names,omitempty"` // subject alternative names of its certificate
	Expiry   time.Time `json:"expiry,omitzero"`
	SNI      string    `json:"sni,omitempty"`     // the name that the client asked for
	Resumed  bool      `json:"resumed,omitempty"` // a session was taken up again
	Verified bool      `json:"verified"`
	Why      string    `json:"why,omitempty"` // why it is not verified
}

// FailedNote says why nothing was relayed: a client that does not trust our
// certificate, TLS that cannot be read, a server that cannot be reached.
type FailedNote struct {
	Kind string `json:"kind"`
	Why  string `json:"why"` // in a sentence, with what to do about it
}

// GapNote stands on the packet behind the hole.
type GapNote struct {
	Kind  string `json:"kind"`
	Dir   Dir    `json:"dir"`
	Bytes int64  `json:"bytes"`
}

// AlteredNote says what wsproxy did to a direction of a session on its own account.
type AlteredNote struct {
	Kind   string        `json:"kind"`
	Dir    Dir           `json:"dir"`
	Action string        `json:"action"`            // ActHold, ActClose, ActFin or ActRst
	By     string        `json:"by"`                // "hand" or "filter"
	Held   time.Duration `json:"held_ns,omitempty"` // how long the frame that follows, or that the client sent, was held
	Code   CloseCode     `json:"code,omitempty"`    // of a Close frame that wsproxy wrote
	Wrote  string        `json:"wrote,omitempty"`   // the bytes of it, in hex
	Lost   int64         `json:"lost,omitempty"`    // bytes that were read before it and never passed on
}

// What wsproxy does to a session.
const (
	ActHold  = "hold"  // a frame waited
	ActClose = "close" // a Close frame that nobody sent, and the end
	ActFin   = "fin"   // the end, with a FIN
	ActRst   = "rst"   // the end, with an RST
)

// String says it in words, which are safe to show.
func (a AlteredNote) String() string {
	by := Visible([]byte(a.By), 20)
	lost := ""
	if a.Lost > 0 {
		lost = fmt.Sprintf("; %d bytes before it never passed", a.Lost)
	}
	switch a.Action {
	case ActHold:
		return fmt.Sprintf("%s: held for %s by %s", a.Dir, span(a.Held), by)
	case ActClose:
		return fmt.Sprintf("%s: wsproxy sends Close %d and ends it, by %s%s", a.Dir, uint16(a.Code), by, lost)
	case ActFin:
		return fmt.Sprintf("%s: wsproxy ends it with a FIN, by %s%s", a.Dir, by, lost)
	case ActRst:
		return fmt.Sprintf("%s: wsproxy ends it with an RST, by %s%s", a.Dir, by, lost)
	}
	return Visible([]byte(a.Action), 20)
}

// ResumedNote stands beside the LegNote of a client leg on a SYN that is written
// again, since the segment of a temporary recording with the first one is about
// to be written over. The heads of the session follow, then what comes next.
type ResumedNote struct {
	Kind  string    `json:"kind"`
	Since time.Time `json:"since"` // when the client was accepted
	Off   [2]int64  `json:"off"`   // by Dir: stream offset of the byte behind the head
	Head  [2]int64  `json:"head"`  // by Dir: bytes of the head; 0: there is no session
	Whole [2]bool   `json:"whole"` // by Dir: a frame begins behind it
}

// BoundaryNote says that a frame begins At bytes into the packet's payload.
type BoundaryNote struct {
	Kind string `json:"kind"`
	Dir  Dir    `json:"dir"`
	At   int    `json:"at"`
}

// SegmentNote stands on the section header of a segment: N counts from 0.
type SegmentNote struct {
	Kind string `json:"kind"`
	N    int64  `json:"n"`
}

// LappedNote says that a reader of a temporary recording was too slow: so many
// bytes of it were written over before they were read.
type LappedNote struct {
	Kind  string `json:"kind"`
	Bytes int64  `json:"bytes"`
}

// RedactedNote names what was replaced, never the value.
type RedactedNote struct {
	Kind  string   `json:"kind"`
	What  []string `json:"what"` // header names and URL parameters
	Bytes int      `json:"bytes"`
}

// StoppedNote says why a recording ended early.
type StoppedNote struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// NewNote makes a Note of one of the structs above, whose kind it sets apart
// for readers that do not want to parse the JSON.
func NewNote(conn ConnID, leg Leg, dir Dir, t time.Time, kind string, v any) Note {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own structs always marshal
	}
	return Note{Conn: conn, Leg: leg, Dir: dir, Time: t, Kind: kind, JSON: b}
}
