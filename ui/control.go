package ui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/record"
)

// Controller does to the traffic what the user asks for. Do is called by a goroutine of
// Run, and waits until it is done or cannot be; what is held from then on Status tells.
type Controller interface {
	Do(ctx context.Context, a Act) error
}

// Act is something to do to the traffic.
type Act struct {
	Verb    string            `json:"verb"`
	Session inspect.SessionID `json:"session,omitempty"`
	Filter  string            `json:"filter,omitempty"` // of a Break; empty: none any more
	How     inspect.End       `json:"how,omitempty"`    // of a Kill: Fin or Rst; NoEnd: with a Close frame
	Code    inspect.CloseCode `json:"code,omitempty"`   // of that
	Reason  string            `json:"reason,omitempty"` // of that
}

// The verbs.
const (
	Hold      = "hold"       // the session: every frame waits
	Step      = "step"       // let its oldest waiting frame go, and hold what comes
	Resume    = "resume"     // let it go
	ResumeAll = "resume-all" // let all go
	Break     = "break"      // hold the frames that a filter chooses
	Kill      = "kill"       // end the session
)

// Gate is what is held at one time. It must not be changed once it was answered.
type Gate struct {
	Filter string `json:"filter,omitempty"` // by which frames are held
	Blind  int    `json:"blind,omitempty"`  // open sessions whose compressed messages it cannot look into
	Held   []Held `json:"held,omitempty"`   // whose frame waits longest comes first; perhaps not all
	Count  int    `json:"count,omitempty"`  // of all that are held
}

// Held is a session that is held.
type Held struct {
	Session inspect.SessionID `json:"session"`
	Hand    bool              `json:"hand,omitempty"`    // every frame waits
	Waiting []Waiting         `json:"waiting,omitempty"` // the older one first
}

// Waiting is a frame that waits.
type Waiting struct {
	Dir   inspect.Dir `json:"dir"`
	Op    string      `json:"op"`
	Size  uint64      `json:"size"` // bytes of payload
	Since time.Time   `json:"since"`
	Text  string      `json:"text,omitempty"` // the beginning of its payload
}

// arrows are the directions as they are drawn.
var arrows = [...]string{inspect.ToServer: "→", inspect.ToClient: "←"}

// of is how a session is held; nil if it is not, or that is not known.
func (g *Gate) of(id inspect.SessionID) *Held {
	if g == nil {
		return nil
	}
	for i := range g.Held {
		if g.Held[i].Session == id {
			return &g.Held[i]
		}
	}
	return nil
}

// any says that something is held.
func (g *Gate) any() bool { return g != nil && g.Count > 0 }

// since is when the frame that waits longest began to; zero if none waits.
func (g *Gate) since() time.Time {
	if g == nil || len(g.Held) == 0 || len(g.Held[0].Waiting) == 0 {
		return time.Time{}
	}
	return g.Held[0].Waiting[0].Since
}

// words say that something is held, and for how long.
func (g *Gate) words(now time.Time) string {
	if !g.any() {
		return ""
	}
	since := g.since()
	if since.IsZero() {
		return fmt.Sprintf("held %d", g.Count)
	}
	d := max(now.Sub(since), 0)
	text := fmt.Sprintf("%.1f s", d.Seconds())
	if d >= 10*time.Second {
		text = d.Truncate(time.Second).String()
	}
	return fmt.Sprintf("held %d · %s", g.Count, text)
}

// stepCommands are of use while something is held.
func stepCommands() []command {
	return []command{
		{"step", []string{"s"}, "step", "let the held session's oldest frame go, and hold what comes behind it", inPanes, isWaiting, (*view).stepFrame, nil},
		{"resume", []string{"a"}, "resume", "let the held session go", inPanes, isHeld, (*view).resume, nil},
		{"resume-all", []string{"A"}, "resume all", "let all held sessions go", inPanes, anyHeld, (*view).resumeAll, nil},
	}
}

// holdCommands change what the traffic does. A screen that only looks on has none.
func holdCommands() []command {
	return []command{
		{"hold", []string{"b"}, "hold", "hold the session: its frames wait for s, a or A", inPanes, canHold, (*view).hold, nil},
		{"break", []string{"B"}, "break on", "hold the frames that a filter chooses; an empty one holds none", inPanes, nil, (*view).askBreak, (*view).breakOn},
		{"kill", []string{"X"}, "kill", "end the session: with a Close frame to both sides, a FIN or an RST", inPanes, canKill, (*view).askKill, (*view).kill},
	}
}

// everyCommand are the commands of a screen that is not for looking only.
func everyCommand() []command { return slices.Concat(stepCommands(), commands(), holdCommands()) }

// offered are the commands of a screen.
func offered(o Options) []command {
	if o.Control == nil {
		return commands()
	}
	return everyCommand()
}

// openSession is the selected session, if it is open; ok is false otherwise.
func (v *view) openSession() (id inspect.SessionID, ok bool) {
	on := v.sessions.selected()
	if on < 0 || !v.sessions.open[on] {
		return 0, false
	}
	return v.source.Session(on).ID, true
}

// heldHere is how the selected session is held; nil if it is not.
func (v *view) heldHere() *Held {
	id, ok := v.openSession()
	if !ok {
		return nil
	}
	return v.gate.of(id)
}

func anyHeld(v *view) bool   { return v.gate.any() }
func isHeld(v *view) bool    { return v.heldHere() != nil }
func isWaiting(v *view) bool { h := v.heldHere(); return h != nil && len(h.Waiting) > 0 }
func canKill(v *view) bool   { _, ok := v.openSession(); return ok }
func canHold(v *view) bool   { h := v.heldHere(); return canKill(v) && (h == nil || !h.Hand) }

