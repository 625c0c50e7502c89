// Package plain prints events as lines for reading and grep, or as JSON lines.
package plain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
)

// Options choose what is printed.
type Options struct {
	JSON      bool           // one JSON object an event
	Color     bool           // arrows and findings in colour
	Exchanges bool           // plain HTTP exchanges too, which are only counted otherwise
	Targets   bool           // lines say which target of several a request went to
	Quiet     bool           // nothing but the Summary
	Filter    *filter.Filter // nothing but the frames that it wants; nil: everything
	Since     time.Time      // what was before is counted and not printed
}

// Printer prints events as an inspect.Inspector emits them. Its methods may be
// called by several goroutines.
type Printer struct {
	mu      sync.Mutex
	out     *bufio.Writer
	options Options
	numbers map[inspect.SessionID]int // s1, s2, … in order of appearance
	wait    *inspect.Frame            // its message follows and is printed with it
	found   []inspect.Finding         // of that frame
	message *inspect.Message
	trunks  map[inspect.ConnID]int // clients' HTTP/2 connections, in the same order
	chosen  *choice                // nil: everything is printed
	sum     Summary
}

// New makes a Printer that writes to w.
func New(w io.Writer, o Options) *Printer {
	return &Printer{out: bufio.NewWriter(w), options: o, numbers: map[inspect.SessionID]int{}, trunks: map[inspect.ConnID]int{}, chosen: newChoice(o.Filter)}
}

// summaryLimit bounds the data that a line shows, in bytes.
const summaryLimit = 120

// Event prints one event. A frame is printed when what belongs to it is known:
// at the next frame or Flush.
func (p *Printer) Event(_ *inspect.Conn, e inspect.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := e.(type) {
	case *inspect.Frame:
		p.settle()
		p.sum.Frames++
		f := *e
		p.wait = &f
	case *inspect.Message:
		m := *e
		m.Data = append([]byte(nil), e.Data[:min(len(e.Data), p.keep())]...)
		if p.wait != nil && e.Last == p.wait.N {
			p.message = &m
			p.chosen.message(p.wait, e)
		}
	case *inspect.Finding:
		p.sum.Findings++
		if p.wait != nil && e.Frame == p.wait.N {
			p.found = append(p.found, *e)
			return
		}
		p.settle()
		p.finding(e)
	default:
		p.settle()
		p.chosen.session(p.number, e)
		p.other(e)
	}
}

// keep is how much of a message is copied until it is printed.
func (p *Printer) keep() int {
	if p.options.JSON {
		return 1 << 20
	}
	return 4 * summaryLimit
}

func (p *Printer) other(e inspect.Event) {
	switch e := e.(type) {
	case *inspect.Opened:
		p.sum.Sessions++
		h := e.Handshake
		var ext []string
		for _, x := range h.Ext {
			ext = append(ext, x.String())
		}
		p.put(p.at(entry{Time: e.Time, Session: p.number(e.Session), Event: "open", Status: 101, Path: e.Conn.SessionURL(h.Path()),
			Subprotocol: h.Subprotocol, Extensions: strings.Join(ext, ", "), HTTP2: p.stream(&e.Conn)}, &e.Conn))
	case *inspect.Refused:
		r := entry{Time: e.Time, Session: p.number(e.Session), Event: "refused", Path: e.Conn.SessionURL(e.Handshake.Path()), Text: e.Reason, HTTP2: p.stream(&e.Conn)}
		if e.Handshake.Response != nil {
			r.Status = e.Handshake.Response.Status
		}
		p.put(p.at(r, &e.Conn))
		p.sum.refuse(r.Session, e.Reason)
	case *inspect.Closed:
		p.put(entry{Time: e.Time, Session: p.number(e.Session), Event: "end", Word: e.Word, Text: e.Text})
		p.sum.end(p.number(e.Session), e.Text)
	case *inspect.Altered:
		text := string(e.Note.JSON)
		if !p.options.JSON {
			text = e.Act.String()
		}
		p.put(entry{Time: e.Note.Time, Session: p.number(e.Session), Event: "altered", Frame: e.Frame, Dir: arrows[e.Dir&1], Text: text})
	case *inspect.Exchange:
		p.exchange(e)
	}
}

// arrows are the directions as they are printed.
var arrows = [...]string{inspect.ToServer: ">", inspect.ToClient: "<"}

