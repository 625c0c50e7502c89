package export

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// jsonLine is one line: a session's beginning, a message, or its end.
type jsonLine struct {
	Time    time.Time         `json:"time"`
	Session inspect.SessionID `json:"session"`
	What    string            `json:"what"` // open, refused, message, close
	URL     string            `json:"url,omitempty"`
	Status  int               `json:"status,omitempty"`

	From   string          `json:"from,omitempty"`
	Op     string          `json:"op,omitempty"`
	Frames [2]uint64       `json:"frames,omitzero"` // the first and the last
	Wire   int64           `json:"wire,omitempty"`  // bytes of payload on the wire
	JSON   json.RawMessage `json:"json,omitempty"`
	Text   string          `json:"text,omitempty"`
	Base64 string          `json:"base64,omitempty"`
	Cut    bool            `json:"cut,omitempty"`

	Code   int    `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	Word   string `json:"word,omitempty"`
}

// writeJSONL writes one JSON object a message, as it reads.
func writeJSONL(ctx context.Context, from string, w io.Writer, o record.SaveOptions) (record.Saved, error) {
	out := bufio.NewWriter(w)
	js := json.NewEncoder(out)
	js.SetEscapeHTML(false)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	in := &inspect.Inspector{Emit: func(c *inspect.Conn, e inspect.Event) {
		if l := jsonOf(c, e); l != nil {
			if err := js.Encode(l); err != nil {
				stop(err)
			}
		}
	}}
	err := record.Follow(ctx, from, nil, in)
	if cause := context.Cause(ctx); cause != nil {
		return record.Saved{}, cause
	}
	return record.Saved{}, errors.Join(err, out.Flush())
}

func jsonOf(c *inspect.Conn, e inspect.Event) *jsonLine {
	switch e := e.(type) {
	case *inspect.Opened:
		return &jsonLine{Time: e.Time, Session: e.Session, What: "open", URL: e.Conn.SessionURL(e.Handshake.Path()), Status: e.Handshake.Response.Status}
	case *inspect.Refused:
		l := &jsonLine{Time: e.Time, Session: e.Session, What: "refused", URL: e.Conn.SessionURL(e.Handshake.Path()), Reason: e.Reason}
		if e.Handshake.Response != nil {
			l.Status = e.Handshake.Response.Status
		}
		return l
	case *inspect.Closed:
		return &jsonLine{Time: e.Time, Session: e.Session, What: "close", Word: e.Word, Reason: e.Text}
	case *inspect.Message:
		l := &jsonLine{Time: e.Time, Session: e.Session, What: "message", From: e.Dir.Sender(), Op: e.Opcode.String(),
			Frames: [2]uint64{e.First, e.Last}, Wire: e.Wire, Cut: e.Cut}
		if code, reason, ok := inspect.ParseClose(e.Data); ok && e.Opcode == inspect.OpClose {
			l.Code, l.Reason = int(code), string(reason)
			return l
		}
		switch {
		case e.Opcode == inspect.OpText && !e.Cut && json.Valid(e.Data):
			l.JSON = e.Data
		case e.Opcode != inspect.OpBinary && utf8.Valid(e.Data):
			l.Text = string(e.Data)
		default:
			l.Base64 = base64.StdEncoding.EncodeToString(e.Data)
		}
		return l
	}
	return nil
}
