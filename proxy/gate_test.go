package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// turnstile is a Gate whose frames wait for the test, which lets them go one by one.
type turnstile struct {
	mu      sync.Mutex
	on      bool
	whole   bool
	entered []Session
	ended   []inspect.SessionID
	frames  [2][]string // headers that were asked about, and payloads
	wait    [2]chan struct{}
	free    [2]bool
}

func (g *turnstile) Session(s Session) Filter {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entered = append(g.entered, s)
	if !g.on {
		return nil
	}
	return g
}

func (g *turnstile) Ended(id inspect.SessionID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = append(g.ended, id)
}

func (g *turnstile) Whole(inspect.Dir, inspect.Header) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.whole
}

func (g *turnstile) Frame(f inspect.Frame, payload []byte) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free[f.Dir] || !g.on {
		g.free[f.Dir], g.wait[f.Dir] = false, nil
		return Verdict{}
	}
	if g.wait[f.Dir] == nil {
		g.wait[f.Dir] = make(chan struct{})
		p := bytes.Clone(payload)
		if f.Header.Masked() {
			inspect.Mask(f.Header.Key(), 0, p)
		}
		g.frames[f.Dir] = append(g.frames[f.Dir], f.Header.Opcode().String()+" "+string(p))
	}
	return Verdict{Hold: g.wait[f.Dir], By: "hand"}
}

// set switches the turnstile on or off, and has everybody ask again.
func (g *turnstile) set(s *Server, on bool) {
	g.mu.Lock()
	g.on = on
	g.mu.Unlock()
	s.Regate()
}

// step lets the one frame go that waits in a direction; false: none does.
func (g *turnstile) step(d inspect.Dir) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wait[d] == nil || g.free[d] {
		return false
	}
	g.free[d] = true
	close(g.wait[d])
	return true
}

// seen is what was asked about in a direction.
func (g *turnstile) seen(d inspect.Dir) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.frames[d]
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for by := time.Now().Add(patience); !is(); runtime.Gosched() {
		if time.Now().After(by) {
			t.Fatalf("%s: it never came to that", what)
		}
	}
}

// silentNow checks that nothing has come, which would have by now: something that was sent
// after it has come elsewhere.
func silentNow(t *testing.T, c *net.TCPConn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Fatalf("read %d, %v; it was held", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
}

var bothWays = []inspect.Dir{inspect.ToServer, inspect.ToClient}

// ends are who sends and who receives in a direction.
func ends(d inspect.Dir, client, server *net.TCPConn) (from, to *net.TCPConn) {
	if d == inspect.ToClient {
		return server, client
	}
	return client, server
}

const (
	one   = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
	two   = "\x02\x7e\x00\x80" // its payload follows
	three = "\x89\x00"
)

// Frames go one at a time, in each direction, wherever their bytes are cut, and not a
// byte of a frame goes before its turn.
func TestStepCutAnywhere(t *testing.T) {
	frames := []string{one, two + strings.Repeat("b", 128), three}
	all := strings.Join(frames, "")
	g := &turnstile{on: true}
	r := newRig(t, func(c *Config) { c.Gate = g })
	for _, d := range bothWays {
		client, server := r.open()
		from, to := ends(d, client, server)
		for cut := 1; cut < len(all); cut++ {
			r.send(from, all[:cut])
			asked := len(g.seen(d))
			if cut >= 6 {
				eventually(t, "the first frame is asked about", func() bool { return len(g.seen(d)) > 0 && len(g.seen(d)) >= asked })
			}
			r.send(from, all[cut:])
			for _, f := range frames {
				eventually(t, "the next frame waits", func() bool { return g.step(d) })
				r.expect(to, f)
				if cut == len(all)/2 {
					silentNow(t, to)
				}
			}
		}
		_ = client.Close()
		_ = server.Close()
	}
	if n := len(g.entered); n < 2 || g.entered[0].Handshake.Path() != "/chat" || g.entered[0].Handshake.Response.Status != 101 {
		t.Errorf("%d sessions, the first %+v", n, g.entered[0])
	}
	eventually(t, "the gate hears that the sessions are over", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.ended) == 2 && g.ended[0] == g.entered[0].ID
	})
}

