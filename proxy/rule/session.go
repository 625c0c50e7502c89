package rule

import (
	"bytes"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/proxy"
)

// session is what is known of a session whose frames are asked about. It is its
// proxy.Filter.
type session struct {
	id      inspect.SessionID
	deflate *inspect.Deflate // nil: nothing is compressed
	changed func()

	mu      sync.Mutex
	all     bool // held by hand
	filter  *filter.Filter
	matcher *filter.Matcher // nil: there is no filter
	facts   filter.Session
	wait    [2]*wait
	ways    [2]way
}

// wait is a frame that waits.
type wait struct {
	Waiting
	hold chan struct{}
	free bool // hold is closed
}

// way is the message that a direction is in the middle of, for a filter that
// looks into messages.
type way struct {
	open     bool
	over     bool // it is too long to look into
	first    filter.Frame
	data     []byte // unmasked, as on the wire
	inflater *inspect.Inflater
	lost     bool // not every message was seen
}

// messageLimit is the longest message that a filter looks into.
const messageLimit = 16 << 20

// textLimit is how much of a waiting frame's payload is shown.
const textLimit = 60

func newSession(x proxy.Session, changed func()) *session {
	s := &session{id: x.ID, changed: changed, deflate: x.Handshake.Deflate}
	s.facts = filter.Session{Path: x.Handshake.Path(), Protocol: x.Handshake.Subprotocol, Mode: x.Conn.Mode, Target: x.Conn.Target,
		Client: x.Conn.Client.Remote, Status: x.Handshake.Response.Status, Open: true, Opened: time.Now()}
	for d := range s.ways {
		s.ways[d].lost = !x.Opening
	}
	return s
}

// set says how the session is held from here on.
func (s *session) set(hand bool, f *filter.Filter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = hand
	if f == s.filter && f != nil {
		return
	}
	s.filter, s.matcher = f, nil
	if f != nil {
		s.matcher = f.Matcher()
	}
	if !s.looks() {
		s.ways = [2]way{{lost: true}, {lost: true}}
	}
}

// looks says that messages are looked into.
func (s *session) looks() bool { return s.filter != nil && !s.filter.Header() }

// Whole is a method of proxy.Filter.
func (s *session) Whole(inspect.Dir, inspect.Header) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks()
}

// Frame is a method of proxy.Filter.
func (s *session) Frame(f inspect.Frame, payload []byte) proxy.Verdict {
	v, news := s.frame(f, payload)
	if news {
		s.changed()
	}
	return v
}

func (s *session) frame(f inspect.Frame, payload []byte) (v proxy.Verdict, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.wait[f.Dir]; w != nil {
		if w.free {
			s.wait[f.Dir] = nil
			return v, false
		}
		return proxy.Verdict{Hold: w.hold, By: w.By}, false
	}
	by := ""
	if s.matcher != nil && s.matches(&f, payload) {
		by = "filter"
	}
	if s.all {
		by = "hand"
	}
	if by == "" {
		return v, false
	}
	w := &wait{hold: make(chan struct{}), Waiting: Waiting{Dir: f.Dir, Op: f.Header.Opcode(), Size: f.Header.Length(), By: by, Since: f.First, Text: s.text(&f, payload)}}
	s.wait[f.Dir] = w
	return proxy.Verdict{Hold: w.hold, By: by}, true
}

// text is the beginning of a payload as it is shown.
func (s *session) text(f *inspect.Frame, payload []byte) string {
	h := f.Header
	if h.Rsv1() && s.deflate != nil && !h.Opcode().Control() {
		return "(compressed)"
	}
	b := bytes.Clone(payload[:min(len(payload), 4*textLimit)])
	if h.Masked() {
		inspect.Mask(h.Key(), 0, b)
	}
	if h.Opcode() == inspect.OpClose && len(b) < int(min(h.Length(), 125)) {
		return "" // its reason is to come
	}
	return inspect.Summary(&inspect.Message{Opcode: h.Opcode(), Data: b}, textLimit)
}