func (p *Printer) exchange(e *inspect.Exchange) {
	p.sum.Exchanges++
	if !p.options.Exchanges {
		return
	}
	r := entry{Time: e.Time, Event: "http", Text: e.Error, Up: e.Up.Size, Down: e.Down.Size, HTTP2: p.stream(&e.Conn)}
	if e.Request != nil {
		r.Method, r.Path = e.Request.Method, e.Conn.URL(e.Request.Target)
	}
	if e.Response != nil {
		r.Status = e.Response.Status
	}
	p.put(p.at(r, &e.Conn))
}

func (p *Printer) number(id inspect.SessionID) int {
	n, ok := p.numbers[id]
	if !ok {
		n = len(p.numbers) + 1
		p.numbers[id] = n
	}
	return n
}

// stream names an HTTP/2 stream by its connection and number.
func (p *Printer) stream(c *inspect.ConnInfo) string {
	if c.HTTP2 == nil {
		return ""
	}
	n, ok := p.trunks[c.HTTP2.Conn]
	if !ok {
		n = len(p.trunks) + 1
		p.trunks[c.HTTP2.Conn] = n
	}
	return fmt.Sprintf("%d/%d", n, c.HTTP2.Stream)
}

func (p *Printer) finding(f *inspect.Finding) {
	p.put(entry{Time: f.Time, Session: p.number(f.Session), Event: "finding", Frame: f.Frame, Findings: []found{findingOf(f)}})
}

// settle prints the frame that waits.
func (p *Printer) settle() {
	f := p.wait
	if f == nil {
		return
	}
	r := entry{Time: f.Last, Session: p.number(f.Session), Event: "frame", Frame: f.N, Dir: ">", Op: f.Header.Opcode().String(),
		Length: f.Header.Length(), Flags: flags(f)}
	if f.Dir == inspect.ToClient {
		r.Dir = "<"
	}
	if m := p.message; m != nil {
		if r.message(m); m.Cut && !m.Undecodable && f.Missing == 0 { // of another of its frames something is missing
			r.Flags = strings.TrimLeft(r.Flags+" cut", " ")
		}
	}
	for i := range p.found {
		r.Findings = append(r.Findings, findingOf(&p.found[i]))
	}
	wanted := p.chosen.frame(f, p.found)
	p.wait, p.message, p.found = nil, nil, nil
	if wanted {
		p.write(r)
	}
}

func flags(f *inspect.Frame) string {
	var all []string
	h := f.Header
	for _, b := range []struct {
		on   bool
		name string
	}{{h.Fin(), "fin"}, {h.Masked(), "mask"}, {h.Rsv1(), "rsv1"}, {h.Rsv2(), "rsv2"}, {h.Rsv3(), "rsv3"}, {f.Missing > 0, "cut"}} {
		if b.on {
			all = append(all, b.name)
		}
	}
	return strings.Join(all, " ")
}

// put prints what is no frame; a filter wants frames only.
func (p *Printer) put(r entry) {
	if p.chosen == nil {
		p.write(r)
	}
}

func (p *Printer) write(r entry) {
	if p.options.Quiet || r.Time.Before(p.options.Since) {
		return
	}
	// A pipe that nobody reads any more is not the traffic's concern.
	if p.options.JSON {
		js, err := json.Marshal(r)
		if err == nil {
			_, _ = p.out.Write(append(harmless(js), '\n'))
		}
		return
	}
	_, _ = p.out.WriteString(r.line(p.options.Color) + "\n")
}

// harmless writes what a terminal would obey as JSON's own escapes: encoding/json
// does so below U+0020 only, and U+009B begins an escape sequence too. The
// values stay the same.
func harmless(js []byte) []byte {
	if utf8.RuneCount(js) == len(js) && bytes.IndexByte(js, 0x7f) < 0 {
		return js // all of it is ASCII
	}
	out := make([]byte, 0, len(js)+16)
	for _, r := range string(js) {
		if r >= 0x7f && !unicode.IsGraphic(r) && r <= 0xffff {
			out = fmt.Appendf(out, "\\u%04x", r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// Flush writes out what was printed, the frame that waits included.
func (p *Printer) Flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle()
	_ = p.out.Flush() // see put
}

// Summary is what was printed, summed up.
func (p *Printer) Summary() Summary {
	p.Flush()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sum
}

// stamp is a time of day to the millisecond.
func stamp(t time.Time) string { return t.Format("15:04:05.000") }
