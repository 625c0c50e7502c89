package replay

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// TB is what a fixture asks of a test: *testing.T, *testing.B and *testing.F have
// it.
type TB interface {
	Helper()
	Name() string
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
	ArtifactDir() string
}

// settings are what options set.
type settings struct {
	options     Options
	drive       DriveOptions
	record      RecorderOptions
	upstream    string
	allowUnused bool
	subset      bool
	memory      *Memory
	mode        VCR
}

// Option changes how Server, Record and Client work.
type Option func(*settings)

// WithSpeed keeps the pauses that were recorded, divided by n; without it there are
// none.
func WithSpeed(n float64) Option {
	return func(s *settings) { s.options.Speed, s.drive.Speed = n, n }
}

// WithOnMiss says what becomes of a session that is not as recorded; that the test
// fails it does not change, unless it is CloseOnMiss.
func WithOnMiss(m OnMiss) Option {
	return func(s *settings) { s.options.OnMiss, s.drive.OnMiss = m, m }
}

// WithValues says what variables stand for, as JSON: {"id": `"a1"`, "n": "7"}.
func WithValues(values map[string]string) Option {
	all := map[string][]byte{}
	for name, js := range values {
		all[name] = []byte(js)
	}
	return func(s *settings) { s.options.Values, s.drive.Values = all, all }
}

// WithNow is the clock of ${now} in what is sent.
func WithNow(now func() time.Time) Option {
	return func(s *settings) { s.options.Now, s.drive.Now = now, now }
}

// WithUpstream names the real server, which is recorded where the mode asks for
// it: if the test's own flag -update is set, WSPROXY_VCR is all, or it is once and
// there is no cassette.
func WithUpstream(url string) Option { return func(s *settings) { s.upstream = url } }

// WithMode sets the mode in place of WSPROXY_VCR.
func WithMode(m VCR) Option { return func(s *settings) { s.mode = m } }

// WithHeader adds a header to what Client asks, and to what goes upstream.
func WithHeader(name, value string) Option {
	f := inspect.HeaderField{Name: name, Value: value}
	return func(s *settings) {
		s.drive.Header = append(s.drive.Header, f)
		s.record.Header = append(s.record.Header, f)
	}
}

// WithMemory listens on no network; see [Memory].
func WithMemory(m *Memory) Option { return func(s *settings) { s.memory = m } }

// WithDial is how Client connects.
func WithDial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(s *settings) { s.drive.Dial = dial }
}

// WithWait is how long a server may be silent when Client expects it to speak; 0:
// 10 s.
func WithWait(d time.Duration) Option { return func(s *settings) { s.drive.Wait = d } }

// WithSubset lets JSON objects that clients send have more members than were
// recorded.
func WithSubset() Option { return func(s *settings) { s.subset = true } }

// WithExact has Client compare the server's times, uuids and the like as they were.
func WithExact() Option { return func(s *settings) { s.drive.Exact = true } }

// AllowUnused lets the test leave recorded sessions out.
func AllowUnused() Option { return func(s *settings) { s.allowUnused = true } }

// KeepSecrets keeps credentials in what is recorded.
func KeepSecrets() Option { return func(s *settings) { s.record.NoRedact = true } }

// KeepValues leaves every value in what is recorded as it was; without it those
// that will be others next time become variables.
func KeepValues() Option { return func(s *settings) { s.record.Literal = true } }

func settled(options []Option) *settings {
	s := &settings{mode: VCR(os.Getenv("WSPROXY_VCR"))}
	for _, o := range options {
		o(s)
	}
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		s.mode = RecordAll
	}
	limits := inspect.Limits{Message: 64 << 20, Inflated: 64 << 20}
	s.options.Limits, s.drive.Limits, s.record.Limits = limits, limits, limits
	return s
}

// Fixture is a server that a test uses: one that was recorded, or the real one
// while it is being recorded.
type Fixture struct {
	URL  string // ws://127.0.0.1:port
	HTTP string // the same with http

	t        TB
	path     string
	s        *settings
	old      *cassette.Cassette
	replayer *Replayer
	recorder *Recorder
	served   chan error
	dir      string // what the test did is recorded here
	actual   *record.Writer
}

// Server serves the cassette or recording at path until the test ends. The test
// fails if anything that clients do is not what was recorded, if something that was
// recorded is not done, or if a session is not asked for. What was done instead is
// then in t.ArtifactDir(), as a recording, as a cassette and as a difference.
func Server(t TB, path string, options ...Option) *Fixture {
	t.Helper()
	s := settled(options)
	_, err := os.Stat(path)
	if s.upstream != "" && (s.mode == RecordAll || errors.Is(err, os.ErrNotExist) && (s.mode == RecordOnce || s.mode == RecordNew)) {
		return recordFixture(t, path, s)
	}
	f := &Fixture{t: t, path: path, s: s}
	if f.old, err = Load(context.Background(), path, s.options.Limits); err != nil {
		t.Fatalf("replay: %s: %v%s", path, err, howToRecord(err))
	}
	if s.subset {
		subset(f.old)
	}
	if s.upstream != "" && s.mode == RecordNew {
		if err := f.record(); err != nil {
			t.Fatalf("replay: %v", err)
		}
	}
	if err := f.serve(); err != nil {
		t.Fatalf("replay: %v", errors.Join(err, f.abandon()))
	}
	t.Cleanup(f.check)
	return f
}

