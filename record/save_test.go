package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// events are what a reader of a recording is told, in words.
func events(t testing.TB, path string) (all []string) {
	t.Helper()
	in := &inspect.Inspector{}
	in.Emit = func(c *inspect.Conn, e inspect.Event) {
		switch e := e.(type) {
		case *inspect.Opened:
			all = append(all, fmt.Sprintf("opened %v %v %s %v", e.Session, e.Conn, e.Handshake.Path(), e.Conn.Time.UnixNano()))
		case *inspect.Exchange:
			all = append(all, fmt.Sprintf("exchange %v %d %q", e.Conn.ID, e.N, e.Error))
		case *inspect.Frame:
			all = append(all, fmt.Sprintf("frame %v %v %d %v off %d missing %d %v", e.Session, e.Dir, e.N, e.Header, e.Off, e.Missing, e.Last.UnixNano()))
		case *inspect.Message:
			all = append(all, fmt.Sprintf("message %v %d %q cut %v undecodable %v", e.Session, e.First, e.Data, e.Cut, e.Undecodable))
		case *inspect.Closed:
			all = append(all, fmt.Sprintf("closed %v %s %v", e.Session, e.Text, e.Frames))
		}
	}
	if err := Follow(context.Background(), path, nil, in); err != nil {
		t.Fatal(err)
	}
	return all
}

func compareEvents(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("event %d of %d and %d: %.200s\nwant %.200s", i, len(got), len(want), at2(got, i), at2(want, i))
		}
	}
}

func at2(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return "nothing"
}

func saveRing(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "saved.pcapng")
	if _, err := Save(context.Background(), dir, path, SaveOptions{Version: "test"}); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a ring holds is in the file that it is saved to, whatever of it was shortened,
// dropped or written over, and with whatever sessions begun again how often.
func TestSavedIsWhatTheRingHolds(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 61))
		dir := t.TempDir()
		w := stuckWriter(t, Options{Path: dir, Temporary: true, Limit: MinKeep})
		var others *stuffing
		if seed == 3 {
			others = newStuffing(w)
		}
		idle := newRingVoice(t, w, 2)
		speak(t, r, newTruth(w), 60, 10_000, func() {
			others.pass(50_000)
			switch r.IntN(12) {
			case 0:
				crowd(w, r.IntN(queueLimit))
			case 1, 2, 3:
				drain(t, w)
			}
		})
		drain(t, w)
		idle.say(inspect.ToClient, 100)
		drained(t, w)
		others.lapped(t, dir)
		path := saveRing(t, dir)
		compareEvents(t, events(t, path), events(t, dir))
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st.Mode(), err)
		}
	}
}

// Of sessions of which the ring no longer has the beginning tshark reads each frame,
// and finds nothing wrong with their TCP; each is one conversation.
func TestSavedAgainstTshark(t *testing.T) {
	w, dir := ringOf(t)
	var voices []*ringVoice
	for id := range inspect.ConnID(3) {
		voices = append(voices, newRingVoice(t, w, id+1))
	}
	for range 700 {
		for _, v := range voices[:2] {
			v.say(inspect.ToServer, 2000)
			v.say(inspect.ToClient, 3000)
		}
		keepUp(t, w)
	}
	voices[2].say(inspect.ToServer, 50)
	voices[0].end()
	closed(t, w)
	path := saveRing(t, dir)
	got := newSpoken()
	if err := Follow(context.Background(), path, nil, got); err != nil {
		t.Fatal(err)
	}
	frames := len(got.said[1]) + len(got.said[2]) + len(got.said[3])
	if frames < 500 || len(got.said[3]) != 1 || len(got.opened) != 3 || len(got.broken) > 0 {
		t.Fatalf("%d frames, opened %v, broken %v", frames, got.opened, got.broken)
	}
	shark := tool(t, "tshark")
	if shark == "" {
		return
	}
	if out := run(t, shark, "-r", path, "-Y", "tcp.analysis.flags"); out != "" {
		t.Errorf("tshark finds fault:\n%.1000s", out)
	}
	if out := run(t, shark, "-r", path, "-o", "tcp.check_checksum:TRUE", "-Y", "tcp && !(tcp.checksum.status == 1)"); out != "" {
		t.Errorf("tshark finds no good checksum in:\n%.1000s", out)
	}
	if out := run(t, shark, "-r", path, "-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 0", "-T", "fields", "-e", "tcp.stream"); strings.Count(out, "\n") != 3 {
		t.Errorf("the conversations are %q", out)
	}
	out := run(t, shark, "-r", path, "-Y", "websocket", "-T", "fields", "-e", "websocket.opcode")
	if n := len(strings.FieldsFunc(out, func(c rune) bool { return c == ',' || c == '\n' })); n != frames {
		t.Errorf("tshark reads %d frames of %d", n, frames)
	}
}

