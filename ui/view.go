package ui

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/tview"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// view is the screen: what is selected, and how it is drawn. All but the
// atomics belongs to tview's loop.
type view struct {
	*tview.Box
	ctx     context.Context // of Run
	stop    context.CancelFunc
	app     *tview.Application
	screen  *diffScreen
	source  source
	reader  *reader
	options Options
	palette *palette
	running sync.WaitGroup

	// Shared with the other goroutines.
	stirred chan struct{} // the ticking goroutine is to look
	asked   atomic.Int64  // when a drawing was asked for that was not begun; 0: none
	drawn   atomic.Uint64
	drew    lastDraw
	aging   atomic.Bool // an age is shown, which goes on while nothing else happens
	status  status
	hurry   atomic.Bool // the status has changed, since the user had something done
	mu      sync.Mutex
	posted  []func()
	drawing chan struct{} // closed at the first drawing
	over    chan struct{} // closed when the loop is over

	sessions sessions
	frames   frames
	focus    pane
	alone    bool // the pane with the focus has the screen for itself
	follow   bool // stay on the newest frame
	tab      int
	tabRects []rect
	subject  want // of the page that scroll belongs to
	scroll   int
	lines    int // of the page
	desk     desk
	tour     tour
	pipes    piping
	jump     bool
	layout   layout
	help     *page
	helpAt   int
	prompt   *prompt
	commands []command
	keyRects []keyRect           // in the bottom line
	answers  map[string][]string // by the kind of question, the newest last
	makeHelp func(*view, int) *page
	listing  listing
	sieve    *sieve      // the filter that is set; nil: none
	shaping  chan *shape // what is to be worked out
	scouting chan struct{}
	hints    []string // of what leads past wsproxy
	talks    *talks
	talk     *talk // of the session that is selected; nil: it has none
	marks    marks
	search   search
	saving   saving
	said     string // in the bottom line, until the next key
	pressed  string // the key being handled
	gate     *Gate  // what is held; nil: nothing can be
	begun    bool
	err      error
}

func newView(ctx context.Context, src source, o Options, screen *diffScreen) *view {
	ctx, stop := context.WithCancel(ctx)
	if o.NoColor {
		o.Theme = Colorless
	}
	v := &view{Box: tview.NewBox(), ctx: ctx, stop: stop, app: tview.NewApplication(), screen: screen, source: src, options: o,
		palette: newPalette(o.Theme.on(screen.Colors())), follow: o.Live, stirred: make(chan struct{}, 1), drawing: make(chan struct{}), over: make(chan struct{})}
	v.commands = bound(offered(o), o.Keys)
	v.frames.session, v.frames.seek, v.sessions.seek = -1, noSeek, noSeek
	v.listing.folds = true
	if v.marks.waiting = slices.Clone(o.Marks); len(o.Marks) > 0 {
		v.sessions.ids = map[inspect.SessionID]int{}
	}
	v.shaping, v.scouting = make(chan *shape, 1), make(chan struct{}, 1)
	v.tour.scenes = o.Tour
	v.sessions.all = o.Exchanges
	v.reader = newReader(src, v.wake)
	v.talks = newTalks(src, &o, v.wake)
	v.app.SetInputCapture(v.capture)
	return v
}

// capture takes the keys that are no one's: the request for a drawing.
func (v *view) capture(e *tcell.EventKey) *tcell.EventKey {
	if e.Key() == keyDraw {
		v.asked.Store(0)
		for _, f := range v.take() {
			f()
		}
		return nil // tview draws now
	}
	if e.Key() == tcell.KeyCtrlC {
		return tcell.NewEventKey(tcell.KeyCtrlC, 0, tcell.ModNone) // a copy, which tview hands on
	}
	return e
}

// InputHandler takes a key to the prompt, or to the table of keys.
func (v *view) InputHandler() func(*tcell.EventKey, func(tview.Primitive)) {
	return func(e *tcell.EventKey, _ func(tview.Primitive)) {
		if v.prompt != nil && e.Key() != tcell.KeyCtrlC {
			v.prompt.key(e)
			return
		}
		v.pressed = keyName(e)
		if !v.guided(v.pressed) {
			v.press(v.pressed)
			v.pressedFor(v.pressed)
		}
	}
}

// PasteHandler takes a paste to the prompt: elsewhere its letters would be keys.
func (v *view) PasteHandler() func(string, func(tview.Primitive)) {
	return func(text string, setFocus func(tview.Primitive)) {
		if v.prompt != nil {
			v.prompt.field.PasteHandler()(text, func(tview.Primitive) {})
		}
	}
}

