package proxy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy/h2"
)

// HTTP says which version of HTTP is spoken.
type HTTP uint8

// The versions. HTTPAuto takes HTTP/2 from clients that speak it, and speaks it with
// the servers of those clients if they have it; HTTP1 knows nothing of it; HTTP2 also
// speaks it for clients that do not, and to a reverse proxy's target without TLS.
const (
	HTTPAuto HTTP = iota
	HTTP1
	HTTP2
)

const (
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
)

// carrier is a client's HTTP/2 connection. Each stream on it is relayed as a
// connection of its own, which takes a stream for a socket; see package h2.
type carrier struct {
	conn    *conn // that accepted it, and carries nothing itself
	h2      *h2.Conn
	trunks  *trunks
	streams int            // so far; of the frame loop
	running sync.WaitGroup // their relays
}

// speaksHTTP2 says that both sides agreed on HTTP/2 by ALPN (RFC 7301).
func (s *socket) speaksHTTP2() bool {
	return s.tls != nil && s.tls.ConnectionState().NegotiatedProtocol == alpnHTTP2
}

// stream is the HTTP/2 stream that the leg is; nil: it is a socket.
func (s *socket) stream() *h2.Stream {
	st, _ := s.Conn.(*h2.Stream)
	return st
}

// offered are the versions that a listener with TLS takes, best first: what the
// server speaks is, so that clients see what they would see of it.
func (c *conn) offered() []string {
	switch {
	case c.config.HTTP == HTTP1, c.config.toStream():
		return []string{alpnHTTP1}
	case c.config.HTTP == HTTPAuto && (!c.dialer.secure || c.server.knownOld(c.dialer)):
		return []string{alpnHTTP1, alpnHTTP2}
	}
	return []string{alpnHTTP2, alpnHTTP1}
}

// learn remembers whether a server that was offered HTTP/2 took HTTP/1.1.
func (s *Server) learn(d dialer, old bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !old {
		delete(s.old, d.addr)
	} else if len(s.old) < saidLimit {
		s.old[d.addr] = true
	}
}

func (s *Server) knownOld(d dialer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.old[d.addr]
}

// preface says that a request's head is the beginning of HTTP/2 (RFC 9113 section
// 3.4), from a client that knows that it may begin so.
func (c *conn) preface(raw []byte) bool {
	return strings.HasPrefix(string(raw), prefaceHead) && c.config.HTTP != HTTP1 && c.config.Forward == nil && c.carrier == nil && c.upstream == nil
}

// misplaced says that a request goes elsewhere than the connection.
func (c *conn) misplaced(raw []byte) bool { return c.roams() && !c.belongs(raw) || c.preface(raw) }

// prefaceHead is what looks like a request's head in the preface.
const prefaceHead = "PRI * HTTP/2.0\r\n\r\n"

// carry relays the streams of the client's HTTP/2 connection until that is over and
// they are. It answers why it never carried one, if that is worth telling.
func (c *conn) carry() *failure {
	k := &carrier{conn: c, trunks: c.server.newTrunks()}
	o := h2.Options{Logf: c.config.Logf, HeadLimit: int(c.config.HeadLimit)}
	if c.ready != nil && c.ready.err == nil {
		o.NoConnect = errors.Is(k.trunks.adopt(c.ctx, c.dialer, c.ready), h2.ErrNoExtendedConnect)
	}
	nc := c.client.Conn
	if len(c.client.ahead) > 0 {
		nc = &under{Conn: nc, ahead: c.client.ahead}
	}
	k.h2 = h2.NewServer(nc, o, k.take)
	c.mu.Lock()
	c.carries = k.h2
	c.mu.Unlock()
	err := k.h2.Run()
	k.running.Wait()
	k.trunks.close()
	c.client.close()
	if k.streams > 0 {
		return nil
	}
	return k.barren(err)
}

// take relays a stream.
func (k *carrier) take(st *h2.Stream) {
	k.streams++
	r := k.conn.route
	r.tunnel = false // all that a stream carries is HTTP
	if r.ready != nil && r.ready.err == nil {
		r.ready = nil // it is among the trunks
	}
	c := newConn(k.conn.server, &socket{Conn: st}, r)
	c.carrier = k
	k.running.Add(1)
	k.conn.server.start(c, st, k.running.Done)
}

// barren is why a connection ended without a stream; nil: the client only kept it
// ready.
func (k *carrier) barren(err error) *failure {
	c := k.conn
	var broken *h2.BreachError
	var end *h2.EndError
	switch {
	case errors.As(err, &broken):
		return &failure{how: inspect.Self, why: fmt.Sprintf("the client's HTTP/2 breaks the rules: %v", broken)}
	case !errors.As(err, &end) || k.h2.Greeted() || c.client.tls == nil:
		return nil
	}
	how, text := c.client.ending(end.Err)
	if how != inspect.TLSAlert { // a browser that has a connection already drops the next one
		return nil
	}
	return &failure{how: how, text: text, why: c.untrusted(c.shownName(), text)}
}

