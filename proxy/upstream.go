package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"
)

// Upstream answers the proxy through which a server is reached, by the server's URL
// (http or https): an URL of http, https, socks5 or socks5h, perhaps with a user
// and a password; nil if there is none.
type Upstream func(server *url.URL) (*url.URL, error)

// upstreamError says that another proxy, and not the server, is in the way.
type upstreamError struct {
	proxy string // host:port
	err   error
	why   string // in a sentence
}

func (e *upstreamError) Error() string {
	if e.why == "" {
		return e.err.Error()
	}
	return "the upstream proxy is in the way: " + e.why
}

func (e *upstreamError) Unwrap() error { return e.err }

// refusedError is another proxy's answer.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// reach connects to the server, through another proxy where there is one.
func (d dialer) reach(ctx context.Context, r *dialled) (*socket, error) {
	if d.unix {
		if d.ownSocket(d.addr) {
			return nil, errLoop
		}
		nc, err := new(net.Dialer).DialContext(ctx, "unix", d.addr)
		if err != nil {
			return nil, err
		}
		return plain(nc), nil
	}
	via, err := d.proxy()
	if err != nil {
		return nil, err
	}
	if via == nil {
		nc, err := d.connect(ctx, d.addr)
		if err != nil {
			return nil, err
		}
		return plain(nc), nil
	}
	at := via.Host
	if via.Port() == "" {
		at = net.JoinHostPort(via.Hostname(), map[string]string{"https": "443", "http": "80"}[via.Scheme])
		if strings.HasPrefix(via.Scheme, "socks5") {
			at = net.JoinHostPort(via.Hostname(), "1080")
		}
	}
	r.note.Proxy = via.Scheme + "://" + at
	s, err := d.through(ctx, via, at)
	if err != nil {
		return nil, &upstreamError{proxy: at, err: err}
	}
	return s, nil
}

// proxy is the other proxy for this server.
func (d dialer) proxy() (*url.URL, error) {
	if d.upstream == nil {
		return nil, nil
	}
	scheme := "https"
	if _, port, err := net.SplitHostPort(d.addr); err == nil && !d.secure && port == "80" {
		scheme = "http"
	}
	return d.upstream(&url.URL{Scheme: scheme, Host: d.addr})
}

// through asks the proxy at that address for a tunnel.
func (d dialer) through(ctx context.Context, via *url.URL, at string) (*socket, error) {
	nc, err := d.connect(ctx, at)
	if err != nil {
		return nil, err
	}
	s := plain(nc)
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(past) })
	switch via.Scheme {
	case "http":
		err = d.tunnel(s, via)
	case "https":
		if err = d.secureProxy(ctx, s, via); err == nil {
			err = d.tunnel(s, via)
		}
	default:
		err = d.socks(ctx, s, via)
	}
	if !stop() { // the deadline may be set at any moment
		err = ctx.Err()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// secureProxy puts TLS on the connection to a proxy.
func (d dialer) secureProxy(ctx context.Context, s *socket, via *url.URL) error {
	s.under = &under{Conn: s.tcp}
	s.tls = tls.Client(s.under, &tls.Config{ServerName: via.Hostname(), NextProtos: []string{"http/1.1"}, InsecureSkipVerify: d.insecure})
	s.Conn = s.tls
	return s.tls.HandshakeContext(ctx)
}

// tunnel asks an HTTP proxy. What comes behind its answer is the server's.
func (d dialer) tunnel(s *socket, via *url.URL) error {
	ask := "CONNECT " + d.addr + " HTTP/1.1\r\nHost: " + d.addr + "\r\n"
	if via.User != nil {
		password, _ := via.User.Password()
		ask += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(s, ask+"\r\n"); err != nil {
		return err
	}
	in := bufio.NewReader(&io.LimitedReader{R: s, N: 64 << 10})
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return &refusedError{fmt.Sprintf("its answer to CONNECT cannot be read: %s", innermost(err))}
	}
	if answer.StatusCode/100 != 2 {
		text := fmt.Sprintf("it refuses CONNECT %s: %s", d.addr, answer.Status)
		if answer.StatusCode == http.StatusProxyAuthRequired {
			text += map[bool]string{true: " (it wants a user and a password: --upstream-proxy http://user:password@…)",
				false: " (its user or password is wrong)"}[via.User == nil]
		}
		return &refusedError{text}
	}
	s.ahead, err = in.Peek(in.Buffered())
	return err
}

// socks asks a SOCKS5 proxy, which looks names up itself.
func (d dialer) socks(ctx context.Context, s *socket, via *url.URL) error {
	var auth *proxy.Auth
	if via.User != nil {
		auth = &proxy.Auth{User: via.User.Username()}
		auth.Password, _ = via.User.Password()
	}
	client, err := proxy.SOCKS5("tcp", via.Host, auth, already{s.tcp})
	if err != nil {
		return err
	}
	if _, err = client.(proxy.ContextDialer).DialContext(ctx, "tcp", d.addr); err != nil {
		return &refusedError{fmt.Sprintf("it refuses %s: %s", d.addr, innermost(err))}
	}
	return s.tcp.SetDeadline(time.Time{})
}

// already is a dialer whose connection is there.
type already struct{ tcp *net.TCPConn }

// Dial answers the connection.
func (a already) Dial(string, string) (net.Conn, error) { return a.tcp, nil }

// DialContext answers the connection.
func (a already) DialContext(context.Context, string, string) (net.Conn, error) { return a.tcp, nil }
