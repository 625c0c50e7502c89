package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// run is one run of the benchmark: what all of its cells share.
type run struct {
	options    options
	dir        string
	wsproxy    string
	cert       string
	server     *process
	bytes      *process // echoes bytes, for bridges; nil: none is measured
	workloads  []workload
	contenders []contender
	missing    []string // contenders that are not installed
	start      time.Time
}

// newRun builds wsproxy and starts the server. close ends it.
func newRun(ctx context.Context, o options) (*run, error) {
	r := &run{options: o, start: time.Now()}
	if err := r.choose(); err != nil {
		return nil, err
	}
	dir := o.dir
	if dir == "" {
		cache, err := os.UserCacheDir() // where a user's temporary recordings go, so no tmpfs
		if err != nil {
			return nil, err
		}
		dir = cache
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if r.dir, err = os.MkdirTemp(dir, "wsproxy-bench-"); err != nil {
		return nil, err
	}
	r.wsproxy = filepath.Join(r.dir, "wsproxy")
	build := exec.CommandContext(ctx, "go", "build", "-o", r.wsproxy, "github.com/wsproxy/wsproxy/cmd/wsproxy")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("building wsproxy: %w\n%s", err, out), os.RemoveAll(r.dir))
	}
	if r.cert, err = makeCertificate(r.dir); err == nil {
		r.server, err = startServer(ctx, "server")
	}
	if err == nil && slices.ContainsFunc(r.workloads, func(w workload) bool { return w.bridge }) {
		if r.bytes, err = startServer(ctx, "bytes"); err != nil {
			r.server.stop()
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(r.dir))
	}
	return r, nil
}

func startServer(ctx context.Context, role string) (*process, error) {
	cmd, err := self(role)
	if err != nil {
		return nil, err
	}
	return startAnnouncing(ctx, cmd)
}

// choose takes what the flags name.
func (r *run) choose() error {
	for _, w := range workloads {
		if chosen(r.options.only, w.name) {
			r.workloads = append(r.workloads, w)
		}
	}
	for _, c := range contenders {
		switch {
		case !chosen(r.options.with, c.name):
		case c.installed():
			r.contenders = append(r.contenders, c)
		default:
			r.missing = append(r.missing, c.name)
		}
	}
	if len(r.workloads) == 0 || len(r.contenders) == 0 || r.options.rounds < 1 {
		return errors.New("nothing is chosen: workloads are W1 to W8, B1 and B2, contenders are named in the table of a whole run")
	}
	return nil
}

// close stops the server and removes what the run has written.
func (r *run) close() {
	r.server.stop()
	if r.bytes != nil {
		r.bytes.stop()
	}
	_ = os.RemoveAll(r.dir) // it lies in a cache
}

// all measures everything, in rounds: each contender once in every round, each time
// another one first, so that what else the machine does falls on all of them.
func (r *run) all(ctx context.Context) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.limit)
	defer cancel()
	rep := &report{About: r.about(ctx), workloads: r.workloads, contenders: r.contenders}
	for round := range r.options.rounds {
		for _, w := range r.workloads {
			if w.rounds > 0 && round >= w.rounds {
				continue
			}
			for i := range r.contenders {
				c := r.contenders[(i+round)%len(r.contenders)]
				if slices.Contains(c.without, w.name) || w.tls && !c.tls || w.bridge != c.bridge {
					continue
				}
				if ctx.Err() != nil {
					rep.About.Cut = true
					return rep, nil
				}
				got := r.cell(ctx, w, c)
				got.Round = round
				rep.Cells = append(rep.Cells, got)
				r.progress(got)
			}
		}
	}
	rep.About.Took = time.Since(r.start).Round(time.Second).String()
	return rep, nil
}

func (r *run) progress(c cell) {
	if r.options.quiet {
		return
	}
	text := "ok"
	if c.Err != "" {
		text = c.Err
	} else if c.Lost+c.Corrupted > 0 {
		text = fmt.Sprintf("%d lost, %d corrupted", c.Lost, c.Corrupted)
	}
	fmt.Fprintf(os.Stderr, "%4.0fs round %d %-10s %-18s %s\n", time.Since(r.start).Seconds(), c.Round+1, c.Workload, c.Contender, text)
}

// cell is one measurement.
type cell struct {
	Workload, Contender string
	Round               int
	result
	CPU     float64 // seconds of the proxy in the window
	Peak    float64 // bytes, of the proxy, ever
	Session float64 // bytes of resident memory a session
	Growth  float64 // bytes of resident memory in the window
	Killed  bool    `json:",omitempty"` // the proxy did not end when told to
	Said    string  `json:",omitempty"` // by the proxy, on stderr
}

