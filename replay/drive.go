package replay

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
)

// DriveOptions are how Drive plays clients.
type DriveOptions struct {
	// Header are added to each upgrade request, in place of recorded ones of
	// the same name.
	Header []inspect.HeaderField
	// OnMiss, Speed, Values, Now and Limits are those of Options.
	OnMiss OnMiss
	Speed  float64
	Values map[string][]byte
	Now    func() time.Time
	Limits inspect.Limits
	// Exact compares the server's times, uuids and what else looks made anew each
	// time as they were; otherwise any will do.
	Exact bool
	// Wait is how long the server may be silent when it is expected to speak,
	// beyond the pauses that were recorded; 0: 10 s.
	Wait time.Duration
	// Dial connects to the server; nil: net.Dialer does. TLS is how, for wss.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	TLS  *tls.Config
	// Tap, if set, is told what passes.
	Tap inspect.Sink
	// Ended, if set, takes each session's result as it ends, one at a time.
	Ended func(Result)
}

// driving is one run of Drive.
type driving struct {
	c      *cassette.Cassette
	target *url.URL
	o      DriveOptions
	values map[string][]byte

	mu      sync.Mutex
	results []Result
	errs    []error
}

// Drive plays the clients of a cassette against a real server, each session when
// those that were over before it began are, and says of each whether the server
// did what was recorded. The error is one of reaching the server, or ctx's. It
// returns when every session is over and all of its goroutines have returned.
func Drive(ctx context.Context, c *cassette.Cassette, target *url.URL, o DriveOptions) ([]Result, error) {
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if !o.Exact {
		c = c.LooseServer()
	}
	d := &driving{c: c, target: target, o: o, values: valuesOf(c, o.Values)}
	sessions := c.Sessions()
	begins, ends := spans(c)
	over := make([]chan struct{}, len(sessions))
	var running sync.WaitGroup
	for i, s := range sessions {
		over[i] = make(chan struct{})
		running.Go(func() {
			defer close(over[i])
			for j := range i {
				if ends[sessions[j].N] < begins[s.N] {
					<-over[j]
				}
			}
			d.session(ctx, s)
		})
	}
	running.Wait()
	slices.SortStableFunc(d.results, func(a, b Result) int { return a.Session - b.Session })
	return d.results, errors.Join(errors.Join(d.errs...), ctx.Err())
}

// spans are the first and the last line of each session.
func spans(c *cassette.Cassette) (begins, ends map[int]int) {
	begins, ends = map[int]int{}, map[int]int{}
	for i := range c.Lines {
		n := c.Lines[i].Session
		if _, ok := begins[n]; !ok {
			begins[n] = i
		}
		ends[n] = i
	}
	return begins, ends
}

// session plays one session's client.
func (d *driving) session(ctx context.Context, s *cassette.Session) {
	if ctx.Err() != nil {
		return
	}
	scope := cassette.NewScope(d.values)
	if d.o.Now != nil {
		scope.Now = d.o.Now
	}
	path := strings.TrimSuffix(d.target.Path, "/") + scope.FillText(s.Upgrade.Path)
	r := Result{Session: s.N, Path: path, Side: inspect.ToClient}
	w, err := d.dial(ctx)
	if err != nil {
		d.fail(err)
		return
	}
	defer w.Close() // the session is over
	w = tap(w, d.o.Tap, inspect.ToClient)
	r.Client = w.LocalAddr().String()
	request := d.request(s.Upgrade, path, scope)
	stop := context.AfterFunc(ctx, func() { _ = w.SetDeadline(time.Unix(1, 0)) }) // ends reads and writes
	defer stop()
	_ = w.SetDeadline(time.Now().Add(d.o.Wait))
	answer, rest, err := d.shake(w, request)
	if err != nil {
		r.Mismatch = &Mismatch{Side: inspect.ToClient, Problem: "no answer to the upgrade: " + err.Error()}
		d.ended(r)
		return
	}
	_ = w.SetDeadline(time.Time{})
	a, m := d.judge(s.Upgrade, request, answer)
	if r.Status = answer.Status; m != nil || !s.Upgrade.Accepted() {
		r.Mismatch = m
		d.ended(r)
		return
	}
	p := newSide(inspect.ToServer, s, a, scope)
	p.wire, p.onMiss, p.speed, p.limit = w, d.o.OnMiss, d.o.Speed, d.o.Wait
	if d.o.Speed > 0 {
		p.limit += longest(s, d.o.Speed)
	}
	p.hearing = cassette.HearServer(request, answer.Raw, d.o.Limits)
	halt := context.AfterFunc(ctx, func() {
		p.stop()
		_ = w.Close() // its reader and writer return
	})
	p.run(rest)
	halt()
	p.fill(&r)
	d.ended(r)
}

// longest is the longest pause of a session, at a speed.
func longest(s *cassette.Session, speed float64) (most time.Duration) {
	for i := range s.Lines {
		most = max(most, time.Duration(float64(s.Lines[i].After)/speed))
	}
	return most
}

