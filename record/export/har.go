package export

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// har is an HTTP Archive 1.2 with Chrome's _webSocketMessages. Names that begin
// with an underscore are extensions, as the format has it.
type har struct {
	Log struct {
		Version string     `json:"version"`
		Creator harCreator `json:"creator"`
		Entries []harEntry `json:"entries"`
	} `json:"log"`
}

type harCreator struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type harEntry struct {
	Started  string       `json:"startedDateTime"`
	Time     float64      `json:"time"` // milliseconds
	Request  harRequest   `json:"request"`
	Response harResponse  `json:"response"`
	Cache    struct{}     `json:"cache"`
	Timings  harTimings   `json:"timings"`
	Type     string       `json:"_resourceType,omitempty"`
	Messages []harMessage `json:"_webSocketMessages,omitempty"`
}

type harTimings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

type harHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harRequest struct {
	Method      string      `json:"method"`
	URL         string      `json:"url"`
	HTTPVersion string      `json:"httpVersion"`
	Headers     []harHeader `json:"headers"`
	QueryString []harHeader `json:"queryString"`
	Cookies     []harHeader `json:"cookies"`
	HeadersSize int         `json:"headersSize"`
	BodySize    int         `json:"bodySize"`
	PostData    *harBody    `json:"postData,omitempty"`
}

type harResponse struct {
	Status      int         `json:"status"`
	StatusText  string      `json:"statusText"`
	HTTPVersion string      `json:"httpVersion"`
	Headers     []harHeader `json:"headers"`
	Cookies     []harHeader `json:"cookies"`
	Content     harBody     `json:"content"`
	RedirectURL string      `json:"redirectURL"`
	HeadersSize int         `json:"headersSize"`
	BodySize    int         `json:"bodySize"`
}

type harBody struct {
	Size     int    `json:"size"`
	MimeType string `json:"mimeType"`
	Text     string `json:"text,omitempty"`
	Encoding string `json:"encoding,omitempty"`
}

// harMessage is one message. Chrome has the first four members; the frames and
// what is no message are ours.
type harMessage struct {
	Type       string  `json:"type"` // send or receive
	Time       float64 `json:"time"` // seconds since 1970
	Opcode     int     `json:"opcode"`
	Data       string  `json:"data"` // base64 unless it is text
	Code       *int    `json:"_code,omitempty"`
	Frames     []int   `json:"_frames,omitempty"`
	Within     int     `json:"_within,omitempty"`
	Compressed bool    `json:"_compressed,omitempty"`
	Raw        string  `json:"_raw,omitempty"` // hexadecimal: an odd frame as it stood
	End        string  `json:"_end,omitempty"` // fin or rst: no message, the end of a side
}

// writeHAR writes a HAR that Chrome, Playwright and others open.
func writeHAR(ctx context.Context, from string, w io.Writer, o record.SaveOptions) (record.Saved, error) {
	c, err := sessions(ctx, from)
	if c == nil {
		return record.Saved{}, err
	}
	var h har
	h.Log.Version, h.Log.Creator = "1.2", harCreator{"wsproxy", o.Version}
	h.Log.Entries = []harEntry{}
	byN := map[int]int{}
	at := c.Recorded
	for i := range c.Lines {
		l := &c.Lines[i]
		at = at.Add(l.After)
		switch l.Kind {
		case cassette.Open:
			byN[l.Session] = len(h.Log.Entries)
			h.Log.Entries = append(h.Log.Entries, harOpen(l.Upgrade, at))
		case cassette.HTTP:
			h.Log.Entries = append(h.Log.Entries, harExchange(l.Exchange, at))
		default:
			e := &h.Log.Entries[byN[l.Session]]
			e.Messages = append(e.Messages, harLine(l, at))
			if start, err := time.Parse(time.RFC3339Nano, e.Started); err == nil {
				e.Time = float64(at.Sub(start).Microseconds()) / 1e3
				e.Timings.Receive = e.Time
			}
		}
	}
	js := json.NewEncoder(w)
	js.SetEscapeHTML(false)
	js.SetIndent("", "  ")
	return record.Saved{}, errors.Join(err, js.Encode(h))
}

// sessions reads a recording; with an error there may be what could be read.
func sessions(ctx context.Context, from string) (*cassette.Cassette, error) {
	return cassette.From(func(s inspect.Sink) error { return record.Follow(ctx, from, nil, s) }, inspect.Limits{Message: 64 << 20, Inflated: 64 << 20})
}

func harHeaders(all []inspect.HeaderField) []harHeader {
	out := []harHeader{}
	for _, f := range all {
		out = append(out, harHeader{f.Name, f.Value})
	}
	return out
}

// plainPath is a path without the escapes of a template.
func plainPath(s string) string { return strings.ReplaceAll(s, "$${", "${") }

