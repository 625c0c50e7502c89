package main

import (
	"net/url"
	"testing"
)

func TestUpstream(t *testing.T) {
	for _, c := range []struct {
		asked  string
		env    map[string]string
		server string
		want   string // "" for none
	}{
		{"", nil, "http://example.com", ""},
		{"", map[string]string{"HTTP_PROXY": "http://p:1"}, "http://example.com", "http://p:1"},
		{"", map[string]string{"HTTP_PROXY": "http://p:1"}, "https://example.com", ""},
		{"", map[string]string{"https_proxy": "p:1"}, "https://example.com", "http://p:1"},
		{"", map[string]string{"ALL_PROXY": "socks5://p:1"}, "https://example.com", "socks5://p:1"},
		{"", map[string]string{"ALL_PROXY": "socks5://p:1", "HTTP_PROXY": "http://q:2"}, "http://example.com", "http://q:2"},
		{"", map[string]string{"ALL_PROXY": "http://p:1"}, "http://localhost:3000", ""},
		{"", map[string]string{"ALL_PROXY": "http://p:1"}, "http://127.0.0.1:3000", ""},
		{"", map[string]string{"ALL_PROXY": "http://p:1", "NO_PROXY": ".example.com"}, "http://www.example.com", ""},
		{"direct", map[string]string{"ALL_PROXY": "http://p:1"}, "http://example.com", ""},
		{"http://me:pw@q:2", map[string]string{"ALL_PROXY": "http://p:1"}, "http://example.com", "http://me:pw@q:2"},
		{"q:2", nil, "https://example.com", "http://q:2"},
		{"http://q:2", map[string]string{"NO_PROXY": "example.com,10.0.0.0/8"}, "https://example.com", ""},
		{"http://q:2", map[string]string{"NO_PROXY": "example.com,10.0.0.0/8"}, "https://10.1.2.3:443", ""},
		{"http://q:2", nil, "https://localhost:3000", "http://q:2"},
		{"http://q:2", map[string]string{"NO_PROXY": "x, localhost"}, "https://localhost:3000", ""},
		{"http://q:2", map[string]string{"NO_PROXY": "127.0.0.1:3000"}, "https://127.0.0.1:3000", ""},
		{"http://q:2", map[string]string{"NO_PROXY": "127.0.0.1:3000"}, "https://127.0.0.1:3001", "http://q:2"},
		{"http://q:2", map[string]string{"NO_PROXY": "127.0.0.0/8"}, "https://127.0.0.1:3001", ""},
		{"http://q:2", map[string]string{"NO_PROXY": "*"}, "https://127.0.0.1:3001", ""},
	} {
		f, err := upstreamOf(c.asked, func(name string) string { return c.env[name] })
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		server, err := url.Parse(c.server)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if f != nil {
			if u, err := f(server); err != nil {
				t.Errorf("%+v: %v", c, err)
			} else if u != nil {
				got = u.String()
			}
		}
		if got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
	for _, bad := range []string{"ftp://p:1", "http://", "http://a b", "://"} {
		if _, err := upstreamOf(bad, func(string) string { return "" }); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
