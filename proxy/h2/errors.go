package h2

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/net/http2"
)

// ErrNoExtendedConnect says that the server's SETTINGS do not offer
// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3), so that no WebSocket can
// be opened on the connection. Ordinary requests can.
var ErrNoExtendedConnect = errors.New("the server takes no WebSockets over HTTP/2: its SETTINGS lack ENABLE_CONNECT_PROTOCOL (RFC 8441)")

// ErrFull says that the connection carries as many streams as the server allows
// (SETTINGS_MAX_CONCURRENT_STREAMS), or has none left to number.
var ErrFull = errors.New("the HTTP/2 connection carries as many streams as the server allows")

// ResetError says that the peer ended a stream with RST_STREAM. It unwraps to
// syscall.ECONNRESET, like each of this package's errors for a cut stream.
type ResetError struct{ Code http2.ErrCode }

func (e *ResetError) Error() string { return fmt.Sprintf("RST_STREAM %v", e.Code) }

// Unwrap is syscall.ECONNRESET.
func (e *ResetError) Unwrap() error { return syscall.ECONNRESET }

// GoAwayError says that the peer ended the connection, or will take no more
// streams on it. Debug is what it gave as a reason, made safe to show.
type GoAwayError struct {
	Code    http2.ErrCode
	Debug   string
	Refused bool // the peer says that it has done nothing about the stream (RFC 9113 section 6.8)
}

func (e *GoAwayError) Error() string {
	if e.Debug == "" {
		return fmt.Sprintf("GOAWAY %v", e.Code)
	}
	return fmt.Sprintf("GOAWAY %v: %s", e.Code, e.Debug)
}

// Unwrap is syscall.ECONNRESET.
func (e *GoAwayError) Unwrap() error { return syscall.ECONNRESET }

// EndError says that the connection below the streams ended, and how.
type EndError struct{ Err error }

func (e *EndError) Error() string {
	return fmt.Sprintf("the HTTP/2 connection ended: %v", e.Err)
}

// Unwrap is syscall.ECONNRESET, and what the connection answered.
func (e *EndError) Unwrap() []error { return []error{syscall.ECONNRESET, e.Err} }

// BreachError says that we ended a stream or the connection, since the peer broke
// the rules; Code is what it was told.
type BreachError struct {
	Code   http2.ErrCode
	Reason string
}

func (e *BreachError) Error() string { return fmt.Sprintf("%v: %s", e.Code, e.Reason) }

// Unwrap is syscall.ECONNRESET.
func (e *BreachError) Unwrap() error { return syscall.ECONNRESET }

// breach makes the error for a connection that is to end.
func breach(code http2.ErrCode, format string, args ...any) error {
	return &BreachError{code, fmt.Sprintf(format, args...)}
}

// malformed makes the error for a stream whose message RFC 9113 section 8.1.1
// calls malformed.
func malformed(format string, args ...any) error {
	return breach(http2.ErrCodeProtocol, format, args...)
}