func harURL(scheme, path string, headers []inspect.HeaderField) string {
	host := "localhost"
	for _, f := range headers {
		if strings.EqualFold(f.Name, "Host") {
			host = f.Value
		}
	}
	return scheme + "://" + host + plainPath(path)
}

func harQuery(s string) []harHeader {
	out := []harHeader{}
	u, err := url.Parse(s)
	if err != nil {
		return out
	}
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		if name != "" {
			out = append(out, harHeader{name, value})
		}
	}
	return out
}

func harOpen(u *cassette.Upgrade, at time.Time) harEntry {
	e := harEntry{Started: at.UTC().Format(time.RFC3339Nano), Type: "websocket"}
	e.Request = harRequest{Method: "GET", URL: harURL("ws", u.Path, u.Headers), HTTPVersion: "HTTP/1.1", Headers: harHeaders(u.Headers),
		Cookies: []harHeader{}, HeadersSize: -1}
	e.Request.QueryString = harQuery(e.Request.URL)
	e.Response = harAnswer(&u.Accept)
	return e
}

func harAnswer(a *cassette.Answer) harResponse {
	r := harResponse{Status: a.Status, StatusText: a.Phrase, HTTPVersion: cmp.Or(a.Proto, "HTTP/1.1"), Headers: harHeaders(a.Headers),
		Cookies: []harHeader{}, HeadersSize: -1, BodySize: len(a.Body)}
	r.Content = harBody{Size: len(a.Body), MimeType: "x-unknown"}
	for _, f := range a.Headers {
		if strings.EqualFold(f.Name, "Content-Type") {
			r.Content.MimeType = f.Value
		}
	}
	if len(a.Body) > 0 {
		if r.Content.Text = string(a.Body); !utf8.Valid(a.Body) {
			r.Content.Text, r.Content.Encoding = base64.StdEncoding.EncodeToString(a.Body), "base64"
		}
	}
	return r
}

func harExchange(x *cassette.Exchange, at time.Time) harEntry {
	e := harEntry{Started: at.UTC().Format(time.RFC3339Nano)}
	e.Request = harRequest{Method: x.Method, URL: harURL("http", x.Path, nil), HTTPVersion: "HTTP/1.1", Headers: []harHeader{},
		Cookies: []harHeader{}, HeadersSize: -1, BodySize: len(x.Body)}
	e.Request.QueryString = harQuery(e.Request.URL)
	if len(x.Body) > 0 {
		e.Request.PostData = &harBody{Size: len(x.Body), MimeType: "x-unknown", Text: string(x.Body)}
	}
	e.Response = harAnswer(&x.Answer)
	return e
}

var harTypes = [...]string{inspect.ToServer: "send", inspect.ToClient: "receive"}

func harLine(l *cassette.Line, at time.Time) harMessage {
	m := harMessage{Type: harTypes[l.From], Time: float64(at.UnixMicro()) / 1e6, Frames: l.Frames, Within: l.Within, Compressed: l.Compressed}
	switch l.Kind {
	case cassette.JSON, cassette.Text:
		m.Opcode, m.Data = 1, string(l.Data)
	case cassette.Close:
		m.Opcode, m.Data = 8, l.Reason
		code := int(l.Code)
		m.Code = &code
	case cassette.End:
		m.Opcode, m.End = -1, l.How.String()
	case cassette.Raw:
		m.Opcode, m.Raw = -1, hex.EncodeToString(l.Data)
	default:
		m.Opcode = map[cassette.Kind]int{cassette.Binary: 2, cassette.Ping: 9, cassette.Pong: 10}[l.Kind]
		m.Data = base64.StdEncoding.EncodeToString(l.Data)
	}
	return m
}

// ReadHAR reads the WebSocket sessions of a HAR, such as Chrome, Playwright and
// mitmproxy write, and what wsproxy writes beside. Other entries are left out.
func ReadHAR(r io.Reader) (*cassette.Cassette, error) {
	var h har
	if err := json.NewDecoder(r).Decode(&h); err != nil {
		return nil, fmt.Errorf("it is no HAR: %w", err)
	}
	var all []timed
	c := &cassette.Cassette{}
	n := 0
	for i := range h.Log.Entries {
		e := &h.Log.Entries[i]
		if e.Type != "websocket" && len(e.Messages) == 0 {
			continue
		}
		n++
		lines, err := e.lines(n)
		if err != nil {
			return nil, fmt.Errorf("entry %d (%s): %w", i+1, inspect.Visible([]byte(e.Request.URL), 100), err)
		}
		all = append(all, lines...)
	}
	if n == 0 {
		c.Warnings = append(c.Warnings, "the HAR has no entry with _webSocketMessages")
	}
	slices.SortStableFunc(all, func(a, b timed) int { return a.at.Compare(b.at) })
	for i, x := range all {
		if i == 0 {
			c.Recorded = x.at
		} else {
			x.line.After = max(0, x.at.Sub(all[i-1].at))
		}
		c.Lines = append(c.Lines, x.line)
	}
	return c, nil
}

