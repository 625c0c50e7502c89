package cassette

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/inspect"
)

// differ1 are the differences in lines.
func differences1(t *testing.T, a, b string, o DiffOptions) (all []string) {
	t.Helper()
	for _, d := range Diff(parsed(t, a), parsed(t, b), o) {
		s := fmt.Sprintf("%s %s %d %d", d.Kind, d.From.Sender(), d.A, d.B)
		if len(d.Details) > 0 {
			s += " " + strings.Join(d.Details, "; ")
		} else {
			s += " " + d.Want + "|" + d.Got
		}
		all = append(all, s)
	}
	return all
}

func TestDiff(t *testing.T) {
	const head = "{\"cassette\":1,\"recorded\":\"2026-11-23T03:42:21Z\"}\n{\"open\":{\"path\":\"/\"}}\n"
	c := func(s string) string { return `{"from":"client",` + s + "}\n" }
	s := func(s string) string { return `{"from":"server",` + s + "}\n" }
	for _, tt := range []struct {
		name, a, b string
		frames     bool
		want       []string
	}{
		{"nothing", c(`"text":"a"`) + s(`"json":{"x":1,"y":2}`), c(`"text":"a"`) + s(`"json":{"y":2.0,"x":1}`), false, nil},
		{"a value", c(`"text":"a"`) + s(`"json":{"x":1}`), c(`"text":"a"`) + s(`"json":{"x":2}`), false, []string{"changed server 1 1 $.x: expected 1, got 2"}},
		{"one more, one less", c(`"text":"a"`) + c(`"text":"b"`) + c(`"text":"c"`), c(`"text":"a"`) + c(`"text":"c"`) + c(`"text":"d"`), false,
			[]string{"missing client 2 0 text b|", "extra client 0 3 |text d"}},
		{"ids that are others", c(`"json":{"id":"q7k2m9x1z"}`) + s(`"json":{"id":"q7k2m9x1z","n":1}`), c(`"json":{"id":"other"}`) + s(`"json":{"id":"other","n":1}`), false, nil},
		{"ids that do not fit", c(`"json":{"id":"q7k2m9x1z"}`) + s(`"json":{"id":"q7k2m9x1z"}`), c(`"json":{"id":"one"}`) + s(`"json":{"id":"two"}`), false,
			[]string{`changed server 1 1 $.id: expected "one" (${id}), got "two"`}},
		{"times and uuids of both sides", s(`"json":{"at":1795405341123,"u":"123e4567-e89b-12d3-a456-426614174000"}`), s(`"json":{"at":1795405999123,"u":"123e4567-e89b-12d3-a456-426614174999"}`), false, nil},
		{"moved", c(`"text":"a"`) + s(`"text":"b"`) + c(`"text":"c"`), s(`"text":"b"`) + c(`"text":"a"`) + c(`"text":"c"`), false, []string{"moved client 1 1 text a|"}},
		{"frames", c(`"text":"ab","frames":[1,1]`) + s(`"ping":"x"`), c(`"text":"ab"`), false, nil},
		{"frames compared", c(`"text":"ab","frames":[1,1],"compressed":true`) + s(`"ping":"x"`), c(`"text":"ab"`), true,
			[]string{"changed client 1 1 fragments: expected [1 1], got []; compressed: expected true, got false", "missing server 1 0 ping of 1 bytes: 78|"}},
		{"optional", c(`"text":"a","optional":true`) + c(`"text":"b"`), c(`"text":"b"`), false, nil},
		{"any order", `{"any-order":true}` + "\n" + c(`"text":"a"`) + c(`"text":"b"`) + `{"end-any-order":true}` + "\n", c(`"text":"b"`) + c(`"text":"a"`), false, nil},
		{"reactions", `{"when":{"text":"ping"},"send":[{"text":"pong"}]}` + "\n" + c(`"text":"a"`), c(`"text":"ping"`) + s(`"text":"pong"`) + c(`"text":"a"`) + c(`"text":"ping"`) + s(`"text":"pong"`), false, nil},
		{"the close", c(`"close":1000`), c(`"close":1001`), false, []string{"changed client 1 1 expected close 1000, got close 1001"}},
		{"both have variables", c(`"json":{"id":"${id}"}`) + s(`"text":"${id}"`), c(`"json":{"id":"${x}"}`) + s(`"text":"${x}"`), false, nil},
	} {
		if diff := cmp.Diff(tt.want, differences1(t, head+tt.a, head+tt.b, DiffOptions{Frames: tt.frames})); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if all := Diff(parsed(t, head+c(`"text":"a"`)+s(`"text":"b"`)), parsed(t, head+s(`"text":"b"`)+c(`"text":"a"`)), DiffOptions{}); !Same(all) || len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

func TestDiffSessions(t *testing.T) {
	const head = "{\"cassette\":1}\n"
	a := head + `{"open":{"path":"/a?sid=${sid}"}}` + "\n" + `{"session":2,"open":{"path":"/b"},"accept":{"status":101,"subprotocol":"p"}}` + "\n" + `{"session":3,"open":{"path":"/c"}}` + "\n"
	b := head + `{"open":{"path":"/b"},"accept":{"status":403}}` + "\n" + `{"session":2,"open":{"path":"/a?sid=1"}}` + "\n" + `{"session":3,"open":{"path":"/d"}}` + "\n"
	want := []string{"changed server 0 0 the answer's status 101|the answer's status 403", "changed server 0 0 the subprotocol p|the subprotocol ",
		"missing client 0 0 the session|", "extra client 0 0 |a session"}
	if diff := cmp.Diff(want, differences1(t, a, b, DiffOptions{})); diff != "" {
		t.Error(diff)
	}
}

// A cassette does not differ from itself, whatever is in it; and one line more is
// one difference.
func FuzzDiff(f *testing.F) {
	for i := range 30 {
		f.Add(uint64(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := random{rand.New(rand.NewPCG(seed, 2))}.cassette()
		before := written(t, c)
		if all := Diff(c, c, DiffOptions{Frames: true}); len(all) > 0 {
			t.Fatalf("%+v\nin\n%s", all, before)
		}
		if len(c.Sessions()) > 0 {
			more := *c
			more.Lines = append(append([]Line{}, c.Lines...), Line{Kind: Text, Session: c.Sessions()[0].N, From: inspect.ToClient, Data: []byte("one more, which nobody said")})
			if all := Diff(c, &more, DiffOptions{}); len(all) != 1 || all[0].Kind != Extra {
				t.Fatalf("%+v\nin\n%s", all, before)
			}
		}
		if after := written(t, c); after != before {
			t.Fatal(cmp.Diff(before, after))
		}
	})
}

func TestAlign(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		a, b := make([]int, rng.IntN(12)), make([]int, rng.IntN(12))
		for i := range a {
			a[i] = rng.IntN(4)
		}
		for i := range b {
			b[i] = rng.IntN(4)
		}
		equal := func(i, j int) bool { return a[i] == b[j] }
		for name, all := range map[string][]pair{"align": align(len(a), len(b), equal), "greedy": greedy(len(a), len(b), equal)} {
			i, j := 0, 0
			for _, p := range all {
				if p.a >= 0 && p.a != i || p.b >= 0 && p.b != j || p.a >= 0 && p.b >= 0 && !equal(p.a, p.b) {
					t.Fatalf("%s of %v and %v: %v", name, a, b, all)
				}
				if p.a >= 0 {
					i++
				}
				if p.b >= 0 {
					j++
				}
			}
			if i != len(a) || j != len(b) {
				t.Fatalf("%s of %v and %v: %v", name, a, b, all)
			}
		}
	}
	if got := fmt.Sprint(stays([]int{0, 5, 1, 2, 9, 3})); got != "[true false true true false true]" {
		t.Error(got)
	}
}
