package plain

import (
	"fmt"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// entry is one line: its JSON keys are documented in docs/output.md.
type entry struct {
	Time        time.Time `json:"time"`
	Session     int       `json:"session,omitempty"`
	Event       string    `json:"event"` // open, refused, frame, finding, altered, end, http
	Frame       uint64    `json:"frame,omitempty"`
	Dir         string    `json:"dir,omitempty"` // ">" to the server, "<" to the client
	Op          string    `json:"op,omitempty"`
	Length      uint64    `json:"len,omitempty"` // payload bytes on the wire
	Flags       string    `json:"flags,omitempty"`
	Size        int64     `json:"size,omitempty"` // of the message, inflated
	Payload     string    `json:"text,omitempty"`
	Binary      []byte    `json:"binary,omitempty"` // base64
	Code        int       `json:"code,omitempty"`   // of a Close frame
	Method      string    `json:"method,omitempty"`
	Status      int       `json:"status,omitempty"`
	Path        string    `json:"path,omitempty"`
	Target      string    `json:"target,omitempty"`
	Listener    string    `json:"listener,omitempty"`
	Subprotocol string    `json:"subprotocol,omitempty"`
	Extensions  string    `json:"extensions,omitempty"`
	HTTP2       string    `json:"http2,omitempty"` // connection/stream
	Up          int64     `json:"up,omitempty"`
	Down        int64     `json:"down,omitempty"`
	Word        string    `json:"word,omitempty"`
	Text        string    `json:"detail,omitempty"`
	Findings    []found   `json:"findings,omitempty"`

	shown string // the message as a line shows it
	to    string // the target, where a line says it
}

// found is a finding as it stands in a line.
type found struct {
	ID       string           `json:"id"`
	Clause   string           `json:"clause"`
	Severity inspect.Severity `json:"severity"`
	Detail   string           `json:"detail"`
}

func findingOf(f *inspect.Finding) found { return found{f.ID, f.Clause, f.Severity, f.Detail} }

// at adds which target a connection goes to, by which listener.
func (p *Printer) at(r entry, c *inspect.ConnInfo) entry {
	r.Target, r.Listener = c.Target, c.Client.Local
	if p.options.Targets && c.Mode != "forward" && c.Target != "" { // else the path says it
		r.to = " -> " + visible(c.Target)
	}
	return r
}

// message adds what a frame's message says.
func (r *entry) message(m *inspect.Message) {
	r.Size, r.shown = m.Size, inspect.Summary(m, summaryLimit)
	switch {
	case m.Undecodable:
		r.Text = r.shown
		return
	case m.Opcode == inspect.OpClose:
		if code, reason, ok := inspect.ParseClose(m.Data); ok {
			r.Code, r.Payload = int(code), string(reason)
		}
		return
	case m.Opcode == inspect.OpText && m.InvalidUTF8 == 0:
		r.Payload = string(m.Data)
	default:
		r.Binary = m.Data
	}
	if m.Cut {
		r.Text = "cut"
	}
}

// line is the entry for people. Everything a peer said is made visible.
func (r *entry) line(color bool) string {
	var b strings.Builder
	b.WriteString(stamp(r.Time))
	session := "-"
	if r.Session > 0 {
		session = fmt.Sprintf("s%d", r.Session)
	}
	fmt.Fprintf(&b, "  %-3s ", session)
	switch r.Event {
	case "frame":
		dir := r.Dir
		if color {
			dir = paint(map[string]string{">": "36", "<": "35"}[dir], dir)
		}
		fmt.Fprintf(&b, "%s  %-6s %6d  %-13s  %s", dir, r.Op, r.Length, r.Flags, r.shown)
	case "http":
		status := "-  " // there is no answer, or nobody looked at it
		if r.Status > 0 {
			status = fmt.Sprint(r.Status)
		}
		fmt.Fprintf(&b, "http   %s  %s %s  %d up %d down  %s", status, visible(r.Method), visible(r.Path)+r.to, r.Up, r.Down, visible(r.Text))
	case "open":
		fmt.Fprintf(&b, "open   101  %s  %s  %s", visible(r.Path)+r.to, visible(r.Subprotocol), visible(r.Extensions))
	case "refused":
		fmt.Fprintf(&b, "refused  %s  %s", visible(r.Path)+r.to, visible(r.Text))
	case "end":
		fmt.Fprintf(&b, "end    %s", visible(r.Text))
	default:
		fmt.Fprintf(&b, "%-6s %s", r.Event, visible(r.Text))
	}
	if r.HTTP2 != "" {
		fmt.Fprintf(&b, "  HTTP/2 %s", r.HTTP2)
	}
	line := strings.TrimRight(b.String(), " ")
	for _, f := range r.Findings {
		text := "! " + f.ID + " " + f.Clause
		if color {
			text = paint("31", text)
		}
		line += "  " + text
	}
	return line
}

func paint(code, s string) string { return "\x1b[" + code + "m" + s + "\x1b[0m" }

func visible(s string) string { return inspect.Visible([]byte(s), 0) }
