package main

import (
	"context"
	"fmt"

	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/proxy/rule"
	"github.com/wsproxy/wsproxy/ui"
)

// control has done to the traffic what a screen asks for: a ui.Controller.
type control struct {
	holds  *rule.Holds
	server *proxy.Server
	news   bell // of a screen in this process: something is held that was not, or the other way round
}

// newControl is the control of a run whose screen is told of news by the pulse.
func newControl(p *pulse) *control {
	c := &control{news: newBell()}
	c.holds = rule.NewHolds(func() {
		p.begun.ring()
		c.news.ring()
	})
	return c
}

// bind takes the server; it must be called before the server serves.
func (c *control) bind(s *proxy.Server) {
	if c != nil {
		c.server = s
		c.holds.Bind(s.Regate)
	}
}

// Do does it at once.
func (c *control) Do(_ context.Context, a ui.Act) error {
	switch a.Verb {
	case ui.Hold:
		return c.holds.Hold(a.Session)
	case ui.Step:
		return c.holds.Step(a.Session)
	case ui.Resume:
		return c.holds.Resume(a.Session)
	case ui.ResumeAll:
		c.holds.ResumeAll()
		return nil
	case ui.Break:
		return c.breakOn(a.Filter)
	case ui.Kill:
		return c.server.Kill(a.Session, proxy.Kill{How: a.How, Code: a.Code, Reason: a.Reason})
	}
	return fmt.Errorf("%q is not known here", a.Verb)
}

// breakOn holds the frames that a filter chooses; an empty one holds none.
func (c *control) breakOn(text string) error {
	if text == "" {
		c.holds.Choose(nil)
		return nil
	}
	f, err := filter.CompilePassing(text)
	if err != nil {
		return err
	}
	c.holds.Choose(f)
	return nil
}

// heldShown is of how many held sessions a screen is told each.
const heldShown = 200

// gate is what is held, in the screen's words; nil if nothing can be.
func (c *control) gate() *ui.Gate {
	if c == nil {
		return nil
	}
	st := c.holds.State()
	g := &ui.Gate{Filter: st.Filter, Blind: st.Blind, Count: len(st.Held)}
	for _, h := range st.Held[:min(len(st.Held), heldShown)] {
		x := ui.Held{Session: h.ID, Hand: h.Hand}
		for _, w := range h.Waiting {
			x.Waiting = append(x.Waiting, ui.Waiting{Dir: w.Dir, Op: w.Op.String(), Size: w.Size, Since: w.Since, Text: w.Text})
		}
		g.Held = append(g.Held, x)
	}
	return g
}