// matches says that the filter chooses a frame: by its header, or as the last one of a
// message.
func (s *session) matches(f *inspect.Frame, payload []byte) bool {
	h := f.Header
	ask := filter.Frame{Session: &s.facts, Time: f.First, Dir: f.Dir, Op: h.Opcode(), Length: h.Length(), Fin: h.Fin(), Rsv1: h.Rsv1(),
		Rsv2: h.Rsv2(), Rsv3: h.Rsv3(), Masked: h.Masked(), Minimal: h.Minimal()}
	if !s.looks() {
		return s.matcher.Frame(&ask) == filter.Yes
	}
	msg := s.message(f, &ask, payload)
	switch s.matcher.Frame(&ask) {
	case filter.Yes:
		return true
	case filter.Maybe:
		return msg != nil && s.matcher.Message(msg)
	}
	return false
}

// message is the message that a frame ends; nil if it ends none, or one that cannot be
// looked into. ask becomes its first frame.
func (s *session) message(f *inspect.Frame, ask *filter.Frame, payload []byte) *inspect.Message {
	h, w := f.Header, &s.ways[f.Dir]
	whole := uint64(len(payload)) == h.Length()
	if h.Opcode().Control() {
		if !whole {
			return nil
		}
		return &inspect.Message{Session: s.id, Dir: f.Dir, Opcode: h.Opcode(), Wire: int64(len(payload)), Size: int64(len(payload)), Data: unmasked(nil, h, payload)}
	}
	if h.Opcode() != inspect.OpContinuation || !w.open {
		w.open, w.over, w.first, w.data = true, h.Opcode() == inspect.OpContinuation, *ask, w.data[:0]
	}
	if w.over = w.over || !whole || len(w.data)+len(payload) > messageLimit; !w.over {
		w.data = unmasked(w.data, h, payload)
	}
	if !h.Fin() {
		return nil
	}
	w.open = false
	*ask = w.first
	msg := &inspect.Message{Session: s.id, Dir: f.Dir, Opcode: w.first.Op, Wire: int64(len(w.data)), Size: int64(len(w.data)), Data: w.data}
	if w.first.Rsv1 && s.deflate != nil {
		s.inflate(w, f.Dir, msg)
	}
	if w.over {
		return nil
	}
	return msg
}

// inflate fills in a compressed message (RFC 7692 section 7.2.2).
func (s *session) inflate(w *way, d inspect.Dir, msg *inspect.Message) {
	msg.Compressed = true
	if w.inflater == nil {
		w.inflater = inspect.NewInflater(s.deflate.Takeover(d), s.deflate.WindowBits(d), messageLimit)
	}
	if w.lost = w.lost || w.over; w.lost && s.deflate.Takeover(d) {
		w.inflater.Lost()
	}
	if w.over {
		return
	}
	data, size, err := w.inflater.Message(msg.Data)
	msg.Data, msg.Size, msg.Undecodable, msg.Cut = data, size, err != nil, int64(len(data)) < size
}

// unmasked appends a payload as it was before it was masked.
func unmasked(out []byte, h inspect.Header, payload []byte) []byte {
	n := len(out)
	out = append(out, payload...)
	if h.Masked() {
		inspect.Mask(h.Key(), 0, out[n:])
	}
	return out
}

// step lets the frame go that waits longest, and holds what comes; false: none waits.
func (s *session) step() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest *wait
	for _, w := range s.wait {
		if w != nil && !w.free && (oldest == nil || w.Since.Before(oldest.Since)) {
			oldest = w
		}
	}
	if oldest == nil {
		return false
	}
	s.all, oldest.free = true, true
	close(oldest.hold)
	return true
}

// resume lets everything go and says whether there was anything to let go of.
func (s *session) resume() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := s.all
	s.all = false
	for _, w := range s.wait {
		if w != nil && !w.free {
			any, w.free = true, true
			close(w.hold)
		}
	}
	return any
}

// state is the session as it is held; blind says that its filter cannot look into
// all that it should.
func (s *session) state() (x Held, blind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x = Held{ID: s.id, Hand: s.all}
	for d, w := range s.wait {
		if w != nil && !w.free {
			x.Waiting = append(x.Waiting, w.Waiting)
		}
		blind = blind || s.looks() && s.deflate != nil && s.ways[d].lost && s.deflate.Takeover(inspect.Dir(d))
	}
	if len(x.Waiting) == 2 && x.Waiting[1].Since.Before(x.Waiting[0].Since) {
		x.Waiting[0], x.Waiting[1] = x.Waiting[1], x.Waiting[0]
	}
	return x, blind
}
