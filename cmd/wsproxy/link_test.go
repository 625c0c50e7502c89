package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/ui"
)

// linked are the two ends of a link.
func linked(t *testing.T) (a, b *link) {
	t.Helper()
	fromA, toB, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromB, toA, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a, b = newLink(fromB, toB), newLink(fromA, toA)
	t.Cleanup(func() { _, _ = a.close(), b.close() })
	return a, b
}

func TestLink(t *testing.T) {
	a, b := linked(t)
	status := ui.Status{Bytes: [2]int64{1, 2}, Recording: "a b.pcapng", RecordingBytes: 3, Warnings: []string{"\x1b[31m", "line\nline"}}
	for _, want := range []message{
		{Kind: saysHello, Hello: &hello{Version: linkVersion, Path: "/tmp/\n", Title: "→", Status: status}},
		{Kind: saysStatus, Status: &status},
		{Kind: saysLeft, Left: &leaving{leftFailed, "no", "do", 3}},
		{Kind: saysSummary, Summary: strings.Repeat("s1  1000\n", 20)},
	} {
		if err := a.say(want); err != nil {
			t.Fatal(err)
		}
		got, err := b.hear()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	if err := a.say(message{Kind: saysSummary, Summary: strings.Repeat("x", lineLimit)}); err == nil {
		t.Error("a line that is too long was sent")
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.hear(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

// A line that is none, or that never ends, is an error, and no memory.
func TestLinkHostile(t *testing.T) {
	for name, text := range map[string]string{"no JSON": "hello\n", "no object": "[1]\n", "another type": `{"kind":1}` + "\n", "empty": "\n"} {
		a, b := linked(t)
		if _, err := io.WriteString(a.out, text); err != nil {
			t.Fatal(err)
		}
		if m, err := b.hear(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}
	a, b := linked(t)
	written := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(a.out, endless{}) // until the other end is closed
		written <- n
	}()
	if m, err := b.hear(); err == nil {
		t.Errorf("a line without an end is %v", m)
	}
	_ = b.close()
	if n := <-written; n > 2*lineLimit {
		t.Errorf("%d bytes of one line were read", n)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// Whoever is asked for what it does not know says so; all else that is not known
// is left alone.
func TestLinkAnswers(t *testing.T) {
	a, b := linked(t)
	for _, m := range []message{{Kind: "mood"}, {Kind: saysAnswer, ID: 3}, {Kind: "kill", ID: 4}} {
		b.answer(m)
	}
	got, err := a.hear()
	want := message{Kind: saysAnswer, ID: 4, Error: `"kill" is not known here`}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// feeding is the goroutine that tells a screen what is new, in a time of its own.
type feeding struct {
	a     *apart
	other *link
	grown chan struct{}
	pulse *pulse
	done  chan struct{}

	mu     sync.Mutex
	status ui.Status
	looks  int
}

// look is how the status is asked for.
func (f *feeding) look() ui.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	return f.status
}

// looked is how often it was.
func (f *feeding) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

// change changes the status.
func (f *feeding) change(st ui.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = st
}

func feed(t *testing.T) *feeding {
	ours, other := linked(t)
	f := &feeding{a: &apart{link: ours, gone: make(chan struct{})}, other: other, grown: make(chan struct{}, 1), done: make(chan struct{})}
	f.pulse = newPulse(nothing{})
	go func() {
		defer close(f.done)
		f.a.feed(news{f.grown, f.pulse, f.look, nil}, ui.Status{})
	}()
	return f
}

type nothing struct{}

func (nothing) Open(inspect.ConnInfo) {}
func (nothing) Chunk(inspect.Chunk)   {}
func (nothing) Note(inspect.Note)     {}
func (nothing) End(inspect.Ended)     {}

// pass lets time pass; what is done then is done when it returns.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// heard are the kinds of what was said since the last time, all of which is in the
// pipe.
func (f *feeding) heard(t *testing.T) map[string]int {
	t.Helper()
	if err := f.a.link.say(message{Kind: "mark"}); err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for {
		m, err := f.other.hear()
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind == "mark" {
			return all
		}
		all[m.Kind]++
	}
}

// A screen is told that the recording has grown at once, then thirty times a second
// at most; of the status ten times, and only if it is another. When nothing
// happens nobody looks.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := feed(t)
		expect := func(when string, want map[string]int) {
			t.Helper()
			if diff := cmp.Diff(want, f.heard(t)); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		f.grown <- struct{}{}
		pass(time.Microsecond)
		expect("at once", map[string]int{saysGrew: 1})
		for i := range 1000 {
			select {
			case f.grown <- struct{}{}:
			default:
			}
			f.change(ui.Status{RecordingBytes: int64(i)})
			pass(time.Millisecond)
		}
		got := f.heard(t)
		if got[saysGrew] < 25 || got[saysGrew] > 31 || got[saysStatus] < 6 || got[saysStatus] > 10 || len(got) != 2 {
			t.Errorf("in a second of traffic: %v", got)
		}
		pass(stillAfter + time.Second)
		f.heard(t)
		looks := f.looked()
		pass(time.Hour)
		expect("in an hour of silence", map[string]int{})
		if n := f.looked(); n != looks {
			t.Errorf("in an hour of silence the status was looked at %d times", n-looks)
		}

		// Traffic that cannot be written is noticed too.
		f.change(ui.Status{Warnings: []string{"the traffic waits for the disk"}})
		f.pulse.Chunk(inspect.Chunk{})
		pass(statusEvery + tellEvery)
		expect("behind a stalled disk", map[string]int{saysStatus: 1})
		pass(stillAfter + time.Second)
		f.grown <- struct{}{}
		pass(time.Microsecond)
		expect("after a silence", map[string]int{saysGrew: 1})

		// The end of the recording may not be that of the traffic.
		close(f.grown)
		pass(time.Microsecond)
		expect("at the recording's end", map[string]int{saysFinished: 1})
		f.change(ui.Status{Bytes: [2]int64{1, 1}})
		f.pulse.Chunk(inspect.Chunk{})
		pass(time.Second)
		expect("behind it", map[string]int{saysStatus: 1})
		pass(time.Hour)
		expect("in another hour", map[string]int{})
		close(f.a.gone)
		<-f.done
	})
}

// It ends with the screen, whatever it was about to say.
func TestFeedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := feed(t)
		pass(time.Hour)
		close(f.a.gone)
		<-f.done
		f = feed(t)
		if err := f.other.close(); err != nil {
			t.Fatal(err)
		}
		f.grown <- struct{}{}
		<-f.done
	})
}

// A pulse rings once for each silence that somebody waits through.
func TestPulse(t *testing.T) {
	p := newPulse(nothing{})
	rung := func() bool {
		select {
		case <-p.begun:
			return true
		default:
			return false
		}
	}
	for name, beat := range map[string]func(){"open": func() { p.Open(inspect.ConnInfo{}) }, "chunk": func() { p.Chunk(inspect.Chunk{}) },
		"note": func() { p.Note(inspect.Note{}) }, "end": func() { p.End(inspect.Ended{}) }} {
		if beat(); rung() {
			t.Errorf("%s: it rings for nobody", name)
		}
		p.quiet.Store(true)
		beat()
		beat()
		if !rung() || rung() {
			t.Errorf("%s: it does not ring once", name)
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.Chunk(inspect.Chunk{}) }); n > 0 {
		t.Errorf("%v allocations a chunk", n)
	}
}

// passOn has rung when all has been read.
func TestPassOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, ticks, done, news := make(chan struct{}, 1), make(chan struct{}), make(chan struct{}), newBell()
		ended := make(chan struct{})
		go func() { passOn(live, ticks, done, news); close(ended) }()
		rung := func() (n int) {
			synctest.Wait()
			select {
			case <-news:
				n = 1
			default:
			}
			return n
		}
		live <- struct{}{}
		if rung() > 0 {
			t.Error("it rings before the follower reads")
		}
		<-ticks // the follower begins to read
		if rung() == 0 || rung() > 0 {
			t.Error("it does not ring when the follower begins")
		}
		<-ticks // and is back
		if rung() == 0 || rung() > 0 {
			t.Error("it does not ring when the follower is back")
		}
		close(live)
		if _, ok := <-ticks; ok {
			t.Error("the end is not passed on")
		}
		close(done)
		<-ended
		if rung() == 0 {
			t.Error("it does not ring at the end")
		}
	})
	// A store that is closed ends it, wherever it is.
	for _, n := range []int{0, 1} {
		live, done := make(chan struct{}, 1), make(chan struct{})
		for range n {
			live <- struct{}{}
		}
		ended := make(chan struct{})
		go func() { passOn(live, make(chan struct{}), done, newBell()); close(ended) }()
		close(done)
		<-ended
	}
}

// What the screen's process last said is kept, but not all of it.
func TestLastWords(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CACHE_HOME", dir)
	var w lastWords
	if name := w.save(); name != "" {
		t.Errorf("no words are kept in %s", name)
	}
	for range 100 {
		if n, err := w.Write(make([]byte, 10<<10)); n != 10<<10 || err != nil {
			t.Fatal(n, err)
		}
	}
	st, err := os.Stat(w.save())
	if err != nil || st.Size() != wordsLimit || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v %v", st, err)
	}
}
