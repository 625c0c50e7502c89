package h2

import (
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"

	"github.com/wsproxy/wsproxy/inspect"
)

// hopByHop are the fields that belong to an HTTP/1.1 connection and have no place
// in HTTP/2 (RFC 9113 section 8.2.2). TE has one value that does.
var hopByHop = map[string]bool{
	"connection": true, "proxy-connection": true, "keep-alive": true, "transfer-encoding": true, "upgrade": true, "http2-settings": true,
}

// notInTrailers are the fields that would change what a message is if a recipient
// merged them into its head (RFC 9110 section 6.5.1).
var notInTrailers = map[string]bool{
	"content-length": true, "host": true, "trailer": true, "te": true, "expect": true, "authorization": true,
	"cookie": true, "set-cookie": true, "content-encoding": true, "content-type": true, "content-range": true,
}

// forbidden is why a field of a peer's must not stand in an HTTP/2 message, nor
// come into an HTTP/1.1 one; nil if it may. http2.Framer has seen to the bytes of
// names and values; what is checked again would end a line or a name.
func forbidden(f hpack.HeaderField) error {
	switch {
	case !httpguts.ValidHeaderFieldName(f.Name) || strings.ToLower(f.Name) != f.Name:
		return malformed("the field name %s", inspect.Visible([]byte(strconv.Quote(f.Name)), 60))
	case !httpguts.ValidHeaderFieldValue(f.Value):
		return malformed("the value of %s", f.Name)
	case strings.Trim(f.Value, " \t") != f.Value: // RFC 9113 section 8.2.1
		return malformed("white space around the value of %s", f.Name)
	case hopByHop[f.Name]:
		return malformed("the field %s, which HTTP/2 forbids", f.Name)
	case f.Name == "te" && !strings.EqualFold(f.Value, "trailers"):
		return malformed("te with another value than trailers")
	}
	return nil
}

// lengthOf reads content-length; -1: there is none.
func lengthOf(fields []hpack.HeaderField) (int64, error) {
	length := int64(-1)
	for _, f := range fields {
		if f.Name != "content-length" {
			continue
		}
		n, err := strconv.ParseUint(f.Value, 10, 63)
		if err != nil || f.Value[0] == '+' || length >= 0 {
			return 0, malformed("content-length %s", inspect.Visible([]byte(strconv.Quote(f.Value)), 60))
		}
		length = int64(n)
	}
	return length, nil
}

// told are fields as Stream.Head answers them.
func told(fields []hpack.HeaderField) []inspect.HeaderField {
	all := make([]inspect.HeaderField, len(fields))
	for i, f := range fields {
		all[i] = inspect.HeaderField{Name: f.Name, Value: f.Value}
	}
	return all
}

// line appends a header line.
func line(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

// trailersOf are the trailing fields of a peer's as lines of a chunked body's trailer.
func trailersOf(fields []hpack.HeaderField) ([]byte, error) {
	var b []byte
	for _, f := range fields {
		if strings.HasPrefix(f.Name, ":") {
			return nil, malformed("%s in trailers", f.Name)
		}
		if err := forbidden(f); err != nil {
			return nil, err
		}
		if !notInTrailers[f.Name] {
			b = line(b, f.Name, f.Value)
		}
	}
	return b, nil
}

// fieldsOf are a HTTP/1.1 head's fields as HTTP/2 has them: lower case, without
// those of the connection, and without those that drop names, which HTTP/2 cannot
// carry; their names are answered.
func fieldsOf(h *inspect.Head, to []hpack.HeaderField, drop func(name string) bool) (fields []hpack.HeaderField, lost []string) {
	listed := map[string]bool{}
	for _, v := range h.Values("Connection") {
		for t := range strings.SplitSeq(v, ",") {
			listed[strings.ToLower(strings.Trim(t, " \t"))] = true
		}
	}
	for _, f := range h.Fields {
		name := strings.ToLower(f.Name)
		if name == "te" && h.Token("TE", "trailers") {
			if !listed["\x00te"] { // once
				to, listed["\x00te"] = append(to, hpack.HeaderField{Name: "te", Value: "trailers"}), true
			}
			continue
		}
		if hopByHop[name] || listed[name] || name == "te" || drop(name) {
			continue
		}
		field := hpack.HeaderField{Name: name, Value: f.Value, Sensitive: name == "authorization" || name == "proxy-authorization"}
		if forbidden(field) != nil {
			lost = append(lost, name)
			continue
		}
		to = append(to, field)
	}
	return to, lost
}