// cell measures a workload through a contender that is started for it.
func (r *run) cell(ctx context.Context, w workload, c contender) cell {
	got := cell{Workload: w.name, Contender: c.name}
	if err := r.measure(ctx, w, c, &got); err != nil {
		got.Err = err.Error()
	}
	return got
}

func (r *run) measure(ctx context.Context, w workload, c contender, got *cell) error {
	dir, err := os.MkdirTemp(r.dir, c.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	j := w.job
	j.Addr, j.For = r.server.addr, r.options.length
	if j.Conns == 1 && j.Flight == 1 {
		j.Rate = r.options.rate
	}
	if w.tls {
		j.CA = r.cert
	}
	scheme := "ws"
	if w.bridge {
		j.Addr, scheme = r.bytes.addr, "tcp"
	}
	var proxy *process
	if c.start != nil {
		proxy, err = c.start(ctx, place{target: j.Addr, scheme: scheme, wsproxy: r.wsproxy, dir: dir, tls: w.tls, cert: r.cert})
		if err != nil {
			return err
		}
		j.Addr = proxy.addr
		defer func() {
			got.Killed = !proxy.stop()
			got.Said = proxy.errors.text()
		}()
	}
	if w.spin {
		stop, err := spinners(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	return r.load(ctx, j, proxy, got)
}

// spinners keep every core busy at idle priority until stop is called.
func spinners(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var all []*exec.Cmd
	stop = func() {
		cancel()
		for _, cmd := range all {
			_ = cmd.Wait() // it was killed
		}
	}
	for core := range runtime.NumCPU() {
		exe, err := os.Executable()
		if err == nil {
			cmd := exec.CommandContext(ctx, exe, roleArg, "spin", strconv.Itoa(core))
			dieWithParent(cmd)
			if err = cmd.Start(); err == nil {
				all = append(all, cmd)
			}
		}
		if err != nil {
			stop()
			return nil, err
		}
	}
	return stop, nil
}

// cellTime bounds one client, whatever the proxy does to it.
const cellTime = 90 * time.Second

// load runs the client and watches the proxy meanwhile. proxy is nil where there is
// none.
func (r *run) load(ctx context.Context, j job, proxy *process, got *cell) error {
	ctx, cancel := context.WithTimeout(ctx, cellTime)
	defer cancel()
	var base, begin usage
	var w *watch
	if proxy != nil {
		base = proxy.usage()
	}
	res, err := runClient(ctx, j, func(phase string) {
		if proxy == nil {
			return
		}
		switch phase {
		case "begin":
			begin = proxy.usage()
			if j.Kind == "idle" || j.Kind == "stall" {
				w = watchMemory(proxy)
			}
		case "end":
			got.CPU = (proxy.usage().cpu - begin.cpu).Seconds()
			if w != nil {
				last, most := w.stop()
				got.Session = float64(last-base.resident) / float64(j.Conns)
				got.Growth = float64(most - begin.resident)
				w = nil
			}
		}
	})
	if w != nil {
		w.stop()
	}
	if res != nil {
		got.result = *res
	}
	if proxy != nil {
		got.Peak = float64(proxy.usage().peak)
	}
	return err
}

// runClient has a client process do a job.
func runClient(ctx context.Context, j job, on func(phase string)) (*result, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, roleArg, "client")
	dieWithParent(cmd)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(spec)), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var res *result
	events := json.NewDecoder(out)
	for err == nil {
		var e event
		if err = events.Decode(&e); err == nil && e.Result != nil {
			res = e.Result
		} else if err == nil {
			on(e.Phase)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, cmd.Wait()); ctx.Err() != nil {
		err = fmt.Errorf("the client was not done in time: %w", ctx.Err())
	}
	if err == nil && res == nil {
		err = errors.New("the client has said nothing")
	}
	if err == nil && res.Err != "" {
		err = errors.New(res.Err)
	}
	return res, err
}

// watch samples a process's memory until it is stopped.
type watch struct {
	quit chan struct{}
	done chan struct{}
	last int64
	most int64
}

func watchMemory(p *process) *watch {
	w := &watch{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		ticks := time.NewTicker(50 * time.Millisecond)
		defer ticks.Stop()
		for {
			w.last = p.usage().resident
			w.most = max(w.most, w.last)
			select {
			case <-ticks.C:
			case <-w.quit:
				return
			}
		}
	}()
	return w
}

// stop waits for the last sample.
func (w *watch) stop() (last, most int64) {
	close(w.quit)
	<-w.done
	return w.last, w.most
}
