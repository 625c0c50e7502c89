package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Access says which clients may come.
type Access struct {
	Allow []netip.Prefix // from where, beside this machine itself; none: from anywhere
	Auth  string         // user:password that each must know; empty: none
}

// Admits says that a client may come, from where it is.
func (a *Access) Admits(client net.Addr) bool {
	if len(a.Allow) == 0 || client.Network() == "unix" { // whoever may open the socket's file
		return true
	}
	at, err := netip.ParseAddrPort(client.String())
	if err != nil {
		return false
	}
	ip := at.Addr().Unmap().WithZone("")
	return ip.IsLoopback() || slices.ContainsFunc(a.Allow, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// admitted closes a connection whose client may not come. That is counted, and said
// once for each address.
func (s *Server) admitted(nc net.Conn) bool {
	at := nc.RemoteAddr()
	if s.config.Admits(at) {
		return true
	}
	_ = nc.Close() // nothing was said
	s.mu.Lock()
	s.stats.Denied++
	s.mu.Unlock()
	s.sayOnce(fmt.Sprintf("a client at %s is not let in; --allow %[1]s would", hostOnly(at.String())))
	return false
}

// asks says that requests carry the password in a header that is else the server's.
func (c *Config) asks() bool { return c.Auth != "" && c.Forward == nil }

// passwordHeader is where a request carries the password: as to a proxy (RFC 9110
// section 11.7.1), or as to the server that a reverse proxy is for its clients.
func (c *Config) passwordHeader() string {
	if c.asks() {
		return "Authorization"
	}
	return "Proxy-Authorization"
}

// authorized says that a request carries the password (RFC 7617).
func (c *Config) authorized(h *inspect.Head) bool {
	if c.Auth == "" {
		return true
	}
	scheme, coded, _ := strings.Cut(h.Get(c.passwordHeader()), " ")
	given, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded))
	return err == nil && strings.EqualFold(scheme, "Basic") && c.knows(given)
}

// knows compares a password in a time that tells nothing of it.
func (c *Config) knows(given []byte) bool {
	a, b := sha256.Sum256(given), sha256.Sum256([]byte(c.Auth))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// unauthorized is a reverse proxy's answer to a request without the password; nil if
// it may pass.
func (c *Config) unauthorized(h *inspect.Head) *denial {
	if !c.asks() || c.authorized(h) {
		return nil
	}
	return &denial{status: 401, phrase: "Unauthorized", header: "WWW-Authenticate: Basic realm=\"wsproxy\", charset=\"UTF-8\"\r\n",
		why: "a user and a password are asked for here (--auth), " + c.lacking(h)}
}

// unauthorizedHere is the same of a forward proxy that listens there.
func (c *Config) unauthorizedHere(h *inspect.Head, at net.Addr) *denial {
	if c.authorized(h) {
		return nil
	}
	return &denial{status: 407, phrase: "Proxy Authentication Required", header: "Proxy-Authenticate: Basic realm=\"wsproxy\"\r\n",
		why: fmt.Sprintf("this proxy asks for a user and a password (--auth), %s: http://user:password@%s", c.lacking(h), at)}
}

// lacking says what is wrong with what a request carries.
func (c *Config) lacking(h *inspect.Head) string {
	switch scheme, _, _ := strings.Cut(h.Get(c.passwordHeader()), " "); {
	case scheme == "":
		return "and the request carries none"
	case !strings.EqualFold(scheme, "Basic"):
		return "as " + c.passwordHeader() + ": Basic"
	}
	return "and that of the request is wrong"
}

// tapHead tells bytes of the client's that are heads, or may be, without the password
// that is for wsproxy.
func (c *conn) tapHead(now time.Time, data []byte) {
	if !c.discreet() || c.config.Tap == nil {
		c.tap(inspect.ClientLeg, inspect.ToServer, now, data, marks{})
		return
	}
	told, n := c.concealing.conceal(c.config.passwordHeader(), data)
	if n > 0 && !c.silent {
		c.note(inspect.ClientLeg, inspect.ToServer, inspect.NoteRedacted,
			inspect.RedactedNote{Kind: inspect.NoteRedacted, What: []string{c.config.passwordHeader()}, Bytes: n})
	}
	c.tap(inspect.ClientLeg, inspect.ToServer, now, told, marks{})
}

// discreet says that requests carry a password that is for wsproxy.
func (c *conn) discreet() bool { return c.config.Auth != "" && !c.tunnel }

// concealer replaces the value of one header by asterisks, however the bytes come
// cut. The zero value stands at the beginning of a line.
type concealer struct {
	at      concealed
	matched int // bytes of the name
}

// concealed is what the next byte is for a concealer.
type concealed uint8

const (
	inName    concealed = iota // of a line that may be the header's
	elsewhere                  // in another line
	inSecret                   // in the value
	behind                     // at the beginning of a line behind the value, which may be folded
)

// conceal answers the bytes with the value replaced, in memory of their own if there
// is one, and how many were.
func (c *concealer) conceal(name string, data []byte) (told []byte, n int) {
	told = data
	for i, b := range data {
		if c.at == behind {
			if c.at = inSecret; b != ' ' && b != '\t' {
				c.at, c.matched = inName, 0
			}
		}
		switch {
		case b == '\n' && c.at == inSecret:
			c.at = behind
		case b == '\n':
			c.at, c.matched = inName, 0
		case c.at == inSecret && b != '\r' && b != ' ' && b != '\t':
			if n == 0 {
				told = bytes.Clone(data)
			}
			told[i] = '*'
			n++
		case c.at == inName:
			c.match(name, b)
		}
	}
	return told, n
}

// match takes a byte of a line's beginning.
func (c *concealer) match(name string, b byte) {
	switch {
	case c.matched == len(name) && b == ':':
		c.at = inSecret
	case c.matched == len(name) && (b == ' ' || b == '\t' || b == '\r'): // before the colon, where none may be
	case c.matched < len(name) && b|0x20 == name[c.matched]|0x20:
		c.matched++
	default:
		c.at = elsewhere
	}
}