// record begins to record what is passed on upstream.
func (f *Fixture) record() error {
	u, err := url.Parse(f.s.upstream)
	if err != nil || u.Host == "" {
		return fmt.Errorf("the upstream %q is no URL of a server", f.s.upstream)
	}
	f.s.record.Record, f.s.record.Reserved = true, f.old.Values
	if f.recorder, err = NewRecorder(u, f.s.record); err == nil {
		f.s.options.Fallback = f.recorder.Addr()
	}
	return err
}

// subset lets the JSON that is expected have more members than were recorded.
func subset(c *cassette.Cassette) {
	for i := range c.Lines {
		if l := &c.Lines[i]; l.From == inspect.ToServer && l.Kind == cassette.JSON && l.Match == cassette.ByKind {
			l.Match = cassette.Subset
		}
	}
}

func howToRecord(err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return "\nto record it: replay.WithUpstream(the server's URL), and WSPROXY_VCR=once"
	}
	return ""
}

// Record stands in front of the real server until the test ends, and then writes
// what passed to path as a cassette, unless the test has failed.
func Record(t TB, upstream, path string, options ...Option) *Fixture {
	t.Helper()
	s := settled(options)
	s.upstream = upstream
	return recordFixture(t, path, s)
}

func recordFixture(t TB, path string, s *settings) *Fixture {
	t.Helper()
	f := &Fixture{t: t, path: path, s: s, old: &cassette.Cassette{}}
	if err := f.record(); err != nil {
		t.Fatalf("replay: %v", err)
	}
	if err := f.serve(); err != nil {
		t.Fatalf("replay: %v", errors.Join(err, f.abandon()))
	}
	t.Cleanup(f.keep)
	return f
}

// serve starts serving.
func (f *Fixture) serve() error {
	l, err := f.listen()
	if err != nil {
		return err
	}
	if f.s.memory == nil {
		if f.dir, err = os.MkdirTemp("", "wsproxy-replay-*"); err == nil {
			f.actual, err = record.Create(record.Options{Path: filepath.Join(f.dir, "actual.pcapng")})
		}
		if err != nil {
			return errors.Join(err, l.Close(), os.RemoveAll(f.dir))
		}
		f.s.options.Tap = f.actual
	}
	f.replayer = New(f.old, f.s.options)
	f.served = make(chan error, 1)
	go func() { f.served <- f.replayer.Serve(l) }()
	return nil
}

// abandon ends the recorder of a fixture that cannot serve.
func (f *Fixture) abandon() error {
	if f.recorder == nil {
		return nil
	}
	_, _, err := f.recorder.Close()
	return err
}

func (f *Fixture) listen() (net.Listener, error) {
	if f.s.memory != nil {
		f.URL, f.HTTP = "ws://localhost", "http://localhost"
		return f.s.memory, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.URL, f.HTTP = "ws://"+l.Addr().String(), "http://"+l.Addr().String()
	return l, nil
}

// settleTime is how long what a client has just sent may be under way when the
// test ends.
const settleTime = 2 * time.Second

// stop ends serving, once all that is expected has come, or not in time.
func (f *Fixture) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	f.replayer.settle(ctx)
	err := errors.Join(f.replayer.Close(), <-f.served)
	if f.actual != nil {
		err = errors.Join(err, f.actual.Close())
	}
	return err
}

// check ends the server of a test and says what was not as recorded.
func (f *Fixture) check() {
	f.t.Helper()
	var added *cassette.Cassette
	var err error
	if f.recorder != nil {
		added, _, err = f.recorder.Close()
	}
	err = errors.Join(err, f.stop())
	if f.dir != "" {
		defer os.RemoveAll(f.dir) // a leftover in the system's folder harms nobody
	}
	if added != nil && len(added.Sessions()) > 0 && !f.t.Failed() {
		all := *f.old
		all.Lines = slices.Clone(all.Lines)
		all.Values = maps.Clone(all.Values)
		all.Append(added)
		err = errors.Join(err, Save(&all, f.path))
	}
	if err != nil {
		f.t.Errorf("replay: %v", err)
	}
	var bad []string
	for _, r := range f.replayer.Results() {
		switch {
		case r.Mismatch != nil && f.s.options.OnMiss != CloseOnMiss:
			bad = append(bad, r.Report())
		case r.Interrupted && r.Matched < r.Expected:
			bad = append(bad, fmt.Sprintf("%s: the test ended, and %d of %d client messages had not come", r.Name(), r.Expected-r.Matched, r.Expected))
		}
	}
	if !f.s.allowUnused {
		for _, s := range f.replayer.Unused() {
			bad = append(bad, fmt.Sprintf("session %d (%s): nobody asked for it (replay.AllowUnused lets it be)", s.N, visible(s.Upgrade.Path)))
		}
	}
	if len(bad) > 0 {
		f.t.Errorf("replay of %s: not as recorded\n%s%s", f.path, strings.Join(bad, "\n"), f.artifacts(filepath.Join(f.dir, "actual.pcapng")))
	}
}