// Draw draws everything.
func (v *view) Draw(screen tcell.Screen) {
	if !v.begun {
		v.begun = true
		close(v.drawing)
	}
	defer v.drew.note(time.Now())
	v.drawn.Store(v.source.Version())
	v.aging.Store(false)
	st := v.status.take()
	v.gate = st.gate
	x, y, w, h := v.GetRect()
	led := v.tour.height(h)
	h -= led
	warnings := v.warnings(&st)
	if v.sieve != nil {
		v.sieve.look()
	}
	exchanges := v.sessions.exchanges
	if v.sessions.update(v.source, v.sieve); v.sessions.behind {
		v.wake()
	}
	if v.sessions.exchanges > exchanges {
		select {
		case v.scouting <- struct{}{}:
		default:
		}
	}
	v.arrive()
	v.placeMarks()
	l := arrange(w, h, content{v.focus, v.alone, len(warnings) > 0, v.sessions.rows()})
	v.layout = l
	v.update(&l)
	v.drawTop(screen, l.top, &st)
	if len(warnings) > 0 {
		mark, style := " ! ", v.palette[bad]
		if len(warnings) == 1 && v.gateLine() != "" {
			mark, style = " ‖ ", v.palette[odd]
		}
		put(screen, rect{l.warnings.x, l.warnings.y, l.warnings.w * l.warnings.h, 1}, mark+oneLine(warnings...), style)
	}
	if v.help != nil {
		v.drawHelp(screen, rect{x, l.top.h, w, h - l.top.h - l.bottom.h})
	} else {
		v.drawSessions(screen, l.pane[onSessions])
		v.drawFrames(screen, l.pane[onFrames])
		for i := range l.divider.h {
			screen.SetContent(l.divider.x, y+l.divider.y+i, '│', nil, v.palette[dim])
		}
		v.drawDetail(screen, l.pane[onDetail])
	}
	v.drawTour(screen, rect{x, y + h, w, led})
	v.drawBottom(screen, l.bottom)
}

// update takes what is new in the recording and asks for what will be drawn.
func (v *view) update(l *layout) {
	s, f := &v.sessions, &v.frames
	s.resize(s.rows(), l.pane[onSessions].body().h)
	if v.follow && s.last && !s.atEnd() && f.session >= 0 && !s.open[f.session] {
		s.end() // the session that was followed is over
	}
	on := s.selected()
	if on < 0 {
		f.close()
		return
	}
	if on != f.session {
		f.open(on)
	}
	x := v.source.Session(on)
	v.talk = v.talks.listen(&x)
	f.update(v.source, &x, v.order(on))
	if v.follow {
		f.cursor, f.seek = f.n-1, noSeek
	}
	f.resize(f.n, l.pane[onFrames].body().h)
	f.load(v.source)
	v.fetch(&x, l.pane[onDetail].w)
}

// order says which of a session's frames have a row.
func (v *view) order(session int) order {
	first := v.source.First(session)
	if v.sieve != nil {
		if o := v.sieve.order(session, first); o != nil {
			return o
		}
	}
	if v.listing == (listing{}) {
		return allRows{first, v.source.Len(session)}
	}
	s := v.shape(session)
	s.forget(first)
	if !s.follow(v.source, shapeAtOnce) {
		select {
		case v.shaping <- s:
		default: // the goroutine has one to begin with
		}
	}
	return s
}

// shapeAtOnce is how many rows are looked at while a drawing waits; the rest is a
// goroutine's.
const shapeAtOnce = 4096

// shapeTold is how often what was worked out so far is shown.
const shapeTold = 100 * time.Millisecond

// shapes works out what is to be, until ctx ends. Its caller waits for it.
func (v *view) shapes(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-v.shaping:
			told := time.Now()
			for ctx.Err() == nil && len(v.shaping) == 0 && !s.follow(v.source, 16*shapeAtOnce) {
				if time.Since(told) >= shapeTold {
					told = time.Now()
					v.wake()
				}
			}
			v.wake()
		}
	}
}

// fetch has the reader read what the lists and the tab will show.
func (v *view) fetch(x *record.Session, w int) {
	v.reader.ask(v.want(x, w), v.frames.inSight(), v.talk)
}

// inSight are the frames in sight.
func (f *frames) inSight() []record.Row {
	var rows []record.Row
	for i := f.top; i < min(f.top+f.height, f.n); i++ {
		if r, ok := f.row(i); ok {
			rows = append(rows, r)
		}
	}
	return rows
}

