package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// A wsproxy is the other proxy of another: every way through it is a way that is
// tested from both ends.
func TestUpstream(t *testing.T) {
	for _, scheme := range []string{"http", "http with a password", "socks5", "socks5h with a password"} {
		t.Run(scheme, func(t *testing.T) {
			scheme, secret, _ := strings.Cut(scheme, " ")
			other := newForwardRig(t, func(c *Config) {
				if secret != "" {
					c.Auth = "me:p w"
				}
			})
			via := &url.URL{Scheme: scheme, Host: other.addr}
			if secret != "" {
				via.User = url.UserPassword("me", "p w")
			}
			upstream := func(*url.URL) (*url.URL, error) { return via, nil }
			t.Run("reverse", func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.Upstream = upstream })
				client, server := r.open()
				r.send(client, wireFrames["masked"])
				r.expect(server, wireFrames["masked"])
				r.ends(client, server, false)
				for _, n := range r.heard.notes {
					if n.Kind == inspect.NotePeer && (!strings.Contains(string(n.JSON), `"proxy":"`+scheme+`://`+other.addr+`"`) || strings.Contains(string(n.JSON), "p w")) {
						t.Errorf("the note is %s", n.JSON)
					}
				}
			})
			for _, w := range ways {
				t.Run(w.name, func(t *testing.T) {
					r := newForwardRig(t, func(c *Config) { c.Upstream = upstream })
					client, server := r.openBy(w)
					r.send(server, "\x81\x04late")
					_ = server.CloseWrite()
					r.expect(client, "\x81\x04late")
					r.expectEnd(client, false)
					_ = client.Close()
					r.expectEnd(server, false)
				})
			}
			t.Run("plain HTTP", func(t *testing.T) {
				r := newForwardRig(t, func(c *Config) { c.Upstream = upstream })
				served := make(chan error, 1)
				server := &http.Server{Handler: http.NotFoundHandler()}
				go func() { served <- server.Serve(r.upstream) }()
				t.Cleanup(func() { _ = server.Close(); <-served })
				client := r.dial()
				r.send(client, "GET http://"+r.upstream.Addr().String()+"/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				page, err := io.ReadAll(client)
				if err != nil || !bytes.HasPrefix(page, []byte("HTTP/1.1 404 ")) {
					t.Errorf("%q, %v", page, err)
				}
			})
			t.Run("wss", func(t *testing.T) {
				s := newSecureRig(t, func(c *Config) { c.Upstream = upstream })
				client, server := s.openTLS(ways[1])
				s.send(client, wireFrames["masked"])
				s.expect(server, wireFrames["masked"])
				_ = server.CloseWrite()
				_ = server.NetConn().(*net.TCPConn).CloseWrite()
				s.expectEnd(client, false)
				_ = client.NetConn().Close()
			})
		})
	}
}

