package ui

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/explain"
	"github.com/wsproxy/wsproxy/record"
)

// subject is what is copied: a request, and a message if one is selected.
type subject struct {
	url         string
	method      string // of a plain HTTP exchange
	subprotocol string
	headers     []inspect.HeaderField // beside those that every handshake has
	masked      []string              // names of the headers and parameters whose values are hidden

	opcode  inspect.Opcode
	payload []byte
	frame   record.Frame
	message bool // there is one
}

// copying is one thing that can be copied.
type copying struct {
	name, doc string
	message   bool // it needs a message
	make      func(*subject) []byte
}

// copyings is the table of them.
func copyings() []copying {
	text := func(f func(*subject) string) func(*subject) []byte {
		return func(s *subject) []byte { return []byte(f(s)) }
	}
	return []copying{
		{"payload", "the payload, unmasked and inflated; in hex if it is no text", true, copyPayload},
		{"hex", "the frame as on the wire, in hex", true, text(frameHex)},
		{"explain", "the command that explains the frame", true, text(explainLine)},
		{"build", "the command that builds the frame", true, text(buildLine)},
		{"websocat", "a websocat command that connects and sends it", false, text(websocatLine)},
		{"wscat", "a wscat command that connects and sends it", false, text(wscatLine)},
		{"curl", "a curl command that asks for the same", false, text(curlLine)},
		{"js", "JavaScript that connects and sends it", false, text(jsSnippet)},
		{"go", "Go that connects and sends it", false, text(goSnippet)},
	}
}

// ownHeaders are set by whoever opens a WebSocket.
var ownHeaders = []string{"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions",
	"content-length", "transfer-encoding", "accept-encoding", "proxy-connection", "keep-alive"}

// asked takes the request of a session for a subject, with its credentials only if
// they are asked for.
func (s *subject) asked(x *record.Session, secrets bool) {
	head := (*inspect.Head)(nil)
	switch {
	case x.Kind == record.Exchange:
		head = x.Exchange.Request
	case x.Handshake != nil:
		head = x.Handshake.Request
	}
	if head == nil {
		return
	}
	if !secrets {
		raw, masked := record.RedactHead(head.Raw)
		if len(masked) > 0 {
			if h, err := inspect.ParseRequest(raw); err == nil {
				head, s.masked = h, masked
			}
		}
	}
	target := (&inspect.Handshake{Request: head}).Path()
	if x.Kind == record.Exchange {
		s.method = head.Method
		s.url = address(x, target, "http")
	} else {
		s.url = address(x, target, "ws")
		if p := strings.Join(head.Values("Sec-WebSocket-Protocol"), ", "); oneWord(p) {
			s.subprotocol = p
		}
	}
	for _, f := range head.Fields {
		own := false
		for _, o := range ownHeaders {
			own = own || strings.EqualFold(o, f.Name)
		}
		if !own && oneWord(f.Name) && oneWord(f.Value) {
			s.headers = append(s.headers, f)
		}
	}
}

// address is a request's URL at the server behind wsproxy.
func address(x *record.Session, target, scheme string) string {
	base := x.Conn.Target
	if i := strings.Index(base, "://"); i >= 0 {
		rest := base[i+3:]
		if j := strings.IndexAny(rest, "/?#"); j >= 0 {
			rest = rest[:j]
		}
		if strings.HasPrefix(base, "wss") || strings.HasPrefix(base, "https") {
			scheme += "s"
		}
		return scheme + "://" + escapedURL(rest+target)
	}
	host := x.Conn.Client.Local
	if x.Peer != nil && x.Peer.Addr != "" {
		host = x.Peer.Addr
	}
	return scheme + "://" + escapedURL(host+target)
}

