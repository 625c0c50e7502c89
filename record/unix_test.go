package record

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// TestClientsOfOneSocket: the clients of a Unix socket all have the same address, and
// so have wsproxy's own sockets to one. They are conversations of their own all the same.
func TestClientsOfOneSocket(t *testing.T) {
	const conns, chunks = 20, 30
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	for id := inspect.ConnID(1); id <= conns; id++ {
		info := conn(id)
		info.Client = inspect.Endpoints{Local: "/run/front", Remote: "@"}
		w.Open(info)
		w.Note(inspect.NewNote(id, inspect.ServerLeg, inspect.ToServer, t0, inspect.NoteLeg, inspect.LegNote{Kind: inspect.NoteLeg,
			Leg: inspect.ServerLeg, ConnInfo: inspect.ConnInfo{ID: id}, Server: &inspect.Endpoints{Local: "@", Remote: "/run/behind"}}))
	}
	want := map[legDir]string{}
	for n := range chunks {
		for id := inspect.ConnID(1); id <= conns; id++ {
			k := legDir{id, inspect.Leg(n % 2), inspect.Dir(n / 2 % 2)}
			text := fmt.Sprintf("%d of %v, ", n, id)
			w.Chunk(inspect.Chunk{Conn: id, Leg: k.leg, Dir: k.dir, Time: t0, Off: int64(len(want[k])), Data: []byte(text)})
			want[k] += text
		}
	}
	closed(t, w)
	got := follow(t, path).streams
	for k, text := range want {
		if string(got[k]) != text {
			t.Errorf("%v: %q, want %q", k, got[k], text)
		}
	}
}
