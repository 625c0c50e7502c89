package record

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// pressed is a temporary recording whose queue is past the mark, with an open
// session of the connection 1.
func pressed(t *testing.T) (w *Writer, v *ringVoice, dir string) {
	dir = t.TempDir()
	w = stuckWriter(t, Options{Path: dir, Temporary: true, Limit: MinKeep})
	v = newRingVoice(t, w, 1)
	drain(t, w)
	crowd(w, snapFrom)
	return w, v, dir
}

// crowd fills the queue with so many bytes of a connection that is not recorded.
func crowd(w *Writer, n int) {
	w.Chunk(inspect.Chunk{Conn: 9, Time: t0, Data: make([]byte, n)})
}

func textOf(name string, size int) []byte {
	return []byte(name + " " + strings.Repeat("x", size-len(name)-1))
}

// Under pressure a long frame is a packet with its header and the front of its
// payload, a short one is whole; without it frames are whole again.
func TestLongFramesAreShortened(t *testing.T) {
	w, v, dir := pressed(t)
	text := func(name string, size int) []byte { return frame(inspect.OpText, textOf(name, size), nil) }
	long := text("long", 200_000)
	v.chunk(inspect.ToClient, slices.Concat(text("a", 10), text("b", 900), text("c", 70_000), text("d", 20), text("e", 5000), text("f", 30)), 1, true)
	v.chunk(inspect.ToClient, append(text("g", 40), long[:3]...), 1, false) // a header in two pieces
	v.chunk(inspect.ToClient, long[3:500], 0, false)
	v.chunk(inspect.ToClient, long[500:150_000], 0, false)
	v.chunk(inspect.ToClient, append(slices.Clone(long[150_000:]), text("h", 50)...), len(long)-150_000+1, true)
	drain(t, w) // no pressure any more
	v.chunk(inspect.ToClient, slices.Concat(text("i", 60_000), text("j", 5)), 1, true)
	if w.thin[legDir{1, inspect.ClientLeg, inspect.ToClient}] != nil {
		t.Error("frames are shortened without need")
	}
	v.end()
	drained(t, w)

	kept := int64(snapPayload)
	if st := w.Status(); st.Snapped != 70_000+5000+200_000-3*kept || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
	in := newReader(inspect.ClientLeg)
	if err := Follow(t.Context(), dir, nil, in); err != nil {
		t.Fatal(err)
	}
	key := legDir{1, inspect.ClientLeg, inspect.ToClient}
	var got []string
	for i, m := range in.messages[key] {
		f := in.frames[key][i]
		got = append(got, fmt.Sprintf("%.4s %d %d %v", m.Data, len(m.Data), f.Missing, m.Cut))
	}
	want := []string{"a xx 10 0 false", "b xx 900 0 false", "c xx 1024 68976 true", "d xx 20 0 false", "e xx 1024 3976 true", "f xx 30 0 false",
		"g xx 40 0 false", "long 1024 198976 true", "h xx 50 0 false", "i xx 60000 0 false", "j xx 5 0 false"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if shark := tool(t, "tshark"); shark != "" {
		texts := sharkTexts(t, shark, filepath.Join(dir, segmentName(0)))
		for _, name := range []string{"a", "b", "d", "f", "g", "h", "i", "j"} {
			if !slices.Contains(texts, name+" xx") && !slices.Contains(texts, name+" x") {
				t.Errorf("tshark does not read %s of %q", name, texts)
			}
		}
	}
}

// sharkTexts is the beginning of each text that tshark reads.
func sharkTexts(t *testing.T, shark, path string) []string {
	t.Helper()
	out := run(t, shark, "-r", path, "-Y", "websocket", "-T", "fields", "-e", "websocket.payload.text")
	var texts []string
	for _, s := range strings.FieldsFunc(out, func(c rune) bool { return c == ',' || c == '\n' }) {
		texts = append(texts, s[:min(len(s), 4)])
	}
	return texts
}

// With the queue full, bytes are left out up to a frame boundary; tshark goes on
// there too, wherever the hole began.
func TestDroppedInsideAFrame(t *testing.T) {
	w, v, dir := pressed(t)
	text := func(name string, size int) []byte { return frame(inspect.OpText, textOf(name, size), nil) }
	drain(t, w)
	v.chunk(inspect.ToClient, text("first", 100), 1, true)
	long := text("long", 3000)
	v.chunk(inspect.ToClient, long[:1000], 1, false)
	drain(t, w)
	crowd(w, queueLimit)
	v.chunk(inspect.ToClient, long[1000:], 0, true)
	v.chunk(inspect.ToClient, text("lost", 50), 1, true)
	drain(t, w)
	v.chunk(inspect.ToClient, text("next", 60), 1, true)
	v.chunk(inspect.ToClient, text("more", 70), 1, true)
	drain(t, w)
	crowd(w, queueLimit)
	v.chunk(inspect.ToClient, text("last", 80), 1, true)
	v.end()
	drained(t, w)
	if st := w.Status(); st.Snapped != 0 || st.Dropped != int64(len(long)-1000+len(text("lost", 50))+len(text("last", 80))) {
		t.Errorf("%+v", st)
	}
	in := newReader(inspect.ClientLeg)
	if err := Follow(t.Context(), dir, nil, in); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range in.messages[legDir{1, inspect.ClientLeg, inspect.ToClient}] {
		got = append(got, fmt.Sprintf("%.5s %v", m.Data, m.Cut))
	}
	if want := []string{"first false", "long  true", "next  false", "more  false"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	h := newHeard()
	if err := Follow(t.Context(), dir, nil, h); err != nil {
		t.Fatal(err)
	}
	if n := int64(len(h.streams[legDir{1, inspect.ClientLeg, inspect.ToClient}])); n != v.off[inspect.ToClient] {
		t.Errorf("the stream has %d bytes of %d: what was lost at its end is not told", n, v.off[inspect.ToClient])
	}
	if shark := tool(t, "tshark"); shark != "" {
		texts := sharkTexts(t, shark, filepath.Join(dir, segmentName(0)))
		for _, name := range []string{"firs", "next", "more"} {
			if !slices.Contains(texts, name) {
				t.Errorf("tshark does not read %q of %q", name, texts)
			}
		}
	}
}

// A session that begins while the queue is full is one all the same: there is more
// room for heads.
func TestHeadsAreSpared(t *testing.T) {
	w, v, dir := pressed(t)
	drain(t, w)
	crowd(w, queueLimit)
	late := newRingVoice(t, w, 77)
	late.say(inspect.ToClient, 50)
	drain(t, w)
	late.say(inspect.ToClient, 60)
	late.end()
	v.end()
	drained(t, w)
	opened := false
	in := &inspect.Inspector{Emit: func(c *inspect.Conn, e inspect.Event) {
		if _, ok := e.(*inspect.Opened); ok && c.Info().ID == 77 {
			opened = true
		}
	}}
	if err := Follow(t.Context(), dir, nil, in); err != nil {
		t.Fatal(err)
	}
	if !opened {
		t.Error("the session that began in a full queue is none")
	}
}

// What comes before the session is whole, or not there at all.
func TestHeadsAreNotShortened(t *testing.T) {
	dir := t.TempDir()
	w := stuckWriter(t, Options{Path: dir, Temporary: true, Limit: MinKeep})
	crowd(w, snapFrom)
	w.Open(conn(1))
	head := "GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + strings.Repeat("y", 5000) + "\r\n\r\n"
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Data: []byte(head)})
	drained(t, w)
	if got := string(follow(t, dir).streams[legDir{1, 0, 0}]); got != head {
		t.Errorf("%.60q", got)
	}
}