// escapedURL percent-encodes what cannot stand in a URL, or on a terminal.
func escapedURL(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= 0x20 || c >= 0x7f || c == '"' || c == '\'' || c == '`' || c == '\\' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// oneWord says that a text can be copied into a command: nothing in it could be
// obeyed by a terminal.
func oneWord(s string) bool { return s != "" && visible(s) == s && utf8.ValidString(s) }

// header is the value of one of the headers that are copied.
func (s *subject) header(name string) string {
	for _, f := range s.headers {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

func copyPayload(s *subject) []byte {
	if !utf8.Valid(s.payload) || bytes.IndexByte(s.payload, 0) >= 0 {
		return []byte(hex.EncodeToString(s.payload))
	}
	return s.payload
}

func frameHex(s *subject) string {
	return hex.EncodeToString(s.frame.Header.Append(nil)) + hex.EncodeToString(s.frame.Payload)
}

func explainLine(s *subject) string { return "wsproxy explain " + frameHex(s) }

func buildLine(s *subject) string {
	return "wsproxy explain --build " + shellWord(explain.Words(s.frame.Header, s.frame.Payload))
}

// shellWord is a text as one word of a POSIX shell.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+,:=@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellBytes is bytes as a word of a POSIX shell, and whether printf has to make it of
// escapes: what a terminal might obey is never copied into a command as it is.
func shellBytes(b []byte) (word string, escaped bool) {
	if s := string(b); utf8.Valid(b) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return shellWord(s), false
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\n':
			out.WriteString(`\n`)
		case r == '%':
			out.WriteString("%%")
		case r == '\\':
			out.WriteString(`\\`)
		case r == utf8.RuneError && n == 1 || !unicode.IsPrint(r):
			for _, c := range b[:n] {
				fmt.Fprintf(&out, `\%03o`, c)
			}
		default:
			out.WriteString(string(b[:n]))
		}
		b = b[n:]
	}
	return "'" + strings.ReplaceAll(out.String(), "'", `'\''`) + "'", true
}

func websocatLine(s *subject) string {
	parts := []string{"websocat"}
	say := ""
	if s.message {
		word, escaped := shellBytes(s.payload)
		switch {
		case s.opcode == inspect.OpBinary:
			parts = append(parts, "-b")
		case bytes.IndexByte(s.payload, '\n') >= 0:
			parts = append(parts, "-0") // a message ends at a NUL, not at a line's end
		}
		say = "printf %s " + word + " | "
		if escaped {
			say = "printf " + word + " | "
		}
		parts = append(parts, "-n") // stays for the answer
	}
	for _, f := range s.headers {
		if !strings.EqualFold(f.Name, "Origin") {
			parts = append(parts, "-H="+shellWord(f.Name+": "+f.Value))
		}
	}
	if o := s.header("Origin"); o != "" {
		parts = append(parts, "--origin", shellWord(o))
	}
	if s.subprotocol != "" {
		parts = append(parts, "--protocol", shellWord(s.subprotocol))
	}
	return say + strings.Join(append(parts, shellWord(s.url)), " ")
}

func wscatLine(s *subject) string {
	parts := []string{"wscat", "-c", shellWord(s.url)}
	for _, p := range strings.Split(s.subprotocol, ",") {
		if p = strings.TrimSpace(p); p != "" {
			parts = append(parts, "-s", shellWord(p))
		}
	}
	for _, f := range s.headers {
		if strings.EqualFold(f.Name, "Origin") {
			parts = append(parts, "-o", shellWord(f.Value))
		} else {
			parts = append(parts, "-H", shellWord(f.Name+": "+f.Value))
		}
	}
	if s.message {
		word, escaped := shellBytes(s.payload)
		if escaped {
			word = `"$(printf ` + word + `)"`
		}
		parts = append(parts, "-x", word, "-w", "5")
	}
	return strings.Join(parts, " ")
}

// curlLine asks for the handshake alone: it shows what the server answers.
func curlLine(s *subject) string {
	parts := []string{"curl", "-i"}
	url := s.url
	if s.method == "" {
		url = "http" + strings.TrimPrefix(url, "ws")
		parts = append(parts, "-N", "--http1.1", "-m", "5", "-H", "'Connection: Upgrade'", "-H", "'Upgrade: websocket'", "-H", "'Sec-WebSocket-Version: 13'",
			"-H", "'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='")
		if s.subprotocol != "" {
			parts = append(parts, "-H", shellWord("Sec-WebSocket-Protocol: "+s.subprotocol))
		}
	} else if s.method != "GET" {
		parts = append(parts, "-X", shellWord(s.method))
	}
	for _, f := range s.headers {
		parts = append(parts, "-H", shellWord(f.Name+": "+f.Value))
	}
	return strings.Join(append(parts, shellWord(url)), " ")
}

// protocols is a list of subprotocols in the quotes of Go and JavaScript.
func (s *subject) protocols() string {
	var all []string
	for _, p := range strings.Split(s.subprotocol, ",") {
		if p = strings.TrimSpace(p); p != "" {
			all = append(all, strconv.QuoteToASCII(p))
		}
	}
	return strings.Join(all, ", ")
}

func jsSnippet(s *subject) string {
	var b strings.Builder
	with := strconv.QuoteToASCII(s.url)
	if p := s.protocols(); p != "" {
		with += ", [" + p + "]"
	}
	fmt.Fprintf(&b, "const ws = new WebSocket(%s);\n", with)
	b.WriteString("ws.binaryType = \"arraybuffer\";\n")
	for _, f := range s.headers {
		fmt.Fprintf(&b, "// %s: %s (a page cannot set it)\n", f.Name, f.Value)
	}
	if s.message {
		fmt.Fprintf(&b, "ws.onopen = () => ws.send(%s);\n", s.jsPayload())
	}
	b.WriteString("ws.onmessage = (e) => console.log(e.data);\nws.onclose = (e) => console.log(\"closed\", e.code, e.reason);\n")
	return b.String()
}

func (s *subject) jsPayload() string {
	if s.opcode != inspect.OpBinary && utf8.Valid(s.payload) {
		return jsString(string(s.payload))
	}
	var b strings.Builder
	b.WriteString("new Uint8Array([")
	for i, c := range s.payload {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, c)
	}
	b.WriteString("])")
	return b.String()
}

