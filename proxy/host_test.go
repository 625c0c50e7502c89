package proxy

import (
	"net"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

func TestForeignHosts(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(192, 168, 7, 7), Port: 8080}
	allow := Hosts{"dev.example", "10.1.2.3:80"}
	for head, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n":                  "",
		"GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n":                   "",
		"GET / HTTP/1.1\r\nHost: 127.9.9.9\r\n\r\n":                       "",
		"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n":                      "",
		"GET / HTTP/1.1\r\nHost: 192.168.7.7:8080\r\n\r\n":                "",
		"GET / HTTP/1.1\r\nHost: 192.168.7.8\r\n\r\n":                     "192.168.7.8",
		"GET / HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n":                        "",
		"GET / HTTP/1.1\r\nHost: DEV.example.:99\r\n\r\n":                 "",
		"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n":                    "evil.example",
		"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n": "evil.example",
		"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n":    "evil.example",
		"GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n":          "localhost.evil.example",
		"GET / HTTP/1.0\r\n\r\n":                                          "",
	} {
		h, err := inspect.ParseRequest([]byte(head))
		if err != nil {
			t.Fatal(err)
		}
		if got := allow.Foreign(h, local); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
	h, err := inspect.ParseRequest([]byte("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := (Hosts{"*"}).Foreign(h, local); got != "" {
		t.Errorf("with every host allowed: %q", got)
	}
}
