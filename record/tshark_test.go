package record

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/internal/wstest"
)

// excluded says what tshark 4.0 cannot read of the messages in a direction, and
// why; rest: nor of those behind. What is excluded here is held against
// compress/flate and coder/websocket below. Frames are compared in all sessions
// but those of the first entry.
var excluded = []struct {
	why  string
	rest bool
	is   func(*scenario, inspect.Dir, *saidMessage) bool
}{
	{"a frame in the upgrade's own segment is passed over, and the rest of the direction is read from the wrong place", true,
		func(s *scenario, _ inspect.Dir, _ *saidMessage) bool { return s.glued }},
	{"it joins the fragments of a broken sequence, of which RFC 6455 says nothing", true,
		func(s *scenario, _ inspect.Dir, _ *saidMessage) bool { return !s.clean }},
	{"it hands binary messages to other dissectors", false,
		func(_ *scenario, _ inspect.Dir, m *saidMessage) bool { return m.opcode == inspect.OpBinary }},
	{"it looks for RSV1 in the last fragment and does not inflate a compressed message in several", false,
		func(_ *scenario, _ inspect.Dir, m *saidMessage) bool { return m.compressed && m.fragments > 1 }},
	{"with context takeover every later message needs that one", true,
		func(s *scenario, d inspect.Dir, m *saidMessage) bool {
			return m.compressed && m.fragments > 1 && !s.noTake[d]
		}},
	{"it takes client_no_context_takeover for the server's and the other way round, and empties the wrong window", true,
		func(s *scenario, d inspect.Dir, m *saidMessage) bool {
			return m.compressed && !s.noTake[d] && s.noTake[d.Other()]
		}},
	{"it passes over an empty fragment, so a message that begins or ends with one is joined wrongly", true,
		func(_ *scenario, _ inspect.Dir, m *saidMessage) bool { return m.fragments > 1 && m.emptyEdge }},
	{"behind a fragment it mostly leaves out what else ends in the same segment, the message's own end included if it began in another", false,
		func(_ *scenario, _ inspect.Dir, m *saidMessage) bool { return m.behind }},
	{"and with context takeover every later message needs that too", true,
		func(s *scenario, d inspect.Dir, m *saidMessage) bool {
			return m.behind && m.compressed && !s.noTake[d]
		}},
}

// wireFrame is a frame as somebody read it.
type wireFrame struct {
	Fin, Masked bool
	Rsv, Opcode int
	Key         string
	Length      uint64
	Form        int
	Payload     string // unmasked, as it was on the wire
	Code        int    // of a Close frame
	Reason      string
}

func wireFrameOf(h inspect.Header, payload []byte) wireFrame {
	f := wireFrame{Fin: h.Fin(), Masked: h.Masked(), Opcode: int(h.Opcode()), Length: h.Length(), Form: h.Form(), Payload: hex.EncodeToString(payload)}
	for i, on := range []bool{h.Rsv3(), h.Rsv2(), h.Rsv1()} {
		if on {
			f.Rsv |= 1 << i
		}
	}
	if f.Masked {
		key := h.Key()
		f.Key = hex.EncodeToString(key[:])
	}
	if code, reason, ok := inspect.ParseClose(payload); h.Opcode() == inspect.OpClose && ok && len(payload) > 1 {
		f.Code, f.Reason = int(code), hex.EncodeToString(reason)
	}
	return f
}

// heading is one direction of one leg, by its addresses.
type heading struct{ from, to netip.AddrPort }

func (s *scenario) heading(l inspect.Leg, d inspect.Dir) heading {
	up, down := s.info.Client.Remote, s.info.Client.Local
	if l == inspect.ServerLeg {
		up, down = s.server.Local, s.server.Remote
	}
	h := heading{netip.MustParseAddrPort(up), netip.MustParseAddrPort(down)}
	if d == inspect.ToClient {
		h.from, h.to = h.to, h.from
	}
	return h
}

// reader collects what inspection says of one leg of everything recorded.
type reader struct {
	inspector inspect.Inspector
	leg       inspect.Leg
	streams   map[legDir][]byte
	frames    map[legDir][]inspect.Frame
	messages  map[legDir][]inspect.Message
}

func newReader(leg inspect.Leg) *reader {
	r := &reader{leg: leg, streams: map[legDir][]byte{}, frames: map[legDir][]inspect.Frame{}, messages: map[legDir][]inspect.Message{}}
	r.inspector.Emit = func(c *inspect.Conn, e inspect.Event) {
		switch e := e.(type) {
		case *inspect.Frame:
			k := legDir{c.Info().ID, leg, e.Dir}
			r.frames[k] = append(r.frames[k], *e)
		case *inspect.Message:
			k := legDir{c.Info().ID, leg, e.Dir}
			m := *e
			m.Data = bytes.Clone(e.Data)
			r.messages[k] = append(r.messages[k], m)
		}
	}
	return r
}

