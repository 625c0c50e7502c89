package record

import (
	"path/filepath"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// A connection that ends inside a frame leads to several events at once: the
// frame, its message, and that the session is closed. All of them are taken in.
func TestStoreOfASessionThatEndsInAFrame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	w.Open(conn(1))
	up := []byte(upgrade)
	part := frame(inspect.OpBinary, []byte("all of it"), nil)
	part = part[:len(part)-3]
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Data: up})
	w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: t0, Data: []byte(agreed)})
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Off: int64(len(up)), Data: part})
	w.Chunk(inspect.Chunk{Conn: 1, Dir: inspect.ToClient, Time: t0, Off: int64(len(agreed)), Data: part})
	w.End(inspect.Ended{Conn: 1, How: inspect.Rst, Time: t0, Off: int64(len(up) + len(part))})
	closed(t, w)
	s := openStore(t, path, nil)
	<-s.Done()
	if s.Sessions() != 1 || s.Len(0) != 2 || s.Session(0).Closed == nil {
		t.Fatalf("%d sessions, %d frames, %+v", s.Sessions(), s.Len(0), s.Session(0))
	}
	var rows [2]Row
	s.Rows(0, 0, rows[:])
	for _, r := range rows {
		if f, err := s.Frame(r, 100); err != nil || !f.Missing || string(f.Payload) != "all of" {
			t.Errorf("frame %d: %q, missing %v, %v", r.N(), f.Payload, f.Missing, err)
		}
	}
}