// A Filter that wants payloads gets them whole, whatever they are cut into.
func TestWholePayload(t *testing.T) {
	g := &turnstile{on: true, whole: true}
	r := newRig(t, func(c *Config) { c.Gate = g })
	client, server := r.open()
	for _, d := range bothWays {
		from, to := ends(d, client, server)
		for i := range one {
			r.send(from, one[i:i+1])
		}
		eventually(t, "it waits", func() bool { return g.step(d) })
		r.expect(to, one)
		if got := g.seen(d); len(got) != 1 || got[0] != "text Hello" {
			t.Errorf("asked about %q", got)
		}
	}
}

// A session that is relayed raw is held from the next frame on, and goes on as if nothing
// had been when that is over: also what was kept of a frame that is not whole.
func TestHoldInMidSession(t *testing.T) {
	for _, d := range bothWays {
		g := &turnstile{}
		r := newRig(t, func(c *Config) { c.Gate = g })
		client, server := r.open()
		from, to := ends(d, client, server)
		r.send(from, one[:7])
		r.expect(to, one[:7])
		g.set(r.server, true)
		r.send(from, one[7:]) // it had begun
		r.expect(to, one[7:])
		r.send(from, one+"\x82")
		eventually(t, "it waits", func() bool { return len(g.seen(d)) == 1 })
		silentNow(t, to)
		other, there := ends(d.Other(), client, server)
		r.send(other, three)
		eventually(t, "the other direction waits too", func() bool { return g.step(d.Other()) })
		r.expect(there, three)
		g.set(r.server, false)
		r.expect(to, one+"\x82") // half a header included
		r.send(from, "\x01x")
		r.expect(to, "\x01x")
	}
}

// Half a header is kept while the direction waits for the rest, and passes when nobody
// is asked any more, or its sender ends.
func TestHalfAHeader(t *testing.T) {
	for _, d := range bothWays {
		for _, end := range []bool{false, true} {
			g := &turnstile{on: true}
			r := newRig(t, func(c *Config) { c.Gate = g })
			client, server := r.open()
			from, to := ends(d, client, server)
			r.send(from, one+"\x82")
			eventually(t, "the frame waits", func() bool { return g.step(d) })
			r.expect(to, one)
			silentNow(t, to)
			if end {
				_ = from.CloseWrite()
				r.expect(to, "\x82")
				r.expectEnd(to, false)
				continue
			}
			g.set(r.server, false)
			r.expect(to, "\x82")
		}
	}
}

// What is held is recorded where it was read if it comes from the client, and where it is
// sent if it goes there; that it was held stands there too.
func TestHeldIsTold(t *testing.T) {
	g := &turnstile{on: true}
	r := newRig(t, func(c *Config) { c.Gate, c.BothLegs = g, false })
	client, server := r.open()
	before := func(d inspect.Dir) string {
		r.heard.mu.Lock()
		defer r.heard.mu.Unlock()
		_, frames, _ := strings.Cut(string(r.heard.bytes[inspect.ClientLeg][d]), "\r\n\r\n")
		return frames
	}
	r.send(client, one)
	r.send(server, three)
	eventually(t, "both wait", func() bool { return len(g.seen(0)) == 1 && len(g.seen(1)) == 1 })
	if up, down := before(inspect.ToServer), before(inspect.ToClient); up != one || down != "" {
		t.Errorf("told while held: %q, %q", up, down)
	}
	g.step(inspect.ToServer)
	r.expect(server, one)
	g.step(inspect.ToClient)
	r.expect(client, three)
	if down := before(inspect.ToClient); down != three {
		t.Errorf("told when sent: %q", down)
	}
	for _, d := range bothWays {
		notes := r.altered(d)
		if len(notes) != 1 || notes[0].Action != inspect.ActHold || notes[0].By != "hand" || notes[0].Held <= 0 {
			t.Errorf("%v: %+v", d, notes)
		}
	}
}

