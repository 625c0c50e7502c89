package record

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/wsproxy/wsproxy/inspect"
)

// outputTo is an output that writes to a file.
func outputTo(t *testing.T) (*output, *os.File) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return newOutput(partsOf(f), 0), f
}

// Packets of all sizes come back from pcapgo as they were, comments too, whether
// they were gathered or written from where they lay.
func TestOutputAgainstPcapgo(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	o, f := outputTo(t)
	s := &section{out: o, version: "test"}
	if err := s.begin(""); err != nil {
		t.Fatal(err)
	}
	type packet struct {
		data     []byte
		leg      inspect.Leg
		comments []string
	}
	var want []packet
	var batch [][]byte
	for n := range 3000 {
		size := r.IntN(300)
		if n%10 == 0 {
			size = r.IntN(maxSegment)
		}
		payload := bytes.Repeat([]byte{byte(n), byte(n >> 8), 7}, size/3+1)[:size]
		head := []byte(fmt.Sprintf("head %040d", n))[:20+20*r.IntN(2)]
		p := packet{data: append(bytes.Clone(head), payload...), leg: inspect.Leg(n & 1)}
		for range r.IntN(8) / 6 {
			p.comments = append(p.comments, fmt.Sprintf("note %d", r.IntN(1e6)))
		}
		if err := o.packet(p.leg, t0, p.comments, ipPacket{head: head, payload: payload}); err != nil {
			t.Fatal(err)
		}
		want = append(want, p)
		if batch = append(batch, payload); len(batch) == 100 { // a batch is over, and its memory used again
			if err := o.settle(); err != nil {
				t.Fatal(err)
			}
			for _, b := range batch {
				clear(b)
			}
			batch = nil
		}
	}
	if err := o.write(); err != nil {
		t.Fatal(err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != o.n.Load() {
		t.Fatalf("the file has %d bytes of %d, %v", st.Size(), o.n.Load(), err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	ng, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n, p := range want {
		data, ci, options, err := ng.ReadPacketDataWithOptions()
		if err != nil || !bytes.Equal(data, p.data) || ci.InterfaceIndex != int(p.leg) || !ci.Timestamp.Equal(t0) || fmt.Sprint(options.Comments) != fmt.Sprint(p.comments) {
			t.Fatalf("packet %d: %d bytes of %d, %+v, %v, %v", n, len(data), len(p.data), ci, options.Comments, err)
		}
	}
}

// In the steady state a chunk allocates nothing.
func TestWritingAllocatesNothing(t *testing.T) {
	o, _ := outputTo(t)
	s := &section{out: o, version: "test", conns: map[inspect.ConnID]*recorded{}}
	if err := s.begin(""); err != nil {
		t.Fatal(err)
	}
	s.open(conn(1))
	for _, size := range []int{100, 10_000} {
		c := inspect.Chunk{Conn: 1, Time: t0, Off: s.conns[1].off[0][0], Data: make([]byte, size)}
		allocs := testing.AllocsPerRun(500, func() {
			s.chunk(c)
			c.Off += int64(size)
			if err := o.settle(); err != nil {
				t.Fatal(err)
			}
		})
		if most := map[int]float64{100: 0, 10_000: 5}[size]; allocs > most { // a gathered write has its vectors made
			t.Errorf("a chunk of %d bytes allocates %v times", size, allocs)
		}
	}
}
