package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// writeRecording records an exchange and a session that has everything in it.
func writeRecording(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a.pcapng")
	w, err := record.Create(record.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 3, 42, 21, 0, time.UTC)
	w.Open(inspect.ConnInfo{ID: 1, Mode: "reverse", Time: now, Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: "127.0.0.1:40000"}})
	var off [2]int64
	for _, c := range []struct {
		d    inspect.Dir
		data string
	}{
		{up, "GET / HTTP/1.1\r\n\r\n"}, {down, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"}, {up, upgrade("/chat")},
		{down, "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + sampleAccept + "\r\n\r\n\x81\x02hi"},
		{up, masked(0x81, `{"a":1}`)}, {down, "\x01\x02he"}, {down, "\x89\x01p"}, {up, masked(0x8a, "p")}, {down, "\x80\x03llo"},
		{up, masked(0x82, "\x00")}, {down, "\x83\x01?"}, {up, masked(0x88, "\x03\xe8")}, {down, "\x88\x02\x03\xe8"},
	} {
		now = now.Add(time.Millisecond)
		w.Chunk(inspect.Chunk{Conn: 1, Dir: c.d, Time: now, Off: off[c.d], Data: []byte(c.data)})
		off[c.d] += int64(len(c.data))
	}
	w.End(inspect.Ended{Conn: 1, Dir: down, How: inspect.Fin, Time: now, Off: off[down]})
	w.End(inspect.Ended{Conn: 1, Dir: up, How: inspect.Fin, Time: now, Off: off[up]})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// A recording that is cut at any byte is replayed as far as it is whole.
func TestCutAnywhere(t *testing.T) {
	path := writeRecording(t)
	whole, err := Load(context.Background(), path, inspect.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	kinds := func(c *cassette.Cassette) (all []string) {
		for _, l := range c.Lines {
			all = append(all, l.From.String()+" "+l.Kind.String()+" "+string(l.Data))
		}
		return all
	}
	want := kinds(whole)
	if len(want) != 12 || want[len(want)-1] != "to-server end " {
		t.Fatalf("%q", want)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "b.pcapng")
	lines := 0
	for n := 0; n < len(data); n += 3 { // blocks are aligned to four
		if err := os.WriteFile(short, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(context.Background(), short, inspect.Limits{})
		var format *record.FormatError
		var torn *record.TornError
		if errors.As(err, &format) && n < 200 {
			continue
		}
		if err != nil && !errors.As(err, &torn) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		got := kinds(c)
		// An unfinished message is left out, and what stood inside it is kept.
		expected := want[:min(len(got), len(want))]
		if len(got) >= 4 && got[len(got)-1] == "to-client ping p" && got[len(got)-2] != "to-client text hello" {
			expected = append(append([]string{}, want[:len(got)-1]...), "to-client ping p")
		}
		if diff := cmp.Diff(expected, got); diff != "" && len(got) > 0 {
			t.Fatalf("cut at %d: %s", n, diff)
		}
		if len(got) < lines {
			t.Fatalf("cut at %d: %d lines, after %d", n, len(got), lines)
		}
		lines = len(got)
	}
	if lines != len(want) {
		t.Errorf("%d lines at the last, of %d", lines, len(want))
	}
}

// A recording that lost a packet in the middle is not replayed.
func TestLostPacket(t *testing.T) {
	path := writeRecording(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := len(data) / 2
	copy(data[at:], make([]byte, 200))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(context.Background(), path, inspect.Limits{})
	var s *cassette.SessionError
	if !errors.As(err, &s) || s.Session != 1 || s.Path != "/chat" {
		t.Errorf("the error is %v", err)
	}
}
