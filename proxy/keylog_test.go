package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// TestKeyLogDecrypts: with the keys, tshark reads what passed on the wire of each
// leg, as a tcpdump beside wsproxy would have seen it.
func TestKeyLogDecrypts(t *testing.T) {
	shark, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tshark is not installed (.ci/tools installs it)")
		}
		t.Log("tshark is not installed: whether the keys fit is left out")
		return
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for leg, passed := range talkUnderTLS(t, version) {
			dir := t.TempDir()
			capture := filepath.Join(dir, "wire.pcap")
			writeCapture(t, capture, passed.wire, version)
			if bytes.Contains(passed.wire.Bytes(inspect.ToServer), []byte("websocket")) {
				t.Errorf("%s, %s: the wire is not encrypted", tls.VersionName(version), leg)
			}
			keys := filepath.Join(dir, "keys")
			if err := os.WriteFile(keys, []byte(passed.keys), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(shark, "-r", capture, "-d", "tcp.port==443,tls", "-o", "tls.keylog_file:"+keys, "-q", "-z", "follow,tls,ascii,0").Output()
			for _, want := range []string{"GET /chat HTTP/1.1", "101 Odd Phrase", "Hello"} {
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("%s, %s: no %q in what tshark read (%v):\n%s", tls.VersionName(version), leg, want, err, out)
				}
			}
		}
	}
}

type underTLS struct {
	wire *wstest.Passed
	keys string
}

// talkUnderTLS has a session with TLS on both legs, each through a tee.
func talkUnderTLS(t *testing.T, version uint16) map[string]underTLS {
	t.Helper()
	var keys lines
	var beyond *wstest.Tee
	d := newDoorRig(t, true, func(c *Config) {
		c.KeyLog = writer(func(b []byte) { keys.logf("%s", b) })
		beyond = newTee(t, c.Target.Host)
		c.ConnectTo = beyond.Addr
	})
	before := newTee(t, d.addr)
	d.server.MaxVersion = version
	nc, err := net.Dial("tcp", before.Addr)
	if err != nil {
		t.Fatal(err)
	}
	client := tls.Client(d.bounded(nc), &tls.Config{ServerName: "localhost", RootCAs: d.ca.pool(), MaxVersion: version})
	server := d.opened(client)
	d.send(server, "\x81\x05Hello")
	d.expect(client, "\x81\x05Hello")
	_, _ = client.Close(), server.Close()
	await(t, "the connection is over", func() bool { return d.rig.server.Stats().Open == 0 })
	all := map[string]underTLS{}
	for leg, tee := range map[string]*wstest.Tee{"client leg": before, "server leg": beyond} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		p, err := tee.Wait(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		all[leg] = underTLS{p, keys.String()}
	}
	return all
}

func newTee(t *testing.T, target string) *wstest.Tee {
	t.Helper()
	tee, err := wstest.NewTee(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tee.Close() })
	return tee
}

// writeCapture writes both directions as one TCP conversation, in an order that
// keeps what TLS makes of it: the client's first flight, the server's, the rest of
// the client's, which holds the end of its handshake, and the rest of the server's.
func writeCapture(t *testing.T, path string, p *wstest.Passed, version uint16) {
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
	up, down := p.Bytes(inspect.ToServer), p.Bytes(inspect.ToClient)
	hello := recordsUpTo(up, 1)
	flight := len(down)
	if version == tls.VersionTLS12 {
		flight = recordsUpTo(down, 4) // ServerHello, Certificate, ServerKeyExchange, ServerHelloDone
	}
	c := conversation{t: t, w: w}
	c.segment(inspect.ToServer, up[:hello])
	c.segment(inspect.ToClient, down[:flight])
	c.segment(inspect.ToServer, up[hello:])
	c.segment(inspect.ToClient, down[flight:])
}

// recordsUpTo is where the n-th TLS record ends.
func recordsUpTo(b []byte, n int) (end int) {
	for ; n > 0; n-- {
		end += 5 + int(b[end+3])<<8 + int(b[end+4])
	}
	return end
}

// conversation writes TCP segments.
type conversation struct {
	t   *testing.T
	w   *pcapgo.Writer
	seq [2]uint32
	n   int
}

func (c *conversation) segment(d inspect.Dir, data []byte) {
	for len(data) > 0 {
		piece := data[:min(len(data), 1400)]
		data = data[len(piece):]
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IPv4(127, 0, 0, 1), DstIP: net.IPv4(127, 0, 0, 1)}
		tcp := &layers.TCP{SrcPort: 40000, DstPort: 443, Seq: 1 + c.seq[d], Ack: 1 + c.seq[d.Other()], ACK: true, PSH: true, Window: 65535}
		if d == inspect.ToClient {
			tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
		}
		c.seq[d] += uint32(len(piece))
		b := gopacket.NewSerializeBuffer()
		err := tcp.SetNetworkLayerForChecksum(ip)
		if err == nil {
			err = gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, tcp, gopacket.Payload(piece))
		}
		if err == nil {
			c.n++
			err = c.w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, int64(c.n)*1e6), CaptureLength: len(b.Bytes()), Length: len(b.Bytes())}, b.Bytes())
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}
