package record

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/wsproxy/wsproxy/inspect"
)

// wire builds the packets of a foreign conversation.
type wire struct {
	c    *conversation
	link layers.LinkType
	pkts [][]byte
}

func newWire(link layers.LinkType) *wire {
	w := &wire{c: newConversation(1, "10.0.0.1:40000", "10.0.0.1:80"), link: link}
	w.c.seq = [2]uint32{1<<32 - 20, 7} // numbers that wrap
	return w
}

func (w *wire) add(d inspect.Dir, flags byte, payload string) *wire {
	ip := append(w.c.head(nil, tcp{d, flags, []byte(payload), 0}), payload...)
	var p []byte
	if w.link == layers.LinkTypeEthernet {
		p = append(p, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00"...)
	}
	p = append(p, ip...)
	for w.link == layers.LinkTypeEthernet && len(p) < 60 {
		p = append(p, 0xee) // short frames are padded
	}
	w.pkts = append(w.pkts, p)
	return w
}

func (w *wire) file(t *testing.T, order ...int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "foreign.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := pcapgo.NewWriter(f)
	if err := p.WriteFileHeader(65536, w.link); err != nil {
		t.Fatal(err)
	}
	for i, n := range order {
		b := w.pkts[n]
		ci := gopacket.CaptureInfo{Timestamp: t0.Add(time.Duration(i) * time.Millisecond), Length: len(b), CaptureLength: len(b)}
		if err := p.WritePacket(ci, b); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func conversationWire(link layers.LinkType) *wire {
	return newWire(link).
		add(inspect.ToServer, flagSyn, "").add(inspect.ToClient, flagSyn|flagAck, "").
		add(inspect.ToServer, flagAck|flagPsh, "one ").add(inspect.ToServer, flagAck|flagPsh, "two ").add(inspect.ToServer, flagAck|flagPsh, "three").
		add(inspect.ToClient, flagAck|flagPsh, "reply").
		add(inspect.ToServer, flagAck|flagFin, "").add(inspect.ToClient, flagAck|flagFin, "")
}

func TestImport(t *testing.T) {
	for name, order := range map[string][]int{
		"in order":             {0, 1, 2, 3, 4, 5, 6, 7},
		"out of order":         {0, 1, 4, 2, 3, 5, 6, 7},
		"retransmitted":        {0, 1, 2, 2, 3, 2, 4, 3, 5, 5, 6, 7},
		"FIN before its bytes": {0, 1, 2, 3, 5, 6, 4, 7},
		"retransmitted SYN":    {0, 0, 1, 2, 3, 4, 5, 6, 7},
	} {
		for _, link := range []layers.LinkType{layers.LinkTypeRaw, layers.LinkTypeEthernet} {
			t.Run(name+" "+link.String(), func(t *testing.T) {
				h := follow(t, conversationWire(link).file(t, order...))
				if len(h.streams) != 2 {
					t.Fatalf("%q", h.lines)
				}
				for k, b := range h.streams {
					if want := map[inspect.Dir]string{inspect.ToServer: "one two three", inspect.ToClient: "reply"}[k.dir]; string(b) != want || k.leg != inspect.ClientLeg {
						t.Errorf("%v: %q, want %q", k, b, want)
					}
					if e := h.ends[k]; e.How != inspect.Fin {
						t.Errorf("%v ended %v", k, e)
					}
				}
				if !strings.Contains(h.lines[0], "import 10.0.0.1:40000") {
					t.Error(h.lines)
				}
			})
		}
	}
}

func TestImportHole(t *testing.T) {
	h := follow(t, conversationWire(layers.LinkTypeRaw).file(t, 0, 1, 2, 4, 5, 6, 7)) // "two " was never captured
	for k, b := range h.streams {
		if k.dir == inspect.ToServer && string(b) != "one ????three" {
			t.Errorf("%q", b)
		}
	}
	if len(h.streams) != 2 {
		t.Error(h.lines)
	}
}

func TestImportReset(t *testing.T) {
	w := conversationWire(layers.LinkTypeRaw)
	w.add(inspect.ToClient, flagRst|flagAck, "")
	h := follow(t, w.file(t, 0, 1, 2, 3, 4, 5, 8))
	var rst bool
	for _, e := range h.ends {
		rst = rst || e.How == inspect.Rst && e.Dir == inspect.ToClient
	}
	if !rst {
		t.Errorf("%q", h.lines)
	}
}

func TestImportFromTheMiddle(t *testing.T) {
	w := newWire(layers.LinkTypeRaw).add(inspect.ToClient, flagAck|flagPsh, "HTTP/1.1 101 x\r\n\r\n").add(inspect.ToServer, flagAck|flagPsh, "more")
	h := follow(t, w.file(t, 0, 1))
	got := []string{}
	for k, b := range h.streams {
		got = append(got, k.dir.String()+" "+string(b))
	}
	slices.Sort(got)
	if want := []string{"to-client HTTP/1.1 101 x\r\n\r\n", "to-server more"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, e := range h.ends {
		if e.How != inspect.Cut {
			t.Errorf("%+v", e)
		}
	}
}

func TestPacketChecksums(t *testing.T) {
	for _, addrs := range [][2]string{{"127.0.0.1:1234", "127.0.0.1:80"}, {"[::1]:1234", "[fe80::1%eth0]:80"}, {"127.0.0.1:1", "[::1]:2"}, {"unix /tmp/x", "127.0.0.1:9"}} {
		c := newConversation(1, addrs[0], addrs[1])
		for n := range 40 {
			payload := []byte(strings.Repeat("ab\xffc\xfe", n))
			b := append(c.head(nil, tcp{inspect.Dir(n % 2), flagPsh | flagAck, payload, 0}), payload...)
			first := layers.LayerTypeIPv4
			if b[0]>>4 == 6 {
				first = layers.LayerTypeIPv6
			}
			pkt := gopacket.NewPacket(b, first, gopacket.Default)
			if e := pkt.ErrorLayer(); e != nil {
				t.Fatalf("%v: %v", addrs, e.Error())
			}
			if tcp, ok := pkt.TransportLayer().(*layers.TCP); ok {
				if err := tcp.SetNetworkLayerForChecksum(pkt.NetworkLayer()); err != nil {
					t.Fatal(err)
				}
			}
			err, bad := pkt.VerifyChecksums()
			if err != nil || len(bad) > 0 {
				t.Fatalf("%v, %d bytes: %v %v", addrs, n*5, err, bad)
			}
		}
	}
}

func TestTimesOfOtherResolutions(t *testing.T) {
	for _, tt := range []struct {
		tsresol byte
		units   uint64
		want    time.Time
	}{
		{6, 1_700_000_000_123456, time.Unix(1_700_000_000, 123456000)},
		{9, 1_700_000_000_123456789, time.Unix(1_700_000_000, 123456789)},
		{0x80 | 10, 1_700_000_000 << 10, time.Unix(1_700_000_000, 0)},
		{3, 1_700_000_000_123, time.Unix(1_700_000_000, 123000000)},
	} {
		body := binary.LittleEndian.AppendUint16(nil, 101)
		body = append(body, 0, 0, 0, 0, 0, 0)
		body = append(body, 9, 0, 1, 0, tt.tsresol, 0, 0, 0)
		i := readInterface(block{kind: blockInterface, body: body, order: binary.LittleEndian})
		if got := i.time(tt.units); !got.Equal(tt.want) {
			t.Errorf("resolution %#x: %v, want %v", tt.tsresol, got, tt.want)
		}
	}
}