func (r *reader) Open(i inspect.ConnInfo) { r.inspector.Open(i) }
func (r *reader) Note(n inspect.Note)     { r.inspector.Note(n) }
func (r *reader) Chunk(c inspect.Chunk) {
	if c.Leg != r.leg {
		return
	}
	k := legDir{c.Conn, c.Leg, c.Dir}
	r.streams[k] = append(r.streams[k], c.Data...)
	c.Leg = inspect.ClientLeg // inspection reads frames there
	r.inspector.Chunk(c)
}

func (r *reader) End(e inspect.Ended) {
	if e.Leg == r.leg {
		e.Leg = inspect.ClientLeg
		r.inspector.End(e)
	}
}

// wire are the frames of a direction, with the payloads that their places in the
// stream name.
func (r *reader) wire(t *testing.T, k legDir) []wireFrame {
	t.Helper()
	var all []wireFrame
	for _, f := range r.frames[k] {
		from := f.Off + int64(f.Header.Len())
		if f.Missing != 0 {
			t.Fatalf("frame %d misses %d bytes", f.N, f.Missing)
		}
		payload := bytes.Clone(r.streams[k][from : from+int64(f.Header.Length())])
		if f.Header.Masked() {
			inspect.Mask(f.Header.Key(), 0, payload)
		}
		all = append(all, wireFrameOf(f.Header, payload))
	}
	return all
}

// recordSessions writes sessions to a file, mixed with each other.
func recordSessions(t *testing.T, seed uint64, sessions []*scenario) (path string, packets int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "sessions.pcapng")
	w := create(t, Options{Path: path, Version: "test"})
	r := rand.New(rand.NewPCG(seed, 5))
	for open := slices.Clone(sessions); len(open) > 0; {
		i := r.IntN(len(open))
		if !open[i].record(w) {
			open = slices.Delete(open, i, i+1)
		}
	}
	closed(t, w)
	return path, w.Status().Packets
}

func legs(s *scenario) []inspect.Leg {
	if s.server != nil {
		return []inspect.Leg{inspect.ClientLeg, inspect.ServerLeg}
	}
	return []inspect.Leg{inspect.ClientLeg}
}

// TestDifferential: for random sessions, what is read back from the file with
// our own code is what was said, and what tshark reads from the same file.
func TestDifferential(t *testing.T) {
	shark := tool(t, "tshark")
	capinfos := tool(t, "capinfos")
	var frames, texts int
	for round := range uint64(wstest.Count("differential rounds")) {
		var sessions []*scenario
		for i := range uint64(12) {
			sessions = append(sessions, newScenario(round*100+i, i%3 > 0))
		}
		path, packets := recordSessions(t, round, sessions)
		read := [2]*reader{newReader(inspect.ClientLeg), newReader(inspect.ServerLeg)}
		for _, r := range read {
			if err := Follow(context.Background(), path, nil, r); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range sessions {
			for _, l := range legs(s) {
				compareSaid(t, s, read[l], l)
			}
		}
		if shark == "" {
			continue
		}
		theirs := readShark(t, shark, path)
		for _, s := range sessions {
			for _, l := range legs(s) {
				f, n := compareShark(t, s, read[l], theirs, l)
				frames, texts = frames+f, texts+n
			}
		}
		if out := run(t, shark, "-r", path, "-Y", "tcp.analysis.flags"); out != "" {
			t.Errorf("tcp.analysis.flags:\n%s", out)
		}
		if out := run(t, capinfos, "-c", "-M", path); !strings.Contains(out, fmt.Sprint("packets:   ", packets)) {
			t.Errorf("%d packets; capinfos says %s", packets, out)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	if t.Logf("tshark: %d frames and %d texts compared", frames, texts); shark != "" && (frames < 500 || texts < 50) {
		t.Error("too much is excluded")
	}
}

// compareSaid: ours against what was said.
func compareSaid(t *testing.T, s *scenario, r *reader, l inspect.Leg) {
	t.Helper()
	for d := range inspect.Dir(2) {
		k := legDir{s.info.ID, l, d}
		var want []wireFrame
		for _, f := range s.frames[d] {
			want = append(want, wireFrameOf(f.header, f.payload))
		}
		compareFrames(t, fmt.Sprintf("session %d %s %s", s.seed, l, d), r.wire(t, k), want)
		if !s.clean {
			continue // of its messages nobody says the same
		}
		got := r.messages[k]
		if len(got) != len(s.said[d]) {
			t.Errorf("session %d %s %s: %d messages, said %d", s.seed, l, d, len(got), len(s.said[d]))
			continue
		}
		for i, m := range s.said[d] {
			if g := got[i]; g.Opcode != m.opcode || !bytes.Equal(g.Data, m.data) || g.Compressed != m.compressed || g.Cut || g.Undecodable {
				t.Errorf("session %d %s %s, message %d: %s of %d bytes, said %s of %d", s.seed, l, d, i, g.Opcode, len(g.Data), m.opcode, len(m.data))
			}
		}
	}
}

func compareFrames(t *testing.T, what string, got, want []wireFrame) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("%s: %d frames, want %d; frame %d is %s", what, len(got), len(want), i, at(got, i)+", want "+at(want, i))
			return
		}
	}
}

