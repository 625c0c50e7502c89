package inspect

import "testing"

func TestCloseCodes(t *testing.T) {
	for _, tt := range []struct {
		code     CloseCode
		text     string
		class    CloseClass
		sendable bool
	}{
		{0, "0 invalid", CloseInvalid, false},
		{999, "999 invalid", CloseInvalid, false},
		{1000, "1000 normal closure", CloseRegistered, true},
		{1004, "1004 reserved", CloseReserved, false},
		{1005, "1005 no status received", CloseReserved, false},
		{1006, "1006 abnormal closure", CloseReserved, false},
		{1011, "1011 internal error", CloseRegistered, true},
		{1014, "1014 bad gateway", CloseRegistered, true},
		{1015, "1015 TLS handshake", CloseReserved, false},
		{1016, "1016 unassigned", CloseUnassigned, false},
		{2999, "2999 unassigned", CloseUnassigned, false},
		{3000, "3000 unauthorized", CloseLibrary, true},
		{3999, "3999 library", CloseLibrary, true},
		{4000, "4000 private", ClosePrivate, true},
		{4999, "4999 private", ClosePrivate, true},
		{5000, "5000 invalid", CloseInvalid, false},
		{65535, "65535 invalid", CloseInvalid, false},
	} {
		if tt.code.String() != tt.text || tt.code.Class() != tt.class || tt.code.Sendable() != tt.sendable {
			t.Errorf("%d: %q %v sendable=%v, want %q %v %v", tt.code, tt.code, tt.code.Class(), tt.code.Sendable(), tt.text, tt.class, tt.sendable)
		}
		if tt.code.Meaning() == "" {
			t.Errorf("%d has no meaning", tt.code)
		}
	}
}

func TestParseClose(t *testing.T) {
	for _, tt := range []struct {
		in, reason string
		code       CloseCode
		ok         bool
	}{
		{"", "", 1005, true},
		{"\x03", "", 0, false},
		{"\x03\xe8", "", 1000, true},
		{"\x03\xeabye", "bye", 1002, true},
		{"\xff\xff\xff", "\xff", 65535, true},
	} {
		code, reason, ok := ParseClose([]byte(tt.in))
		if code != tt.code || string(reason) != tt.reason || ok != tt.ok {
			t.Errorf("%q: %d %q %v", tt.in, code, reason, ok)
		}
	}
}
