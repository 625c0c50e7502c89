package decode

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
)

// Line is the item in one line for people: its number, direction and kind, what it
// answers and after how long, and about most bytes of what it says. It is safe to
// show on a terminal.
func (it *Item) Line(most int) string { return it.line(most, true) }

// Head is the line without what the item says.
func (it *Item) Head() string { return it.line(0, false) }

func (it *Item) line(most int, tree bool) string {
	var b strings.Builder
	arrow := ">"
	if it.Dir == inspect.ToClient {
		arrow = "<"
	}
	fmt.Fprintf(&b, "#%d %s %s  %s", it.N, arrow, it.Kind, inspect.Visible([]byte(it.Name), 200))
	if it.ID != "" {
		b.WriteString("  id=" + inspect.Visible([]byte(it.ID), 80))
	}
	if it.Topic != "" {
		b.WriteString("  topic=" + inspect.Visible([]byte(it.Topic), 120))
	}
	if it.Answers > 0 {
		fmt.Fprintf(&b, "  ⤶ #%d %s +%s", it.Answers, inspect.Visible([]byte(it.Of), 80), short(it.Latency))
	}
	if n := it.Brief(); tree && !n.empty() {
		b.WriteString("  ")
		b.Write(n.appendText(nil, most))
	}
	for _, f := range it.Findings {
		b.WriteString("  ! " + f.ID + ": " + inspect.Visible([]byte(f.Detail), 300))
	}
	return b.String()
}

// short is a duration in as many digits as anybody reads.
func short(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < time.Second:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}

// jsonMost is about how many bytes JSON of a tree has at most.
const jsonMost = 1 << 20

// JSON is the tree as JSON: what was JSON is written as it came, numbers with all
// their digits; bytes are {"$binary": base64}, a secret is "•••". A value that is
// packed in another, JSON in a string for one, is written unpacked.
func (n *Node) JSON() json.RawMessage { return n.appendJSON(nil) }

func (n *Node) appendJSON(b []byte) []byte {
	switch {
	case n.Secret:
		return append(b, `"`+hidden+`"`...)
	case len(b) > jsonMost:
		return append(b, `"…"`...)
	}
	switch n.Type {
	case Bool, Number:
		if end, why := jsonValue([]byte(n.Text), 0); why == "" && end == len(n.Text) {
			return append(b, n.Text...)
		}
		return quote(b, n.Text) // NaN, Infinity
	case Text:
		if n.open != nil {
			if kids := n.Children(); len(kids) == 1 {
				return kids[0].appendJSON(b)
			}
		}
		return quote(b, n.Text)
	case Binary:
		if n.open != nil {
			if kids := n.Children(); len(kids) == 1 {
				return kids[0].appendJSON(b)
			}
		}
		b = append(b, `{"$binary":"`...)
		b = base64.StdEncoding.AppendEncode(b, n.data)
		return append(b, `"}`...)
	case List:
		b = append(b, '[')
		for i, k := range n.Children() {
			if i > 0 {
				b = append(b, ',')
			}
			b = k.appendJSON(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, k := range n.Children() {
			if i > 0 {
				b = append(b, ',')
			}
			name := k.Name
			if name == "" {
				name = strconv.Itoa(i)
			}
			b = append(quote(b, name), ':')
			b = k.appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func quote(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil { // a string never fails
		return append(b, `""`...)
	}
	return harmless(b, q)
}

// harmless appends JSON with what a terminal would obey as escapes: encoding/json
// does so below U+0020 only, and U+009B begins an escape sequence on some.
func harmless(b, q []byte) []byte {
	for len(q) > 0 {
		r, n := utf8.DecodeRune(q)
		if r >= 0x7f && r < 0xa0 {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = append(b, q[:n]...)
		}
		q = q[n:]
	}
	return b
}