func at(all []wireFrame, i int) string {
	if i >= len(all) {
		return "none"
	}
	return fmt.Sprintf("%.300s", fmt.Sprintf("%+v", all[i]))
}

// compareShark: ours against tshark's, but for what is excluded. It answers how
// many frames and texts were compared.
func compareShark(t *testing.T, s *scenario, r *reader, theirs map[heading]*sharkWay, l inspect.Leg) (frames, texts int) {
	t.Helper()
	if s.glued { // excluded
		return 0, 0
	}
	for d := range inspect.Dir(2) {
		way := theirs[s.heading(l, d)]
		if way == nil {
			t.Errorf("session %d %s %s: tshark sees no WebSocket", s.seed, l, d)
			continue
		}
		compareFrames(t, fmt.Sprintf("session %d %s %s, tshark", s.seed, l, d), r.wire(t, legDir{s.info.ID, l, d}), way.frames)
		frames += len(way.frames)
		texts += compareTexts(t, s, d, way)
	}
	return frames, texts
}

// compareTexts: the text messages that tshark puts together and inflates. It
// answers how many could be compared.
func compareTexts(t *testing.T, s *scenario, d inspect.Dir, way *sharkWay) (n int) {
	t.Helper()
	behind := way.behind(s.frames[d])
	last := -1 // number of the frame that ends a message
	for i := range s.said[d] {
		m := &s.said[d][i]
		for last++; last < len(s.frames[d]) && !endsData(s.frames[d][last], m); last++ {
		}
		if last >= len(way.packets) {
			return n // the frames have been compared, and this was told
		}
		m.behind = behind[last]
		out := m.opcode.Control()
		for _, e := range excluded {
			if e.is(s, d, m) {
				if out = true; e.rest {
					return n
				}
			}
		}
		if out || len(m.data) == 0 {
			continue
		}
		n++
		if got := way.texts[last]; got != hex.EncodeToString(m.data) {
			t.Errorf("session %d %s: the message that frame %d ends is %.200s for tshark, said %.100q", s.seed, d, last, got, m.data)
			return n
		}
	}
	return n
}

// behind are the frames that end in a packet with a fragment in front of them: of
// another message, or of their own if it began in another packet.
func (w *sharkWay) behind(frames []saidFrame) map[int]bool {
	all := map[int]bool{}
	fragments := map[int]bool{} // packets
	own, begun := map[int]bool{}, -1
	for i := range min(len(frames), len(w.packets)) {
		p, h := w.packets[i], frames[i].header
		all[i] = fragments[p] || own[p] && begun != p
		if h.Opcode().Control() || h.Fin() && h.Opcode() != inspect.OpContinuation {
			continue
		}
		if begun < 0 {
			begun = p
		}
		if own[p] = true; h.Fin() {
			maps.Copy(fragments, own)
			own, begun = map[int]bool{}, -1
		}
	}
	return all
}

// endsData says that a frame ends the message: messages are said in the order in
// which they end.
func endsData(f saidFrame, m *saidMessage) bool {
	return f.header.Fin() && f.header.Opcode().Control() == m.opcode.Control()
}

// sharkWay is what tshark reads of one direction.
type sharkWay struct {
	frames  []wireFrame
	packets []int          // that each frame ends in
	texts   map[int]string // by the frame that ends the message
}

