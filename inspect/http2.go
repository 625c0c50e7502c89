package inspect

import (
	"encoding/json"
	"fmt"
)

// HTTP2Stream says that a leg is a stream of an HTTP/2 connection, written as the
// equivalent HTTP/1.1: connections with the same Conn share theirs.
type HTTP2Stream struct {
	Conn   ConnID `json:"conn"`
	Stream uint32 `json:"stream"`
}

// HTTP2Note stands where the HTTP/1.1 form of a head begins that came in HTTP/2:
// the client's request on the client leg, the server's answer on the server leg.
type HTTP2Note struct {
	Kind   string      `json:"kind"`
	Stream uint32      `json:"stream"`
	Fields HTTP2Fields `json:"fields"`
}

// HTTP2Fields are a head as HTTP/2 has it: pseudo-header fields and fields, in order.
// In JSON each is an object of one name and its value.
type HTTP2Fields []HeaderField

// MarshalJSON writes [{":method":"GET"},{"accept":"*/*"}].
func (f HTTP2Fields) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, h := range f {
		if i > 0 {
			b = append(b, ',')
		}
		one, err := json.Marshal(map[string]string{h.Name: h.Value})
		if err != nil {
			return nil, err
		}
		b = append(b, one...)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *HTTP2Fields) UnmarshalJSON(b []byte) error {
	var all []map[string]string
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*f = make(HTTP2Fields, 0, len(all))
	for _, one := range all {
		if len(one) != 1 {
			return fmt.Errorf("a field with %d names", len(one))
		}
		for n, v := range one {
			*f = append(*f, HeaderField{Name: n, Value: v})
		}
	}
	return nil
}

// HTTP2 answers the newest heads that came in HTTP/2, by Leg: the client's request
// and the server's answer; nil where there was none.
func (c *Conn) HTTP2() [2]*HTTP2Note { return c.http2 }

func (c *Conn) takeHTTP2(n Note) {
	h := new(HTTP2Note)
	if json.Unmarshal(n.JSON, h) == nil {
		c.http2[n.Leg&1] = h
	}
}
