package cassette

import (
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Tidy takes out of a recorded cassette what says nothing to its readers: the
// headers that every handshake has, where replay puts in the same ones, and
// fractions of pauses that nobody can tell apart.
func (c *Cassette) Tidy() {
	for i := range c.Lines {
		l := &c.Lines[i]
		l.After = rounded(l.After)
		if l.Kind != Open {
			continue
		}
		u := l.Upgrade
		var kept []inspect.HeaderField
		for _, f := range u.Headers {
			if !usual(f) {
				kept = append(kept, f)
			}
		}
		u.Headers = kept
		if u.Accepted() && u.Accept.Phrase == "Switching Protocols" && u.plain() {
			u.Accept.Headers, u.Accept.Phrase = nil, ""
		}
	}
}

// usual is a header that every upgrade request has.
func usual(f inspect.HeaderField) bool {
	switch strings.ToLower(f.Name) {
	case "host", "sec-websocket-key", "sec-websocket-protocol", "connection":
		return true
	case "sec-websocket-version":
		return f.Value == "13"
	case "upgrade":
		return strings.EqualFold(f.Value, "websocket")
	}
	return false
}

// plain says that an answer has the headers that it would have without any
// being recorded.
func (u *Upgrade) plain() bool {
	want := u.Needed()
	if len(want) != len(u.Accept.Headers) {
		return false
	}
	for i, f := range u.Accept.Headers {
		switch f.Name {
		case "Sec-WebSocket-Protocol":
			f.Value = ""
		case "Sec-WebSocket-Extensions":
			if f.Value != u.Extensions {
				return false
			}
			f.Value = ""
		}
		if f != want[i] {
			return false
		}
	}
	return true
}

// Needed are the headers of an answer that accepts, where none were recorded.
// Empty values are filled in.
func (u *Upgrade) Needed() []inspect.HeaderField {
	all := []inspect.HeaderField{{Name: "Upgrade", Value: "websocket"}, {Name: "Connection", Value: "Upgrade"}, {Name: "Sec-WebSocket-Accept"}}
	if u.Subprotocol != "" {
		all = append(all, inspect.HeaderField{Name: "Sec-WebSocket-Protocol"})
	}
	if u.Extensions != "" {
		all = append(all, inspect.HeaderField{Name: "Sec-WebSocket-Extensions"})
	}
	return all
}

func rounded(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= 100*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