// readShark runs tshark over a file.
func readShark(t *testing.T, shark, path string) map[heading]*sharkWay {
	t.Helper()
	out := run(t, shark, "-r", path, "-T", "json", "-x", "--no-duplicate-keys", "-J", "ip ipv6 tcp websocket", "-Y", "websocket")
	var packets []struct {
		Source struct {
			Layers struct {
				IP struct {
					From netip.Addr `json:"ip.src"`
					To   netip.Addr `json:"ip.dst"`
				} `json:"ip"`
				IPv6 struct {
					From netip.Addr `json:"ipv6.src"`
					To   netip.Addr `json:"ipv6.dst"`
				} `json:"ipv6"`
				TCP struct {
					From string `json:"tcp.srcport"`
					To   string `json:"tcp.dstport"`
				} `json:"tcp"`
				WebSocket json.RawMessage `json:"websocket"`
			} `json:"layers"`
		} `json:"_source"`
	}
	if err := json.Unmarshal([]byte(out), &packets); err != nil {
		t.Fatal(err)
	}
	all := map[heading]*sharkWay{}
	for n, p := range packets {
		l := p.Source.Layers
		from, to := l.IP.From, l.IP.To
		if l.IPv6.From.IsValid() {
			from, to = l.IPv6.From, l.IPv6.To
		}
		h := heading{netip.AddrPortFrom(from, uint16(number(t, l.TCP.From))), netip.AddrPortFrom(to, uint16(number(t, l.TCP.To)))}
		way := all[h]
		if way == nil {
			way = &sharkWay{texts: map[int]string{}}
			all[h] = way
		}
		var frames []map[string]json.RawMessage
		if json.Unmarshal(l.WebSocket, &frames) != nil { // one frame stands without an array
			frames = make([]map[string]json.RawMessage, 1)
			if err := json.Unmarshal(l.WebSocket, &frames[0]); err != nil {
				t.Fatalf("%v in %s", err, l.WebSocket)
			}
		}
		for _, f := range frames {
			way.frame(t, f)
			way.packets = append(way.packets, n)
		}
	}
	return all
}

// frame reads the fields of one frame.
func (w *sharkWay) frame(t *testing.T, f map[string]json.RawMessage) {
	t.Helper()
	field := func(name string) (s string) { _ = json.Unmarshal(f["websocket."+name], &s); return s } // absent: empty
	raw := func(from map[string]json.RawMessage, name string) string {
		var parts []any
		if json.Unmarshal(from["websocket."+name+"_raw"], &parts) != nil || len(parts) == 0 {
			return ""
		}
		return fmt.Sprint(parts[0])
	}
	wf := wireFrame{Fin: field("fin") == "1", Masked: field("mask") == "1", Rsv: int(number(t, field("rsv"))), Opcode: int(number(t, field("opcode"))),
		Key: raw(f, "masking_key"), Length: number(t, field("payload_length")), Form: 7, Payload: raw(f, "payload")}
	switch wf.Length {
	case 126:
		wf.Length, wf.Form = number(t, field("payload_length_ext_16")), 16
	case 127:
		wf.Length, wf.Form = number(t, field("payload_length_ext_64")), 64
	}
	var payload, closing map[string]json.RawMessage
	if json.Unmarshal(f["websocket.payload"], &payload) == nil { // else it is a text: nothing stands below
		if json.Unmarshal(payload["websocket.payload.close"], &closing) == nil {
			var code string
			_ = json.Unmarshal(closing["websocket.payload.close.status_code"], &code) // absent: a body of one byte
			if code != "" {
				wf.Code, wf.Reason = int(number(t, code)), raw(closing, "payload.close.reason")
			}
		}
		if text := raw(payload, "payload.text"); text != "" {
			w.texts[len(w.frames)] = text
		}
	}
	w.frames = append(w.frames, wf)
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tool is a program's path. Where CI=true it must be there; elsewhere what needs
// it is left out.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed (.ci/tools installs it)", name)
	}
	if err != nil {
		t.Logf("%s is not installed: what it reads is left out", name)
		return ""
	}
	return path
}

// run runs a program without the user's own settings and answers what it prints.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.String())
	}
	return string(out)
}

