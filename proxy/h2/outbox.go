package h2

import (
	"bytes"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsproxy/wsproxy/inspect"
)

// outbox frames the HTTP/1.1 bytes that are written to a stream.
type outbox struct {
	phase   outPhase
	head    inspect.HeadScanner
	body    inspect.Body
	chunked bool
	framing []byte // of a chunked body, since its last content: the trailer ends up here
}

// outPhase is what the next bytes are.
type outPhase uint8

const (
	outHead outPhase = iota
	outBody
	outUntilClose
	outTunnel
	outOver // nobody's
)

// translate passes on bytes from the front of p and answers how many it took.
func (s *Stream) translate(p []byte) (n int, err error) {
	switch s.text.phase {
	case outHead:
		raw, rest, err := s.text.head.Next(p)
		if err == nil && raw != nil {
			err = s.sendFirst(raw)
		}
		if err != nil {
			return 0, s.refuseText(err)
		}
		return len(p) - len(rest), nil
	case outBody:
		return s.passBody(p)
	case outUntilClose, outTunnel:
		return s.sendData(p, false)
	}
	return len(p), s.live()
}

// live is why nothing is to be written to a stream whose message is whole.
func (s *Stream) live() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.unsendable(); !s.ended || s.closed {
		return err
	}
	return nil
}

// sendFirst takes a head.
func (s *Stream) sendFirst(raw []byte) error {
	if s.c.server {
		h, err := inspect.ParseResponse(raw)
		if err != nil {
			return err
		}
		return s.sendResponse(h)
	}
	h, err := inspect.ParseRequest(raw)
	if err != nil {
		return err
	}
	return s.sendRequest(h)
}

// refuseText ends a stream whose bytes cannot be passed on.
func (s *Stream) refuseText(err error) error {
	s.text.phase = outOver
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.abandon(http2.ErrCodeInternal)
	s.fail(err)
	return err
}

// passBody passes on content of a body and finds its end.
func (s *Stream) passBody(p []byte) (n int, err error) {
	data, rest, done, err := s.text.body.Next(p)
	if err != nil {
		return 0, s.refuseText(err)
	}
	took := len(p) - len(rest)
	if !s.text.chunked {
		if done {
			s.text.phase = outOver
		}
		return s.sendData(data, done)
	}
	s.text.framing = append(s.text.framing, p[:took-len(data)]...)
	if len(data) > 0 {
		s.text.framing = s.text.framing[:0]
		if k, err := s.sendData(data, false); err != nil {
			return took - len(data) + k, err
		}
	}
	if !done {
		return took, nil
	}
	s.text.phase = outOver
	return took, s.sendEnd(trailerFields(s.text.framing))
}

// trailerFields are the fields behind the last chunk; what HTTP/2 cannot carry is
// left out. framing begins with the end of the chunk before, if there was one.
func trailerFields(framing []byte) []hpack.HeaderField {
	_, lines, _ := bytes.Cut(bytes.TrimLeft(framing, "\r\n"), []byte("\n"))
	h, err := inspect.ParseResponse(append([]byte("HTTP/1.1 200 \r\n"), lines...))
	if err != nil {
		return nil
	}
	fields, _ := fieldsOf(h, nil, func(name string) bool { return notInTrailers[name] })
	return fields
}
