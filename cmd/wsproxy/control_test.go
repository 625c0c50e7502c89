package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/ui"
)

// obeying is a Controller that keeps what it is asked for.
type obeying struct {
	mu   sync.Mutex
	acts []ui.Act
}

func (o *obeying) Do(_ context.Context, a ui.Act) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acts = append(o.acts, a)
	if a.Verb == ui.Step {
		return errors.New("nothing waits")
	}
	return nil
}

// What a screen in a process of its own asks for is done on the other side, and it gets
// the answer, and the status behind it.
func TestActsGoThroughTheLink(t *testing.T) {
	ours, its := linked(t)
	o := &obeying{}
	status := ui.Status{Gate: &ui.Gate{Count: 1, Held: []ui.Held{{Session: 7, Waiting: []ui.Waiting{{Dir: inspect.ToClient, Op: "text", Size: 1, Since: time.Unix(1, 2).UTC(), Text: "\n"}}}}}}
	a := &apart{link: ours, control: o, status: func() ui.Status { return status }, gone: make(chan struct{})}
	r := &remote{link: its, news: newBell(), gone: make(chan struct{}), grew: make(chan struct{}, 1), leave: func() {}, answer: map[uint64]chan<- string{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			m, err := ours.hear()
			if err != nil {
				return
			}
			a.act(m)
		}
	})
	serving.Go(r.hear)
	acts := []ui.Act{{Verb: ui.Hold, Session: 1<<63 + 1}, {Verb: ui.Kill, Session: 7, How: inspect.Rst}, {Verb: ui.Kill, Session: 7, Code: 1001, Reason: "\x00é"}, {Verb: ui.Break, Filter: "a && b"}}
	for _, act := range acts {
		if err := r.Do(t.Context(), act); err != nil {
			t.Error(err)
		}
	}
	if err := r.Do(t.Context(), ui.Act{Verb: ui.Step}); err == nil || err.Error() != "nothing waits" {
		t.Error(err)
	}
	if diff := cmp.Diff(acts, o.acts[:len(acts)]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(status, r.latest()); diff != "" {
		t.Error(diff)
	}
	if a.control = nil; r.Do(t.Context(), acts[0]) == nil { // a screen that is not to
		t.Error("it was done")
	}
	_, _ = ours.close(), its.close()
	serving.Wait()
	if err := r.Do(t.Context(), acts[0]); err == nil {
		t.Error("it was done by nobody")
	}
}

// The control of a run does what it is asked for, and says what it cannot do.
func TestControl(t *testing.T) {
	c := newControl(newPulse(nothing{}))
	target, err := parseTarget("ws://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	server, err := proxy.New(proxy.Config{Target: target, Gate: c.holds})
	if err != nil {
		t.Fatal(err)
	}
	c.bind(server)
	for verb, wrong := range map[string]string{ui.Hold: "cannot be held or ended", ui.Kill: "cannot be held or ended", ui.Step: "no frame", ui.Resume: "no frame", ui.ResumeAll: "", "dance": "not known"} {
		if err := c.Do(t.Context(), ui.Act{Verb: verb, Session: 9}); (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	for _, f := range []string{"op ==", "session.n == 1"} {
		if err := c.Do(t.Context(), ui.Act{Verb: ui.Break, Filter: f}); err == nil {
			t.Errorf("%q is no filter for frames that pass", f)
		}
	}
	for _, f := range []string{"op == text", ""} {
		if err := c.Do(t.Context(), ui.Act{Verb: ui.Break, Filter: f}); err != nil || c.gate().Filter != f {
			t.Errorf("%q: %v, %+v", f, err, c.gate())
		}
	}
	if (*control)(nil).gate() != nil {
		t.Error("without a control nothing can be held")
	}
}