func (v *view) hold()      { v.actHere(Act{Verb: Hold}, "held") }
func (v *view) stepFrame() { v.actHere(Act{Verb: Step}, "") }
func (v *view) resume()    { v.actHere(Act{Verb: Resume}, "resumed") }
func (v *view) resumeAll() { v.act(Act{Verb: ResumeAll}, "all sessions go on") }

// actHere has something done to the selected session.
func (v *view) actHere(a Act, done string) {
	id, ok := v.openSession()
	if !ok {
		v.said = "this session is over"
		return
	}
	a.Session = id
	v.act(a, done)
}

// act has something done, on a goroutine that Run waits for, and says so.
func (v *view) act(a Act, done string) {
	v.start(func(ctx context.Context) {
		err := v.options.Control.Do(ctx, a)
		v.hurry.Store(true)
		v.post(func() {
			if v.said = done; err != nil && ctx.Err() == nil {
				v.said = err.Error()
			}
		})
	})
}

// askBreak asks for the filter by which frames are held.
func (v *view) askBreak() {
	text := ""
	if v.gate != nil {
		text = v.gate.Filter
	}
	v.ask(question{kind: "filter", label: "hold frames that match: ", text: text, done: v.breakOn,
		options: func(text string) []option { return completions(text, filter.Passing) },
		problem: func(text string) (string, int) { return filterProblem(text, filter.CompilePassing) }})
}

func (v *view) breakOn(text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		v.act(Act{Verb: Break}, "no filter holds frames")
		return
	}
	if _, err := filter.CompilePassing(text); err != nil {
		v.said = err.Error()
		return
	}
	v.act(Act{Verb: Break, Filter: text}, "frames that match wait")
}

// askKill asks how the session is to end.
func (v *view) askKill() {
	v.ask(question{label: "end the session with: ", pick: true, done: v.kill, options: killOptions, problem: func(text string) (string, int) {
		if text == "" || len(killOptions(text)) > 0 {
			return "", 0
		}
		_, wrong := killOf(text)
		return wrong, 0
	}})
}

// killOptions are the ways in which a session can end: those that begin with what was
// written, or that itself.
func killOptions(text string) []option {
	var all []option
	for _, code := range []inspect.CloseCode{1000, 1001, 1002, 1008, 1009, 1011, 1012, 1013} {
		all = append(all, option{text: fmt.Sprint(uint16(code)), doc: "a Close frame to both sides: " + code.Name()})
	}
	all = append(all, option{text: "FIN", doc: "no Close frame, both TCP connections end"}, option{text: "RST", doc: "no Close frame, both TCP connections are reset"})
	var some []option
	for _, o := range all {
		if strings.HasPrefix(o.text, strings.ToUpper(text)) {
			some = append(some, o)
		}
	}
	return some
}

func (v *view) kill(text string) {
	a, wrong := killOf(text)
	if wrong != "" {
		v.said = wrong
		return
	}
	v.actHere(a, "killed")
}

// killOf reads "1001", "1001 a reason", "FIN" or "RST".
func killOf(text string) (a Act, wrong string) {
	a.Verb = Kill
	word, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
	switch strings.ToUpper(word) {
	case "FIN":
		a.How = inspect.Fin
		return a, ""
	case "RST":
		a.How = inspect.Rst
		return a, ""
	}
	n, err := strconv.ParseUint(word, 10, 16)
	a.Code, a.Reason = inspect.CloseCode(n), strings.TrimSpace(reason)
	switch {
	case err != nil:
		return a, "a close code with or without a reason, FIN or RST"
	case !a.Code.Sendable():
		return a, "no endpoint may send this code (RFC 6455 section 7.4)"
	case len(a.Reason) > 123:
		return a, "a reason has 123 bytes at most (RFC 6455 section 5.5)"
	}
	return a, ""
}

// ours says of a frame that wsproxy wrote it: the Close of a session that it ended.
func ours(s *record.Session, op inspect.Opcode, d inspect.Dir) bool {
	return op == inspect.OpClose && s.Closed != nil && s.Closed.Ours[d&1]
}

// gateLine says what waits: in the selected session, or else in the one that has waited
// longest; and by which filter frames are held.
func (v *view) gateLine() string {
	g := v.gate
	if g == nil {
		return ""
	}
	var parts []string
	h := v.heldHere()
	if h == nil && len(g.Held) > 0 {
		h = &g.Held[0]
	}
	if h != nil {
		who := "held"
		if n := v.numberOf(h.Session); n > 0 {
			who = fmt.Sprintf("held: session %d", n)
		}
		if len(h.Waiting) == 0 {
			who += ", nothing waits"
		}
		parts = append(parts, who)
		for _, w := range h.Waiting {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", arrows[w.Dir&1], w.Op, w.Size, visible(w.Text))))
		}
	}
	if g.Filter != "" {
		parts = append(parts, "frames wait that match "+visible(g.Filter))
	}
	if g.Blind > 0 {
		parts = append(parts, count(g.Blind, "session")+" began before: not looked into where compressed")
	}
	return oneLine(parts...)
}

// numberOf is what an open session's row is called; 0 if it has none.
func (v *view) numberOf(id inspect.SessionID) int {
	for i := range v.sessions.open {
		if v.source.Session(i).ID == id {
			for row := v.sessions.rows() - 1; row >= 0; row-- {
				if v.sessions.at(row) == i {
					return v.sessions.number(row)
				}
			}
		}
	}
	return 0
}