// altered are the notes of what wsproxy did in a direction.
func (r *rig) altered(d inspect.Dir) (all []inspect.AlteredNote) {
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	for _, n := range r.heard.notes {
		var a inspect.AlteredNote
		if n.Kind == inspect.NoteAltered && json.Unmarshal(n.JSON, &a) == nil && a.Dir == d {
			all = append(all, a)
		}
	}
	return all
}

// A held direction does not read, so that its sender has to wait: memory does not grow.
func TestHeldMakesTheSenderWait(t *testing.T) {
	for _, d := range bothWays {
		g := &turnstile{on: true}
		r := newRig(t, func(c *Config) { c.Gate = g })
		client, server := r.open()
		from, to := ends(d, client, server)
		var sent atomic.Int64
		frame := []byte("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("y", 65536))
		_ = from.SetWriteDeadline(time.Now().Add(time.Second))
		for {
			n, err := from.Write(frame)
			sent.Add(int64(n))
			if err != nil {
				break // it waits
			}
			if sent.Load() > 64<<20 {
				t.Fatal("64 MiB were taken of a direction that is held")
			}
		}
		g.set(r.server, false)
		got, err := io.CopyN(io.Discard, to, sent.Load())
		if err != nil {
			t.Fatalf("%d of %d bytes came: %v", got, sent.Load(), err)
		}
	}
}

// One session of many is held, and the others are not.
func TestOneOfManyIsHeld(t *testing.T) {
	g := &oneHeld{turnstile: turnstile{on: true}}
	r := newRig(t, func(c *Config) { c.Gate, c.Tap = g, nil })
	n := wstest.Count("sessions beside one that is held")
	type pair struct{ client, server *net.TCPConn }
	var all []pair
	for range n {
		c, s := r.open()
		all = append(all, pair{c, s})
	}
	for i, p := range all {
		r.send(p.client, one)
		if i > 0 {
			r.expect(p.server, one)
		}
		r.send(p.server, three)
		if i > 0 {
			r.expect(p.client, three)
		}
	}
	silentNow(t, all[0].server)
	g.set(r.server, false)
	r.expect(all[0].server, one)
	r.expect(all[0].client, three)
}

// oneHeld holds the session that comes first.
type oneHeld struct{ turnstile }

func (g *oneHeld) Session(s Session) Filter {
	f := g.turnstile.Session(s)
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.ID != g.entered[0].ID {
		return nil
	}
	return f
}

// Bytes are the same, whatever a gate does while they pass.
func TestToggledUnderLoad(t *testing.T) {
	g := &turnstile{}
	r := newRig(t, func(c *Config) { c.Gate, c.Tap = g, nil })
	client, server := r.open()
	rng := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	for len(stream) < 4<<20 {
		p := make([]byte, rng.IntN(1<<uint(rng.IntN(16))))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		f := inspect.Fields{Fin: rng.IntN(3) > 0, Opcode: inspect.Opcode(rng.IntN(16)), Masked: rng.IntN(2) == 0, Key: [4]byte{1, 2, 3, 4}, Length: uint64(len(p))}
		stream = append(inspect.NewHeader(f).Append(stream), p...)
	}
	var moving sync.WaitGroup
	done := make(chan struct{})
	for _, d := range bothWays {
		from, to := ends(d, client, server)
		_ = from.SetDeadline(time.Now().Add(6 * patience))
		moving.Go(func() {
			for rest := stream; len(rest) > 0; {
				n := min(len(rest), 1+int(uint32(len(rest))*2654435761>>18))
				if _, err := from.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		moving.Go(func() {
			got := make([]byte, len(stream))
			if n, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, stream) {
				t.Errorf("%v: %d of %d bytes, %v, the same: %v", d, n, len(stream), err, bytes.Equal(got[:n], stream[:n]))
			}
		})
	}
	go func() { moving.Wait(); close(done) }()
	for on, i := false, 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		switch i % 5 {
		case 0:
			on = !on
			g.set(r.server, on)
		case 1:
			g.mu.Lock()
			g.whole = !g.whole
			g.mu.Unlock()
		default:
			g.step(inspect.Dir(i % 2))
		}
		runtime.Gosched()
	}
}

// kill kills the one session.
func (r *rig) kill(g *turnstile, k Kill) {
	r.t.Helper()
	var id inspect.SessionID
	eventually(r.t, "the session has begun", func() bool { // a little behind its 101
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.entered) == 0 {
			return false
		}
		id = g.entered[0].ID
		return true
	})
	if err := r.server.Kill(id, k); err != nil {
		r.t.Fatal(err)
	}
}

// expectClose reads a Close frame.
func (r *rig) expectClose(c net.Conn, masked bool, body string) {
	r.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		r.t.Fatal(err)
	}
	if head[0] != 0x88 || head[1] != byte(len(body))|map[bool]byte{true: 0x80}[masked] {
		r.t.Fatalf("%x is no such Close", head)
	}
	var key [4]byte
	if masked {
		if _, err := io.ReadFull(c, key[:]); err != nil || key == [4]byte{} {
			r.t.Fatal(key, err)
		}
	}
	got := make([]byte, len(body))
	if _, err := io.ReadFull(c, got); err != nil {
		r.t.Fatal(err)
	}
	if inspect.Mask(key, 0, got); string(got) != body {
		r.t.Fatalf("%q, want %q", got, body)
	}
}