// Saving a ring that is written meanwhile saves what it held when that began, and
// says what was written over before it was read.
func TestSavingALiveRing(t *testing.T) {
	w, dir := ringOf(t)
	v := newRingVoice(t, w, 1)
	for range 2000 {
		v.say(inspect.ToClient, 3000)
		keepUp(t, w)
	}
	await(t, func() bool { return w.Status().Behind == 0 })
	path := filepath.Join(t.TempDir(), "a.pcapng")
	overtaken := false
	progress := func(read, total int64) {
		if read <= 0 || read > total {
			t.Errorf("read %d of %d", read, total)
		}
		if overtaken {
			return
		}
		overtaken = true
		for range 700 { // half of the ring
			v.say(inspect.ToClient, 3000)
			keepUp(t, w)
		}
	}
	saved, err := Save(context.Background(), dir, path, SaveOptions{Progress: progress})
	if err != nil || saved.Lapped == 0 || saved.Bytes == 0 {
		t.Fatalf("%+v, %v", saved, err)
	}
	v.end()
	closed(t, w)
	got := newSpoken()
	if err := Follow(context.Background(), path, nil, got); err != nil {
		t.Fatal(err)
	}
	said := got.said[1]
	if len(said) < 50 || len(got.broken) > 0 || !slices.IsSortedFunc(said, func(a, b string) int { return number3(t, a) - number3(t, b) }) {
		t.Errorf("%d messages, broken %v", len(said), got.broken)
	}
	if last := number3(t, said[len(said)-1]); last >= 2000 {
		t.Errorf("message %d is younger than the saving", last)
	}
}

func number3(t *testing.T, text string) (n int) {
	if _, err := fmt.Sscanf(text[strings.Index(text, "message"):], "message %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSaveRefuses(t *testing.T) {
	dir := t.TempDir()
	ring := filepath.Join(dir, "temporary")
	if err := os.Mkdir(ring, 0o700); err != nil {
		t.Fatal(err)
	}
	w := create(t, Options{Path: ring, Temporary: true, Limit: MinKeep})
	newRingVoice(t, w, 1).say(inspect.ToClient, 10)
	closed(t, w)
	path := filepath.Join(dir, "a.pcapng")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	var exists *ExistsError
	if _, err := Save(t.Context(), ring, path, SaveOptions{}); !errors.As(err, &exists) {
		t.Errorf("overwriting: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	var format *FormatError
	if _, err := Save(t.Context(), dir, path, SaveOptions{Force: true}); !errors.As(err, &format) {
		t.Errorf("a folder that is no ring: %v", err)
	}
	if _, err := Save(t.Context(), ring, path, SaveOptions{Force: true}); err != nil {
		t.Error(err)
	}
	if _, err := Save(t.Context(), path, path, SaveOptions{Force: true}); !errors.As(err, &exists) {
		t.Errorf("onto itself: %v", err)
	}
	if len(events(t, path)) == 0 {
		t.Error("nothing was saved")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := filepath.Join(dir, "b.pcapng")
	if _, err := Save(ctx, ring, stopped, SaveOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if _, err := os.Stat(stopped); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not whole stays: %v", err)
	}
}

// A disk that fills up ends the saving, and what there is of the file goes.
func TestConvertToAFullDisk(t *testing.T) {
	w, dir := ringOf(t)
	v := newRingVoice(t, w, 1)
	for range 100 {
		v.say(inspect.ToClient, 30_000)
		keepUp(t, w)
	}
	closed(t, w)
	full := &fullDisk{room: 1 << 20}
	if _, err := Convert(t.Context(), dir, full, SaveOptions{}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

// A recording is copied as it is; what is none is not.
func TestConvertCopies(t *testing.T) {
	dir := t.TempDir()
	file, _, _ := sample(t)
	path := filepath.Join(dir, "a.pcapng")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if saved, err := Convert(t.Context(), path, &out, SaveOptions{}); err != nil || !bytes.Equal(out.Bytes(), file) || saved.Bytes != int64(len(file)) {
		t.Errorf("%d bytes of %d, %+v, %v", out.Len(), len(file), saved, err)
	}
	out.Reset()
	var format *FormatError
	if err := os.WriteFile(path, []byte("a shopping list"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Convert(t.Context(), path, &out, SaveOptions{}); !errors.As(err, &format) || out.Len() > 0 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}
