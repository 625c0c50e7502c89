package ui

import (
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/wsproxy/wsproxy/record"
)

// crowd is a source of very many sessions, each of which is over and says the same.
type crowd struct {
	source
	one record.Session
}

const crowdSize = 2_000_000

func (c *crowd) Sessions() int { return crowdSize }

func (c *crowd) Session(i int) record.Session {
	s := c.one
	s.Index = i
	return s
}

// Two million sessions are taken bit by bit: keys are heard meanwhile, and the list
// then scrolls like any other.
func TestCrowd(t *testing.T) {
	p := everyday(t)
	p.close()
	s := p.store(false)
	c := &crowd{s, s.Session(1)}
	d := driveAtOnce(t, tcell.NewSimulationScreen("UTF-8"), c, Options{}, 100, 30)
	worst := time.Duration(0)
	for behind, n := true, 0; behind; n++ {
		begun := time.Now()
		d.keysNow("j")
		d.do(func() { behind = d.view.sessions.behind || !d.view.begun })
		worst = max(worst, time.Since(begun))
		if n > 100_000 {
			t.Fatal("it never ends")
		}
	}
	d.settle()
	if worst > 2*time.Second { // a tenth of that where nothing else runs
		t.Errorf("a key took %v", worst)
	}
	t.Log("the slowest key took", worst)
	d.keys("G").has("2000000 /graphql").keys("gG<PgUp>k").has("SESSIONS 2000000").keys("/nowhere<Enter>")
}