const (
	clientClose = "\x88\x82\x00\x00\x00\x00\x03\xe9"
	serverClose = "\x88\x02\x03\xe9"
)

// A session is killed with a Close frame for both, idle or held; both may answer, and then
// come their FINs.
func TestKillWithAClose(t *testing.T) {
	for _, held := range []bool{false, true} {
		g := &turnstile{on: held}
		r := newRig(t, func(c *Config) { c.Gate, c.BothLegs = g, false })
		client, server := r.open()
		if held {
			r.send(client, one+three)
			r.send(server, three)
			eventually(t, "both wait", func() bool { return len(g.seen(0)) == 1 && len(g.seen(1)) == 1 })
		}
		r.kill(g, Kill{Code: 1001, Reason: "enough"})
		r.expectClose(client, false, "\x03\xe9enough")
		r.expectClose(server, true, "\x03\xe9enough")
		r.send(client, clientClose)
		r.send(server, serverClose)
		r.expectEnd(client, false)
		r.expectEnd(server, false)
		_, _ = client.Close(), server.Close()
		eventually(t, "the gate hears the end", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return len(g.ended) == 1 })
		if err := r.server.Kill(g.entered[0].ID, Kill{}); !errors.Is(err, ErrNoSession) {
			t.Error("killed twice:", err)
		}
		lost := map[bool]int64{true: 13}[held]
		if n := r.altered(inspect.ToServer); len(n) != 1 || n[0].Action != inspect.ActClose || n[0].Code != 1001 || n[0].Lost != lost || !strings.HasPrefix(n[0].Wrote, "888") {
			t.Errorf("%+v", n)
		}
		r.autopsy("1001", `1001 by wsproxy "enough", answered by client; then wsproxy ended it`)
	}
}

// autopsy checks what inspection makes of what was told.
func (r *rig) autopsy(word, story string) {
	r.t.Helper()
	closed := r.heard.closed(r.t)
	if closed == nil || closed.Word != word || !strings.HasPrefix(closed.Text, story) {
		r.t.Errorf("the end is %+v, want %q, %q", closed, word, story)
	}
}