func (d *driving) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs = append(d.errs, err)
}

func (d *driving) ended(r Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.results = append(d.results, r)
	if d.o.Ended != nil {
		d.o.Ended(r)
	}
}

func (d *driving) dial(ctx context.Context) (wire, error) {
	secure := d.target.Scheme == "wss" || d.target.Scheme == "https"
	port := d.target.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[secure]
	}
	dialing, cancel := context.WithTimeout(ctx, d.o.Wait)
	defer cancel()
	c, err := d.o.Dial(dialing, "tcp", net.JoinHostPort(d.target.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if !secure {
		return wireOf(c), nil
	}
	config := d.o.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = d.target.Hostname()
	}
	config.NextProtos = []string{"http/1.1"}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(dialing); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return t, nil
}

// half is a connection that cannot end one direction alone.
type half struct{ net.Conn }

// CloseWrite ends both.
func (h half) CloseWrite() error { return h.Close() }

func wireOf(c net.Conn) wire {
	if w, ok := c.(wire); ok {
		return w
	}
	return half{c}
}

// request writes an upgrade request: the recorded headers, with a new key and
// the Host of the server that is really there.
func (d *driving) request(u *cassette.Upgrade, path string, scope *cassette.Scope) []byte {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	fields := []inspect.HeaderField{{Name: "Host", Value: d.target.Host}, {Name: "Upgrade", Value: "websocket"}, {Name: "Connection", Value: "Upgrade"},
		{Name: "Sec-WebSocket-Key", Value: base64.StdEncoding.EncodeToString(key[:])}, {Name: "Sec-WebSocket-Version", Value: "13"}}
	if len(u.Subprotocols) > 0 {
		all := make([]string, len(u.Subprotocols))
		for i, p := range u.Subprotocols {
			all[i] = scope.FillText(p)
		}
		fields = append(fields, inspect.HeaderField{Name: "Sec-WebSocket-Protocol", Value: strings.Join(all, ", ")})
	}
	own := len(fields)
	named := func(all []inspect.HeaderField, name string) bool {
		return slices.ContainsFunc(all, func(f inspect.HeaderField) bool { return strings.EqualFold(f.Name, name) })
	}
	for _, f := range u.Headers {
		if !named(fields[:own], f.Name) && !named(d.o.Header, f.Name) && !strings.EqualFold(f.Name, "Sec-WebSocket-Protocol") {
			fields = append(fields, f)
		}
	}
	if !named(u.Headers, "Sec-WebSocket-Extensions") && u.Extensions != "" {
		fields = append(fields, inspect.HeaderField{Name: "Sec-WebSocket-Extensions", Value: offer(u.Extensions)})
	}
	fields = append(fields, d.o.Header...)
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\n", path)
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// offer is an extension as a client offers it that wants what was agreed.
func offer(agreed string) string {
	if all, err := inspect.ParseExtensions([]string{agreed}); err == nil && len(all) == 1 && all[0].Name == inspect.DeflateName {
		return inspect.DeflateName + "; client_max_window_bits"
	}
	return agreed
}

// shake sends a request and reads the head of its final answer, and what came
// behind it.
func (d *driving) shake(w wire, request []byte) (*inspect.Head, []byte, error) {
	if _, err := w.Write(request); err != nil {
		return nil, nil, err
	}
	scanner := inspect.HeadScanner{Limit: d.o.Limits.Head}
	buf := make([]byte, bufferSize)
	for {
		n, err := w.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			raw, left, serr := scanner.Next(rest)
			if serr != nil {
				return nil, nil, serr
			}
			if rest = left; raw == nil {
				break
			}
			h, perr := inspect.ParseResponse(bytes.Clone(raw))
			if perr != nil {
				return nil, nil, perr
			}
			if h.Status >= 200 || h.Status == 101 {
				return h, bytes.Clone(rest), nil
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// judge compares an answer with the recorded one, and says what it agrees on.
func (d *driving) judge(u *cassette.Upgrade, request []byte, answer *inspect.Head) (*inspect.Deflate, *Mismatch) {
	miss := func(format string, args ...any) *Mismatch {
		return &Mismatch{Side: inspect.ToClient, Problem: fmt.Sprintf(format, args...)}
	}
	if answer.Status != u.Accept.Status {
		return nil, miss("the upgrade is answered with %d, and was with %d", answer.Status, u.Accept.Status)
	}
	if !u.Accepted() {
		return nil, nil
	}
	asked, err := inspect.ParseRequest(request)
	if err != nil {
		return nil, miss("the recorded request is none: %v", err)
	}
	h := inspect.NewHandshake(asked, nil, answer)
	switch {
	case h.Accept != h.Want:
		return nil, miss("the answer's Sec-WebSocket-Accept is %q, and %q would be right", visible(h.Accept), h.Want)
	case h.Subprotocol != u.Subprotocol:
		return nil, miss("the server chose the subprotocol %q, and %q when it was recorded", visible(h.Subprotocol), visible(u.Subprotocol))
	}
	return h.Deflate, nil
}