// artifacts keeps what was done instead, and says where.
func (f *Fixture) artifacts(recording string) string {
	if f.actual == nil {
		return ""
	}
	return keepArtifacts(f.t, f.path, f.old, recording)
}

func keepArtifacts(t TB, path string, old *cassette.Cassette, recording string) string {
	dir := t.ArtifactDir()
	to := filepath.Join(dir, "actual.pcapng")
	_, err := record.Save(context.Background(), recording, to, record.SaveOptions{Force: true})
	if err != nil {
		return fmt.Sprintf("\n(what was done is lost: %v)", err)
	}
	c, err := LoadRedacted(context.Background(), to, inspect.Limits{Message: 64 << 20, Inflated: 64 << 20})
	if err == nil {
		differences := cassette.Diff(old, c, cassette.DiffOptions{})
		c.Tidy()
		c.Make(cassette.Making{Variables: true, Secret: record.Secret})
		err = errors.Join(Save(c, filepath.Join(dir, "actual.ndjson")), os.WriteFile(filepath.Join(dir, "difference.txt"), []byte(differenceList(differences)), 0o644))
	}
	if err != nil {
		return fmt.Sprintf("\n(what was done is in %s; %v)", to, err)
	}
	return fmt.Sprintf("\nwhat was done is in %s (go test -artifacts keeps it):\n  wsproxy diff %s %s", dir, path, to)
}

func differenceList(all []cassette.Difference) string {
	var b strings.Builder
	for _, d := range all {
		fmt.Fprintf(&b, "session %d (%s): %s %s: expected %q, got %q %s\n", d.Session, visible(d.Path), d.From.Sender(), d.Kind, d.Want, d.Got, strings.Join(d.Details, "; "))
	}
	return b.String()
}

// keep ends recording and writes the cassette.
func (f *Fixture) keep() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	c, changes, err := f.recorder.Close() // lets sessions come to their end
	err = errors.Join(err, f.replayer.Shutdown(ctx), <-f.served)
	if f.actual != nil {
		err = errors.Join(err, f.actual.Close(), os.RemoveAll(f.dir))
	}
	switch {
	case err != nil:
		f.t.Errorf("replay: what passed cannot be made into %s: %v", f.path, err)
	case f.t.Failed():
		f.t.Logf("replay: %s is as it was: the test has failed", f.path)
	case len(c.Sessions()) == 0:
		f.t.Errorf("replay: no session was recorded for %s", f.path)
	default:
		if err := errors.Join(os.MkdirAll(filepath.Dir(f.path), 0o755), Save(c, f.path)); err != nil {
			f.t.Errorf("replay: %v", err)
			return
		}
		for _, x := range changes {
			f.t.Logf("replay: %s: %s", f.path, x)
		}
	}
}

// Client plays the clients of the cassette or recording at path against the server
// at a URL, and fails the test if that one does not do what was recorded. It
// returns when all sessions are over.
func Client(t TB, path, server string, options ...Option) []Result {
	t.Helper()
	s := settled(options)
	c, err := Load(context.Background(), path, s.drive.Limits)
	if err != nil {
		t.Fatalf("replay: %s: %v", path, err)
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		t.Fatalf("replay: %q is no URL of a server", server)
	}
	dir, err := os.MkdirTemp("", "wsproxy-replay-*")
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	defer os.RemoveAll(dir) // a leftover in the system's folder harms nobody
	recording := filepath.Join(dir, "actual.pcapng")
	w, err := record.Create(record.Options{Path: recording})
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	s.drive.Tap = w
	results, err := Drive(context.Background(), c, u, s.drive)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Errorf("replay: %v", err)
	}
	var bad []string
	for _, r := range results {
		if r.Mismatch != nil {
			bad = append(bad, r.Report())
		}
	}
	if len(bad) > 0 {
		t.Errorf("%s is not the server of %s\n%s%s", server, path, strings.Join(bad, "\n"), keepArtifacts(t, path, c, recording))
	}
	return results
}

// settle waits until every open session has all that is expected, or ctx ends.
func (s *Replayer) settle(ctx context.Context) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !s.settled() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// settled says that nothing is under way.
func (s *Replayer) settled() bool {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		p, busy := c.player, c.busy
		c.mu.Unlock()
		if p == nil && busy || p != nil && !p.finished() {
			return false
		}
	}
	return true
}

// finished says that a session has nothing left that it must wait for.
func (p *player) finished() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended && p.failed == nil || p.failed == nil && p.await.over() && p.sent >= p.sends
}