// closed has an inspector read what was told, as far as order matters here.
func (h *heard) closed(t *testing.T) (x *inspect.Closed) {
	t.Helper()
	eventually(t, "all ends are told", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		legs := [2]int{}
		for _, e := range h.ends {
			if legs[e.Leg]++; e.How == inspect.Rst {
				legs[e.Leg] = 2
			}
		}
		return legs[0] >= 2 && legs[1] >= 2
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	i := &inspect.Inspector{Emit: func(_ *inspect.Conn, e inspect.Event) {
		if c, ok := e.(*inspect.Closed); ok {
			x = c
		}
	}}
	id := h.opened[0].ID
	i.Open(h.opened[0])
	i.Note(inspect.Note{Conn: id, Leg: inspect.ServerLeg, Kind: inspect.NoteLeg})
	up, down := h.bytes[inspect.ClientLeg][inspect.ToServer], h.bytes[inspect.ClientLeg][inspect.ToClient]
	i.Chunk(inspect.Chunk{Conn: id, Dir: inspect.ToServer, Data: up[:len(upgradeHead)]})
	i.Chunk(inspect.Chunk{Conn: id, Dir: inspect.ToClient, Data: down[:len(switchHead)]})
	for _, n := range h.notes {
		i.Note(n)
	}
	i.Chunk(inspect.Chunk{Conn: id, Dir: inspect.ToClient, Data: down[len(switchHead):]})
	i.Chunk(inspect.Chunk{Conn: id, Dir: inspect.ToServer, Data: up[len(upgradeHead):]})
	for _, e := range h.ends {
		i.End(e)
	}
	return x
}

// In the middle of a frame that does not go on, the peer that waits for the rest gets an
// RST, and the other one its Close.
func TestKillInTheMiddleOfAFrame(t *testing.T) {
	for _, d := range bothWays {
		g := &turnstile{}
		r := newRig(t, func(c *Config) { c.Gate = g })
		client, server := r.open()
		from, to := ends(d, client, server)
		r.send(from, one[:9])
		r.expect(to, one[:9])
		r.kill(g, Kill{Code: 1008})
		r.expectClose(from, d == inspect.ToClient, "\x03\xf0")
		r.expectEnd(to, true)
	}
}

// A frame that is under way and goes on is not cut.
func TestKillAtTheNextBoundary(t *testing.T) {
	for _, d := range bothWays {
		g := &turnstile{}
		r := newRig(t, func(c *Config) { c.Gate = g })
		client, server := r.open()
		from, to := ends(d, client, server)
		r.send(from, one[:9])
		r.expect(to, one[:9])
		r.kill(g, Kill{Code: 1008})
		r.send(from, one[9:]+three)
		r.expect(to, one[9:])
		r.expectClose(to, d == inspect.ToServer, "\x03\xf0")
		r.send(to, map[inspect.Dir]string{inspect.ToServer: serverClose, inspect.ToClient: clientClose}[d])
	}
}

func TestKillWithoutAClose(t *testing.T) {
	for name, k := range map[string]Kill{"FIN": {How: inspect.Fin}, "RST": {How: inspect.Rst}} {
		for _, held := range []bool{false, true} {
			g := &turnstile{on: held}
			r := newRig(t, func(c *Config) { c.Gate, c.BothLegs = g, false })
			client, server := r.open()
			if held {
				r.send(client, one)
				eventually(t, "it waits", func() bool { return len(g.seen(0)) == 1 })
			}
			if k.String() != name {
				t.Error(k)
			}
			r.kill(g, k)
			reset := k.How == inspect.Rst
			r.expectEnd(client, reset)
			r.expectEnd(server, reset)
			_, _ = client.Close(), server.Close()
			if reset {
				r.autopsy("1006 wsproxy rst", "1006, no Close frame; then wsproxy RST")
			} else {
				r.autopsy("1006 wsproxy", "1006, no Close frame; then wsproxy ended it")
			}
		}
	}
}

// A peer that takes nothing does not keep a killed session alive.
func TestKillWhoDoesNotRead(t *testing.T) {
	for _, d := range bothWays {
		g := &turnstile{}
		r := newRig(t, func(c *Config) { c.Gate, c.BothLegs = g, false })
		client, server := r.open()
		from, to := ends(d, client, server)
		long := append([]byte("\x82\x7f\x00\x00\x00\x00\x40\x00\x00\x00"), make([]byte, 64<<20)...)
		_ = from.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := from.Write(long); err == nil || n == 0 {
			t.Fatalf("%d of 64 MiB were taken though nobody reads, %v", n, err)
		}
		r.kill(g, Kill{Code: 1000})
		eventually(t, "it is over", func() bool { return r.server.Stats().Open == 0 })
		if _, err := io.Copy(io.Discard, to); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the end is %v: %+v", err, r.heard.ends)
		}
	}
}

