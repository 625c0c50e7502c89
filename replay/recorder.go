package replay

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/record"
)

// RecorderOptions are how a Recorder records.
type RecorderOptions struct {
	Record bool // what passes; false: it only passes
	Header []inspect.HeaderField
	// AllowHost are the hosts, beside loopback's, that requests may be for.
	AllowHost proxy.Hosts
	Insecure  bool // the upstream's certificate is not verified
	NoRedact  bool // credentials are kept
	Literal   bool // values stay as they were, none becomes a variable
	Reserved  map[string][]byte
	Limits    inspect.Limits
}

// Recorder stands in front of a real server, on a port of this machine alone, and
// makes a cassette of what passes. Its goroutines are those of a proxy; Close
// waits for them.
type Recorder struct {
	options  RecorderOptions
	listener net.Listener
	proxy    *proxy.Server
	served   chan error
	dir      string
	writer   *record.Writer // nil: nothing is recorded
}

// recorderGrace is how long sessions may go on when a Recorder is closed.
const recorderGrace = 2 * time.Second

// NewRecorder begins to accept connections for a server.
func NewRecorder(upstream *url.URL, o RecorderOptions) (r *Recorder, err error) {
	r = &Recorder{options: o, served: make(chan error, 1)}
	config := proxy.Config{Target: upstream, Header: o.Header, Insecure: o.Insecure, Grace: recorderGrace, AllowHost: o.AllowHost}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.discard())
		}
	}()
	if o.Record {
		if r.dir, err = os.MkdirTemp("", "wsproxy-cassette-*"); err != nil {
			return nil, err
		}
		if r.writer, err = record.Create(record.Options{Path: r.Path()}); err != nil {
			return nil, err
		}
		config.Tap = r.writer
	}
	if r.proxy, err = proxy.New(config); err != nil {
		return nil, err
	}
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go func() { r.served <- r.proxy.Serve(r.listener) }()
	return r, nil
}

// Addr is where it listens.
func (r *Recorder) Addr() string { return r.listener.Addr().String() }

// Path is the recording that it writes.
func (r *Recorder) Path() string { return filepath.Join(r.dir, "recorded.pcapng") }

// discard closes and removes what is recorded.
func (r *Recorder) discard() error {
	var err error
	if r.writer != nil {
		err = r.writer.Close()
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}

// Close ends recording and answers what was recorded, made ready for the next run,
// and what was changed for that; nil where nothing is recorded.
func (r *Recorder) Close() (c *cassette.Cassette, changes []cassette.Change, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*recorderGrace)
	defer cancel()
	err = errors.Join(r.proxy.Shutdown(ctx), <-r.served)
	if r.writer == nil {
		return nil, nil, err
	}
	err = errors.Join(err, r.writer.Close())
	if why := r.writer.Status().Stopped; why != "" && err == nil {
		err = errors.New("recording stopped: " + why) // half a session is no cassette
	}
	r.writer = nil
	defer func() { err = errors.Join(err, r.discard()) }()
	if err != nil {
		return nil, nil, err
	}
	load := LoadRedacted
	m := cassette.Making{Variables: !r.options.Literal, Secret: record.Secret, Reserved: r.options.Reserved}
	if r.options.NoRedact {
		load, m.Secret = Load, nil
	}
	if c, err = load(context.Background(), r.Path(), r.options.Limits); err != nil {
		return nil, nil, err
	}
	c.Tidy()
	if m.Variables {
		changes = c.React()
	}
	return c, append(changes, c.Make(m)...), nil
}

// VCR says what is replayed and what is recorded, as the VCR libraries have it.
type VCR string

// The modes.
const (
	ReplayOnly VCR = "none" // nothing is recorded
	RecordOnce VCR = "once" // recorded if there is no cassette yet, replayed if there is
	RecordNew  VCR = "new"  // replayed, and what is not in the cassette is recorded
	RecordAll  VCR = "all"  // recorded afresh
)

// VCRs are all modes.
func VCRs() []VCR { return []VCR{ReplayOnly, RecordOnce, RecordNew, RecordAll} }
