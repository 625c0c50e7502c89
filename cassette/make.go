package cassette

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// heldLimit is the most bytes of messages that a cassette made from a recording
// may hold: it is in memory, all of it. lineSize is what a line counts for.
const (
	heldLimit = 512 << 20
	lineSize  = 256
)

// SessionError says that a session cannot be made into a cassette.
type SessionError struct {
	Session int
	Path    string
	Problem string // in a sentence
}

func (e *SessionError) Error() string {
	return fmt.Sprintf("session %d (%s) cannot be replayed: %s", e.Session, inspect.Visible([]byte(e.Path), 200), e.Problem)
}

// From makes a cassette of what feed tells a sink, such as record.Follow of a
// recording. A session that no bytes are missing from is in it whole. Errors:
// feed's own, with the cassette of what it had told; a *SessionError for a
// session with a hole, or with a client message that cannot be read.
func From(feed func(inspect.Sink) error, limits inspect.Limits) (*Cassette, error) {
	m := newMaker(limits)
	if err := feed(m); err != nil {
		c, bad := m.cassette()
		if bad != nil {
			return nil, bad
		}
		return c, err
	}
	return m.cassette()
}

// maker is a Sink that writes lines.
type maker struct {
	in inspect.Inspector

	mu       sync.Mutex
	conns    map[inspect.ConnID]*making
	drafts   []*draft
	sessions int
	held     int64
	warnings []string
	err      error
	hear     func(Line)  // takes one side's lines instead of drafts
	hears    inspect.Dir // that side's
}

// draft is a line to be. A fragment of a server's message is one too, until the
// message is whole.
type draft struct {
	line    Line
	time    time.Time
	gone    bool     // it became part of another
	inside  *message // the server's open message that it stands inside
	fragNum int      // fragments of it that came before
}

// making is one connection being written down.
type making struct {
	m       *maker
	conn    *inspect.Conn
	session int // 0: none has begun
	path    string
	ways    [2]way
	ending  inspect.Ended // the end that is being told
}

func newMaker(limits inspect.Limits) *maker {
	m := &maker{conns: map[inspect.ConnID]*making{}}
	m.in = inspect.Inspector{Limits: limits, Emit: m.event, Each: m.chunk}
	return m
}

// Open begins a connection.
func (m *maker) Open(info inspect.ConnInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns[info.ID] = &making{m: m}
	m.in.Open(info)
}

// Chunk takes bytes; see inspect.Sink.
func (m *maker) Chunk(ch inspect.Chunk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.in.Chunk(ch)
}

// Note takes a note; see inspect.Sink.
func (m *maker) Note(n inspect.Note) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.in.Note(n)
}

// End ends one direction of a leg. The end that a session's line tells is the
// one that the client saw or made.
func (m *maker) End(e inspect.Ended) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.conns[e.Conn]
	if k == nil {
		return
	}
	k.ending = e
	m.in.End(e)
	if e.Leg == inspect.ClientLeg && k.session > 0 {
		k.rest()
		k.end(e)
	}
	k.ending = inspect.Ended{}
	if k.conn != nil && k.conn.Over() {
		delete(m.conns, e.Conn)
	}
}

func (m *maker) chunk(c *inspect.Conn, ch inspect.Chunk) {
	k := m.conns[ch.Conn]
	k.conn = c
	if ch.Leg != inspect.ClientLeg {
		return
	}
	w := &k.ways[ch.Dir]
	w.keep(ch, k.session > 0)
	if ch.Gap > 0 {
		w.gap = true
		k.holed(ch.Dir)
	}
}

// holed says that bytes of the session are missing.
func (k *making) holed(d inspect.Dir) {
	if k.session > 0 {
		k.problem("bytes that the %s sent are missing from the recording", d.Sender())
	}
}

func (k *making) problem(format string, args ...any) {
	if k.m.err == nil {
		k.m.err = &SessionError{k.session, k.path, fmt.Sprintf(format, args...)}
	}
}

func (m *maker) event(c *inspect.Conn, e inspect.Event) {
	k := m.conns[c.Info().ID]
	k.conn = c
	switch e := e.(type) {
	case *inspect.Opened:
		k.open(e.Handshake, nil, e.Time)
	case *inspect.Refused:
		m.refused(k, e)
	case *inspect.Exchange:
		m.exchange(e)
	case *inspect.Frame:
		k.frame(e)
	case *inspect.Message:
		k.message(e)
	}
}

func (m *maker) warn(format string, args ...any) {
	m.warnings = append(m.warnings, fmt.Sprintf(format, args...))
}

