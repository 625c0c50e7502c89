package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// job is what a client process is to do.
type job struct {
	Kind    string // a key of kinds
	Addr    string
	CA      string // file with the certificate to trust; empty: no TLS
	Conns   int
	Size    int
	Flight  int // messages under way on a connection
	Deflate bool
	Flow    bool          // what comes back is cut into frames as anyone likes
	Warm    time.Duration // before the measured window
	For     time.Duration // the window
	Rate    float64       // messages a second on each connection; 0: as they come back
}

// result is what it measured.
type result struct {
	Messages  int64 // in the window, all intact
	Bytes     int64 // of their payload, one way
	Seconds   float64
	Latency   quantiles
	Lost      int64
	Corrupted int64
	Sessions  int    // that were open at once
	Err       string `json:",omitempty"`
}

// drainTime is how long answers may take after the window.
const drainTime = 5 * time.Second

// kinds of jobs. Each returns when all its goroutines have.
var kinds = map[string]func(*job, func(phase string)) (*result, error){
	"echo": (*job).echo, "push": (*job).push, "idle": (*job).idle, "churn": (*job).churn, "stall": (*job).stall,
}

// run does the job. tell is called when the window begins ("begin") and ends
// ("end"); the result is never nil.
func (j *job) run(tell func(phase string)) (*result, error) {
	f := kinds[j.Kind]
	if f == nil {
		return &result{}, fmt.Errorf("there is no kind of load %q", j.Kind)
	}
	if err := checkLoopback(j.Addr); err != nil {
		return &result{}, err
	}
	res, err := f(j, tell)
	if res == nil {
		res = &result{}
	}
	return res, err
}

// dial connects, with TLS where the job has it.
func (j *job) dial() (net.Conn, error) {
	c, err := dialLoopback(j.Addr)
	if err != nil || j.CA == "" {
		return c, err
	}
	pem, err := os.ReadFile(j.CA)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "localhost"}), nil
}

// stream is one session of the load.
type stream struct {
	net.Conn
	check checker
	buf   []byte
	first []byte // bytes that came with the answer to the upgrade
	lat   latency
}

// open connects and upgrades.
func (j *job) open(path string, want content) (*stream, error) {
	c, err := j.dial()
	if err != nil {
		return nil, err
	}
	agreed, rest, err := upgrade(c, j.Addr, path, j.Deflate)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if t, ok := want.(*texts); ok && !agreed { // someone took the compression out
		if want, err = newTexts(len(t.plain[0]), false); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	check := checker{want: want}
	if j.Flow {
		check.size = j.Size
	}
	return &stream{Conn: c, check: check, buf: make([]byte, firstBuffer), first: rest}, nil
}

// read reads what there is and feeds it to the checker.
func (s *stream) read(done func(seq uint64)) error {
	if len(s.first) > 0 {
		s.check.feed(s.first, done)
		s.first = nil
		return nil
	}
	n, err := s.Conn.Read(s.buf)
	s.check.feed(s.buf[:n], done)
	if n == len(s.buf) && n < mostBuffer {
		s.buf = make([]byte, 4*n)
	}
	return err
}

// openAll opens the job's sessions.
func (j *job) openAll(path string, want func() content) ([]*stream, error) {
	var all []*stream
	for range j.Conns {
		s, err := j.open(path, want())
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("session %d: %w", len(all)+1, err)
		}
		s.lat = newLatency()
		all = append(all, s)
	}
	return all, nil
}

func closeAll(all []*stream) {
	for _, s := range all {
		_ = s.Close() // all that is to be known of it is
	}
}

// window is the measured time.
type window struct{ begin, end time.Time }

func (w window) holds(t time.Time) bool { return !t.Before(w.begin) && t.Before(w.end) }

// window begins after the warming up. What tells its bounds ends with it.
func (j *job) window(tell func(string)) (w window, wait func()) {
	now := time.Now()
	w = window{now.Add(j.Warm), now.Add(j.Warm + j.For)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(time.Until(w.begin))
		tell("begin")
		time.Sleep(time.Until(w.end))
		tell("end")
	}()
	return w, func() { <-done }
}

// sum adds up what the sessions saw.
func (j *job) sum(all []*stream) *result {
	res := &result{Sessions: len(all), Seconds: j.For.Seconds()}
	var lats []latency
	for _, s := range all {
		res.Lost += s.check.lost
		res.Corrupted += s.check.corrupted
		lats = append(lats, s.lat)
	}
	l := merge(lats)
	res.Messages = l.h.TotalCount()
	res.Bytes = res.Messages * int64(j.Size)
	res.Latency = l.quantiles()
	return res
}
