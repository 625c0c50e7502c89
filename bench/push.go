package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// stallTime is how long a client that stalls reads nothing.
const stallTime = 3 * time.Second

// push takes what the server pushes. Latency is not known here: nobody asks.
func (j *job) push(tell func(string)) (*result, error) {
	all, err := j.openPush()
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	w, wait := j.window(tell)
	counts := make([]int64, len(all))
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, s := range all {
		running.Go(func() { counts[i], errs[i] = s.take(w) })
	}
	running.Wait()
	wait()
	res := j.sum(all)
	for _, n := range counts {
		res.Messages += n
	}
	res.Bytes = res.Messages * int64(j.Size)
	return res, errors.Join(errs...)
}

func (j *job) openPush() ([]*stream, error) {
	p := newPattern(j.Size, false)
	all, err := j.openAll(fmt.Sprintf("/push?size=%d", j.Size), func() content { return p.another() })
	for _, s := range all {
		s.check.asides = true
	}
	return all, err
}

// take reads to the window's end, tells the server to stop, and reads the rest. It
// answers the messages of the window.
func (s *stream) take(w window) (n int64, err error) {
	_ = s.SetReadDeadline(w.end.Add(drainTime)) // a closed socket tells with the read
	var now time.Time
	for {
		before := s.check.messages
		if err := s.readAt(&now, nil); err != nil {
			return n, s.missed(err, 0)
		}
		if w.holds(now) {
			n += s.check.messages - before
		}
		if !now.Before(w.end) {
			return n, s.stop()
		}
	}
}

// stop tells the server to push no more, and counts what is missing of what it says
// it has sent.
func (s *stream) stop() error {
	text := []byte("stop")
	inspect.Mask(clientKey, 0, text)
	h := inspect.NewHeader(inspect.Fields{Fin: true, Opcode: inspect.OpText, Masked: true, Key: clientKey, Length: uint64(len(text))})
	if _, err := s.Write(append(h.Raw(), text...)); err != nil {
		return err
	}
	for !s.check.heard {
		if err := s.read(nil); err != nil {
			return fmt.Errorf("the server has not said how much it sent: %w", err)
		}
	}
	var sent uint64
	if _, err := fmt.Sscanf(string(s.check.said), "sent %d", &sent); err != nil {
		return fmt.Errorf("the server said %q: %w", s.check.said, err)
	}
	s.check.outstanding(sent)
	return nil
}

// stall reads for a while, then nothing, and then the rest. Who watches the proxy's
// memory is told when ("begin", "end").
func (j *job) stall(tell func(string)) (*result, error) {
	all, err := j.openPush()
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	for until := time.Now().Add(j.Warm); time.Now().Before(until); {
		for _, s := range all {
			if err := s.read(nil); err != nil {
				return nil, err
			}
		}
	}
	tell("begin")
	time.Sleep(stallTime) // this is what is measured
	tell("end")
	for _, s := range all {
		_ = s.SetReadDeadline(time.Now().Add(2 * drainTime)) // a closed socket tells with the read
		if err := s.stop(); err != nil {
			return nil, err
		}
	}
	res := j.sum(all)
	for _, s := range all {
		res.Messages += s.check.messages
	}
	res.Seconds = stallTime.Seconds()
	res.Bytes = res.Messages * int64(j.Size)
	return res, nil
}
