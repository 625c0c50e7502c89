package proxy

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// meet is a bridge's handshake with a WebSocket client: the request's head, the
// stream's server dialled, and the answer. false: it came to nothing, and the
// client knows why.
func (b *bridge) meet() bool {
	if b.config.Tap != nil {
		b.config.Tap.Open(inspect.ConnInfo{ID: b.id, Mode: b.mode, Target: b.config.Target.String(), Time: time.Now(),
			Client: inspect.Endpoints{Local: b.local.String(), Remote: b.client.RemoteAddr().String()},
			TLS:    b.client.tls != nil, ClientTLS: b.client.described(), Opaque: b.opaque})
	}
	if !b.begin() {
		return false
	}
	raw, now, ok := b.readHead(inspect.ToServer, b.config.HeadTimeout)
	if !ok {
		return false
	}
	h, err := inspect.ParseRequest(raw)
	if err != nil {
		b.tapHead(inspect.ToServer, now, raw)
		b.refuse(400, "Bad Request", err.Error())
		return false
	}
	if h.IsUpgrade() {
		b.noteSession(raw)
	}
	b.tapHead(inspect.ToServer, now, raw)
	if status, phrase, why := b.unwelcome(h); status != 0 {
		b.refuse(status, phrase, why)
		return false
	}
	s, note, err := b.dial(true)
	if err != nil {
		if !b.isOver() {
			b.config.Logf("%s", err)
			b.note(inspect.ClientLeg, inspect.ToClient, inspect.NotePeer, note)
			b.refuse(502, "Bad Gateway", err.Error())
		}
		return false
	}
	if !b.reached(s, note, s) {
		return false
	}
	return b.agree(h)
}

// unwelcome says what keeps a request from becoming a bridge. A page of another
// site is refused: what is behind cannot tell it from the user.
func (b *bridge) unwelcome(h *inspect.Head) (status int, phrase, why string) {
	if name := b.config.AllowHost.Foreign(h, b.local); name != "" {
		return 421, "Misdirected Request", fmt.Sprintf("wsproxy stands in front of %s and does not answer for the host %q; start it with --allow-host %s if it should", b.config.Target, name, name)
	}
	if origin := h.Get("Origin"); origin != "" && origin != "null" {
		if u, err := url.Parse(origin); err != nil || !b.config.AllowHost.ours(hostOnly(u.Host), b.local) {
			return 403, "Forbidden", fmt.Sprintf("a page of %s may not use this bridge; start wsproxy with --allow-host %s if it should", inspect.Visible([]byte(origin), 200), inspect.Visible([]byte(hostOnly(u.Host)), 200))
		}
	}
	if d := b.config.unauthorized(h); d != nil {
		b.denied = d
		return d.status, d.phrase, d.why
	}
	switch {
	case !h.IsUpgrade():
		return 426, "Upgrade Required", fmt.Sprintf("this is a bridge from WebSocket to %s, and takes WebSocket clients only", b.config.Target)
	case h.Method != "GET":
		return 405, "Method Not Allowed", "an upgrade to WebSocket is a GET"
	case h.Get("Sec-WebSocket-Version") != "13":
		return 400, "Bad Request", "the version of WebSocket is 13"
	}
	if key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return 400, "Bad Request", "a Sec-WebSocket-Key is 16 bytes in base64"
	}
	return 0, "", ""
}

// agree answers the upgrade: with the client's binary or base64, as websockify
// has them, if it offers one of them.
func (b *bridge) agree(h *inspect.Head) bool {
	extra := ""
	for _, offered := range inspect.ParseTokens(h.Values("Sec-WebSocket-Protocol")) {
		if offered == "binary" || offered == "base64" {
			b.base64 = offered == "base64"
			extra = "Sec-WebSocket-Protocol: " + offered + "\r\n"
			break
		}
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		inspect.AcceptKey(h.Get("Sec-WebSocket-Key")) + "\r\n" + extra + "\r\n"
	b.tap(inspect.ClientLeg, inspect.ToClient, time.Now(), []byte(answer), marks{})
	b.sessions.Add(1) // from here on the end is a Close
	if _, err := b.client.Write([]byte(answer)); err != nil {
		b.abort(inspect.ClientLeg, inspect.ToServer, inspect.Rst, writeText(err))
		return false
	}
	return true
}

// call is a bridge's handshake with a WebSocket server, for the stream of a client
// that was accepted. It is reset if that comes to nothing.
func (b *bridge) call() bool {
	stream := b.client
	info := inspect.ConnInfo{ID: b.id, Mode: b.mode, Target: b.config.Target.String(), Time: time.Now(),
		Client: inspect.Endpoints{Local: b.local.String(), Remote: stream.RemoteAddr().String()}}
	open := func() {
		if b.config.Tap != nil {
			b.config.Tap.Open(info)
		}
	}
	s, note, err := b.dial(true)
	if err != nil {
		open()
		b.note(inspect.ClientLeg, inspect.ToClient, inspect.NotePeer, note)
		b.hangUp(stream, err.Error())
		return false
	}
	info.Client = inspect.Endpoints{Local: s.RemoteAddr().String(), Remote: s.LocalAddr().String()}
	open()
	b.mu.Lock()
	b.client = s
	b.mu.Unlock()
	if !b.reached(stream, note, s) {
		return false
	}
	b.key = keys()
	if why := b.ask(); why != "" {
		b.hangUp(stream, why)
		return false
	}
	return true
}

// ask sends the upgrade and reads the answer; it says what is wrong with that.
func (b *bridge) ask() (why string) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	path := b.config.Target.EscapedPath()
	if path == "" {
		path = "/"
	}
	if q := b.config.Target.RawQuery; q != "" {
		path += "?" + q
	}
	var head strings.Builder
	fmt.Fprintf(&head, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", path, b.config.host(), key)
	for _, f := range b.config.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", f.Name, f.Value)
	}
	head.WriteString("\r\n")
	b.noteSession([]byte(head.String()))
	b.tap(inspect.ClientLeg, inspect.ToServer, time.Now(), []byte(head.String()), marks{})
	if _, err := b.client.Write([]byte(head.String())); err != nil {
		return "the server did not take the upgrade: " + err.Error()
	}
	raw, now, ok := b.readHead(inspect.ToClient, b.config.DialTimeout)
	if !ok {
		return "the server did not answer the upgrade"
	}
	b.tapHead(inspect.ToClient, now, raw)
	h, err := inspect.ParseResponse(raw)
	switch {
	case err != nil:
		return "the server's answer cannot be read: " + err.Error()
	case h.Status != 101:
		return fmt.Sprintf("the server refused the upgrade with %d %s", h.Status, inspect.Visible([]byte(h.Phrase), 100))
	case h.Get("Sec-WebSocket-Accept") != inspect.AcceptKey(key):
		return "the server's Sec-WebSocket-Accept does not fit the key"
	}
	b.base64 = h.Get("Sec-WebSocket-Protocol") == "base64"
	b.sessions.Add(1)
	return ""
}

