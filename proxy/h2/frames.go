package h2

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/net/http2"

	"github.com/wsproxy/wsproxy/inspect"
)

// frames is the frame loop: it reads until the connection is over and answers why.
func (c *Conn) frames() error {
	if err := c.greeted(); err != nil {
		return err
	}
	for {
		f, err := c.next()
		if err == nil && f != nil {
			err = c.frame(f)
		}
		if err != nil {
			return err
		}
	}
}

// greeted reads what a connection must begin with (RFC 9113 section 3.4): the
// client's preface, and SETTINGS.
func (c *Conn) greeted() error {
	c.mu.Lock()
	if c.over == nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.opt.Greeting))
	}
	c.mu.Unlock()
	if c.server {
		c.meter.left = len(http2.ClientPreface)
		got := make([]byte, len(http2.ClientPreface))
		if n, err := io.ReadFull(&c.meter, got); err != nil {
			return c.greetingFailed(err, n)
		}
		if string(got) != http2.ClientPreface {
			return breach(http2.ErrCodeProtocol, "the connection begins with %s and not with HTTP/2's preface", inspect.Visible(got, 0))
		}
	}
	f, err := c.next()
	if err != nil {
		return c.greetingFailed(err, 1)
	}
	s, ok := f.(*http2.SettingsFrame)
	if !ok || s.IsAck() {
		return breach(http2.ErrCodeProtocol, "SETTINGS are not the first frame")
	}
	c.mu.Lock()
	if c.over == nil {
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	c.mu.Unlock()
	err = c.frame(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = err == nil
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
	return err
}

func (c *Conn) greetingFailed(err error, some int) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return breach(http2.ErrCodeSettingsTimeout, "no SETTINGS within %v", c.opt.Greeting)
	}
	if errors.Is(err, io.EOF) && some == 0 {
		return errDone // it came and went
	}
	var end *EndError
	if errors.Is(err, errDone) || errors.As(err, &end) || errors.As(err, new(*BreachError)) {
		return err
	}
	return &EndError{err}
}

