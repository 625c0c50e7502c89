package ui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// hand is a Controller that keeps what it is asked for, and tells that all that is held
// by hand is.
type hand struct {
	mu   sync.Mutex
	acts []Act
	gate Gate
	err  error
}

func (h *hand) Do(_ context.Context, a Act) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts = append(h.acts, a)
	if h.err != nil {
		return h.err
	}
	switch a.Verb {
	case Hold:
		wait := Waiting{Dir: inspect.ToClient, Op: "text", Size: 5, Since: time.Now(), Text: "Hello \x1b[31m"}
		h.gate = Gate{Count: 1, Held: []Held{{Session: a.Session, Hand: true, Waiting: []Waiting{wait}}}}
	case Step:
		h.gate = Gate{Count: 1, Held: []Held{{Session: a.Session, Hand: true}}}
	case Resume, ResumeAll:
		h.gate = Gate{}
	case Break:
		h.gate = Gate{Filter: a.Filter, Blind: 2}
	}
	return nil
}

func (h *hand) status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.gate
	return Status{Gate: &g}
}

// last is what was asked for last.
func (h *hand) last() Act {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.acts) == 0 {
		return Act{}
	}
	return h.acts[len(h.acts)-1]
}

// controlled is a screen on a play that goes on, with the cursor on its open session.
func controlled(t *testing.T, w int) (*driver, *hand) {
	p := everyday(t)
	s := p.store(true)
	await(t, "the sessions to be read", func() bool { return s.Sessions() == 5 && s.Len(4) == 1 })
	h := &hand{}
	d := drive(t, s, Options{Title: "play", Live: true, Status: h.status, Control: h}, w, 24).keys("G")
	return d, h
}

func TestHoldingASession(t *testing.T) {
	d, h := controlled(t, 120)
	d.hasNot("s step", "held").keys("b").has("held 1 · ", "‖ 4", "held: session 4 · ← text 5 Hello ␛[31m", "s step  a resume")
	if a := h.last(); a.Verb != Hold || a.Session == 0 {
		t.Errorf("%+v", a)
	}
	d.keys("s").has("held 1", "nothing waits", "a resume").hasNot("s step")
	d.keys("a").has("resumed").hasNot("held 1", "‖", "a resume")
	if a := h.last(); a.Verb != Resume {
		t.Errorf("%+v", a)
	}
	d.keys("b").has("held 1").keys("g").has("A resume all", "held: session 4").hasNot("s step", "a resume  ") // on another session
	d.keys("A").has("all sessions go on").hasNot("held 1")
	h.mu.Lock()
	h.err = errors.New("it is \x1bover")
	h.mu.Unlock()
	d.keys("Gb").has("it is ␛over")
}

// The time that is shown goes on while nothing else happens.
func TestHeldGoesOn(t *testing.T) {
	d, _ := controlled(t, 120)
	d.keys("b").has("held 1 · 0.").has("held 1 · 1.")
}

func TestKilling(t *testing.T) {
	for keys, want := range map[string]Act{
		"X<Enter>":               {Code: 1000},
		"X1001<Enter>":           {Code: 1001},
		"X10<Down><Enter>":       {Code: 1001},
		"X4321 that's it<Enter>": {Code: 4321, Reason: "that's it"},
		"Xfin<Enter>":            {How: inspect.Fin},
		"XR<Enter>":              {How: inspect.Rst},
		":kill 1008 no<Enter>":   {Code: 1008, Reason: "no"},
	} {
		d, h := controlled(t, 80)
		d.keys(keys).has("killed")
		if a := h.last(); a.Session == 0 || a.Verb != Kill || a.Code != want.Code || a.How != want.How || a.Reason != want.Reason {
			t.Errorf("%s: %+v", keys, a)
		}
	}
	d, h := controlled(t, 80)
	d.keys("X").has("1001    a Close frame to both sides: going away").keys("1006").has("no endpoint may send this code").keys("<Enter><Esc>")
	d.keys("Xno<Enter>").has("a close code with or without a reason, FIN or RST").keys("<Esc>")
	d.keys(":kill 1006<Enter>").has("no endpoint may send this code")
	if a := h.last(); a.Verb != "" {
		t.Errorf("%+v", a)
	}
	d.keys("g").hasNot("X kill", "b hold").keys("bX") // it is over
	if a := h.last(); a.Verb != "" {
		t.Errorf("%+v", a)
	}
}

