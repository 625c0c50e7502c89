package ui

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/record"
)

// marks are the user's. They lie where the store has what they are about.
type marks struct {
	at      map[spot]record.Mark
	waiting []record.Mark // for what they are about to be read

	looked uint64 // the source's version when they were last looked for

	keeping sync.Mutex // who keeps them
	newest  int        // how often they changed
}

// spot is a session, or a frame by its row in the store.
type spot struct {
	session int
	row     int // atOpen: the session
}

// spot is what a mark would be about now.
func (v *view) spot() (at spot, ok bool) {
	f := &v.frames
	if f.session < 0 || v.source.Session(f.session).ID == 0 {
		v.said = "there is no session to mark"
		return at, false
	}
	at = spot{f.session, atOpen}
	if row, ok := f.frame(v.source, f.cursor); ok && v.focus != onSessions {
		at.row = int(row.N()) - 1
	}
	return at, true
}

// toggleMark marks what one is on, or takes the mark and its note away.
func (v *view) toggleMark() {
	at, ok := v.spot()
	if !ok {
		return
	}
	if _, is := v.marks.at[at]; is {
		delete(v.marks.at, at)
		v.keepMarks()
		return
	}
	v.setMark(at, "")
}

// askNote asks for a note on what one is on.
func (v *view) askNote() {
	if at, ok := v.spot(); ok {
		v.askFor("note: ", v.marks.at[at].Text, func(text string) { v.setMark(at, text) })
	}
}

// note notes something on what one is on.
func (v *view) note(text string) {
	if at, ok := v.spot(); ok {
		v.setMark(at, text)
	}
}

// maxNote is how long a note may be, in bytes.
const maxNote = 4096

func (v *view) setMark(at spot, text string) {
	if len(text) > maxNote {
		text = text[:maxNote]
	}
	m := record.Mark{Session: v.source.Session(at.session).ID, Text: text, Time: time.Now()}
	if at.row != atOpen {
		var row [1]record.Row
		if v.source.Rows(at.session, at.row, row[:]) == 0 {
			v.said = "it was written over meanwhile"
			return
		}
		m.Frame, m.Dir, m.Off = row[0].N(), row[0].Dir(), row[0].Off()
	}
	if v.marks.at == nil {
		v.marks.at = map[spot]record.Mark{}
	}
	v.marks.at[at] = m
	v.keepMarks()
}

// keepMarks has the marks kept, on a goroutine that Run waits for.
func (v *view) keepMarks() {
	if v.options.KeepMarks == nil {
		return
	}
	all := slices.Clone(v.marks.waiting)
	for _, at := range v.marked() {
		all = append(all, v.marks.at[at])
	}
	k := &v.marks
	k.keeping.Lock()
	k.newest++
	number := k.newest
	k.keeping.Unlock()
	v.start(func(context.Context) {
		k.keeping.Lock()
		defer k.keeping.Unlock()
		if number < k.newest {
			return // a later goroutine keeps more
		}
		if err := v.options.KeepMarks(all); err != nil {
			v.post(func() { v.said = "the marks are not kept: " + err.Error() })
		}
	})
}

// marked are the places of the marks, in order.
func (v *view) marked() []spot {
	return slices.SortedFunc(maps.Keys(v.marks.at), compareSpots)
}

func compareSpots(a, b spot) int {
	return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.row, b.row))
}

// placeMarks puts the marks that were kept earlier where they belong, as soon as that
// has been read.
func (v *view) placeMarks() {
	if len(v.marks.waiting) == 0 || v.marks.looked == v.source.Version() {
		return
	}
	v.marks.looked = v.source.Version()
	v.marks.waiting = slices.DeleteFunc(v.marks.waiting, func(m record.Mark) bool {
		i, ok := v.sessions.ids[m.Session]
		if !ok {
			return false
		}
		at := spot{i, atOpen}
		if m.Frame > 0 {
			if at.row, ok = rowAt(v.source, i, &m); !ok {
				return false
			}
		}
		if v.marks.at == nil {
			v.marks.at = map[spot]record.Mark{}
		}
		v.marks.at[at] = m
		return true
	})
}

// rowAt finds the frame that a mark is about: by its number, or if that has become
// another one's by its place in its direction's stream.
func rowAt(src source, session int, m *record.Mark) (int, bool) {
	var row [1]record.Row
	is := func(i int) bool {
		return src.Rows(session, i, row[:]) == 1 && row[0].Dir() == m.Dir && row[0].Off() == m.Off
	}
	if at := int(m.Frame) - 1; is(at) {
		return at, true
	}
	first, end := src.First(session), src.Len(session)
	at := first + sort.Search(end-first, func(i int) bool {
		for i += first; i < end && src.Rows(session, i, row[:]) == 1; i++ {
			if row[0].Dir() == m.Dir {
				return row[0].Off() >= m.Off
			}
		}
		return true
	})
	for ; at < end && src.Rows(session, at, row[:]) == 1; at++ {
		if row[0].Dir() == m.Dir {
			break
		}
	}
	return at, is(at)
}

func hasMarks(v *view) bool { return len(v.marks.at) > 0 }

func (v *view) nextMark()     { v.goToMark(1) }
func (v *view) previousMark() { v.goToMark(-1) }

// goToMark goes to the mark behind what one is on, or the one in front of it.
func (v *view) goToMark(by int) {
	all := v.marked()
	here := spot{v.frames.session, v.frames.here().at}
	i, on := slices.BinarySearchFunc(all, here, compareSpots)
	switch {
	case by < 0:
		i--
	case on:
		i++
	}
	if i < 0 || i >= len(all) {
		v.said = "there is no other mark this way"
		return
	}
	v.goToFrame(all[i].session, all[i].row)
}
