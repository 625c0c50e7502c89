package ui

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// Past says which way an answer leads the client past a reverse proxy: a redirect to the
// server's own address, or an address of a WebSocket that is written into a page or a
// script. Each is a sentence with the command that catches it too.
func Past(e *inspect.Exchange) []string {
	if e.Conn.Mode != "reverse" || e.Request == nil || e.Response == nil || e.Request.Get("Host") == "" {
		return nil
	}
	p := passage{e: e, asked: e.Request.Get("Host")}
	server, err := url.Parse(strings.Replace(e.Conn.Target, "ws", "http", 1))
	if err != nil {
		return nil
	}
	p.server = server
	if to, err := url.Parse(e.Response.Get("Location")); err == nil && e.Response.Status/100 == 3 && to.Host != "" && p.near(to) && !p.same(to.Scheme, to.Host) {
		p.say("redirects to", to)
	}
	for _, u := range socketURLs(e.Response, e.Down.Data) {
		if (p.near(u) || strings.Contains(u.Hostname(), ".")) && !p.same(u.Scheme, u.Host) {
			p.say("has the address", u)
		}
	}
	return p.said
}

// passage is an answer while it is looked at.
type passage struct {
	e      *inspect.Exchange
	asked  string // the Host that the client asked
	server *url.URL
	said   []string
}

// near says that a URL is of the server, or of the same machine.
func (p *passage) near(u *url.URL) bool {
	host, _, err := net.SplitHostPort(p.asked)
	if err != nil {
		host = p.asked
	}
	return strings.EqualFold(u.Hostname(), p.server.Hostname()) || strings.EqualFold(u.Hostname(), host) || loopback(u.Hostname())
}

// same says that a host is the one that the client asked.
func (p *passage) same(scheme, host string) bool {
	ours := "http"
	if p.e.Conn.ClientTLS != nil {
		ours = "https"
	}
	a, b := withPort(scheme, host), withPort(ours, p.asked)
	if strings.EqualFold(a, b) {
		return true
	}
	ha, pa, _ := net.SplitHostPort(a)
	hb, pb, _ := net.SplitHostPort(b)
	return pa == pb && loopback(ha) && loopback(hb)
}

// say says where the client is led. What catches it is a browser of its own, in
// front of which wsproxy is a forward proxy.
func (p *passage) say(verb string, to *url.URL) {
	page := *p.server
	page.Path, page.RawQuery = "/", ""
	if verb == "redirects to" {
		page = *to
	}
	to.RawQuery, to.Fragment, to.User = "", "", nil // it may carry what is nobody's business
	page.RawQuery, page.Fragment, page.User = "", "", nil
	if page.Scheme == "" {
		page.Scheme = p.server.Scheme
	}
	path, _, _ := strings.Cut(p.e.Request.Target, "?")
	text := fmt.Sprintf("past wsproxy: %s %s %s; to catch that too: wsproxy browser %s", path, verb, to, &page)
	if text = clipped(inspect.Visible([]byte(text), 0), 300); !slices.Contains(p.said, text) {
		p.said = append(p.said, text)
	}
}

func withPort(scheme, host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if scheme == "https" || scheme == "wss" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") || err == nil && a.IsLoopback()
}

// socketLimit bounds what is read of a page.
const socketLimit = 64 << 10

// socketURL is an address in a string of a page. What is put together there, as
// `ws://${host}`, is none.
var socketURL = regexp.MustCompile("[\"'`](wss?://(?:[a-zA-Z0-9.-]+|\\[[0-9a-fA-F:.]+\\])(?::[0-9]{1,5})?(?:/[^\"'`\\s\\\\<>]*)?)[\"'`]")

// socketURLs are the addresses of WebSockets that are written into a page or a script.
func socketURLs(head *inspect.Head, body []byte) []*url.URL {
	kind := strings.ToLower(head.Get("Content-Type"))
	if !strings.Contains(kind, "html") && !strings.Contains(kind, "javascript") {
		return nil
	}
	body = body[:min(len(body), socketLimit)]
	if enc := head.Get("Content-Encoding"); enc != "" {
		body, _, _ = decoded(body, enc)
	}
	var all []*url.URL
	for _, m := range socketURL.FindAllSubmatch(body, 10) {
		u, err := url.Parse(string(m[1]))
		if err == nil && !strings.HasPrefix(u.Hostname(), "example.") && !strings.Contains(u.Hostname(), ".example") && !strings.Contains(u.Path, "${") {
			all = append(all, u)
		}
	}
	return all
}

// Bounds of the scout.
const (
	hintsMost   = 3
	scoutedMost = 5000 // exchanges
)

// scout looks through exchanges for what leads past wsproxy, until ctx ends or it has
// seen enough. Its caller waits for it.
func (v *view) scout(ctx context.Context) {
	at, looked := 0, 0
	var hints []string
	for looked < scoutedMost && len(hints) < hintsMost {
		select {
		case <-ctx.Done():
			return
		case <-v.scouting:
		}
		known := len(hints)
		for n := v.source.Sessions(); at < n && len(hints) < hintsMost && ctx.Err() == nil; at++ {
			x := v.source.Session(at)
			if x.Kind != record.Exchange || x.Exchange == nil || x.Forgotten {
				continue
			}
			looked++
			for _, h := range Past(x.Exchange) {
				if !slices.Contains(hints, h) {
					hints = append(hints, h)
				}
			}
		}
		if len(hints) > known {
			told := slices.Clone(hints)
			v.post(func() { v.hints = told })
		}
	}
}