// clientInfo is what there is to say of the client leg.
func (c *conn) clientInfo() inspect.ConnInfo {
	from := c.client
	info := inspect.ConnInfo{ID: c.id, Mode: c.mode, Target: c.config.Target.String(), Time: c.start, Via: c.via, Opaque: c.opaque,
		Client: inspect.Endpoints{Local: c.local.String(), Remote: from.RemoteAddr().String()}}
	if st := from.stream(); st != nil {
		info.HTTP2 = &inspect.HTTP2Stream{Stream: st.ID()}
		info.Client.Remote += fmt.Sprintf(" stream %d", st.ID())
		if c.carrier != nil {
			info.HTTP2.Conn = c.carrier.conn.id
			from = c.carrier.conn.client
		}
	}
	info.TLS, info.ClientTLS = from.tls != nil, from.described()
	return info
}

// noteHTTP2 tells a head as it came in HTTP/2.
func (c *conn) noteHTTP2(l inspect.Leg) {
	st := c.socket(l).stream()
	if st == nil {
		return
	}
	d, fields := inspect.ToServer, st.Head().Request
	if l == inspect.ServerLeg {
		d, fields = inspect.ToClient, st.Head().Response
	}
	c.note(l, d, inspect.NoteHTTP2, inspect.HTTP2Note{Kind: inspect.NoteHTTP2, Stream: st.ID(), Fields: fields})
}

// streamEnding says what a stream's end was: in HTTP/2's words, so that whoever
// reads it knows where to look.
func streamEnding(err error) (how inspect.End, text string) {
	var broken *h2.BreachError
	var end *h2.EndError
	switch {
	case errors.Is(err, io.EOF):
		return inspect.Fin, "END_STREAM"
	case errors.As(err, &broken): // the peer broke the rules, and was reset for it
		return inspect.Self, broken.Error()
	case errors.As(err, &end):
		return inspect.Rst, "left with its whole HTTP/2 connection: " + innermost(end.Err)
	}
	return inspect.Rst, err.Error()
}

// streamCut is streamEnding of an error that only a stream answers.
func streamCut(err error) (how inspect.End, text string, cut bool) {
	var broken *h2.BreachError
	var end *h2.EndError
	var reset *h2.ResetError
	var away *h2.GoAwayError
	if !errors.As(err, &broken) && !errors.As(err, &end) && !errors.As(err, &reset) && !errors.As(err, &away) {
		return 0, "", false
	}
	how, text = streamEnding(err)
	return how, text, true
}

// wantsHTTP2 says that the server is to be asked for HTTP/2.
func (c *conn) wantsHTTP2() bool {
	switch {
	case c.config.HTTP == HTTPAuto:
		return c.carrier != nil && c.dialer.secure
	case c.config.HTTP == HTTP1, c.config.FromTCP, c.config.toStream(): // bridges are apart
		return false
	}
	return c.dialer.secure || c.config.Forward == nil && !c.opaque
}

// dialHTTP2 opens a stream to the server, or what comes of it.
func (c *conn) dialHTTP2(upgrade bool) (*socket, inspect.PeerNote, error) {
	t := c.trunks
	if c.carrier != nil {
		t = c.carrier.trunks
	} else if t == nil {
		t = c.server.newTrunks()
		c.trunks = t
		if c.ready != nil && c.ready.err == nil {
			_ = t.adopt(c.ctx, c.dialer, c.ready) // open finds out again
		}
	}
	return t.open(c.ctx, c.dialer, upgrade)
}

// serverEnds are the addresses of the server leg.
func (c *conn) serverEnds(s *socket) *inspect.Endpoints {
	e := inspect.Endpoints{Local: s.LocalAddr().String(), Remote: s.RemoteAddr().String()}
	if s.stream() != nil { // it gets its number with the request
		e.Local += " stream for " + c.id.String()
	}
	return &e
}

// resetLike ends a leg as the other was cut. From stream to stream the code is passed
// on; to a client whose request the server has not looked at, so is that.
func (s *socket) resetLike(from *socket) {
	st := s.stream()
	if st == nil {
		s.reset()
		return
	}
	code := http2.ErrCodeCancel // RFC 8441 section 5
	if other := from.stream(); other != nil {
		var reset *h2.ResetError
		var away *h2.GoAwayError
		switch err := other.Err(); {
		case errors.As(err, &reset):
			code = reset.Code
		case errors.As(err, &away) && away.Refused:
			code = http2.ErrCodeRefusedStream
		}
	}
	_ = st.ResetWith(code) // on a closed one there is nothing left to do
}

// isCarrier says that the client's HTTP/2 streams are relayed, and ended, apart.
func (c *conn) isCarrier() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.carries != nil
}

// drain makes a client's HTTP/2 connection take no more streams.
func (c *conn) drain() {
	c.mu.Lock()
	carries := c.carries
	c.mu.Unlock()
	if carries != nil {
		carries.Shutdown()
	}
}
