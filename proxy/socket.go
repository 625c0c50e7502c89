package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// drainLimit is how long a reset waits for bytes that came before it to leave
// the send queue: a reset throws away what is still in it.
const drainLimit = 2 * time.Second

// socket is one leg: a TCP connection or one of a Unix socket, perhaps with TLS on it, or
// a pipe to an HTTP server in this process.
type socket struct {
	net.Conn              // what is read and written
	tcp      *net.TCPConn // nil: a Unix socket, or a pipe
	tls      *tls.Conn    // nil: plain
	under    *under       // below TLS
	outer    *tls.Conn    // TLS to a proxy, below the other; nil: there is none
	ahead    []byte       // was read already, and is the first that an intake answers
	finished atomic.Bool
}

func plain(c net.Conn) *socket {
	tcp, _ := c.(*net.TCPConn)
	return &socket{Conn: c, tcp: tcp}
}

// under is a connection below TLS that remembers how it ended: crypto/tls
// answers io.EOF for a close_notify and for a bare FIN alike.
type under struct {
	net.Conn
	ahead []byte  // was read already
	last  [7]byte // of the newest read of as many bytes: an alert's record is as long
	eof   atomic.Bool
}

// bareAlert is the fatal alert in the newest record, if that is one that was not
// encrypted, though it ought to be: OpenSSL's clients send theirs so in the middle
// of a handshake of TLS 1.3, and crypto/tls cannot read it.
func (u *under) bareAlert() (alert tls.AlertError, ok bool) {
	const contentAlert, fatal = 21, 2 // RFC 8446 sections 5.1 and 6
	l := u.last
	return tls.AlertError(l[6]), l[0] == contentAlert && l[1] == 3 && l[3] == 0 && l[4] == 2 && l[5] == fatal
}

func (u *under) Read(b []byte) (int, error) {
	if len(u.ahead) > 0 {
		n := copy(b, u.ahead)
		if u.ahead = u.ahead[n:]; len(u.ahead) == 0 {
			u.ahead = nil // nor the buffer that it lies in
		}
		return n, nil
	}
	n, err := u.Conn.Read(b)
	if n >= len(u.last) {
		copy(u.last[:], b[n-len(u.last):n])
	}
	if errors.Is(err, io.EOF) {
		u.eof.Store(true)
	}
	return n, err
}

// ending says what a failed read met. text is what there is to add.
func (s *socket) ending(err error) (how inspect.End, text string) {
	var alert tls.AlertError
	var remote *net.OpError
	switch {
	case s.stream() != nil:
		return streamEnding(err)
	case isReset(err):
		return inspect.Rst, ""
	case s.tcp == nil:
		return inspect.Fin, ""
	case errors.Is(err, io.EOF) && s.tls == nil:
		// The peer sent a FIN and, before we read it, an RST. A connection that
		// both sides have finished looks the same to us.
		if resetSeen(s.tcp) && !s.finished.Load() {
			return inspect.Rst, ""
		}
		return inspect.Fin, ""
	case errors.Is(err, io.EOF) && s.under.eof.Load():
		return inspect.Fin, "without close_notify"
	case errors.Is(err, io.ErrUnexpectedEOF) && s.tls != nil && s.under.eof.Load():
		return inspect.Fin, "inside a TLS record"
	case errors.Is(err, io.EOF):
		return inspect.CloseNotify, ""
	case errors.As(err, &alert):
		return inspect.TLSAlert, alert.Error()
	case errors.As(err, &remote) && remote.Op == "remote error":
		return inspect.TLSAlert, remote.Err.Error()
	case errors.As(err, &remote) && remote.Op == "local error": // it broke TLS, and crypto/tls has ended that
		return inspect.Self, remote.Err.Error()
	}
	return inspect.Rst, err.Error() // timeouts of the network, and what else a system may say
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// awaitFin waits behind a close_notify for the FIN that mostly follows it: io.EOF
// says that it came.
func (s *socket) awaitFin() error {
	var b [512]byte
	for {
		if _, err := s.under.Read(b[:]); err != nil {
			return err
		}
	}
}

// finish says that nothing more will be sent: close_notify under TLS, and FIN.
func (s *socket) finish() error {
	s.finished.Store(true)
	if s.tls != nil {
		if err := s.tls.CloseWrite(); err != nil {
			return err
		}
	}
	if s.outer != nil {
		if err := s.outer.CloseWrite(); err != nil {
			return err
		}
	}
	if s.tcp != nil {
		return s.tcp.CloseWrite()
	}
	if c, ok := s.below().(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return s.Close() // a pipe cannot end one way only
}

// reset ends the connection with an RST once the send queue has drained. It
// never goes through TLS, which would invent a close_notify.
func (s *socket) reset() {
	if s.tcp == nil {
		s.close()
		return
	}
	deadline := time.Now().Add(drainLimit)
	for pause := 100 * time.Microsecond; unsent(s.tcp) > 0 && !resetSeen(s.tcp) && time.Now().Before(deadline); pause = min(2*pause, 20*time.Millisecond) {
		time.Sleep(pause) // no system tells when a send queue is empty
	}
	_ = s.tcp.SetLinger(0) // on a closed socket there is nothing left to do
	_ = s.tcp.Close()
}

// close lets go of the socket. What was to be said has been.
func (s *socket) close() {
	_ = s.below().Close()
}

// below is the connection below TLS.
func (s *socket) below() net.Conn {
	switch {
	case s.tcp != nil:
		return s.tcp
	case s.under != nil:
		return s.under.Conn
	}
	return s.Conn
}