// next reads a frame; nil if it broke a rule that costs its stream only.
func (c *Conn) next() (http2.Frame, error) {
	// A frame, or a head in CONTINUATIONs: no fields of HeadLimit take more.
	c.meter.left = 2*c.opt.HeadLimit + 2*maxFrame
	f, err := c.in.ReadFrame()
	if err == nil {
		return f, nil
	}
	detail := func() string {
		if d := c.in.ErrorDetail(); d != nil {
			return inspect.Visible([]byte(d.Error()), 200)
		}
		return "a frame that RFC 9113 forbids"
	}
	var stream http2.StreamError
	var conn http2.ConnectionError
	switch {
	case errors.As(err, &stream):
		why := detail()
		if stream.Cause != nil {
			why = inspect.Visible([]byte(stream.Cause.Error()), 200)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.used(stream.StreamID); err != nil {
			return nil, err
		}
		return nil, c.refuseStream(stream.StreamID, breach(stream.Code, "%s", why))
	case errors.As(err, &conn):
		return nil, breach(http2.ErrCode(conn), "%s", detail())
	case errors.Is(err, http2.ErrFrameTooLarge):
		return nil, breach(http2.ErrCodeFrameSize, "a frame of more than %d bytes", maxFrame)
	case errors.Is(err, errTooLong):
		return nil, breach(http2.ErrCodeEnhanceYourCalm, "%v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, io.EOF) && len(c.owners) == 0 {
		return nil, errDone
	}
	return nil, &EndError{err}
}

// used notes the number of a stream whose HEADERS could not be used, so that it is
// not taken for an idle one later: c.mu is held.
func (c *Conn) used(id uint32) error {
	if !c.server {
		return nil
	}
	if id%2 == 0 {
		return breach(http2.ErrCodeProtocol, "a client's stream has the even number %d", id)
	}
	c.lastID = max(c.lastID, id)
	return nil
}

// frame does what a frame asks for. An error ends the connection.
func (c *Conn) frame(f http2.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return c.over
	}
	if c.out.Len() > outLimit {
		return breach(http2.ErrCodeEnhanceYourCalm, "it asks for answers and reads none")
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.data(f)
	case *http2.MetaHeadersFrame:
		return c.headers(f)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.rstStream(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.fw.WritePing(true, f.Data)
			c.flush.Signal()
		}
		return c.spend(1, "PINGs")
	case *http2.GoAwayFrame:
		return c.goneAway(f)
	case *http2.PushPromiseFrame:
		return breach(http2.ErrCodeProtocol, "PUSH_PROMISE, which was switched off")
	}
	return c.spend(1, "frames that say nothing") // PRIORITY, and what RFC 9113 section 5.5 has us ignore
}

// idle says that nobody has opened the stream yet: c.mu is held.
func (c *Conn) idle(id uint32) bool {
	if c.server {
		return id%2 == 0 || id > c.lastID
	}
	return id%2 == 0 || id >= c.nextID
}

// refuseStream resets a stream, ours to forget, since the peer broke a rule on it:
// c.mu is held.
func (c *Conn) refuseStream(id uint32, err error) error {
	var b *BreachError
	if !errors.As(err, &b) {
		return err
	}
	c.tell("stream %d: %v", id, err)
	if s := c.streams[id]; s != nil {
		s.abandon(b.Code)
		s.fail(err)
	} else {
		c.reset(id, b.Code)
	}
	return c.spend(2, "broken streams")
}

func (c *Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return c.spend(1, "acknowledged SETTINGS")
	}
	if err := c.spend(1+f.NumSettings()/4, "SETTINGS"); err != nil {
		return err
	}
	p := c.peer
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			code := http2.ErrCodeProtocol
			if s.ID == http2.SettingInitialWindowSize {
				code = http2.ErrCodeFlowControl
			}
			return breach(code, "the setting %v = %d", s.ID, s.Val)
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			c.henc.SetMaxDynamicTableSize(min(s.Val, 4096))
		case http2.SettingMaxConcurrentStreams:
			p.streams = s.Val
		case http2.SettingInitialWindowSize:
			p.window = int64(s.Val)
		case http2.SettingMaxFrameSize:
			p.frame = min(int(s.Val), maxFrame)
		case http2.SettingEnableConnectProtocol:
			if s.Val == 0 && p.connect { // RFC 8441 section 3
				return breach(http2.ErrCodeProtocol, "ENABLE_CONNECT_PROTOCOL was taken back")
			}
			p.connect = s.Val == 1
		case http2.SettingEnablePush:
			if s.Val == 1 && !c.server { // RFC 9113 section 6.5.2
				return breach(http2.ErrCodeProtocol, "a server with ENABLE_PUSH = 1")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	by := p.window - c.peer.window
	c.peer = p
	for _, s := range c.streams { // RFC 9113 section 6.9.2; it may fall below zero
		if s.send += by; s.send > maxWindow {
			return breach(http2.ErrCodeFlowControl, "INITIAL_WINDOW_SIZE makes the window of stream %d too large", s.id)
		}
		s.writable.Broadcast()
	}
	_ = c.fw.WriteSettingsAck()
	c.flush.Signal()
	return nil
}

func (c *Conn) windowUpdate(f *http2.WindowUpdateFrame) error {
	if err := c.spend(1, "WINDOW_UPDATEs"); err != nil {
		return err
	}
	if f.StreamID == 0 {
		if c.send += int64(f.Increment); c.send > maxWindow {
			return breach(http2.ErrCodeFlowControl, "the connection's window grows past 2^31-1")
		}
		c.nudge()
		return nil
	}
	s := c.streams[f.StreamID]
	if s == nil {
		if c.idle(f.StreamID) {
			return breach(http2.ErrCodeProtocol, "WINDOW_UPDATE for stream %d, which is idle", f.StreamID)
		}
		return nil
	}
	if s.send += int64(f.Increment); s.send > maxWindow {
		return c.refuseStream(f.StreamID, breach(http2.ErrCodeFlowControl, "its window grows past 2^31-1"))
	}
	s.writable.Broadcast()
	return nil
}

func (c *Conn) rstStream(f *http2.RSTStreamFrame) error {
	if c.idle(f.StreamID) {
		return breach(http2.ErrCodeProtocol, "RST_STREAM for stream %d, which is idle", f.StreamID)
	}
	if s := c.streams[f.StreamID]; s != nil {
		delete(c.streams, f.StreamID)
		s.fail(&ResetError{f.ErrCode})
	}
	return c.spend(1, "resets")
}

func (c *Conn) goneAway(f *http2.GoAwayFrame) error {
	c.goAway = &GoAwayError{Code: f.ErrCode, Debug: inspect.Visible(f.DebugData(), 200)}
	refused := *c.goAway
	refused.Refused = true
	if !c.server { // what it has not begun to answer it never will (RFC 9113 section 6.8)
		for id, s := range c.streams {
			if id > f.LastStreamID {
				delete(c.streams, id)
				s.fail(&refused)
			}
		}
	}
	if f.ErrCode != http2.ErrCodeNo {
		c.tell("%v", c.goAway)
	}
	return c.spend(1, "GOAWAYs")
}

func (c *Conn) data(f *http2.DataFrame) error {
	size := int64(f.Length) // padding counts (RFC 9113 section 6.9.1)
	if c.recv -= size; c.recv < 0 {
		return breach(http2.ErrCodeFlowControl, "DATA past the connection's window")
	}
	if c.credit += size; c.credit >= connWindow/4 { // whatever becomes of the stream
		_ = c.fw.WriteWindowUpdate(0, uint32(c.credit))
		c.recv += c.credit
		c.credit = 0
		c.flush.Signal()
	}
	data := f.Data()
	if len(data) > 0 {
		c.patience.earn(1)
	} else if err := c.spend(1, "empty DATA frames"); err != nil {
		return err
	}
	s := c.streams[f.StreamID]
	switch {
	case s == nil && c.idle(f.StreamID):
		return breach(http2.ErrCodeProtocol, "DATA for stream %d, which is idle", f.StreamID)
	case s == nil && c.lately > 0 && c.isRecent(f.StreamID): // it may not know yet
		return c.spend(1, "frames for streams that were reset")
	case s == nil || s.in.ended:
		return c.refuseStream(f.StreamID, breach(http2.ErrCodeStreamClosed, "DATA behind the stream's end"))
	}
	if err := s.receive(data, size, f.StreamEnded()); err != nil {
		return c.refuseStream(f.StreamID, err)
	}
	return nil
}

func (c *Conn) isRecent(id uint32) bool {
	for _, r := range c.recent {
		if r == id {
			return true
		}
	}
	return false
}

// receive buffers what DATA carries; size counts its padding. c.mu is held.
func (s *Stream) receive(data []byte, size int64, end bool) error {
	if s.recv -= size; s.recv < 0 {
		return breach(http2.ErrCodeFlowControl, "DATA past its window")
	}
	if !s.c.server && !s.answered {
		return malformed("DATA before the answer's head")
	}
	if s.expect >= 0 {
		if s.expect -= int64(len(data)); s.expect < 0 {
			return malformed("DATA past its content-length")
		}
	}
	s.giveBack(int(size) - len(data)) // nobody will read the padding
	if s.c.server && s.ended && !s.accepted {
		s.giveBack(len(data)) // the answer has been given without it
	} else {
		s.in.content = append(s.in.content, data...)
	}
	if end {
		return s.endReceived(nil)
	}
	s.readable.Broadcast()
	return nil
}

// endReceived notes END_STREAM: c.mu is held.
func (s *Stream) endReceived(trailers []byte) error {
	if s.expect > 0 {
		return malformed("the end comes %d bytes before its content-length", s.expect)
	}
	s.in.ended, s.in.trailers = true, trailers
	s.readable.Broadcast()
	s.bothEnded()
	return nil
}

func (c *Conn) headers(f *http2.MetaHeadersFrame) error {
	s := c.streams[f.StreamID]
	if s == nil {
		return c.newHeaders(f)
	}
	var err error
	switch {
	case f.Truncated:
		err = breach(http2.ErrCodeEnhanceYourCalm, "a head of more than %d bytes", c.opt.HeadLimit)
	case s.in.ended:
		err = breach(http2.ErrCodeStreamClosed, "HEADERS behind the stream's end")
	case s.accepted, s.kind != exchange && c.server: // RFC 9113 section 8.5
		err = malformed("HEADERS in the middle of a tunnel")
	case !c.server && !s.answered:
		err = s.answer(f)
	default:
		err = s.trail(f)
	}
	if err != nil {
		return c.refuseStream(f.StreamID, err)
	}
	return nil
}

// newHeaders takes HEADERS for a stream that is not there: c.mu is held.
func (c *Conn) newHeaders(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	switch {
	case !c.server && c.idle(id), id%2 == 0:
		return breach(http2.ErrCodeProtocol, "HEADERS for stream %d, which the peer may not open", id)
	case c.isRecent(id):
		return c.spend(1, "frames for streams that were reset")
	case !c.server || id <= c.lastID:
		return breach(http2.ErrCodeStreamClosed, "HEADERS for stream %d, which is closed", id)
	case c.draining: // it may not know yet
		c.reset(id, http2.ErrCodeRefusedStream)
		return c.spend(1, "streams behind a GOAWAY")
	}
	c.lastID = id
	switch {
	case len(c.owners) >= c.opt.Streams:
		return c.refuseStream(id, breach(http2.ErrCodeRefusedStream, "more than %d streams at once", c.opt.Streams))
	case f.Truncated:
		return c.tooLarge(id)
	}
	r, err := newRequest(f.Fields, f.StreamEnded())
	if err == nil && r.kind == webSocket && c.opt.NoConnect { // RFC 8441 section 3
		err = malformed(":protocol, which our SETTINGS do not offer")
	}
	if err != nil {
		return c.refuseStream(id, err)
	}
	s := c.newStream(id)
	c.streams[id] = s
	s.kind, s.method, s.expect = r.kind, r.method, r.length
	s.head.Request = r.fields
	s.in.pre, s.in.chunked, s.in.ended = r.raw, r.chunked, f.StreamEnded()
	c.mu.Unlock()
	defer c.mu.Lock()
	c.handle(s)
	return nil
}
