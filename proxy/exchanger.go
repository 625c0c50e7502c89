package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elazarl/goproxy"
)

// exchanger answers plain HTTP requests in absolute-form: goproxy on an HTTP
// server in this process, to which a connection's requests go through a pipe. No
// upgrade and no CONNECT comes here.
type exchanger struct {
	server *Server
	http   *http.Server
	tr     *http.Transport
	pipes  chan net.Conn
	served chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newExchanger(s *Server) *exchanger {
	x := &exchanger{server: s, pipes: make(chan net.Conn), served: make(chan struct{}), closed: make(chan struct{})}
	x.tr = &http.Transport{
		DialContext:         x.connect,
		Proxy:               x.upstream,
		DisableCompression:  true, // it would ask for gzip and undo it
		TLSClientConfig:     &tls.Config{KeyLogWriter: s.config.KeyLog, InsecureSkipVerify: s.config.Insecure, NextProtos: []string{"http/1.1"}},
		TLSHandshakeTimeout: s.config.DialTimeout,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     90 * time.Second,
	}
	p := goproxy.NewProxyHttpServer()
	p.Logger, p.Tr, p.ConnectDial = silence{}, x.tr, nil // its own look at the environment
	p.KeepAcceptEncoding = true
	p.OnRequest().DoFunc(x.before)
	p.OnResponse().DoFunc(x.after)
	x.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // it is there with HTTP/1
		defer x.abort()
		var cut atomic.Bool
		p.ServeHTTP(flushing{w}, r.WithContext(context.WithValue(r.Context(), cutKey{}, &cut)))
		if cut.Load() {
			panic(http.ErrAbortHandler) // else its end would look like the answer's
		}
	})}
	go func() {
		defer close(x.served)
		_ = x.http.Serve(x) // ends with close
	}()
	return x
}

// abort breaks an answer off whose making has panicked, and says why: net/http would
// print it.
func (x *exchanger) abort() {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		x.server.config.Logf("an exchange through goproxy panicked: %v", p)
		panic(http.ErrAbortHandler)
	}
}

// cutKey is the key of what says that an answer broke off, in a request's context.
type cutKey struct{}

// RoundTrip asks the server, and watches the answer's body.
func (x *exchanger) RoundTrip(r *http.Request, _ *goproxy.ProxyCtx) (*http.Response, error) {
	answer, err := x.tr.RoundTrip(r)
	if cut, ok := r.Context().Value(cutKey{}).(*atomic.Bool); ok && err == nil {
		answer.Body = &watched{answer.Body, cut}
	}
	return answer, err
}

// watched is a body that tells if it breaks off.
type watched struct {
	io.ReadCloser
	cut *atomic.Bool
}

// Read reads.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.cut.Store(true)
	}
	return n, err
}

// before keeps net/http from making up what the client did not say.
func (x *exchanger) before(r *http.Request, ctx *goproxy.ProxyCtx) (*http.Request, *http.Response) {
	ctx.RoundTripper = x
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = nil // else it sends its own
	}
	switch r.URL.Scheme {
	case "ws":
		r.URL.Scheme = "http"
	case "wss":
		r.URL.Scheme = "https"
	}
	return r, nil
}

// after answers in place of a server that could not be reached.
func (x *exchanger) after(r *http.Response, ctx *goproxy.ProxyCtx) *http.Response {
	if r != nil {
		r.Header.Del("Connection") // of that connection (RFC 9110 section 7.6.1)
		r.Header.Del("Keep-Alive")
		for _, name := range []string{"Content-Type", "Date"} {
			if _, ok := r.Header[name]; !ok {
				r.Header[name] = nil // else net/http makes one up
			}
		}
		return r
	}
	if ctx.Error == nil {
		return nil
	}
	why := ctx.Error.Error()
	if to, err := x.server.forward(&url.URL{Scheme: ctx.Req.URL.Scheme, Host: ctx.Req.URL.Host}); err == nil {
		why = to.dialer.sentence(ctx.Error)
	}
	if ctx.Req.Context().Err() == nil { // else the client has left
		x.server.config.Logf("%s", why)
	}
	page := goproxy.NewResponse(ctx.Req, "text/plain; charset=utf-8", http.StatusBadGateway, "wsproxy: "+strings.ToUpper(why[:1])+why[1:]+".\n")
	page.Header.Set("X-Content-Type-Options", "nosniff")
	return page
}

// connect dials a server for the transport.
func (x *exchanger) connect(ctx context.Context, _, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, x.server.config.DialTimeout)
	defer cancel()
	return dialer{own: x.server.listensOn}.connect(ctx, addr)
}

// upstream is the proxy that a request goes through.
func (x *exchanger) upstream(r *http.Request) (*url.URL, error) {
	if x.server.config.Upstream == nil {
		return nil, nil
	}
	return x.server.config.Upstream(r.URL)
}

// dial is a new connection to the HTTP server.
func (x *exchanger) dial() (*socket, error) {
	ours, its := net.Pipe()
	select {
	case x.pipes <- its:
		return &socket{Conn: ours}, nil
	case <-x.closed:
		return nil, net.ErrClosed
	}
}

// Accept, Close and Addr make it the server's listener.
func (x *exchanger) Accept() (net.Conn, error) {
	select {
	case c := <-x.pipes:
		return c, nil
	case <-x.closed:
		return nil, net.ErrClosed
	}
}

// Close ends accepting.
func (x *exchanger) Close() error {
	x.once.Do(func() { close(x.closed) })
	return nil
}

// Addr is of no use: a pipe has none.
func (x *exchanger) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// close ends the HTTP server and what it keeps open, once no connection is left,
// and waits for both.
func (x *exchanger) close() {
	if x == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if x.http.Shutdown(ctx) != nil { // a handler does not see that its client has left
		_ = x.http.Close()
	}
	x.tr.CloseIdleConnections()
	<-x.served
}

// silence is goproxy's log: what matters is told in answers.
type silence struct{}

// Printf says nothing.
func (silence) Printf(string, ...any) {}

// flushing passes each piece of an answer on at once: goproxy copies a body as
// though nobody waited for it.
type flushing struct{ http.ResponseWriter }

// Write writes and flushes.
func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// Unwrap is the ResponseWriter below.
func (f flushing) Unwrap() http.ResponseWriter { return f.ResponseWriter }

var _ io.Writer = flushing{}