// timed is a line with its time.
type timed struct {
	at   time.Time
	line cassette.Line
}

func (e *harEntry) lines(session int) ([]timed, error) {
	u, err := url.Parse(e.Request.URL)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, e.Started)
	if err != nil {
		return nil, fmt.Errorf("startedDateTime %q is no time", e.Started)
	}
	up := &cassette.Upgrade{Path: cassette.Literal(u.RequestURI()), Headers: fieldsOf(e.Request.Headers)}
	for _, f := range up.Headers {
		if strings.EqualFold(f.Name, "Sec-WebSocket-Protocol") {
			for _, p := range inspect.ParseTokens([]string{f.Value}) {
				up.Subprotocols = append(up.Subprotocols, cassette.Literal(p))
			}
		}
	}
	up.Accept = cassette.Answer{Status: cmp.Or(e.Response.Status, 101), Phrase: e.Response.StatusText, Headers: fieldsOf(e.Response.Headers)}
	if up.Accept.Status != 101 {
		up.Accept.Body = e.Response.Content.bytes()
	}
	for i, f := range up.Accept.Headers {
		switch strings.ToLower(f.Name) {
		case "sec-websocket-accept":
			up.Accept.Headers[i].Value = ""
		case "sec-websocket-protocol":
			up.Subprotocol = f.Value
		case "sec-websocket-extensions":
			up.Extensions = f.Value
		}
	}
	if up.Accept.Status == 101 && !slices.ContainsFunc(up.Accept.Headers, func(f inspect.HeaderField) bool { return strings.EqualFold(f.Name, "Sec-WebSocket-Accept") }) {
		up.Accept.Headers, up.Accept.Phrase = nil, "" // some leave them out
	}
	all := []timed{{at, cassette.Line{Session: session, Kind: cassette.Open, Upgrade: up}}}
	for i := range e.Messages {
		l, ok, err := e.Messages[i].line()
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i+1, err)
		}
		if !ok {
			continue
		}
		l.Session = session
		t := time.UnixMicro(int64(e.Messages[i].Time * 1e6)).UTC()
		if last := all[len(all)-1].at; t.Before(last) {
			t = last // clocks of two kinds; the order is what counts
		}
		all = append(all, timed{t, l})
	}
	return all, nil
}

func (b *harBody) bytes() []byte {
	if b.Encoding == "base64" {
		data, _ := base64.StdEncoding.DecodeString(b.Text) // what is none is no body
		return data
	}
	return []byte(b.Text)
}

func fieldsOf(all []harHeader) []inspect.HeaderField {
	out := []inspect.HeaderField{}
	for _, h := range all {
		if strings.HasPrefix(h.Name, ":") {
			continue // of HTTP/2
		}
		out = append(out, inspect.HeaderField{Name: h.Name, Value: strings.NewReplacer("\r", "", "\n", ", ").Replace(h.Value)})
	}
	return out
}

// line is a message as a cassette has it; false: it is none.
func (m *harMessage) line() (l cassette.Line, ok bool, err error) {
	l = cassette.Line{Frames: m.Frames, Within: m.Within, Compressed: m.Compressed}
	switch m.Type {
	case "send", "request":
	case "receive", "response":
		l.From = inspect.ToClient
	default:
		return l, false, nil
	}
	switch {
	case m.End != "":
		l.Kind = cassette.End
		err = l.How.UnmarshalText([]byte(m.End))
	case m.Raw != "":
		l.Kind = cassette.Raw
		l.Data, err = hex.DecodeString(m.Raw)
	case m.Opcode == 1:
		l.Data = []byte(m.Data)
		l.Kind, l.Match = cassette.TextKind(l.Data)
	case m.Opcode == 8:
		l.Kind, l.Code, l.Reason = cassette.Close, inspect.NoStatus, m.Data
		if m.Code != nil {
			l.Code = inspect.CloseCode(*m.Code)
		} else {
			l.Reason = ""
		}
	case m.Opcode == 2, m.Opcode == 9, m.Opcode == 10:
		l.Kind = map[int]cassette.Kind{2: cassette.Binary, 9: cassette.Ping, 10: cassette.Pong}[m.Opcode]
		if l.Data, err = base64.StdEncoding.DecodeString(m.Data); err != nil {
			l.Data, err = bytes.TrimSpace([]byte(m.Data)), nil // some write it as it is
		}
	default:
		return l, false, nil
	}
	return l, true, err
}