// A recording that was asked for has every byte, whatever waits.
func TestAskedForIsNeverShortened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := stuckWriter(t, Options{Path: path})
	v := newRingVoice(t, w, 1)
	crowd(w, queueLimit-60_000)
	var want []byte
	for n := range 5 {
		b := frame(inspect.OpText, textOf(fmt.Sprint("message ", n), 10_000), nil)
		want = append(want, b...)
		v.chunk(inspect.ToServer, b, 1, true)
	}
	drained(t, w)
	got := follow(t, path).streams[legDir{1, 0, 0}]
	if st := w.Status(); st.Snapped != 0 || st.Dropped != 0 || !strings.HasSuffix(string(got), string(want)) {
		t.Errorf("%d bytes, %+v", len(got), st)
	}
}

// Who asked is told once that frames are shortened, and once that bytes are dropped.
func TestLessIsTold(t *testing.T) {
	w, v, _ := pressed(t)
	var told []Status
	w.options.OnLess = func(st Status) {
		w.Status() // it may ask
		told = append(told, st)
	}
	w.tell()
	long := frame(inspect.OpText, textOf("long", 5000), nil)
	for range 3 {
		v.chunk(inspect.ToClient, long, 1, true)
		w.tell()
	}
	drain(t, w)
	crowd(w, queueLimit)
	for range 3 {
		v.chunk(inspect.ToClient, long, 1, true)
		w.tell()
	}
	if len(told) != 2 || told[0].Snapped == 0 || told[0].Dropped != 0 || told[1].Dropped == 0 {
		t.Errorf("%+v", told)
	}
	drained(t, w)
}
