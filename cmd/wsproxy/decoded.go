package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/record"
)

// decodedFlags are those of commands that print what messages mean.
type decodedFlags struct {
	on            bool
	as, protocols string
}

func (f *decodedFlags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	s.BoolVar(&f.on, "decoded", false, "print what the messages mean in their application's protocol, requests with their answers")
	s.StringVar(&f.as, "decode", "", "decode as this `PROTOCOL`, whatever it looks like (wsproxy decode --list)")
	s.StringVar(&f.protocols, "protocols", "", "read protocols of your own from `FILE` (default: protocols.toml in wsproxy's configuration folder)")
	_ = cmd.RegisterFlagCompletionFunc("decode", completeProtocol) // fails only for an unknown flag
	cmd.MarkFlagsMutuallyExclusive("decoded", "quiet")
}

// show prints a recording decoded.
func (f *decodedFlags) show(cmd *cobra.Command, o *outputFlags, path string, follow bool) error {
	d, err := f.decoder(o, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	var live <-chan struct{}
	if follow {
		live = record.Poll(cmd.Context(), path)
	}
	if err := d.show(cmd.Context(), path, live); err != nil {
		return err
	}
	return interrupted(cmd.Context())
}

// check says what is wrong with the flags.
func (f *decodedFlags) check() error {
	table, err := protocolTable(f.protocols)
	if err != nil {
		return err
	}
	if _, ok := table.Lookup(f.as); f.as != "" && !ok {
		return unknownProtocol(f.as, table)
	}
	return nil
}

// decoder is what prints what messages mean; nil if nobody asked for that.
func (f *decodedFlags) decoder(o *outputFlags, out io.Writer) (*decoded, error) {
	if err := f.check(); err != nil || !f.on && f.as == "" {
		return nil, err
	}
	table, err := protocolTable(f.protocols)
	if err != nil {
		return nil, err
	}
	d := &decoded{table: table, as: f.as, json: o.json, quiet: o.quiet || o.silent, out: bufio.NewWriter(out), sessions: map[inspect.SessionID]*decodedSession{}}
	chosen, err := o.compiled()
	if chosen != nil {
		d.matcher = chosen.Matcher()
	}
	return d, err
}

// hear takes the next event; a nil one does not listen.
func (d *decoded) hear(e inspect.Event) {
	if d != nil {
		d.event(e)
	}
}

// flush writes out what was printed.
func (d *decoded) flush() {
	if d != nil {
		_ = d.out.Flush() // a pipe that nobody reads any more
	}
}

// decodedLine is an item as show --decoded --json prints it; docs/protocols.md has the
// keys.
type decodedLine struct {
	Time     time.Time    `json:"time"`
	Session  int          `json:"session"`
	Protocol string       `json:"protocol"`
	Item     *decode.Item `json:"item,omitempty"`
	Waiting  []unanswered `json:"waiting,omitempty"` // at the session's end
}

// unanswered is a request that no answer came to.
type unanswered struct {
	N    uint64  `json:"n"`
	Name string  `json:"name"`
	ID   string  `json:"id,omitempty"`
	Dir  string  `json:"dir"`
	Age  float64 `json:"age"` // seconds, at the session's end
}

// decoded prints what the messages of a recording mean.
type decoded struct {
	table    *decode.Table
	as       string // a protocol that every session is taken for; empty: it is guessed
	json     bool
	out      *bufio.Writer
	sessions map[inspect.SessionID]*decodedSession
	count    int
	matcher  *filter.Matcher // nil: everything is printed
	quiet    bool
	since    time.Time // what was said before is not printed
}

type decodedSession struct {
	*decode.Session
	n     int
	facts filter.Session
	frame filter.Frame // the newest
}

// show reads a recording to its end, or as it grows.
func (d *decoded) show(ctx context.Context, path string, live <-chan struct{}) error {
	in := &inspect.Inspector{
		Emit:  func(_ *inspect.Conn, e inspect.Event) { d.event(e) },
		After: func(*inspect.Conn) { _ = d.out.Flush() }, // a pipe that nobody reads any more
	}
	return fileError(path, record.Follow(ctx, path, live, in))
}

func (d *decoded) event(e inspect.Event) {
	switch e := e.(type) {
	case *inspect.Opened:
		d.count++
		h := e.Handshake
		s := &decodedSession{Session: d.table.Session(e), n: d.count, facts: filter.Session{N: d.count, Path: h.Path(), Protocol: h.Subprotocol,
			Mode: e.Conn.Mode, Target: e.Conn.Target, Client: e.Conn.Client.Remote, Status: 101, Open: true, Opened: h.RequestTime}}
		if d.as != "" {
			_ = s.Force(d.as) // its name was looked up before
		}
		d.sessions[e.Session] = s
	case *inspect.Frame:
		if s := d.sessions[e.Session]; s != nil {
			s.Event(e)
			s.seen(e)
		}
	case *inspect.Message:
		d.message(e)
	case *inspect.Closed:
		d.closed(e)
	}
}

// seen keeps what a filter may ask of a frame.
func (s *decodedSession) seen(f *inspect.Frame) {
	h := f.Header
	s.frame = filter.Frame{Session: &s.facts, N: f.N, Time: f.First, Dir: f.Dir, Op: h.Opcode(), Length: h.Length(), Fin: h.Fin(),
		Rsv1: h.Rsv1(), Rsv2: h.Rsv2(), Rsv3: h.Rsv3(), Masked: h.Masked(), Minimal: h.Minimal(), Missing: f.Missing > 0}
}

// message prints the items of a message that the filter wants.
func (d *decoded) message(m *inspect.Message) {
	s := d.sessions[m.Session]
	if s == nil {
		return
	}
	items := s.Event(m)
	for i := range items {
		if d.wants(s, &items[i], m) {
			d.item(s, &items[i])
		}
	}
}

// wants asks the filter about an item, with the frame and the message that it ends in.
func (d *decoded) wants(s *decodedSession, it *decode.Item, m *inspect.Message) bool {
	if d.matcher == nil {
		return true
	}
	f := s.frame
	f.Decoded = &filter.Decoded{Protocol: s.Protocol(), Name: it.Name, Kind: it.Kind.String(), ID: it.ID, Topic: it.Topic, Latency: it.Latency.Seconds()}
	switch d.matcher.Frame(&f) {
	case filter.Yes:
		return true
	case filter.No:
		return false
	}
	return d.matcher.Message(m)
}

func (d *decoded) item(s *decodedSession, it *decode.Item) {
	if d.quiet || it.Time.Before(d.since) {
		return
	}
	if d.json {
		d.line(decodedLine{Time: it.Time, Session: s.n, Protocol: s.Protocol(), Item: it})
		return
	}
	fmt.Fprintf(d.out, "%s  s%-2d %s\n", it.Time.Format("15:04:05.000"), s.n, it.Line(300))
}

// closed tells what was never answered.
func (d *decoded) closed(e *inspect.Closed) {
	s := d.sessions[e.Session]
	delete(d.sessions, e.Session)
	if s == nil {
		return
	}
	if d.matcher != nil || d.quiet || e.Time.Before(d.since) { // a filter chooses items
		return
	}
	waiting := s.Waiting()
	line := decodedLine{Time: e.Time, Session: s.n, Protocol: s.Protocol()}
	for _, w := range waiting {
		age := e.Time.Sub(w.Time)
		arrow := ">"
		if w.Dir == inspect.ToClient {
			arrow = "<"
		}
		line.Waiting = append(line.Waiting, unanswered{w.N, w.Name, w.ID, arrow, age.Seconds()})
		if !d.json {
			fmt.Fprintf(d.out, "%s  s%-2d unanswered  #%d %s %s  for %s\n", e.Time.Format("15:04:05.000"), s.n, w.N, arrow,
				inspect.Visible([]byte(w.Name), 120), age.Round(time.Millisecond))
		}
	}
	if d.json && len(waiting) > 0 {
		d.line(line)
	}
}

func (d *decoded) line(l decodedLine) {
	b, err := json.Marshal(l)
	if err == nil {
		_, _ = d.out.Write(append(b, '\n')) // bufio keeps the error
	}
}
