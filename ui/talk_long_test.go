package ui

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
	"github.com/wsproxy/wsproxy/record"
)

// chatter is a session of any length: a call and its result in turn, and some calls that
// nobody answers.
type chatter struct {
	source
	rows [2]record.Row // of a message each way
	n    int
	gone int
}

func newChatter(t testing.TB, n int) *chatter {
	t.Helper()
	p := newPlay(t)
	c := p.connect().open("/rpc", "", "")
	c.up("{}")
	c.down("{}")
	p.close()
	s := &chatter{source: p.store(false), n: n}
	if s.source.Rows(0, 0, s.rows[:]) != 2 {
		t.Fatal("the template has not two frames")
	}
	return s
}

func (c *chatter) Len(int) int   { return c.n }
func (c *chatter) First(int) int { return c.gone }

func (c *chatter) Rows(_, from int, dst []record.Row) int {
	if from < c.gone {
		return 0
	}
	n := max(min(len(dst), c.n-from), 0)
	for i := range n {
		dst[i] = c.rows[(from+i)%2]
		binary.LittleEndian.PutUint32(dst[i][4:], uint32(from+i+1))
	}
	return n
}

func (c *chatter) Message(r record.Row, most int) (record.Message, error) {
	id := (r.N() + 1) / 2
	text := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"call %d"}`, id, id)
	if r.N()%2 == 0 {
		text = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":"%s"}`, id, strings.Repeat("x", 100))
		if id%100 == 0 {
			text = `{"jsonrpc":"2.0","method":"tick"}`
		}
	}
	return record.Message{Message: inspect.Message{Dir: r.Dir(), First: r.N(), Last: r.N(), Time: t0.Add(time.Duration(r.N()) * time.Millisecond),
		Opcode: inspect.OpText, Data: []byte(text), Size: int64(len(text))}, Rows: []record.Row{r}}, nil
}

// sayAll listens until all was heard.
func sayAll(t testing.TB, k *talk) {
	t.Helper()
	for !k.hears() {
		if _, err := k.advance(context.Background(), heardSteps); err != nil {
			t.Fatal(err)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// However long a session is, what it said takes the same memory, and is still there.
func TestLongTalk(t *testing.T) {
	const messages = 100_000
	src := newChatter(t, messages)
	table, err := decode.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	k := newTalk(src, table, 0, "")
	defer k.close()
	begun := time.Now()
	sayAll(t, k)
	t.Logf("%d messages a second", int(messages/time.Since(begun).Seconds()))
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("%d messages take %d MiB", messages, grown>>20)
	}
	if n := len(k.states); n > statesMost || n < statesMost/4 {
		t.Errorf("%d states were kept", n)
	}
	if n := len(k.unanswered()); n != messages/200 {
		t.Errorf("%d requests are unanswered", n)
	}
	for _, n := range []int{0, 1, 99_998, 99_999, messages - 1} {
		var row [1]record.Row
		src.Rows(0, n, row[:])
		m := k.remarks(row[:])[uint64(n+1)]
		want := fmt.Sprintf("⤷ #%d +1 ms", n+2)
		if n%2 == 1 {
			want = fmt.Sprintf("⤶ #%d +1 ms", n)
		}
		if (n+2)/2%100 != 0 && m.mark.text != want {
			t.Errorf("frame %d is marked %q, not %q", n+1, m.mark.text, want)
		}
		// A state leads to every message again.
		l := k.before(n)
		if l == nil || l.upto > n || n-l.upto > k.every {
			t.Fatalf("no state for row %d", n)
		}
		names := 0
		if _, err := l.hear(context.Background(), n-l.upto+1, func(r record.Row, items []decode.Item) bool {
			if int(r.N()) == n+1 {
				names = len(items)
			}
			return true
		}); err != nil || names != 1 {
			t.Errorf("message %d is %d items, %v", n+1, names, err)
		}
	}
}

// A temporary recording that was written over before it was heard is heard anew from
// what is left, and that shows.
func TestOvertakenTalk(t *testing.T) {
	src := newChatter(t, 100)
	table, err := decode.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	k := newTalk(src, table, 0, "json-rpc")
	defer k.close()
	sayAll(t, k)
	src.gone, src.n = 301, 400
	sayAll(t, k)
	if k.heard != 400 || k.ledger.n != 99 || len(k.findings) == 0 || k.findings[0].ID != decode.FindGap {
		t.Errorf("heard %d, %d items, findings %v", k.heard, k.ledger.n, k.findings)
	}
	var rows [4]record.Row
	src.Rows(0, 396, rows[:])
	if m := k.remarks(rows[:2])[398]; m.mark.text != "⤶ #397 +1 ms" {
		t.Errorf("what is left says %+v", m)
	}
}

// A ledger that has gone once round its file has the newest items, and no others.
func TestLedgerGoesRound(t *testing.T) {
	src := newChatter(t, 2)
	l := ledger{make: src.Scratch, most: 4 * chunkSlots}
	defer l.close()
	s := said{text: "x", name: 1}
	const n = 7*chunkSlots + 7
	for i := uint32(1); i <= n; i++ {
		s.first, s.last = i, i
		l.add(&s)
	}
	if l.err != nil {
		t.Fatal(l.err)
	}
	oldest := l.oldest()
	if oldest != 3*chunkSlots+1 {
		t.Errorf("the oldest is %d", oldest)
	}
	for _, i := range []uint32{oldest, oldest + chunkSlots, n - chunkSlots, n} {
		if s, ok := l.get(i); !ok || s.last != i {
			t.Errorf("item %d is %+v, %v", i, s, ok)
		}
	}
	if _, ok := l.get(oldest - 1); ok || l.from(1) != oldest {
		t.Errorf("what was written over is still there, or frame 1 is item %d", l.from(1))
	}
	if st, err := l.file.Stat(); err != nil || st.Size() > 4*chunkSlots*slotSize {
		t.Errorf("the file has %d bytes, %v", st.Size(), err)
	}
}
