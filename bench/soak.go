package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"
)

// What a soak allows: memory that settles, and files that wait to be closed.
const (
	soakGrowth = 8 << 20 // bytes, and a tenth
	soakFiles  = 4
	soakOthers = 4 // goroutines more than a fresh process has
)

// soakStep is how long one kind of load lasts before the next.
const soakStep = 5 * time.Second

// soak is load of every kind on one wsproxy, for a long time.
type soak struct {
	run     *run
	proxy   *process
	started time.Time
	length  time.Duration
	step    time.Duration
	samples []sample
	sum     result
	errs    []error
}

// sample is what wsproxy held when nobody was connected.
type sample struct {
	resident int64
	files    int
}

// soakCommand runs it, says what it saw, and fails if anything was lost, altered, or
// grew.
func soakCommand(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench soak", flag.ContinueOnError)
	length := f.Duration("for", 30*time.Minute, "how long")
	step := f.Duration("step", soakStep, "how long each kind of load lasts")
	recording := f.String("record", "temporary", "the recording: none, temporary or file")
	if err := f.Parse(args); err != nil {
		return err
	}
	starts := map[string]string{"none": "wsproxy-no-record", "temporary": "wsproxy", "file": "wsproxy-record"}
	o := options{rounds: 1, with: starts[*recording]}
	if o.with == "" {
		return fmt.Errorf("-record takes none, temporary or file, not %q", *recording)
	}
	r, err := newRun(ctx, o)
	if err != nil {
		return err
	}
	defer r.close()
	s := &soak{run: r, started: time.Now(), length: *length, step: *step}
	return s.all(ctx)
}

func (s *soak) all(ctx context.Context) error {
	fresh, err := s.fresh(ctx)
	if err != nil {
		return err
	}
	if s.proxy, err = s.start(ctx); err != nil {
		return err
	}
	said := s.started
	for ctx.Err() == nil && time.Since(s.started) < s.length {
		if err := s.round(ctx); err != nil {
			s.proxy.stop()
			return err
		}
		if last := s.samples[len(s.samples)-1]; time.Since(said) > time.Minute || len(s.samples) == 1 {
			said = time.Now()
			fmt.Printf("%6s  %d messages, %d lost, %d corrupted; %.1f MiB resident, %d files\n", time.Since(s.started).Round(time.Second),
				s.sum.Messages, s.sum.Lost, s.sum.Corrupted, float64(last.resident)/(1<<20), last.files)
		}
	}
	left := s.goroutines(s.proxy)
	last := s.samples[len(s.samples)-1]
	fmt.Printf("%s: %d messages, %d lost, %d corrupted; %.1f MiB resident, %d files, %d goroutines (a fresh one has %d)\n",
		time.Since(s.started).Round(time.Second), s.sum.Messages, s.sum.Lost, s.sum.Corrupted, float64(last.resident)/(1<<20), last.files, left, fresh)
	return errors.Join(append(s.errs, judge(s.sum, s.samples), grown("goroutines", left, fresh+soakOthers))...)
}

func (s *soak) start(ctx context.Context) (*process, error) {
	dir, err := os.MkdirTemp(s.run.dir, "soak-")
	if err != nil {
		return nil, err
	}
	return s.run.contenders[0].start(ctx, place{target: s.run.server.addr, scheme: "ws", wsproxy: s.run.wsproxy, dir: dir})
}

// fresh counts the goroutines of a wsproxy through which one session has gone.
func (s *soak) fresh(ctx context.Context) (int, error) {
	p, err := s.start(ctx)
	if err != nil {
		return 0, err
	}
	_, err = runClient(ctx, job{Kind: "churn", Addr: p.addr, Conns: 1, Size: 128, For: 50 * time.Millisecond}, func(string) {})
	s.quiet(p, 0)
	return s.goroutines(p), err
}

// goroutines ends a Go program as SIGQUIT does, and counts the goroutines that it
// then prints. The product has no other way to be asked.
func (s *soak) goroutines(p *process) int {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT) // one that is gone has none
	select {
	case <-p.exited:
	case <-time.After(stopTime):
		p.stop()
	}
	return p.errors.goroutines()
}

// round is each kind of load once.
func (s *soak) round(ctx context.Context) error {
	for _, w := range workloads {
		if w.tls || w.bridge || w.job.Conns > 1000 {
			continue
		}
		j := w.job
		j.Addr, j.For = s.proxy.addr, min(s.step, max(s.length-time.Since(s.started), 100*time.Millisecond))
		limited, cancel := context.WithTimeout(ctx, cellTime+s.step)
		res, err := runClient(limited, j, func(string) {})
		cancel()
		if ctx.Err() != nil && len(s.samples) > 0 {
			return nil // the user has seen enough
		}
		if err != nil {
			return fmt.Errorf("%s after %v: %w", w.name, time.Since(s.started).Round(time.Second), err)
		}
		s.sum.Messages += res.Messages
		s.sum.Lost += res.Lost
		s.sum.Corrupted += res.Corrupted
	}
	files := 0
	if len(s.samples) > 0 {
		files = s.samples[0].files
	}
	s.samples = append(s.samples, s.quiet(s.proxy, files))
	return nil
}

// quiet waits until wsproxy has no more files open than before, some seconds at
// most, and answers what it holds.
func (s *soak) quiet(p *process, files int) sample {
	for end := time.Now().Add(stopTime); ; time.Sleep(20 * time.Millisecond) {
		now := sample{p.usage().resident, openFiles(p.cmd.Process.Pid)}
		if files > 0 && now.files <= files || time.Now().After(end) {
			return now
		}
	}
}

// judge says what is wrong with a soak: anything lost or altered, or memory or files
// that are more at the end than once they had settled.
func judge(sum result, samples []sample) error {
	var errs []error
	if sum.Lost+sum.Corrupted > 0 {
		errs = append(errs, fmt.Errorf("%d messages were lost, %d corrupted", sum.Lost, sum.Corrupted))
	}
	if n := len(samples); n >= 6 { // in fewer rounds nothing settles
		before, after := middle(samples[n/3:2*n/3+1]), middle(samples[2*n/3:])
		errs = append(errs, grown("bytes of memory", int(after.resident), int(before.resident+before.resident/10+soakGrowth)),
			grown("open files", after.files, before.files+soakFiles))
	}
	return errors.Join(errs...)
}

// middle is the medians of some samples.
func middle(all []sample) sample {
	var resident, files []float64
	for _, s := range all {
		resident, files = append(resident, float64(s.resident)), append(files, float64(s.files))
	}
	return sample{int64(spreadOf(resident).Median), int(spreadOf(files).Median)}
}

func grown(what string, n, most int) error {
	if n > most {
		return fmt.Errorf("it grew: %d %s at the end, more than %d", n, what, most)
	}
	return nil
}
