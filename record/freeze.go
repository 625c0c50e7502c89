package record

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// A session that nobody looks at lies in the index: its heads as they were on the
// wire, from which the rest is worked out again, its counts, and where its rows
// and the bytes of its streams are.

// coder writes values one behind the other, or reads them in the same order, so
// that there is one place that knows the order. What is not there reads as zero.
type coder struct {
	b       []byte
	reading bool
}

func freeze(n *session) []byte {
	var c coder
	c.session(n)
	return c.b
}

func thaw(b []byte) *session {
	c := coder{b: b, reading: true}
	n := newSession()
	c.session(n)
	return n
}

func num[T ~int | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](c *coder, p *T) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(*p))
		return
	}
	v, k := binary.Uvarint(c.b)
	*p = T(v)
	c.b = c.b[max(k, 0):]
}

func (c *coder) flag(p *bool) {
	var v uint8
	if *p {
		v = 1
	}
	num(c, &v)
	*p = v != 0
}

func (c *coder) bytes(p *[]byte) {
	n := len(*p)
	num(c, &n)
	if !c.reading {
		c.b = append(c.b, *p...)
		return
	}
	n = min(n, len(c.b))
	if *p = nil; n > 0 {
		*p = c.b[:n:n]
	}
	c.b = c.b[n:]
}

func (c *coder) text(p *string) {
	b := []byte(*p)
	c.bytes(&b)
	*p = string(b)
}

func (c *coder) time(p *time.Time) {
	var v uint64 // 1 and the nanoseconds; 0: no time
	if !p.IsZero() {
		v = uint64(p.UnixNano()) + 1
	}
	num(c, &v)
	if c.reading {
		if *p = (time.Time{}); v != 0 {
			*p = time.Unix(0, int64(v-1))
		}
	}
}

// there says that a pointer leads somewhere, and makes that when it is read.
func there[T any](c *coder, p **T) bool {
	on := *p != nil
	if c.flag(&on); on && c.reading {
		*p = new(T)
	}
	return on
}

func (c *coder) session(n *session) {
	num(c, &n.Index)
	num(c, &n.Kind)
	num(c, &n.ID)
	c.conn(&n.Conn)
	asJSON(c, &n.Peer)
	for l := range n.HTTP2 {
		asJSON(c, &n.HTTP2[l])
	}
	c.handshake(&n.Handshake)
	c.exchange(n)
	c.refused(n)
	c.time(&n.Opened)
	c.time(&n.Last)
	c.closed(&n.Closed)
	for d := range 2 {
		num(c, &n.Frames[d])
		num(c, &n.Messages[d])
		num(c, &n.Bytes[d])
	}
	num(c, &n.Findings)
	num(c, &n.Worst)
	num(c, &n.last)
	num(c, &n.trimmed)
	c.list(&n.rows)
	for d := range 2 {
		c.stream(&n.streams[d])
		c.list(&n.windows[d].list)
	}
	k := len(n.findings)
	num(c, &k)
	if c.reading && k > 0 {
		n.findings = make([]inspect.Finding, min(k, maxFindings))
	}
	for i := range n.findings {
		f := &n.findings[i]
		f.Session, f.Conn = n.ID, n.Conn.ID
		c.finding(f)
	}
}

func (c *coder) conn(p *inspect.ConnInfo) {
	num(c, &p.ID)
	c.text(&p.Mode)
	c.text(&p.Target)
	c.time(&p.Time)
	c.text(&p.Client.Local)
	c.text(&p.Client.Remote)
	c.flag(&p.TLS)
	asJSON(c, &p.ClientTLS)
	c.text(&p.Via)
	c.flag(&p.Opaque)
	asJSON(c, &p.HTTP2)
}

// asJSON is for what is rare or small.
func asJSON[T any](c *coder, p **T) {
	if !there(c, p) {
		return
	}
	var b []byte
	if !c.reading {
		b, _ = json.Marshal(*p) // as NewNote did
	}
	if c.bytes(&b); c.reading {
		_ = json.Unmarshal(b, *p)
	}
}

