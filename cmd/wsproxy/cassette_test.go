package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// capture writes what tcpdump would of a conversation: its client's packets are
// those at even places.
func capture(t *testing.T, path string, said ...string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65536, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	seq := [2]uint32{1000, 5000}
	at := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	packet := func(from int, syn bool, payload string) {
		ends := [2]net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)}
		ports := [2]layers.TCPPort{40000, 80}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: ends[from], DstIP: ends[1-from]}
		tcp := &layers.TCP{SrcPort: ports[from], DstPort: ports[1-from], Seq: seq[from], Ack: seq[1-from], SYN: syn, ACK: !syn || from == 1, PSH: !syn, Window: 65535}
		if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		b := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, tcp, gopacket.Payload(payload)); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Millisecond)
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, Length: len(b.Bytes()), CaptureLength: len(b.Bytes())}, b.Bytes()); err != nil {
			t.Fatal(err)
		}
		seq[from] += uint32(len(payload))
		if syn {
			seq[from]++
		}
	}
	packet(0, true, "")
	packet(1, true, "")
	for i, s := range said {
		packet(i%2, false, s)
	}
}

// A cassette is made of what tcpdump captured.
func TestCassetteOfCapture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tcpdump.pcap")
	capture(t, path,
		"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer s3cret\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
		"\x81\x8d\x00\x00\x00\x00{\"id\":\"q1x2\"}", "\x81\x0d{\"id\":\"q1x2\"}")
	var out, told bytes.Buffer
	if code := wsproxy([]string{"cassette", path}, strings.NewReader(""), &out, &told); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, told.String())
	}
	const want = `{"cassette":1,"recorded":"2026-11-25T08:00:00.004Z","values":{"id":"q1x2"}}
{"session":1,"open":{"path":"/chat","headers":{"Authorization":"Bearer ******"}},"accept":{"status":101}}
{"from":"client","after":"1ms","json":{"id":"${id}"}}
{"from":"server","after":"1ms","json":{"id":"${id}"}}
`
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}
