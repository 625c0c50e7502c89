package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

func TestWhatWasLeftOut(t *testing.T) {
	for _, c := range []struct {
		status    record.Status
		less, all string
	}{
		{record.Status{Snapped: 20 << 10},
			"the traffic is faster than the disk: of long frames only the first KiB is recorded (--record FILE makes it wait instead)",
			"20 KiB of long frames not recorded"},
		{record.Status{Snapped: 20 << 20, Dropped: 500},
			"the traffic is faster than the disk: some of it is not recorded (--record FILE makes it wait instead)",
			"20 MiB of long frames and 500 bytes of the traffic not recorded"},
	} {
		if got := less(c.status); got != c.less {
			t.Errorf("%q", got)
		}
		if got := leftOut(c.status); got != c.all {
			t.Errorf("%q", got)
		}
	}
}

// What a run that goes on has recorded is saved under a name that is free.
func TestSaveFrom(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	r, err := openRecording(rootFlags{}, record.MinKeep, "title", &notices{out: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	live := r.writer.Watch()
	r.writer.Open(inspect.ConnInfo{ID: 7, Time: time.Now(), Client: inspect.Endpoints{Local: "127.0.0.1:8081", Remote: "127.0.0.1:5000"}})
	r.writer.Chunk(inspect.Chunk{Conn: 7, Time: time.Now(), Data: []byte("GET /here HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")})
	r.writer.Chunk(inspect.Chunk{Conn: 7, Dir: inspect.ToClient, Time: time.Now(), Data: []byte("HTTP/1.1 101 OK\r\n\r\n")})
	for r.writer.Status().Packets < 4 { // the SYN, its answer and both heads
		<-live
	}
	path := filepath.Join(t.TempDir(), "a.pcapng")
	save := saveFrom(r.path)
	said, err := save(t.Context(), path, func(read, total int64) {})
	if err != nil || !strings.HasPrefix(said, "saved to "+path+" (") || !strings.HasSuffix(said, " bytes)") {
		t.Errorf("%q, %v", said, err)
	}
	if _, err := save(t.Context(), path, nil); err == nil || err.Error() != path+" exists already; take another name" {
		t.Errorf("again: %v", err)
	}
	if _, err := save(t.Context(), filepath.Join(path, "below"), nil); err == nil || strings.Contains(err.Error(), path) {
		t.Errorf("below a file: %v", err)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
	r.farewell(&bytes.Buffer{}, true)
	var out, stderr bytes.Buffer
	if code := wsproxy([]string{"show", path}, strings.NewReader(""), &out, &stderr); code != exitOK || !strings.Contains(out.String(), "open   101  /here") {
		t.Errorf("%d\n%s%s", code, out.String(), stderr.String())
	}
	if got := savedAs("a", record.Saved{Bytes: 30 << 20, Lapped: 20 << 20}); got != "saved to a (30 MiB); 20 MiB were written over before they were saved" {
		t.Error(got)
	}
}