func (c *coder) head(p **inspect.Head, parse func([]byte) (*inspect.Head, error)) {
	var raw []byte
	if *p != nil {
		raw = (*p).Raw
	}
	if c.bytes(&raw); c.reading && raw != nil {
		*p, _ = parse(raw) // as it was parsed before
	}
}

func (c *coder) handshake(p **inspect.Handshake) {
	if !there(c, p) {
		return
	}
	h := *p
	c.head(&h.Request, inspect.ParseRequest)
	c.head(&h.Sent, inspect.ParseRequest)
	c.head(&h.Response, inspect.ParseResponse)
	if c.reading && h.Request != nil {
		*p = inspect.NewHandshake(h.Request, h.Sent, h.Response)
		h = *p
	}
	c.time(&h.RequestTime)
	c.time(&h.AnswerTime)
}

func (c *coder) exchange(n *session) {
	if !there(c, &n.Exchange) {
		return
	}
	e := n.Exchange
	e.Conn = n.Conn
	num(c, &e.N)
	c.head(&e.Request, inspect.ParseRequest)
	c.head(&e.Response, inspect.ParseResponse)
	for _, p := range []*inspect.Payload{&e.Up, &e.Down} {
		num(c, &p.Wire)
		num(c, &p.Size)
		c.bytes(&p.Data)
	}
	c.time(&e.Start)
	c.time(&e.Time)
	c.text(&e.Error)
}

func (c *coder) refused(n *session) {
	if !there(c, &n.Refused) {
		return
	}
	r := n.Refused
	r.Session, r.Conn, r.Handshake = n.ID, n.Conn, n.Handshake
	c.time(&r.Time)
	c.text(&r.Reason)
	c.bytes(&r.Body)
	num(c, &r.BodySize)
}

func (c *coder) closed(p **inspect.Closed) {
	if !there(c, p) {
		return
	}
	x := *p
	num(c, &x.Session)
	c.time(&x.Time)
	c.time(&x.Opened)
	for d := range 2 {
		c.ended(&x.Ends[0][d])
		c.ended(&x.Ends[1][d])
		num(c, &x.Code[d])
		c.text(&x.Reason[d])
		c.flag(&x.SawClose[d])
		c.flag(&x.Ours[d])
		num(c, &x.Frames[d])
		num(c, &x.Messages[d])
		num(c, &x.Bytes[d])
		c.time(&x.LastSeen[d])
		num(c, &x.Pings[d])
	}
	num(c, &x.Findings)
	c.text(&x.Word)
	c.text(&x.Text)
}

func (c *coder) ended(e *inspect.Ended) {
	num(c, &e.Conn)
	num(c, &e.Leg)
	num(c, &e.Dir)
	num(c, &e.How)
	c.time(&e.Time)
	num(c, &e.Off)
	c.text(&e.Error)
}

func (c *coder) list(l *list) {
	num(c, &l.n)
	num(c, &l.first)
	num(c, &l.gone)
	n := len(l.runs)
	num(c, &n)
	if c.reading {
		n = min(n, len(c.b))
		l.runs = nil
		if n > 0 {
			l.runs = make([]place, n)
		}
	}
	for i := range n {
		num(c, &l.runs[i])
	}
}

func (c *coder) stream(p **stream) {
	if !there(c, p) {
		return
	}
	s := *p
	s.size = extentSize
	c.list(&s.list)
	num(c, &s.last.off)
	num(c, &s.last.pos)
	num(c, &s.last.n)
	c.flag(&s.last.side)
}

// finding writes or reads one of a session's findings.
func (c *coder) finding(f *inspect.Finding) {
	c.text(&f.ID)
	c.text(&f.Clause)
	num(c, &f.Severity)
	num(c, &f.Frame)
	num(c, &f.Dir)
	c.text(&f.Detail)
	c.time(&f.Time)
}
