package record

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
	"github.com/wsproxy/wsproxy/inspect/lint"
)

// caught keeps what a Sieve lets through.
type caught struct {
	rows     map[string]bool
	sessions map[int]bool
}

func (c *caught) Frame(r Row) error {
	c.rows[fmt.Sprintf("%d:%d", r.Session(), r.N())] = true
	return nil
}

func (c *caught) Session(i int, wanted bool) {
	if delete(c.sessions, i); wanted {
		c.sessions[i] = true
	}
}

func (c *caught) Forget(i int) {
	maps.DeleteFunc(c.rows, func(k string, _ bool) bool { return strings.HasPrefix(k, fmt.Sprint(i, ":")) })
	delete(c.sessions, i)
}

func (c *caught) Progress(looked, of int64) {}

func (c *caught) all() []string { return slices.Sorted(maps.Keys(c.rows)) }

// What a Sieve has let through of a recording that grew under it, bit by bit, is what
// it lets through of the finished one.
func TestSieveGrows(t *testing.T) {
	sources := []string{`op == text`, `needle`, `text contains "needle"`, `session.word startsWith "1006"`, `session.word startsWith "1006" && op == binary`,
		`finding == "error"`, `size > 5`, `session.open`, `!fin || op == ping`}
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	s, err := OpenStore(t.Context(), path, w.Watch(), lint.All()...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	type growing struct {
		to *caught
		*Sieve
	}
	var all []growing
	for _, source := range sources {
		f, err := filter.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		to := &caught{map[string]bool{}, map[int]bool{}}
		all = append(all, growing{to, s.Sieve(f, to)})
	}
	frames := []string{"\x81\x06needle", "\x82\x03\x00\x01\x02", "\x01\x03nee", "\x80\x03dle", "\x89\x01p", "\x01\x02no", "\x00\x02no", "\x83\x00", "\x81\x02\xff\xff"}
	r := rand.New(rand.NewPCG(5, 5))
	offs := map[inspect.ConnID]int64{}
	var conns inspect.ConnID
	for range 300 {
		if id := inspect.ConnID(r.IntN(8) + 1); id > conns {
			conns++
			w.Open(conn(conns))
			w.Chunk(inspect.Chunk{Conn: conns, Time: t0, Data: []byte(strings.Replace(upgrade, "Sec-WebSocket-Extensions: permessage-deflate\r\n", "", 1))})
			answer := strings.Replace(agreed, "Sec-WebSocket-Extensions: permessage-deflate\r\n", "", 1)
			w.Chunk(inspect.Chunk{Conn: conns, Dir: inspect.ToClient, Time: t0, Data: []byte(answer)})
			offs[conns] = int64(len(answer))
		} else if offs[id] > 0 {
			b := []byte(frames[r.IntN(len(frames))])
			w.Chunk(inspect.Chunk{Conn: id, Dir: inspect.ToClient, Time: t0.Add(time.Second), Off: offs[id], Data: b})
			offs[id] += int64(len(b))
			if r.IntN(40) == 0 {
				w.End(inspect.Ended{Conn: id, Dir: inspect.ToClient, How: inspect.Rst, Time: t0, Off: offs[id]})
				offs[id] = -1 << 40
			}
		}
		g := all[r.IntN(len(all))]
		if err := g.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, w)
	<-s.Done()
	for i, g := range all {
		if err := g.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
		f, _ := filter.Compile(sources[i])
		once := &caught{map[string]bool{}, map[int]bool{}}
		if err := s.Sieve(f, once).Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := g.to.all(), once.all(); !slices.Equal(got, want) {
			t.Errorf("%s: grown %d rows, at once %d:\n%v\n%v", sources[i], len(got), len(want), got, want)
		}
		if got, want := g.to.sessions, once.sessions; !maps.Equal(got, want) {
			t.Errorf("%s: grown %v, at once %v", sources[i], got, want)
		}
		if len(once.rows)+len(once.sessions) == 0 && sources[i] != `session.open` {
			t.Errorf("%s lets nothing through", sources[i])
		}
	}
}
