package cassette

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// Engine.IO, which socket.io speaks, begins with long polling, moves to a WebSocket
// in mid-session and has a heartbeat of the server's (protocol 4,
// https://github.com/socketio/engine.io-protocol). Which message still goes by a poll
// and where a heartbeat's answer comes among the client's messages is left to chance.
const (
	engineUpgrade = "5" // of the client: from here on all goes by the WebSocket
	engineNoop    = "6"
	enginePong    = "3"
	engineParts   = "\x1e" // between the packets of a poll
)

// engineSession is a session of Engine.IO.
type engineSession struct {
	n       int    // of the session
	id      string // what its polls have as sid; empty: it began with the WebSocket
	opened  int    // its line
	upgrade int    // the line of its upgrade; -1: there is none
}

// engineIO lets sessions of Engine.IO hold for the next run: what came by polls comes
// by the WebSocket, once that is there, and the answer to a heartbeat is a reaction.
func (c *Cassette) engineIO() (changes []Change) {
	var all []*engineSession
	for i := range c.Lines {
		l := &c.Lines[i]
		switch {
		case l.Kind == Open && l.Upgrade.Accepted():
			if id, ok := engineTarget(l.Upgrade.Path, "websocket"); ok {
				all = append(all, &engineSession{n: l.Session, id: id, opened: i, upgrade: -1})
			}
		case l.From == inspect.ToServer && isText(l.Kind) && string(l.Data) == engineUpgrade:
			for _, s := range all {
				if s.n == l.Session && s.upgrade < 0 && s.id != "" {
					s.upgrade = i
				}
			}
		}
	}
	gone := map[int]bool{}
	behind := map[int][]Line{} // what is new behind a line
	for i, s := range all {
		changes = append(changes, c.engineBeats(s, gone, behind)...)
		if s.upgrade >= 0 && !c.engineMixed(s, all[:i]) && !c.engineMixed(s, all[i+1:]) {
			from := 0
			for _, other := range all[:i] {
				if other.id == s.id {
					from = max(from, other.upgrade)
				}
			}
			changes = append(changes, c.enginePolls(s, from, gone, behind)...)
		}
	}
	if len(gone)+len(behind) > 0 {
		c.insert(behind, gone)
	}
	return changes
}

// engineTarget is the sid of a request of Engine.IO 4 for a transport.
func engineTarget(target, transport string) (id string, ok bool) {
	_, query, _ := strings.Cut(target, "?")
	q, err := url.ParseQuery(query)
	if err != nil || q.Get("EIO") != "4" || q.Get("transport") != transport {
		return "", false
	}
	return q.Get("sid"), true
}

// engineMixed says that another session's polls cannot be told from this one's: where
// sid was left out they are told apart by their order.
func (c *Cassette) engineMixed(s *engineSession, others []*engineSession) bool {
	return slices.ContainsFunc(others, func(o *engineSession) bool {
		return o.id == s.id && o.opened < s.upgrade && (o.upgrade < 0 || o.upgrade > s.opened)
	})
}

// engineBeats makes a reaction of what answers the server's heartbeats.
func (c *Cassette) engineBeats(s *engineSession, gone map[int]bool, behind map[int][]Line) (changes []Change) {
	first, count := -1, 0
	for i := s.opened + 1; i < len(c.Lines); i++ {
		l := &c.Lines[i]
		if l.Session != s.n || l.From != inspect.ToServer || !isText(l.Kind) || string(l.Data) != enginePong {
			continue
		}
		if count++; first < 0 {
			first = i
		}
		gone[i] = true
	}
	if count == 0 {
		return nil
	}
	when := c.bare(first)
	behind[s.opened] = append(behind[s.opened], Line{Session: s.n, Kind: When, Reaction: &Reaction{When: when}})
	return []Change{{Line: first + 2, Was: fmt.Sprintf("%d answers to heartbeats of Engine.IO (%s)", count, Describe(when)),
		Why: "they may come any time; it became a reaction"}}
}

// enginePolls moves what a session's polls carried behind its upgrade. from is the
// line behind which they may be its.
func (c *Cassette) enginePolls(s *engineSession, from int, gone map[int]bool, behind map[int][]Line) []Change {
	var moved []Line
	first, polled, posted := -1, false, false
	for i := from; i < len(c.Lines); i++ {
		x := c.Lines[i].Exchange
		if c.Lines[i].Kind != HTTP || x.Answer.Status != 200 {
			continue
		}
		_, taken := gone[i]
		if id, ok := engineTarget(x.Path, "polling"); !ok || taken || id != s.id || c.beyond(i, s) {
			continue
		}
		h := inspect.Head{Fields: x.Answer.Headers}
		switch {
		case x.Method == "GET" && len(h.Values("Content-Encoding")) == 0:
			moved = append(moved, engineLines(s.n, inspect.ToClient, x.Answer.Body)...)
			if first < 0 {
				first = i
			}
			gone[i] = polled // one is enough: it is served again and again
			x.Answer.Body, polled = []byte(engineNoop), true
		case x.Method == "POST" && !posted: // it waited for nothing, though its answer may be the later one
			posted = true
		case x.Method == "POST" && len(moved) > 0:
			moved = append(moved, engineLines(s.n, inspect.ToServer, x.Body)...)
			gone[i] = true
		}
	}
	if len(moved) == 0 {
		return nil
	}
	behind[s.upgrade] = append(behind[s.upgrade], moved...)
	return []Change{{Line: first + 2, Was: fmt.Sprintf("what the polls of Engine.IO carried (messages: %d)", len(moved)),
		Why: "whether a poll or the WebSocket has it is left to chance; it comes by the WebSocket, behind its upgrade"}}
}

// beyond says that an exchange is behind the upgrade of a session and too far from it
// to be its last poll: another session with such an id has begun.
func (c *Cassette) beyond(i int, s *engineSession) bool {
	if i < s.upgrade {
		return false
	}
	for _, l := range c.Lines[s.upgrade:i] {
		if l.Kind != HTTP {
			continue
		}
		if id, ok := engineTarget(l.Exchange.Path, "polling"); ok && id == "" {
			return true
		}
	}
	return false
}

// engineLines are the packets of a poll as messages, but for those that are of polling.
func engineLines(session int, from inspect.Dir, body []byte) (all []Line) {
	for p := range bytes.SplitSeq(body, []byte(engineParts)) {
		l := Line{Session: session, From: from, Data: bytes.Clone(p)}
		if b, err := base64.StdEncoding.DecodeString(string(bytes.TrimPrefix(p, []byte("b")))); err == nil && bytes.HasPrefix(p, []byte("b")) {
			l.Kind, l.Data = Binary, b
		} else {
			l.Kind, l.Match = TextKind(p)
		}
		if text := string(p); text != "" && text != engineNoop && text != "2" && text != enginePong {
			all = append(all, l)
		}
	}
	return all
}

// insert takes lines out and puts others behind some of those that stay or go.
func (c *Cassette) insert(behind map[int][]Line, gone map[int]bool) {
	lines := make([]Line, 0, len(c.Lines))
	for i, l := range c.Lines {
		if !gone[i] {
			lines = append(lines, l)
		}
		lines = append(lines, behind[i]...)
	}
	c.Lines = lines
}