func TestBreaking(t *testing.T) {
	d, h := controlled(t, 120)
	d.keys("Bop == tex<Enter>").has("frames that match: op == text").keys("<Enter>").has("frames wait that match op == text", "2 sessions began before")
	if a := h.last(); a.Verb != Break || a.Filter != "op == text" {
		t.Errorf("%+v", a)
	}
	d.keys(":break<Enter>").has("hold frames that match: op == text").keys("<Ctrl-U><Enter>").has("no filter holds frames").hasNot("frames wait")
	d.keys(":break (<Enter>").has("is missing")
	// What only a recording answers would hold nothing, for ever: it is refused, and not offered.
	d.keys("Bfi").has("last fragment").hasNot("worst finding").keys("nding == \"error\"<Enter>").has("▾ finding is known of a recording only").keys("<Esc>")
	d.keys(":break frame == 3<Enter>").has("frame is known of a recording only")
	d.keys(`:break "a b"<Enter>`).has(`that match "a b"`)
}

// A Close that wsproxy wrote is not taken for the server's.
func TestOurClose(t *testing.T) {
	p := newPlay(t)
	c := p.connect().open("/chat", "", "")
	p.w.Note(inspect.NewNote(c.id, inspect.ClientLeg, inspect.ToClient, p.now, inspect.NoteAltered, inspect.AlteredNote{Kind: inspect.NoteAltered,
		Dir: inspect.ToClient, Action: inspect.ActClose, By: "hand", Code: 1001}))
	c.frame(inspect.ToClient, inspect.OpClose, "\x03\xe9")
	c.frame(inspect.ToServer, inspect.OpClose, "\x03\xe9")
	c.end(inspect.ToClient, inspect.Self)
	p.close()
	d := drive(t, p.store(false), Options{}, 120, 40).keys("<Enter>gj").has("(by wsproxy) 1001", "close by wsproxy, in the place of the server")
	d.keys("j").has("close by the client").keys("G").has("1001 by wsproxy, answered by client", "was spoken for by wsproxy")
}

// Who only looks on is offered nothing of it.
func TestLookingOnly(t *testing.T) {
	p := everyday(t)
	s := p.store(true)
	await(t, "the sessions to be read", func() bool { return s.Sessions() == 5 && s.Len(4) == 1 })
	d := drive(t, s, Options{Title: "play", Live: true}, 200, 50).keys("G").hasNot("hold", "kill", "break")
	before := d.text()
	d.keys("bXBsaA")
	if after := d.text(); after != before {
		t.Errorf("a key did something:\n%s", after)
	}
	d.keys("K").hasNot(":hold", ":kill")
}

// The commands have keys of their own, and all say what they do.
func TestControlCommands(t *testing.T) {
	taken := map[string]string{}
	for _, c := range slices.Concat(commands(), stepCommands(), holdCommands()) {
		for _, k := range c.keys {
			for _, where := range []places{inSessions, inFrames, inDetail, inHelp} {
				at := fmt.Sprint(k, where)
				if c.where&where != 0 {
					if taken[at] != "" {
						t.Errorf("%s is a key of %s and of %s", k, taken[at], c.name)
					}
					taken[at] = c.name
				}
			}
		}
		if c.doc == "" || c.do == nil || strings.Contains(c.name, " ") {
			t.Errorf("%+v", c)
		}
	}
}

func TestGateWords(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) *Gate {
		return &Gate{Count: 3, Held: []Held{{Waiting: []Waiting{{Since: now.Add(-d)}}}}}
	}
	for want, g := range map[string]*Gate{"": nil, "held 3": {Count: 3}, "held 3 · 1.2 s": ago(1240 * time.Millisecond), "held 3 · 1m15s": ago(75900 * time.Millisecond)} {
		if got := g.words(now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
