package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// openers is how many connections are opened at once.
const openers = 16

// idle opens many sessions, lets each say one thing, is silent for the window, and
// lets each speak again. Whoever watches the proxy's memory is told when all are
// silent.
func (j *job) idle(tell func(string)) (*result, error) {
	want, err := j.contents()
	if err != nil {
		return nil, err
	}
	all := make([]*stream, j.Conns)
	defer func() {
		for _, s := range all {
			if s != nil {
				_ = s.Close() // it has said its piece
			}
		}
	}()
	err = each(j.Conns, func(i int) (err error) {
		if all[i], err = j.open("/echo", want()); err == nil {
			err = all[i].once(0)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	tell("begin")
	time.Sleep(j.For) // the silence is what is measured
	tell("end")
	err = each(j.Conns, func(i int) error { return all[i].once(1) })
	res := &result{Sessions: j.Conns, Seconds: j.For.Seconds()}
	for _, s := range all {
		res.Messages += s.check.messages
		res.Lost += s.check.lost
		res.Corrupted += s.check.corrupted
	}
	return res, err
}

// each calls f for every number below n, some at once, and waits for all.
func each(n int, f func(i int) error) error {
	var next atomic.Int64
	var running sync.WaitGroup
	errs := make([]error, openers)
	for k := range errs {
		running.Go(func() {
			for errs[k] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					errs[k] = fmt.Errorf("connection %d: %w", i+1, err)
				}
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// once sends message seq and waits for it.
func (s *stream) once(seq uint64) error {
	if _, err := s.Write(s.check.want.appendFrame(nil, seq)); err != nil {
		return err
	}
	_ = s.SetReadDeadline(time.Now().Add(handshakeTime)) // a closed socket tells with the read
	for s.check.next == seq {
		if err := s.read(nil); err != nil {
			return s.missed(err, seq+1)
		}
	}
	return nil
}

// churn connects, says one thing, closes, and begins again. What is timed is all of
// it together.
func (j *job) churn(tell func(string)) (*result, error) {
	want, err := j.contents()
	if err != nil {
		return nil, err
	}
	w, wait := j.window(tell)
	workers := make([]*stream, j.Conns) // only what they count
	errs := make([]error, j.Conns)
	var running sync.WaitGroup
	for i := range workers {
		sum := &stream{lat: newLatency()}
		workers[i] = sum
		running.Go(func() {
			for errs[i] == nil && time.Now().Before(w.end) {
				start := time.Now()
				s, err := j.visit(want())
				now := time.Now()
				if s != nil {
					sum.check.lost += s.check.lost
					sum.check.corrupted += s.check.corrupted
					if s.check.messages == 1 && w.holds(now) {
						sum.lat.record(now.Sub(start))
					}
				}
				errs[i] = err
			}
		})
	}
	running.Wait()
	wait()
	return j.sum(workers), errors.Join(errs...)
}

// visit is one session of one message, closed as RFC 6455 section 7.1.1 has it: Close,
// the answer to it, and then the server ends the connection.
func (j *job) visit(want content) (*stream, error) {
	s, err := j.open("/echo", want)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.once(0); err != nil {
		return s, err
	}
	h := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpClose, Masked: true, Key: clientKey, Length: 2})
	code := []byte{0x03, 0xe8} // 1000
	inspect.Mask(clientKey, 0, code)
	if _, err := s.Write(append(h.Raw(), code...)); err != nil {
		return s, err
	}
	for {
		if err := s.read(nil); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return s, err
		}
	}
	if !s.check.closed {
		return s, errors.New("the Close was not answered")
	}
	return s, nil
}