func (m *maker) refused(k *making, e *inspect.Refused) {
	path := inspect.Visible([]byte(e.Handshake.Path()), 200)
	switch {
	case e.Handshake.Response == nil:
		m.warn("the upgrade of %s is left out: %s", path, e.Reason)
	case int64(len(e.Body)) < e.BodySize || strings.HasPrefix(e.Reason, "the answer is not whole"):
		m.warn("the refused upgrade of %s is left out: its body is not whole", path)
	default:
		k.open(e.Handshake, e.Body, e.Time)
		k.session = 0 // what follows belongs to the next request
	}
}

// open writes down an upgrade and its answer.
func (k *making) open(h *inspect.Handshake, body []byte, t time.Time) {
	k.m.sessions++
	k.session, k.path = k.m.sessions, h.Path()
	u := &Upgrade{Path: Literal(h.Path()), Headers: h.Request.Fields,
		Accept: answer(h.Response, body), Subprotocol: h.Subprotocol,
		Extensions: strings.Join(h.Response.Values("Sec-WebSocket-Extensions"), ", ")}
	for _, p := range h.Offered {
		u.Subprotocols = append(u.Subprotocols, Literal(p))
	}
	for i := range u.Accept.Headers {
		if f := &u.Accept.Headers[i]; strings.EqualFold(f.Name, "Sec-WebSocket-Accept") && f.Value == h.Want {
			f.Value = ""
		}
	}
	k.m.add(&draft{line: Line{Session: k.session, Kind: Open, From: inspect.ToServer, Upgrade: u}, time: t})
	for d := range k.ways {
		if k.ways[d].gap {
			k.holed(inspect.Dir(d))
		}
	}
	w := &k.ways[inspect.ToClient] // holds the head still, and what came with it
	if i := bytes.Index(w.buf, h.Response.Raw); i >= 0 {
		i += len(h.Response.Raw)
		w.buf, w.base = append([]byte(nil), w.buf[i:]...), w.base+int64(i)
	}
}

func answer(h *inspect.Head, body []byte) Answer {
	a := Answer{Status: h.Status, Phrase: h.Phrase, Body: slices.Clone(body),
		Headers: append([]inspect.HeaderField{}, h.Fields...)}
	if h.Proto != "HTTP/1.1" {
		a.Proto = h.Proto
	}
	return a
}

func (m *maker) exchange(e *inspect.Exchange) {
	switch {
	case e.Request == nil:
		return // nobody asked, so nobody will
	case e.Error != "", e.Response == nil,
		int64(len(e.Down.Data)) < e.Down.Size, int64(len(e.Up.Data)) < e.Up.Size:
		m.warn("the exchange %s %s is left out: it is not whole", e.Request.Method, inspect.Visible([]byte(e.Request.Target), 200))
		return
	case e.Response.Status < 200 || e.Request.Method == "CONNECT":
		m.warn("the exchange %s %s is left out: it leads to another protocol", e.Request.Method, inspect.Visible([]byte(e.Request.Target), 200))
		return
	}
	x := &Exchange{Method: e.Request.Method, Path: Literal(e.Request.Target), Body: slices.Clone(e.Up.Data), Answer: answer(e.Response, e.Down.Data)}
	m.hold(len(x.Body) + len(x.Answer.Body))
	m.add(&draft{line: Line{Kind: HTTP, Exchange: x}, time: e.Time})
}

func (m *maker) hold(n int) {
	if m.hear != nil {
		return
	}
	if m.held += int64(n); m.held > heldLimit && m.err == nil {
		m.err = fmt.Errorf("it holds more than %d MiB of messages", heldLimit>>20)
	}
}

func (m *maker) add(d *draft) {
	m.hold(lineSize)
	if m.hear == nil && m.err == nil {
		m.drafts = append(m.drafts, d)
	}
}

// end writes down how a side ended the connection, if it did.
func (k *making) end(e inspect.Ended) {
	how := e.How
	switch how {
	case inspect.Fin, inspect.Rst:
	case inspect.CloseNotify:
		how = inspect.Fin
	case inspect.TLSAlert:
		how = inspect.Rst
	default:
		return // not a side's doing
	}
	k.add(e.Dir, &draft{line: Line{Kind: End, From: e.Dir, How: how}, time: e.Time})
}

// cassette answers what was written down.
func (m *maker) cassette() (*Cassette, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	c := &Cassette{Warnings: m.warnings}
	var last time.Time
	for _, d := range m.drafts {
		if d.gone {
			continue
		}
		if c.Recorded.IsZero() {
			c.Recorded, last = d.time, d.time
		}
		d.line.After = max(0, d.time.Sub(last))
		last = d.time
		if d.inside != nil && d.inside.whole {
			d.line.Within = d.fragNum
		}
		c.Lines = append(c.Lines, d.line)
	}
	return c, nil
}
