package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/explain"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/inspect/lint"
	"github.com/wsproxy/wsproxy/record"
)

// explainedBytes is how much of a payload is read to explain a frame.
const explainedBytes = 64 << 10

// explainFrames writes the frames of a recording that the filter wants, bit by bit
// in words. A nil filter wants all.
func explainFrames(ctx context.Context, out io.Writer, path string, f *filter.Filter) error {
	if f == nil {
		var err error
		if f, err = filter.Compile("frame > 0"); err != nil {
			return err
		}
	}
	s, err := record.OpenStore(ctx, path, nil, lint.All()...)
	if err != nil {
		return fileError(path, err)
	}
	select {
	case <-s.Done():
	case <-ctx.Done():
	}
	w := bufio.NewWriter(out)
	first := true
	err = s.Select(ctx, f, func(r record.Row) error {
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		return errors.Join(explainRow(w, s, r), w.Flush())
	}, nil)
	err = errors.Join(err, fileError(path, s.Progress().Err))
	return errors.Join(err, s.Close())
}

// explainRow writes one frame with what its session's handshake agreed on, and what
// it breaks.
func explainRow(w io.Writer, s *record.Store, r record.Row) error {
	f, err := s.Frame(r, explainedBytes)
	if err != nil {
		return err
	}
	o := explain.Options{}
	if h := s.Session(r.Session()).Handshake; h != nil && h.Response != nil {
		o.Known, o.Deflate = true, h.Deflate
	}
	if r.Opcode() == inspect.OpContinuation {
		m, err := s.Message(r, 0)
		if err != nil {
			return err
		}
		o.Before = inspect.State{InMessage: true, Opcode: m.Opcode, Compressed: m.Compressed}
	}
	title := fmt.Sprintf("s%d #%d  %s  by the %s: %s", r.Session()+1, r.N(), r.Time().Format("15:04:05.000"), r.Dir().Sender(), f.Header)
	if f.Cut {
		title += fmt.Sprintf(" (the first %d bytes of its payload are read)", len(f.Payload))
	}
	if err := explain.WriteFrame(w, title, f.Header, f.Payload, o); err != nil {
		return err
	}
	for _, x := range s.Findings(r.Session()) {
		if x.Frame == r.N() {
			if _, err := fmt.Fprintf(w, "! %s  %s\n    %s\n", x.ID, x.Clause, inspect.Visible([]byte(x.Detail), 0)); err != nil {
				return err
			}
		}
	}
	return nil
}
