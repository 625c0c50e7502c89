package ui

import (
	"fmt"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/record"
)

// Scene is one stop of a tour: a session that is looked at, one key to press, and a
// question that is answered on the next one.
type Scene struct {
	Title    string
	Path     string // of the session
	Frame    int    // the frame that is selected, from 1; 0: the handshake
	Sentence string // what there is to see
	Key      string // as the table of keys calls it
	Shows    string // what the key shows, behind "press KEY: "
	Clause   string // where it stands
	Question string
	Answer   string
}

// stage is how far one is in a scene.
type stage uint8

const (
	stageComing stage = iota // its session has not come yet
	stageLook                // the key is to be pressed
	stageAsk                 // the question is asked
	stageAnswer              // and answered
)

// tour leads through scenes.
type tour struct {
	scenes []Scene
	at     int // len(scenes): it is over
	stage  stage
	hidden bool
}

// tourRows is how many rows the tour has below the screen, and tourFrom how many the
// screen must have for that.
const (
	tourRows = 4
	tourFrom = 16
)

// tourKey leads on where no other is named.
const tourKey = " "

func tourCommands() []command {
	return []command{
		{"tour", []string{"T"}, "", "hide the tour, or go on with it", inPanes, nil, (*view).toggleTour, nil},
	}
}

func (v *view) toggleTour() {
	if len(v.tour.scenes) == 0 {
		v.said = "there is no tour here: wsproxy demo --tour has one"
		return
	}
	v.tour.hidden = !v.tour.hidden
}

// height is how many rows the tour takes of a screen.
func (t *tour) height(screen int) int {
	if len(t.scenes) == 0 || t.hidden || screen < tourFrom {
		return 0
	}
	return tourRows
}

// arrive goes to the scene's session once it has come, with all of its frames that
// are looked at.
func (v *view) arrive() {
	t := &v.tour
	if t.stage != stageComing || t.hidden || t.at >= len(t.scenes) {
		return
	}
	scene := &t.scenes[t.at]
	for i := v.source.FirstSession(); i < v.source.Sessions(); i++ {
		x := v.source.Session(i)
		if x.Handshake == nil || x.Handshake.Path() != scene.Path || x.Closed == nil && x.Kind != record.Refused {
			continue
		}
		row := scene.Frame - 1
		if scene.Frame == 0 {
			row = atOpen
		}
		v.goToFrame(i, row)
		v.focus, v.tab, v.alone, v.help = onFrames, 0, false, nil
		if scene.Key == "1" { // which has to show something
			v.tab = 1
		}
		t.stage = stageLook
		return
	}
}

// guided takes a key for the tour; what it answers true to is not pressed otherwise.
func (v *view) guided(key string) bool {
	t := &v.tour
	if len(t.scenes) == 0 || t.hidden || v.help != nil || t.at >= len(t.scenes) || key != tourKey {
		return false
	}
	switch t.stage {
	case stageAsk:
		t.stage = stageAnswer
	case stageAnswer:
		t.at, t.stage = t.at+1, stageComing
	default:
		return false
	}
	return true
}

// pressedFor tells the tour of a key that was pressed.
func (v *view) pressedFor(key string) {
	if t := &v.tour; t.stage == stageLook && t.at < len(t.scenes) && key == t.scenes[t.at].Key {
		t.stage = stageAsk
		if len(key) == 1 && key[0] >= '0' && key[0] <= '9' {
			v.look() // a tab, which needs the room
		}
	}
}

// drawTour draws the scene below the screen.
func (v *view) drawTour(screen tcell.Screen, r rect) {
	t := &v.tour
	if t.height(r.y+r.h) == 0 {
		return
	}
	style := v.palette[barFocus]
	fill(screen, r.x, r.y, r.w, style)
	p := page{width: max(r.w-2, 1)}
	title := " The tour is over"
	if t.at < len(t.scenes) {
		s := &t.scenes[t.at]
		title = fmt.Sprintf(" Tour %d of %d: %s  [%s]", t.at+1, len(t.scenes), s.Title, s.Clause)
		v.stageLines(&p, s)
	} else {
		p.say(plain, "All of it is still here to look at: ? shows the keys, Q leaves, T hides this.")
		p.say(plain, "Before a server of your own:  wsproxy ws://localhost:3000")
	}
	put(screen, rect{r.x, r.y, r.w, 1}, title, style)
	for i, l := range p.wrapped() {
		if 1+i < r.h {
			l.put(screen, r.x+1, r.y+1+i, r.w-1, v.palette)
		}
	}
}

func (v *view) stageLines(p *page, s *Scene) {
	switch v.tour.stage {
	case stageComing:
		p.say(dim, "waiting for %s …", s.Path)
	case stageLook:
		p.say(plain, "%s", s.Sentence)
		p.add(span{"Press ", plain}, span{written(s.Key), strong}, span{": " + s.Shows, plain})
	case stageAsk:
		p.add(span{"Question: ", odd}, span{s.Question, plain})
		p.add(span{"Look around; ", dim}, span{written(tourKey), strong}, span{" answers.", dim})
	case stageAnswer:
		p.add(span{"Answer: ", good}, span{s.Answer, plain})
		p.add(span{written(tourKey), strong}, span{" leads on.", dim})
	}
}
