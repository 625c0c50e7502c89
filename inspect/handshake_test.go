package inspect

import (
	"strings"
	"testing"
)

func TestAcceptKey(t *testing.T) {
	if got := AcceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455 section 1.3
		t.Error(got)
	}
}

func TestParseExtensions(t *testing.T) {
	for _, tt := range []struct {
		in   []string
		want string // the extensions in their own form, with | between them
		ok   bool
	}{
		{nil, "", true},
		{[]string{"permessage-deflate"}, "permessage-deflate", true},
		{[]string{"permessage-deflate; client_max_window_bits, permessage-deflate"}, "permessage-deflate; client_max_window_bits|permessage-deflate", true},
		{[]string{"foo, bar; baz=2", " x"}, "foo|bar; baz=2|x", true},
		{[]string{`a ;b="1" ; c="q\"\\,;x"`}, `a; b=1; c="q\"\\,;x"`, true},
		{[]string{", ,a,,"}, "a", true},
		{[]string{"a b"}, "a", false},
		{[]string{"a;"}, "", false},
		{[]string{"a;b="}, "", false},
		{[]string{`a;b="x`}, "", false},
		{[]string{"ok, a=1"}, "ok|a", false},
	} {
		exts, err := ParseExtensions(tt.in)
		var got []string
		for _, e := range exts {
			got = append(got, e.String())
		}
		if strings.Join(got, "|") != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %q %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

// FuzzExtensions: what was read, written in the header's form and read again,
// is the same.
func FuzzExtensions(f *testing.F) {
	f.Add(`permessage-deflate; client_max_window_bits="10", x;y=z`)
	f.Fuzz(func(t *testing.T, in string) {
		exts, err := ParseExtensions([]string{in})
		if err != nil {
			return
		}
		var parts []string
		for _, e := range exts {
			parts = append(parts, e.String())
		}
		out := strings.Join(parts, ", ")
		again, err := ParseExtensions([]string{out})
		if err != nil || len(again) != len(exts) {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		for i := range again {
			if again[i].String() != exts[i].String() {
				t.Fatalf("%q became %q", exts[i], again[i])
			}
		}
	})
}

func TestDeflateOf(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"", "", true},
		{"x-webkit-deflate-frame", "", true},
		{"permessage-deflate", "deflate 15/15", true},
		{"permessage-deflate; server_no_context_takeover; client_no_context_takeover", "deflate 15*/15*", true},
		{"permessage-deflate; server_max_window_bits=8; client_max_window_bits=\"12\"", "deflate 12/8", true},
		{"permessage-deflate; server_max_window_bits=7", "", false},
		{"permessage-deflate; server_max_window_bits=16", "", false},
		{"permessage-deflate; server_max_window_bits=08", "", false},
		{"permessage-deflate; client_max_window_bits", "", false}, // in an answer it needs a value
		{"permessage-deflate; server_no_context_takeover=1", "", false},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", "", false},
		{"permessage-deflate; what=1", "", false},
	} {
		exts, err := ParseExtensions([]string{tt.in})
		if err != nil {
			t.Fatal(err)
		}
		d, err := DeflateOf(exts)
		got := ""
		if d != nil {
			got = d.String()
		}
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %q %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func mustHead(t testing.TB, raw string) *Head {
	t.Helper()
	parse := ParseRequest
	if strings.HasPrefix(raw, "HTTP/") {
		parse = ParseResponse
	}
	h, err := parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNewHandshake(t *testing.T) {
	req := mustHead(t, strings.TrimSuffix(reqHead, "\r\n")+"Sec-WebSocket-Protocol: a, b\r\nsec-websocket-protocol: c\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
	resp := mustHead(t, strings.TrimSuffix(respHead, "\r\n")+"Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n\r\n")
	h := NewHandshake(req, req, resp)
	if h.Path() != "/chat?x=1" || h.Want != h.Accept || h.Want != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || strings.Join(h.Offered, ",") != "a,b,c" ||
		h.Subprotocol != "b" || h.Deflate.String() != "deflate 9/15" || len(h.OfferedExt) != 1 || h.Problems != nil || h.Sent != nil {
		t.Errorf("%+v", h)
	}
	h = NewHandshake(req, mustHead(t, reqHead), nil)
	if h.Sent == nil || h.Response != nil || h.Deflate != nil {
		t.Errorf("%+v", h)
	}
	h = NewHandshake(req, nil, mustHead(t, "HTTP/1.1 101 x\r\nSec-WebSocket-Extensions: permessage-deflate; bogus, =\r\n\r\n"))
	if h.Deflate != nil || len(h.Problems) != 2 {
		t.Errorf("%q", h.Problems)
	}
}

// FuzzHandshake: reading a handshake never fails, and what is agreed on was
// read from the answer.
func FuzzHandshake(f *testing.F) {
	f.Add(reqHead, respHead)
	f.Add("GET / HTTP/1.1\r\nSec-WebSocket-Protocol: ,,\r\n\r\n", "HTTP/1.1 101 \r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15\r\n\r\n")
	f.Fuzz(func(t *testing.T, request, response string) {
		req, err := ParseRequest([]byte(request))
		if err != nil {
			return
		}
		resp, err := ParseResponse([]byte(response))
		if err != nil {
			return
		}
		h := NewHandshake(req, nil, resp)
		if d := h.Deflate; d != nil {
			if !strings.Contains(response, DeflateName) || d.ServerMaxWindowBits < 8 || d.ClientMaxWindowBits > 15 {
				t.Fatalf("%v from %q", d, response)
			}
		}
		if (h.Want == "") != (h.Key == "") {
			t.Fatalf("key %q wants %q", h.Key, h.Want)
		}
	})
}