// secureProxy is a proxy with TLS on it, in front of one without.
func secureProxy(t *testing.T, to string, config *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				_, _ = io.Copy(onward, c)
				_ = onward.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(c, onward)
			_ = c.(*tls.Conn).CloseWrite()
			_ = c.(*tls.Conn).NetConn().(*net.TCPConn).CloseWrite()
			<-over
			_ = c.Close()
			_ = onward.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// TLS to the proxy, and TLS in it.
func TestUpstreamOverTLS(t *testing.T) {
	other := newForwardRig(t, nil)
	ca := newAuthority(t)
	cert, err := ca.leaf("127.0.0.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	via := &url.URL{Scheme: "https", Host: secureProxy(t, other.addr, &tls.Config{Certificates: []tls.Certificate{*cert}})}
	upstream := func(*url.URL) (*url.URL, error) { return via, nil }
	t.Run("ws", func(t *testing.T) {
		r := newForwardRig(t, func(c *Config) { c.Upstream, c.Insecure = upstream, true })
		client, server := r.openBy(ways[1])
		r.send(client, wireFrames["masked"])
		_ = client.CloseWrite()
		r.expect(server, wireFrames["masked"])
		r.expectEnd(server, false)
		_ = server.Close()
		r.expectEnd(client, false)
	})
	t.Run("wss", func(t *testing.T) {
		s := newSecureRig(t, func(c *Config) { c.Upstream, c.Insecure = upstream, true })
		client, server := s.openTLS(ways[1])
		s.send(client, wireFrames["masked"])
		s.expect(server, wireFrames["masked"])
		_ = client.CloseWrite()
		_ = client.NetConn().(*net.TCPConn).CloseWrite()
		s.expectEnd(server, false)
		s.send(server, "\x81\x04late")
		s.expect(client, "\x81\x04late")
		_ = server.CloseWrite()
		_ = server.NetConn().Close()
		s.expectEnd(client, false)
	})
	t.Run("not trusted", func(t *testing.T) {
		said := &lines{}
		r := newForwardRig(t, func(c *Config) { c.Upstream, c.Logf = upstream, said.logf })
		client := r.dial()
		r.send(client, "CONNECT "+r.upstream.Addr().String()+" HTTP/1.1\r\n\r\n")
		page, err := io.ReadAll(client)
		if err != nil || !bytes.HasPrefix(page, []byte("HTTP/1.1 502 ")) || !strings.Contains(said.String(), "the certificate of "+via.Host+" is not trusted") {
			t.Errorf("%q, %v; said %q", page, err, said)
		}
	})
}

// What is wrong with another proxy is told, and that it is not the server.
func TestUpstreamAnswers(t *testing.T) {
	for name, c := range map[string]struct{ scheme, answer, says string }{
		"refuses":        {"http", "HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n", "it refuses CONNECT example.test:80: 407 Who Are You (it wants a user and a password: --upstream-proxy http://user:password@…)"},
		"wrong password": {"http", "HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n", "it refuses CONNECT example.test:80: 407 Who Are You (its user or password is wrong)"},
		"no HTTP":        {"http", "220 mail\r\n", "its answer to CONNECT cannot be read"},
		"endless head":   {"http", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70_000), "its answer to CONNECT cannot be read"},
		"silent":         {"http", "", "did not answer within 200ms"},
		"no SOCKS":       {"socks5", "HTTP/1.1 400 Bad\r\n\r\n", "it refuses example.test:80"},
	} {
		t.Run(name, func(t *testing.T) {
			said := &lines{}
			via := &url.URL{Scheme: c.scheme, Host: scripted(t, c.answer)}
			if name == "wrong password" {
				via.User = url.UserPassword("me", "pw")
			}
			r := newForwardRig(t, func(config *Config) {
				config.Logf, config.DialTimeout = said.logf, 200*time.Millisecond
				config.Upstream = func(*url.URL) (*url.URL, error) { return via, nil }
			})
			client := r.dial()
			r.send(client, "CONNECT example.test:80 HTTP/1.1\r\n\r\n")
			page, err := io.ReadAll(client)
			if err != nil || !bytes.HasPrefix(page, []byte("HTTP/1.1 502 ")) {
				t.Errorf("%q, %v", page, err)
			}
			if !strings.Contains(said.String(), "the upstream proxy is in the way: ") || !strings.Contains(said.String(), c.says) || strings.Count(said.String(), "\n") != 1 {
				t.Errorf("said: %q", said)
			}
		})
	}
	t.Run("is ourselves", func(t *testing.T) {
		var via atomic.Pointer[url.URL]
		r := newForwardRig(t, func(c *Config) { c.Upstream = func(*url.URL) (*url.URL, error) { return via.Load(), nil } })
		via.Store(&url.URL{Scheme: "http", Host: r.addr})
		client := r.dial()
		r.send(client, "CONNECT example.test:80 HTTP/1.1\r\n\r\n")
		page, err := io.ReadAll(client)
		if err != nil || !bytes.Contains(page, []byte("is wsproxy itself")) {
			t.Errorf("%q, %v", page, err)
		}
	})
	t.Run("is an odd URL", func(t *testing.T) {
		r := newForwardRig(t, func(c *Config) {
			c.Upstream = func(*url.URL) (*url.URL, error) { return nil, errors.New("HTTP_PROXY is odd") }
		})
		client := r.dial()
		r.send(client, "CONNECT example.test:80 HTTP/1.1\r\n\r\n")
		page, err := io.ReadAll(client)
		if err != nil || !bytes.Contains(page, []byte("HTTP_PROXY is odd")) {
			t.Errorf("%q, %v", page, err)
		}
	})
	t.Run("speaks first", func(t *testing.T) {
		via := &url.URL{Scheme: "http", Host: scripted(t, "HTTP/1.1 200 OK\r\n\r\n220 mail\r\n")}
		r := newForwardRig(t, func(c *Config) { c.Upstream = func(*url.URL) (*url.URL, error) { return via, nil } })
		client := r.dial()
		r.send(client, "CONNECT example.test:25 HTTP/1.1\r\n\r\n")
		r.expect(client, established+"220 mail\r\n")
	})
}

// scripted is a server that answers the first bytes of a connection with that.
func scripted(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = c.Read(make([]byte, 1000))
		_, _ = io.WriteString(c, answer)
		_, _ = io.Copy(io.Discard, c)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}