// jsString is a text in the quotes of JavaScript. Go's escapes are not all known there.
func jsString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func goSnippet(s *subject) string {
	var b strings.Builder
	b.WriteString("// import \"github.com/gorilla/websocket\"\n")
	dialer := "websocket.DefaultDialer"
	if p := s.protocols(); p != "" {
		fmt.Fprintf(&b, "dialer := websocket.Dialer{Subprotocols: []string{%s}}\n", p)
		dialer = "dialer"
	}
	header := "nil"
	if len(s.headers) > 0 {
		header = "header"
		b.WriteString("header := http.Header{}\n")
		for _, f := range s.headers {
			fmt.Fprintf(&b, "header.Add(%s, %s)\n", strconv.QuoteToASCII(f.Name), strconv.QuoteToASCII(f.Value))
		}
	}
	fmt.Fprintf(&b, "conn, _, err := %s.Dial(%s, %s)\nif err != nil {\n\tlog.Fatal(err)\n}\ndefer conn.Close()\n", dialer, strconv.QuoteToASCII(s.url), header)
	if s.message {
		kind := "websocket.TextMessage"
		if s.opcode == inspect.OpBinary {
			kind = "websocket.BinaryMessage"
		}
		fmt.Fprintf(&b, "if err := conn.WriteMessage(%s, []byte(%s)); err != nil {\n\tlog.Fatal(err)\n}\n", kind, strconv.QuoteToGraphic(string(s.payload)))
	}
	b.WriteString("_, answer, err := conn.ReadMessage()\nif err != nil {\n\tlog.Fatal(err)\n}\nfmt.Printf(\"%s\\n\", answer)\n")
	return b.String()
}