// want is the page that belongs to what is selected.
func (v *view) want(x *record.Session, w int) want {
	f := &v.frames
	out := want{session: f.session, entry: f.entry(f.cursor), tab: v.tab, width: w, search: v.search.text, frames: f.total, found: x.Findings, closed: f.closed}
	if tabs()[v.tab].whole {
		out.entry = entryOpen
	}
	if v.tab != 0 || out.entry != entryFrame {
		out.search = ""
	}
	if out.entry == entryFrame {
		out.row, _ = f.frame(v.source, f.cursor) // without one nothing is shown
	}
	v.desk.reads(&out)
	v.listens(&out)
	return out
}

// drawDetail draws the tabs and the page of the one that is open.
func (v *view) drawDetail(screen tcell.Screen, r rect) {
	if r.h <= 0 || r.w <= 0 {
		return
	}
	v.drawTabs(screen, r)
	f := &v.frames
	if f.session < 0 {
		v.lines, v.scroll = 0, 0
		return
	}
	x := v.source.Session(f.session)
	w := v.want(&x, r.w)
	if s := w.subject(); s != v.subject {
		v.subject, v.scroll = s, 0
		v.desk.open(s)
	}
	body := r.body()
	m := v.reader.made()
	if m == nil || m.want.subject() != v.subject {
		put(screen, rect{body.x + 1, body.y, body.w*min(body.h, 1) - 1, 1}, "reading …", v.palette[dim])
		return
	}
	if v.jump && m.want.search == w.search {
		v.jump = false
		if len(m.hits) > 0 && m.hits[0] >= body.h {
			v.scroll = m.hits[0] - body.h/2
		}
	}
	v.lines = len(m.lines)
	v.placeCursor(m)
	v.scroll = max(min(v.scroll, v.lines-body.h), 0)
	v.drawPage(screen, body, m)
}

// drawTabs draws the head of the detail pane: the tabs, and how far down one is.
func (v *view) drawTabs(screen tcell.Screen, r rect) {
	style := v.barStyle(onDetail)
	fill(screen, r.x, r.y, r.w, style)
	v.tabRects = v.tabRects[:0]
	x := r.x
	for i, text := range v.tabTexts(r.w) {
		s := style
		if i == v.tab {
			s = style.Bold(true)
		}
		n := put(screen, rect{x, r.y, r.x + r.w - x, 1}, text, s)
		v.tabRects = append(v.tabRects, rect{x, r.y, n, 1})
		x += n
	}
	if body := r.body(); v.lines > body.h && body.h > 0 {
		where := fmt.Sprintf(" %d–%d of %d ", v.scroll+1, min(v.scroll+body.h, v.lines), v.lines)
		if n := width(where); x+n <= r.x+r.w {
			put(screen, rect{r.x + r.w - n, r.y, n, 1}, where, style)
		}
	}
}

// drawBottom draws the prompt, or what there is to say and the keys.
func (v *view) drawBottom(screen tcell.Screen, r rect) {
	if r.h <= 0 {
		return
	}
	if v.prompt != nil {
		v.prompt.draw(screen, r, v.palette)
		return
	}
	said := v.said
	if v.saving.cancel != nil {
		said = v.saving.words
	}
	if v.search.cancel != nil {
		said = v.search.words
	}
	x := r.x
	if said != "" {
		x += put(screen, rect{x, r.y, r.w, 1}, " "+visible(said), v.palette[odd]) + 1
	} else if at := v.whereabouts(r.w * 6 / 10); at != "" {
		x += put(screen, rect{x, r.y, r.w, 1}, " "+at, v.palette[name]) + 1
	}
	if said == "" && v.sieve != nil {
		l := line{spans: v.filterLine()}
		l.put(screen, x, r.y, r.x+r.w-x, v.palette)
		x += spansWidth(l.spans)
	}
	l := line{spans: v.keysHere(x, r.x+r.w-x)}
	l.put(screen, x, r.y, r.x+r.w-x, v.palette)
}

func (v *view) drawHelp(screen tcell.Screen, r rect) {
	if v.help.width != r.w {
		v.help = v.makeHelp(v, r.w)
	}
	lines := v.help.wrapped()
	v.helpAt = max(min(v.helpAt, len(lines)-r.h), 0)
	for i := 0; i < r.h && v.helpAt+i < len(lines); i++ {
		lines[v.helpAt+i].put(screen, r.x+1, r.y+i, r.w-1, v.palette)
	}
}