// TestAgainstFlate: each direction's compressed payloads, joined as RFC 7692
// section 7.2.2 says, inflate to the messages that inspection reads.
func TestAgainstFlate(t *testing.T) {
	for seed := range uint64(wstest.Count("differential against flate")) {
		s := newScenario(5000+seed, true)
		if !s.deflate {
			continue
		}
		path, _ := recordSessions(t, seed, []*scenario{s})
		r := newReader(inspect.ClientLeg)
		if err := Follow(context.Background(), path, nil, r); err != nil {
			t.Fatal(err)
		}
		for d := range inspect.Dir(2) {
			k := legDir{s.info.ID, 0, d}
			frames := r.wire(t, k)
			var wire, joined bytes.Buffer
			var want []byte
			inflate := func() {
				out, err := io.ReadAll(flate.NewReader(&joined))
				if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(out, want) {
					t.Fatalf("session %d %s: %d bytes, inspection has %d (%v)", s.seed, d, len(out), len(want), err)
				}
				want = nil
				joined.Reset()
			}
			n := 0
			for _, m := range r.messages[k] {
				if m.Opcode.Control() {
					continue
				}
				wire.Reset()
				for done := false; !done; n++ {
					if f := frames[n]; f.Opcode < 8 {
						b, _ := hex.DecodeString(f.Payload) // it was encoded above
						wire.Write(b)
						done = f.Fin
					}
				}
				if !m.Compressed {
					continue
				}
				joined.Write(wire.Bytes())
				joined.WriteString("\x00\x00\xff\xff")
				if want = append(want, m.Data...); s.noTake[d] {
					inflate()
				}
			}
			inflate()
		}
	}
}

// TestAgainstCoder: coder/websocket reads the recorded bytes of both directions,
// fragments, compression and frames behind the heads included, as inspection does.
func TestAgainstCoder(t *testing.T) {
	for seed := range uint64(wstest.Count("differential against coder")) {
		s := newScenario(9000+seed, true)
		path, _ := recordSessions(t, seed, []*scenario{s})
		r := newReader(inspect.ClientLeg)
		if err := Follow(context.Background(), path, nil, r); err != nil {
			t.Fatal(err)
		}
		for d := range inspect.Dir(2) {
			k := legDir{s.info.ID, 0, d}
			stream := r.streams[k]
			frames := stream[r.frames[k][0].Off:]
			var got []string
			if d == inspect.ToClient {
				got = coderClient(t, s, frames)
			} else {
				got = coderServer(t, s, frames)
			}
			var want []string
			for _, m := range r.messages[k] {
				if !m.Opcode.Control() {
					want = append(want, m.Opcode.String()+" "+string(m.Data))
				}
			}
			if want = append(want, "close 1000 bye"); !slices.Equal(got, want) {
				t.Fatalf("session %d %s: coder/websocket reads %d messages, inspection %d: %.300q, want %.300q", s.seed, d, len(got), len(want), got, want)
			}
		}
	}
}

// coderClient has a coder/websocket client read a server's recorded frames.
func coderClient(t *testing.T, s *scenario, frames []byte) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // a closed socket tells with the read
			var scan inspect.HeadScanner
			buf := make([]byte, 4096)
			var head *inspect.Head
			for head == nil {
				n, err := c.Read(buf)
				if err != nil {
					return err
				}
				if raw, _, _ := scan.Next(buf[:n]); raw != nil {
					if head, err = inspect.ParseRequest(raw); err != nil {
						return err
					}
				}
			}
			answer := strings.Replace(s.answer(), inspect.AcceptKey(nonce), inspect.AcceptKey(head.Get("Sec-WebSocket-Key")), 1)
			if _, err := c.Write(append([]byte(answer), frames...)); err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, c) // pongs and the Close, until the client hangs up
			return nil
		}()
	}()
	mode := websocket.CompressionDisabled
	if s.deflate {
		mode = websocket.CompressionContextTakeover // and what the answer takes back of it
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+l.Addr().String(), &websocket.DialOptions{CompressionMode: mode})
	if err != nil {
		t.Fatalf("session %d: %v", s.seed, err)
	}
	got := readAll(ctx, c)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return got
}

// coderServer has a coder/websocket server read a client's recorded frames.
func coderServer(t *testing.T, s *scenario, frames []byte) []string {
	t.Helper()
	got := make(chan []string, 1)
	mode := websocket.CompressionDisabled
	if s.deflate {
		mode = websocket.CompressionContextTakeover
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: mode})
		if err != nil {
			got <- []string{err.Error()}
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		got <- readAll(ctx, c)
	}))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, c); close(drained) }() // the answer, pongs, the Close
	// Behind the head at once, as a client may once it has the answer: the
	// server reads them behind its own.
	if _, err := c.Write([]byte(s.request())); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(frames); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	all := <-got
	<-drained
	return all
}

// readAll reads messages until the Close.
func readAll(ctx context.Context, c *websocket.Conn) []string {
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	var all []string
	for {
		kind, data, err := c.Read(ctx)
		var closing websocket.CloseError
		if errors.As(err, &closing) {
			return append(all, fmt.Sprintf("close %d %s", closing.Code, closing.Reason))
		}
		if err != nil {
			return append(all, err.Error())
		}
		word := "text"
		if kind == websocket.MessageBinary {
			word = "binary"
		}
		all = append(all, word+" "+string(data))
	}
}