// reached takes in the socket that was dialled, and the stream.
func (b *bridge) reached(stream *socket, note inspect.PeerNote, dialled *socket) bool {
	ends := inspect.Endpoints{Local: stream.LocalAddr().String(), Remote: stream.RemoteAddr().String()}
	if stream != dialled { // it came to us: seen from the other end, like the rest of the leg
		ends = inspect.Endpoints{Local: ends.Remote, Remote: ends.Local}
	}
	b.mu.Lock()
	over := b.over.Load()
	b.upstream = stream
	b.mu.Unlock()
	b.note(inspect.ServerLeg, inspect.ToServer, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg, Leg: inspect.ServerLeg,
		ConnInfo: inspect.ConnInfo{ID: b.id, Mode: b.mode}, Server: &ends})
	b.note(inspect.ServerLeg, inspect.ToServer, inspect.NotePeer, note)
	if over {
		dialled.close()
	}
	return !over
}

// hangUp resets a stream that leads nowhere, and says why.
func (b *bridge) hangUp(stream *socket, why string) {
	if b.isOver() {
		return
	}
	b.config.Logf("bridge from %s: %s", stream.RemoteAddr(), why)
	b.mu.Lock()
	b.why = why
	b.mu.Unlock()
	stream.reset()
}

// readHead reads an HTTP head from the WebSocket's side, and keeps what is behind
// it. false: there is none, and what there is to tell of it has been told.
func (b *bridge) readHead(d inspect.Dir, within time.Duration) (raw []byte, now time.Time, ok bool) {
	in := newIntake(b.client)
	defer in.release()
	b.headDeadline(time.Now().Add(within))
	scan := inspect.HeadScanner{Limit: b.config.HeadLimit}
	for {
		data, err := in.next()
		now = time.Now()
		b.bytes[d].Add(int64(len(data)))
		raw, rest, tooLong := scan.Next(data)
		switch {
		case raw != nil:
			b.headDeadline(time.Time{})
			b.ahead = slices.Clone(rest)
			return slices.Clone(raw), now, true
		case tooLong != nil:
			b.tapHead(d, now, scan.Partial())
			b.noHead(d, 431, "Request Header Fields Too Large", fmt.Sprintf("the head is longer than %d bytes", b.config.HeadLimit))
			return nil, now, false
		case errors.Is(err, os.ErrDeadlineExceeded):
			b.tapHead(d, now, scan.Partial())
			b.noHead(d, 408, "Request Timeout", fmt.Sprintf("the head did not end within %v", within))
			return nil, now, false
		case err != nil:
			b.tapHead(d, now, scan.Partial())
			if !b.isOver() && !errors.Is(err, net.ErrClosed) {
				how, text := b.client.ending(err)
				b.ended(inspect.ClientLeg, d, how, text)
			}
			return nil, now, false
		}
	}
}

// noHead answers a client whose head cannot be waited for.
func (b *bridge) noHead(d inspect.Dir, status int, phrase, why string) {
	if d == inspect.ToServer {
		b.refuse(status, phrase, why)
	}
}

// tapHead tells a head on the WebSocket's leg.
func (b *bridge) tapHead(d inspect.Dir, now time.Time, raw []byte) {
	if d == inspect.ToServer {
		b.conn.tapHead(now, raw)
		return
	}
	b.tap(inspect.ClientLeg, d, now, raw, marks{})
}

// toStream says that the target speaks no WebSocket.
func (c *Config) toStream() bool { return c.Target.Scheme == "tcp" || c.Target.Scheme == "unix" }
