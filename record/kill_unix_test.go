//go:build unix

package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// TestMain is the tests, or the program that a test starts and kills.
func TestMain(m *testing.M) {
	switch path := os.Getenv("WSPROXY_RECORD_TO"); os.Getenv("WSPROXY_RECORD_CHILD") {
	case "load":
		load(path)
	case "full":
		fill(path)
	default:
		m.Run()
	}
}

// child is the test binary, as one of those programs.
func child(t *testing.T, what, path string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "WSPROXY_RECORD_CHILD="+what, "WSPROXY_RECORD_TO="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// pattern is the bytes of a stream from off on: each place has its own.
func pattern(k legDir, off int64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := off + int64(i)
		b[i] = byte(at ^ at>>8 ^ at>>16 ^ int64(k.conn)*37 ^ int64(k.dir)*101)
	}
	return b
}

// load records four busy connections until it is killed. It prints where each
// stream had come to whenever the writer said that everything before was in
// the file: each round of chunks waits until the writer has nothing left to do.
func load(path string) {
	w, err := Create(Options{Path: path, Version: "load"})
	if err != nil {
		fmt.Println(err)
		return
	}
	live := w.Watch()
	var packets int64
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), 6))
	off := map[legDir]int64{}
	for id := inspect.ConnID(1); id <= 4; id++ {
		w.Open(conn(id))
		packets += 2
	}
	for {
		var wg sync.WaitGroup
		for id := inspect.ConnID(1); id <= 4; id++ {
			for d := range inspect.Dir(2) {
				k := legDir{id, 0, d}
				chunks := 1 + r.IntN(40)
				size := 1 + r.IntN(4000)
				from := off[k]
				off[k] += int64(chunks * size)
				packets += int64(chunks)
				wg.Go(func() {
					for i := range int64(chunks) {
						at := from + i*int64(size)
						w.Chunk(inspect.Chunk{Conn: id, Dir: d, Time: time.Now(), Off: at, Data: pattern(k, at, size)})
					}
				})
			}
		}
		wg.Wait()
		// The writer has looked for more after the last packet, found nothing
		// and flushed, before it tells the number.
		for w.Status().Packets < packets {
			<-live
		}
		for k, n := range off {
			fmt.Println(k.conn, k.dir, n)
		}
	}
}

// TestKill kills a program that records under load: what it had flushed is there,
// every byte right, and the file says that it was cut.
func TestKill(t *testing.T) {
	for n := range wstest.Count("kill -9") {
		path := filepath.Join(t.TempDir(), "killed.pcapng")
		cmd := child(t, "load", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		flushed := map[legDir]int64{}
		lines := bufio.NewScanner(out)
		for i, last := 0, 8+rand.IntN(8*25); lines.Scan(); i++ {
			var k legDir
			var id, dir string
			var off int64
			if _, err := fmt.Sscan(lines.Text(), &id, &dir, &off); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			if err := errors.Join(k.conn.UnmarshalText([]byte(id)), k.dir.UnmarshalText([]byte(dir))); err != nil {
				t.Fatal(err)
			}
			flushed[k] = off
			if i == last { // what is in the pipe by then is still read
				if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("it was not killed: %v", err)
		}
		killed(t, path, flushed)
		if t.Failed() {
			t.Fatalf("kill %d", n)
		}
	}
}

// killed checks what a killed writer has left.
func killed(t *testing.T, path string, flushed map[legDir]int64) {
	t.Helper()
	if len(flushed) != 8 {
		t.Errorf("only %d streams were told", len(flushed))
	}
	if Live(path) {
		t.Error("the dead writer still has its lock")
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	h := newHeard()
	var torn *TornError
	if err := Follow(context.Background(), path, nil, h); err != nil && !errors.As(err, &torn) {
		t.Error(err)
	}
	if torn != nil && (torn.Offset >= st.Size() || torn.Offset < st.Size()-256<<10) {
		t.Errorf("torn at %d of %d", torn.Offset, st.Size())
	}
	for k, n := range flushed {
		got := h.streams[k]
		if int64(len(got)) < n {
			t.Errorf("%v: %d bytes came back, %d were flushed", k, len(got), n)
		}
		if !slices.Equal(got, pattern(k, 0, len(got))) {
			t.Errorf("%v came back changed", k)
		}
		if e := h.ends[k]; e.How != inspect.Cut {
			t.Errorf("%v ended %v", k, e.How)
		}
	}
	if text := strings.Join(h.lines, "\n"); strings.Contains(text, "finished") || strings.Contains(text, "offset") {
		t.Error(text)
	}
}

// TestFlushedUnderLoad: with the queue never empty, what was recorded is in the
// file all the same after a while.
func TestFlushedUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	w := create(t, Options{Path: path})
	live := w.Watch()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w.Open(conn(1))
	w.Open(conn(2))
	w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Data: []byte("marker")})
	var wg sync.WaitGroup
	defer wg.Wait()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		for off := int64(0); loading.Err() == nil; off += 100 {
			w.Chunk(inspect.Chunk{Conn: 2, Time: t0, Off: off, Data: make([]byte, 100)})
		}
	})
	seen := newHeard()
	if err := Follow(ctx, path, live, stopAt{seen, "marker", cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("the marker was not read: %v", err)
	}
}

// stopAt is a sink that calls stop when it hears what it waits for.
type stopAt struct {
	*heard
	text string
	stop func()
}

func (s stopAt) Chunk(c inspect.Chunk) {
	if string(c.Data) == s.text {
		s.stop()
	}
}

// fill records to a file that may not grow past a MiB.
func fill(path string) {
	signal.Ignore(syscall.SIGXFSZ) // a full disk sends none
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
		fmt.Println(err)
		return
	}
	w, err := Create(Options{Path: path, Version: "full"})
	if err != nil {
		fmt.Println(err)
		return
	}
	w.Open(conn(1))
	k := legDir{1, 0, 0}
	for off := int64(0); off < 20<<20; off += 32 << 10 { // the traffic goes on, past the queue's size
		w.Chunk(inspect.Chunk{Conn: 1, Time: t0, Off: off, Data: pattern(k, off, 32<<10)})
	}
	fmt.Println("traffic: done")
	err = w.Close()
	st := w.Status()
	fmt.Println("stopped:", st.Stopped)
	fmt.Println("status:", st.Err)
	fmt.Println("close:", err)
}

// TestDiskFull: the recording ends and says why, what it had is readable, and
// the traffic never waits for it.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "full.pcapng")
	out, err := child(t, "full", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	for _, want := range []string{"traffic: done", "stopped: write ", "status: write ", "close: write ", "file too large"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	h := newHeard()
	var torn *TornError
	if err := Follow(context.Background(), path, nil, h); err != nil && !errors.As(err, &torn) {
		t.Error(err)
	}
	k := legDir{1, 0, 0}
	if got := h.streams[k]; len(got) < 512<<10 || !slices.Equal(got, pattern(k, 0, len(got))) {
		t.Errorf("%d bytes came back", len(got))
	}
}