// Shutting down lets everything go that is held, and what is sent then passes.
func TestShutdownReleases(t *testing.T) {
	g := &turnstile{on: true}
	r := newRig(t, func(c *Config) { c.Gate, c.Grace = g, patience })
	client, server := r.open()
	r.send(client, one)
	r.send(server, three)
	eventually(t, "both wait", func() bool { return len(g.seen(0)) == 1 && len(g.seen(1)) == 1 })
	down := make(chan error, 1)
	go func() { down <- r.server.Shutdown(t.Context()) }()
	r.expect(server, one)
	r.expect(client, three)
	_ = client.Close()
	_ = server.Close()
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// An end in one direction is passed on while the other is held; what ends behind a
// held frame ends when that has passed.
func TestEndsWhileHeld(t *testing.T) {
	for _, d := range bothWays {
		g := &turnstile{on: true}
		r := newRig(t, func(c *Config) { c.Gate = g })
		client, server := r.open()
		from, to := ends(d, client, server)
		r.send(from, one)
		_ = from.CloseWrite()
		eventually(t, "it waits", func() bool { return len(g.seen(d)) == 1 })
		_ = to.CloseWrite()
		r.expectEnd(from, false)
		silentNow(t, to)
		g.step(d)
		r.expect(to, one)
		r.expectEnd(to, false)

		client, server = r.open()
		from, to = ends(d, client, server)
		r.send(from, one)
		eventually(t, "it waits", func() bool { return len(g.seen(d)) == 2 })
		_ = to.SetLinger(0)
		_ = to.Close() // an RST, which the other direction meets
		r.expectEnd(from, true)
	}
}

// Under load, too, what a killed session's peers get ends with a Close between two frames.
func TestKillUnderLoad(t *testing.T) {
	for range 3 {
		g := &turnstile{}
		r := newRig(t, func(c *Config) { c.Gate, c.Tap = g, nil })
		client, server := r.open()
		var moving sync.WaitGroup
		var ends [2][]byte
		var passed atomic.Int64
		for i, c := range []*net.TCPConn{client, server} {
			moving.Go(func() {
				frame := "\x82\x7e\x10\x00" + strings.Repeat("z", 4096) + three
				for {
					if _, err := io.WriteString(c, frame); err != nil {
						return
					}
				}
			})
			moving.Go(func() {
				b := make([]byte, 64<<10)
				var last []byte
				for {
					n, err := c.Read(b)
					passed.Add(int64(n))
					last = append(last, b[:n]...)
					last = last[max(0, len(last)-64):]
					if err != nil {
						_ = c.Close() // which ends the writing
						ends[i] = last
						return
					}
				}
			})
		}
		eventually(t, "much has passed", func() bool { return passed.Load() > 4<<20 })
		r.kill(g, Kill{Code: 1001})
		moving.Wait()
		if got := ends[0]; !bytes.HasSuffix(got, []byte("\x88\x02\x03\xe9")) {
			t.Errorf("the client got at last %q", got)
		}
		if got := ends[1]; len(got) < 10 || got[len(got)-8] != 0x88 || got[len(got)-7] != 0x82 || !bytes.HasSuffix(got[:len(got)-8], []byte("z")) && !bytes.HasSuffix(got[:len(got)-8], []byte("z"+three)) {
			t.Errorf("the server got at last %q", got)
		}
	}
}
