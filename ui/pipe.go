package ui

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of a command that a payload is passed through.
const (
	pipeTime   = 10 * time.Second
	pipeInput  = 16 << 20
	pipeOutput = 256 << 10
)

// piped is what a command made of a payload.
type piped struct {
	command string
	out     []byte
	cut     bool // there was more
	took    time.Duration
	err     error
}

// piping is the command that runs.
type piping struct {
	cancel context.CancelFunc // nil: none
	last   string             // the command before, to begin with
}

// askPipe asks for the command.
func (v *view) askPipe() {
	v.onMessage()
	v.askFor("| ", v.pipes.last, v.pipe)
}

// pipe passes the selected message's payload through a command, on a goroutine that
// Run waits for. What it says is shown in place of the payload.
func (v *view) pipe(command string) {
	var w, subject want
	if v.frames.session >= 0 {
		x := v.source.Session(v.frames.session)
		w = v.want(&x, 0)
		subject = w.subject()
	}
	switch {
	case command == "":
		return
	case v.options.Pipe == nil:
		v.said = "no commands are run here"
		return
	case v.frames.session < 0 || subject.entry != entryFrame:
		v.said = "only a message can be passed on; this row is none"
		return
	}
	v.stopPipe()
	v.onMessage()
	subject.tab = 0
	v.pipes.last = command
	ctx, cancel := context.WithTimeout(v.ctx, pipeTime)
	v.pipes.cancel = cancel
	v.said = command + " is running … (Esc stops)"
	v.start(func(context.Context) {
		defer cancel()
		p := &piped{command: command}
		msg, err := v.source.Message(w.row, pipeInput)
		if err == nil {
			start := time.Now()
			p.out, err = v.options.Pipe(ctx, command, msg.Data, pipeOutput)
			p.took = time.Since(start)
		}
		switch {
		case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
			err = fmt.Errorf("it was stopped after %s", took(pipeTime))
		case ctx.Err() != nil:
			return
		}
		p.err = err
		if p.cut = len(p.out) > pipeOutput; p.cut {
			p.out = p.out[:pipeOutput]
		}
		v.post(func() { v.piped(subject, p) })
	})
}

// piped shows what a command said, if its message is still selected.
func (v *view) piped(subject want, p *piped) {
	v.pipes.cancel = nil
	x := v.source.Session(subject.session)
	v.said = fmt.Sprintf("%s is done", p.command)
	if v.want(&x, 0).subject() != subject {
		return
	}
	if v.desk.of != subject {
		v.desk.open(subject)
		v.subject = subject
	}
	v.desk.piped, v.desk.cursor, v.scroll = p, 0, 0
}

// stopPipe stops the command that runs; false if there is none.
func (v *view) stopPipe() bool {
	if v.pipes.cancel == nil {
		return false
	}
	v.pipes.cancel()
	v.pipes.cancel = nil
	v.said = "the command was stopped"
	return true
}

// output shows what a command said. It is as hostile as any payload.
func (m *maker) output(p *piped) (whole bool) {
	m.say(dim, "| %s  %s in %s (v shows the payload)", visible(p.command), bytesOf(int64(len(p.out))), took(p.took))
	if p.err != nil {
		m.say(bad, "%s", visible(p.err.Error()))
	}
	switch {
	case len(p.out) == 0:
		m.say(dim, "(it said nothing)")
	case looksJSON(p.out, p.cut):
		m.json(p.out, m.want.folds)
	case lines(p.out) || mostlyText(p.out):
		m.text(p.out)
	default:
		m.dump(p.out)
	}
	if p.cut {
		m.say(odd, "… more was said; the first %s are shown", bytesOf(pipeOutput))
	}
	return true
}
