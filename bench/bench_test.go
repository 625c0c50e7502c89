package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"go.uber.org/goleak"
)

// TestMain plays a role where a test has started this program as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == roleArg {
		if err := play(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serveHere runs a server in this process until the test ends.
func serveHere(t *testing.T, serve func(net.Listener) error) string {
	t.Helper()
	l, err := listenLoopback()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func loadHere(t *testing.T) string { return serveHere(t, (&loadServer{}).serve) }

// bend is a proxy that changes what the server sends: it hands each connection's
// bytes, frame by frame, to f and passes on what that answers.
func bend(t *testing.T, target string, f func(n int, frame []byte) []byte) string {
	return serveHere(t, func(l net.Listener) error {
		var all sync.WaitGroup
		defer all.Wait()
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			all.Go(func() { bendOne(c, target, f) })
		}
	})
}

func bendOne(c net.Conn, target string, f func(n int, frame []byte) []byte) {
	var up sync.WaitGroup
	defer up.Wait()
	defer c.Close()
	s, err := dialLoopback(target)
	if err != nil {
		return
	}
	defer s.Close()
	up.Go(func() {
		io.Copy(s, c)
		s.Close()
	})
	buf := make([]byte, 4096)
	head, rest, err := readHead(s, buf)
	if err != nil {
		return
	}
	c.Write(head)
	var scan inspect.Scanner
	var frame []byte
	n := 0
	data := bytes.Clone(rest)
	in := make([]byte, 64<<10)
	for {
		for len(data) > 0 {
			h, fresh, payload, left := scan.Next(data)
			data = left
			if fresh {
				frame = h.Append(frame[:0])
			}
			frame = append(frame, payload...)
			if h.Len() > 0 && scan.Left() == 0 {
				if _, err := c.Write(f(n, frame)); err != nil {
					return
				}
				n++
			}
		}
		k, err := s.Read(in)
		if err != nil {
			return
		}
		data = in[:k]
	}
}

// tiny are jobs of every kind, as short as they say anything.
func tiny(addr string) map[string]job {
	const length = 60 * time.Millisecond
	return map[string]job{
		"one":     {Kind: "echo", Addr: addr, Conns: 1, Size: 64, Flight: 1, For: length},
		"many":    {Kind: "echo", Addr: addr, Conns: 4, Size: 128, Flight: 64, For: length},
		"large":   {Kind: "echo", Addr: addr, Conns: 2, Size: 100 << 10, Flight: 2, For: 2 * length},
		"deflate": {Kind: "echo", Addr: addr, Conns: 2, Size: 1 << 10, Flight: 64, Deflate: true, For: length},
		"push":    {Kind: "push", Addr: addr, Conns: 2, Size: 16 << 10, For: length},
		"idle":    {Kind: "idle", Addr: addr, Conns: 20, Size: 128, For: length},
		"churn":   {Kind: "churn", Addr: addr, Conns: 4, Size: 128, For: length},
	}
}

func TestEveryKindComesBackWhole(t *testing.T) {
	target := loadHere(t)
	for name, via := range map[string]string{
		"direct":  target,
		"cut":     bend(t, target, func(_ int, f []byte) []byte { return f }),
		"tcpcopy": serveHere(t, func(l net.Listener) error { return copyProxy(l, target) }),
	} {
		for kind, j := range tiny(via) {
			var phases []string
			res, err := j.run(func(phase string) { phases = append(phases, phase) })
			if err != nil || res.Messages == 0 || res.Lost != 0 || res.Corrupted != 0 {
				t.Errorf("%s through %s: %+v, %v", kind, name, res, err)
			}
			if !slices.Equal(phases, []string{"begin", "end"}) {
				t.Errorf("%s through %s tells %q", kind, name, phases)
			}
		}
	}
}

func TestCorruptedByteIsCaught(t *testing.T) {
	target := loadHere(t)
	for _, at := range []int{0, 7, 8, 60} { // in the sequence number and behind it
		via := bend(t, target, func(n int, f []byte) []byte {
			if n == 1 {
				f[2+at%62] ^= 1
			}
			return f
		})
		j := tiny(via)["one"]
		j.Flight = 4
		res, err := j.run(func(string) {})
		if err != nil || res.Corrupted != 1 || res.Lost != 0 {
			t.Errorf("byte %d: %+v, %v", at, res, err)
		}
	}
	for _, kind := range []string{"large", "deflate", "push"} {
		via := bend(t, target, func(n int, f []byte) []byte {
			if n == 2 {
				f[len(f)-20] ^= 0x10
			}
			return f
		})
		j := tiny(via)[kind]
		j.Conns = 1
		res, err := j.run(func(string) {})
		if err != nil || res.Corrupted != 1 {
			t.Errorf("%s: %+v, %v", kind, res, err)
		}
	}
}

func TestLostMessageIsCaught(t *testing.T) {
	target := loadHere(t)
	for kind, lost := range map[string]int64{"many": 1, "large": 1, "deflate": 1, "push": 1} {
		via := bend(t, target, func(n int, f []byte) []byte {
			if n == 1 {
				return nil
			}
			return f
		})
		j := tiny(via)[kind]
		j.Conns = 1
		res, err := j.run(func(string) {})
		if err != nil || res.Lost != lost || res.Corrupted != 0 {
			t.Errorf("%s: %+v, %v", kind, res, err)
		}
	}
}

// TestRepeatedMessageIsCaught: a second time is not what was sent either.
func TestRepeatedMessageIsCaught(t *testing.T) {
	via := bend(t, loadHere(t), func(n int, f []byte) []byte {
		if n == 1 {
			return append(bytes.Clone(f), f...)
		}
		return f
	})
	j := tiny(via)["many"]
	j.Conns = 1
	if res, err := j.run(func(string) {}); err != nil || res.Corrupted != 1 || res.Lost != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestLostTail: what never comes back is lost, with the connection gone.
func TestLostTail(t *testing.T) {
	check := checker{want: newPattern(64, true)}
	check.outstanding(3)
	if check.lost != 3 || check.next != 3 {
		t.Errorf("%+v", check)
	}
	check.outstanding(3)
	if check.lost != 3 {
		t.Error("counted twice")
	}
}

// TestCheckerAllocates nothing a message, however the bytes are cut.
func TestCheckerAllocatesNothing(t *testing.T) {
	p := newPattern(128, false)
	var stream []byte
	for seq := range uint64(64) {
		stream = p.appendFrame(stream, seq)
	}
	for _, cut := range []int{1, 7, len(stream)} {
		c := checker{want: p.another()}
		var done int
		if n := testing.AllocsPerRun(10, func() {
			c.next = 0
			for rest := stream; len(rest) > 0; {
				k := min(cut, len(rest))
				c.feed(rest[:k], func(uint64) { done++ })
				rest = rest[k:]
			}
		}); n != 0 {
			t.Errorf("cut at %d: %v allocations", cut, n)
		}
		if c.messages != 64*11 || done != 64*11 || c.lost+c.corrupted != 0 {
			t.Errorf("cut at %d: %+v, %d done", cut, c, done)
		}
	}
}

func TestTextsCompressedBySomeoneElse(t *testing.T) {
	want, err := newTexts(1<<10, true)
	if err != nil {
		t.Fatal(err)
	}
	c := checker{want: want.another()}
	for i, text := range want.plain[:3] {
		if len(text) != 1<<10 || !json.Valid(text) {
			t.Fatalf("message %d is no JSON of 1 KiB: %s", i, text)
		}
		// A stored block, and the first byte of the empty one: as right as any
		// other way to say it.
		raw := append([]byte{0, byte(len(text)), byte(len(text) >> 8), ^byte(len(text)), ^byte(len(text) >> 8)}, text...)
		raw = append(raw, 0)
		h := inspect.NewHeader(inspect.Fields{Fin: true, Rsv1: true, Opcode: inspect.OpText, Length: uint64(len(raw))})
		c.feed(append(h.Raw(), raw...), nil)
	}
	if c.messages != 3 || c.corrupted != 0 || c.lost != 0 {
		t.Errorf("%+v", c)
	}
}

func TestQuantiles(t *testing.T) {
	l := newLatency()
	if got := l.quantiles(); got != (quantiles{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for i := 1; i <= 10000; i++ {
		l.record(time.Duration(i) * time.Microsecond)
	}
	got := merge([]latency{l, newLatency()}).quantiles()
	for name, pair := range map[string][2]float64{
		"p50": {got.P50, 5000}, "p90": {got.P90, 9000}, "p99": {got.P99, 9900}, "p99.9": {got.P999, 9990}, "max": {got.Max, 10000},
	} {
		if math.Abs(pair[0]/pair[1]-1) > 0.001 {
			t.Errorf("%s: %v, want %v", name, pair[0], pair[1])
		}
	}
	l.record(time.Hour) // out of range counts as the longest there is
	if got := l.quantiles().Max; got < 59.9e6 {
		t.Error(got)
	}
}

// TestDueLatency: with a rate, a pause of the other side is a delay for every message
// that was due in it, not for one.
func TestDueLatency(t *testing.T) {
	pause := 100 * time.Millisecond
	via := bend(t, loadHere(t), func(n int, f []byte) []byte {
		if n == 5 {
			<-time.After(pause)
		}
		return f
	})
	j := tiny(via)["one"]
	j.For, j.Rate = 300*time.Millisecond, 1000
	res, err := j.run(func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	// A third of the messages was due in the pause: on average half of it late.
	if res.Latency.P90 < float64(pause.Microseconds())/4 {
		t.Errorf("the pause is hidden: %+v", res.Latency)
	}
}

func TestRatios(t *testing.T) {
	r := &report{workloads: []workload{{name: "W2", main: rate, job: job{Kind: "echo"}}}, contenders: []contender{{name: "direct"}, {name: "tcpcopy"}, {name: "wsproxy"}}}
	for round, rates := range [][3]int64{{100, 50, 30}, {300, 40, 44}, {200, 60, 45}} {
		for i, name := range []string{"direct", "tcpcopy", "wsproxy"} {
			r.Cells = append(r.Cells, cell{Workload: "W2", Contender: name, Round: round, result: result{Messages: rates[i], Seconds: 1}})
		}
	}
	bad := cell{Workload: "W2", Contender: "wsproxy", Round: 3}
	bad.Err, bad.Messages, bad.Seconds = "reset", 1e6, 1
	r.Cells = append(r.Cells, bad)
	got, ok := r.against(rate, "W2", "wsproxy", "tcpcopy")
	want := spread{30.0 / 50, 44.0 / 50, 44.0 / 40} // the medians 44 and 50; rounds 0.6, 1.1, 0.75
	if !ok || got.spread != want {
		t.Errorf("%+v, want %+v", got.spread, want)
	}
	if _, ok := r.against(rate, "W2", "wsproxy", "nginx"); ok {
		t.Error("compared with what was not measured")
	}
	if s := spreadOf([]float64{4, 1, 2, 3}); s != (spread{1, 2.5, 4}) {
		t.Errorf("%+v", s)
	}
	text := r.markdown()
	if line := "| wsproxy | 44.0 | 0.88 (0.60–1.10) | 0.22 (0.15–0.30) |"; !strings.Contains(text, line) {
		t.Errorf("no %q in\n%s", line, text)
	}
	if err := r.verdict(); err == nil || !strings.Contains(err.Error(), "W2 through wsproxy: reset") {
		t.Error(err)
	}
}

func TestGoals(t *testing.T) {
	r := &report{}
	add := func(workload, contender string, c cell) {
		c.Workload, c.Contender, c.Seconds = workload, contender, 1
		r.Cells = append(r.Cells, c)
	}
	add("W2", "tcpcopy", cell{result: result{Messages: 100}})
	add("W2", "wsproxy-no-record", cell{result: result{Messages: 95}})
	add("W2", "wsproxy", cell{result: result{Messages: 79}})
	add("W5-1000", "wsproxy", cell{Session: 17 << 10})
	want := `| wsproxy-no-record | W2 | rate × tcpcopy | ≥ 0.90 | 0.95 | met |
| wsproxy | W2 | rate × tcpcopy | ≥ 0.80 | 0.79 | missed |
| wsproxy | W5-1000 | a session KiB | ≤ 16.0 | 17.0 | missed |
`
	if got := r.goalsTable(); !strings.HasSuffix(got, "| --- |\n"+want) {
		t.Error(got)
	}
	if got := new(report).goalsTable(); got != "" {
		t.Errorf("of nothing: %s", got)
	}
	names := map[string]bool{}
	for _, w := range workloads {
		names[w.name] = true
	}
	for _, c := range contenders {
		names[c.name] = true
	}
	for _, g := range goals {
		if !names[g.workload] || !names[g.contender] {
			t.Errorf("a goal for %s through %s, which is not measured", g.workload, g.contender)
		}
	}
}

func TestVerdict(t *testing.T) {
	good := cell{Workload: "W2", Contender: "nginx"}
	lossy, bent := good, good
	lossy.Lost, bent.Corrupted = 2, 1
	for _, tt := range []struct {
		cell cell
		want string
	}{{good, ""}, {lossy, "W2 through nginx: 2 messages lost, 0 corrupted"}, {bent, "W2 through nginx: 0 messages lost, 1 corrupted"}} {
		got := ""
		if err := (&report{Cells: []cell{tt.cell}}).verdict(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:80", "0.0.0.0:80", "[2001:db8::1]:80", "example.com:80", "127.0.0.1"} {
		if err := checkLoopback(addr); err == nil {
			t.Errorf("%s is taken for loopback", addr)
		}
		if c, err := dialLoopback(addr); err == nil {
			c.Close()
			t.Errorf("%s was dialled", addr)
		}
		j := job{Kind: "echo", Addr: addr, Conns: 1, Size: 64, Flight: 1}
		if _, err := j.run(func(string) {}); err == nil {
			t.Errorf("a job for %s was done", addr)
		}
	}
	if err := checkLoopback("127.0.0.1:80"); err != nil {
		t.Error(err)
	}
}

func TestChosen(t *testing.T) {
	for _, tt := range []struct {
		list, name string
		want       bool
	}{{"", "W1", true}, {"W1,W5", "W5-tls", true}, {"W5-tls", "W5-1000", false}, {"W5-1000", "W5-1000", true}, {"wsproxy", "wsproxy-record", false}, {"W1", "W10", false}} {
		if got := chosen(tt.list, tt.name); got != tt.want {
			t.Errorf("%q names %s: %v", tt.list, tt.name, got)
		}
	}
}

func TestSoakJudge(t *testing.T) {
	flat := func(last sample) []sample {
		return append(slices.Repeat([]sample{{100 << 20, 10}}, 8), last, last, last, last)
	}
	for _, tt := range []struct {
		sum     result
		samples []sample
		want    string
	}{
		{result{}, flat(sample{105 << 20, 12}), ""},
		{result{}, flat(sample{150 << 20, 10}), "bytes of memory"},
		{result{}, flat(sample{100 << 20, 30}), "open files"},
		{result{Lost: 1}, nil, "1 messages were lost, 0 corrupted"},
		{result{Corrupted: 2}, nil, "0 messages were lost, 2 corrupted"},
	} {
		got := ""
		if err := judge(tt.sum, tt.samples); err != nil {
			got = err.Error()
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestRun is all of it, with processes, on what is the least.
func TestRun(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each process under the race detector takes a second to end
	dir := t.TempDir()
	out := filepath.Join(dir, "out.json")
	r, err := newRun(t.Context(), options{rounds: 2, length: 50 * time.Millisecond, limit: time.Minute, only: "W2,W6", with: "direct,tcpcopy,wsproxy-no-record", dir: dir, quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := r.all(t.Context())
	r.close()
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.write(out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Cells) != 2*2*3 || len(got.Ratios) == 0 || got.About.WSProxy == "" {
		t.Errorf("%d cells, %d ratios, %+v", len(got.Cells), len(got.Ratios), got.About)
	}
	through := map[string]int64{}
	for _, c := range got.Cells {
		through[c.Contender] += c.Messages
		if c.Err != "" || c.Lost != 0 || c.Corrupted != 0 {
			t.Errorf("%s through %s: %+v", c.Workload, c.Contender, c)
		}
		if c.Contender != "direct" && openFiles(os.Getpid()) > 0 && c.Peak < 1<<20 {
			t.Errorf("%s through %s has no memory: %v", c.Workload, c.Contender, c.Peak)
		}
	}
	if first, second := got.Cells[0].Contender, got.Cells[6].Contender; first == second {
		t.Errorf("%s is first in both rounds", first)
	}
	if len(through) != 3 || slices.Contains(slices.Collect(maps.Values(through)), 0) {
		t.Errorf("messages: %v", through)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestProcessThatDoesNotStart(t *testing.T) {
	cmd, err := self("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := startAnnouncing(context.Background(), cmd); err == nil || !strings.Contains(err.Error(), "there is no role") {
		t.Error(err)
	}
}

// TestGoroutinesAreCounted: of a process that is asked to end with a dump. A copier
// holds more of them with sessions open.
func TestGoroutinesAreCounted(t *testing.T) {
	target := loadHere(t)
	counted := func(sessions int) int {
		cmd, err := self("tcpcopy", target)
		if err != nil {
			t.Fatal(err)
		}
		p, err := startAnnouncing(t.Context(), cmd)
		if err != nil {
			t.Fatal(err)
		}
		j := job{Addr: p.addr, Conns: sessions}
		all, err := j.openAll("/echo", func() content { return newPattern(64, true) })
		if err != nil {
			t.Fatal(err)
		}
		defer closeAll(all)
		return new(soak).goroutines(p)
	}
	none, some := counted(0), counted(3)
	if none < 1 || some < none+4 { // the runtime's own vary by one or two
		t.Errorf("%d goroutines without sessions, %d with three", none, some)
	}
}

func TestOwnUsage(t *testing.T) {
	if openFiles(os.Getpid()) == 0 {
		t.Log("this system does not tell what a process uses")
		return
	}
	u := usageOf(os.Getpid())
	for end := time.Now().Add(5 * time.Second); u.cpu == 0 && time.Now().Before(end); { // the loop itself uses some
		u = usageOf(os.Getpid())
	}
	if u.resident < 1<<20 || u.peak < u.resident || u.cpu <= 0 {
		t.Errorf("%+v", u)
	}
}

// What a process's children use is counted, whichever thread started them.
func TestChildrensUsage(t *testing.T) {
	if openFiles(os.Getpid()) == 0 {
		t.Log("this system does not tell what a process uses")
		return
	}
	var children []*exec.Cmd
	for range 4 {
		started := make(chan error)
		go func() {
			runtime.LockOSThread() // each from another one, which stays
			cmd := exec.Command("cat")
			if _, err := cmd.StdinPipe(); err != nil {
				started <- err
				return
			}
			children = append(children, cmd)
			started <- cmd.Start()
			<-t.Context().Done()
		}()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
	all := childrenOf(os.Getpid())
	for _, c := range children {
		if !slices.Contains(all, c.Process.Pid) {
			t.Errorf("the child %d is not among %v", c.Process.Pid, all)
		}
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}
